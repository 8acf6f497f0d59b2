/* SPDX-License-Identifier: Apache-2.0
 * store/extent.c - from a range of a file into a weight, in pieces small enough to stay polite. */
#include "store/store.h"

#include <stdlib.h>

enum { PIECE_BYTES = 1 << 20 };

int64_t extent_bytes(const Extent *e)
{
    return e->rows * format_row_bytes(e->format, e->cols);
}

int64_t expert_bytes(const ExpertExtents *e)
{
    return extent_bytes(&e->gate) + extent_bytes(&e->up) + extent_bytes(&e->down);
}

Status extent_load(Device *device, const Extent *e, Tensor *to, Error *error)
{
    const int64_t row_bytes = format_row_bytes(e->format, e->cols), unit = device->ops->fill_rows;
    int64_t rows = PIECE_BYTES / row_bytes / unit * unit;
    if (rows < unit) rows = unit;
    char *piece = malloc((size_t)(rows * row_bytes));
    if (!piece) return fail_memory(error, "a weight on its way to the device");
    Status status = OK;
    for (int64_t first = 0; first < e->rows && status == OK; first += rows) {
        const int64_t n = e->rows - first < rows ? e->rows - first : rows;
        status = file_read(e->file, e->offset + first * row_bytes, piece, (size_t)(n * row_bytes), error);
        if (status == OK && (status = device->ops->fill(device, to, first, n, piece)) != OK && error)
            *error = device->error;
    }
    free(piece);
    return status;
}
