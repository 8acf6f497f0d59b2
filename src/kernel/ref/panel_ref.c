/* SPDX-License-Identifier: Apache-2.0
 * kernel/ref/panel_ref.c - what the product of a stack of panels and a tile means: the numbers both stand for,
 * multiplied and added in double.
 *
 * A decoded weight and a decoded activation are floats (each rounded once), their product is exact in
 * double, so the one rounding at the end is all that remains visible.  Faster twins multiply integers
 * and scale afterwards: they round elsewhere, and tests/kernel derives by how much. */
#include "kernel/ref/ref.h"

#include "number/blocks.h"

#include <math.h>
#include <string.h>

/* q = nearest(x * 127 / largest), ties to even: every instruction set gives the same bytes. */
void quantize_x_ref(void *tile, size_t n, size_t i, const float *x, size_t n_values)
{
    for (size_t b = 0; b < n_values / X_BLOCK; b++, x += X_BLOCK) {
        const XBlock to = x_block(tile, n, b);
        int8_t *q = (int8_t *)to.q + i * X_BLOCK;
        float largest = 0.0f;
        for (int k = 0; k < X_BLOCK; k++)       /* nothing is larger than a NaN: it stays       */
            if (fabsf(x[k]) > largest || isnan(x[k])) largest = fabsf(x[k]);
        const bool finite = largest <= 0x1.fffffep127f;
        /* 127 / largest would overflow: numbers this small beside nothing larger are taken for 0. */
        const bool tiny = largest < 0x1p-100f;
        const float inverse = finite && !tiny ? 127.0f / largest : 0.0f;
        int sum = 0, sum_low = 0;
        for (int k = 0; k < X_BLOCK; k++) {
            q[k] = finite ? (int8_t)rintf(x[k] * inverse) : 0;
            sum += q[k];
            if (k == X_BLOCK / 2 - 1) sum_low = sum;
        }
        const float scale = !finite ? NAN : tiny ? 0.0f : largest / 127.0f;
        ((float *)to.scale)[i] = scale;
        ((float *)to.sum)[i] = scale * (float)sum;
        ((int32_t *)to.minus)[i] = -sum;
        ((int32_t *)to.minus_low)[i] = -sum_low;
    }
}

/* ---- weights with blocks ---- */

/* Numbers [at, at + count) of row i of a tile, decoded; whole blocks. */
static void decode_x(float *to, const void *tile, size_t n, size_t i, size_t at, size_t count)
{
    for (size_t b = at / X_BLOCK; b < (at + count) / X_BLOCK; b++) {
        const XBlock x = x_block(tile, n, b);
        for (int k = 0; k < X_BLOCK; k++) *to++ = x.scale[i] * (float)x.q[i * X_BLOCK + (size_t)k];
    }
}

static void panel_blocks(float (*y)[STACK_ROWS], const void *stack, size_t panels, const void *tile, size_t n,
                         size_t n_cols, Format format)
{
    const size_t values = (size_t)format_info[format].block_values, n_blocks = n_cols / values;
    for (size_t r = 0; r < panels * PANEL_ROWS; r++) {
        double sum[TILE_ROWS] = { 0 };
        for (size_t b = 0; b < n_blocks; b++) {
            _Alignas(8) char block[sizeof(BlockQ6_K)];          /* the largest                 */
            float w[SUPER_VALUES], x[SUPER_VALUES];
            stack_row_block(block, format, (int64_t)n_cols, stack, (int64_t)(panels * PANEL_ROWS), (int64_t)r,
                            (int64_t)b);
            format_info[format].decode(w, block, values);
            for (size_t i = 0; i < n; i++) {
                decode_x(x, tile, n, i, b * values, values);
                for (size_t k = 0; k < values; k++) sum[i] += (double)w[k] * (double)x[k];
            }
        }
        for (size_t i = 0; i < n; i++) y[i][r] = (float)sum[i];
    }
}

/* ---- weights without ---- */

static float float_at(Format format, const void *stack, size_t at)
{
    return format == F32   ? ((const float *)stack)[at]
           : format == F16 ? f16_to_f32(((const uint16_t *)stack)[at])
                           : bf16_to_f32(((const uint16_t *)stack)[at]);
}

static void panel_floats(float (*y)[STACK_ROWS], const void *stack, size_t panels, const void *tile, size_t n,
                         size_t n_cols, Format format)
{
    const float *x = tile;
    const size_t line = PANEL_LINE / (size_t)format_info[format].block_bytes;
    for (size_t r = 0; r < panels * PANEL_ROWS; r++) {
        double sum[TILE_ROWS] = { 0 };
        for (size_t k = 0; k < n_cols; k++) {
            const float w = float_at(format, stack, stack_float(line, n_cols, r, k));
            for (size_t i = 0; i < n; i++) sum[i] += (double)w * (double)x[i * n_cols + k];
        }
        for (size_t i = 0; i < n; i++) y[i][r] = (float)sum[i];
    }
}

/* ---- the kernels ---- */

#define PANEL(lower, format, product)                                                                          \
    void panel_##lower##_ref(float (*y)[STACK_ROWS], const void *stack, size_t panels, const void *tile,       \
                             size_t n, size_t n_cols)                                                          \
    {                                                                                                          \
        product(y, stack, panels, tile, n, n_cols, format);                                                    \
    }
PANEL(f32, F32, panel_floats)
PANEL(f16, F16, panel_floats)
PANEL(bf16, BF16, panel_floats)
PANEL(q4_0, Q4_0, panel_blocks)
PANEL(q4_1, Q4_1, panel_blocks)
PANEL(q5_0, Q5_0, panel_blocks)
PANEL(q5_1, Q5_1, panel_blocks)
PANEL(q8_0, Q8_0, panel_blocks)
PANEL(q2_k, Q2_K, panel_blocks)
PANEL(q3_k, Q3_K, panel_blocks)
PANEL(q4_k, Q4_K, panel_blocks)
PANEL(q5_k, Q5_K, panel_blocks)
PANEL(q6_k, Q6_K, panel_blocks)
