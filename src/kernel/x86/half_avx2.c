/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/half_avx2.c - floats to halves, AVX2 with F16C. */
#include "kernel/x86/avx2.h"

/* Tails go through the definition: it gives the same bits. */
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
