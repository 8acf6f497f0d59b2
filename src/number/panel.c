/* SPDX-License-Identifier: Apache-2.0
 * number/panel.c - rows to stacks of panels and back: a transposition of words, the same for every format. */
#include "number/panel.h"

#include "number/blocks.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Halves stand at the front of a block or at its end, never between words. */
static const PanelShape shapes[N_FORMATS] = {
    /*         halves words  halves at, words at                                           */
    [Q4_0] = { 1, 4,  offsetof(BlockQ4_0, scale),       offsetof(BlockQ4_0, low) },
    [Q4_1] = { 2, 4,  offsetof(BlockQ4_1, scale),       offsetof(BlockQ4_1, low) },
    [Q5_0] = { 1, 5,  offsetof(BlockQ5_0, scale),       offsetof(BlockQ5_0, high) },
    [Q5_1] = { 2, 5,  offsetof(BlockQ5_1, scale),       offsetof(BlockQ5_1, high) },
    [Q8_0] = { 1, 8,  offsetof(BlockQ8_0, scale),       offsetof(BlockQ8_0, q) },
    [Q2_K] = { 2, 20, offsetof(BlockQ2_K, super_scale), offsetof(BlockQ2_K, group) },
    [Q3_K] = { 1, 27, offsetof(BlockQ3_K, super_scale), offsetof(BlockQ3_K, high) },
    [Q4_K] = { 2, 35, offsetof(BlockQ4_K, super_scale), offsetof(BlockQ4_K, group) },
    [Q5_K] = { 2, 43, offsetof(BlockQ5_K, super_scale), offsetof(BlockQ5_K, group) },
    [Q6_K] = { 1, 52, offsetof(BlockQ6_K, super_scale), offsetof(BlockQ6_K, low) },
};

PanelShape panel_shape(Format format)
{
    return shapes[format];
}

int64_t stack_bytes(Format format, int64_t cols, int64_t n_rows)
{
    const PanelShape s = shapes[format];
    if (s.n_words == 0) return n_panels(n_rows) * PANEL_ROWS * format_row_bytes(format, cols);
    const int64_t n = cols / format_info[format].block_values * n_panels(n_rows);
    const int64_t lines = s.n_halves == 2 ? n : (n + 1) / 2;
    return lines * PANEL_ALIGN + n * s.n_words * PANEL_ROWS * (int64_t)sizeof(uint32_t);
}

int64_t stacks_bytes(Format format, int64_t cols, int64_t rows)
{
    const int64_t rest = rows % STACK_ROWS;
    return rows / STACK_ROWS * stack_bytes(format, cols, STACK_ROWS) + (rest ? stack_bytes(format, cols, rest) : 0);
}

/* What the loops below need to know of a format's blocks. */
enum { WORDS_MAX = 52 };
typedef struct Blocks {
    PanelShape shape;
    size_t     n, bytes, row_bytes;     /* n blocks of `bytes` in a row                    */
    size_t     run;                     /* blocks of a run                                 */
    size_t     place[WORDS_MAX];        /* of each word, as an index of row 0's            */
} Blocks;

static Blocks blocks_of(Format format, int64_t cols)
{
    Blocks k = { .shape = shapes[format],
                 .n = (size_t)(cols / format_info[format].block_values),
                 .bytes = (size_t)format_info[format].block_bytes,
                 .row_bytes = (size_t)format_row_bytes(format, cols),
                 .run = (size_t)(RUN_VALUES / format_info[format].block_values) };
    for (int w = 0; w < k.shape.n_words; w++) k.place[w] = (size_t)panel_place(format, w) * PANEL_ROWS;
    return k;
}

/* Block b of the panels that n_rows make, panel p. */
static PanelBlock block_at(const Blocks *k, const void *stack, int64_t n_rows, size_t b, size_t p)
{
    return stack_block(stack, (size_t)k->shape.n_halves, (size_t)k->shape.n_words,
                       stack_place(k->run, k->n, (size_t)n_panels(n_rows), b, p));
}

/* Four words of sixteen rows: four rows at a time, a square of words is turned over in registers. */
typedef uint32_t Four __attribute__((vector_size(16)));

static inline Four four_at(const char *words)
{
    Four four;
    memcpy(&four, words, sizeof four);
    return four;
}

/* Past the caches, where the machine can: whoever has arranged an expert is not who uses it, and lines that are not
 * fetched to be overwritten leave that bandwidth to others. */
static inline void put_four(uint32_t *to, Four four)
{
#ifdef __SSE2__
    _mm_stream_si128((__m128i *)(void *)to, (__m128i)four);
#else
    memcpy(to, &four, sizeof four);
#endif
}

/* What went past the caches is there for everybody. */
static inline void put_is_done(void)
{
#ifdef __SSE2__
    _mm_sfence();
#endif
}

static inline void turn_words(uint32_t *words, const size_t place[4], const char *from, size_t row_bytes)
{
    for (size_t r = 0; r < PANEL_ROWS; r += 4, from += 4 * row_bytes) {
        const Four a = four_at(from), b = four_at(from + row_bytes);
        const Four c = four_at(from + 2 * row_bytes), d = four_at(from + 3 * row_bytes);
        const Four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
        const Four AB = __builtin_shufflevector(a, b, 2, 6, 3, 7), CD = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        put_four(words + place[0] + r, __builtin_shufflevector(ab, cd, 0, 1, 4, 5));
        put_four(words + place[1] + r, __builtin_shufflevector(ab, cd, 2, 3, 6, 7));
        put_four(words + place[2] + r, __builtin_shufflevector(AB, CD, 0, 1, 4, 5));
        put_four(words + place[3] + r, __builtin_shufflevector(AB, CD, 2, 3, 6, 7));
    }
}

/* Block b of n_rows (1 to 16) rows.  Sixteen reads, one from each row, make one vector: both sides stay in the
 * nearest cache. */
static inline void pack_block(const Blocks *k, PanelBlock to, size_t b, const char *rows, size_t n_rows)
{
    const char *halves = rows + b * k->bytes + k->shape.halves_at, *words = rows + b * k->bytes + k->shape.words_at;
    for (int h = 0; h < k->shape.n_halves; h++)
        for (size_t r = 0; r < n_rows; r++)
            memcpy((uint16_t *)to.halves + h * PANEL_ROWS + r, halves + r * k->row_bytes + 2 * h, 2);
    int w = 0;
    for (; n_rows == PANEL_ROWS && w + 4 <= k->shape.n_words; w += 4)
        turn_words((uint32_t *)to.words, &k->place[w], words + 4 * w, k->row_bytes);
    for (; w < k->shape.n_words; w++) {
        uint32_t *word = (uint32_t *)to.words + k->place[w];
        for (size_t r = 0; r < n_rows; r++) memcpy(&word[r], words + r * k->row_bytes + 4 * w, 4);
    }
}

/* ---- formats without blocks ---- */

/* A line of row r: bytes in a row, where it begins there and in the stack, and how long it is. */
typedef struct Line { size_t in_row, in_stack, n_bytes; } Line;

static Line line_of(const Blocks *k, size_t r, size_t begin)
{
    const size_t values = PANEL_LINE / k->bytes, left = k->row_bytes - begin;
    return (Line){ .in_row = begin,
                   .in_stack = stack_float(values, k->n, r, begin / k->bytes) * k->bytes,
                   .n_bytes = left < PANEL_LINE ? left : PANEL_LINE };
}

static void put_floats(const Blocks *k, char *stack, const char *row, size_t r)
{
    for (size_t begin = 0; begin < k->row_bytes; begin += PANEL_LINE) {
        const Line line = line_of(k, r, begin);
        memcpy(stack + line.in_stack, row + line.in_row, line.n_bytes);
    }
}

static void take_floats(const Blocks *k, char *row, const char *stack, size_t r)
{
    for (size_t begin = 0; begin < k->row_bytes; begin += PANEL_LINE) {
        const Line line = line_of(k, r, begin);
        memcpy(row + line.in_row, stack + line.in_stack, line.n_bytes);
    }
}

/* ---- both ---- */

void stack_pack(void *stack, Format format, int64_t cols, const void *rows, int64_t n_rows)
{
    const Blocks k = blocks_of(format, cols);
    const size_t panels = (size_t)n_panels(n_rows), bytes = (size_t)stack_bytes(format, cols, n_rows);
    if (n_rows % PANEL_ROWS) memset(stack, 0, bytes);
    if (k.shape.n_words == 0) {
        for (size_t r = 0; r < (size_t)n_rows; r++) put_floats(&k, stack, (const char *)rows + r * k.row_bytes, r);
        return;
    }
    if (k.shape.n_halves == 1 && k.n * panels % 2)      /* the last line of halves has room for another block's */
        memset((uint16_t *)block_at(&k, stack, n_rows, k.n - 1, panels - 1).halves, 0, PANEL_ALIGN);
    for (size_t b = 0; b < k.n; b++)
        for (size_t p = 0; p < panels; p++) {
            const PanelBlock to = block_at(&k, stack, n_rows, b, p);
            const char *from = (const char *)rows + p * PANEL_ROWS * k.row_bytes;
            const size_t rest = (size_t)n_rows - p * PANEL_ROWS;
            if (rest >= PANEL_ROWS) pack_block(&k, to, b, from, PANEL_ROWS);
            else pack_block(&k, to, b, from, rest);
        }
    put_is_done();
}

static void unpack_block(const Blocks *k, char *block, PanelBlock from, size_t lane)
{
    for (int h = 0; h < k->shape.n_halves; h++)
        memcpy(block + k->shape.halves_at + 2 * h, from.halves + (size_t)h * PANEL_ROWS + lane, 2);
    for (int w = 0; w < k->shape.n_words; w++)
        memcpy(block + k->shape.words_at + 4 * w, from.words + k->place[w] + lane, 4);
}

void stack_row_block(void *block, Format format, int64_t cols, const void *stack, int64_t n_rows, int64_t r, int64_t b)
{
    const Blocks k = blocks_of(format, cols);
    unpack_block(&k, block, block_at(&k, stack, n_rows, (size_t)b, (size_t)r / PANEL_ROWS), (size_t)r % PANEL_ROWS);
}

void stack_row(void *row, Format format, int64_t cols, const void *stack, int64_t n_rows, int64_t r)
{
    const Blocks k = blocks_of(format, cols);
    if (k.shape.n_words == 0) {
        take_floats(&k, row, stack, (size_t)r);
        return;
    }
    for (size_t b = 0; b < k.n; b++)
        unpack_block(&k, (char *)row + b * k.bytes, block_at(&k, stack, n_rows, b, (size_t)r / PANEL_ROWS),
                     (size_t)r % PANEL_ROWS);
}
