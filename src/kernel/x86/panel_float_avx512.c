/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/panel_float_avx512.c - panels of weights without blocks (F32, F16, BF16), AVX-512.
 *
 * Such a panel is sixteen rows one after another, so lanes are columns.  The order is the same for all three: a model
 * whose router is F16 in one container and F32 in another gives the same bytes from both.  (With AVX2 panels of F16
 * would be faster, 93 against 76 Gop/s, as the conversion of halves takes twice the steps here.)
 *
 * ORDER panel_f32, panel_f16, panel_bf16: column k goes to lane k % 16 of one sum, by fused
 * multiply-add in order of k, the last partial sixteen with zeros; then sum_lanes_16.
 *
 * Cost: one row of activations waits for memory.  For more, four rows of the panel meet four of the
 * tile in registers, so that eight loads serve sixteen multiplications, and the columns are taken
 * COLS at a time, so that what is met again is still in the nearest cache. */
#include "kernel/x86/avx512.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

enum { LANES = 16, COLS = 256, MEET = 4 };

/* ---- sixteen weights of a row, as floats ---- */

INLINE size_t bytes_per_weight(Format format)
{
    return format == F32 ? sizeof(float) : sizeof(uint16_t);
}

INLINE __m512 widen(__m256i halves)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

INLINE __m512 weights(Format format, const char *w)
{
    if (format == F32) return _mm512_loadu_ps(w);
    const __m256i halves = _mm256_loadu_si256((const __m256i *)(const void *)w);
    return format == F16 ? _mm512_cvtph_ps(halves) : widen(halves);
}

INLINE __m512 first_weights(Format format, const char *w, __mmask16 some)
{
    if (format == F32) return _mm512_maskz_loadu_ps(some, w);
    const __m256i halves = _mm256_maskz_loadu_epi16(some, w);
    return format == F16 ? _mm512_cvtph_ps(halves) : widen(halves);
}

/* ---- one row of activations: half of the panel's rows at a time, straight through ---- */

INLINE void one_row(Format format, float y[PANEL_ROWS], const char *w, const float *x, size_t n_cols)
{
    const size_t row_bytes = n_cols * bytes_per_weight(format), whole = n_cols / LANES * LANES;
    const __mmask16 some = first_lanes_16(n_cols - whole);
    for (size_t r = 0; r < PANEL_ROWS; r += 8, w += 8 * row_bytes) {
        __m512 sum[8];
        UNROLL for (size_t k = 0; k < 8; k++) sum[k] = _mm512_setzero_ps();
        for (size_t c = 0; c < whole; c += LANES) {
            const __m512 of_x = _mm512_loadu_ps(x + c);
            UNROLL for (size_t k = 0; k < 8; k++)
                sum[k] = _mm512_fmadd_ps(
                    weights(format, w + k * row_bytes + c * bytes_per_weight(format)), of_x, sum[k]);
        }
        if (some) {
            const __m512 of_x = _mm512_maskz_loadu_ps(some, x + whole);
            const char *last = w + whole * bytes_per_weight(format);
            UNROLL for (size_t k = 0; k < 8; k++)
                sum[k] = _mm512_fmadd_ps(first_weights(format, last + k * row_bytes, some), of_x, sum[k]);
        }
        UNROLL for (size_t k = 0; k < 8; k++) y[r + k] = sum_lanes_16(sum[k]);
    }
}

/* ---- several rows ---- */

/* COLS columns, or what is left of them. */
typedef struct Part {
    size_t    row_bytes, n_whole;               /* whole sixteens                          */
    __mmask16 some;                             /* lanes of the last partial one           */
    size_t    n;
    __m512    x[COLS / LANES][TILE_ROWS];       /* [sixteens][n], zeros behind the last    */
} Part;

/* Rows of activations lie a multiple of 4096 bytes apart, which is the same few lines of a cache: side by side
 * they do not push each other out. */
static void gather_x(Part *part, const float *x, size_t n_cols)
{
    for (size_t i = 0; i < part->n; i++, x += n_cols) {
        for (size_t v = 0; v < part->n_whole; v++) part->x[v][i] = _mm512_loadu_ps(x + LANES * v);
        if (part->some)
            part->x[part->n_whole][i] = _mm512_maskz_loadu_ps(part->some, x + LANES * part->n_whole);
    }
}

/* MEET rows of the panel and `many` of the tile, from row i. */
INLINE void meet(Format format, __m512 (*sums)[TILE_ROWS], const Part *part, const char *w, size_t i, size_t many)
{
    __m512 sum[MEET][MEET];
    UNROLL for (size_t r = 0; r < MEET; r++) {
        UNROLL for (size_t k = 0; k < many; k++) sum[r][k] = sums[r][i + k];
    }
    for (size_t v = 0; v < part->n_whole; v++, w += LANES * bytes_per_weight(format)) {
        UNROLL for (size_t r = 0; r < MEET; r++) {
            const __m512 of_w = weights(format, w + r * part->row_bytes);
            UNROLL for (size_t k = 0; k < many; k++)
                sum[r][k] = _mm512_fmadd_ps(of_w, part->x[v][i + k], sum[r][k]);
        }
    }
    if (part->some)
        UNROLL for (size_t r = 0; r < MEET; r++) {
            const __m512 of_w = first_weights(format, w + r * part->row_bytes, part->some);
            UNROLL for (size_t k = 0; k < many; k++)
                sum[r][k] = _mm512_fmadd_ps(of_w, part->x[part->n_whole][i + k], sum[r][k]);
        }
    UNROLL for (size_t r = 0; r < MEET; r++) {
        UNROLL for (size_t k = 0; k < many; k++) sums[r][i + k] = sum[r][k];
    }
}

INLINE void some_rows(Format format, float (*y)[STACK_ROWS], const char *w, const float *x, size_t n, size_t n_cols)
{
    __m512 sums[PANEL_ROWS][TILE_ROWS];
    Part part = { .row_bytes = n_cols * bytes_per_weight(format), .n = n };
    for (size_t r = 0; r < PANEL_ROWS; r++)
        for (size_t i = 0; i < n; i++) sums[r][i] = _mm512_setzero_ps();
    for (size_t begin = 0; begin < n_cols; begin += COLS) {
        const size_t count = n_cols - begin < COLS ? n_cols - begin : COLS;
        part.n_whole = count / LANES;
        part.some = first_lanes_16(count % LANES);
        gather_x(&part, x + begin, n_cols);
        for (size_t r = 0; r < PANEL_ROWS; r += MEET) {
            const char *at = w + r * part.row_bytes + begin * bytes_per_weight(format);
            size_t i = 0;
            for (; i + MEET <= n; i += MEET) meet(format, sums + r, &part, at, i, MEET);
            switch (n - i) {
            case 1: meet(format, sums + r, &part, at, i, 1); break;
            case 2: meet(format, sums + r, &part, at, i, 2); break;
            case 3: meet(format, sums + r, &part, at, i, 3); break;
            }
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < PANEL_ROWS; r++) y[i][r] = sum_lanes_16(sums[r][i]);
}

#define PANEL(lower, format)                                                                       \
    void panel_##lower##_avx512(float (*y)[STACK_ROWS], const void *stack, size_t panels,             \
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
