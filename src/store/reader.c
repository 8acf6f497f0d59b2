/* SPDX-License-Identifier: Apache-2.0
 * store/reader.c - see reader.h.
 *
 * Threads with blocking reads, not io_uring: the block a thread has read it also arranges, and it works wherever there
 * are threads (containers often forbid the other).  Eight in flight keep the disks we know busy; there are twice as
 * many, since some arrange while others read, and some wait for a core that computes. */
#include "store/reader.h"

#include "base/checked.h"
#include "base/checksum.h"
#include "base/clock.h"
#include "base/direct.h"
#include "base/flush.h"
#include "number/panel.h"
#include "store/way.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_QUEUES    = HINT_GUESS + 1,
    GUESS_DEPTH = 8             /* blocks of guesses in flight at most: whoever is needed next waits for them */
};

/* A file and, if the system lets us, the way past the page cache. */
typedef struct Source { const File *file; File direct; atomic_bool refused; } Source;

typedef struct Queue { Reading *first, *last; } Queue;

typedef struct ReaderThread { Reader *reader; char *buffer; pthread_t thread; } ReaderThread;

struct Reader {
    Device          *device;
    const DeviceOps *ops;               /* the device's own: a profile may exchange them later */
    Source          *sources;
    int              n_sources;
    ReaderThread    *threads;
    int              n_started;
    void            *buffers;
    int64_t          buffer_bytes;      /* of each thread                                  */
    bool             flushes;           /* buffers leave the caches before they are read to again */
    pthread_mutex_t  lock;              /* of all below, and of the readings' own parts    */
    pthread_cond_t   work, news;        /* a block to begin; something is done, or no needed block is left */
    bool             closing;
    Queue            queues[N_QUEUES];
    int              n_guesses;         /* blocks in flight                                */
    int              n_reading;         /* likewise, of all                                */
    int64_t          busy_since_us;
    int64_t          came_bytes;        /* from the disk, arranged or not yet              */
    Way              way;               /* of slabs' blocks                                */
    ReaderStats      stats;
};

/* ---- queues ---- */

static void enqueue(Reader *r, Reading *g)
{
    Queue *q = &r->queues[g->hint];
    g->before = q->last;
    g->after = NULL;
    if (q->last) q->last->after = g;
    else q->first = g;
    q->last = g;
    g->queued = true;
}

static void dequeue(Reader *r, Reading *g)
{
    Queue *q = &r->queues[g->hint];
    if (!g->queued) return;
    if (g->before) g->before->after = g->after;
    else q->first = g->after;
    if (g->after) g->after->before = g->before;
    else q->last = g->before;
    g->queued = false;
    if (g->hint == HINT_NEEDED && !q->first) pthread_cond_broadcast(&r->news);
}

/* ---- blocks ---- */

typedef struct Block {
    Reading *reading;
    int      index, part;       /* part -1: of a slab                                      */
    bool     through;           /* a thread's buffer, not straight to its place            */
    Hint     hint;
    int64_t  first, n;          /* rows of the part, or bytes of the slab                  */
} Block;

static int64_t block_rows(const Reader *r, const Extent *e)
{
    const int64_t row_bytes = format_row_bytes(e->format, e->cols), unit = r->ops->fill_rows;
    const int64_t rows = row_bytes ? READER_BLOCK_BYTES / row_bytes / unit * unit : 0;
    return rows ? rows : unit;
}

static int blocks_in(int64_t n, int64_t each)
{
    return (int)((n + each - 1) / each);
}

static int count_blocks(const Reader *r, const Reading *g)
{
    if (g->slab.file) return blocks_in(g->slab.n_bytes, READER_BLOCK_BYTES);
    int n = 0;
    for (int p = 0; p < SLOT_PARTS; p++) n += blocks_in(g->parts[p].from.rows, block_rows(r, &g->parts[p].from));
    return n;
}

static Block block_at(const Reader *r, Reading *g, int index)
{
    Block b = { .reading = g, .index = index, .part = -1, .through = !g->slab.file, .hint = g->hint };
    int64_t each = READER_BLOCK_BYTES, all = g->slab.n_bytes;
    if (!g->slab.file)
        for (b.part = 0;; b.part++) {
            each = block_rows(r, &g->parts[b.part].from);
            all = g->parts[b.part].from.rows;
            if (index < blocks_in(all, each)) break;
            index -= blocks_in(all, each);
        }
    b.first = index * each;
    b.n = all - b.first < each ? all - b.first : each;
    return b;
}

/* The lock is held. */
static int64_t busy_us(const Reader *r)
{
    return r->stats.busy_us + (r->n_reading ? clock_us() - r->busy_since_us : 0);
}

/* The next block to begin; false: none now. */
static bool take(Reader *r, Block *out)
{
    for (int h = 0; h < N_QUEUES; h++) {
        Reading *g = r->queues[h].first;
        if (!g || (h == HINT_GUESS && r->n_guesses >= GUESS_DEPTH)) continue;
        *out = block_at(r, g, g->next_block++);
        if (out->part < 0) out->through = way_of_next(&r->way, r->came_bytes, busy_us(r)) == WAY_THROUGH;
        g->n_in_flight++;
        if (h == HINT_GUESS) r->n_guesses++;
        if (g->next_block == g->n_blocks) dequeue(r, g);
        if (r->n_reading++ == 0) r->busy_since_us = clock_us();
        return true;
    }
    return false;
}

/* ---- from the disk ---- */

static Source *source_of(Reader *r, const File *file)
{
    for (int i = 0; i < r->n_sources; i++)
        if (r->sources[i].file == file) return &r->sources[i];
    return NULL;
}

/* Bytes of the file: *at says where in the buffer they begin.  Past the page cache whole blocks of the disk come,
 * somewhat more than was asked for. */
static Status read_bytes(Reader *r, const File *file, int64_t offset, int64_t n, char *to, char **at, Error *error)
{
    Source *s = source_of(r, file);
    *at = to;
    if (s && s->direct.fd >= 0 && !atomic_load(&s->refused)) {
        const int64_t before = offset % DIRECT_ALIGN;
        const int64_t whole = (before + n + DIRECT_ALIGN - 1) / DIRECT_ALIGN * DIRECT_ALIGN;
        const Status status = direct_read(&s->direct, offset - before, to, whole, before + n, error);
        *at = to + before;
        if (status != UNSUPPORTED) return status;
        atomic_store(&s->refused, true);
        *at = to;
    }
    return file_read(file, offset, to, (size_t)n, error);
}

static Status read_block(Reader *r, const Block *b, char *buffer, char **at, Error *error)
{
    const Reading *g = b->reading;
    if (b->part < 0)
        return read_bytes(r, g->slab.file, g->slab.offset + b->first, b->n, b->through ? buffer : g->to + b->first, at,
                          error);
    const Extent *e = &g->parts[b->part].from;
    const int64_t row_bytes = format_row_bytes(e->format, e->cols);
    return read_bytes(r, e->file, e->offset + b->first * row_bytes, b->n * row_bytes, buffer, at, error);
}

static int64_t block_bytes(const Block *b)
{
    const Extent *e = b->part < 0 ? NULL : &b->reading->parts[b->part].from;
    return e ? b->n * format_row_bytes(e->format, e->cols) : b->n;
}

/* To its place.  The device's fill says why in the device's error, which is not ours to read here: it refuses nothing
 * that fits. */
static Status place_block(Reader *r, const Block *b, const char *bytes, Error *error)
{
    Status status = OK;
    if (!b->through) return OK;
    if (b->part < 0) memcpy(b->reading->to + b->first, bytes, (size_t)b->n);
    else status = r->ops->fill(r->device, b->reading->parts[b->part].to, b->first, b->n, bytes);
    if (r->flushes) flush_lines(bytes, (size_t)block_bytes(b));
    return status == OK ? OK : fail(error, status, "experts: the device refused rows it has room for");
}

/* ---- checksums ---- */

/* Then who has read a block checks it while it is in the cache; else it is done when all of it is there. */
enum { BLOCKS_ARE_PIECES = READER_BLOCK_BYTES % CHECKSUM_PIECE_BYTES == 0 };

static void sum_block(const Block *b, const char *bytes)
{
    const Reading *g = b->reading;
    if (b->part >= 0 || !g->slab.hashed || !BLOCKS_ARE_PIECES) return;
    for (int64_t at = b->first; at < b->first + b->n; at += CHECKSUM_PIECE_BYTES) {
        const int64_t left = b->first + b->n - at, n = left < CHECKSUM_PIECE_BYTES ? left : CHECKSUM_PIECE_BYTES;
        g->sums[at / CHECKSUM_PIECE_BYTES] = checksum(bytes + at - b->first, (size_t)n);
    }
}

/* All of it has been read. */
static void check_slab(Reading *g)
{
    const Slab *s = &g->slab;
    if (!s->file || !s->hashed || g->status != OK) return;
    const uint64_t got = BLOCKS_ARE_PIECES ? checksum_of_pieces(g->sums, (size_t)s->n_bytes)
                                           : checksum_long(g->to, (size_t)s->n_bytes);
    if (got != s->hash)
        g->status = fail(&g->error, BAD_FILE, "%s: layer %d, expert %d: expected checksum %016llx, found %016llx",
                         s->file->path, s->layer, s->expert, (unsigned long long)s->hash, (unsigned long long)got);
}

/* ---- threads ---- */

static void finish(Reader *r, const Block *b, Status status, const Error *error)
{
    Reading *g = b->reading;
    if (b->hint == HINT_GUESS) r->n_guesses--;
    if (status == OK) g->read_bytes += block_bytes(b);
    if (status == OK) r->stats.read_bytes += block_bytes(b);
    if (status != OK && b->index < g->failed_block) {           /* the first one is told, whoever came first */
        g->failed_block = b->index;
        g->status = status;
        g->error = *error;
        dequeue(r, g);
    }
    g->n_in_flight--;
    if (g->queued || g->n_in_flight) return;
    check_slab(g);
    atomic_store(&g->done, true);
    pthread_cond_broadcast(&r->news);
}

static void *run(void *arg)
{
    ReaderThread *me = arg;
    Reader *r = me->reader;
    Block b;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        while (!r->closing && !take(r, &b)) pthread_cond_wait(&r->work, &r->lock);
        if (r->closing) break;
        pthread_mutex_unlock(&r->lock);
        Error error;
        char *bytes;
        Status status = read_block(r, &b, me->buffer, &bytes, &error);

        pthread_mutex_lock(&r->lock);
        if (--r->n_reading == 0) r->stats.busy_us += clock_us() - r->busy_since_us;
        if (status == OK) r->came_bytes += block_bytes(&b);
        pthread_mutex_unlock(&r->lock);
        if (status == OK) sum_block(&b, bytes);
        if (status == OK) status = place_block(r, &b, bytes, &error);
        pthread_mutex_lock(&r->lock);
        finish(r, &b, status, &error);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* ---- asking ---- */

void reader_begin(Reader *r, Reading *g, const ExpertExtents *from, Slot *to, char *at, Hint hint)
{
    slot_loads(from, to, g->parts);
    g->slab = to->gate.layout == LAYOUT_WEIGHT ? from->packed : (Slab){ 0 };
    g->to = at;
    g->status = OK;
    g->read_bytes = 0;
    g->hint = hint;
    g->n_blocks = count_blocks(r, g);
    g->failed_block = g->n_blocks;
    g->next_block = g->n_in_flight = 0;
    atomic_store(&g->done, false);
    pthread_mutex_lock(&r->lock);
    enqueue(r, g);
    pthread_cond_broadcast(&r->work);
    pthread_mutex_unlock(&r->lock);
}

void reader_urge(Reader *r, Reading *g, Hint hint)
{
    pthread_mutex_lock(&r->lock);
    if (g->queued && g->hint != hint) {
        dequeue(r, g);
        g->hint = hint;
        enqueue(r, g);
        pthread_cond_broadcast(&r->work);
    }
    pthread_mutex_unlock(&r->lock);
}

/* The lock is held. */
static void cancel(Reader *r, Reading *g)
{
    dequeue(r, g);
    g->failed_block = -1;
    g->status = CANCELLED;
    if (g->n_in_flight == 0) atomic_store(&g->done, true);
}

void reader_drop(Reader *r, Reading *g)
{
    pthread_mutex_lock(&r->lock);
    if (g->queued) cancel(r, g);
    pthread_mutex_unlock(&r->lock);
}

void reader_forget(Reader *r, Reading *g)
{
    pthread_mutex_lock(&r->lock);
    if (g->queued && g->hint == HINT_GUESS && g->next_block == 0) cancel(r, g);
    pthread_mutex_unlock(&r->lock);
}

int reader_wait(Reader *r, Reading *const *readings, int n, bool or_idle)
{
    int found = -1;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        for (int i = 0; i < n && found < 0; i++)
            if (reader_done(readings[i])) found = i;
        if (found >= 0 || (or_idle && !r->queues[HINT_NEEDED].first)) break;
        pthread_cond_wait(&r->news, &r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return found;
}

bool reader_has(Reader *r, Hint hint)
{
    pthread_mutex_lock(&r->lock);
    const bool some = r->queues[hint].first != NULL;
    pthread_mutex_unlock(&r->lock);
    return some;
}

ReaderStats reader_stats(Reader *r)
{
    pthread_mutex_lock(&r->lock);
    const ReaderStats stats = { .read_bytes = r->stats.read_bytes, .busy_us = busy_us(r) };
    pthread_mutex_unlock(&r->lock);
    return stats;
}

/* ---- making and ending ---- */

static void add_source(Reader *r, const File *file, bool buffered)
{
    if (!file || source_of(r, file)) return;
    Source *s = &r->sources[r->n_sources++];
    s->file = file;
    s->direct = (File){ .fd = -1 };
    if (!buffered) direct_open(file, &s->direct, NULL);         /* refused: through the cache, then */
}

/* A split model has as many files as its experts lie in; every one is opened once. */
static Status open_sources(Reader *r, const StoreSource *source, bool buffered, Error *error)
{
    const int n = source->n_layers * source->n_experts;
    const File *last = NULL;
    int n_changes = 1;
    for (int i = 0; i < n; i++) {
        const ExpertExtents *e = &source->experts[i];
        const File *files[] = { e->gate.file, e->up.file, e->down.file, e->packed.file };
        for (int f = 0; f < ARRAY_LEN(files); f++)
            if (files[f] && files[f] != last) last = files[f], n_changes++;
    }
    r->sources = calloc((size_t)n_changes, sizeof *r->sources);
    if (!r->sources) return fail_memory(error, "the expert reader");
    for (int i = 0; i < n; i++) {
        const ExpertExtents *e = &source->experts[i];
        if (e->packed.file) add_source(r, e->packed.file, buffered);
        add_source(r, e->gate.file, buffered);
        add_source(r, e->up.file, buffered);
        add_source(r, e->down.file, buffered);
    }
    return OK;
}

/* Of all threads, to the end of a huge page: what lies in small ones the disk is slow to fill. */
static int64_t all_buffers(int64_t buffer_bytes)
{
    const int64_t all = READER_THREADS * buffer_bytes;
    return all < ROOM_ALIGN ? all : (all + ROOM_ALIGN - 1) / ROOM_ALIGN * ROOM_ALIGN;
}

/* A block may be some rows longer, and is no longer than the expert. */
int64_t store_reading_bytes(int64_t expert_bytes)
{
    const int64_t most = READER_BLOCK_BYTES + READER_BLOCK_BYTES / 8, whole = expert_bytes + 3 * DIRECT_ALIGN;
    return all_buffers(whole < most ? whole : most);
}

/* Room for the largest block and what its ends share with their neighbours. */
static Status make_buffers(Reader *r, const StoreSource *source, Error *error)
{
    int64_t most = 0;
    for (int i = 0; i < source->n_layers * source->n_experts; i++) {
        const Extent *parts[] = { &source->experts[i].gate, &source->experts[i].up, &source->experts[i].down };
        for (int p = 0; p < ARRAY_LEN(parts); p++) {
            const int64_t rows = block_rows(r, parts[p]) < parts[p]->rows ? block_rows(r, parts[p]) : parts[p]->rows;
            const int64_t bytes = rows * format_row_bytes(parts[p]->format, parts[p]->cols);
            if (bytes > most) most = bytes;
        }
        const int64_t slab = source->experts[i].packed.file ? source->experts[i].packed.n_bytes : 0;
        const int64_t bytes = slab < READER_BLOCK_BYTES ? slab : READER_BLOCK_BYTES;
        if (bytes > most) most = bytes;
    }
    r->buffer_bytes = (most + 3 * DIRECT_ALIGN - 1) / DIRECT_ALIGN * DIRECT_ALIGN;
    if (r->ops->alloc_room(r->device, all_buffers(r->buffer_bytes), &r->buffers) == OK) return OK;
    if (error) *error = r->device->error;
    return NO_MEMORY;
}

/* Signals belong to the program's own threads. */
static bool start(ReaderThread *t)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&t->thread, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !failed;
}

static Status start_threads(Reader *r, Error *error)
{
    r->threads = calloc(READER_THREADS, sizeof *r->threads);
    if (!r->threads) return fail_memory(error, "the expert reader");
    for (int i = 0; i < READER_THREADS; i++) {
        r->threads[i] = (ReaderThread){ .reader = r, .buffer = (char *)r->buffers + i * r->buffer_bytes };
        if (!start(&r->threads[i]))
            return fail(error, NO_MEMORY, "reading thread %d of %d could not be started", i + 1, READER_THREADS);
        r->n_started++;
    }
    return OK;
}

Status reader_new(Device *device, const StoreSource *source, bool buffered, Reader **out, Error *error)
{
    *out = NULL;
    Reader *r = calloc(1, sizeof *r);
    if (!r) return fail_memory(error, "the expert reader");
    r->device = device;
    r->ops = device->ops;
    r->flushes = flush_possible();
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->work, NULL);
    pthread_cond_init(&r->news, NULL);
    Status status = open_sources(r, source, buffered, error);
    if (status == OK) status = make_buffers(r, source, error);
    if (status == OK) status = start_threads(r, error);
    if (status != OK) {
        reader_free(r);
        return status;
    }
    *out = r;
    return OK;
}

void reader_free(Reader *r)
{
    if (!r) return;
    pthread_mutex_lock(&r->lock);
    r->closing = true;
    pthread_cond_broadcast(&r->work);
    pthread_mutex_unlock(&r->lock);
    for (int i = 0; i < r->n_started; i++) pthread_join(r->threads[i].thread, NULL);
    for (int i = 0; i < r->n_sources; i++) file_close(&r->sources[i].direct);
    if (r->buffers) r->ops->free_room(r->device, r->buffers, all_buffers(r->buffer_bytes));
    pthread_cond_destroy(&r->work);
    pthread_cond_destroy(&r->news);
    pthread_mutex_destroy(&r->lock);
    free(r->threads);
    free(r->sources);
    free(r);
}
