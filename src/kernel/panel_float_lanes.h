/* SPDX-License-Identifier: Apache-2.0
 * kernel/panel_float_lanes.h - products of weights without blocks (F32, F16, BF16) over vectors of any width; read
 * number/panel.h first.
 *
 * The file that includes this says what a vector of floats is: a type V of LANES lanes with v_zero, v_load, v_some
 * (the first n lanes, zeros behind), v_fma, v_weights and v_some_weights (stored numbers as floats), v_sum; how many
 * rows one row of activations meets at once (ALONE_ROWS); and how many rows of weights and of activations meet in
 * registers otherwise (MEET_W, MEET_X).  Lanes are columns here.
 *
 * ORDER panel_f32, panel_f16, panel_bf16: column k goes to lane k % LANES of one sum, by fused multiply-add in order
 * of k, the last partial vector with zeros; then v_sum.  The same for all three: a model whose router is F16 in one
 * container and F32 in another gives the same bytes from both.
 *
 * Cost: one row of activations waits for memory, and reads weights as they lie.  For more, rows of weights meet rows
 * of activations in registers, and the columns are taken COLS at a time, so that what is met again is still in the
 * nearest cache. */
#define INLINE static inline __attribute__((always_inline))
#define UNROLL_16 _Pragma("GCC unroll 16")

enum { COLS = 256, LINE_VECTORS_MAX = PANEL_LINE / sizeof(uint16_t) / LANES };
_Static_assert(PANEL_LINE / sizeof(float) % LANES == 0, "whole vectors in a line");

INLINE size_t bytes_per_weight(Format format)
{
    return format == F32 ? sizeof(float) : sizeof(uint16_t);
}

/* Numbers of a whole line, and vectors of them. */
INLINE size_t line_numbers(Format format)
{
    return PANEL_LINE / bytes_per_weight(format);
}

INLINE size_t line_vectors(Format format)
{
    return line_numbers(format) / LANES;
}

/* ---- one row of activations: every line once, from front to back ---- */

/* Columns behind the last whole line. */
INLINE void meet_rest(Format format, V sum[], const char *w, const float *x, size_t rest)
{
    for (size_t c = 0; c < rest; c += LANES) {
        const size_t some = rest - c < LANES ? rest - c : LANES;
        const V of_x = v_some(x + c, some);
        UNROLL_16 for (size_t r = 0; r < ALONE_ROWS; r++)
            sum[r] = v_fma(v_some_weights(format, w + (r * rest + c) * bytes_per_weight(format), some), of_x, sum[r]);
    }
}

INLINE void one_row(Format format, float y[PANEL_ROWS], const char *w, const float *x, size_t n_cols)
{
    const size_t numbers = line_numbers(format), whole = n_cols / numbers * numbers, rest = n_cols - whole;
    for (size_t r = 0; r < PANEL_ROWS; r += ALONE_ROWS) {
        const char *at = w + r * PANEL_LINE;
        V sum[ALONE_ROWS];
        UNROLL_16 for (size_t k = 0; k < ALONE_ROWS; k++) sum[k] = v_zero();
        for (size_t c = 0; c < whole; c += numbers, at += PANEL_ROWS * PANEL_LINE) {
            V of_x[LINE_VECTORS_MAX];
            UNROLL_16 for (size_t v = 0; v < line_vectors(format); v++) of_x[v] = v_load(x + c + v * LANES);
            UNROLL_16 for (size_t k = 0; k < ALONE_ROWS; k++) {
                const char *line = at + k * PANEL_LINE;
                UNROLL_16 for (size_t v = 0; v < line_vectors(format); v++)
                    sum[k] = v_fma(v_weights(format, line + v * LANES * bytes_per_weight(format)), of_x[v], sum[k]);
            }
        }
        if (rest) {
            const char *last = w + (whole * PANEL_ROWS + r * rest) * bytes_per_weight(format);
            meet_rest(format, sum, last, x + whole, rest);
        }
        UNROLL_16 for (size_t k = 0; k < ALONE_ROWS; k++) y[r + k] = v_sum(sum[k]);
    }
}

/* ---- several rows ---- */

/* COLS columns of a panel, or what is left of them, and of n rows of activations.  In their tile those lie a multiple
 * of 4096 bytes apart, which is the same few lines of a cache: side by side they do not push each other out. */
typedef struct Part {
    const char *w;
    size_t      n_lines, rest;                  /* whole lines, and columns behind them    */
    size_t      n;
    V           x[COLS / LANES][TILE_ROWS];     /* [vectors][n], zeros behind the last     */
} Part;

INLINE void gather_x(Part *part, const float *x, size_t n_cols, size_t count)
{
    for (size_t i = 0; i < part->n; i++, x += n_cols)
        for (size_t v = 0, c = 0; c < count; v++, c += LANES)
            part->x[v][i] = count - c < LANES ? v_some(x + c, count - c) : v_load(x + c);
}

/* MEET_W rows of the panel, from r on, and `many` of the tile, from i on. */
INLINE void meet(Format format, V (*sums)[TILE_ROWS], const Part *part, size_t r, size_t i, size_t many)
{
    const char *w = part->w + r * PANEL_LINE;
    const V (*x)[TILE_ROWS] = (const V (*)[TILE_ROWS])part->x;
    V sum[MEET_W][MEET_X];
    UNROLL_16 for (size_t a = 0; a < MEET_W; a++) {
        UNROLL_16 for (size_t k = 0; k < many; k++) sum[a][k] = sums[r + a][i + k];
    }
    for (size_t l = 0; l < part->n_lines; l++, w += PANEL_ROWS * PANEL_LINE) {
        UNROLL_16 for (size_t v = 0; v < line_vectors(format); v++, x++) {
            UNROLL_16 for (size_t a = 0; a < MEET_W; a++) {
                const V of_w = v_weights(format, w + a * PANEL_LINE + v * LANES * bytes_per_weight(format));
                UNROLL_16 for (size_t k = 0; k < many; k++) sum[a][k] = v_fma(of_w, (*x)[i + k], sum[a][k]);
            }
        }
    }
    w += r * part->rest * bytes_per_weight(format) - r * PANEL_LINE;
    for (size_t c = 0; c < part->rest; c += LANES, x++) {
        const size_t some = part->rest - c < LANES ? part->rest - c : LANES;
        UNROLL_16 for (size_t a = 0; a < MEET_W; a++) {
            const V of_w = v_some_weights(format, w + (a * part->rest + c) * bytes_per_weight(format), some);
            UNROLL_16 for (size_t k = 0; k < many; k++) sum[a][k] = v_fma(of_w, (*x)[i + k], sum[a][k]);
        }
    }
    UNROLL_16 for (size_t a = 0; a < MEET_W; a++) {
        UNROLL_16 for (size_t k = 0; k < many; k++) sums[r + a][i + k] = sum[a][k];
    }
}

INLINE void some_rows(Format format, float (*y)[STACK_ROWS], const char *w, const float *x, size_t n, size_t n_cols)
{
    V sums[PANEL_ROWS][TILE_ROWS];
    Part part = { .n = n };
    for (size_t r = 0; r < PANEL_ROWS; r++)
        for (size_t i = 0; i < n; i++) sums[r][i] = v_zero();
    for (size_t begin = 0; begin < n_cols; begin += COLS) {
        const size_t count = n_cols - begin < COLS ? n_cols - begin : COLS;
        part.w = w + begin * PANEL_ROWS * bytes_per_weight(format);
        part.n_lines = count / line_numbers(format);
        part.rest = count % line_numbers(format);
        gather_x(&part, x + begin, n_cols, count);
        for (size_t r = 0; r < PANEL_ROWS; r += MEET_W) {
            size_t i = 0;
            for (; i + MEET_X <= n; i += MEET_X) meet(format, sums, &part, r, i, MEET_X);
            if (MEET_X > 3 && i + 3 == n) meet(format, sums, &part, r, i, MEET_X > 3 ? 3 : 1);
            if (MEET_X > 2 && i + 2 == n) meet(format, sums, &part, r, i, MEET_X > 2 ? 2 : 1);
            if (i + 1 == n) meet(format, sums, &part, r, i, 1);
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < PANEL_ROWS; r++) y[i][r] = v_sum(sums[r][i]);
}

#define PANEL(lower, format, set)                                                                              \
    void panel_##lower##_##set(float (*y)[STACK_ROWS], const void *stack, size_t panels, const void *tile,     \
                               size_t n, size_t n_cols)                                                        \
    {                                                                                                          \
        const char *w = stack;                                                                                 \
        for (size_t p = 0; p < panels; p++, w += PANEL_ROWS * n_cols * bytes_per_weight(format))               \
            if (n == 1) one_row(format, y[0] + p * PANEL_ROWS, w, tile, n_cols);                               \
            else some_rows(format, (float (*)[STACK_ROWS])&y[0][p * PANEL_ROWS], w, tile, n, n_cols);          \
    }
#define PANELS(set) PANEL(f32, F32, set) PANEL(f16, F16, set) PANEL(bf16, BF16, set)
