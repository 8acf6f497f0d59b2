/* SPDX-License-Identifier: Apache-2.0
 * file/packed.c - opening a packed file: head, tables, and what of the GGUF lies where.
 *
 * First the runs are believed, for the GGUF headers lie in them; with the tensor tables read from there the slabs get
 * their shapes; then runs and matrices together must be every byte of every part, once. */
#include "file/packed_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"

enum { PACKED_PARTS_MAX = CATALOG_FILES_MAX - 1 };

static const uint64_t bytes_max = (uint64_t)1 << 56;    /* sums and sixteenfold rows stay within 63 bits */

const char packed_magic[8] = "MIXTPACK", packed_mark_magic[8] = "MIXTTAKE", packed_given_magic[8] = "MIXTGIVE";

/* ---- head ---- */

PackedHead packed_head(PackedState state, uint64_t n_parts, uint64_t n_runs, uint64_t n_slabs, uint64_t n_bytes,
                       uint64_t table_checksum)
{
    PackedHead head = { .version = PACKED_VERSION,
                        .layout = PACKED_LAYOUT,
                        .state = state,
                        .n_parts = (uint32_t)n_parts,
                        .n_runs = n_runs,
                        .n_slabs = n_slabs,
                        .n_bytes = n_bytes,
                        .table_checksum = table_checksum };
    memcpy(head.magic, packed_magic, sizeof head.magic);
    head.checksum = checksum(&head, offsetof(PackedHead, checksum));
    return head;
}

PackedNote packed_note(uint64_t n_done)
{
    return (PackedNote){ n_done, checksum(&n_done, sizeof n_done) };
}

const char *packed_slab_name(const PackedSlab *slab, char out[SLAB_NAME_MAX])
{
    snprintf(out, SLAB_NAME_MAX, "layer %u, expert %u", slab->layer, slab->expert);
    return out;
}

static Status bad(const Packed *p, Error *error, const char *what, uint64_t expected, uint64_t found)
{
    return fail(error, BAD_FILE, "%s: packed file: %s: expected %llu, found %llu", p->file.path, what,
                (unsigned long long)expected, (unsigned long long)found);
}

static Status at_most(const Packed *p, Error *error, const char *what, uint64_t most, uint64_t found)
{
    if (found <= most) return OK;
    return fail(error, BAD_FILE, "%s: packed file: %s: expected at most %llu, found %llu", p->file.path, what,
                (unsigned long long)most, (unsigned long long)found);
}

static Status check_counts(const Packed *p, Error *error)
{
    const PackedHead *h = &p->head;
    if (h->n_parts < 1) return bad(p, error, "parts", 1, h->n_parts);
    TRY(at_most(p, error, "parts", PACKED_PARTS_MAX, h->n_parts));
    TRY(at_most(p, error, "runs", PACKED_RUNS_MAX, h->n_runs));
    TRY(at_most(p, error, "slabs", PACKED_SLABS_MAX, h->n_slabs));
    TRY(at_most(p, error, "length", bytes_max, h->n_bytes));
    const uint64_t tables = packed_tables_bytes(h->n_parts, h->n_runs, h->n_slabs);
    return at_most(p, error, "end of the tables", (uint64_t)p->file.n_bytes, PACKED_TABLES_AT + tables);
}

/* Notes are written in turns, so one of them is whole whenever the power fails. */
static Status read_notes(Packed *p, Error *error)
{
    bool any = false;
    for (int i = 0; i < 2; i++) {
        PackedNote note;
        TRY(file_read(&p->file, PACKED_NOTE_AT * (i + 1), &note, sizeof note, error));
        if (note.checksum != packed_note(note.n_done).checksum || note.n_done > p->head.n_slabs) continue;
        if (any && note.n_done <= p->n_done) continue;
        p->n_done = note.n_done;
        p->note = i;
        any = true;
    }
    return any ? OK : fail(error, BAD_FILE, "%s: packed file: expected a note of how far it got, found none",
                           p->file.path);
}

static Status check_state(Packed *p, bool unfinished, Error *error)
{
    const PackedHead *h = &p->head;
    if (h->state == PACKED_WHOLE)
        return h->n_bytes == (uint64_t)p->file.n_bytes ? OK
                                                       : bad(p, error, "length", h->n_bytes, (uint64_t)p->file.n_bytes);
    if (h->state > PACKED_UNPACKING) return bad(p, error, "state", PACKED_WHOLE, h->state);
    if (!unfinished)
        return fail(error, BAD_FILE, "%s: expected a whole packed file, found one that mixt %s --in-place has not "
                    "finished (the same command goes on)", p->file.path,
                    h->state == PACKED_PACKING ? "pack" : "unpack");
    return read_notes(p, error);
}

static Status read_head(Packed *p, bool unfinished, Error *error)
{
    if (p->file.n_bytes < PACKED_TABLES_AT)
        return bad(p, error, "bytes of the head", PACKED_TABLES_AT, (uint64_t)p->file.n_bytes);
    TRY(file_read(&p->file, 0, &p->head, sizeof p->head, error));
    const PackedHead *h = &p->head;
    if (memcmp(h->magic, packed_magic, sizeof h->magic) != 0)
        return fail(error, BAD_FILE, "%s: expected a packed file, found something else", p->file.path);
    if (h->version != PACKED_VERSION)
        return fail(error, UNSUPPORTED, "%s: expected version %d of packed files, found %u", p->file.path,
                    PACKED_VERSION, h->version);
    if (h->checksum != checksum(h, offsetof(PackedHead, checksum)))
        return fail(error, BAD_FILE, "%s: packed file: head: expected its checksum, found another", p->file.path);
    if (h->layout != PACKED_LAYOUT)
        return fail(error, UNSUPPORTED, "%s: expected experts in layout %d, found %u (mixt unpack of the version that "
                    "wrote it gives the GGUF back)", p->file.path, PACKED_LAYOUT, h->layout);
    TRY(check_counts(p, error));
    return check_state(p, unfinished, error);
}

/* ---- tables ---- */

static Status read_tables(Build *b, Packed *p, Error *error)
{
    const PackedHead *h = &p->head;
    const size_t n_bytes = (size_t)packed_tables_bytes(h->n_parts, h->n_runs, h->n_slabs);
    char *tables = arena_new(&b->catalog->arena, n_bytes, 1);
    p->views = arena_new(&b->catalog->arena, h->n_parts, sizeof *p->views);
    p->pieces = arena_new(&b->catalog->arena, (size_t)h->n_runs + SLAB_MATRICES * (size_t)h->n_slabs + 1,
                          sizeof *p->pieces);
    if (!tables || !p->views || !p->pieces) return fail_memory(error, "the tables of the packed file");
    TRY(file_read(&p->file, PACKED_TABLES_AT, tables, n_bytes, error));
    if (h->state != PACKED_PACKING && checksum(tables, n_bytes) != h->table_checksum)
        return fail(error, BAD_FILE, "%s: packed file: tables: expected their checksum, found another", p->file.path);
    p->parts = (PackedPart *)(void *)tables;
    p->runs = (PackedRun *)(void *)(p->parts + h->n_parts);
    p->slabs = (PackedSlab *)(void *)(p->runs + h->n_runs);
    return OK;
}

/* Ranges of the packed file itself: aligned, inside, and nobody's twice. */
typedef struct Range { uint64_t begin, n_bytes; } Range;

static int by_begin(const void *a, const void *b)
{
    const Range *l = a, *r = b;
    return (l->begin > r->begin) - (l->begin < r->begin);
}

static Status check_ranges(const Packed *p, Range *ranges, size_t n, Error *error)
{
    qsort(ranges, n, sizeof *ranges, by_begin);
    uint64_t end = PACKED_TABLES_AT + packed_tables_bytes(p->head.n_parts, p->head.n_runs, p->head.n_slabs);
    for (size_t i = 0; i < n; i++) {
        const Range *r = &ranges[i];
        if (r->begin % PACKED_ALIGN || r->n_bytes == 0)
            return fail(error, BAD_FILE, "%s: packed file: expected runs and slabs at multiples of %d, and not empty, "
                        "found %llu bytes at byte %llu", p->file.path, PACKED_ALIGN, (unsigned long long)r->n_bytes,
                        (unsigned long long)r->begin);
        if (r->begin < end || !range_inside(r->begin, r->n_bytes, p->head.n_bytes))
            return fail(error, BAD_FILE, "%s: packed file: expected runs and slabs from byte %llu to byte %llu, found "
                        "%llu bytes at byte %llu", p->file.path, (unsigned long long)end,
                        (unsigned long long)p->head.n_bytes, (unsigned long long)r->n_bytes,
                        (unsigned long long)r->begin);
        end = r->begin + r->n_bytes;
    }
    return OK;
}

static Status check_places(const Packed *p, Error *error)
{
    const size_t n = (size_t)(p->head.n_runs + p->head.n_slabs);
    Range *ranges = malloc((n + 1) * sizeof *ranges);
    if (!ranges) return fail_memory(error, "the tables of the packed file");
    for (size_t i = 0; i < p->head.n_runs; i++) ranges[i] = (Range){ p->runs[i].offset, p->runs[i].n_bytes };
    for (size_t i = 0; i < p->head.n_slabs; i++)
        ranges[p->head.n_runs + i] = (Range){ p->slabs[i].offset, p->slabs[i].n_bytes };
    const Status status = check_ranges(p, ranges, n, error);
    free(ranges);
    return status;
}

/* ---- the parts of the GGUF ---- */

static int by_place(const void *a, const void *b)
{
    const PackedPiece *l = a, *r = b;
    if (l->part != r->part) return l->part < r->part ? -1 : 1;
    return (l->begin > r->begin) - (l->begin < r->begin);
}

static void sort_pieces(Packed *p)
{
    qsort(p->pieces, (size_t)p->n_pieces, sizeof *p->pieces, by_place);
}

static Status add_runs(Packed *p, Error *error)
{
    for (uint64_t i = 0; i < p->head.n_runs; i++) {
        const PackedRun *r = &p->runs[i];
        if (r->part >= p->head.n_parts || !range_inside(r->begin, r->n_bytes, p->parts[r->part].n_bytes))
            return fail(error, BAD_FILE, "%s: packed file: run %llu: expected bytes of one of %u parts, found bytes "
                        "[%llu, +%llu) of part %u", p->file.path, (unsigned long long)i, p->head.n_parts,
                        (unsigned long long)r->begin, (unsigned long long)r->n_bytes, r->part);
        p->pieces[p->n_pieces++] = (PackedPiece){ .part = (int)r->part,
                                                  .begin = (int64_t)r->begin,
                                                  .n_bytes = (int64_t)r->n_bytes,
                                                  .offset = (int64_t)r->offset,
                                                  .slab = -1 };
    }
    sort_pieces(p);
    return OK;
}

static Status open_parts(Build *b, Packed *p, Error *error)
{
    Catalog *c = b->catalog;
    c->files = arena_new(&c->arena, p->head.n_parts, sizeof *c->files);
    if (!c->files) return fail_memory(error, "the tables of the packed file");
    for (uint32_t i = 0; i < p->head.n_parts; i++) {
        /* Nothing of a part is left out, so together they are no larger than the file. */
        TRY(at_most(p, error, "bytes of a part", p->head.n_bytes, p->parts[i].n_bytes));
        p->views[i] = (PackedView){ .view = { packed_read }, .packed = p, .part = (int)i };
        TRY(file_open_view(&p->views[i].view, p->file.path, (int64_t)p->parts[i].n_bytes, &c->files[i], error));
        c->n_files++;
    }
    return OK;
}

/* ---- slabs ---- */

int64_t packed_places(const FileTensor *tensors, const PackedSlab *slab, SlabPlace out[SLAB_MATRICES])
{
    int64_t at = 0;
    for (int m = 0; m < SLAB_MATRICES; m++) {
        const FileTensor *t = &tensors[slab->matrices[m].tensor];
        const int64_t rows = (int64_t)slab->matrices[m].n_rows;
        at = (at + PANEL_ALIGN - 1) / PANEL_ALIGN * PANEL_ALIGN;
        out[m] = (SlabPlace){ t, rows, at, stacks_bytes(t->format, t->dims[t->n_dims - 1], rows) };
        at += out[m].n_bytes;
    }
    return at;
}

static Status check_matrix(const Packed *p, const Catalog *c, const PackedSlab *slab, int m, Error *error)
{
    char name[SLAB_NAME_MAX];
    const PackedMatrix *x = &slab->matrices[m];
    if (x->tensor >= (uint64_t)c->n_tensors)
        return fail(error, BAD_FILE, "%s: packed file: %s: expected one of %lld tensors, found number %llu",
                    p->file.path, packed_slab_name(slab, name), (long long)c->n_tensors,
                    (unsigned long long)x->tensor);
    const FileTensor *t = &c->tensors[x->tensor];
    const uint64_t rows = (uint64_t)(t->bytes / format_row_bytes(t->format, t->dims[t->n_dims - 1]));
    if (x->n_rows < 1 || !range_inside(x->first_row, x->n_rows, rows))
        return fail(error, BAD_FILE, "%s: packed file: %s: expected rows of the %llu of tensor '%.100s', found "
                    "[%llu, +%llu)", p->file.path, packed_slab_name(slab, name), (unsigned long long)rows, t->name,
                    (unsigned long long)x->first_row, (unsigned long long)x->n_rows);
    return OK;
}

static Status add_slab(Packed *p, Catalog *c, int64_t index, Error *error)
{
    const PackedSlab *slab = &p->slabs[index];
    SlabPlace places[SLAB_MATRICES];
    char name[SLAB_NAME_MAX];
    for (int m = 0; m < SLAB_MATRICES; m++) TRY(check_matrix(p, c, slab, m, error));
    const uint64_t n_bytes = packed_round((uint64_t)packed_places(c->tensors, slab, places));
    if (slab->n_bytes != n_bytes)
        return fail(error, BAD_FILE, "%s: packed file: %s: expected a slab of %llu bytes, found %llu", p->file.path,
                    packed_slab_name(slab, name), (unsigned long long)n_bytes, (unsigned long long)slab->n_bytes);
    for (int m = 0; m < SLAB_MATRICES; m++) {
        FileTensor *t = &c->tensors[slab->matrices[m].tensor];
        const int64_t cols = t->dims[t->n_dims - 1], row_bytes = format_row_bytes(t->format, cols);
        t->packed = true;
        p->pieces[p->n_pieces++] = (PackedPiece){
            .part = t->file,
            .begin = t->offset + (int64_t)slab->matrices[m].first_row * row_bytes,
            .n_bytes = places[m].rows * row_bytes,
            .offset = (int64_t)slab->offset + places[m].at,
            .slab = index,
            .matrix = m,
            .format = t->format,
            .rows = places[m].rows,
            .cols = cols,
        };
    }
    return OK;
}

/* Pieces are sorted: each begins where the one before ends, and the last ends with its part. */
static Status check_whole(const Packed *p, Error *error)
{
    int64_t i = 0;
    for (uint32_t part = 0; part < p->head.n_parts; part++) {
        int64_t end = 0;
        for (; i < p->n_pieces && p->pieces[i].part == (int)part; end += p->pieces[i++].n_bytes)
            if (p->pieces[i].begin != end) break;
        const bool more = i < p->n_pieces && p->pieces[i].part == (int)part;
        if (more || (uint64_t)end != p->parts[part].n_bytes)
            return fail(error, BAD_FILE, "%s: packed file: part %u: expected every byte once, found byte %lld %s",
                        p->file.path, part, (long long)end,
                        more && p->pieces[i].begin < end ? "twice" : "nowhere");
    }
    return OK;
}

/* ---- */

static Status open_packed(Build *b, Packed *p, const char *path, Error *error)
{
    TRY(build_open(b, path, &p->file, error));
    TRY(read_head(p, b->change, error));
    TRY(read_tables(b, p, error));
    TRY(check_places(p, error));
    TRY(add_runs(p, error));
    TRY(open_parts(b, p, error));
    TRY(gguf_read_parts(b, path, error));
    for (uint64_t i = 0; i < p->head.n_slabs; i++) TRY(add_slab(p, b->catalog, (int64_t)i, error));
    sort_pieces(p);
    return check_whole(p, error);
}

Status packed_open(Build *b, const char *path, Error *error)
{
    Packed *p = arena_new(&b->catalog->arena, 1, sizeof *p);
    if (!p) return fail_memory(error, path);
    p->file.fd = -1;
    b->catalog->packed = p;                             /* catalog_close closes the file        */
    return open_packed(b, p, path, error);
}

const PackedSlab *catalog_slab(const Catalog *c, const FileTensor *t, int64_t first_row, int *matrix)
{
    if (!c->packed || !t->packed) return NULL;
    const int64_t begin = t->offset + first_row * format_row_bytes(t->format, t->dims[t->n_dims - 1]);
    const PackedPiece *piece = packed_piece_at(c->packed, t->file, begin);
    if (!piece || piece->slab < 0 || piece->begin != begin) return NULL;
    *matrix = piece->matrix;
    return &c->packed->slabs[piece->slab];
}
