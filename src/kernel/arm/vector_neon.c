/* SPDX-License-Identifier: Apache-2.0
 * kernel/arm/vector_neon.c - kernels over whole vectors, NEON.  The last few numbers are copied to a full
 * vector, so that every number goes through the same instructions wherever it lies. */
#include "kernel/arm/neon.h"

#include <math.h>

/* ---- doubles: squares are exact in them, and a sum is as good as it was in the reference ---- */

/* Number i in lane i % 8. */
typedef struct Doubles { float64x2_t lane[4]; } Doubles;

static inline Doubles widen(Eight v)
{
    return (Doubles){ { vcvt_f64_f32(vget_low_f32(v.low)), vcvt_high_f64_f32(v.low),
                        vcvt_f64_f32(vget_low_f32(v.high)), vcvt_high_f64_f32(v.high) } };
}

static inline Doubles no_doubles(void)
{
    const float64x2_t zero = vdupq_n_f64(0.0);
    return (Doubles){ { zero, zero, zero, zero } };
}

static inline double sum_doubles(Doubles v)
{
    return vaddvq_f64(vaddq_f64(vaddq_f64(v.lane[0], v.lane[1]), vaddq_f64(v.lane[2], v.lane[3])));
}

static double sum_of_squares(const float *x, size_t n)
{
    Doubles sum = no_doubles();
    for (size_t i = 0; i < n; i += EIGHT) {
        const Doubles v = widen(load_of(x, i, n));
        UNROLL for (int k = 0; k < 4; k++) sum.lane[k] = vfmaq_f64(sum.lane[k], v.lane[k], v.lane[k]);
    }
    return sum_doubles(sum);
}

/* ---- the kernels ---- */

void rms_norm_neon(float *y, const float *x, const float *g, size_t n, float eps)
{
    const double mean = sum_of_squares(x, n) / (double)n;
    const Eight scale = each_of_8((float)(1.0 / sqrt(mean + (double)eps)));
    for (size_t i = 0; i < n; i += EIGHT)
        store_of(y, i, n, product_8(product_8(load_of(x, i, n), scale), load_of(g, i, n)));
}

void add_neon(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += EIGHT) store_of(y, i, n, sum_8(load_of(y, i, n), load_of(x, i, n)));
}

void axpy_neon(float *y, float a, const float *x, size_t n)
{
    const Eight factor = each_of_8(a);
    for (size_t i = 0; i < n; i += EIGHT)
        store_of(y, i, n, add_product(load_of(y, i, n), factor, load_of(x, i, n)));
}

void scale_neon(float *y, float a, size_t n)
{
    const Eight factor = each_of_8(a);
    for (size_t i = 0; i < n; i += EIGHT) store_of(y, i, n, product_8(load_of(y, i, n), factor));
}

/* exp(x) for x <= 88, lane by lane; 0 below -87.  The series and its error are those of exp_8 in x86/avx2.h;
 * minimum and maximum hand a NaN on, the conversion to an integer makes 0 of it, so NaN stays NaN. */
static inline float32x4_t exp_4(float32x4_t x)
{
    static const float term[] = { 1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f };
    const float32x4_t inside = vminq_f32(vdupq_n_f32(88.0f), vmaxq_f32(vdupq_n_f32(-87.0f), x));
    const float32x4_t n = vrndnq_f32(vmulq_n_f32(inside, 0x1.715476p0f));
    float32x4_t r = vfmsq_f32(inside, n, vdupq_n_f32(0x1.62e4p-1f));            /* exact: 15 + 8 bits */
    r = vfmsq_f32(r, n, vdupq_n_f32(0x1.7f7d1cp-20f));
    float32x4_t series = vdupq_n_f32(term[0]);
    UNROLL for (int k = 1; k < 8; k++) series = vfmaq_f32(vdupq_n_f32(term[k]), series, r);
    /* Times 2^n: add n to the exponent. */
    const int32x4_t bits = vaddq_s32(vreinterpretq_s32_f32(series), vshlq_n_s32(vcvtnq_s32_f32(n), 23));
    const uint32x4_t tiny = vcltq_f32(x, vdupq_n_f32(-87.0f));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_s32(bits), tiny));
}

static inline Eight exp_8(Eight x)
{
    return (Eight){ exp_4(x.low), exp_4(x.high) };
}

static inline float32x4_t silu(float32x4_t gate)
{
    return vdivq_f32(gate, vaddq_f32(vdupq_n_f32(1.0f), exp_4(vnegq_f32(gate))));
}

void silu_mul_neon(float *y, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i += EIGHT) {
        const Eight g = load_of(gate, i, n);
        store_of(y, i, n, product_8((Eight){ silu(g.low), silu(g.high) }, load_of(up, i, n)));
    }
}

/* The maximum of a number and NaN is NaN here. */
float max_f32_neon(const float *x, size_t n)
{
    float32x4_t max = vdupq_n_f32(x[0]);
    size_t i = 0;
    for (; i + 4 <= n; i += 4) max = vmaxq_f32(max, vld1q_f32(x + i));
    float best = vmaxvq_f32(max);
    for (; i < n; i++)
        if (x[i] > best || isnan(x[i])) best = x[i];
    return best;
}

/* ORDER exp_sum: number i goes to lane i % 8, in double; then sum_doubles. */
float exp_sum_neon(float *x, float max, size_t n)
{
    const Eight shift = each_of_8(-max);
    Doubles sum = no_doubles();
    for (size_t i = 0; i < n; i += EIGHT) {
        store_of(x, i, n, exp_8(sum_8(load_of(x, i, n), shift)));
        const Doubles e = widen(load_of(x, i, n));      /* what lies past the end counts as 0 */
        UNROLL for (int k = 0; k < 4; k++) sum.lane[k] = vaddq_f64(sum.lane[k], e.lane[k]);
    }
    return (float)sum_doubles(sum);
}
