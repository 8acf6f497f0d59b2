/* SPDX-License-Identifier: Apache-2.0
 * train/experts.c - the mixture of a layer: rows to their experts, answers back, weighed; and the way back.
 *
 * Rows lie by place, those of one expert together, so that each expert is visited once.  The gradient of a weight needs
 * no answer of the expert: with dy the gradient of the mixture, dw = dy . (W h) = (W^T dy) . h, and W^T dy is computed
 * anyway. */
#include "train/parts.h"
#include "train/sums.h"

#include <string.h>

enum { ROWS_A_TASK = 64 };

typedef struct Mix {
    const Net   *net;
    const Kept  *kept;
    const float *from;
    float       *to;
    int64_t      n;                     /* rows or places                                   */
} Mix;

static void share(Net *net, PoolTask task, const Mix *mix)
{
    pool_run(net->pool, task, (void *)mix, (mix->n + ROWS_A_TASK - 1) / ROWS_A_TASK);
}

static int64_t end_of(const Mix *m, int64_t task)
{
    return (task + 1) * ROWS_A_TASK < m->n ? (task + 1) * ROWS_A_TASK : m->n;
}

/* to[place] = from[token] */
static void gather(void *arg, int64_t task, int worker)
{
    const Mix *m = arg;
    const int64_t width = m->net->sizes.width;
    (void)worker;
    for (int64_t p = task * ROWS_A_TASK; p < end_of(m, task); p++)
        memcpy(m->to + p * width, m->from + m->kept->plan.slot_at[p] / m->net->sizes.n_used * width,
               (size_t)width * sizeof *m->to);
}

/* to[token] = from[token] + the sum over slots of weight * answers[place]; ORDER mix: slots upwards. */
static void mix_rows(void *arg, int64_t task, int worker)
{
    const Mix *m = arg;
    const int64_t width = m->net->sizes.width, n_used = m->net->sizes.n_used;
    (void)worker;
    for (int64_t n = task * ROWS_A_TASK; n < end_of(m, task); n++) {
        memcpy(m->to + n * width, m->from + n * width, (size_t)width * sizeof *m->to);
        for (int64_t slot = n * n_used; slot < (n + 1) * n_used; slot++) {
            const int64_t place = m->kept->plan.place_of[slot];
            if (place >= 0)
                m->net->kernels->axpy(m->to + n * width, m->kept->plan.weights[slot],
                                      m->net->work.answers + place * width, (size_t)width);
        }
    }
}

/* to[token] = the sum over slots of from[place]; ORDER collect: slots upwards. */
static void collect(void *arg, int64_t task, int worker)
{
    const Mix *m = arg;
    const int64_t width = m->net->sizes.width, n_used = m->net->sizes.n_used;
    (void)worker;
    for (int64_t n = task * ROWS_A_TASK; n < end_of(m, task); n++) {
        memset(m->to + n * width, 0, (size_t)width * sizeof *m->to);
        for (int64_t slot = n * n_used; slot < (n + 1) * n_used; slot++) {
            const int64_t place = m->kept->plan.place_of[slot];
            if (place >= 0) m->net->kernels->add(m->to + n * width, m->from + place * width, (size_t)width);
        }
    }
}

/* hidden = silu(gate) * up */
static void meet(void *arg, int64_t task, int worker)
{
    const Mix *m = arg;
    const int64_t width = m->net->sizes.hidden, begin = task * ROWS_A_TASK * width;
    (void)worker;
    m->net->kernels->silu_mul(m->net->work.hidden + begin, m->kept->gate + begin, m->kept->up + begin,
                              (size_t)(end_of(m, task) * width - begin));
}

/* dw = dhidden . hidden; then both times the weight; then through SwiGLU: gate and up become their gradients. */
static void part(void *arg, int64_t task, int worker)
{
    const Mix *m = arg;
    const NetWork *w = &m->net->work;
    const int64_t width = m->net->sizes.hidden;
    (void)worker;
    for (int64_t p = task * ROWS_A_TASK; p < end_of(m, task); p++) {
        const int64_t slot = m->kept->plan.slot_at[p];
        float *hidden = w->hidden + p * width, *dhidden = w->dhidden + p * width;
        w->dweights[slot] = (float)dot(dhidden, hidden, width);
        m->net->kernels->scale(hidden, m->kept->plan.weights[slot], (size_t)width);
        m->net->kernels->scale(dhidden, m->kept->plan.weights[slot], (size_t)width);
        m->net->kernels->silu_back(m->kept->gate + p * width, m->kept->up + p * width, dhidden, (size_t)width);
    }
}

/* ---- lists of all experts that have rows ---- */

static int list_in(const Net *net, int layer, const Kept *kept, float *dx)
{
    const NetLayer *l = &net->layers[layer];
    const int64_t width = net->sizes.width, hidden = net->sizes.hidden;
    int n = 0;
    for (int64_t e = 0; e < net->sizes.n_experts; e++) {
        const int64_t first = kept->plan.first[e], m = kept->plan.first[e + 1] - first;
        if (m == 0) continue;
        const Use use = { .x = net->work.rows + first * width, .dx = dx ? dx + first * width : NULL, .m = m };
        net->uses[n] = net->uses[n + 1] = use;
        net->uses[n].w = &l->gate[e], net->uses[n++].y = kept->gate + first * hidden;
        net->uses[n].w = &l->up[e], net->uses[n++].y = kept->up + first * hidden;
    }
    return n;
}

static int list_out(const Net *net, int layer, const Kept *kept)
{
    const NetLayer *l = &net->layers[layer];
    const int64_t width = net->sizes.width, hidden = net->sizes.hidden;
    int n = 0;
    for (int64_t e = 0; e < net->sizes.n_experts; e++) {
        const int64_t first = kept->plan.first[e], m = kept->plan.first[e + 1] - first;
        if (m == 0) continue;
        net->uses[n++] = (Use){ .w = &l->down[e], .x = net->work.hidden + first * hidden,
                                .y = net->work.answers + first * width, .dx = net->work.dhidden + first * hidden,
                                .m = m };
    }
    return n;
}

void experts(Net *net, int layer, const Kept *kept, float *x, int64_t n_rows)
{
    NetWork *w = &net->work;
    const int64_t n_places = kept->plan.first[net->sizes.n_experts];
    share(net, gather, &(Mix){ net, kept, w->h, w->rows, n_places });
    net_answer(net, net->uses, list_in(net, layer, kept, NULL));                    /* gate, up [R][F] */
    share(net, meet, &(Mix){ .net = net, .kept = kept, .n = n_places });            /* hidden        */
    net_answer(net, net->uses, list_out(net, layer, kept));                         /* answers [R][D] */
    share(net, mix_rows, &(Mix){ net, kept, kept->mid, x, n_rows });
}

void experts_back(Net *net, int layer, const Kept *kept, int64_t n_rows)
{
    NetWork *w = &net->work;
    const int64_t n_places = kept->plan.first[net->sizes.n_experts];
    share(net, gather, &(Mix){ net, kept, w->h, w->rows, n_places });
    share(net, gather, &(Mix){ net, kept, w->dx, w->answers, n_places });
    share(net, meet, &(Mix){ .net = net, .kept = kept, .n = n_places });
    memset(w->dweights, 0, (size_t)(n_rows * net->sizes.n_used) * sizeof *w->dweights);

    int n = list_out(net, layer, kept);
    back_to_input(net, net->uses, n);                                               /* dhidden       */
    share(net, part, &(Mix){ .net = net, .kept = kept, .n = n_places });
    back_to_weights(net, net->uses, n);

    n = list_in(net, layer, kept, w->answers);
    back_to_weights(net, net->uses, n);
    back_to_input(net, net->uses, n);
    share(net, collect, &(Mix){ net, kept, w->answers, w->dh, n_rows });
}
