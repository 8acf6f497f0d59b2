/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/k_panel_avx512.h - the scales and minimums of sixteen rows of Q4_K or Q5_K. */
#ifndef KERNEL_X86_K_PANEL_AVX512_H
#define KERNEL_X86_K_PANEL_AVX512_H

#include "kernel/x86/panel_avx512.h"

/* What blocks.h says of one row (k_group), for four groups at a time. */
typedef struct KGroups {
    __m512  super_scale, super_minimum;
    __m512i scale[2], minimum[2];       /* byte j % 4 of [j / 4]: group j                  */
} KGroups;

PANEL_INLINE KGroups k_groups_at(const uint16_t *halves, const uint32_t *words)
{
    const __m512i a = word_at(words, 0), b = word_at(words, 1), c = word_at(words, 2);
    const __m512i six = each_byte(63), four = each_byte(15), two = each_byte(0x30);
    return (KGroups){
        .super_scale   = half_at(halves),
        .super_minimum = half_at(halves + PANEL_ROWS),
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

PANEL_INLINE void add_group(__m512 sum[], const __m512i dot[], __m512 scale, __m512 minimum,
                            const XBlock *x, size_t n)
{
    EACH_ROW sum[i] = add_dot(sum[i], dot[i], scale, x, i);
    EACH_ROW sum[i] = less_minimum(sum[i], minimum, x, i);
}

#endif
