/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/panel_float_avx2.c - panels of weights without blocks (F32, F16, BF16), AVX2.
 *
 * As panel_float_avx512.c, which says why, with eight lanes, and three rows of the tile at a time: sixteen
 * registers have no room for more.
 *
 * ORDER panel_f32, panel_f16, panel_bf16: column k goes to lane k % 8 of one sum, by fused multiply-add
 * in order of k, the last partial eight with zeros; then sum_lanes. */
#include "kernel/x86/avx2.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

enum { LANES = 8, COLS = 256, MEET_W = 4, MEET_X = 3 };

/* ---- eight weights of a row, as floats ---- */

INLINE size_t bytes_per_weight(Format format)
{
    return format == F32 ? sizeof(float) : sizeof(uint16_t);
}

INLINE __m256 weights(Format format, const char *w)
{
    if (format == F32) return _mm256_loadu_ps((const float *)(const void *)w);
    const __m128i halves = _mm_loadu_si128((const __m128i *)(const void *)w);
    if (format == F16) return _mm256_cvtph_ps(halves);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

/* There are no masked loads of two bytes. */
INLINE __m256 first_weights(Format format, const char *w, size_t n)
{
    char some[LANES * sizeof(float)] = { 0 };
    memcpy(some, w, n * bytes_per_weight(format));
    return weights(format, some);
}

/* ---- one row of activations: half of the panel's rows at a time, straight through ---- */

INLINE void one_row(Format format, float y[PANEL_ROWS], const char *w, const float *x, size_t n_cols)
{
    const size_t row_bytes = n_cols * bytes_per_weight(format), whole = n_cols / LANES * LANES, rest = n_cols - whole;
    for (size_t r = 0; r < PANEL_ROWS; r += 8, w += 8 * row_bytes) {
        __m256 sum[8];
        UNROLL for (size_t k = 0; k < 8; k++) sum[k] = _mm256_setzero_ps();
        for (size_t c = 0; c < whole; c += LANES) {
            const __m256 of_x = _mm256_loadu_ps(x + c);
            UNROLL for (size_t k = 0; k < 8; k++)
                sum[k] = _mm256_fmadd_ps(
                    weights(format, w + k * row_bytes + c * bytes_per_weight(format)), of_x, sum[k]);
        }
        if (rest) {
            const __m256 of_x = _mm256_maskload_ps(x + whole, first_lanes(rest));
            const char *last = w + whole * bytes_per_weight(format);
            UNROLL for (size_t k = 0; k < 8; k++)
                sum[k] = _mm256_fmadd_ps(first_weights(format, last + k * row_bytes, rest), of_x, sum[k]);
        }
        UNROLL for (size_t k = 0; k < 8; k++) y[r + k] = sum_lanes(sum[k]);
    }
}

/* ---- several rows ---- */

/* COLS columns, or what is left of them. */
typedef struct Part {
    size_t row_bytes, n_whole, rest;            /* whole eights, and columns behind them   */
    size_t n;
    __m256 x[COLS / LANES][TILE_ROWS];          /* [eights][n], zeros behind the last      */
} Part;

static void gather_x(Part *part, const float *x, size_t n_cols)
{
    for (size_t i = 0; i < part->n; i++, x += n_cols) {
        for (size_t v = 0; v < part->n_whole; v++) part->x[v][i] = _mm256_loadu_ps(x + LANES * v);
        if (part->rest)
            part->x[part->n_whole][i] = _mm256_maskload_ps(x + LANES * part->n_whole, first_lanes(part->rest));
    }
}

/* MEET_W rows of the panel and `many` of the tile, from row i. */
INLINE void meet(Format format, __m256 (*sums)[TILE_ROWS], const Part *part, const char *w, size_t i, size_t many)
{
    __m256 sum[MEET_W][MEET_X];
    UNROLL for (size_t r = 0; r < MEET_W; r++) {
        UNROLL for (size_t k = 0; k < many; k++) sum[r][k] = sums[r][i + k];
    }
    for (size_t v = 0; v < part->n_whole; v++, w += LANES * bytes_per_weight(format)) {
        UNROLL for (size_t r = 0; r < MEET_W; r++) {
            const __m256 of_w = weights(format, w + r * part->row_bytes);
            UNROLL for (size_t k = 0; k < many; k++)
                sum[r][k] = _mm256_fmadd_ps(of_w, part->x[v][i + k], sum[r][k]);
        }
    }
    if (part->rest)
        UNROLL for (size_t r = 0; r < MEET_W; r++) {
            const __m256 of_w = first_weights(format, w + r * part->row_bytes, part->rest);
            UNROLL for (size_t k = 0; k < many; k++)
                sum[r][k] = _mm256_fmadd_ps(of_w, part->x[part->n_whole][i + k], sum[r][k]);
        }
    UNROLL for (size_t r = 0; r < MEET_W; r++) {
        UNROLL for (size_t k = 0; k < many; k++) sums[r][i + k] = sum[r][k];
    }
}

INLINE void some_rows(Format format, float (*y)[STACK_ROWS], const char *w, const float *x, size_t n, size_t n_cols)
{
    __m256 sums[PANEL_ROWS][TILE_ROWS];
    Part part = { .row_bytes = n_cols * bytes_per_weight(format), .n = n };
    for (size_t r = 0; r < PANEL_ROWS; r++)
        for (size_t i = 0; i < n; i++) sums[r][i] = _mm256_setzero_ps();
    for (size_t begin = 0; begin < n_cols; begin += COLS) {
        const size_t count = n_cols - begin < COLS ? n_cols - begin : COLS;
        part.n_whole = count / LANES;
        part.rest = count % LANES;
        gather_x(&part, x + begin, n_cols);
        for (size_t r = 0; r < PANEL_ROWS; r += MEET_W) {
            const char *at = w + r * part.row_bytes + begin * bytes_per_weight(format);
            size_t i = 0;
            for (; i + MEET_X <= n; i += MEET_X) meet(format, sums + r, &part, at, i, MEET_X);
            if (i + 2 == n) meet(format, sums + r, &part, at, i, 2);
            if (i + 1 == n) meet(format, sums + r, &part, at, i, 1);
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < PANEL_ROWS; r++) y[i][r] = sum_lanes(sums[r][i]);
}

#define PANEL(lower, format)                                                                       \
    void panel_##lower##_avx2(float (*y)[STACK_ROWS], const void *stack, size_t panels,             \
                            const void *tile, size_t n, size_t n_cols)                             \
    {                                                                                              \
        const char *w = stack;                                                                     \
        for (size_t p = 0; p < panels; p++, w += PANEL_ROWS * n_cols * bytes_per_weight(format))   \
            if (n == 1) one_row(format, y[0] + p * PANEL_ROWS, w, tile, n_cols);                   \
            else some_rows(format, (float (*)[STACK_ROWS])&y[0][p * PANEL_ROWS], w, tile, n, n_cols);  \
    }
PANEL(f32, F32)
PANEL(f16, F16)
PANEL(bf16, BF16)
