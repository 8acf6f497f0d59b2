/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/half_avx2.c - two-byte floats to floats and back, AVX2 with F16C. */
#include "kernel/x86/avx2.h"

/* Tails go through the definition: it gives the same bits. */
void decode_f16_avx2(float *to, const void *from, size_t n)
{
    const uint16_t *x = from;
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(x + i))));
    for (; i < n; i++) to[i] = f16_to_f32(x[i]);
}

void decode_bf16_avx2(float *to, const void *from, size_t n)
{
    const uint16_t *x = from;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(x + i)));
        _mm256_storeu_ps(to + i, _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16)));
    }
    for (; i < n; i++) to[i] = bf16_to_f32(x[i]);
}

void encode_f16_avx2(void *to, const float *from, size_t n)
{
    uint16_t *y = to;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m128i halves =
            _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
        _mm_storeu_si128((__m128i *)(y + i), halves);
    }
    for (; i < n; i++) y[i] = f32_to_f16(from[i]);
}
