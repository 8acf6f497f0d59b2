/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/vector_avx2.c - kernels over whole vectors, AVX2.  Tails use masked loads and stores,
 * so that every number goes through the same instructions wherever it lies. */
#include "kernel/x86/avx2.h"

#include <math.h>

static inline __m256 load(const float *x, size_t i, size_t n)
{
    return i + 8 <= n ? _mm256_loadu_ps(x + i) : _mm256_maskload_ps(x + i, first_lanes(n - i));
}

static inline void store(float *y, size_t i, size_t n, __m256 v)
{
    if (i + 8 <= n) _mm256_storeu_ps(y + i, v);
    else _mm256_maskstore_ps(y + i, first_lanes(n - i), v);
}

/* Squares are summed in double, where they are exact and the sum is as good as it was in the
 * reference; eight lanes, number i in lane i % 8. */
static double sum_of_squares(const float *x, size_t n)
{
    __m256d even = _mm256_setzero_pd(), odd = _mm256_setzero_pd();
    for (size_t i = 0; i < n; i += 8) {
        const __m256 v = load(x, i, n);
        const __m256d a = _mm256_cvtps_pd(_mm256_castps256_ps128(v)),
                      b = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
        even = _mm256_fmadd_pd(a, a, even);
        odd = _mm256_fmadd_pd(b, b, odd);
    }
    double lane[4];
    _mm256_storeu_pd(lane, _mm256_add_pd(even, odd));
    return (lane[0] + lane[1]) + (lane[2] + lane[3]);
}

void rms_norm_avx2(float *y, const float *x, const float *g, size_t n, float eps)
{
    const double mean = sum_of_squares(x, n) / (double)n;
    const __m256 scale = _mm256_set1_ps((float)(1.0 / sqrt(mean + (double)eps)));
    for (size_t i = 0; i < n; i += 8)
        store(y, i, n, _mm256_mul_ps(_mm256_mul_ps(load(x, i, n), scale), load(g, i, n)));
}

void add_avx2(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += 8) store(y, i, n, _mm256_add_ps(load(y, i, n), load(x, i, n)));
}

void axpy_avx2(float *y, float a, const float *x, size_t n)
{
    const __m256 factor = _mm256_set1_ps(a);
    for (size_t i = 0; i < n; i += 8)
        store(y, i, n, _mm256_fmadd_ps(factor, load(x, i, n), load(y, i, n)));
}

void scale_avx2(float *y, float a, size_t n)
{
    const __m256 factor = _mm256_set1_ps(a);
    for (size_t i = 0; i < n; i += 8) store(y, i, n, _mm256_mul_ps(load(y, i, n), factor));
}

void silu_mul_avx2(float *y, const float *gate, const float *up, size_t n)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    for (size_t i = 0; i < n; i += 8) {
        const __m256 g = load(gate, i, n);
        const __m256 below = _mm256_add_ps(one, exp_8(_mm256_xor_ps(g, _mm256_set1_ps(-0.0f))));
        store(y, i, n, _mm256_mul_ps(_mm256_div_ps(g, below), load(up, i, n)));
    }
}

/* A NaN is remembered beside the maximum: the instruction for it would forget one. */
float max_f32_avx2(const float *x, size_t n)
{
    __m256 max = _mm256_set1_ps(x[0]), nan = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256 v = _mm256_loadu_ps(x + i);
        max = _mm256_max_ps(max, v);
        nan = _mm256_or_ps(nan, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    }
    float lane[8], best = x[0];
    _mm256_storeu_ps(lane, max);
    if (_mm256_movemask_ps(nan)) return NAN;
    for (int k = 0; k < 8; k++)
        if (lane[k] > best) best = lane[k];
    for (; i < n; i++)
        if (x[i] > best || isnan(x[i])) best = x[i];
    return best;
}

/* ORDER exp_sum: number i goes to lane i % 4 of the lower or upper sum, in double; then as above.
 */
float exp_sum_avx2(float *x, float max, size_t n)
{
    const __m256 shift = _mm256_set1_ps(max);
    __m256d even = _mm256_setzero_pd(), odd = _mm256_setzero_pd();
    for (size_t i = 0; i < n; i += 8) {
        __m256 e = exp_8(_mm256_sub_ps(load(x, i, n), shift));
        if (n - i < 8) e = _mm256_and_ps(e, _mm256_castsi256_ps(first_lanes(n - i)));
        store(x, i, n, e);
        even = _mm256_add_pd(even, _mm256_cvtps_pd(_mm256_castps256_ps128(e)));
        odd = _mm256_add_pd(odd, _mm256_cvtps_pd(_mm256_extractf128_ps(e, 1)));
    }
    double lane[4];
    _mm256_storeu_pd(lane, _mm256_add_pd(even, odd));
    return (float)((lane[0] + lane[1]) + (lane[2] + lane[3]));
}
