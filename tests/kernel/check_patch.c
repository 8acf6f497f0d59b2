/* SPDX-License-Identifier: Apache-2.0
 * tests/kernel/check_patch.c - the products of training: patches, strips, and SwiGLU backwards.  u = 2^-24. */
#include "check.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- patches ---- */

typedef struct Shape { size_t m, n, n_words; } Shape;

static const Shape shapes[] = { { 1, 1, 1 },   { 1, 32, 3 },  { 2, 7, 5 },    { 3, 8, 16 },  { 5, 9, 31 },
                                { 6, 15, 2 },  { 7, 16, 33 }, { 8, 17, 64 },  { 9, 24, 7 },  { 12, 31, 1 },
                                { 13, 32, 0 }, { 15, 25, 9 }, { 32, 32, 128 }, { 64, 32, 100 } };

typedef enum Way { ROWS, ODD_ROWS, FROM_STRIP, N_WAYS } Way;

/* Words of floats, or of pairs that are never subnormal, where one set may count zero. */
static void *words(Check *check, size_t n, bool pairs, Fill fill)
{
    if (!pairs) return floats(check, n, fill, 1e15f);
    uint16_t *to = buffer(check, 4 * n);
    for (size_t i = 0; i < 2 * n; i++) {
        const bool rare = rng_bits(&check->rng) % 16 == 0;
        const float x = random_normal(check);
        to[i] = f32_to_bf16(fill == FILL_ZERO                ? 0.0f
                            : fill == FILL_LARGEST           ? copysignf(1e15f, x)
                            : fill == FILL_SPARSE && !rare   ? 0.0f
                            : fabsf(x) < 1e-3f               ? 1.0f
                                                             : x);
    }
    return to;
}

static double magnitude(const void *a, size_t at, const void *b, size_t there, bool pairs)
{
    if (!pairs) return fabs((double)((const float *)a)[at] * (double)((const float *)b)[there]);
    const uint16_t *x = (const uint16_t *)a + 2 * at, *y = (const uint16_t *)b + 2 * there;
    return fabs((double)bf16_to_f32(x[0]) * (double)bf16_to_f32(y[0])) +
           fabs((double)bf16_to_f32(x[1]) * (double)bf16_to_f32(y[1]));
}

/* A chain of n additions is off by at most n u (1 + n u) times the sum of magnitudes, the reference by one rounding;
 * an instruction that takes subnormal sums for zero loses less than 2^-126 each time. */
static double bound(const Patch *p, size_t i, size_t j, float before, bool pairs)
{
    const double n = (double)p->n_words * (pairs ? 2 : 1) + 2;
    double sum = fabs((double)before);
    for (size_t w = 0; w < p->n_words; w++)
        sum += magnitude(p->a, i * p->a_row + w * p->a_word, p->b, w * STRIP + j, pairs);
    return n * 0x1p-24 * (1 + n * 0x1p-24) * sum + n * 0x1p-126;
}

typedef struct Run { PatchFn *patch; Patch p; } Run;

static void run_patch(void *arg)
{
    const Run *r = arg;
    r->patch(&r->p);
}

/* D1: rows alone, columns alone, and a chain cut into two, give the same bits. */
static void judge_parts(Check *check, PatchFn *now, const Patch *whole, const float *before)
{
    const size_t n_c = (whole->m - 1) * whole->c_row + whole->n;
    Patch p = *whole;
    p.c = memcpy(buffer(check, n_c * sizeof *p.c), before, n_c * sizeof *p.c);
    for (size_t i = 0; i < whole->m; i++)
        for (int half = 0; half < 2; half++) {
            const size_t cut = whole->n_words / 2, begin = half ? cut : 0;
            Patch one = p;
            one.m = 1;
            one.c += i * p.c_row;
            one.a = (const float *)p.a + i * p.a_row + begin * p.a_word;
            one.b = (const float *)p.b + begin * STRIP;
            one.n_words = half ? whole->n_words - cut : cut;
            one.adds = whole->adds || half;
            now(&one);
        }
    judge_same(check, whole->c, p.c, n_c, "c by rows and halves", FILL_NORMAL);
}

static void check_patch(Check *check, PatchFn *ref, PatchFn *now, bool pairs)
{
    for (int s = 0; s < ARRAY_LEN(shapes); s++)
        for (int k = 0; k < N_FILLS * N_WAYS * 2; k++) {
            const Shape *z = &shapes[s];
            const Fill fill = (Fill)(k / (2 * N_WAYS));
            const Way way = (Way)(k / 2 % N_WAYS);
            if (way == FROM_STRIP && z->m > STRIP) continue;
            const size_t row = way == FROM_STRIP ? 1 : z->n_words + (way == ODD_ROWS ? 3 : 0),
                         word = way == FROM_STRIP ? STRIP : 1, c_row = z->n + (way == ODD_ROWS ? 5 : 0);
            const size_t n_a = z->n_words ? (z->m - 1) * row + (z->n_words - 1) * word + 1 : 0,
                         n_c = (z->m - 1) * c_row + z->n;
            Patch p = { .a = words(check, n_a, pairs, fill), .b = words(check, z->n_words * STRIP, pairs, fill),
                        .c_row = c_row, .a_row = row, .a_word = word, .m = z->m, .n = z->n, .n_words = z->n_words,
                        .adds = k % 2 };
            const float *before = floats(check, n_c, FILL_NORMAL, 0.0f);
            float *want = memcpy(buffer(check, n_c * sizeof *want), before, n_c * sizeof *want),
                  *got = memcpy(buffer(check, n_c * sizeof *got), before, n_c * sizeof *got);
            p.c = want;
            ref(&p);
            p.c = got;
            now(&p);
            for (size_t i = 0; i < p.m; i++) {
                for (size_t j = 0; j < c_row && i * c_row + j < n_c; j++) {
                    const size_t at = i * c_row + j;
                    const double allowed = j < p.n ? bound(&p, i, j, p.adds ? before[at] : 0.0f, pairs) : 0.0;
                    if (!judge(check, (double)want[at], (double)got[at], allowed, "c", p.m, fill)) break;
                }
            }
            if (now != ref) judge_parts(check, now, &p, before);
            if (check->bench && !check->at_front && z->m == 64 && k == 1) {
                Run a = { ref, p }, b = { now, p };
                const size_t n = p.m * p.n * p.n_words * (pairs ? 2 : 1);
                print_speed(check, 2 * n, 4.0 * (double)(p.n_words * (p.m + p.n)), best_ns(run_patch, &b),
                            best_ns(run_patch, &a));
            }
            forget_buffers();
        }
}

void check_patch_f32(Check *check, const Kernels *ref, const Kernels *now)
{
    check_patch(check, ref->patch_f32, now->patch_f32, false);
}

void check_patch_bf16(Check *check, const Kernels *ref, const Kernels *now)
{
    check_patch(check, ref->patch_bf16, now->patch_bf16, true);
}

/* ---- strips: moved or rounded to BF16, so every bit is right ---- */

static float *rows_with_a_nan(Check *check, size_t n)
{
    float *x = floats(check, n, FILL_NORMAL, 0.0f);
    if (n > 5) x[n / 2] = NAN, x[n / 3] = INFINITY, x[n / 5] = 1e-39f, x[1] = FLT_MAX;
    return x;
}

/* The same bits; of BF16 a subnormal number may have become zero. */
static void judge_words(Check *check, const void *want, const void *got, size_t n_bytes, const char *what, bool halves)
{
    const uint16_t *a = want, *b = got;
    for (size_t i = 0; halves && i < n_bytes / 2; i++) {
        if ((b[i] & 0x7fff) == 0 && (a[i] & 0x7f80) == 0) continue;
        judge_bytes(check, &a[i], &b[i], sizeof *a, what);
    }
    if (!halves) judge_bytes(check, want, got, n_bytes, what);
}

/* Room behind what is written is left as it was. */
static void *marked(Check *check, size_t n_bytes)
{
    return memset(buffer(check, n_bytes), 0xa5, n_bytes);
}

static void check_strip_rows(Check *check, StripRowsFn *ref, StripRowsFn *now, size_t per_word)
{
    static const size_t sizes[] = { 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 100, 256 };
    for (int s = 0; s < ARRAY_LEN(sizes); s++)
        for (size_t n_rows = 1; n_rows <= STRIP; n_rows += 1 + n_rows / 2) {
            const size_t n = sizes[s], row = n + (size_t)(s % 3), n_bytes = (n + per_word - 1) / per_word * STRIP * 4;
            const float *from = rows_with_a_nan(check, (n_rows - 1) * row + n);
            void *want = marked(check, n_bytes), *got = marked(check, n_bytes);
            ref(want, from, row, n_rows, n);
            now(got, from, row, n_rows, n);
            judge_words(check, want, got, n_bytes, "strip", per_word == 2);
            forget_buffers();
        }
}

static void check_strip_cols(Check *check, StripColsFn *ref, StripColsFn *now, size_t per_word)
{
    static const size_t cols[] = { 1, 7, 8, 9, 31, 32, 33, 64, 96, 100 }, rows[] = { 1, 2, 5, 32 };
    for (int c = 0; c < ARRAY_LEN(cols); c++)
        for (int r = 0; r < ARRAY_LEN(rows); r++) {
            const size_t n = cols[c], n_rows = rows[r], row = n + (size_t)(c % 3),
                         n_words = (n_rows + per_word - 1) / per_word, strip_words = n_words + (size_t)(r % 2) * 3,
                         n_bytes = ((n - 1) / STRIP * strip_words + n_words) * STRIP * 4;
            const float *from = rows_with_a_nan(check, (n_rows - 1) * row + n);
            void *want = marked(check, n_bytes), *got = marked(check, n_bytes);
            ref(want, strip_words, from, row, n_rows, n);
            now(got, strip_words, from, row, n_rows, n);
            judge_words(check, want, got, n_bytes, "strips", per_word == 2);
            forget_buffers();
        }
}

void check_strip_rows_f32(Check *check, const Kernels *ref, const Kernels *now)
{
    check_strip_rows(check, ref->strip_rows_f32, now->strip_rows_f32, 1);
}

void check_strip_rows_bf16(Check *check, const Kernels *ref, const Kernels *now)
{
    check_strip_rows(check, ref->strip_rows_bf16, now->strip_rows_bf16, 2);
}

void check_strip_cols_f32(Check *check, const Kernels *ref, const Kernels *now)
{
    check_strip_cols(check, ref->strip_cols_f32, now->strip_cols_f32, 1);
}

void check_strip_cols_bf16(Check *check, const Kernels *ref, const Kernels *now)
{
    check_strip_cols(check, ref->strip_cols_bf16, now->strip_cols_bf16, 2);
}

void check_encode_bf16(Check *check, const Kernels *ref, const Kernels *now)
{
    for (size_t n = 1; n < 300; n += 1 + n / 7) {
        const float *x = rows_with_a_nan(check, n);
        uint16_t *want = buffer(check, 2 * n), *got = buffer(check, 2 * n);
        ref->encode_bf16(want, x, n);
        now->encode_bf16(got, x, n);
        judge_words(check, want, got, 2 * n, "halves", true);
        forget_buffers();
    }
}

/* ---- SwiGLU ----
 *
 * s is off by (2 + 2/2) ulps of 2u at most (exp, sum, quotient), and where exp stops, at 88, by exp(-88) more; so is
 * 1 - s, absolutely, by 3 ulps, and the slope 1 + g (1 - s) by (3 |g| + 2) ulps.  Three more products: in all less
 * than (8 + 3 |g|) ulps of |d u s| (1 + |g|). */
void check_silu_back(Check *check, const Kernels *ref, const Kernels *now)
{
    static const size_t sizes[] = { 1, 3, 7, 8, 9, 16, 31, 256, 1000 };
    for (int z = 0; z < ARRAY_LEN(sizes); z++)
        for (int k = 0; k < 3; k++) {
            const size_t n = sizes[z];
            float *g = floats(check, n, FILL_NORMAL, 0.0f);
            const float *u = floats(check, n, FILL_NORMAL, 0.0f), *d = floats(check, n, FILL_NORMAL, 0.0f);
            for (size_t i = 0; i < n; i++) g[i] *= k == 0 ? 1.0f : k == 1 ? 10.0f : 100.0f;
            float *want[2], *got[2];
            const float *in[2] = { g, u };
            for (int v = 0; v < 2; v++) {
                want[v] = memcpy(buffer(check, 4 * n), in[v], 4 * n);
                got[v] = memcpy(buffer(check, 4 * n), in[v], 4 * n);
            }
            ref->silu_back(want[0], want[1], d, n);
            now->silu_back(got[0], got[1], d, n);
            for (size_t i = 0; i < n; i++) {
                const double x = fabs((double)g[i]), s = 1.0 / (1.0 + exp(-(double)g[i])) + exp(-88.0);
                const double ulps = (8 + 3 * x) * 0x1p-23 * s + exp(-88.0);
                const double size = fabs((double)d[i]) * (1 + x);
                if (!judge(check, (double)want[0][i], (double)got[0][i], ulps * size * fabs((double)u[i]) + 0x1p-140,
                           "dgate", n, FILL_NORMAL) ||
                    !judge(check, (double)want[1][i], (double)got[1][i], ulps * size + 0x1p-140, "dup", n, FILL_NORMAL))
                    break;
            }
            forget_buffers();
        }
}
