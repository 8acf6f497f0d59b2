/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/small_panel_avx512.h - panels of the formats whose blocks are 32 numbers with a scale, and perhaps a
 * minimum that is added.  For panel_q*_avx512.c only; `format` is a constant there, so the choices cost nothing. */
#ifndef KERNEL_X86_SMALL_PANEL_AVX512_H
#define KERNEL_X86_SMALL_PANEL_AVX512_H

#include "kernel/x86/panel_avx512.h"

PANEL_INLINE bool small_has_minimum(Format format)
{
    return format == Q4_1 || format == Q5_1;
}

PANEL_INLINE bool small_has_fifth_bits(Format format)
{
    return format == Q5_0 || format == Q5_1;
}

/* Words of a block: fifth bits, and the numbers. */
PANEL_INLINE size_t small_words(Format format)
{
    return format == Q8_0 ? 8 : small_has_fifth_bits(format) ? 5 : 4;
}

/* What is added to each weight to take its sign away is 2^shift. */
PANEL_INLINE unsigned small_offset_shift(Format format)
{
    return format == Q8_0 ? 7 : format == Q5_0 ? 4 : 3;
}

/* Numbers 4k to 4k + 3, without a sign: whole bytes, whose sign is turned over, which adds 128; or the lower halves of
 * bytes, then the upper ones, with fifth bits that are four neighbours of the first word. */
PANEL_INLINE __m512i small_weights(Format format, const uint32_t *words, unsigned k)
{
    if (format == Q8_0) return _mm512_xor_si512(word_at(words, (int)k), each_byte(0x80));
    const bool fifth = small_has_fifth_bits(format);
    const __m512i low = word_at(words, (int)(fifth + k % 4));
    const __m512i four = k < 4 ? low : _mm512_srli_epi32(low, 4);
    if (!fifth) return _mm512_and_si512(four, each_byte(15));
    return OR_MASKED(bits_over(_mm512_srli_epi32(word_at(words, 0), 4 * k)), four, each_byte(15));
}

PANEL_INLINE Group small_group(Format format, PanelBlock block)
{
    Group group = { .has_minimum = small_has_minimum(format), .shift = small_offset_shift(format) };
    group.scale = half_at(block.halves);
    if (group.has_minimum) group.minimum = half_at(block.halves + PANEL_ROWS);
    UNROLL_8 for (unsigned k = 0; k < 8; k++) group.w[k] = small_weights(format, block.words, k);
    return group;
}

/* The sums of a panel stay in registers for a run of blocks. */
PANEL_INLINE void small_product(Format format, float (*y)[STACK_ROWS], const void *stack, size_t panels,
                                const void *tile, size_t n, size_t n_cols)
{
    enum { RUN = RUN_VALUES / SMALL_VALUES };
    const size_t n_blocks = n_cols / SMALL_VALUES;
    clear(y, panels, n);
    for (size_t first = 0, run; first < n_blocks; first += run) {
        run = n_blocks - first < RUN ? n_blocks - first : RUN;
        for (size_t p = 0; p < panels; p++) {
            __m512 sum[TILE_ROWS];
            EACH_ROW sum[i] = sum_so_far(y, p, i);
            ROLLED for (size_t k = 0; k < run; k++) {
                const PanelBlock block = stack_block(stack, small_has_minimum(format) ? 2 : 1, small_words(format),
                                                     first * panels + p * run + k);
                const Group group = small_group(format, block);
                const XBlock x = x_block(tile, n, first + k);
                add_group(sum, &group, &x, n);
            }
            EACH_ROW keep_sum(y, p, i, sum[i]);
        }
    }
}

/* The kernel of one of these formats. */
#define SMALL_PANEL(lower, format)                                                                \
    PANEL_INLINE void product(float (*y)[STACK_ROWS], const void *stack, size_t panels,           \
                              const void *tile, size_t n, size_t n_cols)                          \
    {                                                                                             \
        small_product(format, y, stack, panels, tile, n, n_cols);                                 \
    }                                                                                             \
    PANEL_KERNEL(panel_##lower##_avx512)

#endif
