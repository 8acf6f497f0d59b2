/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/panel_q4_k_avx512.c - panels of Q4_K, AVX-512.
 *
 * The upper four bits of a byte stay where they are: their products are sixteen times too large, and
 * the scale of their group is divided by sixteen, exactly.
 *
 * Cost: eleven multiplications (8 products, scales, sum, minimum) and two for a tile: 71 %. */
#include "kernel/x86/k_panel_avx512.h"
#include "kernel/x86/x86.h"

enum { N_WORDS = 35, GROUP_WORDS = 3 };

/* Groups 2q and 2q + 1 are the lower and the upper halves of the same eight words. */
PANEL_INLINE Group group_at(const uint32_t *words, const KGroups *groups, unsigned j)
{
    const uint32_t *from = words + (GROUP_WORDS + j / 2 * 8) * PANEL_ROWS;
    Group group = { .has_minimum = true, .scale = k_scale(groups, j), .minimum = k_minimum(groups, j) };
    if (j % 2 == 1) group.scale = _mm512_mul_ps(group.scale, _mm512_set1_ps(0.0625f));
    UNROLL_8 for (int k = 0; k < 8; k++)
        group.w[k] = _mm512_and_si512(word_at(from, k), each_byte(j % 2 == 1 ? 0xf0 : 0x0f));
    return group;
}

K_PANEL(panel_q4_k_avx512, N_WORDS, group_at)
