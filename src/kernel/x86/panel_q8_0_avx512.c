/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/panel_q8_0_avx512.c - panels of Q8_0, AVX-512.
 *
 * Cost: ten multiplications (8 products, scales, sum): 80 %. */
#include "kernel/x86/panel_avx512.h"
#include "kernel/x86/x86.h"

enum { N_HALVES = 1, N_WORDS = 8 };

PANEL_INLINE void product(float (*y)[STACK_ROWS], const void *stack, size_t panels,
                          const void *tile, size_t n, size_t n_cols)
{
    const size_t n_blocks = n_cols / SMALL_VALUES;
    const __m512i signs = each_byte(0x80);
    clear(y, panels, n);
    EACH_BLOCK {
        const PanelBlock block = stack_block(stack, N_HALVES, N_WORDS, b * panels + p);
        __m512 sum[TILE_ROWS];
        EACH_ROW sum[i] = sum_so_far(y, p, i);
        const XBlock x = x_block(tile, n, b);
        __m512i dot[TILE_ROWS];
        /* Turning the sign over adds 128 to each weight. */
        EACH_ROW dot[i] = less_offset(x.minus[i], 7);
        UNROLL_8 for (int k = 0; k < N_WORDS; k++) {
            const __m512i w = _mm512_xor_si512(word_at(block.words, k), signs);
            EACH_ROW dot[i] = dot_4(dot[i], w, &x, i, k);
        }
        const __m512 scale = half_at(block.halves);
        EACH_ROW sum[i] = add_dot(sum[i], dot[i], scale, &x, i);
        EACH_ROW keep_sum(y, p, i, sum[i]);
    }
}

PANEL_KERNEL(panel_q8_0_avx512)
