/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/q4_0_avx2.c - Q4_0 to floats, AVX2. */
#include "kernel/x86/avx2.h"

void decode_q4_0_avx2(float *to, const void *from, size_t n)
{
    const BlockQ4_0 *block = from;
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++, to += SMALL_VALUES) {
        const __m256 scale = half_to_8(block->scale);
        const __m256i q = _mm256_sub_epi8(nibbles_of_16(block->low), _mm256_set1_epi8(8));
        put_scaled_16(to, low_16(q), scale);
        put_scaled_16(to + 16, high_16(q), scale);
    }
}
