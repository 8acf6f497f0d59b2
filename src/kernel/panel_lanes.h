/* SPDX-License-Identifier: Apache-2.0
 * kernel/panel_lanes.h - panels of every format with blocks, written once for vectors of LANES rows.
 *
 * Read number/panel.h, number/blocks.h and the tiles of kernel/kernel.h first.  A file that includes this one has
 * chosen an instruction set by including its vectors before (x86/lanes_avx2.h, arm/lanes_neon.h): the types
 * Ints, Floats and Dot, and the few steps on them that are used here.
 *
 * A word holds four stored numbers of each row.  They become bytes without a sign (Q8_0: with), meet the same
 * four numbers of rows of a tile, and are added up as integers, which is exact.  A group's sum is below 2^24,
 * so it becomes a float without rounding; then the scales follow.  What was stored with an offset gets it back in
 * integers: the sum begins at -(offset * sum of x), which the tile has ready.
 *
 * ORDER panel_* (AVX2, NEON): one chain of fused additions per y, over the groups of 32 ascending, each
 * followed by its minimum.  Q2_K, Q3_K, Q6_K: such a chain over the eight pairs of groups of a block (Q2_K: one
 * more over the minimums), then one over the blocks.  The loops around a y differ with n, the chain does not (D1). */
#ifndef KERNEL_PANEL_LANES_H
#define KERNEL_PANEL_LANES_H

#include "kernel/kernel.h"
#include "number/blocks.h"

#define LANES_INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")
#define EACH_OF(many) UNROLL for (size_t i = 0; i < (many); i++)

/* Rows of a tile that are multiplied together: what the registers hold. */
enum { TOGETHER = 4, WORDS = X_BLOCK / 4 };

LANES_INLINE bool has_minimum(Format format)
{
    return format == Q4_1 || format == Q5_1 || format == Q2_K || format == Q4_K || format == Q5_K;
}

/* Stored numbers are 2^shift too large. */
LANES_INLINE int offset_shift(Format format)
{
    return format == Q3_K ? 2 : format == Q4_0 ? 3 : format == Q5_0 ? 4 : 5;
}

LANES_INLINE bool has_offset(Format format)
{
    return format == Q3_K || format == Q4_0 || format == Q5_0 || format == Q6_K;
}

/* How many words may be added up in 16 bits.  One adds two products to each sum: twice 127 times the largest
 * stored number, and that is 8 * 2 * 15 * 127 = 30480, 4 * 2 * 31 * 127 = 31496, 2 * 2 * 63 * 127 = 32004 or
 * 2 * 128 * 127 = 32512, all below 2^15. */
LANES_INLINE int words_together(Format format)
{
    return format == Q8_0 ? 1 : format == Q6_K ? 2 : format == Q5_0 || format == Q5_1 || format == Q5_K ? 4 : 8;
}

/* ---- the numbers of a word ---- */

/* Word k of a block as blocks.h counts them, wherever the panel has it. */
LANES_INLINE Ints word_at(Format format, const uint32_t *words, int k)
{
    return ints_at(words + panel_place(format, k) * PANEL_ROWS);
}

/* Each byte's bits under `mask`, after a move to the right (or left, when below 0). */
LANES_INLINE Ints moved(Ints words, int right, int mask)
{
    const Ints there = right > 0 ? shift_right(words, right) : right < 0 ? shift_left(words, -right) : words;
    return and_ints(there, each_int(mask * 0x01010101));
}

/* Bits 4k to 4k + 3 of every word to bit 4 of its four bytes: the products with 2^4, 2^11, 2^18 and 2^25 do not
 * touch each other. */
LANES_INLINE Ints fifth_bits(Ints words, int k)
{
    const Ints four = and_ints(shift_right(words, 4 * k), each_int(15));
    return and_ints(multiply(four, each_int(0x02040810)), each_int(0x10101010));
}

/* Numbers 4k to 4k + 3 of a group of 32, k < 8: group 4 half + run of a large block.  Where blocks.h puts them. */
LANES_INLINE Ints numbers(Format format, const uint32_t *words, int half, int run, int k)
{
    switch (format) {
    case Q4_0: case Q4_1:
        return moved(word_at(format, words, k % 4), k < 4 ? 0 : 4, 15);
    case Q5_0: case Q5_1:
        return or_ints(moved(word_at(format, words, 1 + k % 4), k < 4 ? 0 : 4, 15),
                       fifth_bits(word_at(format, words, 0), k));
    case Q2_K:
        return moved(word_at(format, words, 4 + 8 * half + k), 2 * run, 3);
    case Q3_K:
        return or_ints(moved(word_at(format, words, 8 + 8 * half + k), 2 * run, 3),
                       moved(word_at(format, words, k), 4 * half + run - 2, 4));
    case Q4_K:
        return moved(word_at(format, words, 3 + 16 * half + 8 * (run / 2) + k), 4 * (run % 2), 15);
    case Q5_K:
        return or_ints(moved(word_at(format, words, 11 + 16 * half + 8 * (run / 2) + k), 4 * (run % 2), 15),
                       moved(word_at(format, words, 3 + k), 4 * half + run - 4, 16));
    case Q6_K:
        return or_ints(moved(word_at(format, words, 16 * half + 8 * (run % 2) + k), 4 * (run / 2), 15),
                       moved(word_at(format, words, 32 + 8 * half + k), 2 * run - 4, 48));
    default:
        return word_at(format, words, k);       /* Q8_0 */
    }
}

/* ---- scales and minimums of groups, small integers ---- */

LANES_INLINE Ints byte_of(Ints words, int byte)
{
    return and_ints(shift_right(words, 8 * byte), each_int(255));
}

LANES_INLINE Ints signed_byte_of(Ints words, int byte)
{
    return shift_right_signed(shift_left(words, 24 - 8 * byte), 24);
}

/* Q4_K and Q5_K: the scales of a half's four groups, a byte each; k_group of blocks.h for every row. */
LANES_INLINE Ints k_scales(Format format, const uint32_t *words, int half)
{
    const Ints low = word_at(format, words, 0), high = word_at(format, words, 2);
    return half == 0 ? moved(low, 0, 63) : or_ints(moved(high, 0, 15), moved(low, 2, 48));
}

LANES_INLINE Ints k_minimums(Format format, const uint32_t *words, int half)
{
    const Ints low = word_at(format, words, 1), high = word_at(format, words, 2);
    return half == 0 ? moved(low, 0, 63) : or_ints(moved(high, 4, 15), moved(low, 2, 48));
}

/* Q2_K, Q3_K (q3_k_scales) and Q6_K: the scale of the first or second sixteen of group 4 half + run. */
LANES_INLINE Ints small_scale(Format format, const uint32_t *words, int half, int run, int second)
{
    const int word = 2 * half + run / 2, byte = 2 * (run % 2) + second;
    if (format == Q2_K) return byte_of(moved(word_at(format, words, word), 0, 15), byte);
    if (format == Q6_K) return signed_byte_of(word_at(format, words, 48 + word), byte);
    const Ints four = moved(word_at(format, words, 24 + run / 2), 4 * half, 15);
    const Ints two = moved(word_at(format, words, 26), 2 * word - 4, 48);
    return subtract(byte_of(or_ints(four, two), byte), each_int(32));
}

/* ---- groups ---- */

/* Rows i, i + 1, ... of a tile at one block of it. */
LANES_INLINE XBlock block_of(const void *tile, size_t n, size_t b, size_t i)
{
    const XBlock x = x_block(tile, n, b);
    return (XBlock){ x.q + i * X_BLOCK, x.scale + i, x.sum + i, x.minus + i, x.minus_low + i };
}

/* Words [begin, end) of a group times `many` rows of x, added to dot. */
LANES_INLINE void add_products(Format format, Ints dot[], const uint32_t *words, int half, int run, int begin,
                               int end, const XBlock *x, size_t many)
{
    Dot sum[TOGETHER];
    EACH_OF(many) sum[i] = dot_from(dot[i]);
    UNROLL for (int k = begin; k < end; k++) {
        const Ints w = numbers(format, words, half, run, k);
        const int turn = (k - begin) % words_together(format);
        const bool first = turn == 0, last = turn == words_together(format) - 1 || k == end - 1;
        EACH_OF(many) add_four(&sum[i], w, x->q + i * X_BLOCK + 4 * (size_t)k, format == Q8_0, first, last);
    }
    EACH_OF(many) dot[i] = dot_sum(sum[i]);
}

/* A group of 32 with a scale, and perhaps a minimum that is taken away or added. */
LANES_INLINE void add_group(Format format, Floats y[], const uint32_t *words, int half, int run, Floats scale,
                            Floats minimum, const XBlock *x, size_t many)
{
    Ints dot[TOGETHER];
    EACH_OF(many) dot[i] = each_int(has_offset(format) ? x->minus[i] * (1 << offset_shift(format)) : 0);
    add_products(format, dot, words, half, run, 0, WORDS, x, many);
    EACH_OF(many) y[i] = multiply_add(to_floats(dot[i]), multiply_floats(scale, each_float(x->scale[i])), y[i]);
    if (format == Q4_1 || format == Q5_1) EACH_OF(many) y[i] = multiply_add(minimum, each_float(x->sum[i]), y[i]);
    else if (has_minimum(format)) EACH_OF(many) y[i] = multiply_subtract(minimum, each_float(x->sum[i]), y[i]);
}

/* Two groups of 16, whose small scales are applied in integers: at most 128 * 32 * 32 * 127 < 2^24 (Q6_K). */
LANES_INLINE void add_pair(Format format, Floats sum[], const uint32_t *words, int half, int run, const XBlock *x,
                           size_t many)
{
    Ints first[TOGETHER], second[TOGETHER];
    EACH_OF(many) {
        const int unit = has_offset(format) ? 1 << offset_shift(format) : 0;
        first[i] = each_int(x->minus_low[i] * unit);
        second[i] = each_int((x->minus[i] - x->minus_low[i]) * unit);
    }
    add_products(format, first, words, half, run, 0, WORDS / 2, x, many);
    add_products(format, second, words, half, run, WORDS / 2, WORDS, x, many);
    const Ints a = small_scale(format, words, half, run, 0), b = small_scale(format, words, half, run, 1);
    EACH_OF(many) {
        const Ints dot = add(multiply(first[i], a), multiply(second[i], b));
        sum[i] = multiply_add(to_floats(dot), each_float(x->scale[i]), sum[i]);
    }
}

/* Two minimums of Q2_K, less than nothing: the sums of x are, too. */
LANES_INLINE void add_minimums(Format format, Floats sum[], const uint32_t *words, int half, int run,
                               const XBlock *x, size_t many)
{
    const Ints four = moved(word_at(format, words, 2 * half + run / 2), 4, 15);
    const Ints a = byte_of(four, run % 2 * 2), b = byte_of(four, run % 2 * 2 + 1);
    EACH_OF(many) {
        const Ints dot = add(multiply(a, each_int(x->minus_low[i])),
                             multiply(b, each_int(x->minus[i] - x->minus_low[i])));
        sum[i] = multiply_add(to_floats(dot), each_float(x->scale[i]), sum[i]);
    }
}

/* ---- blocks ---- */

LANES_INLINE void add_small(Format format, Floats y[], const uint16_t *halves, const uint32_t *words,
                            const void *tile, size_t n, size_t b, size_t at, size_t many)
{
    const XBlock x = block_of(tile, n, b, at);
    add_group(format, y, words, 0, 0, halves_at(halves),
              has_minimum(format) ? halves_at(halves + PANEL_ROWS) : each_float(0.0f), &x, many);
}

/* Half of a block of Q4_K or Q5_K. */
LANES_INLINE void add_half(Format format, Floats y[], const uint16_t *halves, const uint32_t *words, int half,
                           const void *tile, size_t n, size_t b, size_t at, size_t many)
{
    const Floats scale = halves_at(halves), minimum = halves_at(halves + PANEL_ROWS);
    const Ints scales = k_scales(format, words, half), minimums = k_minimums(format, words, half);
    UNROLL for (int run = 0; run < 4; run++) {
        const XBlock x = block_of(tile, n, 8 * b + 4 * (size_t)half + (size_t)run, at);
        add_group(format, y, words, half, run, multiply_floats(scale, to_floats(byte_of(scales, run))),
                  multiply_floats(minimum, to_floats(byte_of(minimums, run))), &x, many);
    }
}

/* Half of a block of Q2_K, Q3_K or Q6_K, whose scale and minimum follow at its end. */
LANES_INLINE void add_half_16(Format format, Floats sum[], Floats minus[], const uint32_t *words, int half,
                              const void *tile, size_t n, size_t b, size_t at, size_t many)
{
    UNROLL for (int run = 0; run < 4; run++) {
        const XBlock x = block_of(tile, n, 8 * b + 4 * (size_t)half + (size_t)run, at);
        if (has_minimum(format)) add_minimums(format, minus, words, half, run, &x, many);
        add_pair(format, sum, words, half, run, &x, many);
    }
}

/* The halves of a block differ in the bits of a byte that they move (Q3_K, Q5_K), and are written out; or only in the
 * words they read, and are a loop. */
LANES_INLINE bool halves_differ(Format format)
{
    return format == Q3_K || format == Q5_K;
}

LANES_INLINE void add_super(Format format, Floats y[], const uint16_t *halves, const uint32_t *words,
                            const void *tile, size_t n, size_t b, size_t at, size_t many)
{
    if (halves_differ(format)) {
        add_half(format, y, halves, words, 0, tile, n, b, at, many);
        add_half(format, y, halves, words, 1, tile, n, b, at, many);
    } else {
        for (int half = 0; half < 2; half++) add_half(format, y, halves, words, half, tile, n, b, at, many);
    }
}

LANES_INLINE void add_super_16(Format format, Floats y[], const uint16_t *halves, const uint32_t *words,
                               const void *tile, size_t n, size_t b, size_t at, size_t many)
{
    Floats sum[TOGETHER], minus[TOGETHER];
    EACH_OF(many) sum[i] = minus[i] = each_float(0.0f);
    if (halves_differ(format)) {
        add_half_16(format, sum, minus, words, 0, tile, n, b, at, many);
        add_half_16(format, sum, minus, words, 1, tile, n, b, at, many);
    } else {
        for (int half = 0; half < 2; half++) add_half_16(format, sum, minus, words, half, tile, n, b, at, many);
    }
    const Floats scale = halves_at(halves);
    EACH_OF(many) y[i] = multiply_add(scale, sum[i], y[i]);
    if (!has_minimum(format)) return;
    const Floats minimum = halves_at(halves + PANEL_ROWS);
    EACH_OF(many) y[i] = multiply_add(minimum, minus[i], y[i]);
}

/* Block b of LANES rows and rows [at, at + many) of the tile. */
LANES_INLINE void add_block(Format format, float (*y)[STACK_ROWS], const uint16_t *halves, const uint32_t *words,
                            const void *tile, size_t n, size_t b, size_t at, size_t many)
{
    Floats sum[TOGETHER];
    EACH_OF(many) sum[i] = floats_at(y[at + i]);
    if (format == Q4_K || format == Q5_K) add_super(format, sum, halves, words, tile, n, b, at, many);
    else if (format >= Q2_K) add_super_16(format, sum, halves, words, tile, n, b, at, many);
    else add_small(format, sum, halves, words, tile, n, b, at, many);
    EACH_OF(many) put_floats(y[at + i], sum[i]);
}

/* All n rows of the tile, four, two and one at a time: the block stays in the nearest cache. */
LANES_INLINE void add_rows(Format format, float (*y)[STACK_ROWS], const uint16_t *halves, const uint32_t *words,
                           const void *tile, size_t n, size_t b)
{
    size_t at = 0;
    for (; at + TOGETHER <= n; at += TOGETHER) add_block(format, y, halves, words, tile, n, b, at, TOGETHER);
    for (; at + 2 <= n; at += 2) add_block(format, y, halves, words, tile, n, b, at, 2);
    if (at < n) add_block(format, y, halves, words, tile, n, b, at, 1);
}

LANES_INLINE void panel_product(Format format, size_t n_halves, size_t n_words, float (*y)[STACK_ROWS],
                                const void *stack, size_t panels, const void *tile, size_t n, size_t n_cols)
{
    const size_t values = format >= Q2_K ? SUPER_VALUES : SMALL_VALUES, n_blocks = n_cols / values,
                 blocks_of_run = RUN_VALUES / values;
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < panels * PANEL_ROWS; r++) y[i][r] = 0.0f;
    for (size_t first = 0, run; first < n_blocks; first += run) {
        run = n_blocks - first < blocks_of_run ? n_blocks - first : blocks_of_run;
        for (size_t k = 0; k < panels * run; k++) {
            const PanelBlock block = stack_block(stack, n_halves, n_words, first * panels + k);
            for (size_t r = 0; r < PANEL_ROWS; r += LANES)
                add_rows(format, (float (*)[STACK_ROWS])&y[0][k / run * PANEL_ROWS + r], block.halves + r,
                         block.words + r, tile, n, first + k % run);
        }
    }
}

/* The kernels of a set; halves and words as in number/panel.c. */
#define PANEL_KERNEL(lower, format, n_halves, n_words, set)                                                    \
    void panel_##lower##_##set(float (*y)[STACK_ROWS], const void *stack, size_t panels, const void *tile,     \
                               size_t n, size_t n_cols)                                                        \
    {                                                                                                          \
        panel_product(format, n_halves, n_words, y, stack, panels, tile, n, n_cols);                           \
    }

#define PANEL_KERNELS(set)                \
    PANEL_KERNEL(q4_0, Q4_0, 1,  4, set)  \
    PANEL_KERNEL(q4_1, Q4_1, 2,  4, set)  \
    PANEL_KERNEL(q5_0, Q5_0, 1,  5, set)  \
    PANEL_KERNEL(q5_1, Q5_1, 2,  5, set)  \
    PANEL_KERNEL(q8_0, Q8_0, 1,  8, set)  \
    PANEL_KERNEL(q2_k, Q2_K, 2, 20, set)  \
    PANEL_KERNEL(q3_k, Q3_K, 1, 27, set)  \
    PANEL_KERNEL(q4_k, Q4_K, 2, 35, set)  \
    PANEL_KERNEL(q5_k, Q5_K, 2, 43, set)  \
    PANEL_KERNEL(q6_k, Q6_K, 1, 52, set)

#endif
