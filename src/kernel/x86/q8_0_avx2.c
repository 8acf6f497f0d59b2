/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/q8_0_avx2.c - Q8_0 to floats, AVX2. */
#include "kernel/x86/avx2.h"

void decode_q8_0_avx2(float *to, const void *from, size_t n)
{
    const BlockQ8_0 *block = from;
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++, to += SMALL_VALUES) {
        const __m256 scale = half_to_8(block->scale);
        put_scaled_16(to, _mm_loadu_si128((const __m128i *)block->q), scale);
        put_scaled_16(to + 16, _mm_loadu_si128((const __m128i *)(block->q + 16)), scale);
    }
}
