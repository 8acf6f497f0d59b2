/* SPDX-License-Identifier: Apache-2.0
 * number/panel.c - rows to panels and back: a transposition of words, the same for every format. */
#include "number/panel.h"

#include "number/blocks.h"

#include <string.h>

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

int64_t panel_bytes(Format format, int64_t cols)
{
    const PanelShape s = shapes[format];
    if (s.n_words == 0) return PANEL_ROWS * format_row_bytes(format, cols);
    const int64_t n_blocks = cols / format_info[format].block_values;
    const int64_t halves = n_blocks * s.n_halves * PANEL_ROWS * (int64_t)sizeof(uint16_t);
    return (halves + PANEL_ALIGN - 1) / PANEL_ALIGN * PANEL_ALIGN +
           n_blocks * s.n_words * PANEL_ROWS * (int64_t)sizeof(uint32_t);
}

/* Where the parts of one panel lie. */
typedef struct Parts {
    PanelShape shape;
    size_t     n_blocks, block_bytes, row_bytes;
    uint16_t  *halves;
    uint32_t  *words;
} Parts;

static Parts parts_of(const void *panel, Format format, int64_t cols)
{
    Parts p = { .shape = shapes[format],
                .n_blocks = (size_t)(cols / format_info[format].block_values),
                .block_bytes = (size_t)format_info[format].block_bytes,
                .row_bytes = (size_t)format_row_bytes(format, cols) };
    p.halves = (uint16_t *)panel;
    p.words = (uint32_t *)panel_words(panel, p.n_blocks, (size_t)p.shape.n_halves);
    return p;
}

/* Sixteen reads, one from each row, make one vector: both sides stay in the nearest cache. */
static void pack_block(const Parts *p, size_t b, const char *rows)
{
    uint16_t *half = p->halves + b * (size_t)p->shape.n_halves * PANEL_ROWS;
    uint32_t *word = p->words + b * (size_t)p->shape.n_words * PANEL_ROWS;
    const char *block = rows + b * p->block_bytes;
    for (int h = 0; h < p->shape.n_halves; h++, half += PANEL_ROWS)
        for (size_t r = 0; r < PANEL_ROWS; r++)
            memcpy(&half[r], block + r * p->row_bytes + p->shape.halves_at + 2 * h, sizeof *half);
    for (int w = 0; w < p->shape.n_words; w++, word += PANEL_ROWS)
        for (size_t r = 0; r < PANEL_ROWS; r++)
            memcpy(&word[r], block + r * p->row_bytes + p->shape.words_at + 4 * w, sizeof *word);
}

static void pack_row(const Parts *p, const char *row, size_t r)
{
    for (size_t b = 0; b < p->n_blocks; b++, row += p->block_bytes) {
        uint16_t *half = p->halves + b * (size_t)p->shape.n_halves * PANEL_ROWS + r;
        uint32_t *word = p->words + b * (size_t)p->shape.n_words * PANEL_ROWS + r;
        for (int h = 0; h < p->shape.n_halves; h++)
            memcpy(&half[h * PANEL_ROWS], row + p->shape.halves_at + 2 * h, sizeof *half);
        for (int w = 0; w < p->shape.n_words; w++)
            memcpy(&word[w * PANEL_ROWS], row + p->shape.words_at + 4 * w, sizeof *word);
    }
}

void panel_pack(void *panel, Format format, int64_t cols, const void *rows, int64_t n_rows)
{
    const Parts p = parts_of(panel, format, cols);
    if (p.shape.n_words && n_rows == PANEL_ROWS) {
        uint16_t *end = p.halves + p.n_blocks * (size_t)p.shape.n_halves * PANEL_ROWS;
        memset(end, 0, (size_t)((char *)p.words - (char *)end));     /* the padding */
        for (size_t b = 0; b < p.n_blocks; b++) pack_block(&p, b, rows);
        return;
    }
    if (n_rows < PANEL_ROWS) memset(panel, 0, (size_t)panel_bytes(format, cols));
    if (p.shape.n_words == 0) {
        memcpy(panel, rows, (size_t)n_rows * p.row_bytes);
        return;
    }
    for (size_t r = 0; r < (size_t)n_rows; r++)
        pack_row(&p, (const char *)rows + r * p.row_bytes, r);
}

void panel_row(void *row, Format format, int64_t cols, const void *panel, int64_t r)
{
    const Parts p = parts_of(panel, format, cols);
    if (p.shape.n_words == 0) {
        memcpy(row, (const char *)panel + (size_t)r * p.row_bytes, p.row_bytes);
        return;
    }
    char *block = row;
    for (size_t b = 0; b < p.n_blocks; b++, block += p.block_bytes) {
        const uint16_t *half = p.halves + b * (size_t)p.shape.n_halves * PANEL_ROWS + r;
        const uint32_t *word = p.words + b * (size_t)p.shape.n_words * PANEL_ROWS + r;
        for (int h = 0; h < p.shape.n_halves; h++)
            memcpy(block + p.shape.halves_at + 2 * h, &half[h * PANEL_ROWS], sizeof *half);
        for (int w = 0; w < p.shape.n_words; w++)
            memcpy(block + p.shape.words_at + 4 * w, &word[w * PANEL_ROWS], sizeof *word);
    }
}
