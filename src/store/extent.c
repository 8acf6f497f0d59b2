/* SPDX-License-Identifier: Apache-2.0
 * store/extent.c - from a range of a file into a tensor, in pieces small enough to stay polite. */
#include "store/store.h"

#include <stdlib.h>

enum { PIECE_BYTES = 8 << 20 };

int64_t extent_bytes(const Extent *e)
{
    return e->rows * format_row_bytes(e->format, e->cols);
}

int64_t expert_bytes(const ExpertExtents *e)
{
    return extent_bytes(&e->gate) + extent_bytes(&e->up) + extent_bytes(&e->down);
}

/* A device whose memory we cannot touch gets its bytes through a buffer. */
static Status load_through_buffer(Device *device, const Extent *e, Tensor *to, Error *error)
{
    const size_t n = (size_t)extent_bytes(e);
    void *buffer = malloc(n);
    if (!buffer) return fail_memory(error, "a weight on its way to the device");
    Status status = file_read(e->file, e->offset, buffer, n, error);
    if (status == OK && (status = device->ops->upload(device, to, buffer, n)) != OK && error)
        *error = device->error;
    free(buffer);
    return status;
}

Status extent_load(Device *device, const Extent *e, Tensor *to, Error *error)
{
    char *at = device->ops->host(device, to);
    if (!at) return load_through_buffer(device, e, to, error);
    const int64_t n = extent_bytes(e);
    for (int64_t done = 0; done < n; done += PIECE_BYTES) {
        const int64_t step = n - done < PIECE_BYTES ? n - done : PIECE_BYTES;
        TRY(file_read(e->file, e->offset + done, at + done, (size_t)step, error));
    }
    return OK;
}
