/* SPDX-License-Identifier: Apache-2.0
 * bench/pool.c - what a parallel region costs, and what two programs on the same cores leave each other.
 *
 *     bench_pool [THREADS]
 *
 * "Empty" is a region whose tasks do nothing: all that is left is the way there and back.  The gap is what
 * the caller does alone before the next one, as a step of a model does between its loops.  For two
 * programs, a child runs the same regions at the same time; each is compared with itself alone. */
#include "base/clock.h"
#include "base/pool.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS_MAX = 200000, N_TASKS = 64 };

static void nothing(void *arg, int64_t task, int worker)
{
    (void)arg, (void)task, (void)worker;
}

/* Arithmetic in registers that takes about `n` times 4 cycles; memory would measure memory. */
static void spin(void *arg, int64_t task, int worker)
{
    (void)worker;
    uint64_t x = (uint64_t)task;
    for (int64_t i = *(const int64_t *)arg; i > 0; i--) {
        x = x * 6364136223846793005u + 1;
        __asm__ volatile("" : "+r"(x));
    }
}

/* Every thread takes one task and keeps it until all have one. */
typedef struct Meeting { atomic_int n_here, n_all; } Meeting;

static void meet(void *arg, int64_t task, int worker)
{
    (void)task, (void)worker;
    Meeting *m = arg;
    atomic_fetch_add(&m->n_here, 1);
    while (atomic_load(&m->n_here) < m->n_all) continue;
}

/* Microseconds until all threads of a pool are at work, after the caller did something alone. */
static double time_meeting(Pool *pool, int64_t gap)
{
    double sum = 0;
    int n = 0;
    for (const int64_t start = clock_us(); clock_us() - start < 300000; n++) {
        spin(&gap, 0, 0);
        Meeting m = { .n_all = pool_n_threads(pool) };
        const int64_t begin = clock_ns();
        pool_run(pool, meet, &m, m.n_all);
        sum += (double)(clock_ns() - begin) / 1e3;
    }
    return sum / n;
}

/* Microseconds per region, over half a second. */
static double time_regions(Pool *pool, PoolTask task, int64_t n_tasks, int64_t work, int64_t gap)
{
    const int64_t start = clock_us();
    int64_t rounds = 0, now = start;
    for (; now - start < 500000 && rounds < ROUNDS_MAX; rounds++) {
        spin(&gap, 0, 0);
        pool_run(pool, task, &work, n_tasks);
        now = clock_us();
    }
    return (double)(now - start) / (double)rounds;
}

/* The best of many short tries: the core is not always ours alone. */
static int64_t spins_per_us(void)
{
    int64_t n = 100000, best = INT64_MAX;
    for (int i = 0; i < 1000; i++) {
        const int64_t start = clock_ns();
        spin(&n, 0, 0);
        const int64_t took = clock_ns() - start;
        if (took < best) best = took;
    }
    return n * 1000 / best + 1;
}

/* Regions per second while *go lasts. */
static double speed(Pool *pool, int64_t work, int64_t gap, double seconds)
{
    const int64_t start = clock_us(), end = start + (int64_t)(seconds * 1e6);
    int64_t rounds = 0, now = start;
    for (; now < end; rounds++, now = clock_us()) {
        spin(&gap, 0, 0);
        pool_run(pool, spin, &work, N_TASKS);
    }
    return (double)rounds * 1e6 / (double)(now - start);
}

typedef struct Duel { atomic_int n_here; double speed[2]; } Duel;

/* One of two programs: both begin together. */
static double together(Duel *duel, int who, int n_threads, int64_t work, int64_t gap)
{
    Pool *pool;
    if (pool_new(n_threads, &pool, NULL) != OK) return 0;
    speed(pool, work, gap, 0.1);
    atomic_fetch_add(&duel->n_here, 1);
    while (atomic_load(&duel->n_here) < 2) usleep(10);
    duel->speed[who] = speed(pool, work, gap, 2);
    pool_free(pool);
    return duel->speed[who];
}

static void two_programs(int n_threads, int64_t per_us, int64_t region_us, int64_t gap_us)
{
    const int64_t work = region_us * per_us * n_threads / N_TASKS, gap = gap_us * per_us;
    Pool *pool;
    if (pool_new(n_threads, &pool, NULL) != OK) return;
    const double alone = speed(pool, work, gap, 1);
    pool_free(pool);

    Duel *duel = mmap(NULL, sizeof *duel, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (duel == MAP_FAILED) return;
    fflush(stdout);
    const pid_t child = fork();
    if (child < 0) return;
    together(duel, child == 0, n_threads, work, gap);
    if (child == 0) _exit(0);
    waitpid(child, NULL, 0);
    printf("%10lld us + %3lld us %12.0f/s alone %8.0f %% and %.0f %% of that together\n",
           (long long)region_us, (long long)gap_us, alone, 100 * duel->speed[0] / alone,
           100 * duel->speed[1] / alone);
    munmap(duel, sizeof *duel);
}

int main(int argc, char **argv)
{
    const int n_threads = argc > 1 ? atoi(argv[1]) : pool_cores();
    Error error;
    Pool *pool;
    if (pool_new(n_threads, &pool, &error) != OK) {
        fprintf(stderr, "bench_pool: %s\n", error.text);
        return 1;
    }
    const int64_t per_us = spins_per_us();

    printf("%d threads on %d cores\n\nempty region %.2f us\n", n_threads, pool_cores(),
           time_regions(pool, nothing, n_threads, 0, 0));

    printf("\nuntil all threads are at work, after a gap\n");
    static const int64_t gaps_us[] = { 0, 2, 5, 10, 20, 50, 100, 1000 };
    for (int i = 0; i < ARRAY_LEN(gaps_us); i++)
        printf("%10lld us %12.2f us\n", (long long)gaps_us[i], time_meeting(pool, gaps_us[i] * per_us));

    printf("\nregion of %d tasks after a gap of 5 us: time above an even share\n", N_TASKS);
    static const int64_t regions_us[] = { 5, 10, 20, 50, 100, 300, 1000 };
    for (int i = 0; i < ARRAY_LEN(regions_us); i++) {
        const int64_t us = regions_us[i], work = us * per_us * n_threads / N_TASKS;
        const double took = time_regions(pool, spin, N_TASKS, work, 5 * per_us);
        printf("%10lld us %12.2f us\n", (long long)us, took - (double)us - 5);
    }
    pool_free(pool);

    printf("\ntwo programs of %d threads each: region + gap\n", n_threads);
    two_programs(n_threads, per_us, 20, 5);
    two_programs(n_threads, per_us, 300, 5);
    two_programs(n_threads, per_us, 1000, 20);
    return 0;
}
