/* SPDX-License-Identifier: Apache-2.0
 * base/pool.c - one shared counter hands out the tasks; threads spin briefly, then sleep.
 *
 * A step of a model is hundreds of loops with microseconds between them: a thread that slept after each
 * would be late for the next.  A thread that spun for ever would starve whoever shares its core, another
 * program or our own caller.  So a thread that has nothing to do looks for PATIENCE_US, about as long as
 * falling asleep and being woken takes on both sides (20 to 30 us pass until a sleeper is at work, 0.3 us for
 * one who looks, on two cores of a Zen 4 in a virtual machine: bench/pool.c), so it never wastes more than
 * twice what it saves; and not even that long after having looked in vain several times.
 *
 * Nobody waits for a thread that has not come: a loop has a door, open while tasks may be left.  Who finds
 * it open is counted in and out; the caller shuts it after the last task was taken and waits for those
 * inside.  A thread that is asleep, or that another program keeps from its core, finds it shut.
 *
 * Threads are not tied to cores.  The caller belongs to the program and goes where the system puts it; a
 * worker tied to that core would wait for the caller it is to help.  Measured with two threads on two
 * cores, tied workers were no faster alone, and rather slower beside other programs. */
#include "base/pool.h"

#include "base/clock.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PATIENCE_US   = 50,
    LOOKS_A_CLOCK = 32,         /* looks, a microsecond or so, between two looks at the clock */
    VAIN_MAX      = 3,
    LINE          = 64,         /* bytes that travel between cores together                */
    OPEN          = 1 << 16     /* of a door; below it the number inside                   */
};

/* ---- a number, and waiting for it to change ---- */

typedef struct Sign { _Alignas(LINE) atomic_uint value; atomic_int n_asleep; } Sign;

/* How one thread has fared with looking.  Nobody else's business. */
typedef struct Patience { int n_vain; } Patience;

static void breathe(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

static void sleep_while(atomic_uint *value, unsigned old)
{
    syscall(SYS_futex, value, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
}

static void wake(atomic_uint *value, int n)
{
    syscall(SYS_futex, value, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

/* True when the value changed in time. */
static bool look(Sign *s, unsigned old, int64_t until_us)
{
    do {
        for (int i = 0; i < LOOKS_A_CLOCK; i++, breathe())
            if (atomic_load_explicit(&s->value, memory_order_acquire) != old) return true;
    } while (clock_us() < until_us);
    return false;
}

/* Sequentially consistent on both sides: either the sleeper sees the new value (the kernel compares once
 * more), or who changed it sees the sleeper. */
static void doze(Sign *s, unsigned old)
{
    atomic_fetch_add(&s->n_asleep, 1);
    while (atomic_load(&s->value) == old) sleep_while(&s->value, old);
    atomic_fetch_sub(&s->n_asleep, 1);
}

static unsigned await_change(Sign *s, unsigned old, Patience *p)
{
    const int64_t begin_us = clock_us();
    if (p->n_vain < VAIN_MAX) {
        if (look(s, old, begin_us + PATIENCE_US)) {
            p->n_vain = 0;
            return atomic_load_explicit(&s->value, memory_order_acquire);
        }
        p->n_vain++;
    }
    doze(s, old);
    /* So short, the way back included, that looking would have paid. */
    if (clock_us() - begin_us < PATIENCE_US) p->n_vain = 0;
    return atomic_load_explicit(&s->value, memory_order_acquire);
}

/* After the value was changed. */
static void tell(Sign *s, int n)
{
    if (atomic_load(&s->n_asleep) > 0) wake(&s->value, n);
}

/* ---- the pool ---- */

typedef struct Worker { Pool *pool; int index; Patience patience; pthread_t thread; } Worker;

struct Pool {
    int      n_threads, n_started;
    Worker  *workers;           /* [n_threads]; 0 is the caller                            */
    bool     closing;           /* this and the next three: written while the door is shut */
    PoolTask task;
    void    *arg;
    int64_t  n_tasks;
    Sign     round;             /* a new number means a new loop                           */
    Sign     door;              /* of this loop                                            */
    _Alignas(LINE) atomic_int_least64_t next;
};

static void take_tasks(Pool *p, int worker)
{
    for (;;) {
        const int64_t i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (i >= p->n_tasks) return;
        p->task(p->arg, i, worker);
    }
}

/* Acquire: what the caller wrote before it opened is seen. */
static bool enter(Sign *door)
{
    unsigned seen = atomic_load_explicit(&door->value, memory_order_relaxed);
    while (seen & OPEN)
        if (atomic_compare_exchange_weak_explicit(&door->value, &seen, seen + 1,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    return false;
}

/* The last one out of a shut door lets the caller know.  Releases what the tasks wrote. */
static void leave(Sign *door)
{
    if (atomic_fetch_sub(&door->value, 1) == 1) tell(door, 1);
}

static void *work(void *arg)
{
    Worker *me = arg;
    Pool *p = me->pool;
    for (unsigned seen = 0;;) {
        seen = await_change(&p->round, seen, &me->patience);
        if (!enter(&p->door)) continue;         /* too late: all is taken                 */
        const bool closing = p->closing;
        if (!closing) take_tasks(p, me->index);
        leave(&p->door);
        if (closing) return NULL;
    }
}

/* Everybody may come in; `n` of those asleep are called. */
static void open_door(Pool *p, int n)
{
    atomic_store_explicit(&p->door.value, OPEN, memory_order_release);
    atomic_fetch_add(&p->round.value, 1);
    tell(&p->round, n);
}

static void shut_door(Pool *p)
{
    unsigned n_inside = atomic_fetch_sub(&p->door.value, OPEN) - OPEN;
    while (n_inside) n_inside = await_change(&p->door, n_inside, &p->workers[0].patience);
}

void pool_run(Pool *p, PoolTask task, void *arg, int64_t n_tasks)
{
    if (p->n_started == 0 || n_tasks <= 1) {
        for (int64_t i = 0; i < n_tasks; i++) task(arg, i, 0);
        return;
    }
    p->task = task;
    p->arg = arg;
    p->n_tasks = n_tasks;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    open_door(p, n_tasks - 1 < p->n_started ? (int)(n_tasks - 1) : p->n_started);
    take_tasks(p, 0);
    shut_door(p);
}

int pool_n_threads(const Pool *p)
{
    return p->n_threads;
}

/* ---- making and ending ---- */

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

static Pool *pool_alloc(int n_threads)
{
    Pool *p = aligned_alloc(LINE, sizeof *p);
    Worker *workers = calloc((size_t)n_threads, sizeof *workers);
    if (!p || !workers) {
        free(p);
        free(workers);
        return NULL;
    }
    *p = (Pool){ .n_threads = n_threads, .workers = workers };
    return p;
}

Status pool_new(int n_threads, Pool **out, Error *error)
{
    *out = NULL;
    if (n_threads < 1 || n_threads > POOL_THREADS_MAX)
        return fail(error, BAD_ARGUMENT, "threads: expected 1 to %d, found %d", POOL_THREADS_MAX,
                    n_threads);
    Pool *p = pool_alloc(n_threads);
    if (!p) return fail_memory(error, "threads");
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

/* The last loop is one that everybody enters, since it is never shut, and leaves for good. */
void pool_free(Pool *p)
{
    if (!p) return;
    p->closing = true;
    if (p->n_started) open_door(p, p->n_started);
    for (int i = 1; i <= p->n_started; i++) pthread_join(p->workers[i].thread, NULL);
    free(p->workers);
    free(p);
}

int pool_cores(void)
{
    cpu_set_t set;      /* 1024 of them; a larger machine makes the call fail */
    const int found = sched_getaffinity(0, sizeof set, &set) == 0;
    const long n = found ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > POOL_THREADS_MAX ? POOL_THREADS_MAX : (int)n;
}
