/* SPDX-License-Identifier: Apache-2.0
 * tests/kernel/check_dot.c - dot products: near the reference, and equal to themselves. */
#include "check.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const size_t sizes[] = { 0,  1,  2,  3,  7,  8,  9,   15,  16,   17,   24,   31,   32,   33,
                                40, 63, 64, 65, 95, 96, 128, 172, 1000, 4096, 6144, 14336 };

/* A sum of n products in any order, k roundings on the longest path to the answer, is off by at
 * most k * u * sum|w x| with u = 2^-24.  The longest path of the narrowest twin (eight lanes, four
 * sums): n/32 products in one lane, four more in the tail, two to join sums, three to join lanes;
 * the reference rounds once.  What underflows is off by less than 2^-149 per product. Source:
 * Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 4.2. */
static double bound(const float *w, const float *x, size_t n)
{
    double magnitude = 0.0;
    for (size_t i = 0; i < n; i++) magnitude += fabs((double)w[i] * (double)x[i]);
    return ((double)(n / 32) + 10.0) * 0x1p-24 * magnitude + (double)(n + 1) * 0x1p-149;
}

typedef struct Run { const Kernels *kernels; const float *w, *const *x; size_t n; float y[4]; } Run;

static void run_dot(void *arg)
{
    Run *r = arg;
    *(volatile float *)&r->y[0] = r->kernels->dot_f32(r->w, r->x[0], r->n);
}

static void run_dot4(void *arg)
{
    Run *r = arg;
    r->kernels->dot4_f32(r->y, r->w, r->x, r->n);
}

/* D1: the same numbers at another address give the same bits. */
static void check_address(Check *check, const Kernels *now, const float *w, const float *x,
                          size_t n)
{
    float *w2 = buffer(check, (n + 16) * sizeof *w2), *x2 = buffer(check, (n + 16) * sizeof *x2);
    const float want = now->dot_f32(w, x, n);
    for (size_t shift = 0; shift < 16; shift++) {
        memcpy(w2 + shift, w, n * sizeof *w);
        memcpy(x2 + 15 - shift, x, n * sizeof *x);
        const float got = now->dot_f32(w2 + shift, x2 + 15 - shift, n);
        judge_same(check, &want, &got, 1, "sum at another address", FILL_NORMAL);
    }
}

/* One NaN anywhere must be seen in the answer. */
static void check_nan(Check *check, const Kernels *now, const float *w, float *x, size_t n)
{
    for (size_t i = 0; i < n; i += 1 + n / 40) {
        const float kept = x[i];
        x[i] = NAN;
        judge(check, NAN, (double)now->dot_f32(w, x, n), 0.0, "sum with a NaN", n, FILL_NORMAL);
        x[i] = kept;
    }
}

void check_dot_f32(Check *check, const Kernels *ref, const Kernels *now)
{
    for (int s = 0; s < ARRAY_LEN(sizes); s++)
        for (Fill fill = 0; fill < N_FILLS; fill++) {
            const size_t n = sizes[s];
            /* 1e17^2 * 14336 stays below the largest float. */
            float *w = floats(check, n, fill, 1e17f), *x = floats(check, n, fill, 1e17f);
            judge(check, (double)ref->dot_f32(w, x, n), (double)now->dot_f32(w, x, n),
                  bound(w, x, n), "sum", n, fill);
            if (fill == FILL_NORMAL) {
                check_address(check, now, w, x, n);
                check_nan(check, now, w, x, n);
            }
            if (check->bench && !check->at_front && n == 4096 && fill == FILL_NORMAL) {
                const float *rows[4] = { x, x, x, x };
                Run a = { ref, w, rows, n, { 0 } }, b = { now, w, rows, n, { 0 } };
                print_speed(check, n, 8.0 * (double)n, best_ns(run_dot, &b), best_ns(run_dot, &a));
            }
            forget_buffers();
        }
}

/* Four rows together give the bits of four rows alone. */
void check_dot4_f32(Check *check, const Kernels *ref, const Kernels *now)
{
    for (int s = 0; s < ARRAY_LEN(sizes); s++)
        for (Fill fill = 0; fill < N_FILLS; fill++) {
            const size_t n = sizes[s];
            const float *w = floats(check, n, fill, 1e17f);
            const float *x[4];
            float want[4], *got = buffer(check, 4 * sizeof *got);
            for (int r = 0; r < 4; r++) x[r] = floats(check, n, fill, 1e17f);
            for (int r = 0; r < 4; r++) want[r] = now->dot_f32(w, x[r], n);
            now->dot4_f32(got, w, x, n);
            judge_same(check, want, got, 4, "row", fill);
            if (check->bench && !check->at_front && n == 4096 && fill == FILL_NORMAL) {
                Run a = { ref, w, x, n, { 0 } }, b = { now, w, x, n, { 0 } };
                print_speed(check, 4 * n, 20.0 * (double)n, best_ns(run_dot4, &b),
                            best_ns(run_dot4, &a));
            }
            forget_buffers();
        }
}
