/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/panel_q4_k_avx512.c - panels of Q4_K, AVX-512.
 *
 * The upper four bits of a byte stay where they are: their products are sixteen times too large, and
 * the scale of their group is divided by sixteen, exactly.
 *
 * Cost: eleven multiplications (8 products, scales, sum, minimum) and two for each eight rows: 71 %. */
#include "kernel/x86/k_panel_avx512.h"
#include "kernel/x86/x86.h"

enum { N_HALVES = 2, N_WORDS = 35, GROUP_WORDS = 3, QUARTER_WORDS = 8 };

/* 64 numbers: the lower halves of eight words meet one block of a tile, the upper halves the next. */
PANEL_INLINE void quarter(__m512 sum[], const uint32_t *words, const KGroups *groups, unsigned j,
                          const XBlock *x, const XBlock *next_x, size_t n)
{
    __m512i dot[TILE_ROWS], next_dot[TILE_ROWS];
    EACH_ROW dot[i] = next_dot[i] = _mm512_setzero_si512();
    UNROLL_8 for (int k = 0; k < QUARTER_WORDS; k++) {
        const __m512i w = word_at(words, k);
        const __m512i low = _mm512_and_si512(w, each_byte(15));
        const __m512i high = _mm512_and_si512(w, each_byte(0xf0));
        EACH_ROW dot[i] = dot_4(dot[i], low, x, i, k);
        EACH_ROW next_dot[i] = dot_4(next_dot[i], high, next_x, i, k);
    }
    add_group(sum, dot, k_scale(groups, j), k_minimum(groups, j), x, n);
    add_group(sum, next_dot, _mm512_mul_ps(k_scale(groups, j + 1), _mm512_set1_ps(0.0625f)),
              k_minimum(groups, j + 1), next_x, n);
}

PANEL_INLINE void product(float (*y)[STACK_ROWS], const void *stack, size_t panels,
                          const void *tile, size_t n, size_t n_cols)
{
    const size_t n_blocks = n_cols / SUPER_VALUES;
    clear(y, panels, n);
    EACH_BLOCK {
        const PanelBlock block = stack_block(stack, N_HALVES, N_WORDS, b * panels + p);
        __m512 sum[TILE_ROWS];
        EACH_ROW sum[i] = sum_so_far(y, p, i);
        const KGroups groups = k_groups_at(block.halves, block.words);
        UNROLL_8 for (unsigned j = 0; j < 8; j += 2) {
            const XBlock x = x_block(tile, n, 8 * b + j), next_x = x_block(tile, n, 8 * b + j + 1);
            quarter(sum, block.words + (GROUP_WORDS + j / 2 * QUARTER_WORDS) * PANEL_ROWS, &groups, j,
                    &x, &next_x, n);
        }
        EACH_ROW keep_sum(y, p, i, sum[i]);
    }
}

PANEL_KERNEL(panel_q4_k_avx512)
