/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/attend_avx2.c - attention, AVX2: a vector is two registers. */
#include "kernel/x86/avx2.h"

typedef struct V { __m256 a, b; } V;

static inline V v_zero(void)          { return (V){ _mm256_setzero_ps(), _mm256_setzero_ps() }; }
static inline V v_load(const float *x){ return (V){ _mm256_loadu_ps(x), _mm256_loadu_ps(x + 8) }; }
static inline V v_all(float x)        { return (V){ _mm256_set1_ps(x), _mm256_set1_ps(x) }; }

static inline void v_store(float *y, V x)
{
    _mm256_storeu_ps(y, x.a);
    _mm256_storeu_ps(y + 8, x.b);
}

static inline V v_mul(V x, V y)
{
    return (V){ _mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b) };
}

static inline V v_fma(V x, V y, V z)
{
    return (V){ _mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b) };
}

static inline V v_halves(const uint16_t *x)
{
    const __m128i *halves = (const __m128i *)(const void *)x;
    return (V){ _mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1)) };
}

static inline V v_bytes(const int8_t *x)
{
    const __m128i q = _mm_loadu_si128((const __m128i *)(const void *)x);
    return (V){ _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)),
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(q, q))) };
}

/* Sixteen registers hold eight sums, a vector and a query. */
enum { QUERIES_MAX = 4 };
#define QUERIES(CASE) CASE(1) CASE(2) CASE(3) CASE(4)

static inline size_t beside(size_t m)
{
    return m == 1 ? 4 : m == 2 ? 2 : 1;
}

#include "kernel/x86/attend_lanes.h"

void score_f32_avx2(float *scores, const float *q, size_t n, const CacheRun *keys)
{
    score(F32, scores, q, n, keys);
}

void score_f16_avx2(float *scores, const float *q, size_t n, const CacheRun *keys)
{
    score(F16, scores, q, n, keys);
}

void score_q8_0_avx2(float *scores, const float *q, size_t n, const CacheRun *keys)
{
    score(Q8_0, scores, q, n, keys);
}

void gather_f32_avx2(float *y, const float *weights, size_t n, const CacheRun *values)
{
    gather(F32, y, weights, n, values);
}

void gather_f16_avx2(float *y, const float *weights, size_t n, const CacheRun *values)
{
    gather(F16, y, weights, n, values);
}

void gather_q8_0_avx2(float *y, const float *weights, size_t n, const CacheRun *values)
{
    gather_q8(y, weights, n, values);
}
