/* SPDX-License-Identifier: Apache-2.0
 * quantize/pack_parts.h - what packing and unpacking share.
 *
 * A *unit* is the slabs of one layer: what is moved before it is noted.  Within it slabs go through two buffers: while
 * one is filled the other is written, so disk and cores work at the same time, and memory is two slabs. */
#ifndef QUANTIZE_PACK_PARTS_H
#define QUANTIZE_PACK_PARTS_H

#include "base/io.h"
#include "file/packed.h"
#include "quantize/fill.h"
#include "quantize/mover.h"
#include "quantize/pack.h"

/* The tables of a packed file, and the tensors they speak of. */
typedef struct PackTables {
    PackedHead  head;                   /* counts and length; the rest when it is written   */
    PackedPart *parts;                  /* the three lie one behind the other               */
    PackedRun  *runs;
    PackedSlab *slabs;
} PackTables;

/* Which bytes go where; everything but the checksums.  Memory is the arena's of the catalog, a GGUF model's. */
Status pack_plan(Catalog *catalog, PackTables *out, Error *error);
uint64_t pack_tables_checksum(const PackTables *tables);
/* What ties the rest of the source to a packed file that is not finished. */
uint64_t pack_id(const PackTables *tables);

/* ---- moving slabs ---- */

/* A slab in one of the two buffers. */
typedef struct Cargo {
    uint64_t   index;
    SlabPlace  places[SLAB_MATRICES];
    int64_t    n_tasks[SLAB_MATRICES];          /* stacks                                   */
    char      *bytes;
    uint64_t  *sums;                            /* of its pieces                            */
} Cargo;

typedef struct Haul {
    const FileTensor *tensors;
    const PackTables *tables;
    Mover    *mover;
    Cargo     cargo[2];
    Cargo    *filled, *emptied;                 /* of this run; NULL: nothing               */
    int64_t   n_fill, n_empty;
    /* How a buffer is filled and emptied; i counts the tasks of a cargo. */
    int64_t (*fill_tasks)(const Cargo *cargo), (*empty_tasks)(const Cargo *cargo);
    Status  (*fill)(void *user, Cargo *cargo, int64_t i, char *room, Error *error);
    Status  (*empty)(void *user, Cargo *cargo, int64_t i, char *room, Error *error);
    Status  (*between)(void *user, Cargo *cargo, Error *error);     /* after all of it is filled; NULL: nothing */
    Status  (*after)(void *user, Cargo *cargo, Error *error);       /* after all of it is emptied */
    void     *user;
} Haul;

Status haul_new(Haul *haul, const FileTensor *tensors, const PackTables *tables, int n_threads, Error *error);
void   haul_free(Haul *haul);
/* Slabs [first, end). */
Status haul_slabs(Haul *haul, uint64_t first, uint64_t end, Error *error);

int64_t  cargo_stacks(const Cargo *cargo);
int64_t  cargo_pieces(const Cargo *cargo);
uint64_t cargo_bytes(const Haul *haul, const Cargo *cargo);

/* Stack `i` of a cargo: rows [row, row + n_rows) of a matrix, and where they lie in the file and in the slab. */
typedef struct CargoStack {
    const FileTensor *tensor;
    int64_t cols, n_rows, row_bytes;
    int64_t at;                                 /* in the file, of a part                   */
    char   *panels;
} CargoStack;
CargoStack cargo_stack(const Haul *haul, const Cargo *cargo, int64_t i);

/* Piece `i`, of the size that checksums are taken of. */
typedef struct CargoPiece { uint64_t at, n_bytes; } CargoPiece;
CargoPiece piece_of(uint64_t n_bytes, int64_t i);

/* Before anything is taken: of a temporary that is there already, does it hold what somebody wants to go on with?  What
 * begins with zeros does not: a process was killed before it took anything. */
Status part_is_worthless(const Writer *out, bool *worthless, Error *error);
/* BAD_ARGUMENT, for such a one that is not. */
Status part_is_taken(const Writer *out, Error *error);
/* What must be free on the disk to go in place: the runs and the largest unit. */
uint64_t room_in_place(const PackTables *tables);
/* The end of the unit that slab `first` begins or is in. */
uint64_t unit_end(const PackTables *tables, uint64_t first);

#endif
