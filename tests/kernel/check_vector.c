/* SPDX-License-Identifier: Apache-2.0
 * tests/kernel/check_vector.c - kernels over whole vectors.  u = 2^-24, one rounding; an ulp is 2u.
 */
#include "check.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const size_t sizes[] = {1,  2,  3,  7,  8,   9,   15,  16,   17,  31,
                               33, 63, 64, 65, 172, 255, 256, 4096, 6144};

static float *copy(Check *check, const float *x, size_t n)
{
    return memcpy(buffer(check, n * sizeof *x), x, n * sizeof *x);
}

/* The sum of squares is a double in both, so the scale differs by an ulp at most; both products may
 * then round the other way: three ulps.  The first product may underflow before it meets the gain.
 */
void check_rms_norm(Check *check, const Kernels *ref, const Kernels *now)
{
    for (int s = 0; s < ARRAY_LEN(sizes); s++)
        for (Fill fill = 0; fill < N_FILLS; fill++) {
            const size_t n = sizes[s];
            const float *x = floats(check, n, fill, 1e18f), *g = floats(check, n, fill, 1e18f);
            float *want = buffer(check, n * sizeof *want), *got = buffer(check, n * sizeof *got);
            ref->rms_norm(want, x, g, n, 1e-5f);
            now->rms_norm(got, x, g, n, 1e-5f);
            for (size_t i = 0; i < n; i++)
                if (!judge(check, (double)want[i], (double)got[i],
                           3 * (double)FLT_EPSILON * fabs((double)want[i]) +
                               0x1p-149 * (1.0 + fabs((double)g[i])),
                           "y", n, fill))
                    break;
            float *self = copy(check, x, n);            /* the answer may replace the question */
            now->rms_norm(self, self, g, n, 1e-5f);
            judge_same(check, got, self, n, "y in place", fill);
            forget_buffers();
        }
}

void check_add(Check *check, const Kernels *ref, const Kernels *now)
{
    for (int s = 0; s < ARRAY_LEN(sizes); s++)
        for (Fill fill = 0; fill < N_FILLS; fill++) {
            const size_t n = sizes[s];
            const float *x = floats(check, n, fill, FLT_MAX);
            float *want = floats(check, n, fill, FLT_MAX), *got = copy(check, want, n);
            ref->add(want, x, n);
            now->add(got, x, n);
            judge_same(check, want, got, n, "y", fill);
            forget_buffers();
        }
}

void check_axpy(Check *check, const Kernels *ref, const Kernels *now)
{
    static const float factors[] = { 0.0f, 1.0f, -0.37f, 1e-30f, 3e38f };
    for (int s = 0; s < ARRAY_LEN(sizes); s++)
        for (int f = 0; f < ARRAY_LEN(factors); f++) {
            const size_t n = sizes[s];
            const float *x = floats(check, n, FILL_NORMAL, 0.0f);
            float *want = floats(check, n, FILL_NORMAL, 0.0f), *got = copy(check, want, n);
            ref->axpy(want, factors[f], x, n);
            now->axpy(got, factors[f], x, n);
            judge_same(check, want, got, n, "y", FILL_NORMAL);
            forget_buffers();
        }
}

void check_scale(Check *check, const Kernels *ref, const Kernels *now)
{
    static const float factors[] = { 0.0f, 1.0f, -0.37f, 1e-40f, 3e38f };
    for (int s = 0; s < ARRAY_LEN(sizes); s++)
        for (int f = 0; f < ARRAY_LEN(factors); f++) {
            const size_t n = sizes[s];
            float *want = floats(check, n, FILL_NORMAL, 0.0f), *got = copy(check, want, n);
            ref->scale(want, factors[f], n);
            now->scale(got, factors[f], n);
            judge_same(check, want, got, n, "y", FILL_NORMAL);
            forget_buffers();
        }
}

typedef struct Silu { SiluMulFn *silu_mul; float *y; const float *gate, *up; size_t n; } Silu;

static void run_silu(void *arg)
{
    const Silu *r = arg;
    r->silu_mul(r->y, r->gate, r->up, r->n);
}

/* exp_8 is good to 2 ulps (x86/avx2.h), and no more of that than e/(1+e) < 1 reaches the quotient;
 * the sum, the quotient and the product round once each, the reference once: (2 + 4/2) ulps.  Twins
 * replace exp(-gate) by exp(88) beyond gate = -88, where the answer is below |gate * up| *
 * exp(-88). */
void check_silu_mul(Check *check, const Kernels *ref, const Kernels *now)
{
    static const float spread[] = { 1.0f, 10.0f, 40.0f, 1000.0f };
    for (int s = 0; s < ARRAY_LEN(sizes); s++)
        for (int k = 0; k < ARRAY_LEN(spread); k++) {
            const size_t n = sizes[s];
            float *gate = floats(check, n, FILL_NORMAL, 0.0f);
            const float *up = floats(check, n, FILL_NORMAL, 0.0f);
            float *want = buffer(check, n * sizeof *want), *got = buffer(check, n * sizeof *got);
            for (size_t i = 0; i < n; i++) gate[i] *= spread[k];
            if (k == 0 && n > 8) gate[n / 2] = NAN;
            ref->silu_mul(want, gate, up, n);
            now->silu_mul(got, gate, up, n);
            for (size_t i = 0; i < n; i++) {
                const double beyond = fabs((double)gate[i] * (double)up[i]) * exp(-88.0);
                const double allowed =
                    4 * (double)FLT_EPSILON * (fabs((double)want[i]) + beyond) + beyond + 0x1p-148;
                if (!judge(check, (double)want[i], (double)got[i], allowed, "y", n, FILL_NORMAL))
                    break;
            }
            if (check->bench && !check->at_front && n == 4096 && k == 0) {
                Silu a = {ref->silu_mul, want, gate, up, n}, b = {now->silu_mul, got, gate, up, n};
                print_speed(check, n, 12.0 * (double)n, best_ns(run_silu, &b),
                            best_ns(run_silu, &a));
            }
            float *alone =
                buffer(check, n * sizeof *alone); /* D1: a number alone and among others */
            for (size_t i = 0; i < n; i++) now->silu_mul(alone + i, gate + i, up + i, 1);
            judge_same(check, got, alone, n, "y alone", FILL_NORMAL);
            forget_buffers();
        }
}

void check_max_f32(Check *check, const Kernels *ref, const Kernels *now)
{
    for (int s = 0; s < ARRAY_LEN(sizes); s++)
        for (Fill fill = 0; fill < N_FILLS; fill++) {
            const size_t n = sizes[s];
            float *x = floats(check, n, fill, FLT_MAX);
            for (size_t i = 0; i < n; i++) x[i] -= 10.0f;       /* all negative: zero is no start */
            judge(check, (double)ref->max_f32(x, n), (double)now->max_f32(x, n), 0.0, "max", n,
                  fill);
            const size_t at = rng_bits(&check->rng) % n;
            x[at] = 5e37f;
            judge(check, (double)ref->max_f32(x, n), (double)now->max_f32(x, n), 0.0, "max", n,
                  fill);
            x[at] = NAN;
            judge(check, NAN, (double)ref->max_f32(x, n), 0.0, "ref's max with a NaN", n, fill);
            judge(check, NAN, (double)now->max_f32(x, n), 0.0, "max with a NaN", n, fill);
            forget_buffers();
        }
}

/* exp_8 is good to 2 ulps, the reference to half of one; a = x - max is rounded before it, which
 * moves exp by |a| * u.  Below -87 twins may answer 0, which is off by less than exp(-87) < 2^-125.
 */
static double exp_bound(double a, double want)
{
    return (2.5 + fabs(a) / 2) * (double)FLT_EPSILON * want + 0x1p-125;
}

void check_exp_sum(Check *check, const Kernels *ref, const Kernels *now)
{
    static const float spread[] = { 1.0f, 30.0f, 300.0f };
    for (int s = 0; s < ARRAY_LEN(sizes); s++)
        for (int k = 0; k < ARRAY_LEN(spread); k++) {
            const size_t n = sizes[s];
            float *want = floats(check, n, FILL_NORMAL, 0.0f);
            for (size_t i = 0; i < n; i++) want[i] *= spread[k];
            const float max = ref->max_f32(want, n);
            const float *x = copy(check, want, n);
            float *got = copy(check, want, n);
            const float want_sum = ref->exp_sum(want, max, n), got_sum = now->exp_sum(got, max, n);
            double allowed = (double)FLT_EPSILON * (double)want_sum;
            for (size_t i = 0; i < n; i++) {
                const double one = exp_bound((double)x[i] - (double)max, (double)want[i]);
                allowed += one;
                if (!judge(check, (double)want[i], (double)got[i], one, "exp", n, FILL_NORMAL))
                    break;
            }
            judge(check, (double)want_sum, (double)got_sum, allowed, "sum", n, FILL_NORMAL);
            forget_buffers();
        }
}

static void check_rope(Check *check, RopeFn *ref, RopeFn *now)
{
    static const size_t pairs[] = { 1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 31, 32, 64 };
    for (int s = 0; s < ARRAY_LEN(pairs); s++) {
        const size_t n = pairs[s];
        float *cosine = buffer(check, n * sizeof *cosine), *sine = buffer(check, n * sizeof *sine);
        float *want = floats(check, 2 * n, FILL_NORMAL, 0.0f), *got = copy(check, want, 2 * n);
        for (size_t i = 0; i < n; i++) {
            const double angle = 6.28 * rng_unit(&check->rng);
            cosine[i] = (float)cos(angle);
            sine[i] = (float)sin(angle);
        }
        ref(want, cosine, sine, n);
        now(got, cosine, sine, n);
        judge_same(check, want, got, 2 * n, "x", FILL_NORMAL);
        forget_buffers();
    }
}

void check_rope_adjacent(Check *check, const Kernels *ref, const Kernels *now)
{
    check_rope(check, ref->rope_adjacent, now->rope_adjacent);
}

void check_rope_halves(Check *check, const Kernels *ref, const Kernels *now)
{
    check_rope(check, ref->rope_halves, now->rope_halves);
}
