/* SPDX-License-Identifier: Apache-2.0
 * kernel/arm/lanes_neon.h - the vectors of kernel/panel_lanes.h, NEON: four rows. */
#ifndef KERNEL_ARM_LANES_NEON_H
#define KERNEL_ARM_LANES_NEON_H

#include <arm_neon.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 4 };

typedef int32x4_t   Ints;
typedef float32x4_t Floats;
typedef struct Dot { int32x4_t sum; } Dot;

static inline Ints ints_at(const uint32_t *words)
{
    return vreinterpretq_s32_u32(vld1q_u32(words));
}

static inline Floats halves_at(const uint16_t *halves)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(halves)));
}

static inline Floats floats_at(const float *x)
{
    return vld1q_f32(x);
}

static inline void put_floats(float *to, Floats x)
{
    vst1q_f32(to, x);
}

static inline Ints each_int(int32_t value)
{
    return vdupq_n_s32(value);
}

static inline Floats each_float(float value)
{
    return vdupq_n_f32(value);
}

static inline Ints and_ints(Ints a, Ints b)
{
    return vandq_s32(a, b);
}

static inline Ints or_ints(Ints a, Ints b)
{
    return vorrq_s32(a, b);
}

static inline Ints add(Ints a, Ints b)
{
    return vaddq_s32(a, b);
}

static inline Ints subtract(Ints a, Ints b)
{
    return vsubq_s32(a, b);
}

static inline Ints multiply(Ints a, Ints b)
{
    return vmulq_s32(a, b);
}

/* Operators in place of intrinsics, which want a literal for `bits`; once inlined it is one. */
static inline Ints shift_left(Ints a, int bits)
{
    return vreinterpretq_s32_u32(vreinterpretq_u32_s32(a) << bits);
}

static inline Ints shift_right(Ints a, int bits)
{
    return vreinterpretq_s32_u32(vreinterpretq_u32_s32(a) >> bits);
}

static inline Ints shift_right_signed(Ints a, int bits)
{
    return a >> bits;
}

static inline Floats to_floats(Ints a)
{
    return vcvtq_f32_s32(a);
}

static inline Floats multiply_floats(Floats a, Floats b)
{
    return vmulq_f32(a, b);
}

/* sum + a * b and sum - a * b, rounded once. */
static inline Floats multiply_add(Floats a, Floats b, Floats sum)
{
    return vfmaq_f32(sum, a, b);
}

static inline Floats multiply_subtract(Floats a, Floats b, Floats sum)
{
    return vfmsq_f32(sum, a, b);
}

static inline Dot dot_from(Ints sum)
{
    return (Dot){ sum };
}

static inline Ints dot_sum(Dot dot)
{
    return dot.sum;
}

/* Four bytes of every row times the same four of x.  The instruction adds them in 32 bits and takes both with a sign,
 * which numbers up to 63 without one do not mind. */
static inline void add_four(Dot *dot, Ints w, const int8_t *x, bool with_sign, bool first, bool last)
{
    (void)with_sign, (void)first, (void)last;
    int32_t four;
    memcpy(&four, x, sizeof four);
    dot->sum = vdotq_s32(dot->sum, vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(vdupq_n_s32(four)));
}

#endif
