/* SPDX-License-Identifier: Apache-2.0
 * quantize/unpack.c - a packed file to the GGUF file, or the parts of one, that it was made of; checked on the way.
 *
 * In place it goes as in pack.c, the other way round.  The notes are in the packed file here too, for a GGUF file has
 * no room for any:
 *
 *     PATH.part   runs, zeros for a part's first bytes                          sync
 *     source      head ("unpacking"), note: 0 slabs are gone                    sync
 *     PATH.part   a mark for a part's first bytes
 *     a layer     rows, sync; note: n slabs are gone, sync; their room is given back
 *     the end     the first bytes; every PATH.part becomes PATH; the source is removed */
#include "quantize/pack_parts.h"

#include "base/checksum.h"
#include "number/panel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Unpacking {
    const PackOptions *options;
    const char *from;
    Catalog     catalog;
    const Packed *packed;
    PackTables  tables;
    File        source;                 /* in place: the packed file, to be written         */
    int         n_parts;
    char      **paths;                  /* [n_parts]                                         */
    Writer     *outs;
    bool       *there;                  /* [n_parts] has its name already                    */
    Haul        haul;
    Meter       meter;
    uint64_t   *sums;
    int         note;
    bool        began;                  /* what is in the temporaries is of this run         */
    bool        taking;                 /* the source is marked: it goes on, or nothing     */
} Unpacking;

/* ---- names ---- */

/* "mixtral.gguf" or "mixtral" stands for mixtral-00001-of-00005.gguf and so on. */
static char *part_name(const char *to, int part, int n_parts)
{
    int count;
    char *path = gguf_part_path(to, part, &count);
    if (!path || n_parts == 1 || count == n_parts) return path;
    free(path);
    const size_t n = strlen(to), n_end = strlen(".gguf");
    const bool ends = n > n_end && strcmp(to + n - n_end, ".gguf") == 0;
    return asprintf(&path, "%.*s-%05d-of-%05d.gguf", (int)(ends ? n - n_end : n), to, part + 1, n_parts) < 0 ? NULL
                                                                                                             : path;
}

static Status name_parts(Unpacking *u, const char *to, Error *error)
{
    u->n_parts = u->catalog.n_files;
    u->paths = calloc((size_t)u->n_parts, sizeof *u->paths);
    u->outs = calloc((size_t)u->n_parts, sizeof *u->outs);
    u->there = calloc((size_t)u->n_parts, sizeof *u->there);
    if (!u->paths || !u->outs || !u->there) return fail_memory(error, to);
    for (int i = 0; i < u->n_parts; i++) u->outs[i].fd = -1;
    for (int i = 0; i < u->n_parts; i++)
        if (!(u->paths[i] = part_name(to, i, u->n_parts))) return fail_memory(error, to);
    return OK;
}

/* ---- runs ---- */

typedef struct RunJob { Unpacking *u; const PackedRun *run; } RunJob;

/* Nobody takes half a GGUF for a model: its first bytes come last; a mark as soon as it is worth keeping. */
static bool begins_part(const PackedRun *run)
{
    return run->begin == 0 && run->n_bytes >= sizeof packed_given_magic;
}

static Status copy_piece(void *arg, int64_t i, char *room, Error *error)
{
    const RunJob *job = arg;
    const CargoPiece piece = piece_of(job->run->n_bytes, i);
    TRY(file_read(&job->u->packed->file, (int64_t)(job->run->offset + piece.at), room, (size_t)piece.n_bytes, error));
    job->u->sums[i] = checksum(room, (size_t)piece.n_bytes);
    if (job->u->options->in_place && begins_part(job->run) && i == 0) memset(room, 0, sizeof packed_given_magic);
    return writer_put_at(&job->u->outs[job->run->part], (int64_t)(job->run->begin + piece.at), room,
                         (size_t)piece.n_bytes, error);
}

static Status differs(const Unpacking *u, const char *what, uint64_t want, uint64_t got, Error *error)
{
    return fail(error, BAD_FILE, "%s: %s: expected checksum %016llx, found %016llx", u->packed->file.path, what,
                (unsigned long long)want, (unsigned long long)got);
}

static Status copy_runs(Unpacking *u, Error *error)
{
    for (uint64_t i = 0; i < u->tables.head.n_runs; i++) {
        const PackedRun *run = &u->tables.runs[i];
        RunJob job = { u, run };
        char name[SLAB_NAME_MAX];
        snprintf(name, sizeof name, "run %llu", (unsigned long long)i);
        TRY(mover_run(u->haul.mover, copy_piece, &job, (int64_t)checksum_n_pieces((size_t)run->n_bytes), error));
        const uint64_t got = checksum_of_pieces(u->sums, (size_t)run->n_bytes);
        if (got != run->checksum) return differs(u, name, run->checksum, got, error);
        TRY(meter_add(&u->meter, (int64_t)run->n_bytes, error));
    }
    return OK;
}

/* ---- slabs ---- */

static Status fill_piece(void *user, Cargo *cargo, int64_t i, char *room, Error *error)
{
    const Unpacking *u = user;
    (void)room;
    const PackedSlab *slab = &u->tables.slabs[cargo->index];
    const CargoPiece piece = piece_of(slab->n_bytes, i);
    TRY(file_read(&u->packed->file, (int64_t)(slab->offset + piece.at), cargo->bytes + piece.at,
                  (size_t)piece.n_bytes, error));
    cargo->sums[i] = checksum(cargo->bytes + piece.at, (size_t)piece.n_bytes);
    return OK;
}

static Status check_slab(void *user, Cargo *cargo, Error *error)
{
    const Unpacking *u = user;
    const PackedSlab *slab = &u->tables.slabs[cargo->index];
    const uint64_t got = checksum_of_pieces(cargo->sums, (size_t)slab->n_bytes);
    char name[SLAB_NAME_MAX];
    return got == slab->checksum ? OK : differs(u, packed_slab_name(slab, name), slab->checksum, got, error);
}

static Status put_rows(void *user, Cargo *cargo, int64_t i, char *room, Error *error)
{
    Unpacking *u = user;
    const CargoStack s = cargo_stack(&u->haul, cargo, i);
    for (int64_t r = 0; r < s.n_rows; r++)
        stack_row(room + r * s.row_bytes, s.tensor->format, s.cols, s.panels, s.n_rows, r);
    return writer_put_at(&u->outs[s.tensor->file], s.at, room, (size_t)(s.n_rows * s.row_bytes), error);
}

static Status slab_done(void *user, Cargo *cargo, Error *error)
{
    Unpacking *u = user;
    return meter_add(&u->meter, (int64_t)u->tables.slabs[cargo->index].n_bytes, error);
}

/* ---- whole, beside the source ---- */

static Status commit_all(Unpacking *u, Error *error)
{
    for (int i = 0; i < u->n_parts; i++)
        if (!u->there[i]) TRY(writer_commit(&u->outs[i], error));
    return OK;
}

static Status sync_all(Unpacking *u, Error *error)
{
    for (int i = 0; i < u->n_parts; i++) TRY(writer_sync(&u->outs[i], error));
    return OK;
}

static Status unpack_beside(Unpacking *u, Error *error)
{
    int64_t total = 0;
    for (int i = 0; i < u->n_parts; i++) total += u->catalog.files[i].n_bytes;
    TRY(writer_expect(&u->outs[0], total, error));
    TRY(copy_runs(u, error));
    TRY(haul_slabs(&u->haul, 0, u->tables.head.n_slabs, error));
    return commit_all(u, error);
}

/* ---- in place ---- */

static Status put_note(Unpacking *u, uint64_t n_done, Error *error)
{
    const PackedNote note = packed_note(n_done);
    u->note = 1 - u->note;
    TRY(file_write(&u->source, PACKED_NOTE_AT * (u->note + 1), &note, sizeof note, error));
    return file_sync(&u->source, error);
}

static Status give_back(Unpacking *u, uint64_t first, uint64_t end, Error *error)
{
    for (uint64_t i = first; i < end; i++)
        TRY(file_punch(&u->source, (int64_t)u->tables.slabs[i].offset, (int64_t)u->tables.slabs[i].n_bytes, error));
    return OK;
}

/* What lies under a temporary's name may be the only half of another model. */
static Status may_begin(Unpacking *u, Error *error)
{
    for (int i = 0; i < u->n_parts; i++) {
        bool worthless;
        TRY(part_is_worthless(&u->outs[i], &worthless, error));
        if (!worthless) return part_is_taken(&u->outs[i], error);
    }
    u->began = true;
    return OK;
}

static Status begin_in_place(Unpacking *u, Error *error)
{
    const PackedHead *h = &u->tables.head;
    TRY(may_begin(u, error));
    TRY(file_punch(&u->source, 0, 0, error));
    TRY(writer_expect(&u->outs[0], (int64_t)room_in_place(&u->tables), error));
    for (int i = 0; i < u->n_parts; i++) TRY(writer_cut(&u->outs[i], 0, error));
    TRY(copy_runs(u, error));
    TRY(sync_all(u, error));
    const PackedHead head = packed_head(PACKED_UNPACKING, h->n_parts, h->n_runs, h->n_slabs, h->n_bytes,
                                        h->table_checksum);
    u->taking = true;
    TRY(put_note(u, 0, error));                         /* a whole file's notes are not looked at */
    TRY(file_write(&u->source, 0, &head, sizeof head, error));
    return file_sync(&u->source, error);
}

/* The mark, or what belongs there. */
static Status put_first_bytes(Unpacking *u, bool mark, Error *error)
{
    char first[sizeof packed_given_magic];
    for (uint64_t i = 0; i < u->tables.head.n_runs; i++) {
        const PackedRun *run = &u->tables.runs[i];
        if (!begins_part(run) || u->there[run->part]) continue;
        memcpy(first, packed_given_magic, sizeof first);
        if (!mark) TRY(file_read(&u->packed->file, (int64_t)run->offset, first, sizeof first, error));
        TRY(writer_put_at(&u->outs[run->part], 0, first, sizeof first, error));
    }
    return OK;
}

static Status unpack_in_place(Unpacking *u, Error *error)
{
    const uint64_t n_slabs = u->tables.head.n_slabs, n_done = u->taking ? u->packed->n_done : 0;
    if (!u->taking) TRY(begin_in_place(u, error));
    TRY(put_first_bytes(u, true, error));
    TRY(give_back(u, 0, n_done, error));
    for (uint64_t first = n_done, end; first < n_slabs; first = end) {
        end = unit_end(&u->tables, first);
        TRY(haul_slabs(&u->haul, first, end, error));
        TRY(sync_all(u, error));
        TRY(put_note(u, end, error));
        TRY(give_back(u, first, end, error));
    }
    TRY(put_first_bytes(u, false, error));
    TRY(commit_all(u, error));
    return file_remove(u->from, error);
}

/* ---- beginning, going on ---- */

/* At the very end parts get their names one by one: one that has it lost its temporary. */
static bool has_name(const Unpacking *u, int i)
{
    char *part = part_path(u->paths[i]);
    File whole = { .fd = -1 }, half = { .fd = -1 };
    const bool all_moved = u->taking && u->packed->n_done == u->packed->head.n_slabs;
    const bool there = all_moved && part && file_open(part, &half, NULL) != OK &&
                       file_open(u->paths[i], &whole, NULL) == OK && whole.n_bytes == u->catalog.files[i].n_bytes;
    file_close(&whole);
    file_close(&half);
    free(part);
    return there;
}

/* Going on, the other half has to be there: a fresh temporary would be half a model. */
static Status find_half(const Unpacking *u, int i, Error *error)
{
    char *part = part_path(u->paths[i]);
    File half = { .fd = -1 };
    if (!part) return fail_memory(error, u->from);
    const Status status = file_open(part, &half, NULL);
    file_close(&half);
    free(part);
    if (status == OK) return OK;
    return fail(error, NOT_FOUND, "%s: expected the other half of this model in %s.part (the output named when "
                "unpacking began), not found there", u->from, u->paths[i]);
}

static Status open_outs(Unpacking *u, Error *error)
{
    const char *const inputs[] = { u->from, NULL };
    for (int i = 0; i < u->n_parts; i++) {
        u->there[i] = has_name(u, i);
        if (u->there[i]) continue;
        if (u->taking) TRY(find_half(u, i, error));
        TRY(u->options->in_place ? writer_reopen(u->paths[i], inputs, &u->outs[i], error)
                                 : writer_open(u->paths[i], inputs, &u->outs[i], error));
    }
    return OK;
}

/* In place it is ours alone before we look how far it got. */
static Status open_source(Unpacking *u, Error *error)
{
    if (u->options->in_place) TRY(file_open_change(u->from, &u->source, error));
    TRY(u->options->in_place ? catalog_open_change(u->from, &u->catalog, error)
                             : catalog_open(u->from, &u->catalog, error));
    u->packed = u->catalog.packed;
    if (!u->packed) return fail(error, BAD_ARGUMENT, "%s: expected a packed model, found one that is not", u->from);
    if (u->packed->head.state == PACKED_PACKING)
        return fail(error, BAD_FILE, "%s: expected a whole packed file, found one that mixt pack --in-place has not "
                    "finished (the same command goes on)", u->from);
    u->tables = (PackTables){ u->packed->head, u->packed->parts, u->packed->runs, u->packed->slabs };
    u->note = u->packed->note;
    u->taking = u->packed->head.state == PACKED_UNPACKING;
    if (!u->options->in_place || file_same(&u->source, &u->packed->file)) return OK;
    return fail(error, IO_FAILED, "%s: was replaced while it was opened", u->from);
}

static Status prepare(Unpacking *u, Error *error)
{
    const PackedHead *h = &u->tables.head;
    uint64_t longest = 0;
    for (uint64_t i = 0; i < h->n_runs; i++)
        if (u->tables.runs[i].n_bytes > longest) longest = u->tables.runs[i].n_bytes;
    u->sums = calloc(checksum_n_pieces((size_t)longest) + 1, sizeof *u->sums);
    if (!u->sums) return fail_memory(error, u->from);
    u->haul = (Haul){ .fill_tasks = cargo_pieces,
                      .empty_tasks = cargo_stacks,
                      .fill = fill_piece,
                      .empty = put_rows,
                      .between = check_slab,
                      .after = slab_done,
                      .user = u };
    u->meter.total = (int64_t)h->n_bytes;
    if (u->packed->n_done && u->packed->n_done < h->n_slabs)
        u->meter.done = (int64_t)u->tables.slabs[u->packed->n_done].offset;
    return haul_new(&u->haul, u->catalog.tensors, &u->tables, u->options->n_threads, error);
}

static void clear(Unpacking *u)
{
    for (int i = 0; i < u->n_parts; i++) {
        if (u->outs) writer_abandon(&u->outs[i]);
        if (u->paths) free(u->paths[i]);
    }
    free(u->paths);
    free(u->outs);
    free(u->there);
    free(u->sums);
    haul_free(&u->haul);
    file_close(&u->source);
    catalog_close(&u->catalog);
}

static Status unpack_any(Unpacking *u, const char *to, Error *error)
{
    TRY(open_source(u, error));
    TRY(name_parts(u, to, error));
    TRY(open_outs(u, error));
    TRY(prepare(u, error));
    return u->options->in_place ? unpack_in_place(u, error) : unpack_beside(u, error);
}

Status unpack_model(const char *from, const char *to, const PackOptions *options, Error *error)
{
    Unpacking u = { .options = options,
                    .from = from,
                    .source = { .fd = -1 },
                    .meter = { .progress = options->progress, .user = options->progress_user } };
    const Status status = unpack_any(&u, to, error);
    for (int i = 0; status != OK && u.began && !u.taking && i < u.n_parts; i++)
        writer_cut(&u.outs[i], 0, NULL);                /* nothing to go on with                     */
    clear(&u);
    return status;
}
