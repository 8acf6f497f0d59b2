/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/rope_avx2.c - rotary embedding, AVX2: the reference's roundings, so the same bits. */
#include "kernel/x86/avx2.h"

void rope_adjacent_avx2(float *x, const float *cosine, const float *sine, size_t n_pairs)
{
    const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    size_t i = 0;
    for (; i + 4 <= n_pairs; i += 4) {
        const __m256 v = _mm256_loadu_ps(x + 2 * i);
        const __m256 c =
            _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(cosine + i)), twice);
        const __m256 s =
            _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(sine + i)), twice);
        /* Even lanes a*c - b*s, odd lanes b*c + a*s. */
        const __m256 swapped = _mm256_permute_ps(v, 0xb1);
        _mm256_storeu_ps(x + 2 * i,
                         _mm256_addsub_ps(_mm256_mul_ps(v, c), _mm256_mul_ps(swapped, s)));
    }
    for (; i < n_pairs; i++) {
        const float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i]     = a * cosine[i] - b * sine[i];
        x[2 * i + 1] = a * sine[i] + b * cosine[i];
    }
}

void rope_halves_avx2(float *x, const float *cosine, const float *sine, size_t n_pairs)
{
    size_t i = 0;
    for (; i + 8 <= n_pairs; i += 8) {
        const __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + n_pairs + i);
        const __m256 c = _mm256_loadu_ps(cosine + i), s = _mm256_loadu_ps(sine + i);
        _mm256_storeu_ps(x + i, _mm256_sub_ps(_mm256_mul_ps(a, c), _mm256_mul_ps(b, s)));
        _mm256_storeu_ps(x + n_pairs + i, _mm256_add_ps(_mm256_mul_ps(a, s), _mm256_mul_ps(b, c)));
    }
    for (; i < n_pairs; i++) {
        const float a = x[i], b = x[n_pairs + i];
        x[i]           = a * cosine[i] - b * sine[i];
        x[n_pairs + i] = a * sine[i] + b * cosine[i];
    }
}
