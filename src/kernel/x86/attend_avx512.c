/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/attend_avx512.c - attention, AVX-512: a vector is one register. */
#include "kernel/x86/avx512.h"

typedef __m512 V;

static inline V v_zero(void)                    { return _mm512_setzero_ps(); }
static inline V v_load(const float *x)          { return _mm512_loadu_ps(x); }
static inline void v_store(float *y, V x)       { _mm512_storeu_ps(y, x); }
static inline V v_all(float x)                  { return _mm512_set1_ps(x); }
static inline V v_mul(V a, V b)                 { return _mm512_mul_ps(a, b); }
static inline V v_fma(V a, V b, V c)            { return _mm512_fmadd_ps(a, b, c); }

static inline V v_halves(const uint16_t *x)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)x));
}

static inline V v_bytes(const int8_t *x)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)x)));
}

/* One instruction a cycle and four cycles for an addition: four sums at a time, and two are enough for what
 * comes from memory. */
enum { QUERIES_MAX = 8 };
#define QUERIES(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)

static inline size_t beside(size_t m)
{
    return m <= 2 ? 2 : 1;
}

#include "kernel/x86/attend_lanes.h"

void score_f32_avx512(float *scores, const float *q, size_t n, const CacheRun *keys)
{
    score(F32, scores, q, n, keys);
}

void score_f16_avx512(float *scores, const float *q, size_t n, const CacheRun *keys)
{
    score(F16, scores, q, n, keys);
}

void score_q8_0_avx512(float *scores, const float *q, size_t n, const CacheRun *keys)
{
    score(Q8_0, scores, q, n, keys);
}

void gather_f32_avx512(float *y, const float *weights, size_t n, const CacheRun *values)
{
    gather(F32, y, weights, n, values);
}

void gather_f16_avx512(float *y, const float *weights, size_t n, const CacheRun *values)
{
    gather(F16, y, weights, n, values);
}

void gather_q8_0_avx512(float *y, const float *weights, size_t n, const CacheRun *values)
{
    gather_q8(y, weights, n, values);
}
