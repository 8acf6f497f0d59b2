/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/dot_avx2.c - dot products of floats, AVX2. */
#include "kernel/x86/avx2.h"

/* ORDER dot_f32: number i goes to lane i % 8 of sum i / 8 % 4, by fused multiply-add in order of i;
 * what is left after whole eights of 32 continues in sum 0 (its last partial eight with zeros);
 * then (0 + 1) + (2 + 3), then sum_lanes.  dot4_f32 keeps exactly this order for each of its rows.
 */
typedef struct Sums { __m256 part[4]; } Sums;

static inline float finish(Sums sums)
{
    return sum_lanes(_mm256_add_ps(_mm256_add_ps(sums.part[0], sums.part[1]),
                                   _mm256_add_ps(sums.part[2], sums.part[3])));
}

static inline __m256 tail(__m256 sum, const float *w, const float *x, size_t from, size_t n)
{
    size_t i = from;
    for (; i + 8 <= n; i += 8)
        sum = _mm256_fmadd_ps(_mm256_loadu_ps(w + i), _mm256_loadu_ps(x + i), sum);
    if (i == n) return sum;
    const __m256i some = first_lanes(n - i);
    return _mm256_fmadd_ps(_mm256_maskload_ps(w + i, some), _mm256_maskload_ps(x + i, some), sum);
}

float dot_f32_avx2(const float *w, const float *x, size_t n)
{
    Sums sums = {
        {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()}};
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        for (int k = 0; k < 4; k++)
            sums.part[k] = _mm256_fmadd_ps(_mm256_loadu_ps(w + i + 8 * k),
                                           _mm256_loadu_ps(x + i + 8 * k), sums.part[k]);
    sums.part[0] = tail(sums.part[0], w, x, i, n);
    return finish(sums);
}

/* Two rows at a time: eight sums fit the sixteen registers, sixteen would not. */
static inline void dot2(float y[2], const float *w, const float *x0, const float *x1, size_t n)
{
    Sums a = {{_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()}},
         b = a;
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        for (int k = 0; k < 4; k++) {
            const __m256 weight = _mm256_loadu_ps(w + i + 8 * k);
            a.part[k] = _mm256_fmadd_ps(weight, _mm256_loadu_ps(x0 + i + 8 * k), a.part[k]);
            b.part[k] = _mm256_fmadd_ps(weight, _mm256_loadu_ps(x1 + i + 8 * k), b.part[k]);
        }
    a.part[0] = tail(a.part[0], w, x0, i, n);
    b.part[0] = tail(b.part[0], w, x1, i, n);
    y[0] = finish(a);
    y[1] = finish(b);
}

void dot4_f32_avx2(float y[4], const float *w, const float *const x[4], size_t n)
{
    dot2(y, w, x[0], x[1], n);
    dot2(y + 2, w, x[2], x[3], n);
}
