/* SPDX-License-Identifier: Apache-2.0
 * kernel/arm/panel_float_neon.c - panels of weights without blocks (F32, F16, BF16), NEON.
 *
 * Such a panel is sixteen rows one after another, so lanes are columns.
 *
 * ORDER panel_f32, panel_f16, panel_bf16: column k goes to lane k % 8 of one sum, by fused multiply-add in order of k,
 * the last partial eight with zeros; then sum_lanes. */
#include "kernel/arm/neon.h"

#define INLINE static inline __attribute__((always_inline))

/* Rows of the panel and of the tile that meet in registers: their sums take sixteen of thirty-two. */
enum { MEET_W = 4, MEET_X = 2 };

INLINE size_t bytes_per_weight(Format format)
{
    return format == F32 ? sizeof(float) : sizeof(uint16_t);
}

INLINE Eight weights(Format format, const char *w)
{
    if (format == F32) return load_8((const float *)(const void *)w);
    const uint16x8_t halves = vld1q_u16((const uint16_t *)(const void *)w);
    const uint16x4_t low = vget_low_u16(halves), high = vget_high_u16(halves);
    if (format == F16)
        return (Eight){ vcvt_f32_f16(vreinterpret_f16_u16(low)), vcvt_f32_f16(vreinterpret_f16_u16(high)) };
    return (Eight){ vreinterpretq_f32_u32(vshll_n_u16(low, 16)), vreinterpretq_f32_u32(vshll_n_u16(high, 16)) };
}

INLINE Eight first_weights(Format format, const char *w, size_t n)
{
    _Alignas(16) char some[EIGHT * sizeof(float)] = { 0 };
    memcpy(some, w, n * bytes_per_weight(format));
    return weights(format, some);
}

/* MEET_W rows of the panel from row r, and `many` of the tile. */
INLINE void meet(Format format, float (*y)[STACK_ROWS], size_t r, const char *w, const float *x, size_t many,
                 size_t n_cols)
{
    const size_t row_bytes = n_cols * bytes_per_weight(format), whole = n_cols / EIGHT * EIGHT, rest = n_cols - whole;
    Eight sum[MEET_W][MEET_X];
    w += r * row_bytes;
    UNROLL for (size_t a = 0; a < MEET_W; a++) {
        UNROLL for (size_t k = 0; k < many; k++) sum[a][k] = each_of_8(0.0f);
    }
    for (size_t c = 0; c < whole; c += EIGHT) {
        UNROLL for (size_t a = 0; a < MEET_W; a++) {
            const Eight of_w = weights(format, w + a * row_bytes + c * bytes_per_weight(format));
            UNROLL for (size_t k = 0; k < many; k++)
                sum[a][k] = add_product(sum[a][k], of_w, load_8(x + k * n_cols + c));
        }
    }
    UNROLL for (size_t a = 0; rest && a < MEET_W; a++) {
        const Eight of_w = first_weights(format, w + a * row_bytes + whole * bytes_per_weight(format), rest);
        UNROLL for (size_t k = 0; k < many; k++)
            sum[a][k] = add_product(sum[a][k], of_w, load_some(x + k * n_cols + whole, rest));
    }
    UNROLL for (size_t a = 0; a < MEET_W; a++) {
        UNROLL for (size_t k = 0; k < many; k++) y[k][r + a] = sum_lanes(sum[a][k]);
    }
}

INLINE void product(Format format, float (*y)[STACK_ROWS], const char *w, const float *x, size_t n, size_t n_cols)
{
    for (size_t r = 0; r < PANEL_ROWS; r += MEET_W) {
        size_t i = 0;
        for (; i + MEET_X <= n; i += MEET_X) meet(format, y + i, r, w, x + i * n_cols, MEET_X, n_cols);
        if (i < n) meet(format, y + i, r, w, x + i * n_cols, 1, n_cols);
    }
}

#define PANEL(lower, format)                                                                       \
    void panel_##lower##_neon(float (*y)[STACK_ROWS], const void *stack, size_t panels,             \
                            const void *tile, size_t n, size_t n_cols)                             \
    {                                                                                              \
        for (size_t p = 0; p < panels; p++)                                                        \
            product(format, (float (*)[STACK_ROWS])&y[0][p * PANEL_ROWS],                          \
                    (const char *)stack + p * PANEL_ROWS * n_cols * bytes_per_weight(format), tile, n, n_cols); \
    }
PANEL(f32, F32)
PANEL(f16, F16)
PANEL(bf16, BF16)
