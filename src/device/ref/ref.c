/* SPDX-License-Identifier: Apache-2.0
 * device/ref/ref.c - what every op means: one thread, plain loops, sums in double.
 *
 * The oracle of the other devices.  Numbers between two ops are floats, as in every device; inside
 * an op nothing is rounded but weights, which are floats, and the answer. */
#include "base/checked.h"
#include "device/host.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Ref {
    HostDevice host;
    float     *weights;         /* [n_cols] one row, decoded                               */
    double    *hidden;          /* [n_hidden] of one expert and row                        */
    double    *scores;          /* [n_scores] of one query head                            */
    double    *sums;            /* [n_cols] one head's answer                              */
    double    *low;             /* [n_rank] x * a^T of an adapter                          */
    int64_t    n_scores;
} Ref;

/* ---- memory ---- */

static void ref_release(Ref *ref)
{
    free(ref->weights);
    free(ref->hidden);
    free(ref->scores);
    free(ref->sums);
    free(ref->low);
    ref->weights = NULL;
    ref->hidden = ref->scores = ref->sums = ref->low = NULL;
    ref->n_scores = 0;
    ref->host.limits = (DeviceLimits){ 0 };
}

int64_t ref_work_bytes(const DeviceLimits *limits, int n_threads, int64_t n_positions)
{
    (void)n_threads;                    /* it has one                                      */
    return (2 * limits->n_cols + limits->n_hidden + limits->n_rank + n_positions) * (int64_t)sizeof(double);
}

static Status ref_reserve(Device *d, const DeviceLimits *limits)
{
    Ref *ref = (Ref *)d;
    const int64_t each = sizeof(double);
    ref_release(ref);
    ref->weights = host_memory(limits->n_cols * each);
    ref->hidden = host_memory(limits->n_hidden * each);
    ref->sums = host_memory(limits->n_cols * each);
    ref->low = limits->n_rank ? host_memory(limits->n_rank * each) : NULL;
    const bool low = ref->low || !limits->n_rank;
    if (!ref->weights || !ref->hidden || !ref->sums || !low) {
        ref_release(ref);
        return fail_memory(&d->error, "the work space of device ref");
    }
    ref->host.limits = *limits;
    return OK;
}

static Status ref_reserve_context(Device *d, int64_t n_positions)
{
    Ref *ref = (Ref *)d;
    int64_t n_bytes;
    if (n_positions <= ref->n_scores) return OK;
    double *scores = checked_mul(n_positions, sizeof *scores, &n_bytes) ? host_memory(n_bytes) : NULL;
    if (!scores) return fail_memory(&d->error, "the work space of device ref for so long a context");
    free(ref->scores);
    ref->scores = scores;
    ref->n_scores = n_positions;
    return OK;
}

static void ref_close(Device *d)
{
    ref_release((Ref *)d);
    free(d);
}

/* ---- rows ---- */

/* A row of any format as floats; valid until the next call. */
static const float *floats_of(Ref *ref, const Tensor *t, int64_t row)
{
    format_info[t->format].decode(ref->weights, row_bytes_at(t, row), (size_t)t->cols);
    return ref->weights;
}

static double dot(const float *w, const float *x, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += (double)w[i] * (double)x[i];
    return sum;
}

static Status ref_embed(Device *d, Tensor *y, const Tensor *table, const int32_t *tokens, int n)
{
    for (int t = 0; t < n; t++)
        format_info[table->format].decode(row_f32(y, t), row_bytes_at(table, tokens[t]),
                                          (size_t)table->cols);
    (void)d;
    return OK;
}

static Status ref_norm(Device *d, Tensor *y, const Tensor *x, const Norm *norm)
{
    const float *gain = row_f32(&norm->gain, 0);
    for (int64_t t = 0; t < x->rows; t++) {
        const float *from = row_f32(x, t);
        float *to = row_f32(y, t);
        const double mean = dot(from, from, x->cols) / (double)x->cols;
        const double scale = 1.0 / sqrt(mean + (double)norm->eps);
        for (int64_t i = 0; i < x->cols; i++)
            to[i] = (float)((double)from[i] * scale * (double)gain[i]);
    }
    (void)d;
    return OK;
}

static Status ref_project(Device *d, Tensor *const y[], const Tensor *x, const Tensor *const w[],
                          int n)
{
    TRY(host_fits(d, "project", x->rows, x->cols));
    for (int m = 0; m < n; m++)
        for (int64_t row = 0; row < w[m]->rows; row++) {
            const float *weights = floats_of((Ref *)d, w[m], row);
            for (int64_t t = 0; t < x->rows; t++)
                row_f32(y[m], t)[row] = (float)dot(weights, row_f32(x, t), x->cols);
        }
    return OK;
}

static Status ref_add(Device *d, Tensor *y, const Tensor *x)
{
    for (int64_t t = 0; t < x->rows; t++)
        for (int64_t i = 0; i < x->cols; i++) row_f32(y, t)[i] += row_f32(x, t)[i];
    (void)d;
    return OK;
}

/* Row by row of b: what an adapter adds to number `row`, when ref->low is x * a^T. */
static double low_sum(const Ref *ref, const LowRank *low, int64_t row)
{
    const float *b = row_f32(&low->b, row);
    double sum = 0.0;
    for (int64_t k = 0; k < low->a.rows; k++) sum += ref->low[k] * (double)b[k];
    return sum;
}

static void low_of(Ref *ref, const LowRank *low, const float *x)
{
    for (int64_t k = 0; k < low->a.rows; k++) ref->low[k] = dot(row_f32(&low->a, k), x, low->a.cols);
}

static Status ref_adapt(Device *d, Tensor *y, const Tensor *x, const LowRank *low)
{
    TRY(host_low_fits(d, low, x->cols, y->cols));
    for (int64_t t = 0; t < x->rows; t++) {
        low_of((Ref *)d, low, row_f32(x, t));
        for (int64_t i = 0; i < y->cols; i++)
            row_f32(y, t)[i] = (float)((double)row_f32(y, t)[i] + low_sum((Ref *)d, low, i));
    }
    return OK;
}

static Status ref_pick(Device *d, Tensor *y, const Tensor *x, const int32_t *rows, int n)
{
    for (int i = 0; i < n; i++)
        memcpy(row_f32(y, i), row_f32(x, rows[i]), (size_t)x->cols * sizeof(float));
    (void)d;
    return OK;
}

/* ---- attention ---- */

static void turn(float *a, float *b, double angle)
{
    const double a0 = (double)*a, b0 = (double)*b, c = cos(angle), s = sin(angle);
    *a = (float)(a0 * c - b0 * s);
    *b = (float)(a0 * s + b0 * c);
}

static Status ref_rope(Device *d, Tensor *x, const int32_t *positions, const Rope *rope)
{
    const int n_pairs = rope->n_turned / 2;
    for (int64_t t = 0; t < x->rows; t++)
        for (int64_t head = 0; head < x->cols / rope->head_size; head++) {
            float *q = row_f32(x, t) + head * rope->head_size;
            for (int i = 0; i < n_pairs; i++) {
                const double angle = rope_angle(rope, positions[t], i);
                if (rope->pairs == PAIRS_ADJACENT) turn(&q[2 * i], &q[2 * i + 1], angle);
                else turn(&q[i], &q[i + n_pairs], angle);
            }
        }
    (void)d;
    return OK;
}

static Status ref_kv_write(Device *d, const KvView *kv, const Tensor *k, const Tensor *v)
{
    for (int64_t t = 0; t < k->rows; t++) {
        const int64_t position = kv->positions[t];
        const FormatInfo *info = &format_info[kv->pages[t][position / kv->page_tokens].format];
        if (kv->head_size % info->block_values)
            return fail(&d->error, UNSUPPORTED,
                        "kv_write: cache of %s: expected heads of a multiple of %d numbers, found %d", info->name,
                        info->block_values, kv->head_size);
        info->encode(kv_at(kv, t, kv->k_row, position, 0), row_f32(k, t), (size_t)k->cols);
        info->encode(kv_at(kv, t, kv->v_row, position, 0), row_f32(v, t), (size_t)v->cols);
    }
    return OK;
}

/* What the cache holds for one head and position, as floats; valid until the next call. */
static const float *kv_floats(Ref *ref, const KvView *kv, int64_t t, int64_t first_row, int64_t position,
                              int64_t head)
{
    const Tensor *page = &kv->pages[t][position / kv->page_tokens];
    format_info[page->format].decode(ref->weights, kv_at(kv, t, first_row, position, head),
                                     (size_t)kv->head_size);
    return ref->weights;
}

/* One query head of row t, which reads key head `head`. */
static void attend_head(Ref *ref, float *y, const float *q, const KvView *kv, int64_t t,
                        int64_t head)
{
    const int64_t first = kv_first(kv, t), last = kv->positions[t];
    double *scores = ref->scores, max = -INFINITY, sum = 0.0;
    for (int64_t j = first; j <= last; j++) {
        const float *key = kv_floats(ref, kv, t, kv->k_row, j, head);
        scores[j - first] = dot(q, key, kv->head_size) / sqrt((double)kv->head_size);
        max = fmax(max, scores[j - first]);
    }
    for (int64_t j = first; j <= last; j++) {
        scores[j - first] = exp(scores[j - first] - max);
        sum += scores[j - first];
    }
    memset(ref->sums, 0, (size_t)kv->head_size * sizeof *ref->sums);
    for (int64_t j = first; j <= last; j++) {
        const float *value = kv_floats(ref, kv, t, kv->v_row, j, head);
        for (int i = 0; i < kv->head_size; i++) ref->sums[i] += scores[j - first] * (double)value[i];
    }
    for (int i = 0; i < kv->head_size; i++) y[i] = (float)(ref->sums[i] / sum);
}

static Status ref_attend(Device *d, Tensor *y, const Tensor *q, const KvView *kv)
{
    const int64_t n_heads = q->cols / kv->head_size;
    for (int64_t t = 0; t < q->rows; t++) {
        const int64_t n_kv_heads = kv->pages[t][0].cols / kv->head_size,
                      group = n_heads / n_kv_heads;
        if (kv->positions[t] - kv_first(kv, t) >= ((Ref *)d)->n_scores)
            return fail(&d->error, BAD_ARGUMENT,
                        "attend: position %d lies beyond the reserved context of %lld",
                        (int)kv->positions[t], (long long)((Ref *)d)->n_scores);
        for (int64_t h = 0; h < n_heads; h++)
            attend_head((Ref *)d, row_f32(y, t) + h * kv->head_size,
                        row_f32(q, t) + h * kv->head_size, kv, t, h / group);
    }
    return OK;
}

/* ---- experts ---- */

/* hidden = gate * x + what adapts it; then silu of that, times the same of up. */
static void expert_hidden(Ref *ref, const float *x, const Expert *e, const ExpertLowRank *low)
{
    const bool gates = low && adapts(&low->gate), ups = low && adapts(&low->up);
    if (gates) low_of(ref, &low->gate, x);
    for (int64_t f = 0; f < e->gate.rows; f++) {
        const double gate = dot(floats_of(ref, &e->gate, f), x, e->gate.cols) +
                            (gates ? low_sum(ref, &low->gate, f) : 0.0);
        ref->hidden[f] = gate / (1.0 + exp(-gate));
    }
    if (ups) low_of(ref, &low->up, x);
    for (int64_t f = 0; f < e->up.rows; f++)
        ref->hidden[f] *= dot(floats_of(ref, &e->up, f), x, e->up.cols) + (ups ? low_sum(ref, &low->up, f) : 0.0);
}

static double dot_hidden(const Ref *ref, const float *w, int64_t n)
{
    double sum = 0.0;
    for (int64_t f = 0; f < n; f++) sum += (double)w[f] * ref->hidden[f];
    return sum;
}

static void expert_row(Ref *ref, float *y, const float *x, const Expert *e, const ExpertLowRank *low)
{
    expert_hidden(ref, x, e, low);
    const bool downs = low && adapts(&low->down);
    for (int64_t k = 0; downs && k < low->down.a.rows; k++)
        ref->low[k] = dot_hidden(ref, row_f32(&low->down.a, k), e->down.cols);
    for (int64_t i = 0; i < e->down.rows; i++)
        y[i] = (float)(dot_hidden(ref, floats_of(ref, &e->down, i), e->down.cols) +
                       (downs ? low_sum(ref, &low->down, i) : 0.0));
}

static Status ref_experts(Device *d, Tensor *parts, const Tensor *x, const ExpertJob *jobs,
                          int n_jobs)
{
    Ref *ref = (Ref *)d;
    for (int j = 0; j < n_jobs; j++) {
        const Expert *e = &jobs[j].expert;
        TRY(host_fits(d, "experts", jobs[j].n, e->gate.cols));
        TRY(host_fits(d, "experts", jobs[j].n, e->down.cols));
        if (e->gate.rows > ref->host.limits.n_hidden)
            return fail(&d->error, BAD_ARGUMENT, "experts: width %lld, reserved were %lld",
                        (long long)e->gate.rows, (long long)ref->host.limits.n_hidden);
        TRY(host_expert_low_fits(d, &jobs[j]));
        for (int i = 0; i < jobs[j].n; i++)
            expert_row(ref, row_f32(parts, jobs[j].slots[i]), row_f32(x, jobs[j].rows[i]), e, jobs[j].low);
    }
    return OK;
}

static Status ref_combine(Device *d, Tensor *y, const Tensor *parts, const float *weights,
                          int n_used)
{
    for (int64_t t = 0; t < y->rows; t++)
        for (int64_t i = 0; i < y->cols; i++) {
            double sum = 0.0;
            for (int64_t slot = t * n_used; slot < (t + 1) * n_used; slot++)
                sum += (double)weights[slot] * (double)row_f32(parts, slot)[i];
            row_f32(y, t)[i] = (float)sum;
        }
    (void)d;
    return OK;
}

static const DeviceOps ref_ops = {
    .name = "ref",
    .alloc = host_alloc,
    .free = host_free,
    .host = host_bytes,
    .upload = host_upload,
    .download = host_download,
    .alloc_weight = host_alloc,
    .fill = host_fill,
    .fill_rows = 1,
    .alloc_room = host_alloc_room,
    .clear_room = host_clear_room,
    .move_room = host_move_room,
    .free_room = host_free_room,
    .weight_bytes = host_weight_bytes,
    .place_weight = host_place_weight,
    .reserve = ref_reserve,
    .reserve_context = ref_reserve_context,
    .wait = host_wait,
    .close = ref_close,
    .embed = ref_embed,
    .norm = ref_norm,
    .project = ref_project,
    .add = ref_add,
    .adapt = ref_adapt,
    .rope = ref_rope,
    .kv_write = ref_kv_write,
    .attend = ref_attend,
    .experts = ref_experts,
    .combine = ref_combine,
    .pick = ref_pick,
};

Status ref_open(const DeviceOptions *options, Device **out, Error *error)
{
    (void)options;
    Ref *ref = calloc(1, sizeof *ref);
    if (!ref) return fail_memory(error, "device ref");
    ref->host = (HostDevice){ .device.ops = &ref_ops, .cpu_set = "ref", .n_threads = 1 };
    *out = &ref->host.device;
    return OK;
}
