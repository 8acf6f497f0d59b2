/* SPDX-License-Identifier: Apache-2.0
 * kernel/ref/patch_ref.c - the products of training, and how their sides are laid out. */
#include "kernel/ref/ref.h"

#include <math.h>

/* ---- patches: sums in double, rounded once ---- */

void patch_f32_ref(const Patch *p)
{
    const float *a = p->a, *b = p->b;
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            double sum = p->adds ? (double)p->c[i * p->c_row + j] : 0.0;
            for (size_t w = 0; w < p->n_words; w++)
                sum += (double)a[i * p->a_row + w * p->a_word] * (double)b[w * STRIP + j];
            p->c[i * p->c_row + j] = (float)sum;
        }
}

static double pair_product(uint32_t a, uint32_t b)
{
    return (double)bf16_to_f32((uint16_t)a) * (double)bf16_to_f32((uint16_t)b) +
           (double)bf16_to_f32((uint16_t)(a >> 16)) * (double)bf16_to_f32((uint16_t)(b >> 16));
}

void patch_bf16_ref(const Patch *p)
{
    const uint32_t *a = p->a, *b = p->b;
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            double sum = p->adds ? (double)p->c[i * p->c_row + j] : 0.0;
            for (size_t w = 0; w < p->n_words; w++)
                sum += pair_product(a[i * p->a_row + w * p->a_word], b[w * STRIP + j]);
            p->c[i * p->c_row + j] = (float)sum;
        }
}

/* ---- strips ---- */

void strip_rows_f32_ref(void *strip, const float *from, size_t from_row, size_t n_rows, size_t n_cols)
{
    float (*to)[STRIP] = strip;
    for (size_t w = 0; w < n_cols; w++)
        for (size_t i = 0; i < STRIP; i++) to[w][i] = i < n_rows ? from[i * from_row + w] : 0.0f;
}

static uint32_t word_of(float first, float second)
{
    return f32_to_bf16(first) | (uint32_t)f32_to_bf16(second) << 16;
}

void strip_rows_bf16_ref(void *strip, const float *from, size_t from_row, size_t n_rows, size_t n_cols)
{
    uint32_t (*to)[STRIP] = strip;
    for (size_t c = 0; c < n_cols; c += 2)
        for (size_t i = 0; i < STRIP; i++) {
            const float *x = i < n_rows ? from + i * from_row + c : NULL;
            to[c / 2][i] = x ? word_of(x[0], c + 1 < n_cols ? x[1] : 0.0f) : 0;
        }
}

void strip_cols_f32_ref(void *strips, size_t strip_words, const float *from, size_t from_row, size_t n_rows,
                        size_t n_cols)
{
    for (size_t s = 0; s * STRIP < n_cols; s++) {
        float (*to)[STRIP] = (float (*)[STRIP])strips + s * strip_words;
        for (size_t w = 0; w < n_rows; w++)
            for (size_t j = 0; j < STRIP; j++) {
                const size_t col = s * STRIP + j;
                to[w][j] = col < n_cols ? from[w * from_row + col] : 0.0f;
            }
    }
}

void strip_cols_bf16_ref(void *strips, size_t strip_words, const float *from, size_t from_row, size_t n_rows,
                         size_t n_cols)
{
    for (size_t s = 0; s * STRIP < n_cols; s++) {
        uint32_t (*to)[STRIP] = (uint32_t (*)[STRIP])strips + s * strip_words;
        for (size_t r = 0; r < n_rows; r += 2)
            for (size_t j = 0; j < STRIP; j++) {
                const size_t col = s * STRIP + j;
                const float *x = col < n_cols ? from + r * from_row + col : NULL;
                to[r / 2][j] = x ? word_of(x[0], r + 1 < n_rows ? x[from_row] : 0.0f) : 0;
            }
    }
}

void encode_bf16_ref(void *to, const float *from, size_t n)
{
    format_info[BF16].encode(to, from, n);
}

/* ---- SwiGLU, backwards ----
 *
 * y = g s(g) u with s the logistic function, s' = s (1 - s):  dy/dg = u s (1 + g (1 - s)),  dy/du = g s. */
void silu_back_ref(float *gate, float *up, const float *d, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double g = (double)gate[i], u = (double)up[i], s = 1.0 / (1.0 + exp(-g));
        gate[i] = (float)((double)d[i] * u * s * (1.0 + g * (1.0 - s)));
        up[i] = (float)((double)d[i] * g * s);
    }
}
