/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/panel_float_avx512.c - panels of weights without blocks, AVX-512: see kernel/panel_float_lanes.h.
 *
 * Four rows of weights meet four of activations, so that eight loads serve sixteen multiplications.  (With AVX2 panels
 * of F16 would be faster, 93 against 76 Gop/s, as the conversion of halves takes twice the steps here.) */
#include "kernel/x86/avx512.h"

enum { LANES = 16, ALONE_ROWS = 16, MEET_W = 4, MEET_X = 4 };
typedef __m512 V;

static inline V v_zero(void)
{
    return _mm512_setzero_ps();
}

static inline V v_load(const float *x)
{
    return _mm512_loadu_ps(x);
}

static inline V v_some(const float *x, size_t n)
{
    return n == LANES ? v_load(x) : _mm512_maskz_loadu_ps(first_lanes_16(n), x);
}

static inline V v_fma(V a, V b, V sum)
{
    return _mm512_fmadd_ps(a, b, sum);
}

static inline float v_sum(V v)
{
    return sum_lanes_16(v);
}

static inline V v_halves(Format format, __m256i halves)
{
    if (format == F16) return _mm512_cvtph_ps(halves);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

static inline V v_weights(Format format, const char *w)
{
    if (format == F32) return _mm512_loadu_ps(w);
    return v_halves(format, _mm256_loadu_si256((const __m256i *)(const void *)w));
}

static inline V v_some_weights(Format format, const char *w, size_t n)
{
    if (n == LANES) return v_weights(format, w);
    if (format == F32) return _mm512_maskz_loadu_ps(first_lanes_16(n), w);
    return v_halves(format, _mm256_maskz_loadu_epi16(first_lanes_16(n), w));
}

#include "kernel/panel_float_lanes.h"

PANELS(avx512)
