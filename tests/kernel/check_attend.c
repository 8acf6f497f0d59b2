/* SPDX-License-Identifier: Apache-2.0
 * tests/kernel/check_attend.c - scores and sums of values: the reference's bits from every set, whatever the
 * company of a query, and the reference near the sum in double over numbers that were put where
 * kernel/cache.h says. */
#include "check.h"

#include "number/blocks.h"

#include <math.h>
#include <string.h>

static const double u = 0x1p-24;

typedef enum Side { KEYS, VALUES } Side;

/* One head's stretch of a page, and what it holds. */
typedef struct Stretch {
    Format format;
    size_t d, page, n_bytes;
    char  *bytes;
    float *numbers;             /* [page][d] as they are meant                              */
} Stretch;

static void put_number(const Stretch *s, Side side, size_t j, size_t i, float x)
{
    const size_t at = side == KEYS ? cache_key_at(s->d, j, i) : cache_value_at(s->d, s->page, j, i);
    if (s->format == F32) memcpy(s->bytes + 4 * at, &x, 4);
    else {
        const uint16_t half = f32_to_f16(x);
        memcpy(s->bytes + 2 * at, &half, 2);
    }
}

/* Block g of position j. */
static void put_block(const Stretch *s, Side side, size_t j, size_t g, const BlockQ8_0 *block)
{
    const size_t lane = j % CACHE_LANES, groups = s->d / CACHE_Q8;
    char *group = s->bytes + (side == KEYS ? (j / CACHE_LANES * groups + g) * cache_q8_keys_bytes()
                                           : g * cache_q8_values_bytes(s->page));
    memcpy(group + 2 * (side == KEYS ? lane : j), &block->scale, 2);
    for (size_t i = 0; i < CACHE_Q8; i++)
        group[side == KEYS ? 2 * CACHE_LANES + i * CACHE_LANES + lane
                           : 2 * s->page + j * CACHE_Q8 + i] = (char)block->q[i];
}

static Stretch stretch_of(Check *check, Format format, Side side, size_t d, size_t page, Fill fill)
{
    Stretch s = { .format = format, .d = d, .page = page };
    s.n_bytes = page * (size_t)format_row_bytes(format, (int64_t)d);
    s.bytes = buffer(check, s.n_bytes);
    s.numbers = floats(check, page * d, fill, 60000.0f);
    memset(s.bytes, 0xff, s.n_bytes);
    for (size_t j = 0; j < page; j++) {
        float *row = s.numbers + j * d;
        BlockQ8_0 blocks[8];
        if (format == Q8_0) {
            format_info[Q8_0].encode(blocks, row, d);
            format_info[Q8_0].decode(row, blocks, d);
            for (size_t g = 0; g < d / CACHE_Q8; g++) put_block(&s, side, j, g, &blocks[g]);
        } else {
            for (size_t i = 0; i < d; i++) {
                if (format == F16) row[i] = f16_to_f32(f32_to_f16(row[i]));
                put_number(&s, side, j, i, row[i]);
            }
        }
    }
    return s;
}

typedef struct Shape { size_t d, page, first, n; } Shape;

static const Shape shapes[] = {
    { 128, 64, 0, 64 }, { 128, 64, 16, 33 }, { 32, 16, 0, 16 }, { 64, 64, 48, 1 }, { 96, 128, 32, 96 },
    { 80, 64, 0, 50 },  { 40, 16, 0, 7 },    { 8, 16, 0, 16 },  { 1, 16, 0, 3 },   { 160, 32, 16, 16 },
};
static const size_t n_queries[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 17, 48 };

static size_t whole(size_t n)
{
    return (n + CACHE_LANES - 1) / CACHE_LANES * CACHE_LANES;
}

static CacheRun run_of(const Stretch *s, const Shape *shape)
{
    return (CacheRun){ .head = s->bytes, .next = s->bytes, .head_size = s->d, .page_tokens = s->page,
                       .first = shape->first, .n = shape->n };
}

/* ---- speed ---- */

typedef struct Run {
    ScoreFn     *score;
    GatherFn    *gather;
    float       *to;
    const float *from;
    size_t       n;
    CacheRun     run;
} Run;

static void run(void *arg)
{
    const Run *r = arg;
    if (r->score) r->score(r->to, r->from, r->n, &r->run);
    else r->gather(r->to, r->from, r->n, &r->run);
}

/* A page of 64 positions, d = 128: one row of four queries, then twelve rows of them. */
static void bench(Check *check, Format format, Side side, Run a, Run b)
{
    static const size_t n[] = { 4, 48 };
    for (int i = 0; i < ARRAY_LEN(n); i++) {
        const Shape shape = { 128, 64, 0, 64 };
        const Stretch s = stretch_of(check, format, side, shape.d, shape.page, FILL_NORMAL);
        a.n = b.n = n[i];
        a.run = b.run = run_of(&s, &shape);
        a.from = b.from = floats(check, n[i] * SCORE_ROW, FILL_NORMAL, 0.0f);
        a.to = b.to = floats(check, n[i] * SCORE_ROW, FILL_ZERO, 0.0f);
        const double ns = best_ns(run, &b);
        print_speed(check, n[i], (double)s.n_bytes, ns, best_ns(run, &a));
        printf("  bench %-8s %-14s n=%zu %9.1f GFLOP/s\n", check->set, check->kernel, n[i],
               2.0 * 64.0 * 128.0 * (double)n[i] / ns);
        forget_buffers();
    }
}

/* ---- scores ---- */

/* d roundings in a row; Q8_0 has one more for every 32, on a number that a scale has made larger.  Keys of Q8_0
 * are exact products of a byte and a half. */
static void scores_mean_products(Check *check, const Stretch *s, const Shape *shape, const float *q, size_t n,
                                 const float *got, Fill fill)
{
    for (size_t m = 0; m < n; m++)
        for (size_t j = 0; j < shape->n; j++) {
            double want = 0.0, size = 0.0;
            for (size_t i = 0; i < s->d; i++) {
                const double product = (double)q[i * n + m] * (double)s->numbers[(shape->first + j) * s->d + i];
                want += product;
                size += fabs(product);
            }
            if (!judge(check, want, (double)got[m * SCORE_ROW + j],
                       (double)(s->d + s->d / CACHE_Q8) * u * size + (double)s->d * 0x1p-149, "score", n, fill))
                return;
        }
}

/* D1: query m alone has the scores it has among n. */
static void score_alone(Check *check, ScoreFn *now, const float *q, size_t n, const CacheRun *keys,
                        const float *got)
{
    const size_t d = keys->head_size, m = rng_bits(&check->rng) % n;
    float *one = buffer(check, d * sizeof *one), *alone = buffer(check, whole(keys->n) * sizeof *alone);
    for (size_t i = 0; i < d; i++) one[i] = q[i * n + m];
    now(alone, one, 1, keys);
    judge_same(check, got + m * SCORE_ROW, alone, keys->n, "score alone", FILL_NORMAL);
}

static void check_score(Check *check, Format format, ScoreFn *ref, ScoreFn *now)
{
    for (int k = 0; k < ARRAY_LEN(shapes) * ARRAY_LEN(n_queries); k++)
        for (Fill fill = 0; fill < N_FILLS; fill++) {
            const Shape *shape = &shapes[k / ARRAY_LEN(n_queries)];
            const size_t n = n_queries[k % ARRAY_LEN(n_queries)], room = (n - 1) * SCORE_ROW + whole(shape->n);
            if (shape->d % (size_t)format_info[format].block_values) continue;
            const Stretch s = stretch_of(check, format, KEYS, shape->d, shape->page, fill);
            const CacheRun keys = run_of(&s, shape);
            float *q = floats(check, n * s.d, fill, 1e30f);
            float *want = floats(check, room, FILL_ZERO, 0.0f), *got = floats(check, room, FILL_ZERO, 0.0f);
            ref(want, q, n, &keys);
            now(got, q, n, &keys);
            const bool same = judge_same(check, want, got, room, "score", fill);
            scores_mean_products(check, &s, shape, q, n, got, fill);
            score_alone(check, now, q, n, &keys, got);
            q[rng_bits(&check->rng) % (n * s.d)] = NAN;         /* stays with its query         */
            ref(want, q, n, &keys);
            now(got, q, n, &keys);
            judge_same(check, want, got, room, "score with a NaN", fill);
            forget_buffers();
            if (!same) return;
        }
    if (check->bench && !check->at_front)
        bench(check, format, KEYS, (Run){ .score = ref }, (Run){ .score = now });
}

/* ---- sums of values ---- */

/* One rounding for each position, and in Q8_0 one more for the weight. */
static void sums_mean_products(Check *check, const Stretch *s, const Shape *shape, const float *weights, size_t n,
                               const float *before, const float *got, Fill fill)
{
    for (size_t m = 0; m < n; m++)
        for (size_t i = 0; i < s->d; i++) {
            double want = (double)before[m * s->d + i], size = fabs(want);
            for (size_t j = 0; j < shape->n; j++) {
                const double product = (double)weights[m * SCORE_ROW + j] *
                                       (double)s->numbers[(shape->first + j) * s->d + i];
                want += product;
                size += fabs(product);
            }
            if (!judge(check, want, (double)got[m * s->d + i],
                       (double)(shape->n + 2) * u * size + (double)(128 * shape->n) * 0x1p-149, "sum", n, fill))
                return;
        }
}

static void gather_alone(Check *check, GatherFn *now, const float *weights, size_t n, const CacheRun *values,
                         const float *before, const float *got)
{
    const size_t d = values->head_size, m = rng_bits(&check->rng) % n;
    float *one = buffer(check, whole(values->n) * sizeof *one), *alone = buffer(check, d * sizeof *alone);
    memcpy(one, weights + m * SCORE_ROW, whole(values->n) * sizeof *one);
    memcpy(alone, before + m * d, d * sizeof *alone);
    now(alone, one, 1, values);
    judge_same(check, got + m * d, alone, d, "sum alone", FILL_NORMAL);
}

/* What lies outside of the run must not be seen, not even with weight 0. */
static void forget_outside(const Stretch *s, const Shape *shape)
{
    for (size_t j = 0; j < s->page; j++) {
        if (j >= shape->first && j < shape->first + shape->n) continue;
        if (s->format == Q8_0)
            for (size_t g = 0; g < s->d / CACHE_Q8; g++) put_block(s, VALUES, j, g, &(BlockQ8_0){ 0x7e00, { 1 } });
        else
            for (size_t i = 0; i < s->d; i++) put_number(s, VALUES, j, i, NAN);
    }
}

static void check_gather(Check *check, Format format, GatherFn *ref, GatherFn *now)
{
    for (int k = 0; k < ARRAY_LEN(shapes) * ARRAY_LEN(n_queries); k++)
        for (Fill fill = 0; fill < N_FILLS; fill++) {
            Shape shape = shapes[k / ARRAY_LEN(n_queries)];
            const size_t n = n_queries[k % ARRAY_LEN(n_queries)];
            if (shape.d % (size_t)format_info[format].block_values) continue;
            if (shape.n > 3 && k % 2) {                         /* values begin anywhere        */
                shape.first += 3;
                shape.n -= 3;
            }
            const Stretch s = stretch_of(check, format, VALUES, shape.d, shape.page, fill);
            const CacheRun values = run_of(&s, &shape);
            forget_outside(&s, &shape);
            const size_t room = (n - 1) * SCORE_ROW + whole(shape.n), n_y = n * s.d;
            float *weights = floats(check, room, fill, 1e30f);
            float *before = floats(check, n_y, fill, 1e30f);
            float *want = buffer(check, n_y * sizeof *want), *got = buffer(check, n_y * sizeof *got);
            memcpy(want, before, n_y * sizeof *want);
            memcpy(got, before, n_y * sizeof *got);
            ref(want, weights, n, &values);
            now(got, weights, n, &values);
            const bool same = judge_same(check, want, got, n_y, "sum", fill);
            sums_mean_products(check, &s, &shape, weights, n, before, got, fill);
            gather_alone(check, now, weights, n, &values, before, got);
            forget_buffers();
            if (!same) return;
        }
    if (check->bench && !check->at_front)
        bench(check, format, VALUES, (Run){ .gather = ref }, (Run){ .gather = now });
}

void check_score_f32(Check *check, const Kernels *ref, const Kernels *now)
{
    check_score(check, F32, ref->score_f32, now->score_f32);
}

void check_score_f16(Check *check, const Kernels *ref, const Kernels *now)
{
    check_score(check, F16, ref->score_f16, now->score_f16);
}

void check_score_q8_0(Check *check, const Kernels *ref, const Kernels *now)
{
    check_score(check, Q8_0, ref->score_q8_0, now->score_q8_0);
}

void check_gather_f32(Check *check, const Kernels *ref, const Kernels *now)
{
    check_gather(check, F32, ref->gather_f32, now->gather_f32);
}

void check_gather_f16(Check *check, const Kernels *ref, const Kernels *now)
{
    check_gather(check, F16, ref->gather_f16, now->gather_f16);
}

void check_gather_q8_0(Check *check, const Kernels *ref, const Kernels *now)
{
    check_gather(check, Q8_0, ref->gather_q8_0, now->gather_q8_0);
}
