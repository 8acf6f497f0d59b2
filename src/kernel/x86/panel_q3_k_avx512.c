/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/panel_q3_k_avx512.c - panels of Q3_K, AVX-512.
 *
 * The two bits of odd pairs of groups are taken from where they stand, or four above: their products are
 * four times too large.  So are made the small scales of even pairs, and the scale of the block a
 * quarter of what it is.
 *
 * ORDER panel_q3_k: a chain over the eight pairs of groups of a block, then one over the blocks.
 * Cost: ten multiplications (8 products, small scales, sum) and one for 256 numbers: 79 %. */
#include "kernel/x86/k16_panel_avx512.h"
#include "kernel/x86/x86.h"

enum { N_HALVES = 1, N_WORDS = 27, LOW_WORDS = 8, GROUP_WORDS = 24 };

/* Word k of the pair j of groups: two bits, and bit j of the first words over them; times four when j
 * is odd. */
PANEL_INLINE __m512i weights(const uint32_t *words, unsigned j, int k)
{
    const __m512i low = word_at(words, panel_place(Q3_K, LOW_WORDS + 8 * (int)(j / 4) + k)),
                  high = word_at(words, panel_place(Q3_K, k));
    const unsigned from = j, to = j % 2 ? 4 : 2;
    const __m512i two = _mm512_and_si512(j % 4 < 2 ? low : _mm512_srli_epi32(low, 4),
                                         each_byte(j % 2 ? 12 : 3));
    const __m512i bit = from < to ? _mm512_slli_epi32(high, to - from)
                                  : _mm512_srli_epi32(high, from - to);
    return OR_MASKED(two, bit, each_byte(1u << to));
}

/* Small scales 4q to 4q + 3, a byte each, 32 too large: what q3_k_scales does for one row. */
PANEL_INLINE __m512i scale_bytes(const uint32_t *words, int q)
{
    const __m512i low = word_at(words, panel_place(Q3_K, GROUP_WORDS + q % 2)),
                  high = word_at(words, panel_place(Q3_K, GROUP_WORDS + 2));
    const __m512i four =
        _mm512_and_si512(q < 2 ? low : _mm512_srli_epi32(low, 4), each_byte(15));
    const __m512i two = q < 2 ? _mm512_slli_epi32(high, q == 0 ? 4 : 2)
                              : _mm512_srli_epi32(high, q == 2 ? 0 : 2);
    return OR_MASKED(four, two, each_byte(0x30));
}

PANEL_INLINE TwoGroups two_groups_at(const uint32_t *words, unsigned j)
{
    const __m512i small = _mm512_sub_epi16(
        byte_pair(scale_bytes(words, (int)(j / 2)), (int)(j % 2)), _mm512_set1_epi16(32));
    TwoGroups two = { .scales = j % 2 ? small : _mm512_slli_epi16(small, 2), .shift = j % 2 ? 4 : 2 };
    UNROLL_8 for (int k = 0; k < 8; k++) two.w[k] = weights(words, j, k);
    return two;
}

PANEL_INLINE void product(float (*y)[STACK_ROWS], const void *stack, size_t panels,
                          const void *tile, size_t n, size_t n_cols)
{
    const size_t n_blocks = n_cols / SUPER_VALUES;
    clear(y, panels, n);
    EACH_BLOCK {
        const PanelBlock block = stack_block(stack, N_HALVES, N_WORDS, b * panels + p);
        __m512 sum[TILE_ROWS];
        HalfStarts starts;
        half_starts(&starts, tile, n, b, 2, 4);
        EACH_ROW sum[i] = _mm512_setzero_ps();
        UNROLL_8 for (unsigned j = 0; j < 8; j++) {
            const XBlock x = x_block(tile, n, 8 * b + j);
            const TwoGroups two = two_groups_at(block.words, j);
            add_two_groups(sum, &two, &starts, j, &x, n);
        }
        const __m512 scale = _mm512_mul_ps(half_at(block.halves), _mm512_set1_ps(0.25f));
        EACH_ROW keep_sum(y, p, i, _mm512_fmadd_ps(scale, sum[i], sum_so_far(y, p, i)));
    }
}

PANEL_KERNEL(panel_q3_k_avx512)
