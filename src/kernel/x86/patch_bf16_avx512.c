/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/patch_bf16_avx512.c - products of BF16, AVX-512 with AVX512_BF16.
 *
 * That set has a bit of its own, which the machine may lack though it has all of CPU_AVX512: then the table keeps
 * what AVX2 has (fill_avx512.c).  The instruction adds both products of a word, so its bits are not those of
 * AVX2; all of these round to nearest even and take subnormal numbers for zero.
 * Source: Intel, Architecture Instruction Set Extensions, VDPBF16PS, VCVTNE2PS2BF16. */
#include "kernel/x86/patch_avx512.h"

INLINE __m512 add_word(__m512 sum, const int32_t *a, __m512i b)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(*a), (__m512bh)b);
}
PATCH(patch_bf16_avx512, add_word)

/* ---- rounding ---- */

/* Sixteen numbers, or n < 16 of them and zeros. */
INLINE __m512 load_some(const float *x, size_t n)
{
    return n >= LANES ? _mm512_loadu_ps(x) : _mm512_maskz_loadu_ps(first_lanes_16(n), x);
}

/* 32 neighbours, or n < 32 of them and zeros, as sixteen words. */
INLINE __m512i neighbours(const float *x, size_t n)
{
    const __m512 first = load_some(x, n), second = n > LANES ? load_some(x + LANES, n - LANES) : _mm512_setzero_ps();
    return (__m512i)_mm512_cvtne2ps_pbh(second, first);
}

void encode_bf16_avx512(void *to, const float *from, size_t n)
{
    uint16_t *y = to;
    for (size_t i = 0; i < n; i += 2 * LANES) {
        const __mmask32 some = n - i < 2 * LANES ? (__mmask32)((1u << (n - i)) - 1) : ~(__mmask32)0;
        _mm512_mask_storeu_epi16(y + i, some, neighbours(from + i, n - i));
    }
}

/* ---- strips ---- */

/* Sixteen rows of sixteen words become sixteen columns: first blocks of 4x4 inside each quarter of a register, then
 * the quarters. */
INLINE void turn(__m512i v[LANES])
{
    __m512i t[LANES];
    UNROLL for (size_t i = 0; i < LANES; i += 2) {
        t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    UNROLL for (size_t i = 0; i < LANES; i += 4) {
        v[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        v[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        v[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        v[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    UNROLL for (size_t i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(v[i], v[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(v[i], v[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(v[i + 8], v[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(v[i + 8], v[i + 12], 0xdd);
    }
    UNROLL for (size_t i = 0; i < 8; i++) {
        v[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        v[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    }
}

void strip_rows_bf16_avx512(void *strip, const float *from, size_t from_row, size_t n_rows, size_t n_cols)
{
    uint32_t (*to)[STRIP] = strip;
    const size_t n_words = (n_cols + 1) / 2;
    for (size_t w = 0; w < n_words; w += LANES)
        for (size_t i = 0; i < STRIP; i += LANES) {
            const size_t many = n_words - w < LANES ? n_words - w : LANES;
            __m512i v[LANES];
            for (size_t r = 0; r < LANES; r++)
                v[r] = i + r < n_rows ? neighbours(from + (i + r) * from_row + 2 * w, n_cols - 2 * w)
                                      : _mm512_setzero_si512();
            turn(v);
            for (size_t r = 0; r < many; r++) _mm512_storeu_si512(&to[w + r][i], v[r]);
        }
}

/* Lane j: number j of two rows, the first in the lower half. */
INLINE __m512i pair_up(__m512 first, __m512 second)
{
    const __m512i in_turn = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22,
                                             6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(in_turn, (__m512i)_mm512_cvtne2ps_pbh(second, first));
}

void strip_cols_bf16_avx512(void *strips, size_t strip_words, const float *from, size_t from_row, size_t n_rows,
                            size_t n_cols)
{
    for (size_t r = 0; r < n_rows; r += 2, from += 2 * from_row)
        for (size_t col = 0; col < n_cols; col += STRIP) {
            uint32_t *to = (uint32_t *)strips + (col * strip_words + r / 2 * STRIP);
            UNROLL for (size_t j = 0; j < STRIP; j += LANES) {
                const size_t left = col + j < n_cols ? n_cols - col - j : 0;
                const float *x = left ? from + col + j : from;
                const __m512 first = load_some(x, left),
                             second = r + 1 < n_rows ? load_some(x + from_row, left) : _mm512_setzero_ps();
                _mm512_storeu_si512(to + j, pair_up(first, second));
            }
        }
}
