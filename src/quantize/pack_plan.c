/* SPDX-License-Identifier: Apache-2.0
 * quantize/pack_plan.c - which bytes of a GGUF model are experts, and where everything goes in the packed file. */
#include "quantize/pack_parts.h"

#include "arch/arch.h"
#include "base/checksum.h"

#include <stdlib.h>
#include <string.h>

static const Role roles[SLAB_MATRICES] = { ROLE_GATE, ROLE_UP, ROLE_DOWN };

/* Bytes of a part that are an expert's. */
typedef struct Taken { int part; int64_t begin, n_bytes; } Taken;

static int by_place(const void *a, const void *b)
{
    const Taken *l = a, *r = b;
    if (l->part != r->part) return l->part < r->part ? -1 : 1;
    return (l->begin > r->begin) - (l->begin < r->begin);
}

static Status take_expert(const Catalog *c, const Arch *arch, const Sizes *sizes, int layer, int expert,
                          PackedSlab *slab, Taken taken[SLAB_MATRICES], Error *error)
{
    SlabPlace places[SLAB_MATRICES];
    slab->layer = (uint32_t)layer;
    slab->expert = (uint32_t)expert;
    for (int m = 0; m < SLAB_MATRICES; m++) {
        Weight w;
        TRY(arch_weight(arch, c, sizes, roles[m], layer, expert, &w, error));
        const int64_t row_bytes = format_row_bytes(w.format, w.cols);
        slab->matrices[m] = (PackedMatrix){ .tensor = (uint64_t)(w.tensor - c->tensors),
                                            .first_row = (uint64_t)((w.offset - w.tensor->offset) / row_bytes),
                                            .n_rows = (uint64_t)w.rows };
        taken[m] = (Taken){ w.tensor->file, w.offset, w.bytes };
    }
    slab->n_bytes = packed_round((uint64_t)packed_places(c->tensors, slab, places));
    return OK;
}

static Status take_experts(const Catalog *c, const Arch *arch, const Sizes *sizes, PackTables *t, Taken *taken,
                           Error *error)
{
    for (int64_t i = 0; i < sizes->n_layers * sizes->n_experts; i++)
        TRY(take_expert(c, arch, sizes, (int)(i / sizes->n_experts), (int)(i % sizes->n_experts), &t->slabs[i],
                        &taken[i * SLAB_MATRICES], error));
    qsort(taken, (size_t)t->head.n_slabs * SLAB_MATRICES, sizeof *taken, by_place);
    return OK;
}

static void add_run(PackTables *t, int part, int64_t begin, int64_t end)
{
    if (begin < end)
        t->runs[t->head.n_runs++] = (PackedRun){ .part = (uint32_t)part,
                                                 .begin = (uint64_t)begin,
                                                 .n_bytes = (uint64_t)(end - begin) };
}

/* What no expert takes, header and padding included. */
static void find_runs(const Catalog *c, PackTables *t, const Taken *taken)
{
    const uint64_t n = t->head.n_slabs * SLAB_MATRICES;
    uint64_t i = 0;
    for (int part = 0; part < c->n_files; part++) {
        int64_t end = 0;
        for (; i < n && taken[i].part == part; i++) {
            add_run(t, part, end, taken[i].begin);
            end = taken[i].begin + taken[i].n_bytes;
        }
        add_run(t, part, end, c->files[part].n_bytes);
    }
}

/* Runs first, for they are read when a model is opened; then slabs, those of a layer together. */
static void place(PackTables *t)
{
    uint64_t at = packed_round(PACKED_TABLES_AT +
                               packed_tables_bytes(t->head.n_parts, t->head.n_runs, t->head.n_slabs));
    for (uint64_t i = 0; i < t->head.n_runs; i++) {
        t->runs[i].offset = at;
        at = packed_round(at + t->runs[i].n_bytes);
    }
    for (uint64_t i = 0; i < t->head.n_slabs; i++) {
        t->slabs[i].offset = at;
        at += t->slabs[i].n_bytes;
    }
    t->head.n_bytes = at;
}

/* One behind the other, as in the file. */
static Status join_tables(Catalog *c, PackTables *t, Error *error)
{
    const PackTables apart = *t;
    char *all = arena_new(&c->arena, (size_t)packed_tables_bytes(t->head.n_parts, t->head.n_runs, t->head.n_slabs), 1);
    if (!all) return fail_memory(error, "the tables of the packed file");
    t->parts = (PackedPart *)(void *)all;
    t->runs = (PackedRun *)(void *)(t->parts + t->head.n_parts);
    t->slabs = (PackedSlab *)(void *)(t->runs + t->head.n_runs);
    memcpy(t->parts, apart.parts, t->head.n_parts * sizeof *t->parts);
    memcpy(t->runs, apart.runs, t->head.n_runs * sizeof *t->runs);
    memcpy(t->slabs, apart.slabs, t->head.n_slabs * sizeof *t->slabs);
    return OK;
}

static Status plan(Catalog *c, const Arch *arch, const Sizes *sizes, PackTables *t, Taken *taken, Error *error)
{
    for (int i = 0; i < c->n_files; i++) t->parts[i].n_bytes = (uint64_t)c->files[i].n_bytes;
    TRY(take_experts(c, arch, sizes, t, taken, error));
    find_runs(c, t, taken);
    place(t);
    return join_tables(c, t, error);
}

static Status make_tables(Catalog *c, uint64_t n_slabs, PackTables *t, Error *error)
{
    const uint64_t n_runs = n_slabs * SLAB_MATRICES + (uint64_t)c->n_files;     /* at most          */
    t->head.n_parts = (uint32_t)c->n_files;
    t->head.n_slabs = n_slabs;
    t->parts = arena_new(&c->arena, (size_t)c->n_files, sizeof *t->parts);
    t->runs = arena_new(&c->arena, (size_t)n_runs, sizeof *t->runs);
    t->slabs = arena_new(&c->arena, (size_t)n_slabs, sizeof *t->slabs);
    return t->parts && t->runs && t->slabs ? OK : fail_memory(error, "the tables of the packed file");
}

Status pack_plan(Catalog *c, PackTables *t, Error *error)
{
    const Arch *arch;
    Sizes sizes;
    if (c->source != SOURCE_GGUF)
        return fail(error, UNSUPPORTED, "%s: expected a GGUF model, found another kind (mixt convert makes one of it)",
                    c->path);
    if (c->packed) return fail(error, BAD_ARGUMENT, "%s: expected a GGUF model, found one that is packed", c->path);
    TRY(arch_find(c, &arch, error));
    TRY(arch_sizes(arch, c, &sizes, error));
    const uint64_t n_slabs = (uint64_t)(sizes.n_layers * sizes.n_experts);
    *t = (PackTables){ 0 };
    TRY(make_tables(c, n_slabs, t, error));
    Taken *taken = calloc((size_t)n_slabs * SLAB_MATRICES, sizeof *taken);
    const Status status = taken ? plan(c, arch, &sizes, t, taken, error)
                                : fail_memory(error, "the tables of the packed file");
    free(taken);
    return status;
}

/* ---- what identifies tables ---- */

uint64_t pack_tables_checksum(const PackTables *t)
{
    return checksum(t->parts, (size_t)packed_tables_bytes(t->head.n_parts, t->head.n_runs, t->head.n_slabs));
}

uint64_t pack_id(const PackTables *t)
{
    return checksum(t->parts, (size_t)packed_tables_bytes(t->head.n_parts, t->head.n_runs, 0));
}

Status part_is_worthless(const Writer *out, bool *worthless, Error *error)
{
    static const char zeros[sizeof packed_magic];
    char first[sizeof packed_magic] = { 0 };
    File file;
    TRY(file_open(out->temporary, &file, error));
    const size_t n = file.n_bytes < (int64_t)sizeof first ? (size_t)file.n_bytes : sizeof first;
    const Status status = file_read(&file, 0, first, n, error);
    file_close(&file);
    *worthless = status == OK && memcmp(first, zeros, sizeof first) == 0;
    return status;
}

Status part_is_taken(const Writer *out, Error *error)
{
    return fail(error, BAD_ARGUMENT, "%s: expected no such file, found one that does not belong to this model: finish "
                "what was begun there, or remove it", out->temporary);
}
