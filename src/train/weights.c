/* SPDX-License-Identifier: Apache-2.0
 * train/weights.c - see weights.h. */
#include "train/weights.h"

#include <stdlib.h>

/* Rows of a head come from two places when the container pairs halves, so rows are read one by one there. */
static Status read_rows(const WeightSource *from, const Weight *w, void *to)
{
    const int64_t row_bytes = format_row_bytes(w->format, w->cols), begin = w->offset - w->tensor->offset;
    if (!w->halves) return catalog_read(from->catalog, w->tensor, begin, to, (size_t)w->bytes, from->error);
    for (int64_t row = 0; row < w->rows; row++)
        TRY(catalog_read(from->catalog, w->tensor, begin + weight_source_row(w, from->sizes, row) * row_bytes,
                         (char *)to + row * row_bytes, (size_t)row_bytes, from->error));
    return OK;
}

static Status find(const WeightSource *from, Role role, int layer, int expert, Weight *out)
{
    return arch_weight(from->arch, from->catalog, from->sizes, role, layer, expert, out, from->error);
}

Status weights_tied(const WeightSource *from, bool *out)
{
    Weight embed, last;
    TRY(find(from, ROLE_EMBED, 0, 0, &embed));
    TRY(find(from, ROLE_OUT, 0, 0, &last));
    *out = embed.tensor == last.tensor;
    return OK;
}

Status weights_decode(const WeightSource *from, Role role, int layer, int expert, float *to)
{
    Weight w;
    TRY(find(from, role, layer, expert, &w));
    if (w.format == F32) return read_rows(from, &w, to);
    void *stored = malloc((size_t)w.bytes);
    if (!stored) return fail_memory(from->error, w.tensor->name);
    const Status status = read_rows(from, &w, stored);
    if (status == OK) format_info[w.format].decode(to, stored, (size_t)(w.rows * w.cols));
    free(stored);
    return status;
}

Status weights_keep(const WeightSource *from, Role role, int layer, int expert, Arena *arena, Format *format,
                    const void **out)
{
    Weight w;
    TRY(find(from, role, layer, expert, &w));
    void *rows = arena_new(arena, (size_t)w.bytes, 1);
    if (!rows) return fail_memory(from->error, w.tensor->name);
    *format = w.format;
    *out = rows;
    return read_rows(from, &w, rows);
}
