/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/softmax_avx512.c - the largest of some numbers, and their exponentials with the sum, AVX-512. */
#include "kernel/x86/avx512.h"

#include <math.h>

/* exp_8 of avx2.h with sixteen lanes, the same bits: there stands why it is good to 2 ulps. */
static inline __m512 exp_16(__m512 x)
{
    const __m512 inside = _mm512_min_ps(_mm512_set1_ps(88.0f), _mm512_max_ps(_mm512_set1_ps(-87.0f), x));
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(inside, _mm512_set1_ps(0x1.715476p0f)),
                                          _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.62e4p-1f), inside);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.7f7d1cp-20f), r);
    __m512 series = _mm512_set1_ps(1.0f / 5040);
    series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(1.0f / 720));
    series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(1.0f / 120));
    series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(1.0f / 24));
    series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(1.0f / 6));
    series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(0.5f));
    series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(1.0f));
    series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(1.0f));
    const __m512i bits = _mm512_add_epi32(_mm512_castps_si512(series), _mm512_slli_epi32(_mm512_cvtps_epi32(n), 23));
    const __mmask16 tiny = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.0f), _CMP_LT_OQ);
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm512_mask_mov_ps(_mm512_maskz_mov_ps((__mmask16)~tiny, _mm512_castsi512_ps(bits)), nan, x);
}

static inline __mmask16 lanes_left(size_t i, size_t n)
{
    return n - i >= 16 ? (__mmask16)0xffff : first_lanes_16(n - i);
}

/* A NaN is remembered beside the maximum: the instruction for it would forget one. */
float max_f32_avx512(const float *x, size_t n)
{
    const __m512 first = _mm512_set1_ps(x[0]);
    __m512 max = first;
    __mmask16 nan = 0;
    for (size_t i = 0; i < n; i += 16) {
        const __m512 v = _mm512_mask_loadu_ps(first, lanes_left(i, n), x + i);
        max = _mm512_max_ps(max, v);
        nan |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    }
    return nan ? NAN : _mm512_reduce_max_ps(max);
}

/* ORDER exp_sum: number i goes to lane i % 8 of the lower or upper sum, in double; the two sums are added, then
 * halves of halves of the lanes. */
float exp_sum_avx512(float *x, float max, size_t n)
{
    const __m512 shift = _mm512_set1_ps(max);
    __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 left = lanes_left(i, n);
        const __m512 e = _mm512_maskz_mov_ps(left, exp_16(_mm512_sub_ps(_mm512_maskz_loadu_ps(left, x + i), shift)));
        _mm512_mask_storeu_ps(x + i, left, e);
        low = _mm512_add_pd(low, _mm512_cvtps_pd(_mm512_castps512_ps256(e)));
        high = _mm512_add_pd(high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(e, 1)));
    }
    double lane[8];
    _mm512_storeu_pd(lane, _mm512_add_pd(low, high));
    return (float)(((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7])));
}
