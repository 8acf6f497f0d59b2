/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/probe_avx512.c - the probes of a machine, AVX-512 with VNNI. */
#include "kernel/x86/avx512.h"

/* The compiler must not know what a register holds: it would take the product out of the loop. */
#define FORGET(v) __asm__ volatile("" : "+v"(v))

uint32_t probe_int8_avx512(const uint8_t a[64], const int8_t b[64], size_t n_rounds)
{
    __m512i sums[PROBE_CHAINS], total = _mm512_setzero_si512();
    for (int c = 0; c < PROBE_CHAINS; c++) sums[c] = total;
    __m512i x = _mm512_loadu_si512(a);
    const __m512i y = _mm512_loadu_si512(b);
    for (size_t i = 0; i < n_rounds; i++)
#pragma GCC unroll 12
        for (int c = 0; c < PROBE_CHAINS; c++) {
            FORGET(x);
            sums[c] = _mm512_dpbusd_epi32(sums[c], x, y);
        }
    for (int c = 0; c < PROBE_CHAINS; c++) total = _mm512_add_epi32(total, sums[c]);
    return (uint32_t)_mm512_reduce_add_epi32(total);
}

float probe_f32_avx512(const float a[16], const float b[16], size_t n_rounds)
{
    __m512 sums[PROBE_CHAINS], total = _mm512_setzero_ps();
    for (int c = 0; c < PROBE_CHAINS; c++) sums[c] = total;
    __m512 x = _mm512_loadu_ps(a);
    const __m512 y = _mm512_loadu_ps(b);
    for (size_t i = 0; i < n_rounds; i++)
#pragma GCC unroll 12
        for (int c = 0; c < PROBE_CHAINS; c++) {
            FORGET(x);
            sums[c] = _mm512_fmadd_ps(x, y, sums[c]);
        }
    for (int c = 0; c < PROBE_CHAINS; c++) total = _mm512_add_ps(total, sums[c]);
    return sum_lanes_16(total);
}

uint64_t probe_read_avx512(const uint64_t *words, size_t n_words)
{
    enum { STEP = 32 };                                 /* words: four cache lines           */
    __m512i all[4] = { _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                       _mm512_setzero_si512() };
    size_t i = 0;
    for (; i + STEP <= n_words; i += STEP)
#pragma GCC unroll 4
        for (size_t k = 0; k < 4; k++)
            all[k] = _mm512_xor_si512(all[k], _mm512_loadu_si512(words + i + 8 * k));
    uint64_t last[8], rest = 0;
    _mm512_storeu_si512(last, _mm512_xor_si512(_mm512_xor_si512(all[0], all[1]),
                                               _mm512_xor_si512(all[2], all[3])));
    for (; i < n_words; i++) rest ^= words[i];
    for (int k = 0; k < 8; k++) rest ^= last[k];
    return rest;
}
