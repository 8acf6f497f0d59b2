/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/quantize_avx512.c - rows of activations to eight bits, AVX-512: the bytes of
 * quantize_x_ref. */
#include "kernel/x86/panel_avx512.h"
#include "kernel/x86/x86.h"

#include <math.h>

/* Of numbers without their sign, the order of the bits is the order of the values, and NaN comes
 * after infinity. */
static inline uint32_t bits_of_largest(__m512 a, __m512 b)
{
    const __m512i no_sign = _mm512_set1_epi32(INT32_MAX);
    return (uint32_t)_mm512_reduce_max_epi32(
        _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(a), no_sign),
                         _mm512_and_si512(_mm512_castps_si512(b), no_sign)));
}

/* Sixteen numbers to nearest bytes; the sum of them.  Those that are not kept are zero. */
static inline int32_t put_bytes(int8_t *q, __m512 x, __mmask16 keep, float inverse)
{
    const __m512i near = _mm512_cvtps_epi32(_mm512_maskz_mul_ps(keep, x, _mm512_set1_ps(inverse)));
    _mm_storeu_si128((__m128i *)(void *)q, _mm512_cvtepi32_epi8(near));
    return _mm512_reduce_add_epi32(near);
}

void quantize_x_avx512(void *tile, size_t n, size_t i, const float *x, size_t n_values)
{
    for (size_t b = 0; b < n_values / X_BLOCK; b++, x += X_BLOCK) {
        const XBlock to = x_block(tile, n, b);
        int8_t *q = (int8_t *)to.q + i * X_BLOCK;
        const __m512 low = _mm512_loadu_ps(x), high = _mm512_loadu_ps(x + X_BLOCK / 2);
        const uint32_t bits = bits_of_largest(low, high);
        float largest;
        memcpy(&largest, &bits, sizeof largest);
        const bool finite = largest <= 0x1.fffffep127f, tiny = largest < 0x1p-100f;
        const bool any = finite && !tiny;
        const float inverse = any ? 127.0f / largest : 0.0f;
        const float scale = !finite ? NAN : tiny ? 0.0f : largest / 127.0f;
        const __mmask16 keep = any ? 0xffff : 0;
        const int32_t sum_low = put_bytes(q, low, keep, inverse);
        const int32_t sum = sum_low + put_bytes(q + X_BLOCK / 2, high, keep, inverse);
        ((float *)to.scale)[i] = scale;
        ((float *)to.sum)[i] = scale * (float)sum;
        ((int32_t *)to.minus)[i] = -sum;
        ((int32_t *)to.minus_low)[i] = -sum_low;
    }
}
