/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/q3_k_avx2.c - Q3_K to floats, AVX2. */
#include "kernel/x86/avx2.h"

void decode_q3_k_avx2(float *to, const void *from, size_t n)
{
    const BlockQ3_K *block = from;
    for (size_t b = 0; b < n / SUPER_VALUES; b++, block++, to += SUPER_VALUES) {
        const __m256 super_scale = half_to_8(block->super_scale);
        int scale[16];
        q3_k_scales(block->group, scale);
        __m256i high = _mm256_loadu_si256((const __m256i *)block->high);
        for (int half = 0; half < 2; half++) {
            __m256i low = _mm256_loadu_si256((const __m256i *)(block->low + 32 * half));
            for (int j = 8 * half; j < 8 * half + 8; j += 2) {
                const __m256i third =
                    _mm256_and_si256(_mm256_slli_epi16(high, 2), _mm256_set1_epi8(4));
                const __m256i whole =
                    _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi8(3)), third);
                const __m256i q = _mm256_sub_epi8(whole, _mm256_set1_epi8(4));
                put_scaled_16(to + 16 * j, low_16(q),
                              _mm256_mul_ps(super_scale, _mm256_set1_ps((float)scale[j])));
                put_scaled_16(to + 16 * j + 16, high_16(q),
                              _mm256_mul_ps(super_scale, _mm256_set1_ps((float)scale[j + 1])));
                low = _mm256_srli_epi16(low, 2);
                high = _mm256_srli_epi16(high, 1);
            }
        }
    }
}
