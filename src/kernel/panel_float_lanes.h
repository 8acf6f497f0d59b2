/* SPDX-License-Identifier: Apache-2.0
 * kernel/panel_float_lanes.h - products of weights without blocks (F32, F16, BF16) over vectors of eight floats; read
 * number/panel.h first.
 *
 * The file that includes this says what a vector of floats is: a type V of LANES lanes with v_zero, v_some (the
 * first n floats, zeros behind), v_weights (likewise, stored numbers as floats), v_fma and v_sum.  Lanes are columns
 * here.
 *
 * ORDER panel_f32, panel_f16, panel_bf16: column k goes to lane k % LANES of one sum, by fused multiply-add in order
 * of k, the last partial vector with zeros; then v_sum.  The same for all three: a model whose router is F16 in one
 * container and F32 in another gives the same bytes from both.
 *
 * Cost: the panel is read from front to back, whatever the number of rows of activations: memory is fetched ahead of
 * one stream, and taking weights and activations in blocks that fit registers gave half its speed.  So sums, not
 * weights, wait in the nearest cache. */
#define INLINE static inline __attribute__((always_inline))
#define UNROLL_16 _Pragma("GCC unroll 16")

enum { LINE_VECTORS_MAX = PANEL_LINE / sizeof(uint16_t) / LANES };
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

/* One line, or what is left of one, of each row of the panel meets n rows of activations: `vectors` vectors, the last
 * of `some` numbers.  A vector of weights serves all rows while it is in a register. */
INLINE void meet_line(Format format, V (*sums)[TILE_ROWS], const char *w, size_t line_bytes, const float *x, size_t n,
                      size_t n_cols, size_t vectors, size_t some)
{
    V of_x[LINE_VECTORS_MAX][TILE_ROWS];
    UNROLL_16 for (size_t v = 0; v < vectors; v++)
        UNROLL_16 for (size_t i = 0; i < n; i++)
            of_x[v][i] = v_some(x + i * n_cols + v * LANES, v + 1 < vectors ? LANES : some);
    for (size_t r = 0; r < PANEL_ROWS; r++, w += line_bytes) {
        V of_w[LINE_VECTORS_MAX];
        UNROLL_16 for (size_t v = 0; v < vectors; v++)
            of_w[v] = v_weights(format, w + v * LANES * bytes_per_weight(format), v + 1 < vectors ? LANES : some);
        UNROLL_16 for (size_t i = 0; i < n; i++) {
            V sum = sums[r][i];
            UNROLL_16 for (size_t v = 0; v < vectors; v++) sum = v_fma(of_w[v], of_x[v][i], sum);
            sums[r][i] = sum;
        }
    }
}

INLINE void n_rows(Format format, float (*y)[STACK_ROWS], const char *w, const float *x, size_t n, size_t n_cols)
{
    const size_t numbers = line_numbers(format), whole = n_cols / numbers * numbers, rest = n_cols - whole;
    V sums[PANEL_ROWS][TILE_ROWS];
    for (size_t r = 0; r < PANEL_ROWS; r++)
        for (size_t i = 0; i < n; i++) sums[r][i] = v_zero();
    for (size_t c = 0; c < whole; c += numbers, w += PANEL_ROWS * PANEL_LINE)
        meet_line(format, sums, w, PANEL_LINE, x + c, n, n_cols, line_vectors(format), LANES);
    for (size_t c = 0; c < rest; c += LANES)
        meet_line(format, sums, w + c * bytes_per_weight(format), rest * bytes_per_weight(format), x + whole + c, n,
                  n_cols, 1, rest - c < LANES ? rest - c : LANES);
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < PANEL_ROWS; r++) y[i][r] = v_sum(sums[r][i]);
}

/* A number of rows that is known is a number of registers. */
INLINE void panel(Format format, float (*y)[STACK_ROWS], const char *w, const float *x, size_t n, size_t n_cols)
{
    for (; n >= 4; n -= 4, y += 4, x += 4 * n_cols) n_rows(format, y, w, x, 4, n_cols);
    if (n == 3) n_rows(format, y, w, x, 3, n_cols);
    if (n == 2) n_rows(format, y, w, x, 2, n_cols);
    if (n == 1) n_rows(format, y, w, x, 1, n_cols);
}

#define PANEL(lower, format, set)                                                                              \
    void panel_##lower##_##set(float (*y)[STACK_ROWS], const void *stack, size_t panels, const void *tile,     \
                               size_t n, size_t n_cols)                                                        \
    {                                                                                                          \
        const char *w = stack;                                                                                 \
        for (size_t p = 0; p < panels; p++, w += PANEL_ROWS * n_cols * bytes_per_weight(format))               \
            panel(format, (float (*)[STACK_ROWS])&y[0][p * PANEL_ROWS], w, tile, n, n_cols);                   \
    }
#define PANELS(set) PANEL(f32, F32, set) PANEL(f16, F16, set) PANEL(bf16, BF16, set)
