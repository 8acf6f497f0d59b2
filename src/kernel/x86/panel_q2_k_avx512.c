/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/panel_q2_k_avx512.c - panels of Q2_K, AVX-512.
 *
 * ORDER panel_q2_k: in every block a chain over the sixteen minimums and one over the eight pairs of
 * groups; over the blocks one chain, each block's minimums before its products.
 * Cost: twelve multiplications (8 products, small scales, sum, two minimums) and two for 256 numbers:
 * 65 %. */
#include "kernel/x86/k16_panel_avx512.h"
#include "kernel/x86/x86.h"

enum { N_HALVES = 2, N_WORDS = 20, LOW_WORDS = 4 };

/* Products with two bits where they stand, or four above: four times too large when j is odd.  So are
 * the small scales of even pairs then, and the scale of the block is a quarter. */
PANEL_INLINE TwoGroups two_groups_at(const uint32_t *words, unsigned j)
{
    const uint32_t *low = words + (LOW_WORDS + 8 * (j / 4)) * PANEL_ROWS;
    const __m512i group = word_at(words, (int)(j / 2));
    const __m512i small = j % 2 ? _mm512_and_si512(group, each_byte(15))
                                : _mm512_and_si512(_mm512_slli_epi32(group, 2), each_byte(60));
    TwoGroups two = { .scales = byte_pair(small, (int)(j % 2)) };
    UNROLL_8 for (int k = 0; k < 8; k++) {
        const __m512i four = j % 4 < 2 ? word_at(low, k) : _mm512_srli_epi32(word_at(low, k), 4);
        two.w[k] = _mm512_and_si512(four, each_byte(j % 2 ? 12 : 3));
    }
    return two;
}

/* For both halves of each of eight blocks of a tile, the sum of the numbers, less than nothing. */
typedef struct MinusSums { float low[8][TILE_ROWS], high[8][TILE_ROWS]; } MinusSums;

PANEL_INLINE void minus_sums(MinusSums *to, const void *tile, size_t n, size_t b)
{
    const __mmask8 rows = (__mmask8)((1u << n) - 1);
    ROLLED for (size_t j = 0; j < 8; j++) {
        const XBlock x = x_block(tile, n, 8 * b + j);
        const __m256 scale = _mm256_maskz_loadu_ps(rows, x.scale);
        const __m256i low = _mm256_maskz_loadu_epi32(rows, x.minus_low);
        const __m256i high = _mm256_sub_epi32(_mm256_maskz_loadu_epi32(rows, x.minus), low);
        _mm256_storeu_ps(to->low[j], _mm256_mul_ps(scale, _mm256_cvtepi32_ps(low)));
        _mm256_storeu_ps(to->high[j], _mm256_mul_ps(scale, _mm256_cvtepi32_ps(high)));
    }
}

/* The upper halves of bytes 2 (j % 2) and the next are the minimums of the pair j. */
PANEL_INLINE void add_minimums(__m512 sum[], const uint32_t *words, unsigned j,
                               const MinusSums *minus, size_t n)
{
    const __m512i four =
        _mm512_and_si512(_mm512_srli_epi32(word_at(words, (int)(j / 2)), 4), each_byte(15));
    const __m512 first = byte_of(four, j % 2 * 2), second = byte_of(four, j % 2 * 2 + 1);
    EACH_ROW sum[i] = _mm512_fmadd_ps(first, _mm512_set1_ps(minus->low[j][i]), sum[i]);
    EACH_ROW sum[i] = _mm512_fmadd_ps(second, _mm512_set1_ps(minus->high[j][i]), sum[i]);
}

PANEL_INLINE void add_scaled(float (*y)[STACK_ROWS], size_t p, const __m512 sum[], __m512 scale, size_t n)
{
    EACH_ROW keep_sum(y, p, i, _mm512_fmadd_ps(scale, sum[i], sum_so_far(y, p, i)));
}

PANEL_INLINE void product(float (*y)[STACK_ROWS], const void *stack, size_t panels,
                          const void *tile, size_t n, size_t n_cols)
{
    const size_t n_blocks = n_cols / SUPER_VALUES;
    clear(y, panels, n);
    EACH_BLOCK {
        const PanelBlock block = stack_block(stack, N_HALVES, N_WORDS, b * panels + p);
        __m512 sum[TILE_ROWS];
        MinusSums minus;
        minus_sums(&minus, tile, n, b);
        EACH_ROW sum[i] = _mm512_setzero_ps();
        UNROLL_8 for (unsigned j = 0; j < 8; j++) add_minimums(sum, block.words, j, &minus, n);
        add_scaled(y, p, sum, half_at(block.halves + PANEL_ROWS), n);
        EACH_ROW sum[i] = _mm512_setzero_ps();
        UNROLL_8 for (unsigned j = 0; j < 8; j++) {
            const XBlock x = x_block(tile, n, 8 * b + j);
            const TwoGroups two = two_groups_at(block.words, j);
            add_two_groups(sum, &two, NULL, j, &x, n);
        }
        add_scaled(y, p, sum, _mm512_mul_ps(half_at(block.halves), _mm512_set1_ps(0.25f)), n);
    }
}

PANEL_KERNEL(panel_q2_k_avx512)
