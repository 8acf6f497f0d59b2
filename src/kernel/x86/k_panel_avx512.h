/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/k_panel_avx512.h - the scales and minimums of sixteen rows of Q4_K or Q5_K. */
#ifndef KERNEL_X86_K_PANEL_AVX512_H
#define KERNEL_X86_K_PANEL_AVX512_H

#include "kernel/x86/panel_avx512.h"

/* What blocks.h says of one row (k_group), for four groups at a time. */
typedef struct KGroups {
    __m512  super_scale, super_minimum; /* a minimum is taken away: less than nothing       */
    __m512i scale[2], minimum[2];       /* byte j % 4 of [j / 4]: group j                  */
} KGroups;

PANEL_INLINE KGroups k_groups_at(const uint16_t *halves, const uint32_t *words)
{
    const __m512i a = word_at(words, 0), b = word_at(words, 1), c = word_at(words, 2);
    const __m512i six = each_byte(63), four = each_byte(15), two = each_byte(0x30);
    return (KGroups){
        .super_scale   = half_at(halves),
        .super_minimum = _mm512_xor_ps(half_at(halves + PANEL_ROWS), _mm512_set1_ps(-0.0f)),
        .scale   = { _mm512_and_si512(a, six),
                     _mm512_or_si512(_mm512_and_si512(c, four),
                                     _mm512_and_si512(_mm512_srli_epi32(a, 2), two)) },
        .minimum = { _mm512_and_si512(b, six),
                     _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi32(c, 4), four),
                                     _mm512_and_si512(_mm512_srli_epi32(b, 2), two)) }
    };
}

/* As the decoder has them: the half times the integer, rounded once. */
PANEL_INLINE __m512 k_scale(const KGroups *groups, unsigned j)
{
    return _mm512_mul_ps(groups->super_scale, byte_of(groups->scale[j / 4], j % 4));
}

PANEL_INLINE __m512 k_minimum(const KGroups *groups, unsigned j)
{
    return _mm512_mul_ps(groups->super_minimum, byte_of(groups->minimum[j / 4], j % 4));
}

/* The kernel of one of these formats, from its `group_at(words, groups, j)`. */
#define K_PANEL(name, n_words, group_at)                                                          \
    PANEL_INLINE void product(float (*y)[STACK_ROWS], const void *stack, size_t panels,           \
                              const void *tile, size_t n, size_t n_cols)                          \
    {                                                                                             \
        const size_t n_blocks = n_cols / SUPER_VALUES;                                            \
        clear(y, panels, n);                                                                      \
        EACH_BLOCK {                                                                              \
            const PanelBlock block = stack_block(stack, 2, n_words, b * panels + p);              \
            const KGroups groups = k_groups_at(block.halves, block.words);                        \
            __m512 sum[TILE_ROWS];                                                                \
            EACH_ROW sum[i] = sum_so_far(y, p, i);                                                \
            UNROLL_8 for (unsigned j = 0; j < 8; j++) {                                           \
                const XBlock x = x_block(tile, n, 8 * b + j);                                     \
                const Group group = group_at(block.words, &groups, j);                            \
                add_group(sum, &group, &x, n);                                                    \
            }                                                                                     \
            EACH_ROW keep_sum(y, p, i, sum[i]);                                                   \
        }                                                                                         \
    }                                                                                             \
    PANEL_KERNEL(name)

#endif
