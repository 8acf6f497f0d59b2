/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/q6_k_avx2.c - Q6_K to floats, AVX2. */
#include "kernel/x86/avx2.h"

/* Two groups of sixteen: q without its offset, from 0 to 63. */
static inline void put_groups(float *to, const int8_t group[2], __m256i whole, __m256 super_scale)
{
    const __m256i q = _mm256_sub_epi8(whole, _mm256_set1_epi8(32));
    put_scaled_16(to, low_16(q), _mm256_mul_ps(super_scale, _mm256_set1_ps((float)group[0])));
    put_scaled_16(to + 16, high_16(q), _mm256_mul_ps(super_scale, _mm256_set1_ps((float)group[1])));
}

static inline __m256i join(__m256i low, __m256i high)
{
    return _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi8(15)),
                           _mm256_and_si256(high, _mm256_set1_epi8(48)));
}

void decode_q6_k_avx2(float *to, const void *from, size_t n)
{
    const BlockQ6_K *block = from;
    for (size_t b = 0; b < n / SUPER_VALUES; b++, block++, to += SUPER_VALUES) {
        const __m256 super_scale = half_to_8(block->super_scale);
        for (int half = 0; half < 2; half++) {
            const __m256i near = _mm256_loadu_si256((const __m256i *)(block->low + 64 * half));
            const __m256i far = _mm256_loadu_si256((const __m256i *)(block->low + 64 * half + 32));
            const __m256i high = _mm256_loadu_si256((const __m256i *)(block->high + 32 * half));
            const int8_t *group = block->group + 8 * half;
            float *out = to + 128 * half;
            put_groups(out, group, join(near, _mm256_slli_epi16(high, 4)), super_scale);
            put_groups(out + 32, group + 2, join(far, _mm256_slli_epi16(high, 2)), super_scale);
            put_groups(out + 64, group + 4, join(_mm256_srli_epi16(near, 4), high), super_scale);
            put_groups(out + 96, group + 6,
                       join(_mm256_srli_epi16(far, 4), _mm256_srli_epi16(high, 2)), super_scale);
        }
    }
}
