/* SPDX-License-Identifier: Apache-2.0
 * kernel/arm/neon.h - steps that several NEON kernels share.  For *_neon.c only.
 *
 * Floats are taken eight at a time, in two registers, so that sums have the shape of those in x86/. */
#ifndef KERNEL_ARM_NEON_H
#define KERNEL_ARM_NEON_H

#include "kernel/arm/arm.h"

#include <arm_neon.h>
#include <string.h>

#define UNROLL _Pragma("GCC unroll 8")

enum { EIGHT = 8 };

typedef struct Eight { float32x4_t low, high; } Eight;

static inline Eight each_of_8(float value)
{
    return (Eight){ vdupq_n_f32(value), vdupq_n_f32(value) };
}

static inline Eight load_8(const float *x)
{
    return (Eight){ vld1q_f32(x), vld1q_f32(x + 4) };
}

/* The first n < 8 of them and zeros. */
static inline Eight load_some(const float *x, size_t n)
{
    float some[EIGHT] = { 0 };
    memcpy(some, x, n * sizeof *x);
    return load_8(some);
}

/* Numbers i to i + 7 of n, or what there is of them. */
static inline Eight load_of(const float *x, size_t i, size_t n)
{
    return i + EIGHT <= n ? load_8(x + i) : load_some(x + i, n - i);
}

static inline void store_of(float *y, size_t i, size_t n, Eight v)
{
    float some[EIGHT];
    float *to = i + EIGHT <= n ? y + i : some;
    vst1q_f32(to, v.low);
    vst1q_f32(to + 4, v.high);
    if (to == some) memcpy(y + i, some, (n - i) * sizeof *y);
}

/* sum + a * b, rounded once. */
static inline Eight add_product(Eight sum, Eight a, Eight b)
{
    return (Eight){ vfmaq_f32(sum.low, a.low, b.low), vfmaq_f32(sum.high, a.high, b.high) };
}

static inline Eight product_8(Eight a, Eight b)
{
    return (Eight){ vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high) };
}

static inline Eight sum_8(Eight a, Eight b)
{
    return (Eight){ vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high) };
}

/* The lanes added up: halves, then halves of halves, as x86/avx2.h does. */
static inline float sum_lanes(Eight v)
{
    const float32x4_t four = vaddq_f32(v.low, v.high);
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

#endif
