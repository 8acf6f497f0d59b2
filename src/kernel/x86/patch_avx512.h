/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/patch_avx512.h - a patch with AVX-512, whatever its words are.  For patch_*avx512.c only.
 *
 * ORDER patch_f32, patch_bf16: one chain of words for each answer, in order, from what c holds.
 *
 * Cost: ROWS rows of the answer meet a whole strip in registers: 16 sums, so that 10 loads serve 16 multiplications,
 * and a strip is read once for eight rows. */
#ifndef KERNEL_X86_PATCH_AVX512_H
#define KERNEL_X86_PATCH_AVX512_H

#include "kernel/x86/avx512.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

enum { LANES = 16, ROWS = 8 };

typedef __m512 AddWord(__m512 sum, const int32_t *a, __m512i b);

/* `rows` rows from i. */
INLINE void meet(AddWord *add_word, const Patch *p, size_t i, size_t rows, size_t a_row, size_t a_word)
{
    const int32_t *a = (const int32_t *)p->a + i * a_row, *b = p->b;
    const __mmask16 first = first_lanes_16(p->n < LANES ? p->n : LANES),
                    second = first_lanes_16(p->n < LANES ? 0 : p->n - LANES);
    float *c = p->c + i * p->c_row;
    __m512 low[ROWS], high[ROWS];
    UNROLL for (size_t r = 0; r < rows; r++) {
        low[r] = high[r] = _mm512_setzero_ps();
        if (!p->adds) continue;
        low[r] = _mm512_maskz_loadu_ps(first, c + r * p->c_row);
        high[r] = _mm512_maskz_loadu_ps(second, c + r * p->c_row + LANES);
    }
    for (size_t w = 0; w < p->n_words; w++, a += a_word, b += STRIP) {
        const __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + LANES);
        UNROLL for (size_t r = 0; r < rows; r++) {
            low[r] = add_word(low[r], a + r * a_row, b0);
            high[r] = add_word(high[r], a + r * a_row, b1);
        }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
        _mm512_mask_storeu_ps(c + r * p->c_row, first, low[r]);
        _mm512_mask_storeu_ps(c + r * p->c_row + LANES, second, high[r]);
    }
}

INLINE void patch(AddWord *add_word, const Patch *p, size_t a_row, size_t a_word)
{
    size_t i = 0;
    for (; i + ROWS <= p->m; i += ROWS) meet(add_word, p, i, ROWS, a_row, a_word);
    switch (p->m - i) {
    case 1: meet(add_word, p, i, 1, a_row, a_word); break;
    case 2: meet(add_word, p, i, 2, a_row, a_word); break;
    case 3: meet(add_word, p, i, 3, a_row, a_word); break;
    case 4: meet(add_word, p, i, 4, a_row, a_word); break;
    case 5: meet(add_word, p, i, 5, a_row, a_word); break;
    case 6: meet(add_word, p, i, 6, a_row, a_word); break;
    case 7: meet(add_word, p, i, 7, a_row, a_word); break;
    }
}

/* The two ways in which rows come: as they lie, or out of a strip. */
#define PATCH(name, add_word)                                                                      \
    void name(const Patch *p)                                                                      \
    {                                                                                              \
        if (p->a_row == 1 && p->a_word == STRIP) patch(add_word, p, 1, STRIP);                     \
        else if (p->a_word == 1) patch(add_word, p, p->a_row, 1);                                  \
        else patch(add_word, p, p->a_row, p->a_word);                                              \
    }

#endif
