/* SPDX-License-Identifier: Apache-2.0
 * store/load.c - see load.h. */
#include "store/load.h"

#include "base/checked.h"
#include "base/clock.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    /* Rows stay in the cache of a core (L2, 512 KiB and up) from reading to arranging; 64 KiB to
     * 1 MiB load equally fast, and small pieces end together.  A piece is at least what the device fills at once,
     * which may be more.  The system's own reading ahead is enough: asking for the pieces to come made cold loads
     * no faster. */
#ifdef MIXT_HOSTILE
    PIECE_BYTES  = 1 << 10,
#else
    PIECE_BYTES  = 256 << 10,
#endif
    TELL_US      = 50000,
    BUFFER_ALIGN = 4096
};

/* What went wrong first on one thread. */
typedef struct Mishap {
    int64_t piece;
    Status  status;             /* OK: nothing                                             */
    bool    in_device;          /* then device->error has the words                        */
    Error   error;
} Mishap;

struct Loader {
    Device        *device;
    Pool          *pool;
    char          *buffers;             /* [n_threads][buffer_bytes]                       */
    int64_t        buffer_bytes;
    Mishap        *mishaps;             /* [n_threads]                                     */
    /* this run's */
    Load          *loads;
    int            n_loads;
    int64_t        n_pieces;
    StoreProgress *progress;
    int64_t        before_bytes, told_us;
    bool           cancelled;           /* by the calling thread, which alone asks         */
    atomic_int_least64_t done_bytes;
    atomic_int_least64_t last_piece;    /* later ones need not be loaded any more          */
};

/* ---- pieces ---- */

typedef struct Piece { const Load *load; int64_t first, n_rows, row_bytes; } Piece;

static int64_t n_pieces_of(const Load *load)
{
    return (load->from.rows + load->piece_rows - 1) / load->piece_rows;
}

static Status cut(Loader *l, Error *error)
{
    const int64_t unit = l->device->ops->fill_rows;
    l->n_pieces = 0;
    for (int i = 0; i < l->n_loads; i++) {
        Load *load = &l->loads[i];
        const int64_t row_bytes = format_row_bytes(load->from.format, load->from.cols);
        const int64_t rows = row_bytes ? PIECE_BYTES / row_bytes / unit * unit : 0;
        load->piece_rows = rows ? rows : unit;
        load->first_piece = l->n_pieces;
        l->n_pieces += n_pieces_of(load);
        if (load->piece_rows * row_bytes > l->buffer_bytes)
            return fail(error, BAD_ARGUMENT, "a row of %lld bytes: the loader has room for %lld",
                        (long long)row_bytes, (long long)(l->buffer_bytes / unit));
    }
    return OK;
}

static Piece piece_at(const Loader *l, int64_t i)
{
    int first = 0, end = l->n_loads;                    /* the last load that begins at or before i */
    while (end - first > 1) {
        const int middle = first + (end - first) / 2;
        if (l->loads[middle].first_piece <= i) first = middle;
        else end = middle;
    }
    const Load *load = &l->loads[first];
    Piece piece = { .load = load,
                    .first = (i - load->first_piece) * load->piece_rows,
                    .row_bytes = format_row_bytes(load->from.format, load->from.cols) };
    const int64_t rest = load->from.rows - piece.first;
    piece.n_rows = rest < load->piece_rows ? rest : load->piece_rows;
    return piece;
}

static Status read_rows(const Piece *p, char *to, Error *error)
{
    const Extent *from = &p->load->from;
    if (!p->load->source_row)
        return file_read(from->file, from->offset + p->first * p->row_bytes, to,
                         (size_t)(p->n_rows * p->row_bytes), error);
    for (int64_t i = 0; i < p->n_rows; i++) {
        const int64_t row = p->load->source_row(p->load->of, p->first + i);
        TRY(file_read(from->file, from->offset + row * p->row_bytes, to + i * p->row_bytes,
                      (size_t)p->row_bytes, error));
    }
    return OK;
}

/* ---- one thread's share ---- */

/* Pieces are handed out in order, so those before this one have been begun, and will say whether they fail. */
static void note(Loader *l, int worker, const Mishap *what)
{
    if (l->mishaps[worker].status == OK) l->mishaps[worker] = *what;
    int64_t last = atomic_load(&l->last_piece);
    while (last > what->piece && !atomic_compare_exchange_weak(&l->last_piece, &last, what->piece))
        continue;
}

static void tell(Loader *l)
{
    StoreProgress *p = l->progress;
    if (!p || l->cancelled) return;
    p->done_bytes = l->before_bytes + atomic_load(&l->done_bytes);
    l->told_us = clock_us();
    if (!p->tell || !p->tell(p->user, p->done_bytes, p->total_bytes)) return;
    l->cancelled = true;
    atomic_store(&l->last_piece, -1);
}

static void load_piece(void *arg, int64_t i, int worker)
{
    Loader *l = arg;
    if (i > atomic_load(&l->last_piece)) return;
    const Piece p = piece_at(l, i);
    char *rows = l->buffers + worker * l->buffer_bytes;
    Mishap m = { .piece = i };
    m.status = read_rows(&p, rows, &m.error);
    if (m.status == OK) {
        m.status = l->device->ops->fill(l->device, p.load->to, p.first, p.n_rows, rows);
        m.in_device = m.status != OK;
    }
    if (m.status == OK) atomic_fetch_add(&l->done_bytes, p.n_rows * p.row_bytes);
    else note(l, worker, &m);
    if (worker == 0 && clock_us() - l->told_us >= TELL_US) tell(l);
}

/* ---- a run ---- */

static Status outcome(const Loader *l, Error *error)
{
    const Mishap *first = NULL;
    for (int i = 0; i < pool_n_threads(l->pool); i++) {
        const Mishap *m = &l->mishaps[i];
        if (m->status != OK && (!first || m->piece < first->piece)) first = m;
    }
    if (l->cancelled) return fail(error, CANCELLED, "loading was stopped");
    if (!first) return OK;
    if (error) *error = first->in_device ? l->device->error : first->error;
    return first->status;
}

Status loader_run(Loader *l, Load *loads, int n_loads, StoreProgress *progress, Error *error)
{
    l->loads = loads;
    l->n_loads = n_loads;
    l->progress = progress;
    l->before_bytes = progress ? progress->done_bytes : 0;
    l->told_us = clock_us();
    l->cancelled = false;
    for (int i = 0; i < pool_n_threads(l->pool); i++) l->mishaps[i].status = OK;
    TRY(cut(l, error));
    atomic_store(&l->done_bytes, 0);
    atomic_store(&l->last_piece, l->n_pieces);

    pool_run(l->pool, load_piece, l, l->n_pieces);
    if (atomic_load(&l->last_piece) == l->n_pieces) tell(l);
    return outcome(l, error);
}

/* ---- making and ending ---- */

Status loader_new(Device *device, int64_t row_bytes_max, Loader **out, Error *error)
{
    *out = NULL;
    Loader *l = calloc(1, sizeof *l);
    if (!l) return fail_memory(error, "the loader");
    l->device = device;
    const int n_threads = device_n_threads(device);
    int64_t most, all;
    bool fits = checked_mul(row_bytes_max, device->ops->fill_rows, &most);
    if (fits && most < PIECE_BYTES) most = PIECE_BYTES;
    fits = fits && checked_add(most, BUFFER_ALIGN, &most);
    l->buffer_bytes = fits ? most / BUFFER_ALIGN * BUFFER_ALIGN : 0;
    if (fits && checked_mul(l->buffer_bytes, n_threads, &all))
        l->buffers = aligned_alloc(BUFFER_ALIGN, (size_t)all);
    l->mishaps = calloc((size_t)n_threads, sizeof *l->mishaps);
    Status status = l->buffers && l->mishaps ? OK : fail_memory(error, "the loader");
    if (status == OK) status = pool_new(n_threads, &l->pool, error);
    if (status != OK) {
        loader_free(l);
        return status;
    }
    *out = l;
    return OK;
}

void loader_free(Loader *l)
{
    if (!l) return;
    pool_free(l->pool);
    free(l->buffers);
    free(l->mishaps);
    free(l);
}
