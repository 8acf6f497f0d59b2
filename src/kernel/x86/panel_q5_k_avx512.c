/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/panel_q5_k_avx512.c - panels of Q5_K, AVX-512.
 *
 * Cost: eleven multiplications (8 products, scales, sum, minimum) and two for each tile: 71 %. */
#include "kernel/x86/k_panel_avx512.h"
#include "kernel/x86/x86.h"

enum { N_WORDS = 43, HIGH_WORDS = 3, LOW_WORDS = 11 };

/* Four bits in the lower half of each byte, and bit j of each byte of `high` over them. */
PANEL_INLINE __m512i weights(__m512i low, __m512i high, unsigned j)
{
    const __m512i bit = j < 4 ? _mm512_slli_epi32(high, 4 - j) : _mm512_srli_epi32(high, j - 4);
    return OR_MASKED(_mm512_and_si512(low, each_byte(15)), bit, each_byte(16));
}

/* Groups 2q and 2q + 1 are the lower and the upper halves of the same eight words, with other fifth bits. */
PANEL_INLINE Group group_at(const uint32_t *words, const KGroups *groups, unsigned j)
{
    Group group = { .has_minimum = true, .scale = k_scale(groups, j), .minimum = k_minimum(groups, j) };
    UNROLL_8 for (int k = 0; k < 8; k++) {
        const __m512i low = word_at(words, panel_place(Q5_K, LOW_WORDS + (int)j / 2 * 8 + k));
        const __m512i high = word_at(words, panel_place(Q5_K, HIGH_WORDS + k));
        group.w[k] = weights(j % 2 == 1 ? _mm512_srli_epi32(low, 4) : low, high, j);
    }
    return group;
}

K_PANEL(panel_q5_k_avx512, N_WORDS, group_at)
