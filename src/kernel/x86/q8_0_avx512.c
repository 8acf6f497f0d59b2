/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/q8_0_avx512.c - Q8_0 to floats, AVX-512. */
#include "kernel/x86/avx512.h"

void decode_q8_0_avx512(float *to, const void *from, size_t n)
{
    const BlockQ8_0 *block = from;
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++, to += SMALL_VALUES) {
        const __m512 scale = _mm512_set1_ps(_cvtsh_ss(block->scale));
        for (int i = 0; i < SMALL_VALUES; i += 16) {
            const __m128i q = _mm_loadu_si128((const __m128i *)(block->q + i));
            _mm512_storeu_ps(to + i,
                             _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q)), scale));
        }
    }
}
