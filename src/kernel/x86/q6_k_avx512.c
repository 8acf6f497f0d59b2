/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/q6_k_avx512.c - Q6_K to floats, AVX-512. */
#include "kernel/x86/avx512.h"

static inline void put_group(float *to, float scale, __m128i q)
{
    const __m512 values = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q));
    _mm512_storeu_ps(to, _mm512_mul_ps(_mm512_set1_ps(scale), values));
}

/* Two groups of sixteen: four low bits, and two high bits already in their place. */
static inline void put_groups(float *to, const int8_t group[2], __m256i low, __m256i high,
                              float super_scale)
{
    const __m256i whole = _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi8(15)),
                                          _mm256_and_si256(high, _mm256_set1_epi8(48)));
    const __m256i q = _mm256_sub_epi8(whole, _mm256_set1_epi8(32));
    put_group(to, super_scale * (float)group[0], low_16(q));
    put_group(to + 16, super_scale * (float)group[1], high_16(q));
}

void decode_q6_k_avx512(float *to, const void *from, size_t n)
{
    const BlockQ6_K *block = from;
    for (size_t b = 0; b < n / SUPER_VALUES; b++, block++) {
        const float super_scale = _cvtsh_ss(block->super_scale);
        for (int half = 0; half < 2; half++, to += 128) {
            const __m256i near = _mm256_loadu_si256((const __m256i *)(block->low + 64 * half));
            const __m256i far = _mm256_loadu_si256((const __m256i *)(block->low + 64 * half + 32));
            const __m256i high = _mm256_loadu_si256((const __m256i *)(block->high + 32 * half));
            const int8_t *group = block->group + 8 * half;
            put_groups(to, group, near, _mm256_slli_epi16(high, 4), super_scale);
            put_groups(to + 32, group + 2, far, _mm256_slli_epi16(high, 2), super_scale);
            put_groups(to + 64, group + 4, _mm256_srli_epi16(near, 4), high, super_scale);
            put_groups(to + 96, group + 6, _mm256_srli_epi16(far, 4), _mm256_srli_epi16(high, 2),
                       super_scale);
        }
    }
}
