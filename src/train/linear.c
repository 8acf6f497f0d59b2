/* SPDX-License-Identifier: Apache-2.0
 * train/linear.c - y = x . W^T + scale (x . a^T) . b^T for a list of matrices, and the three ways back:
 *
 *     dx = dy . W + dt . a        dW += dy^T . x        da += dt^T . x,  db += dy^T . t
 *
 * with t = scale x . a^T and dt = scale dy . b, which are cheap enough to be computed whenever they are needed. */
#include "train/parts.h"

static Side rows_of(const Matrix *w, bool turned)
{
    if (w->param) return turned ? across(w->param->value, w->cols) : along(w->param->value, w->cols);
    return (Side){ .at = w->frozen, .format = w->format, .row = w->cols, .across = turned };
}

static int64_t rank_of(const Matrix *w)
{
    return w->adapter.a ? w->adapter.a->rows : 0;
}

/* The router decides by small differences, so its products stay exact. */
static bool is_exact(const Matrix *w)
{
    return w->role == ROLE_ROUTER;
}

static Product product(const Use *u, float *c, int64_t m, int64_t n, bool adds)
{
    return (Product){ .c = c, .c_row = n, .m = m, .n = n, .adds = adds, .exact = is_exact(u->w) };
}

static void add_term(Product *p, Side a, Side b, int64_t k)
{
    p->terms[p->n_terms++] = (Term){ .a = a, .b = b, .k = k };
}

static void run(const Net *net, int n)
{
    if (n > 0) multiply(&net->multiplier, net->products, n);
}

/* ---- low-rank answers ----
 *
 * Those of a list lie one after the other in work.low. */

/* t = scale x . a^T of every use, from `low` on; answers where they end. */
static float *add_low(Net *net, const Use *uses, int n, bool of_y, float *low)
{
    int n_products = 0;
    for (int i = 0; i < n; i++) {
        const Use *u = &uses[i];
        const int64_t rank = rank_of(u->w);
        if (!rank) continue;
        Product *p = &net->products[n_products++];
        *p = product(u, low, u->m, rank, false);
        p->scale = u->w->adapter.scale;
        if (of_y) add_term(p, along(u->y, u->w->rows), across(u->w->adapter.b->value, rank), u->w->rows);
        else add_term(p, along(u->x, u->w->cols), along(u->w->adapter.a->value, u->w->cols), u->w->cols);
        low += u->m * rank;
    }
    run(net, n_products);
    return low;
}

void net_answer(Net *net, const Use *uses, int n)
{
    const float *t = net->work.low;
    add_low(net, uses, n, false, net->work.low);
    for (int i = 0; i < n; i++) {
        const Use *u = &uses[i];
        const int64_t rank = rank_of(u->w);
        Product *p = &net->products[i];
        *p = product(u, u->y, u->m, u->w->rows, u->adds);
        add_term(p, along(u->x, u->w->cols), rows_of(u->w, false), u->w->cols);
        if (rank) add_term(p, along(t, rank), along(u->w->adapter.b->value, rank), rank);
        t += u->m * rank;
    }
    run(net, n);
}

void back_to_input(Net *net, const Use *uses, int n)
{
    const float *dt = net->work.low;
    add_low(net, uses, n, true, net->work.low);
    int n_products = 0;
    for (int i = 0; i < n; i++) {
        const Use *u = &uses[i];
        const int64_t rank = rank_of(u->w);
        if (i == 0 || u->dx != uses[i - 1].dx)
            net->products[n_products++] = product(u, u->dx, u->m, u->w->cols, u->adds);
        Product *p = &net->products[n_products - 1];
        add_term(p, along(u->y, u->w->rows), rows_of(u->w, true), u->w->rows);
        if (rank) add_term(p, along(dt, rank), across(u->w->adapter.a->value, u->w->cols), rank);
        dt += u->m * rank;
    }
    run(net, n_products);
}

static Product gradient(const Use *u, const Param *of, const float *dy, const float *x)
{
    Product p = product(u, of->grad, of->rows, of->cols, true);
    add_term(&p, across(dy, of->rows), across(x, of->cols), u->m);
    return p;
}

void back_to_weights(Net *net, const Use *uses, int n)
{
    const float *t = net->work.low, *dt = add_low(net, uses, n, false, net->work.low);
    add_low(net, uses, n, true, net->work.low + (dt - t));
    int n_products = 0;
    for (int i = 0; i < n; i++) {
        const Use *u = &uses[i];
        const Adapter *low = &u->w->adapter;
        if (u->w->param) net->products[n_products++] = gradient(u, u->w->param, u->y, u->x);
        if (!low->a) continue;
        net->products[n_products++] = gradient(u, low->a, dt, u->x);
        net->products[n_products++] = gradient(u, low->b, u->y, t);
        t += u->m * rank_of(u->w);
        dt += u->m * rank_of(u->w);
    }
    run(net, n_products);
}
