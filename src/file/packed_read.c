/* SPDX-License-Identifier: Apache-2.0
 * file/packed_read.c - a packed file as the GGUF it was made of: runs as they are, panels back to rows; and
 * whether it is still what was written. */
#include "file/packed_parts.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/pool.h"

const PackedPiece *packed_piece_at(const Packed *p, int part, int64_t at)
{
    int64_t first = 0, end = p->n_pieces;               /* the last that begins at or before it */
    while (first < end) {
        const int64_t middle = first + (end - first) / 2;
        const PackedPiece *x = &p->pieces[middle];
        if (x->part < part || (x->part == part && x->begin <= at)) first = middle + 1;
        else end = middle;
    }
    const PackedPiece *x = first ? &p->pieces[first - 1] : NULL;
    return x && x->part == part && at - x->begin < x->n_bytes ? x : NULL;
}

/* ---- rows out of panels ---- */

/* Bytes [begin, begin + n) of a matrix as a file holds it, all in one stack, which lies in `stack`. */
static void take_bytes(const PackedPiece *x, const void *stack, int64_t n_rows, char *row, int64_t begin, char *to,
                       int64_t n)
{
    const int64_t row_bytes = format_row_bytes(x->format, x->cols);
    while (n > 0) {
        const int64_t r = begin / row_bytes % STACK_ROWS, in = begin % row_bytes;
        const int64_t some = n < row_bytes - in ? n : row_bytes - in;
        char *whole = some == row_bytes ? to : row;
        stack_row(whole, x->format, x->cols, stack, n_rows, r);
        if (whole == row) memcpy(to, row + in, (size_t)some);
        begin += some;
        to += some;
        n -= some;
    }
}

static Status read_stacks(const Packed *p, const PackedPiece *x, char *room, int64_t begin, char *to, int64_t n,
                          Error *error)
{
    const int64_t row_bytes = format_row_bytes(x->format, x->cols), whole = STACK_ROWS * row_bytes;
    const int64_t one = stack_bytes(x->format, x->cols, STACK_ROWS);
    while (n > 0) {
        const int64_t stack = begin / whole, left = (stack + 1) * whole - begin, some = n < left ? n : left;
        const int64_t rest = x->rows - stack * STACK_ROWS, n_rows = rest < STACK_ROWS ? rest : STACK_ROWS;
        char *row = room + stack_bytes(x->format, x->cols, n_rows);
        TRY(file_read(&p->file, x->offset + stack * one, room, (size_t)(row - room), error));
        take_bytes(x, room, n_rows, row, begin, to, some);
        begin += some;
        to += some;
        n -= some;
    }
    return OK;
}

static Status read_matrix(const Packed *p, const PackedPiece *x, int64_t begin, char *to, int64_t n, Error *error)
{
    const int64_t most = x->rows < STACK_ROWS ? x->rows : STACK_ROWS;
    char *room = aligned_alloc(PANEL_ALIGN, packed_round((uint64_t)(stack_bytes(x->format, x->cols, most) +
                                                                    format_row_bytes(x->format, x->cols))));
    if (!room) return fail_memory(error, p->file.path);
    const Status status = read_stacks(p, x, room, begin, to, n, error);
    free(room);
    return status;
}

Status packed_read(const FileView *view, int64_t offset, void *to, size_t n_bytes, Error *error)
{
    const PackedView *v = (const PackedView *)(const void *)view;
    const Packed *p = v->packed;
    char *put = to;
    for (int64_t left = (int64_t)n_bytes; left > 0;) {
        const PackedPiece *x = offset < 0 ? NULL : packed_piece_at(p, v->part, offset);
        if (!x)
            return fail(error, BAD_FILE, "%s: packed file: part %d: expected byte %lld, found it nowhere",
                        p->file.path, v->part, (long long)offset);
        const int64_t in = offset - x->begin, some = left < x->n_bytes - in ? left : x->n_bytes - in;
        TRY(x->slab < 0 ? file_read(&p->file, x->offset + in, put, (size_t)some, error)
                        : read_matrix(p, x, in, put, some, error));
        offset += some;
        put += some;
        left -= some;
    }
    return OK;
}

/* ---- checksums ---- */

/* A stretch of the file, piece by piece on all threads. */
typedef struct Check {
    const Packed *p;
    int64_t       offset, n_bytes;
    uint64_t     *sums;                 /* of the pieces                                    */
    char         *room;                 /* [n_threads][CHECKSUM_PIECE_BYTES]                */
    atomic_int    failed;               /* the first to fail has the words                  */
    Error         error;
} Check;

static void sum_piece(void *arg, int64_t i, int worker)
{
    Check *c = arg;
    char *room = c->room + (size_t)worker * CHECKSUM_PIECE_BYTES;
    const int64_t at = i * CHECKSUM_PIECE_BYTES, left = c->n_bytes - at;
    const size_t n = left < CHECKSUM_PIECE_BYTES ? (size_t)left : CHECKSUM_PIECE_BYTES;
    Error error;
    if (file_read(&c->p->file, c->offset + at, room, n, &error) == OK) c->sums[i] = checksum(room, n);
    else if (atomic_exchange(&c->failed, 1) == 0) c->error = error;
}

static Status check_stretch(Check *c, Pool *pool, uint64_t offset, uint64_t n_bytes, uint64_t want, const char *what,
                            Error *error)
{
    c->offset = (int64_t)offset;
    c->n_bytes = (int64_t)n_bytes;
    pool_run(pool, sum_piece, c, (int64_t)checksum_n_pieces((size_t)n_bytes));
    if (atomic_load(&c->failed)) {
        if (error) *error = c->error;
        return c->error.code;
    }
    const uint64_t got = checksum_of_pieces(c->sums, (size_t)n_bytes);
    if (got == want) return OK;
    return fail(error, BAD_FILE, "%s: %s: expected checksum %016llx, found %016llx", c->p->file.path, what,
                (unsigned long long)want, (unsigned long long)got);
}

typedef struct Teller { int (*progress)(void *, int64_t, int64_t); void *user; int64_t done, total; } Teller;

static Status told(Teller *t, uint64_t n_bytes, Error *error)
{
    t->done += (int64_t)n_bytes;
    if (!t->progress || !t->progress(t->user, t->done, t->total)) return OK;
    return fail(error, CANCELLED, "checking was stopped");
}

static Status check_all(Check *c, Pool *pool, Teller *teller, Error *error)
{
    const Packed *p = c->p;
    char name[SLAB_NAME_MAX];
    for (uint64_t i = 0; i < p->head.n_runs; i++) {
        const PackedRun *r = &p->runs[i];
        snprintf(name, sizeof name, "run %llu", (unsigned long long)i);
        TRY(check_stretch(c, pool, r->offset, r->n_bytes, r->checksum, name, error));
        TRY(told(teller, r->n_bytes, error));
    }
    for (uint64_t i = 0; i < p->head.n_slabs; i++) {
        const PackedSlab *s = &p->slabs[i];
        TRY(check_stretch(c, pool, s->offset, s->n_bytes, s->checksum, packed_slab_name(s, name), error));
        TRY(told(teller, s->n_bytes, error));
    }
    return OK;
}

Status packed_verify(const Packed *p, int n_threads, int (*progress)(void *, int64_t, int64_t), void *user,
                     Error *error)
{
    uint64_t longest = 0;
    Teller teller = { .progress = progress, .user = user };
    for (uint64_t i = 0; i < p->head.n_runs; i++) {
        teller.total += (int64_t)p->runs[i].n_bytes;
        if (p->runs[i].n_bytes > longest) longest = p->runs[i].n_bytes;
    }
    for (uint64_t i = 0; i < p->head.n_slabs; i++) {
        teller.total += (int64_t)p->slabs[i].n_bytes;
        if (p->slabs[i].n_bytes > longest) longest = p->slabs[i].n_bytes;
    }
    if (n_threads < 1) n_threads = pool_cores();
    Pool *pool = NULL;
    Check c = { .p = p,
                .sums = calloc(checksum_n_pieces((size_t)longest) + 1, sizeof *c.sums),
                .room = calloc((size_t)n_threads, CHECKSUM_PIECE_BYTES) };
    Status status = c.sums && c.room ? pool_new(n_threads, &pool, error) : fail_memory(error, p->file.path);
    if (status == OK) status = check_all(&c, pool, &teller, error);
    pool_free(pool);
    free(c.sums);
    free(c.room);
    return status;
}
