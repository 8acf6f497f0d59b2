/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/avx2.h - steps that several AVX2 kernels share.  For *_avx2.c only. */
#ifndef KERNEL_X86_AVX2_H
#define KERNEL_X86_AVX2_H

#include "kernel/x86/x86.h"
#include "number/blocks.h"

#include <immintrin.h>
#include <string.h>

/* Lower and upper half of 32 bytes. */
static inline __m128i low_16(__m256i bytes)
{
    return _mm256_castsi256_si128(bytes);
}

static inline __m128i high_16(__m256i bytes)
{
    return _mm256_extracti128_si256(bytes, 1);
}

/* The lanes added up: halves, then halves of halves. */
static inline float sum_lanes(__m256 v)
{
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

/* All bits in the first n < 8 lanes: for masked loads and stores, which touch nothing else. */
static inline __m256i first_lanes(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* exp(x) for x <= 88, lane by lane; 0 below -87, NaN for NaN.
 * x = n ln 2 + r with |r| <= ln(2)/2; exp(r) by its Taylor series to r^7, whose remainder is below
 * r^8/8! * sqrt(2) < 7.4e-9 of the result; the sums of the series round by less than 1.5 * 2^-24 of
 * it and r itself is off by less than 2^-26 (ln 2 in two parts, n at most 8 bits).  Together < 2 *
 * 2^-23. */
static inline __m256 exp_8(__m256 x)
{
    /* max and min return their second operand when one is NaN. */
    const __m256 inside =
        _mm256_min_ps(_mm256_set1_ps(88.0f), _mm256_max_ps(_mm256_set1_ps(-87.0f), x));
    const __m256 n = _mm256_round_ps(_mm256_mul_ps(inside, _mm256_set1_ps(0x1.715476p0f)),
                                     _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e4p-1f), inside); /* exact: 15 + 8 bits */
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.7f7d1cp-20f), r);
    __m256 series = _mm256_set1_ps(1.0f / 5040);
    series = _mm256_fmadd_ps(series, r, _mm256_set1_ps(1.0f / 720));
    series = _mm256_fmadd_ps(series, r, _mm256_set1_ps(1.0f / 120));
    series = _mm256_fmadd_ps(series, r, _mm256_set1_ps(1.0f / 24));
    series = _mm256_fmadd_ps(series, r, _mm256_set1_ps(1.0f / 6));
    series = _mm256_fmadd_ps(series, r, _mm256_set1_ps(0.5f));
    series = _mm256_fmadd_ps(series, r, _mm256_set1_ps(1.0f));
    series = _mm256_fmadd_ps(series, r, _mm256_set1_ps(1.0f));
    /* Times 2^n: add n to the exponent. */
    const __m256i bits =
        _mm256_add_epi32(_mm256_castps_si256(series), _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23));
    const __m256 tiny = _mm256_cmp_ps(x, _mm256_set1_ps(-87.0f), _CMP_LT_OQ);
    const __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    return _mm256_blendv_ps(_mm256_andnot_ps(tiny, _mm256_castsi256_ps(bits)), x, nan);
}

#endif
