/* SPDX-License-Identifier: Apache-2.0
 * number/panel.h - weights as the vector unit wants them: sixteen rows side by side (decision D2).
 *
 * A *panel* is PANEL_ROWS consecutive rows of a matrix, and a *stack* up to eight panels.  For formats with blocks,
 * lane r of every vector of a panel belongs to its row r.  A stack goes by runs of up to 256 columns: the first run of
 * each of its panels, then the second of each, and so on.  A run is one block of 256 numbers or eight of 32; a block is
 *
 *     halves   [H][16] uint16   its 16-bit scales; H is 1 or 2
 *     words    [W][16] uint32   the rest, four bytes of each row at a time
 *
 * Where H is 1, two blocks that follow each other share a line of 64 bytes for their halves, and their words follow it;
 * so every vector of words is aligned.  Nothing is recoded: a word is bytes 4w..4w+3 of what number/blocks.h
 * describes, less the halves.  So a stack has as many bytes as its rows (at most 32 more), and gives them back
 * exactly.  Rows that a matrix does not have, to fill its last panel, are zeros.
 *
 * The order is that in which a product touches memory: words stand as they are first used (panel_place), and the
 * activations a block meets serve all panels of the stack while they are in the nearest cache.  Then reading weights
 * is one stream, which the machine fetches ahead of; of several interleaved streams it loses track, and memory
 * gives half its speed (docs/PERFORMANCE.md).
 *
 * Formats without blocks (F32, F16, BF16) go panel by panel, and lanes are columns: for every line of 64 bytes of a
 * row (the last may be shorter), those of the sixteen rows one after another.  One stream again. */
#ifndef NUMBER_PANEL_H
#define NUMBER_PANEL_H

#include "number/format.h"

enum { PANEL_ROWS = 16, STACK_PANELS = 8, STACK_ROWS = STACK_PANELS * PANEL_ROWS, PANEL_ALIGN = 64 };
enum {
    RUN_VALUES = 256,           /* columns of a run                                        */
    PANEL_LINE = 64             /* bytes of a row that lie together, in formats without blocks */
};

typedef struct PanelShape {
    int n_halves, n_words;      /* per block and row; 0, 0 when rows are not interleaved   */
    int halves_at, words_at;    /* bytes into a block                                      */
} PanelShape;

PanelShape panel_shape(Format format);

static inline int64_t n_panels(int64_t rows)
{
    return (rows + PANEL_ROWS - 1) / PANEL_ROWS;
}

static inline int64_t n_stacks(int64_t rows)
{
    return (rows + STACK_ROWS - 1) / STACK_ROWS;
}

/* Bytes of a stack of n_rows (1 to STACK_ROWS) rows of `cols` values. */
int64_t stack_bytes(Format format, int64_t cols, int64_t n_rows);
/* Bytes of a matrix: whole stacks, and the last one with the rows that are left. */
int64_t stacks_bytes(Format format, int64_t cols, int64_t rows);
/* Rows, as files hold them, to a stack; and row r of a stack back. */
void stack_pack(void *stack, Format format, int64_t cols, const void *rows, int64_t n_rows);
void stack_row(void *row, Format format, int64_t cols, const void *stack, int64_t n_rows, int64_t r);
/* Formats with blocks: block b of row r alone. */
void stack_row_block(void *block, Format format, int64_t cols, const void *stack, int64_t n_rows, int64_t r, int64_t b);

/* Where word w of a block stands among its words. */
static inline int panel_place(Format format, int w)
{
    const int k = w % 8;
    switch (format) {
    case Q3_K:                                          /* bits 0-7, low 8-23, scales 24-26     */
        return w >= 24 ? w - 24 : w >= 16 ? w + 3 : w >= 8 ? 3 + 2 * k : 4 + 2 * k;
    case Q5_K:                                          /* scales 0-2, bits 3-10, low 11-42     */
        return w < 3 || w >= 19 ? w : w >= 11 ? 3 + 2 * (w - 11) : 4 + 2 * (w - 3);
    case Q6_K:                                          /* low 0-31, high 32-47, scales 48-51   */
        if (w >= 48) return w - 48;
        if (w >= 32) return 4 + 24 * (w / 8 - 4) + 2 * k + 1;
        return 4 + 24 * (w / 16) + (w / 8 % 2 ? 16 + k : 2 * k);
    default:
        return w;
    }
}

typedef struct PanelBlock { const uint16_t *halves; const uint32_t *words; } PanelBlock;

/* Where block b of panel p comes among the blocks of a stack: `run` blocks make a run, n_blocks a row. */
static inline size_t stack_place(size_t run, size_t n_blocks, size_t panels, size_t b, size_t p)
{
    const size_t first = b / run * run, left = n_blocks - first;
    return first * panels + p * (left < run ? left : run) + b % run;
}

/* Where number k of row r lies in a stack of a format without blocks, as an index; a line has `line` numbers. */
static inline size_t stack_float(size_t line, size_t n_cols, size_t r, size_t k)
{
    const size_t begin = k / line * line, width = n_cols - begin < line ? n_cols - begin : line;
    return (r / PANEL_ROWS * n_cols + begin) * PANEL_ROWS + r % PANEL_ROWS * width + k - begin;
}

/* The b-th of the blocks in a stack, each with n_halves and n_words. */
static inline PanelBlock stack_block(const void *stack, size_t n_halves, size_t n_words, size_t b)
{
    enum { LINE = PANEL_ALIGN };
    const size_t share = n_halves == 2 ? 1 : 2, words = n_words * PANEL_ROWS * sizeof(uint32_t);
    const char *group = (const char *)stack + b / share * (LINE + share * words);
    return (PanelBlock){
        (const uint16_t *)(const void *)(group + b % share * (LINE / share)),
        (const uint32_t *)(const void *)(group + LINE + b % share * words),
    };
}

#endif
