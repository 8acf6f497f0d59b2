/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/q4_k_avx512.c - Q4_K to floats, AVX-512. */
#include "kernel/x86/avx512.h"

/* A group's sixteen possible values are computed once; its 32 numbers are looked up. */
static inline void put_group(float *to, const uint8_t group[12], int j, __m256i q,
                             float super_scale, float super_minimum)
{
    int small_scale, small_minimum;
    k_group(group, j, &small_scale, &small_minimum);
    const __m512 values = line_of_16(_mm512_set1_ps(super_scale * (float)small_scale),
                                     _mm512_set1_ps(super_minimum * (float)small_minimum));
    _mm512_storeu_ps(to, _mm512_permutexvar_ps(_mm512_cvtepu8_epi32(low_16(q)), values));
    _mm512_storeu_ps(to + 16, _mm512_permutexvar_ps(_mm512_cvtepu8_epi32(high_16(q)), values));
}

void decode_q4_k_avx512(float *to, const void *from, size_t n)
{
    const BlockQ4_K *block = from;
    const __m256i four = _mm256_set1_epi8(15);
    for (size_t b = 0; b < n / SUPER_VALUES; b++, block++, to += SUPER_VALUES) {
        const float super_scale = _cvtsh_ss(block->super_scale),
                    super_minimum = _cvtsh_ss(block->super_minimum);
        for (int j = 0; j < 8; j += 2) {
            const __m256i low = _mm256_loadu_si256((const __m256i *)(block->low + 16 * j));
            put_group(to + 32 * j, block->group, j, _mm256_and_si256(low, four), super_scale,
                      super_minimum);
            put_group(to + 32 * j + 32, block->group, j + 1,
                      _mm256_and_si256(_mm256_srli_epi16(low, 4), four), super_scale,
                      super_minimum);
        }
    }
}
