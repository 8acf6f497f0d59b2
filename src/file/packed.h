/* SPDX-License-Identifier: Apache-2.0
 * file/packed.h - a packed file: a GGUF model whose experts lie as the kernels want them.
 *
 * Each expert is one slab: gate, up and down together, in panels (number/panel.h), aligned to PACKED_ALIGN at both
 * ends, with a checksum.  All other bytes of the GGUF file, or of its parts, are kept in runs, as they are.  So the
 * file *reads as the GGUF it was made of*: catalog_open makes of it the catalog of that GGUF, whose files are views
 * (base/io.h) that decode panels on the way; and whoever knows slabs reads an expert in one go (catalog_slab).
 *
 * docs/format/packed.md describes the bytes. */
#ifndef FILE_PACKED_H
#define FILE_PACKED_H

#include "file/catalog.h"

enum {
    PACKED_VERSION   = 1,
    PACKED_LAYOUT    = 1,               /* of panels: another number when panel.h changes   */
    PACKED_ALIGN     = 4096,            /* of runs, slabs, tables and the file's length     */
    PACKED_RUNS_MAX  = 1 << 20,
    PACKED_SLABS_MAX = 1 << 20,
    SLAB_MATRICES    = 3,               /* gate, up, down                                   */
    PACKED_NOTE_AT   = 512,             /* two notes, each in a sector of its own           */
    PACKED_TABLES_AT = PACKED_ALIGN
};

/* ---- as it lies in the file, little endian ---- */

typedef enum PackedState {
    PACKED_WHOLE,
    PACKED_PACKING,                     /* --in-place: the notes say how many slabs are there ..     */
    PACKED_UNPACKING                    /* .. or are there no more                                   */
} PackedState;

typedef struct PackedHead {             /* at byte 0                                        */
    char     magic[8];                  /* "MIXTPACK"                                       */
    uint32_t version, layout, state, n_parts;
    uint64_t n_runs, n_slabs, n_bytes;  /* n_bytes: of this file                            */
    uint64_t table_checksum;            /* of the three tables; 0 while packing             */
    uint64_t checksum;                  /* of all above                                     */
} PackedHead;

typedef struct PackedNote   { uint64_t n_done, checksum; } PackedNote;      /* the checksum is of n_done */

typedef struct PackedPart   { uint64_t n_bytes; } PackedPart;               /* a GGUF file  */
/* Bytes [begin, begin + n_bytes) of a part lie at `offset`. */
typedef struct PackedRun    { uint32_t part, zero; uint64_t begin, n_bytes, offset, checksum; } PackedRun;
/* Rows of a tensor; `tensor` counts through the tables of all parts. */
typedef struct PackedMatrix { uint64_t tensor, first_row, n_rows; } PackedMatrix;
typedef struct PackedSlab {
    uint32_t     layer, expert;
    uint64_t     offset, n_bytes, checksum;     /* checksum_long of all n_bytes             */
    PackedMatrix matrices[SLAB_MATRICES];
} PackedSlab;

/* What ties the rest of a GGUF file that is being packed in place to the packed file; lies over its first bytes. */
typedef struct PackedMark { char magic[8]; uint64_t id; uint32_t part, n_parts; } PackedMark;

extern const char packed_magic[8], packed_mark_magic[8], packed_given_magic[8];

/* ---- opened ---- */

typedef struct PackedPiece PackedPiece;
typedef struct PackedView  PackedView;

typedef struct Packed {
    File        file;                   /* the packed file itself                           */
    PackedHead  head;
    uint64_t    n_done;                 /* slabs, in a file that is not whole ..            */
    int         note;                   /* .. as this note says                             */
    PackedPart *parts;
    PackedRun  *runs;
    PackedSlab *slabs;
    PackedView *views;                  /* [n_parts]                                        */
    PackedPiece *pieces;  int64_t n_pieces;     /* all bytes of the parts, in their order   */
} Packed;

/* Where a matrix lies in its slab. */
typedef struct SlabPlace { const FileTensor *tensor; int64_t rows, at, n_bytes; } SlabPlace;
/* The three of them, and behind them the end of the slab (without its padding). */
int64_t packed_places(const FileTensor *tensors, const PackedSlab *slab, SlabPlace out[SLAB_MATRICES]);

/* The slab that holds the matrix which begins at row `first_row` of a tensor, and which of its matrices that is; NULL:
 * the catalog is of no packed file, or the tensor is in a run. */
const PackedSlab *catalog_slab(const Catalog *catalog, const FileTensor *tensor, int64_t first_row, int *matrix);

/* Reads everything and compares the checksums: BAD_FILE names the slab's layer and expert. */
Status packed_verify(const Packed *packed, int n_threads, int (*progress)(void *user, int64_t done, int64_t total),
                     void *user, Error *error);

/* ---- for those who write one ---- */

PackedHead packed_head(PackedState state, uint64_t n_parts, uint64_t n_runs, uint64_t n_slabs, uint64_t n_bytes,
                       uint64_t table_checksum);
PackedNote packed_note(uint64_t n_done);
/* "layer 3, expert 5" */
enum { SLAB_NAME_MAX = 64 };
const char *packed_slab_name(const PackedSlab *slab, char out[SLAB_NAME_MAX]);

static inline uint64_t packed_round(uint64_t n_bytes)
{
    return (n_bytes + PACKED_ALIGN - 1) / PACKED_ALIGN * PACKED_ALIGN;
}

static inline uint64_t packed_tables_bytes(uint64_t n_parts, uint64_t n_runs, uint64_t n_slabs)
{
    return n_parts * sizeof(PackedPart) + n_runs * sizeof(PackedRun) + n_slabs * sizeof(PackedSlab);
}

#endif
