/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/q4_1_avx2.c - Q4_1 to floats, AVX2. */
#include "kernel/x86/avx2.h"

void decode_q4_1_avx2(float *to, const void *from, size_t n)
{
    const BlockQ4_1 *block = from;
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++, to += SMALL_VALUES) {
        const __m256 scale = half_to_8(block->scale), minimum = half_to_8(block->minimum);
        const __m256i q = nibbles_of_16(block->low);
        put_sum_16(to, low_16(q), scale, minimum);
        put_sum_16(to + 16, high_16(q), scale, minimum);
    }
}
