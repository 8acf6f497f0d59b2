/* SPDX-License-Identifier: Apache-2.0
 * kernel/arm/quantize_neon.c - rows of activations to eight bits, NEON: the bytes of quantize_x_ref. */
#include "kernel/arm/neon.h"

#include <math.h>

/* Of numbers without their sign, the order of the bits is the order of the values, and NaN comes after infinity. */
static inline float largest_of(const float *x)
{
    uint32x4_t max = vdupq_n_u32(0);
    for (int k = 0; k < X_BLOCK; k += 4)
        max = vmaxq_u32(max, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + k))));
    const uint32_t bits = vmaxvq_u32(max);
    float largest;
    memcpy(&largest, &bits, sizeof largest);
    return largest;
}

/* Sixteen numbers to nearest bytes, ties to even; the sum of them.  What is no number becomes 0. */
static inline int32_t put_bytes(int8_t *q, const float *x, float inverse)
{
    int32x4_t near[4];
    for (int k = 0; k < 4; k++) near[k] = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4 * k), inverse));
    const int16x8_t low = vcombine_s16(vmovn_s32(near[0]), vmovn_s32(near[1])),
                    high = vcombine_s16(vmovn_s32(near[2]), vmovn_s32(near[3]));
    vst1q_s8(q, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
    return vaddvq_s32(vaddq_s32(vaddq_s32(near[0], near[1]), vaddq_s32(near[2], near[3])));
}

void quantize_x_neon(void *tile, size_t n, size_t i, const float *x, size_t n_values)
{
    for (size_t b = 0; b < n_values / X_BLOCK; b++, x += X_BLOCK) {
        const XBlock to = x_block(tile, n, b);
        int8_t *q = (int8_t *)to.q + i * X_BLOCK;
        const float largest = largest_of(x);
        const bool finite = largest <= 0x1.fffffep127f, tiny = largest < 0x1p-100f;
        const float inverse = finite && !tiny ? 127.0f / largest : 0.0f;
        const float scale = !finite ? NAN : tiny ? 0.0f : largest / 127.0f;
        const int32_t sum_low = put_bytes(q, x, inverse);
        const int32_t sum = sum_low + put_bytes(q + X_BLOCK / 2, x + X_BLOCK / 2, inverse);
        ((float *)to.scale)[i] = scale;
        ((float *)to.sum)[i] = scale * (float)sum;
        ((int32_t *)to.minus)[i] = -sum;
        ((int32_t *)to.minus_low)[i] = -sum_low;
    }
}
