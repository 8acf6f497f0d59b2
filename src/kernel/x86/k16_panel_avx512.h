/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/k16_panel_avx512.h - the groups of sixteen of Q2_K and Q3_K: two share a block of a tile.
 *
 * Both sums of products fit in 16 bits (at most 16 * 4 * 127), and so do their small scales: one
 * multiplication of pairs applies two scales and adds. */
#ifndef KERNEL_X86_K16_PANEL_AVX512_H
#define KERNEL_X86_K16_PANEL_AVX512_H

#include "kernel/x86/panel_avx512.h"

/* Bytes 2p and 2p + 1 of every word to its two halves of 16 bits, without a sign. */
PANEL_INLINE __m512i byte_pair(__m512i words, int p)
{
    const int32_t from = p == 0 ? (int32_t)0x80018000 : (int32_t)0x80038002, next = 0x00040004;
    const __m512i take = _mm512_broadcast_i32x4(
        _mm_setr_epi32(from, from + next, from + 2 * next, from + 3 * next));
    return _mm512_shuffle_epi8(words, take);
}

/* Two groups of sixteen; with an offset, weights are 2^shift too large. */
typedef struct TwoGroups { __m512i w[8], scales; unsigned shift; } TwoGroups;

/* sum + (first * its small scale + second * its own) * x.scale; starts: NULL where weights have no offset. */
PANEL_INLINE void add_sixteens(__m512 sum[], const TwoGroups *two, const HalfStarts *starts, size_t j, const XBlock *x,
                               size_t n, size_t i, size_t m)
{
    const __m512i up = _mm512_broadcast_i32x4(
        _mm_setr_epi32(0x01000100, 0x05040504, 0x09080908, 0x0d0c0d0c));
    __m512i first[2], second[2];
    if (starts) begin_halves(first, second, starts, j, two->shift, x, n, i, m);
    else OF_PAIR first[r] = second[r] = _mm512_setzero_si512();
    dot_halves(first, second, two->w, x, i, m);
    OF_PAIR {
        const __m512i pair = _mm512_mask_shuffle_epi8(first[r], 0xccccccccccccccccu, second[r], up);
        sum[i + r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_madd_epi16(pair, two->scales)),
                                     _mm512_set1_ps(x->scale[i + r]), sum[i + r]);
    }
}

PANEL_INLINE void add_two_groups(__m512 sum[], const TwoGroups *two, const HalfStarts *starts, size_t j,
                                 const XBlock *block, size_t n)
{
    const XBlock x = with_numbers_near(block);
    EACH_PAIR add_sixteens(sum, two, starts, j, &x, n, i, 2);
    if (n % 2) add_sixteens(sum, two, starts, j, &x, n, n - 1, 1);
}

#endif
