/* SPDX-License-Identifier: Apache-2.0
 * quantize/mover.c - see mover.h. */
#include "quantize/mover.h"

#include "base/checked.h"
#include "base/pool.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { ROOM_ALIGNED = 4096 };

struct Mover {
    Pool      *pool;
    char      *rooms;                   /* [n_threads][room_bytes]                          */
    int64_t    room_bytes;
    /* this run's */
    MoveTask   task;
    void      *arg;
    atomic_int failed;                  /* whoever raises it has the words                  */
    Error      error;
};

Status mover_new(int n_threads, int64_t room_bytes, Mover **out, Error *error)
{
    *out = NULL;
    if (n_threads < 1) n_threads = pool_cores();
    Mover *m = calloc(1, sizeof *m);
    int64_t all;
    if (m && checked_add(room_bytes, ROOM_ALIGNED, &m->room_bytes)) {
        m->room_bytes = m->room_bytes / ROOM_ALIGNED * ROOM_ALIGNED;
        if (checked_mul(m->room_bytes, n_threads, &all)) m->rooms = aligned_alloc(ROOM_ALIGNED, (size_t)all);
    }
    const Status status = m && m->rooms ? pool_new(n_threads, &m->pool, error) : fail_memory(error, "buffers");
    if (status != OK) mover_free(m);
    else *out = m;
    return status;
}

void mover_free(Mover *m)
{
    if (!m) return;
    pool_free(m->pool);
    free(m->rooms);
    free(m);
}

static void one(void *arg, int64_t i, int worker)
{
    Mover *m = arg;
    Error error;
    if (atomic_load(&m->failed)) return;
    if (m->task(m->arg, i, m->rooms + worker * m->room_bytes, &error) != OK && !atomic_exchange(&m->failed, 1))
        m->error = error;
}

Status mover_run(Mover *m, MoveTask task, void *arg, int64_t n, Error *error)
{
    m->task = task;
    m->arg = arg;
    atomic_store(&m->failed, 0);
    pool_run(m->pool, one, m, n);
    if (!atomic_load(&m->failed)) return OK;
    if (error) *error = m->error;
    return m->error.code;
}
