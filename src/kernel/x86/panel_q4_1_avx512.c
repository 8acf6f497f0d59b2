/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/panel_q4_1_avx512.c - panels of Q4_1, AVX-512.
 *
 * Cost: eleven multiplications (8 products, scales, sum, minimum): 73 %. */
#include "kernel/x86/panel_avx512.h"
#include "kernel/x86/x86.h"

enum { N_HALVES = 2, N_WORDS = 4 };

/* Numbers 4k to 4k + 3: lower halves of bytes, then upper halves. */
PANEL_INLINE __m512i weights(const uint32_t *words, unsigned k)
{
    const __m512i low = word_at(words, (int)(k % 4));
    return _mm512_and_si512(k < 4 ? low : _mm512_srli_epi32(low, 4), each_byte(15));
}

PANEL_INLINE void product(float (*y)[STACK_ROWS], const void *stack, size_t panels,
                          const void *tile, size_t n, size_t n_cols)
{
    const size_t n_blocks = n_cols / SMALL_VALUES;
    clear(y, panels, n);
    EACH_BLOCK {
        const PanelBlock block = stack_block(stack, N_HALVES, N_WORDS, b * panels + p);
        __m512 sum[TILE_ROWS];
        EACH_ROW sum[i] = sum_so_far(y, p, i);
        const XBlock x = x_block(tile, n, b);
        __m512i dot[TILE_ROWS];
        EACH_ROW dot[i] = _mm512_setzero_si512();
        UNROLL_8 for (unsigned k = 0; k < 8; k++) {
            const __m512i w = weights(block.words, k);
            EACH_ROW dot[i] = dot_4(dot[i], w, &x, i, (int)k);
        }
        const __m512 scale = half_at(block.halves);
        EACH_ROW sum[i] = add_dot(sum[i], dot[i], scale, &x, i);
        const __m512 minimum = half_at(block.halves + PANEL_ROWS);
        EACH_ROW sum[i] = add_minimum(sum[i], minimum, &x, i);
        EACH_ROW keep_sum(y, p, i, sum[i]);
    }
}

PANEL_KERNEL(panel_q4_1_avx512)
