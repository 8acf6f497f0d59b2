/* SPDX-License-Identifier: Apache-2.0
 * base/pool.c - one shared counter hands out the tasks; threads sleep between loops. */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct Worker { Pool *pool; int index; pthread_t thread; } Worker;

struct Pool {
    int             n_threads, n_started;
    Worker         *workers;        /* [n_threads]; 0 is the caller                         */
    pthread_mutex_t lock;
    pthread_cond_t  begin, end;
    uint64_t        round;          /* under lock; a new value means a new loop             */
    int             n_busy;         /* under lock; threads that have not finished the round */
    bool            closing;
    PoolTask        task;
    void           *arg;
    int64_t         n_tasks;
    atomic_int_least64_t next;
};

static void take_tasks(Pool *p, int worker)
{
    for (;;) {
        const int64_t i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (i >= p->n_tasks) return;
        p->task(p->arg, i, worker);
    }
}

static void *work(void *arg)
{
    Worker *me = arg;
    Pool *p = me->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->round == seen && !p->closing) pthread_cond_wait(&p->begin, &p->lock);
        if (p->closing) break;
        seen = p->round;
        pthread_mutex_unlock(&p->lock);
        take_tasks(p, me->index);
        pthread_mutex_lock(&p->lock);
        if (--p->n_busy == 0) pthread_cond_signal(&p->end);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* A pool thread takes no signals: they are for the threads of the program that uses us. */
static int start(Worker *worker)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&worker->thread, NULL, work, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

Status pool_new(int n_threads, Pool **out, Error *error)
{
    *out = NULL;
    if (n_threads < 1 || n_threads > POOL_THREADS_MAX)
        return fail(error, BAD_ARGUMENT, "threads: expected 1 to %d, found %d", POOL_THREADS_MAX,
                    n_threads);
    Pool *p = calloc(1, sizeof *p);
    if (!p) return fail_memory(error, "threads");
    p->workers = calloc((size_t)n_threads, sizeof *p->workers);
    if (!p->workers) {
        free(p);
        return fail_memory(error, "threads");
    }
    p->n_threads = n_threads;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->begin, NULL);
    pthread_cond_init(&p->end, NULL);
    for (int i = 1; i < n_threads; i++) {
        p->workers[i] = (Worker){ .pool = p, .index = i };
        if (start(&p->workers[i])) {
            pool_free(p);
            return fail(error, NO_MEMORY, "thread %d of %d could not be started", i + 1, n_threads);
        }
        p->n_started++;
    }
    *out = p;
    return OK;
}

void pool_free(Pool *p)
{
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_broadcast(&p->begin);
    pthread_mutex_unlock(&p->lock);
    for (int i = 1; i <= p->n_started; i++) pthread_join(p->workers[i].thread, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->begin);
    pthread_cond_destroy(&p->end);
    free(p->workers);
    free(p);
}

int pool_n_threads(const Pool *p)
{
    return p->n_threads;
}

void pool_run(Pool *p, PoolTask task, void *arg, int64_t n_tasks)
{
    if (p->n_started == 0 || n_tasks <= 1) {
        for (int64_t i = 0; i < n_tasks; i++) task(arg, i, 0);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->task = task;
    p->arg = arg;
    p->n_tasks = n_tasks;
    p->n_busy = p->n_started;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    p->round++;
    pthread_cond_broadcast(&p->begin);
    pthread_mutex_unlock(&p->lock);

    take_tasks(p, 0);

    pthread_mutex_lock(&p->lock);
    while (p->n_busy) pthread_cond_wait(&p->end, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

int pool_cores(void)
{
    cpu_set_t set;      /* 1024 of them; a larger machine makes the call fail */
    const int found = sched_getaffinity(0, sizeof set, &set) == 0;
    const long n = found ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > POOL_THREADS_MAX ? POOL_THREADS_MAX : (int)n;
}
