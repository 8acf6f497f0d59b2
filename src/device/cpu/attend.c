/* SPDX-License-Identifier: Apache-2.0
 * device/cpu/attend.c - rotary embedding, the cache, and attention over it.
 *
 * ORDER attend: positions are cut at multiples of SPLIT.  Each piece has its own maximum, sum and
 * answer; pieces are merged from the first to the last.  What a row gets depends on its position
 * and its cache only, not on what else is in the step. */
#include "device/cpu/cpu.h"

#include <math.h>
#include <string.h>

/* ---- rotary ---- */

typedef struct Turn {
    Cpu           *cpu;
    Tensor        *x;
    const int32_t *positions;
    const Rope    *rope;
} Turn;

static void rope_row(void *arg, int64_t t, int worker)
{
    const Turn *op = arg;
    const Rope *rope = op->rope;
    const int n_pairs = rope->n_turned / 2;
    float *cosine = op->cpu->scratch[worker].answers, *sine = cosine + n_pairs;
    for (int i = 0; i < n_pairs; i++) {
        const double angle = (double)op->positions[t] * op->cpu->turns[i];
        cosine[i] = (float)cos(angle);
        sine[i] = (float)sin(angle);
    }
    RopeFn *turn = rope->pairs == PAIRS_ADJACENT ? op->cpu->kernels.rope_adjacent
                                                 : op->cpu->kernels.rope_halves;
    for (int64_t at = 0; at < op->x->cols; at += rope->head_size)
        turn(row_f32(op->x, t) + at, cosine, sine, (size_t)n_pairs);
}

/* Powers are dear and a model has one Rope: its angles per position are kept from call to call. */
static void keep_turns(Cpu *cpu, const Rope *rope)
{
    if (cpu->turns_of.n_turned == rope->n_turned && cpu->turns_of.base == rope->base) return;
    for (int i = 0; i < rope->n_turned / 2; i++) cpu->turns[i] = rope_angle(rope, 1, i);
    cpu->turns_of = *rope;
}

Status cpu_rope(Device *d, Tensor *x, const int32_t *positions, const Rope *rope)
{
    Turn op = { .cpu = (Cpu *)d, .x = x, .positions = positions, .rope = rope };
    TRY(host_fits(d, "rope", x->rows, rope->n_turned));
    keep_turns(op.cpu, rope);
    cpu_run(op.cpu, rope_row, &op, x->rows, x->rows * (x->cols + 64 * (int64_t)rope->n_turned));
    return OK;
}

/* ---- the cache ---- */

static void put(const Cpu *cpu, const KvView *kv, int64_t t, int64_t first_row, const Tensor *x)
{
    void *to = kv_at(kv, t, first_row, kv->positions[t], 0);
    const Format format = kv->pages[t][kv->positions[t] / kv->page_tokens].format;
    if (format == F16) cpu->kernels.encode_f16(to, row_f32(x, t), (size_t)x->cols);
    else format_info[format].encode(to, row_f32(x, t), (size_t)x->cols);
}

Status cpu_kv_write(Device *d, const KvView *kv, const Tensor *k, const Tensor *v)
{
    for (int64_t t = 0; t < k->rows; t++) {
        put((Cpu *)d, kv, t, kv->k_row, k);
        put((Cpu *)d, kv, t, kv->v_row, v);
    }
    return OK;
}

/* What the cache holds for one head and position, as floats. */
static const float *get(const Cpu *cpu, const KvView *kv, int64_t t, int64_t first_row,
                        int64_t position, int64_t head, float *space)
{
    const void *here = kv_at(kv, t, first_row, position, head);
    const Format format = kv->pages[t][0].format;
    if (format == F32) return here;
    kernels_decoder(&cpu->kernels, format)(space, here, (size_t)kv->head_size);
    return space;
}

/* ---- attention ---- */

typedef struct Attention {
    Cpu          *cpu;
    Tensor       *y;
    const Tensor *q;
    const KvView *kv;
    int64_t       n_kv_heads, group;    /* group: query heads per key head                  */
} Attention;

/* All query heads of one row that read the same key head. */
typedef struct Heads {
    const Attention *op;
    Scratch         *s;
    int64_t          t, kv_head;
    const float     *q;                 /* [group][d]                                       */
    float           *y;                 /* [group][d] merged so far                         */
    float            max[GROUP_MAX], sum[GROUP_MAX];
} Heads;

/* scores[h][j - begin] = q[h] . key(j) / sqrt(d) */
static void score(const Heads *h, int64_t begin, int64_t end)
{
    const Attention *op = h->op;
    const int64_t d = op->kv->head_size;
    const float scale = (float)(1.0 / sqrt((double)d));
    for (int64_t j = begin; j < end; j++) {
        const float *key = get(op->cpu, op->kv, h->t, op->kv->k_row, j, h->kv_head, h->s->kv);
        for (int64_t g = 0; g < op->group; g++)
            h->s->scores[g * SPLIT + j - begin] =
                op->cpu->kernels.dot_f32(key, h->q + g * d, (size_t)d) * scale;
    }
}

/* piece[g] = sum over j of exp(score - max) * value(j), j ascending */
static void gather(const Heads *h, int64_t begin, int64_t end)
{
    const Attention *op = h->op;
    const int64_t d = op->kv->head_size;
    memset(h->s->piece, 0, (size_t)(op->group * d) * sizeof(float));
    for (int64_t j = begin; j < end; j++) {
        const float *value = get(op->cpu, op->kv, h->t, op->kv->v_row, j, h->kv_head, h->s->kv);
        for (int64_t g = 0; g < op->group; g++)
            op->cpu->kernels.axpy(h->s->piece + g * d, h->s->scores[g * SPLIT + j - begin], value,
                                  (size_t)d);
    }
}

/* Brings two answers under the larger of their maxima and adds them.  exp(-infinity) = 0 makes the
 * first piece come through unchanged. */
static void merge(Heads *h, int64_t g, float max, float sum)
{
    const Kernels *k = &h->op->cpu->kernels;
    const size_t d = (size_t)h->op->kv->head_size;
    const float both = isnan(max) || max > h->max[g] ? max : h->max[g];
    const float old = expf(h->max[g] - both), new = expf(max - both);
    k->scale(h->y + (size_t)g * d, old, d);
    k->axpy(h->y + (size_t)g * d, new, h->s->piece + (size_t)g * d, d);
    h->sum[g] = h->sum[g] * old + sum * new;
    h->max[g] = both;
}

static void attend_heads(Heads *h)
{
    const Attention *op = h->op;
    const Kernels *k = &op->cpu->kernels;
    const int64_t d = op->kv->head_size, last = op->kv->positions[h->t];
    for (int64_t g = 0; g < op->group; g++) {
        h->max[g] = -INFINITY;
        h->sum[g] = 0.0f;
    }
    memset(h->y, 0, (size_t)(op->group * d) * sizeof(float));

    for (int64_t begin = kv_first(op->kv, h->t); begin <= last;) {
        const int64_t cut = (begin / SPLIT + 1) * SPLIT, end = cut <= last ? cut : last + 1;
        float max[GROUP_MAX], sum[GROUP_MAX];
        score(h, begin, end);
        for (int64_t g = 0; g < op->group; g++) {
            max[g] = k->max_f32(h->s->scores + g * SPLIT, (size_t)(end - begin));
            sum[g] = k->exp_sum(h->s->scores + g * SPLIT, max[g], (size_t)(end - begin));
        }
        gather(h, begin, end);
        for (int64_t g = 0; g < op->group; g++) merge(h, g, max[g], sum[g]);
        begin = end;
    }
    for (int64_t g = 0; g < op->group; g++) k->scale(h->y + g * d, 1.0f / h->sum[g], (size_t)d);
}

static void attend_task(void *arg, int64_t task, int worker)
{
    const Attention *op = arg;
    const int64_t t = task / op->n_kv_heads, kv_head = task % op->n_kv_heads;
    const int64_t at = kv_head * op->group * op->kv->head_size;
    Heads heads = {
        .op = op, .s = &op->cpu->scratch[worker], .t = t, .kv_head = kv_head,
        .q = row_f32(op->q, t) + at, .y = row_f32(op->y, t) + at,
    };
    attend_heads(&heads);
}

Status cpu_attend(Device *d, Tensor *y, const Tensor *q, const KvView *kv)
{
    Attention op = { .cpu = (Cpu *)d, .y = y, .q = q, .kv = kv };
    const int64_t n_heads = q->cols / kv->head_size;
    int64_t seen = 0;
    if (q->rows == 0) return OK;
    TRY(host_fits(d, "attend", q->rows, q->cols));
    op.n_kv_heads = kv->pages[0][0].cols / kv->head_size;
    op.group = n_heads / op.n_kv_heads;
    if (op.group > GROUP_MAX || n_heads > op.cpu->host.limits.n_heads)
        return fail(
            &d->error, UNSUPPORTED,
            "attend: %lld query heads on %lld key heads; %lld were reserved, at most %d may share",
            (long long)n_heads, (long long)op.n_kv_heads, (long long)op.cpu->host.limits.n_heads,
            GROUP_MAX);
    for (int64_t t = 0; t < q->rows; t++) seen += kv->positions[t] + 1 - kv_first(kv, t);
    cpu_run(op.cpu, attend_task, &op, q->rows * op.n_kv_heads, seen * 2 * q->cols);
    return OK;
}
