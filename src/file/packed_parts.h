/* SPDX-License-Identifier: Apache-2.0
 * file/packed_parts.h - the GGUF that a packed file reads as, piece by piece.
 *
 * Internal to src/file. */
#ifndef FILE_PACKED_PARTS_H
#define FILE_PACKED_PARTS_H

#include "file/build.h"
#include "file/packed.h"
#include "number/panel.h"

#include <stdio.h>

/* Bytes [begin, begin + n_bytes) of a part: as they are, or the rows of a matrix that lies in panels. */
struct PackedPiece {
    int     part;
    int64_t begin, n_bytes;
    int64_t offset;                     /* in the packed file                               */
    int64_t slab;                       /* -1: a run                                        */
    int     matrix;
    Format  format;
    int64_t rows, cols;
};

struct PackedView { FileView view; const Packed *packed; int part; };

/* The one that holds this byte, or NULL. */
const PackedPiece *packed_piece_at(const Packed *packed, int part, int64_t at);
/* FileView.read of a part. */
Status packed_read(const FileView *view, int64_t offset, void *to, size_t n_bytes, Error *error);

/* Fills a catalog from the file at `path`. */
Status packed_open(Build *build, const char *path, Error *error);

#endif
