/* SPDX-License-Identifier: Apache-2.0
 * measure/memory.c - how fast memory is read, by threads.
 *
 * The buffer is many times the last cache, lies in huge pages as weights do, and is read in pieces
 * that threads take as they come, as the products of a model take theirs.  Every page was written
 * before: reading what nobody wrote reads one page of zeros. */
#include "measure/measure.h"

#include "base/clock.h"
#include "base/pool.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>

enum { PIECE_WORDS = 1 << 17, PIECE_BYTES = PIECE_WORDS * 8 };          /* 1 MiB             */

/* Sixteen times the last cache, within bounds that tire neither a small machine nor its user. */
static int64_t buffer_bytes(const Facts *f, bool quick)
{
    const int64_t least = quick ? 256 * MIB : 512 * MIB, most = 4 * GIB;
    int64_t n = (quick ? 8 : 16) * f->l3_bytes;
    if (n < least) n = least;
    if (n > most) n = most;
    if (f->free_bytes && n > f->free_bytes / 4) n = f->free_bytes / 4;
    return n < 16 * MIB ? 16 * MIB : n / PIECE_BYTES * PIECE_BYTES;
}

Status read_buffer_new(const Facts *facts, bool quick, ReadBuffer *out, Error *error)
{
    *out = (ReadBuffer){ .n_bytes = buffer_bytes(facts, quick) };
    void *memory = mmap(NULL, (size_t)out->n_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        *out = (ReadBuffer){ 0 };
        return fail_memory(error, "a buffer to read");
    }
    madvise(memory, (size_t)out->n_bytes, MADV_HUGEPAGE);       /* a wish; facts say if granted */
    memset(memory, 0x5a, (size_t)out->n_bytes);
    out->words = memory;
    return OK;
}

void read_buffer_free(ReadBuffer *b)
{
    if (b->words) munmap(b->words, (size_t)b->n_bytes);
    *b = (ReadBuffer){ 0 };
}

typedef struct Pass {
    const Kernels  *kernels;
    const uint64_t *words;
    volatile uint64_t sink;             /* the answer is wanted: nobody may leave the reading out */
} Pass;

static void read_piece(void *arg, int64_t piece, int worker)
{
    (void)worker;
    Pass *p = arg;
    const uint64_t all = p->kernels->probe_read(p->words + piece * PIECE_WORDS, PIECE_WORDS);
    if (all == 1) p->sink = all;        /* never: the words are equal and even in number     */
}

Status measure_read(const Kernels *kernels, const ReadBuffer *buffer, int n_threads,
                    int64_t budget_us, Rate *out, Error *error)
{
    Pool *pool;
    TRY(pool_new(n_threads, &pool, error));
    Pass pass = { .kernels = kernels, .words = buffer->words };
    const int64_t begin_us = clock_us();
    int64_t best_us = INT64_MAX;
    for (int n = 0; n < 3 || clock_us() - begin_us < budget_us; n++) {
        const int64_t start_us = clock_us();
        pool_run(pool, read_piece, &pass, buffer->n_bytes / PIECE_BYTES);
        const int64_t us = clock_us() - start_us;
        if (us > 0 && us < best_us) best_us = us;
    }
    pool_free(pool);
    *out = (Rate){ n_threads, (double)buffer->n_bytes / (double)best_us * 1e6 };
    return OK;
}
