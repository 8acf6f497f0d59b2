/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/dot_avx512.c - dot products of floats, AVX-512. */
#include "kernel/x86/avx512.h"

/* ORDER dot_f32: as in dot_avx2.c with sixteen lanes in place of eight. */
typedef struct Sums { __m512 part[4]; } Sums;

static inline Sums no_sums(void)
{
    return (Sums){
        {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()}};
}

static inline float finish(Sums sums)
{
    return sum_lanes_16(_mm512_add_ps(_mm512_add_ps(sums.part[0], sums.part[1]),
                                      _mm512_add_ps(sums.part[2], sums.part[3])));
}

static inline __m512 tail(__m512 sum, const float *w, const float *x, size_t from, size_t n)
{
    size_t i = from;
    for (; i + 16 <= n; i += 16)
        sum = _mm512_fmadd_ps(_mm512_loadu_ps(w + i), _mm512_loadu_ps(x + i), sum);
    if (i == n) return sum;
    const __mmask16 some = first_lanes_16(n - i);
    return _mm512_fmadd_ps(_mm512_maskz_loadu_ps(some, w + i), _mm512_maskz_loadu_ps(some, x + i),
                           sum);
}

float dot_f32_avx512(const float *w, const float *x, size_t n)
{
    Sums sums = no_sums();
    size_t i = 0;
    for (; i + 64 <= n; i += 64)
        for (int k = 0; k < 4; k++)
            sums.part[k] = _mm512_fmadd_ps(_mm512_loadu_ps(w + i + 16 * k),
                                           _mm512_loadu_ps(x + i + 16 * k), sums.part[k]);
    sums.part[0] = tail(sums.part[0], w, x, i, n);
    return finish(sums);
}

/* Sixteen sums of the thirty-two registers. */
void dot4_f32_avx512(float y[4], const float *w, const float *const x[4], size_t n)
{
    Sums a = no_sums(), b = a, c = a, d = a;
    size_t i = 0;
    for (; i + 64 <= n; i += 64)
        for (size_t k = 0; k < 4; k++) {
            const size_t at = i + 16 * k;
            const __m512 weight = _mm512_loadu_ps(w + at);
            a.part[k] = _mm512_fmadd_ps(weight, _mm512_loadu_ps(x[0] + at), a.part[k]);
            b.part[k] = _mm512_fmadd_ps(weight, _mm512_loadu_ps(x[1] + at), b.part[k]);
            c.part[k] = _mm512_fmadd_ps(weight, _mm512_loadu_ps(x[2] + at), c.part[k]);
            d.part[k] = _mm512_fmadd_ps(weight, _mm512_loadu_ps(x[3] + at), d.part[k]);
        }
    a.part[0] = tail(a.part[0], w, x[0], i, n);
    b.part[0] = tail(b.part[0], w, x[1], i, n);
    c.part[0] = tail(c.part[0], w, x[2], i, n);
    d.part[0] = tail(d.part[0], w, x[3], i, n);
    y[0] = finish(a);
    y[1] = finish(b);
    y[2] = finish(c);
    y[3] = finish(d);
}
