/* SPDX-License-Identifier: Apache-2.0
 * quantize/pack.c - a GGUF model to a packed file: runs as they are, then slab by slab, tables last.
 *
 * In place it goes layer by layer instead, and what is written must be on the disk before anything is given up:
 *
 *     PATH.part   runs, tables, note: 0 slabs are here, sync; head ("packing")  sync
 *     source      its first bytes become a mark; the runs' room is given back  sync
 *     a layer     slabs and their checksums, sync; note: n slabs are here, sync; the source's room is given back
 *     the end     checksums, sync; head ("whole"), sync; PATH.part becomes PATH; the source is removed
 *
 * So whenever it ends, each byte is in PATH.part if a note or the head says so, and else in the source.
 * docs/decisions/0010 says why. */
#include "quantize/pack_parts.h"

#include "base/checksum.h"
#include "number/panel.h"

#include <stdlib.h>
#include <string.h>

typedef struct Packing {
    const PackOptions *options;
    const char *from, *to;
    Catalog     catalog;                /* the GGUF; or, going on, what there is of the packed file */
    PackTables  tables;
    File       *sources;                /* [n_parts] the GGUF                                */
    Writer      out;
    Haul        haul;
    Meter       meter;
    uint64_t   *sums;                   /* of the pieces of a run                            */
    uint64_t    n_done;                 /* slabs that need not be moved                      */
    int         note;                   /* the one written last                              */
    bool        began;                  /* what is in the temporary is of this run           */
    bool        taking;                 /* the source is marked: it goes on, or nothing      */
} Packing;

/* ---- nobody else ---- */

/* Who packs in place marks the source before he gives any of it back. */
static bool is_marked(const File *file, PackedMark *mark)
{
    return file->n_bytes >= (int64_t)sizeof *mark && file_read(file, 0, mark, sizeof *mark, NULL) == OK &&
           memcmp(mark->magic, packed_mark_magic, sizeof mark->magic) == 0;
}

/* Is the temporary still what we have read of it? */
static bool same_part(const Packing *p)
{
    const Packed *was = p->catalog.packed;
    char *part = part_path(p->to);
    Catalog now;
    const bool there = part && catalog_open_change(part, &now, NULL) == OK;
    const bool same = there && now.packed && now.packed->head.state == was->head.state &&
                      now.packed->n_done == was->n_done && now.packed->note == was->note;
    if (there) catalog_close(&now);
    free(part);
    return same;
}

/* Another process may have come between what we saw and the moment when the sources were ours alone. */
static Status still_so(const Packing *p, Error *error)
{
    bool marked = false, so = !p->taking || same_part(p);
    PackedMark mark;
    for (uint32_t i = 0; i < p->tables.head.n_parts; i++) {
        marked |= is_marked(&p->sources[i], &mark);
        so &= p->taking || file_same(&p->sources[i], &p->catalog.files[i]);
    }
    if (so && marked == p->taking) return OK;
    return fail(error, BAD_ARGUMENT, "%s: expected nobody else to change it, found that another process has (in place, "
                "the same command goes on)", p->from);
}

/* ---- runs ---- */

typedef struct RunJob { Packing *p; const PackedRun *run; bool only_sums; } RunJob;

static Status copy_piece(void *arg, int64_t i, char *room, Error *error)
{
    const RunJob *job = arg;
    const CargoPiece piece = piece_of(job->run->n_bytes, i);
    TRY(file_read(&job->p->sources[job->run->part], (int64_t)(job->run->begin + piece.at), room, (size_t)piece.n_bytes,
                  error));
    job->p->sums[i] = checksum(room, (size_t)piece.n_bytes);
    if (job->only_sums) return OK;
    return writer_put_at(&job->p->out, (int64_t)(job->run->offset + piece.at), room, (size_t)piece.n_bytes, error);
}

static Status do_runs(Packing *p, bool only_sums, Error *error)
{
    for (uint64_t i = 0; i < p->tables.head.n_runs; i++) {
        PackedRun *run = &p->tables.runs[i];
        RunJob job = { p, run, only_sums };
        TRY(mover_run(p->haul.mover, copy_piece, &job, (int64_t)checksum_n_pieces((size_t)run->n_bytes), error));
        run->checksum = checksum_of_pieces(p->sums, (size_t)run->n_bytes);
        if (!only_sums) TRY(meter_add(&p->meter, (int64_t)run->n_bytes, error));
    }
    return OK;
}

static Status copy_runs(Packing *p, Error *error)
{
    return do_runs(p, false, error);
}

/* ---- slabs ---- */

static Status fill_stack(void *user, Cargo *cargo, int64_t i, char *room, Error *error)
{
    Packing *p = user;
    const CargoStack s = cargo_stack(&p->haul, cargo, i);
    TRY(file_read(&p->sources[s.tensor->file], s.at, room, (size_t)(s.n_rows * s.row_bytes), error));
    stack_pack(s.panels, s.tensor->format, s.cols, room, s.n_rows);
    return OK;
}

/* What lies between the matrices and behind them. */
static Status fill_gaps(void *user, Cargo *cargo, Error *error)
{
    const Packing *p = user;
    int64_t end = 0;
    (void)error;
    for (int m = 0; m < SLAB_MATRICES; m++) {
        memset(cargo->bytes + end, 0, (size_t)(cargo->places[m].at - end));
        end = cargo->places[m].at + cargo->places[m].n_bytes;
    }
    memset(cargo->bytes + end, 0, (size_t)((int64_t)cargo_bytes(&p->haul, cargo) - end));
    return OK;
}

static Status put_piece(void *user, Cargo *cargo, int64_t i, char *room, Error *error)
{
    Packing *p = user;
    (void)room;
    const PackedSlab *slab = &p->tables.slabs[cargo->index];
    const CargoPiece piece = piece_of(slab->n_bytes, i);
    cargo->sums[i] = checksum(cargo->bytes + piece.at, (size_t)piece.n_bytes);
    return writer_put_at(&p->out, (int64_t)(slab->offset + piece.at), cargo->bytes + piece.at, (size_t)piece.n_bytes,
                         error);
}

static Status slab_written(void *user, Cargo *cargo, Error *error)
{
    Packing *p = user;
    PackedSlab *slab = &p->tables.slabs[cargo->index];
    slab->checksum = checksum_of_pieces(cargo->sums, (size_t)slab->n_bytes);
    return meter_add(&p->meter, (int64_t)slab->n_bytes, error);
}

/* ---- head and tables ---- */

static Status put_tables(Packing *p, uint64_t first, uint64_t end, Error *error)
{
    const char *tables = (const char *)p->tables.parts;
    return writer_put_at(&p->out, (int64_t)(PACKED_TABLES_AT + first), tables + first, (size_t)(end - first), error);
}

static uint64_t tables_bytes(const Packing *p)
{
    return packed_tables_bytes(p->tables.head.n_parts, p->tables.head.n_runs, p->tables.head.n_slabs);
}

static Status put_head(Packing *p, PackedState state, Error *error)
{
    const PackedHead *h = &p->tables.head;
    const PackedHead head = packed_head(state, h->n_parts, h->n_runs, h->n_slabs, h->n_bytes,
                                        state == PACKED_WHOLE ? pack_tables_checksum(&p->tables) : 0);
    return writer_put_at(&p->out, 0, &head, sizeof head, error);
}

/* Never over the note that holds: it may be written half when the power fails. */
static Status put_note(Packing *p, uint64_t n_done, Error *error)
{
    const PackedNote note = packed_note(n_done);
    p->note = 1 - p->note;
    TRY(writer_put_at(&p->out, PACKED_NOTE_AT * (p->note + 1), &note, sizeof note, error));
    return writer_sync(&p->out, error);
}

/* ---- whole, beside the source ---- */

static Status pack_beside(Packing *p, Error *error)
{
    TRY(writer_expect(&p->out, (int64_t)p->tables.head.n_bytes, error));
    TRY(copy_runs(p, error));
    TRY(haul_slabs(&p->haul, 0, p->tables.head.n_slabs, error));
    TRY(still_so(p, error));
    TRY(put_tables(p, 0, tables_bytes(p), error));
    TRY(writer_cut(&p->out, (int64_t)p->tables.head.n_bytes, error));   /* the last run may end before */
    TRY(put_head(p, PACKED_WHOLE, error));
    return writer_commit(&p->out, error);
}

/* ---- in place ---- */

/* The first bytes of each part, which the packed file has by now: nobody takes the rest for a model any more. */
static Status mark_sources(Packing *p, Error *error)
{
    p->taking = true;
    for (uint32_t i = 0; i < p->tables.head.n_parts; i++) {
        PackedMark mark = { .id = pack_id(&p->tables), .part = i, .n_parts = p->tables.head.n_parts };
        memcpy(mark.magic, packed_mark_magic, sizeof mark.magic);
        TRY(file_write(&p->sources[i], 0, &mark, sizeof mark, error));
        TRY(file_sync(&p->sources[i], error));
    }
    return OK;
}

/* All but the block with the mark. */
static Status give_back(Packing *p, int part, uint64_t begin, uint64_t n_bytes, Error *error)
{
    const uint64_t from = begin < PACKED_ALIGN ? PACKED_ALIGN : begin, end = begin + n_bytes;
    return from < end ? file_punch(&p->sources[part], (int64_t)from, (int64_t)(end - from), error) : OK;
}

static Status give_back_runs(Packing *p, Error *error)
{
    for (uint64_t i = 0; i < p->tables.head.n_runs; i++) {
        const PackedRun *r = &p->tables.runs[i];
        TRY(give_back(p, (int)r->part, r->begin, r->n_bytes, error));
    }
    return OK;
}

static Status give_back_slabs(Packing *p, uint64_t first, uint64_t end, Error *error)
{
    for (uint64_t i = first; i < end; i++) {
        SlabPlace places[SLAB_MATRICES];
        packed_places(p->catalog.tensors, &p->tables.slabs[i], places);
        for (int m = 0; m < SLAB_MATRICES; m++) {
            const FileTensor *t = places[m].tensor;
            const uint64_t row_bytes = (uint64_t)format_row_bytes(t->format, t->dims[t->n_dims - 1]);
            const uint64_t begin = (uint64_t)t->offset + p->tables.slabs[i].matrices[m].first_row * row_bytes;
            TRY(give_back(p, t->file, begin, (uint64_t)places[m].rows * row_bytes, error));
        }
    }
    return OK;
}

static void tables_of(const Catalog *c, PackTables *out)
{
    *out = (PackTables){ c->packed->head, c->packed->parts, c->packed->runs, c->packed->slabs };
}

/* What lies under the temporary's name may be the only half of another model.  Ours is one of which no layer is there:
 * it ended before the source was marked. */
static Status may_begin(Packing *p, Error *error)
{
    bool worthless;
    Catalog there;
    TRY(part_is_worthless(&p->out, &worthless, error));
    if (worthless) return OK;
    if (catalog_open_change(p->out.temporary, &there, NULL) != OK) return part_is_taken(&p->out, error);
    PackTables tables;
    bool ours = there.packed && there.packed->head.state == PACKED_PACKING && there.packed->n_done == 0;
    Status status = ours ? do_runs(p, true, error) : OK;
    if (ours) tables_of(&there, &tables);
    ours = ours && pack_id(&tables) == pack_id(&p->tables);
    catalog_close(&there);
    return status != OK || ours ? status : part_is_taken(&p->out, error);
}

static Status begin_in_place(Packing *p, Error *error)
{
    const PackedHead *h = &p->tables.head;
    TRY(may_begin(p, error));
    for (uint32_t i = 0; i < h->n_parts; i++) TRY(file_punch(&p->sources[i], 0, 0, error));
    TRY(writer_expect(&p->out, (int64_t)room_in_place(&p->tables), error));
    p->began = true;
    TRY(writer_cut(&p->out, 0, error));
    TRY(copy_runs(p, error));
    TRY(put_tables(p, 0, tables_bytes(p), error));
    TRY(put_note(p, 0, error));
    TRY(put_head(p, PACKED_PACKING, error));
    TRY(writer_sync(&p->out, error));
    TRY(mark_sources(p, error));
    return give_back_runs(p, error);
}

static Status pack_units(Packing *p, Error *error)
{
    const uint64_t slabs_at = packed_tables_bytes(p->tables.head.n_parts, p->tables.head.n_runs, 0);
    for (uint64_t first = p->n_done, end; first < p->tables.head.n_slabs; first = end) {
        end = unit_end(&p->tables, first);
        TRY(haul_slabs(&p->haul, first, end, error));
        TRY(put_tables(p, slabs_at + first * sizeof(PackedSlab), slabs_at + end * sizeof(PackedSlab), error));
        TRY(writer_sync(&p->out, error));
        TRY(put_note(p, end, error));
        TRY(give_back_slabs(p, first, end, error));
    }
    return OK;
}

static Status remove_sources(const char *from, Error *error)
{
    int count = 1;
    for (int i = 0; i < count; i++) {
        char *path = gguf_part_path(from, i, &count);
        const Status status = path ? file_remove(path, error) : fail_memory(error, from);
        free(path);
        TRY(status);
    }
    return OK;
}

/* Without notes the file is the one that packing beside the source makes. */
static Status finish_in_place(Packing *p, Error *error)
{
    static const char nothing[PACKED_ALIGN - PACKED_NOTE_AT];
    TRY(put_tables(p, 0, tables_bytes(p), error));
    TRY(writer_cut(&p->out, (int64_t)p->tables.head.n_bytes, error));
    TRY(writer_sync(&p->out, error));
    TRY(put_head(p, PACKED_WHOLE, error));
    TRY(writer_sync(&p->out, error));
    TRY(writer_put_at(&p->out, PACKED_NOTE_AT, nothing, sizeof nothing, error));
    TRY(writer_commit(&p->out, error));
    return remove_sources(p->from, error);
}

static Status pack_in_place(Packing *p, Error *error)
{
    if (!p->taking) {
        TRY(begin_in_place(p, error));
    } else {
        TRY(mark_sources(p, error));                            /* perhaps it ended before all had theirs */
        TRY(give_back_slabs(p, 0, p->n_done, error));           /* or between note and this        */
    }
    TRY(pack_units(p, error));
    return finish_in_place(p, error);
}

/* ---- beginning, going on ---- */

/* A source that is marked, or NULL as path: none is.  A part that is gone was removed at the very end. */
static Status find_mark(const char *from, PackedMark *mark, bool *marked, Error *error)
{
    int count = 1;
    *marked = false;
    for (int i = 0; i < count && !*marked; i++) {
        char *path = gguf_part_path(from, i, &count);
        File file = { .fd = -1 };
        if (!path) return fail_memory(error, from);
        *marked = file_open(path, &file, NULL) == OK && is_marked(&file, mark);
        file_close(&file);
        free(path);
    }
    return OK;
}

/* Is this packed file, finished or not, what the source was marked for? */
static bool belongs(const char *path, const PackedMark *mark, Catalog *c, PackTables *tables, Error *error)
{
    if (catalog_open_change(path, c, error) != OK) return false;
    if (c->packed && c->packed->head.state != PACKED_UNPACKING) {
        tables_of(c, tables);
        if (pack_id(tables) == mark->id) return true;
    }
    catalog_close(c);
    return false;
}

static Status open_sources(Packing *p, Error *error)
{
    int count = 1;
    p->sources = calloc(p->tables.head.n_parts, sizeof *p->sources);
    if (!p->sources) return fail_memory(error, p->from);
    for (uint32_t i = 0; i < p->tables.head.n_parts; i++) p->sources[i].fd = -1;
    for (uint32_t i = 0; i < p->tables.head.n_parts; i++) {
        char *path = gguf_part_path(p->from, (int)i, &count);
        const Status status = !path                ? fail_memory(error, p->from)
                              : p->options->in_place ? file_open_change(path, &p->sources[i], error)
                                                     : file_open(path, &p->sources[i], error);
        free(path);
        TRY(status);
    }
    return OK;
}

/* *done: only the source was still to be removed. */
static Status go_on(Packing *p, const PackedMark *mark, bool *done, Error *error)
{
    Error why;
    *done = belongs(p->to, mark, &p->catalog, &p->tables, &why) && p->tables.head.state == PACKED_WHOLE;
    if (*done) return remove_sources(p->from, error);
    catalog_close(&p->catalog);

    char *part = part_path(p->to);
    if (!part) return fail_memory(error, p->to);
    const bool found = belongs(part, mark, &p->catalog, &p->tables, &why);
    free(part);
    if (!found)
        return fail(error, NOT_FOUND, "%s: expected the other half of this model in %s.part (the output named when "
                    "packing began), not found there", p->from, p->to);
    p->n_done = p->tables.head.state == PACKED_WHOLE ? p->tables.head.n_slabs : p->catalog.packed->n_done;
    p->note = p->catalog.packed->note;
    p->taking = true;
    return OK;
}

static Status begin(Packing *p, Error *error)
{
    TRY(p->options->in_place ? catalog_open_change(p->from, &p->catalog, error)
                             : catalog_open(p->from, &p->catalog, error));
    return pack_plan(&p->catalog, &p->tables, error);
}

static Status prepare(Packing *p, Error *error)
{
    const char *const none[] = { p->from, NULL }, *const *inputs = none;
    uint64_t longest = 0;
    if (!p->taking) TRY(catalog_files(&p->catalog, &inputs, error));
    TRY(open_sources(p, error));
    if (p->options->in_place) TRY(still_so(p, error));
    for (uint64_t i = 0; i < p->tables.head.n_runs; i++)
        if (p->tables.runs[i].n_bytes > longest) longest = p->tables.runs[i].n_bytes;
    p->sums = calloc(checksum_n_pieces((size_t)longest) + 1, sizeof *p->sums);
    if (!p->sums) return fail_memory(error, p->from);
    p->haul = (Haul){ .fill_tasks = cargo_stacks,
                      .empty_tasks = cargo_pieces,
                      .fill = fill_stack,
                      .empty = put_piece,
                      .between = fill_gaps,
                      .after = slab_written,
                      .user = p };
    TRY(haul_new(&p->haul, p->catalog.tensors, &p->tables, p->options->n_threads, error));
    p->meter.total = (int64_t)p->tables.head.n_bytes;
    if (p->taking && p->n_done < p->tables.head.n_slabs) p->meter.done = (int64_t)p->tables.slabs[p->n_done].offset;
    return p->options->in_place ? writer_reopen(p->to, inputs, &p->out, error)
                                : writer_open(p->to, inputs, &p->out, error);
}

static void clear(Packing *p)
{
    for (uint32_t i = 0; p->sources && i < p->tables.head.n_parts; i++) file_close(&p->sources[i]);
    free(p->sources);
    free(p->sums);
    haul_free(&p->haul);
    writer_abandon(&p->out);
    catalog_close(&p->catalog);
}

static Status pack_any(Packing *p, Error *error)
{
    PackedMark mark;
    bool marked = false, done = false;
    if (p->options->in_place) TRY(find_mark(p->from, &mark, &marked, error));
    TRY(marked ? go_on(p, &mark, &done, error) : begin(p, error));
    if (done) return OK;
    TRY(prepare(p, error));
    return p->options->in_place ? pack_in_place(p, error) : pack_beside(p, error);
}

Status pack_model(const char *from, const char *to, const PackOptions *options, Error *error)
{
    Packing p = { .options = options,
                  .from = from,
                  .to = to,
                  .out = { .fd = -1 },
                  .meter = { .progress = options->progress, .user = options->progress_user } };
    const Status status = pack_any(&p, error);
    if (status != OK && p.began && !p.taking) writer_cut(&p.out, 0, NULL);      /* nothing to go on with           */
    clear(&p);
    return status;
}
