/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/q2_k_avx2.c - Q2_K to floats, AVX2. */
#include "kernel/x86/avx2.h"

/* The sixteen numbers of one group. */
static inline void put_group(float *to, uint8_t group, __m128i q, __m256 super_scale,
                             __m256 super_minimum)
{
    const __m256 scale = _mm256_mul_ps(super_scale, _mm256_set1_ps((float)(group & 15)));
    const __m256 minimum = _mm256_mul_ps(super_minimum, _mm256_set1_ps((float)(group >> 4)));
    put_line_16(to, q, scale, minimum);
}

void decode_q2_k_avx2(float *to, const void *from, size_t n)
{
    const BlockQ2_K *block = from;
    for (size_t b = 0; b < n / SUPER_VALUES; b++, block++, to += SUPER_VALUES) {
        const __m256 super_scale = half_to_8(block->super_scale),
                     super_minimum = half_to_8(block->super_minimum);
        for (int half = 0; half < 2; half++) {
            __m256i low = _mm256_loadu_si256((const __m256i *)(block->low + 32 * half));
            for (int j = 8 * half; j < 8 * half + 8; j += 2, low = _mm256_srli_epi16(low, 2)) {
                const __m256i q = _mm256_and_si256(low, _mm256_set1_epi8(3));
                put_group(to + 16 * j, block->group[j], low_16(q), super_scale, super_minimum);
                put_group(to + 16 * j + 16, block->group[j + 1], high_16(q), super_scale,
                          super_minimum);
            }
        }
    }
}
