/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/panel_avx512.h - steps that the panel kernels for AVX-512 share; read number/panel.h and
 * the tiles of kernel/kernel.h first.  For panel_*_avx512.c only.
 *
 * Lane r of every vector belongs to row r of the panel: a word holds four stored bytes of each of the
 * sixteen rows.  One VPDPBUSD multiplies them, as numbers without a sign, with the same four bytes of
 * one row of the tile and adds the products up in 32 bits.  Weights are unpacked once and meet all n
 * rows of the tile.  Integer sums are exact and below 2^24, so they become floats without rounding;
 * what rounds is the scaling, once for every 32 numbers.
 *
 * ORDER panel_*: one chain of fused additions per y, over the groups of 32 (of 256 where a file says
 * so) ascending.  The body is written once, for any n, so that n cannot change the bits (decision D1).
 *
 * A tile's rows go by twos: while the products of one pair run, the sums of the last are scaled, and
 * weights wait in registers.  A loop of that shape reaches 87 % of the peak from the nearest cache, as
 * much as products with their loads alone do; all rows word by word and then all scales gave 76.
 *
 * Cost: each kernel counts its multiplications for 32 numbers of one row of a tile, eight of them
 * VPDPBUSD.  Integers and floats share pipes for the most part, so the share of eight is about what a
 * kernel can reach of the peak. */
#ifndef KERNEL_X86_PANEL_AVX512_H
#define KERNEL_X86_PANEL_AVX512_H

#include "kernel/kernel.h"
#include "number/blocks.h"

#include <immintrin.h>
#include <string.h>

/* The rows of a tile, unrolled, so that an array over them is a set of registers. */
#define EACH_ROW _Pragma("GCC unroll 8") for (size_t i = 0; i < n; i++)
/* Its rows two by two: i and i + 1.  Where n is odd the last stands alone, a pair of m = 1. */
#define EACH_PAIR _Pragma("GCC unroll 4") for (size_t i = 0; i + 2 <= n; i += 2)
#define OF_PAIR  _Pragma("GCC unroll 2") for (size_t r = 0; r < m; r++)
#define UNROLL_8 _Pragma("GCC unroll 8")
#define ROLLED   _Pragma("GCC unroll 1")

#define PANEL_INLINE static inline __attribute__((always_inline))

/* The kernel of a format from its `product`, which becomes one loop for each n. */
#define PANEL_KERNEL(name)                                                                        \
    void name(float (*y)[STACK_ROWS], const void *stack, size_t panels, const void *tile,         \
              size_t n, size_t n_cols)                                                            \
    {                                                                                             \
        switch (n) {                                                                              \
        case 1: product(y, stack, panels, tile, 1, n_cols); break;                                \
        case 2: product(y, stack, panels, tile, 2, n_cols); break;                                \
        case 3: product(y, stack, panels, tile, 3, n_cols); break;                                \
        case 4: product(y, stack, panels, tile, 4, n_cols); break;                                \
        case 5: product(y, stack, panels, tile, 5, n_cols); break;                                \
        case 6: product(y, stack, panels, tile, 6, n_cols); break;                                \
        case 7: product(y, stack, panels, tile, 7, n_cols); break;                                \
        case 8: product(y, stack, panels, tile, 8, n_cols); break;                                \
        }                                                                                         \
    }
_Static_assert(TILE_ROWS == 8, "one case for each");

/* Blocks as they lie in the stack: block b of panel p. */
#define EACH_BLOCK                                                                                \
    for (size_t b = 0; b < n_blocks; b++)                                                         \
        for (size_t p = 0; p < panels; p++)

/* Sums wait in y while the blocks of other panels have their turn. */
PANEL_INLINE void clear(float (*y)[STACK_ROWS], size_t panels, size_t n)
{
    EACH_ROW for (size_t p = 0; p < panels; p++)
        _mm512_storeu_ps(y[i] + p * PANEL_ROWS, _mm512_setzero_ps());
}

PANEL_INLINE __m512 sum_so_far(float (*y)[STACK_ROWS], size_t p, size_t i)
{
    return _mm512_loadu_ps(y[i] + p * PANEL_ROWS);
}

PANEL_INLINE void keep_sum(float (*y)[STACK_ROWS], size_t p, size_t i, __m512 sum)
{
    _mm512_storeu_ps(y[i] + p * PANEL_ROWS, sum);
}

/* Word k of sixteen rows. */
PANEL_INLINE __m512i word_at(const uint32_t *words, int k)
{
    return _mm512_loadu_si512(words + k * PANEL_ROWS);
}

/* The half of sixteen rows. */
PANEL_INLINE __m512 half_at(const uint16_t *halves)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)halves));
}

PANEL_INLINE __m512i each_byte(uint32_t byte)
{
    return _mm512_set1_epi32((int32_t)(byte * 0x01010101));
}

/* a | (b & mask) */
#define OR_MASKED(a, b, mask) _mm512_ternarylogic_epi32(a, b, mask, 0xf8)

/* Four more products: bytes 4k to 4k + 3 of row i of a tile.  Spelt out, as gcc 12 broadcasts in an instruction of
 * its own and keeps what it made in a register. */
PANEL_INLINE __m512i dot_4(__m512i dot, __m512i w, const XBlock *x, size_t i, size_t k)
{
    const int8_t *four = x->q + i * X_BLOCK + 4 * k;
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(dot) : "v"(w), "m"(*(const int8_t (*)[4])four));
    return dot;
}

/* The same block, its address made anew: else gcc computes that of every four bytes ahead of the panels' loop, and
 * keeps them, up to 512, on the stack. */
PANEL_INLINE XBlock with_numbers_near(const XBlock *block)
{
    XBlock x = *block;
    __asm__("" : "+r"(x.q));
    return x;
}

/* -(sum of x) << shift: where the sum of (w - 2^shift) * x begins when w are added. */
PANEL_INLINE __m512i less_offset(int32_t minus, unsigned shift)
{
    return _mm512_slli_epi32(_mm512_set1_epi32(minus), shift);
}

/* 32 numbers of sixteen rows, as they are unpacked before the rows of a tile have their turn. */
typedef struct Group {
    __m512i  w[8];
    __m512   scale, minimum;            /* a minimum is added                              */
    bool     has_minimum;
    unsigned shift;                     /* without one, weights are 2^shift too large      */
} Group;

/* sum + (w . x) * scale * x.scale + minimum * x.sum */
PANEL_INLINE void add_rows(__m512 sum[], const Group *group, const XBlock *x, size_t i, size_t m)
{
    __m512i dot[2];
    OF_PAIR dot[r] = group->has_minimum ? _mm512_setzero_si512() : less_offset(x->minus[i + r], group->shift);
    UNROLL_8 for (size_t k = 0; k < 8; k++)
        OF_PAIR dot[r] = dot_4(dot[r], group->w[k], x, i + r, k);
    OF_PAIR {
        const __m512 scale = _mm512_mul_ps(group->scale, _mm512_set1_ps(x->scale[i + r]));
        sum[i + r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[r]), scale, sum[i + r]);
    }
    if (!group->has_minimum) return;
    OF_PAIR sum[i + r] = _mm512_fmadd_ps(group->minimum, _mm512_set1_ps(x->sum[i + r]), sum[i + r]);
}

PANEL_INLINE void add_group(__m512 sum[], const Group *group, const XBlock *block, size_t n)
{
    const XBlock x = with_numbers_near(block);
    EACH_PAIR add_rows(sum, group, &x, i, 2);
    if (n % 2) add_rows(sum, group, &x, n - 1, 1);
}

/* The same 32 as two groups of sixteen: one sum of products for each. */
PANEL_INLINE void dot_halves(__m512i first[], __m512i second[], const __m512i w[8], const XBlock *x, size_t i,
                             size_t m)
{
    UNROLL_8 for (size_t k = 0; k < 4; k++) {
        OF_PAIR first[r] = dot_4(first[r], w[k], x, i + r, k);
        OF_PAIR second[r] = dot_4(second[r], w[4 + k], x, i + r, 4 + k);
    }
}

/* Where both halves of each of eight blocks of a tile begin, for groups of sixteen.  In memory, as a
 * broadcast from there is free, and written in a loop of its own, lest the compiler keep it in
 * registers and shuffle.  Few rows compute theirs in place. */
typedef struct HalfStarts { int32_t first[8][TILE_ROWS], second[8][TILE_ROWS]; } HalfStarts;
enum { FEW_ROWS = 2 };

/* The offset is 2^shift in even blocks, and 2^odd_shift in odd ones. */
PANEL_INLINE void half_starts(HalfStarts *to, const void *tile, size_t n, size_t b, int shift,
                              int odd_shift)
{
    const __mmask8 rows = (__mmask8)((1u << n) - 1);
    if (n <= FEW_ROWS) return;
    ROLLED for (size_t j = 0; j < 8; j++) {
        const XBlock x = x_block(tile, n, 8 * b + j);
        const __m128i by = _mm_cvtsi32_si128(j % 2 ? odd_shift : shift);
        const __m256i all = _mm256_maskz_loadu_epi32(rows, x.minus);
        const __m256i low = _mm256_maskz_loadu_epi32(rows, x.minus_low);
        _mm256_storeu_si256((__m256i *)(void *)to->first[j], _mm256_sll_epi32(low, by));
        _mm256_storeu_si256((__m256i *)(void *)to->second[j],
                            _mm256_sll_epi32(_mm256_sub_epi32(all, low), by));
    }
}

PANEL_INLINE void begin_halves(__m512i first[], __m512i second[], const HalfStarts *starts, size_t j,
                               unsigned shift, const XBlock *x, size_t n, size_t i, size_t m)
{
    OF_PAIR {
        if (n <= FEW_ROWS) {
            first[r] = less_offset(x->minus_low[i + r], shift);
            second[r] = _mm512_sub_epi32(less_offset(x->minus[i + r], shift), first[r]);
        } else {
            first[r] = _mm512_set1_epi32(starts->first[j][i + r]);
            second[r] = _mm512_set1_epi32(starts->second[j][i + r]);
        }
    }
}

/* Bits 0 to 3 of every word to bit 4 of its bytes 0 to 3: a permutation looks at four bits only. */
PANEL_INLINE __m512i bits_over(__m512i words)
{
    const __m512i spread = _mm512_setr_epi32(
        0x00000000, 0x00000010, 0x00001000, 0x00001010, 0x00100000, 0x00100010, 0x00101000,
        0x00101010, 0x10000000, 0x10000010, 0x10001000, 0x10001010, 0x10100000, 0x10100010,
        0x10101000, 0x10101010);
    return _mm512_permutexvar_epi32(words, spread);
}

/* Byte j of every word, as a float. */
PANEL_INLINE __m512 byte_of(__m512i words, unsigned j)
{
    return _mm512_cvtepi32_ps(
        _mm512_and_si512(_mm512_srli_epi32(words, 8 * j), _mm512_set1_epi32(255)));
}

#endif
