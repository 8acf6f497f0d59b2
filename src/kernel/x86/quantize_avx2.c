/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/quantize_avx2.c - rows of activations to eight bits, AVX2: the bytes of quantize_x_ref. */
#include "kernel/x86/avx2.h"

#include <math.h>

/* Of numbers without their sign, the order of the bits is the order of the values, and NaN comes after infinity. */
static inline float largest_of(const __m256 x[4])
{
    const __m256i no_sign = _mm256_set1_epi32(INT32_MAX);
    __m256i max = _mm256_and_si256(_mm256_castps_si256(x[0]), no_sign);
    for (int k = 1; k < 4; k++)
        max = _mm256_max_epi32(max, _mm256_and_si256(_mm256_castps_si256(x[k]), no_sign));
    __m128i most = _mm_max_epi32(low_16(max), high_16(max));
    most = _mm_max_epi32(most, _mm_shuffle_epi32(most, 0x4e));
    most = _mm_max_epi32(most, _mm_shuffle_epi32(most, 0xb1));
    return _mm_cvtss_f32(_mm_castsi128_ps(most));
}

static inline int sum_of(__m256i a, __m256i b)
{
    const __m256i both = _mm256_add_epi32(a, b);
    __m128i sum = _mm_add_epi32(low_16(both), high_16(both));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
}

/* Sixteen integers to bytes; packing keeps to halves of registers, so the fours come out as 0 2 1 3. */
static inline void put_bytes(int8_t *q, __m256i a, __m256i b)
{
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
    _mm_storeu_si128((__m128i *)(void *)q, _mm_packs_epi16(low_16(words), high_16(words)));
}

void quantize_x_avx2(void *tile, size_t n, size_t i, const float *x, size_t n_values)
{
    for (size_t b = 0; b < n_values / X_BLOCK; b++, x += X_BLOCK) {
        const XBlock to = x_block(tile, n, b);
        int8_t *q = (int8_t *)to.q + i * X_BLOCK;
        const __m256 of_x[4] = { _mm256_loadu_ps(x), _mm256_loadu_ps(x + 8), _mm256_loadu_ps(x + 16),
                                 _mm256_loadu_ps(x + 24) };
        const float largest = largest_of(of_x);
        const bool finite = largest <= 0x1.fffffep127f, tiny = largest < 0x1p-100f, any = finite && !tiny;
        const float scale = !finite ? NAN : tiny ? 0.0f : largest / 127.0f;
        /* Infinity times 0 is no number, and the conversion makes INT_MIN of it: those blocks are masked. */
        const __m256 inverse = _mm256_set1_ps(any ? 127.0f / largest : 0.0f);
        const __m256i keep = _mm256_set1_epi32(any ? -1 : 0);
        __m256i near[4];
        for (int k = 0; k < 4; k++)
            near[k] = _mm256_and_si256(_mm256_cvtps_epi32(_mm256_mul_ps(of_x[k], inverse)), keep);
        put_bytes(q, near[0], near[1]);
        put_bytes(q + X_BLOCK / 2, near[2], near[3]);
        const int sum_low = sum_of(near[0], near[1]), sum = sum_low + sum_of(near[2], near[3]);
        ((float *)to.scale)[i] = scale;
        ((float *)to.sum)[i] = scale * (float)sum;
        ((int32_t *)to.minus)[i] = -sum;
        ((int32_t *)to.minus_low)[i] = -sum_low;
    }
}
