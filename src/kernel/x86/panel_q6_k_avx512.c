/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/panel_q6_k_avx512.c - panels of Q6_K, AVX-512.
 *
 * The two groups of 32 numbers share a scale of activations, so their small scales are applied in
 * integers: at most 128 * 32 * (16 * 32 * 127), which is below 2^24 and needs no rounding either.
 *
 * ORDER panel_q6_k: a chain over the eight groups of 32 of a block, then one over the blocks.
 * Cost: eleven multiplications (8 products, two small scales, sum) and one for 256 numbers: 72 %. */
#include "kernel/x86/panel_avx512.h"
#include "kernel/x86/x86.h"

enum { N_HALVES = 1, N_WORDS = 52, HIGH_WORDS = 32, GROUP_WORDS = 48 };

/* Word k of group j of 32: four bits, and two more moved over them.  See blocks.h. */
PANEL_INLINE __m512i weights(const uint32_t *words, int j, int k)
{
    const int half = j / 4, run = j % 4;
    const __m512i low = word_at(words, panel_place(Q6_K, 16 * half + 8 * (run % 2) + k));
    const __m512i high = word_at(words, panel_place(Q6_K, HIGH_WORDS + 8 * half + k));
    const __m512i four =
        _mm512_and_si512(run < 2 ? low : _mm512_srli_epi32(low, 4), each_byte(15));
    const __m512i two = run == 0   ? _mm512_slli_epi32(high, 4)
                        : run == 1 ? _mm512_slli_epi32(high, 2)
                        : run == 2 ? high
                                   : _mm512_srli_epi32(high, 2);
    return OR_MASKED(four, two, each_byte(0x30));
}

/* Small scale 0 <= g < 16. */
PANEL_INLINE __m512i small_scale(const uint32_t *words, int g)
{
    const __m512i four = word_at(words, panel_place(Q6_K, GROUP_WORDS + g / 4));
    return _mm512_srai_epi32(_mm512_slli_epi32(four, (unsigned)(24 - 8 * (g % 4))), 24);
}

typedef struct TwoGroups { __m512i w[8], scale[2]; } TwoGroups;

/* m rows from row i on: see add_rows. */
PANEL_INLINE void add_sixteens(__m512 sum[], const TwoGroups *two, const HalfStarts *starts, size_t j,
                               const XBlock *x, size_t n, size_t i, size_t m)
{
    __m512i first[2], second[2];
    begin_halves(first, second, starts, j, 5, x, n, i, m);
    dot_halves(first, second, two->w, x, i, m);
    OF_PAIR {
        const __m512i dot = _mm512_add_epi32(_mm512_mullo_epi32(first[r], two->scale[0]),
                                             _mm512_mullo_epi32(second[r], two->scale[1]));
        sum[i + r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_set1_ps(x->scale[i + r]), sum[i + r]);
    }
}

PANEL_INLINE void add_two_groups(__m512 sum[], const uint32_t *words, int j, const HalfStarts *starts,
                                 const XBlock *block, size_t n)
{
    const XBlock x = with_numbers_near(block);
    TwoGroups two = { .scale = { small_scale(words, 2 * j), small_scale(words, 2 * j + 1) } };
    UNROLL_8 for (int k = 0; k < 8; k++) two.w[k] = weights(words, j, k);
    EACH_PAIR add_sixteens(sum, &two, starts, (size_t)j, &x, n, i, 2);
    if (n % 2) add_sixteens(sum, &two, starts, (size_t)j, &x, n, n - 1, 1);
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
        half_starts(&starts, tile, n, b, 5, 5);
        EACH_ROW sum[i] = _mm512_setzero_ps();
        UNROLL_8 for (int j = 0; j < 8; j++) {
            const XBlock x = x_block(tile, n, 8 * b + (size_t)j);
            add_two_groups(sum, block.words, j, &starts, &x, n);
        }
        const __m512 scale = half_at(block.halves);
        EACH_ROW keep_sum(y, p, i, _mm512_fmadd_ps(scale, sum[i], sum_so_far(y, p, i)));
    }
}

PANEL_KERNEL(panel_q6_k_avx512)
