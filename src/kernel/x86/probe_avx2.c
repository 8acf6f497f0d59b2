/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/probe_avx2.c - the probes of a machine, AVX2.
 *
 * Each of the twelve chains takes two registers per round.  Products of eight bits are those of
 * vpmaddubsw and vpmaddwd, then one addition: three instructions for 32 multiply-accumulates, which
 * is what a product with AVX2 spends too. */
#include "kernel/x86/avx2.h"

/* The compiler must not know what a register holds: it would take the product out of the loop. */
#define FORGET(v) __asm__ volatile("" : "+x"(v))

static inline __m256i dot_int8(__m256i sum, __m256i a, __m256i b)
{
    const __m256i pairs = _mm256_maddubs_epi16(a, b);   /* at most 2 * 127 * 128: no saturation */
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

static inline uint32_t sum_int32(__m256i v)
{
    __m128i sum = _mm_add_epi32(low_16(v), high_16(v));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(sum);
}

uint32_t probe_int8_avx2(const uint8_t a[64], const int8_t b[64], size_t n_rounds)
{
    __m256i sums[PROBE_CHAINS], total = _mm256_setzero_si256();
    for (int c = 0; c < PROBE_CHAINS; c++) sums[c] = total;
    for (int half = 0; half < 2; half++) {
        __m256i x = _mm256_loadu_si256((const __m256i *)a + half);
        const __m256i y = _mm256_loadu_si256((const __m256i *)b + half);
        for (size_t i = 0; i < n_rounds; i++)
#pragma GCC unroll 12
            for (int c = 0; c < PROBE_CHAINS; c++) {
                FORGET(x);
                sums[c] = dot_int8(sums[c], x, y);
            }
    }
    for (int c = 0; c < PROBE_CHAINS; c++) total = _mm256_add_epi32(total, sums[c]);
    return sum_int32(total);
}

float probe_f32_avx2(const float a[16], const float b[16], size_t n_rounds)
{
    __m256 sums[PROBE_CHAINS], total = _mm256_setzero_ps();
    for (int c = 0; c < PROBE_CHAINS; c++) sums[c] = total;
    for (int half = 0; half < 2; half++) {
        __m256 x = _mm256_loadu_ps(a + 8 * half);
        const __m256 y = _mm256_loadu_ps(b + 8 * half);
        for (size_t i = 0; i < n_rounds; i++)
#pragma GCC unroll 12
            for (int c = 0; c < PROBE_CHAINS; c++) {
                FORGET(x);
                sums[c] = _mm256_fmadd_ps(x, y, sums[c]);
            }
    }
    for (int c = 0; c < PROBE_CHAINS; c++) total = _mm256_add_ps(total, sums[c]);
    return sum_lanes(total);
}

uint64_t probe_read_avx2(const uint64_t *words, size_t n_words)
{
    enum { STEP = 32 };                                 /* words: four cache lines           */
    __m256i all[4] = { _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                       _mm256_setzero_si256() };
    size_t i = 0;
    for (; i + STEP <= n_words; i += STEP)
#pragma GCC unroll 8
        for (size_t k = 0; k < 8; k++)
            all[k % 4] = _mm256_xor_si256(all[k % 4],
                                          _mm256_loadu_si256((const __m256i *)(words + i + 4 * k)));
    uint64_t last[4], rest = 0;
    _mm256_storeu_si256((__m256i *)last, _mm256_xor_si256(_mm256_xor_si256(all[0], all[1]),
                                                          _mm256_xor_si256(all[2], all[3])));
    for (; i < n_words; i++) rest ^= words[i];
    return rest ^ last[0] ^ last[1] ^ last[2] ^ last[3];
}
