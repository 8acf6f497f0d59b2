/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/q5_k_avx2.c - Q5_K to floats, AVX2. */
#include "kernel/x86/avx2.h"

/* The 32 numbers of group j. */
static inline void put_group(float *to, const uint8_t group[12], int j, __m256i q,
                             __m256 super_scale, __m256 super_minimum)
{
    int small_scale, small_minimum;
    k_group(group, j, &small_scale, &small_minimum);
    const __m256 scale = _mm256_mul_ps(super_scale, _mm256_set1_ps((float)small_scale));
    const __m256 minimum = _mm256_mul_ps(super_minimum, _mm256_set1_ps((float)small_minimum));
    put_line_16(to, low_16(q), scale, minimum);
    put_line_16(to + 16, high_16(q), scale, minimum);
}

void decode_q5_k_avx2(float *to, const void *from, size_t n)
{
    const BlockQ5_K *block = from;
    for (size_t b = 0; b < n / SUPER_VALUES; b++, block++, to += SUPER_VALUES) {
        const __m256 super_scale = half_to_8(block->super_scale),
                     super_minimum = half_to_8(block->super_minimum);
        const __m256i four = _mm256_set1_epi8(15), fifth = _mm256_set1_epi8(16);
        __m256i high = _mm256_loadu_si256((const __m256i *)block->high);
        for (int j = 0; j < 8; j += 2) {
            const __m256i low = _mm256_loadu_si256((const __m256i *)(block->low + 16 * j));
            /* Bits 0 and 1 of `high` go to bit 4; the next pair of groups finds its own there. */
            const __m256i even = _mm256_or_si256(
                _mm256_and_si256(low, four), _mm256_and_si256(_mm256_slli_epi16(high, 4), fifth));
            const __m256i odd =
                _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(low, 4), four),
                                _mm256_and_si256(_mm256_slli_epi16(high, 3), fifth));
            high = _mm256_srli_epi16(high, 2);
            put_group(to + 32 * j, block->group, j, even, super_scale, super_minimum);
            put_group(to + 32 * j + 32, block->group, j + 1, odd, super_scale, super_minimum);
        }
    }
}
