/* SPDX-License-Identifier: Apache-2.0
 * train/ops.c - what is not a product: embedding, norm, rotation, each with its way back.
 *
 * Threads share out rows, or columns where a sum runs over rows. */
#include "train/parts.h"
#include "train/sums.h"

#include <math.h>
#include <string.h>

enum { ROWS_A_TASK = 64, COLS_A_TASK = 64, COPY_VALUES = 1 << 16 };

static int64_t n_tasks(int64_t n, int64_t each)
{
    return (n + each - 1) / each;
}

static int64_t end_of(int64_t task, int64_t each, int64_t n)
{
    return (task + 1) * each < n ? (task + 1) * each : n;
}

/* ---- copying ---- */

typedef struct Copy { float *to; const float *from; int64_t n; } Copy;

static void copy_some(void *arg, int64_t task, int worker)
{
    const Copy *c = arg;
    const int64_t begin = task * COPY_VALUES;
    (void)worker;
    memcpy(c->to + begin, c->from + begin, (size_t)(end_of(task, COPY_VALUES, c->n) - begin) * sizeof *c->to);
}

void copy_rows(Net *net, float *to, const float *from, int64_t n_values)
{
    pool_run(net->pool, copy_some, &(Copy){ to, from, n_values }, n_tasks(n_values, COPY_VALUES));
}

/* ---- embedding: x[n] = row tokens[n] of the matrix ---- */

typedef struct Embed { Net *net; const Batch *batch; float *x; const float *dx; int64_t n_rows; } Embed;

static void embed_rows(void *arg, int64_t task, int worker)
{
    const Embed *e = arg;
    const Matrix *w = &e->net->embed;
    (void)worker;
    for (int64_t n = task * ROWS_A_TASK; n < end_of(task, ROWS_A_TASK, e->n_rows); n++) {
        const int64_t token = e->batch->tokens[n];
        float *x = e->x + n * w->cols;
        if (w->param) memcpy(x, w->param->value + token * w->cols, (size_t)w->cols * sizeof *x);
        else
            format_info[w->format].decode(x, (const char *)w->frozen + token * format_row_bytes(w->format, w->cols),
                                          (size_t)w->cols);
    }
}

/* ORDER embed_back: what the gradient held, then the tokens of the batch in order. */
static void embed_cols(void *arg, int64_t task, int worker)
{
    const Embed *e = arg;
    const Param *param = e->net->embed.param;
    const int64_t begin = task * COLS_A_TASK, end = end_of(task, COLS_A_TASK, param->cols);
    (void)worker;
    for (int64_t n = 0; n < e->n_rows; n++) {
        float *to = param->grad + e->batch->tokens[n] * param->cols;
        const float *from = e->dx + n * param->cols;
        for (int64_t i = begin; i < end; i++) to[i] += from[i];
    }
}

void embed(Net *net, const Batch *batch, float *x)
{
    const int64_t n = batch->n_sequences * batch->n_tokens;
    pool_run(net->pool, embed_rows, &(Embed){ .net = net, .batch = batch, .x = x, .n_rows = n },
             n_tasks(n, ROWS_A_TASK));
}

void embed_back(Net *net, const Batch *batch, const float *dx)
{
    if (!net->embed.param) return;
    const int64_t n = batch->n_sequences * batch->n_tokens;
    pool_run(net->pool, embed_cols, &(Embed){ .net = net, .batch = batch, .dx = dx, .n_rows = n },
             n_tasks(net->embed.cols, COLS_A_TASK));
}

/* ---- norm: h = g x r with r = 1 / sqrt(mean(x^2) + eps) ---- */

typedef struct Normed {
    const Net   *net;
    float       *h, *dx;
    const float *x, *dh, *gain;
    float       *dgain;
    int64_t      n_rows, n_cols;
} Normed;

static void norm_rows(void *arg, int64_t task, int worker)
{
    const Normed *s = arg;
    (void)worker;
    for (int64_t n = task * ROWS_A_TASK; n < end_of(task, ROWS_A_TASK, s->n_rows); n++)
        s->net->kernels->rms_norm(s->h + n * s->n_cols, s->x + n * s->n_cols, s->gain, (size_t)s->n_cols,
                                  (float)s->net->sizes.norm_eps);
}

/* With e = g dh:  dx = r e - x r^3 mean(e x). */
static void norm_back_rows(void *arg, int64_t task, int worker)
{
    const Normed *s = arg;
    const int64_t n_cols = s->n_cols;
    (void)worker;
    for (int64_t n = task * ROWS_A_TASK; n < end_of(task, ROWS_A_TASK, s->n_rows); n++) {
        const float *x = s->x + n * n_cols, *dh = s->dh + n * n_cols;
        float *dx = s->dx + n * n_cols;
        const double r = 1.0 / sqrt(dot(x, x, n_cols) / (double)n_cols + s->net->sizes.norm_eps);
        const float scale = (float)r, pull = (float)(r * r * r * dot3(s->gain, dh, x, n_cols) / (double)n_cols);
        s->net->work.norms[n] = scale;
        for (int64_t i = 0; i < n_cols; i++) dx[i] += scale * s->gain[i] * dh[i] - pull * x[i];
    }
}

/* ORDER norm_back: dgain in double over the rows in order, then once to what the gradient held. */
static void norm_back_cols(void *arg, int64_t task, int worker)
{
    const Normed *s = arg;
    const int64_t begin = task * COLS_A_TASK, many = end_of(task, COLS_A_TASK, s->n_cols) - begin;
    double sums[COLS_A_TASK] = { 0 };
    (void)worker;
    for (int64_t n = 0; n < s->n_rows; n++) {
        const float *x = s->x + n * s->n_cols + begin, *dh = s->dh + n * s->n_cols + begin;
        const double r = (double)s->net->work.norms[n];
        for (int64_t i = 0; i < many; i++) sums[i] += (double)dh[i] * (double)x[i] * r;
    }
    for (int64_t i = 0; i < many; i++) s->dgain[begin + i] += (float)sums[i];
}

void norm(Net *net, float *h, const float *x, const Gain *gain, int64_t n_rows)
{
    const Normed s = { .net = net, .h = h, .x = x, .gain = gain->value, .n_rows = n_rows, .n_cols = net->sizes.width };
    pool_run(net->pool, norm_rows, (void *)&s, n_tasks(n_rows, ROWS_A_TASK));
}

void norm_back(Net *net, float *dx, const float *dh, const float *x, const Gain *gain, int64_t n_rows)
{
    const Normed s = { .net = net, .dx = dx, .dh = dh, .x = x, .gain = gain->value,
                     .dgain = gain->param ? gain->param->grad : NULL, .n_rows = n_rows, .n_cols = net->sizes.width };
    pool_run(net->pool, norm_back_rows, (void *)&s, n_tasks(n_rows, ROWS_A_TASK));
    if (gain->param) pool_run(net->pool, norm_back_cols, (void *)&s, n_tasks(s.n_cols, COLS_A_TASK));
}

/* ---- rotation: pairs of neighbours by the angle of their place in their text; the way back turns back ---- */

typedef struct Turn { const Net *net; float *x; int64_t n_heads, n_rows; const Batch *batch; bool back; } Turn;

static void turn_rows(void *arg, int64_t task, int worker)
{
    const Turn *s = arg;
    const Sizes *z = &s->net->sizes;
    const int64_t n_pairs = z->n_turned / 2;
    const float way = s->back ? -1.0f : 1.0f;
    (void)worker;
    for (int64_t n = task * ROWS_A_TASK; n < end_of(task, ROWS_A_TASK, s->n_rows); n++) {
        const int64_t place = n % s->batch->n_tokens - s->batch->starts[n];
        const float *cosine = s->net->work.cosine + place * n_pairs, *sine = s->net->work.sine + place * n_pairs;
        for (int64_t head = 0; head < s->n_heads; head++) {
            float *x = s->x + (n * s->n_heads + head) * z->head_size;
            for (int64_t i = 0; i < n_pairs; i++) {
                const float a = x[2 * i], b = x[2 * i + 1], c = cosine[i], d = way * sine[i];
                x[2 * i] = a * c - b * d;
                x[2 * i + 1] = a * d + b * c;
            }
        }
    }
}

void turn(Net *net, float *x, int64_t n_heads, const Batch *batch, bool back)
{
    const Turn s = { net, x, n_heads, batch->n_sequences * batch->n_tokens, batch, back };
    pool_run(net->pool, turn_rows, (void *)&s, n_tasks(s.n_rows, ROWS_A_TASK));
}
