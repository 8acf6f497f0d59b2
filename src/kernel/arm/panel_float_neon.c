/* SPDX-License-Identifier: Apache-2.0
 * kernel/arm/panel_float_neon.c - panels of weights without blocks, NEON: see kernel/panel_float_lanes.h. */
#include "kernel/arm/neon.h"

enum { LANES = EIGHT };
typedef Eight V;

static inline V v_zero(void)
{
    return each_of_8(0.0f);
}

static inline V v_some(const float *x, size_t n)
{
    return n == LANES ? load_8(x) : load_some(x, n);
}

static inline V v_fma(V a, V b, V sum)
{
    return add_product(sum, a, b);
}

static inline float v_sum(V v)
{
    return sum_lanes(v);
}

static inline V eight_weights(Format format, const char *w)
{
    if (format == F32) return load_8((const float *)(const void *)w);
    const uint16x8_t halves = vld1q_u16((const uint16_t *)(const void *)w);
    const uint16x4_t low = vget_low_u16(halves), high = vget_high_u16(halves);
    if (format == F16)
        return (V){ vcvt_f32_f16(vreinterpret_f16_u16(low)), vcvt_f32_f16(vreinterpret_f16_u16(high)) };
    return (V){ vreinterpretq_f32_u32(vshll_n_u16(low, 16)), vreinterpretq_f32_u32(vshll_n_u16(high, 16)) };
}

static inline V v_weights(Format format, const char *w, size_t n)
{
    _Alignas(16) char some[LANES * sizeof(float)] = { 0 };
    if (n == LANES) return eight_weights(format, w);
    memcpy(some, w, n * (format == F32 ? sizeof(float) : sizeof(uint16_t)));
    return eight_weights(format, some);
}

#include "kernel/panel_float_lanes.h"

PANELS(neon)
