/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/panel_float_avx2.c - panels of weights without blocks, AVX2: see kernel/panel_float_lanes.h.
 *
 * Machines with AVX-512 use it too: there halves turn into floats at half the speed, and the rest waits for memory. */
#include "kernel/x86/avx2.h"

enum { LANES = 8 };
typedef __m256 V;

static inline V v_zero(void)
{
    return _mm256_setzero_ps();
}

static inline V v_some(const float *x, size_t n)
{
    return n == LANES ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, first_lanes(n));
}

static inline V v_fma(V a, V b, V sum)
{
    return _mm256_fmadd_ps(a, b, sum);
}

static inline float v_sum(V v)
{
    return sum_lanes(v);
}

static inline V eight_weights(Format format, const char *w)
{
    if (format == F32) return _mm256_loadu_ps((const float *)(const void *)w);
    const __m128i halves = _mm_loadu_si128((const __m128i *)(const void *)w);
    if (format == F16) return _mm256_cvtph_ps(halves);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

/* There are no masked loads of two bytes. */
static inline V v_weights(Format format, const char *w, size_t n)
{
    char some[LANES * sizeof(float)] = { 0 };
    if (n == LANES) return eight_weights(format, w);
    memcpy(some, w, n * (format == F32 ? sizeof(float) : sizeof(uint16_t)));
    return eight_weights(format, some);
}

#include "kernel/panel_float_lanes.h"

PANELS(avx2)
