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

/* Where the memory ahead is fetched as one stream, before it is read as sixteen. */
static inline void fetch_ahead(const char *from, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i += PANEL_ALIGN) __builtin_prefetch(from + i, 0, 2);
}

/* Two halves of each of sixteen rows: all of the first, then all of the second, a line together. */
typedef uint16_t Eight __attribute__((vector_size(16)));

static inline Eight four_pairs(const char *from, size_t row_bytes)
{
    uint32_t pair[4];
    for (size_t r = 0; r < 4; r++) memcpy(&pair[r], from + r * row_bytes, sizeof *pair);
    return (Eight)(Four){ pair[0], pair[1], pair[2], pair[3] };
}

static inline void turn_pairs(uint16_t *halves, const char *from, size_t row_bytes)
{
    for (size_t r = 0; r < PANEL_ROWS; r += 8) {
        const Eight a = four_pairs(from + r * row_bytes, row_bytes);
        const Eight b = four_pairs(from + (r + 4) * row_bytes, row_bytes);
        put_four((uint32_t *)(void *)(halves + r),
                 (Four)__builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14));
        put_four((uint32_t *)(void *)(halves + PANEL_ROWS + r),
                 (Four)__builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15));
    }
}

/* One half of each of sixteen rows: half a line, the other half is another block's. */
static inline void turn_halves(uint16_t *halves, const char *from, size_t row_bytes)
{
    for (size_t r = 0; r < PANEL_ROWS; r += 8) {
        uint16_t half[8];
        for (size_t i = 0; i < 8; i++) memcpy(&half[i], from + (r + i) * row_bytes, sizeof *half);
        const Eight eight = { half[0], half[1], half[2], half[3], half[4], half[5], half[6], half[7] };
        put_four((uint32_t *)(void *)(halves + r), (Four)eight);
    }
}

static inline void copy_halves(const Blocks *k, uint16_t *to, const char *from, size_t n_rows)
{
    for (int h = 0; h < k->shape.n_halves; h++)
        for (size_t r = 0; r < n_rows; r++) memcpy(&to[(size_t)h * PANEL_ROWS + r], from + r * k->row_bytes + 2 * h, 2);
}

static inline void copy_words(const Blocks *k, uint32_t *to, const char *from, size_t n_rows)
{
    for (int w = 0; w < k->shape.n_words; w++)
        for (size_t r = 0; r < n_rows; r++) memcpy(&to[k->place[w] + r], from + r * k->row_bytes + 4 * w, 4);
}

/* Block b of n_rows (1 to 16) rows.  Sixteen reads, one from each row, make one vector: both sides stay in the
 * nearest cache.  Words that are no four turn with some of those before them once more. */
static inline void pack_block(const Blocks *k, PanelBlock to, size_t b, const char *rows, size_t n_rows)
{
    const char *halves = rows + b * k->bytes + k->shape.halves_at, *words = rows + b * k->bytes + k->shape.words_at;
    const int n_words = k->shape.n_words;
    uint16_t *to_halves = (uint16_t *)to.halves;
    uint32_t *to_words = (uint32_t *)to.words;
    if (n_rows < PANEL_ROWS) {
        copy_halves(k, to_halves, halves, n_rows);
        copy_words(k, to_words, words, n_rows);
        return;
    }
    if (k->shape.n_halves == 2) turn_pairs(to_halves, halves, k->row_bytes);
    else turn_halves(to_halves, halves, k->row_bytes);
    for (int w = 0; w < n_words; w += 4) {
        const int first = w + 4 <= n_words ? w : n_words - 4;
        turn_words(to_words, &k->place[first], words + 4 * first, k->row_bytes);
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
    for (size_t p = 0; p < panels; p++) {
        const size_t rest = (size_t)n_rows - p * PANEL_ROWS;
        const char *from = (const char *)rows + p * PANEL_ROWS * k.row_bytes, *next = from + PANEL_ROWS * k.row_bytes;
        for (size_t b = 0; b < k.n; b++) {
            const PanelBlock to = block_at(&k, stack, n_rows, b, p);
            if (rest >= 2 * PANEL_ROWS) fetch_ahead(next + b * PANEL_ROWS * k.bytes, PANEL_ROWS * k.bytes);
            if (rest >= PANEL_ROWS) pack_block(&k, to, b, from, PANEL_ROWS);
            else pack_block(&k, to, b, from, rest);
        }
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
