/* SPDX-License-Identifier: Apache-2.0
 * number/panel.h - weights as the vector unit wants them: sixteen rows side by side (decision D2).
 *
 * A panel holds PANEL_ROWS consecutive rows of a matrix.  For formats with blocks, lane r of every vector
 * belongs to row r:
 *
 *     halves   [blocks][H][16] uint16   the block's 16-bit scales; H is 1 or 2; padded to 64 bytes
 *     words    [blocks][W][16] uint32   the rest of the block, in its own order, four bytes at a time
 *
 * Nothing is recoded: word w of block b of row r is bytes 4w..4w+3 of what number/blocks.h describes, less the
 * halves.  So a panel has as many bytes as its rows (at most 32 more), and gives them back exactly.
 * Formats without blocks (F32, F16, BF16) keep their rows one after another: a panel is sixteen of them.
 * Rows that a matrix does not have are zeros. */
#ifndef NUMBER_PANEL_H
#define NUMBER_PANEL_H

#include "number/format.h"

enum { PANEL_ROWS = 16, PANEL_ALIGN = 64 };

typedef struct PanelShape {
    int n_halves, n_words;      /* per block and row; 0, 0 when rows are not interleaved   */
    int halves_at, words_at;    /* bytes into a block                                      */
} PanelShape;

PanelShape panel_shape(Format format);

/* Bytes of one panel of rows of `cols` values; a multiple of PANEL_ALIGN for formats with blocks. */
int64_t panel_bytes(Format format, int64_t cols);
static inline int64_t n_panels(int64_t rows)
{
    return (rows + PANEL_ROWS - 1) / PANEL_ROWS;
}

/* n_rows (1 to 16) rows, as files hold them, to a panel. */
void panel_pack(void *panel, Format format, int64_t cols, const void *rows, int64_t n_rows);
/* Row r of a panel, as files hold it. */
void panel_row(void *row, Format format, int64_t cols, const void *panel, int64_t r);

/* First half and first word of a panel; the vectors of block b follow at b * n_halves, b * n_words. */
static inline const uint16_t *panel_halves(const void *panel)
{
    return panel;
}

static inline const uint32_t *panel_words(const void *panel, size_t n_blocks, size_t n_halves)
{
    const size_t halves = n_blocks * n_halves * PANEL_ROWS * sizeof(uint16_t);
    return (const uint32_t *)((const char *)panel +
                              (halves + PANEL_ALIGN - 1) / PANEL_ALIGN * PANEL_ALIGN);
}

#endif
