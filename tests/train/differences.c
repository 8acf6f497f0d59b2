/* SPDX-License-Identifier: Apache-2.0
 * tests/train/differences.c - gradients against finite differences, everything in double (in_double.h).
 *
 * First each step of the network alone: its answer is weighed with drawn numbers, w . f(x), and every input is moved a
 * little both ways.  Then whole networks, one for each of cases.h: some numbers of every weight.
 *
 * Bound    With h = 1e-5 the difference is off by h^2 f'''/6, of which 1e-7 of the gradient's largest number is
 *          generous, and by the rounding of f, some additions of 2^-53 |f| over h.  A wrong sign, factor or index is
 *          off by as much as the number itself.
 * Choices of experts must not change while a number moves; that they did not is checked. */
#include "cases.h"
#include "kernel/ref/ref.h"
#include "train/parts.h"

static const double step = 1e-5, allowed = 1e-7;
static int n_failed, n_passed;
static Kernels kernels;
static Pool *pool;

static void judge(const char *name, const char *what, int64_t i, double up, double down, double got, double largest)
{
    const double want = (up - down) / (2 * step), rounding = 16 * 0x1p-53 * (1 + fabs(up)) / step;
    if (fabs(want - got) <= allowed * largest + rounding) {
        n_passed++;
        return;
    }
    printf("FAIL %s, %s %lld: difference %.12g, gradient %.12g\n", name, what, (long long)i, want, got);
    n_failed++;
}

static double largest_of(const double *x, int64_t n)
{
    double largest = 0;
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(x[i]));
    return largest;
}

static double *drawn(int64_t n, uint64_t seed)
{
    double *x = malloc((size_t)n * sizeof *x);
    Rng rng = { seed };
    if (!x) abort();
    for (int64_t i = 0; i < n; i++) x[i] = 2 * rng_unit(&rng) - 1;
    return x;
}

static double *zeros(int64_t n)
{
    double *x = calloc((size_t)n, sizeof *x);
    if (!x) abort();
    return x;
}

static double weighed(const double *w, const double *y, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += w[i] * y[i];
    return sum;
}

/* ---- one network and its batch ---- */

typedef struct Bench {
    Net    *net;
    Batch   batch;
    Pass    pass;
    int64_t n;
    int32_t tokens[CASE_TOKENS_MAX], targets[CASE_TOKENS_MAX], starts[CASE_TOKENS_MAX];
    NetReport report;
} Bench;

static const Case *case_named(const char *name)
{
    for (int i = 0; i < ARRAY_LEN(cases); i++)
        if (!strcmp(cases[i].name, name)) return &cases[i];
    abort();
}

static void begin(Bench *b, const Case *c)
{
    Error error;
    memset(b, 0, sizeof *b);
    case_batch(c, b->tokens, b->targets, b->starts, &b->batch);
    if (case_net(c, arch_table[c->sizes.dense ? 1 : 0], pool, &kernels, &b->net, &error) != OK) abort();
    b->n = b->batch.n_sequences * b->batch.n_tokens;
    b->pass = (Pass){ .batch = &b->batch, .n_rows = b->n, .n_targets = 10, .report = &b->report, .share = 0.1 };
}

/* ---- steps alone: f gives w . answer, `inputs` are moved ---- */

typedef double Answer(Bench *b, void *of);

static void differences(const char *name, const char *what, Bench *b, Answer *f, void *of, double *input,
                        const double *grad, int64_t n)
{
    const double largest = largest_of(grad, n);
    for (int64_t i = 0; i < n; i += 1 + n / 100) {
        const double kept = input[i];
        input[i] = kept + step;
        const double up = f(b, of);
        input[i] = kept - step;
        const double down = f(b, of);
        input[i] = kept;
        judge(name, what, i, up, down, grad[i], largest);
    }
}

typedef struct NormOf { double *x, *y, *w; const Gain *gain; } NormOf;

static double norm_answer(Bench *b, void *of)
{
    const NormOf *s = of;
    norm(b->net, s->y, s->x, s->gain, b->n);
    return weighed(s->w, s->y, b->n * b->net->sizes.width);
}

static void check_norm(void)
{
    Bench b;
    begin(&b, case_named("plain"));
    const int64_t width = b.net->sizes.width, n = b.n * width;
    const Gain *gain = &b.net->layers[0].ffn_norm;
    NormOf s = { drawn(n, 1), zeros(n), drawn(n, 2), gain };
    double *dx = zeros(n);
    norm_back(b.net, dx, s.w, s.x, gain, b.n);
    differences("norm", "x", &b, norm_answer, &s, s.x, dx, n);
    differences("norm", "gain", &b, norm_answer, &s, gain->value, gain->param->grad, width);
    free(s.x), free(s.y), free(s.w), free(dx);
    net_free(b.net);
}

typedef struct TurnOf { double *x, *y, *w; } TurnOf;

static double turn_answer(Bench *b, void *of)
{
    const TurnOf *s = of;
    const int64_t n = b->n * n_query(&b->net->sizes);
    memcpy(s->y, s->x, (size_t)n * sizeof *s->y);
    turn(b->net, s->y, b->net->sizes.n_heads, &b->batch, false);
    return weighed(s->w, s->y, n);
}

static void check_turn(void)
{
    Bench b;
    begin(&b, case_named("texts"));
    const int64_t n = b.n * n_query(&b.net->sizes);
    TurnOf s = { drawn(n, 1), zeros(n), drawn(n, 2) };
    double *dx = drawn(n, 2);
    turn(b.net, dx, b.net->sizes.n_heads, &b.batch, true);
    differences("turn", "x", &b, turn_answer, &s, s.x, dx, n);
    free(s.x), free(s.y), free(s.w), free(dx);
    net_free(b.net);
}

static double attend_answer(Bench *b, void *of)
{
    attend(b->net, &b->net->kept[0], &b->batch);
    return weighed(of, b->net->kept[0].heads, b->n * n_query(&b->net->sizes));
}

static void check_attend(const char *name)
{
    Bench b;
    begin(&b, case_named(name));
    const Sizes *s = &b.net->sizes;
    const Kept *kept = &b.net->kept[0];
    const int64_t n_q = b.n * n_query(s), n_k = b.n * n_key(s);
    double *w = drawn(n_q, 7), *in[] = { drawn(n_q, 8), drawn(n_k, 9), drawn(n_k, 10) };
    memcpy(kept->q, in[0], (size_t)n_q * sizeof *w);
    memcpy(kept->k, in[1], (size_t)n_k * sizeof *w);
    memcpy(kept->v, in[2], (size_t)n_k * sizeof *w);
    attend(b.net, kept, &b.batch);
    memcpy(b.net->work.dheads, w, (size_t)n_q * sizeof *w);
    attend_back(b.net, kept, &b.batch);
    differences("attend", "q", &b, attend_answer, w, kept->q, b.net->work.dq, n_q);
    differences("attend", "k", &b, attend_answer, w, kept->k, b.net->work.dk, n_k);
    differences("attend", "v", &b, attend_answer, w, kept->v, b.net->work.dv, n_k);
    for (int i = 0; i < 3; i++) free(in[i]);
    free(w);
    net_free(b.net);
}

typedef struct LinearOf { Use use; double *w; } LinearOf;

static double linear_answer(Bench *b, void *of)
{
    const LinearOf *s = of;
    net_answer(b->net, &s->use, 1);
    return weighed(s->w, s->use.y, s->use.m * s->use.w->rows);
}

static void check_linear(void)
{
    Bench b;
    begin(&b, case_named("adapters"));
    const Matrix *m = &b.net->layers[1].up[2];
    const int64_t n_x = b.n * m->cols, n_y = b.n * m->rows;
    double *x = drawn(n_x, 3), *w = drawn(n_y, 4), *dy = drawn(n_y, 4), *dx = zeros(n_x);
    LinearOf s = { { .w = m, .x = x, .y = zeros(n_y), .m = b.n }, w };
    const Use back = { .w = m, .x = x, .y = dy, .dx = dx, .m = b.n };
    back_to_weights(b.net, &back, 1);
    back_to_input(b.net, &back, 1);
    differences("linear", "x", &b, linear_answer, &s, x, dx, n_x);
    Param *const of[] = { m->param, m->adapter.a, m->adapter.b };
    for (int i = 0; i < 3; i++)
        differences("linear", of[i]->name, &b, linear_answer, &s, of[i]->value, of[i]->grad, of[i]->rows * of[i]->cols);
    free(x), free(w), free(dy), free(dx), free(s.use.y);
    net_free(b.net);
}

/* What the router's scores do: w . weights, and the losses times their coefficients, as Pass weighs them. */
static double route_answer(Bench *b, void *of)
{
    Error error;
    const NetOptions *o = &b->net->options;
    const Plan *plan = &b->net->kept[0].plan;
    const int64_t n_slots = b->n * b->net->sizes.n_used;
    double *w = zeros(n_slots), sum;
    b->report = (NetReport){ 0 };
    if (route_rows(b->net, 0, &b->net->kept[0].plan, &b->pass, &error) != OK) abort();
    for (int64_t i = 0; i < n_slots; i++) w[i] = plan->place_of[i] < 0 ? 0 : ((double *)of)[i];
    sum = weighed(w, plan->weights, n_slots);
    free(w);
    return sum + b->pass.share * (double)b->pass.n_targets / (double)b->net->sizes.n_layers *
                     (o->balance * b->report.balance + o->router_z * b->report.router_z);
}

static void check_route(bool renormalise, double capacity)
{
    Bench b;
    Case c = *case_named("router_z");
    c.options.capacity = capacity;
    begin(&b, &c);
    b.net->router.renormalise = renormalise;
    const int64_t n_slots = b.n * b.net->sizes.n_used, n = b.n * b.net->sizes.n_experts;
    double *w = drawn(n_slots, 6), *scores = drawn(n, 5), *grad = zeros(n);
    memcpy(b.net->work.scores, scores, (size_t)n * sizeof *scores);
    route_answer(&b, w);
    for (int64_t i = 0; i < n_slots; i++)
        b.net->work.dweights[i] = b.net->kept[0].plan.place_of[i] < 0 ? 0 : w[i];
    route_back(b.net, &b.net->kept[0].plan, &b.pass);
    memcpy(grad, b.net->work.scores, (size_t)n * sizeof *grad);
    memcpy(b.net->work.scores, scores, (size_t)n * sizeof *scores);
    differences(renormalise ? "route" : "route of all", "scores", &b, route_answer, w, b.net->work.scores, grad, n);
    free(w), free(scores), free(grad);
    net_free(b.net);
}

static double experts_answer(Bench *b, void *of)
{
    const int64_t n = b->n * b->net->sizes.width;
    double *x = zeros(n);
    experts(b->net, 0, &b->net->kept[0], x, b->n);
    const double sum = weighed(of, x, n);
    free(x);
    return sum;
}

static void check_experts(void)
{
    Bench b;
    Error error;
    begin(&b, case_named("capacity"));
    NetWork *w = &b.net->work;
    const Kept *kept = &b.net->kept[0];
    const int64_t n = b.n * b.net->sizes.width, n_slots = b.n * b.net->sizes.n_used;
    double *g = drawn(n, 1), *h = drawn(n, 2), *scores = drawn(b.n * b.net->sizes.n_experts, 3), *dh = zeros(n),
           *dweights = zeros(n_slots);
    memcpy(w->scores, scores, (size_t)(b.n * b.net->sizes.n_experts) * sizeof *scores);
    if (route_rows(b.net, 0, &b.net->kept[0].plan, &b.pass, &error) != OK) abort();
    memcpy(w->h, h, (size_t)n * sizeof *h);
    memset(kept->mid, 0, (size_t)n * sizeof *h);
    experts_answer(&b, g);
    memcpy(w->dx, g, (size_t)n * sizeof *g);
    experts_back(b.net, 0, kept, b.n);
    memcpy(dh, w->dh, (size_t)n * sizeof *dh);
    memcpy(dweights, w->dweights, (size_t)n_slots * sizeof *dweights);
    differences("experts", "h", &b, experts_answer, g, w->h, dh, n);
    differences("experts", "weights", &b, experts_answer, g, kept->plan.weights, dweights, n_slots);
    const Param *down = b.net->layers[0].down[1].param;
    differences("experts", "down", &b, experts_answer, g, down->value, down->grad, down->rows * down->cols);
    free(g), free(h), free(scores), free(dh), free(dweights);
    net_free(b.net);
}

static double embed_answer(Bench *b, void *of)
{
    const int64_t n = b->n * b->net->sizes.width;
    double *x = zeros(n);
    embed(b->net, &b->batch, x);
    const double sum = weighed(of, x, n);
    free(x);
    return sum;
}

static void check_embed(void)
{
    Bench b;
    begin(&b, case_named("plain"));
    const Param *p = b.net->embed.param;
    double *w = drawn(b.n * p->cols, 3);
    embed_back(b.net, &b.batch, w);
    differences("embed", "rows", &b, embed_answer, w, p->value, p->grad, p->rows * p->cols);
    free(w);
    net_free(b.net);
}

static double loss_answer(Bench *b, void *of)
{
    Error error;
    (void)of;
    b->report = (NetReport){ 0 };
    if (judge_rows(b->net, &b->pass, NULL, &error) != OK) abort();
    return b->pass.share * b->report.loss;
}

static void check_loss(void)
{
    Bench b;
    Error error;
    begin(&b, case_named("texts"));
    const int64_t n = b.n * b.net->sizes.width;
    double *x = b.net->kept[b.net->sizes.n_layers].x, *in = drawn(n, 3);
    memcpy(x, in, (size_t)n * sizeof *x);
    if (learn_rows(b.net, &b.pass, NULL, NULL, &error) != OK) abort();
    memcpy(in, b.net->work.dx, (size_t)n * sizeof *x);
    differences("loss", "x", &b, loss_answer, NULL, x, in, n);
    const Param *out = b.net->out.param;
    differences("loss", "output", &b, loss_answer, NULL, out->value, out->grad, out->rows * out->cols);
    free(in);
    net_free(b.net);
}

/* ---- whole networks ---- */

static double whole_loss(Bench *b, const int32_t *choices, int64_t n_choices)
{
    Error error;
    const NetOptions *o = &b->net->options;
    b->report = (NetReport){ 0 };
    if (net_judge(b->net, &b->batch, &b->report, NULL, &error) != OK) abort();
    for (int64_t l = 0; !o->recompute && l < b->net->sizes.n_layers; l++)
        if (memcmp(b->net->kept[l].plan.experts, choices + l * n_choices, (size_t)n_choices * sizeof *choices)) {
            printf("FAIL choices of layer %lld changed: take another seed\n", (long long)l);
            n_failed++;
        }
    const double n_targets = (double)b->report.n_targets, n_layers = (double)b->net->sizes.n_layers;
    return b->pass.share * (b->report.loss + n_targets / n_layers * (o->balance * b->report.balance +
                                                                     o->router_z * b->report.router_z));
}

static void check_whole(const Case *c)
{
    Bench b;
    Error error;
    begin(&b, c);
    const int64_t n_choices = b.n * c->sizes.n_used;
    int32_t *choices = malloc((size_t)(c->sizes.n_layers * n_choices) * sizeof *choices);
    if (!choices || net_learn(b.net, &b.batch, b.pass.share, &b.report, &error) != OK) abort();
    for (int64_t l = 0; l < c->sizes.n_layers; l++)
        memcpy(choices + l * n_choices, b.net->kept[l].plan.experts, (size_t)n_choices * sizeof *choices);
    int n_params;
    Param *params = net_params(b.net, &n_params);
    Rng rng = { 21 };
    for (int p = 0; p < n_params; p++) {
        const int64_t n = params[p].rows * params[p].cols;
        const double largest = largest_of(params[p].grad, n);
        for (int k = 0; k < 2; k++) {
            const int64_t i = (int64_t)(rng_bits(&rng) % (uint64_t)n);
            const double kept = params[p].value[i];
            params[p].value[i] = kept + step;
            const double up = whole_loss(&b, choices, n_choices);
            params[p].value[i] = kept - step;
            const double down = whole_loss(&b, choices, n_choices);
            params[p].value[i] = kept;
            judge(c->name, params[p].name, i, up, down, params[p].grad[i], largest);
        }
    }
    free(choices);
    net_free(b.net);
}

int main(void)
{
    Error error;
    kernels.patch_f32 = patch_f32_ref;
    kernels.strip_rows_f32 = strip_rows_f32_ref;
    kernels.strip_cols_f32 = strip_cols_f32_ref;
    kernels.silu_back = silu_back_ref;
    kernels.rms_norm = rms_norm_ref;
    kernels.add = add_ref;
    kernels.axpy = axpy_ref;
    kernels.scale = scale_ref;
    kernels.silu_mul = silu_mul_ref;
    kernels.max_f32 = max_f32_ref;
    kernels.exp_sum = exp_sum_ref;
    if (pool_new(2, &pool, &error) != OK) abort();
    check_norm();
    check_turn();
    check_attend("texts");
    check_attend("window");
    check_attend("long");
    check_linear();
    check_route(true, 0.0);
    check_route(false, 0.0);
    check_route(true, 0.8);
    check_experts();
    check_embed();
    check_loss();
    for (int i = 0; i < ARRAY_LEN(cases); i++) check_whole(&cases[i]);
    pool_free(pool);
    printf("%d differences agree, %d do not\n", n_passed, n_failed);
    return n_failed != 0 || n_passed == 0;
}
