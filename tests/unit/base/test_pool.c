/* SPDX-License-Identifier: Apache-2.0
 * Pools: every task once, on any number of threads; meant to be run under ThreadSanitizer too. */
#include "tests/support.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/pool.h"

typedef struct Job {
    atomic_int    *times;       /* [n_tasks]                                               */
    int64_t       *square;      /* [n_tasks], each written by whoever takes the task       */
    int            n_threads;
    atomic_int     bad_workers;
} Job;

static void visit(void *arg, int64_t task, int worker)
{
    Job *job = arg;
    atomic_fetch_add(&job->times[task], 1);
    job->square[task] = task * task;
    if (worker < 0 || worker >= job->n_threads) atomic_fetch_add(&job->bad_workers, 1);
}

static void run_and_check(Pool *pool, int n_threads, int64_t n_tasks)
{
    Job job = { .n_threads = n_threads };
    job.times = calloc((size_t)n_tasks + 1, sizeof *job.times);
    job.square = calloc((size_t)n_tasks + 1, sizeof *job.square);
    pool_run(pool, visit, &job, n_tasks);
    /* Plain reads of what other threads wrote: pool_run is what makes them safe. */
    for (int64_t i = 0; i < n_tasks; i++)
        if (job.times[i] != 1 || job.square[i] != i * i)
            fail_msg("%d threads, task %lld of %lld: run %d times", n_threads, (long long)i,
                     (long long)n_tasks, job.times[i]);
    assert_int_equal(job.bad_workers, 0);
    free(job.times);
    free(job.square);
}

static void every_task_once(void **state)
{
    (void)state;
    static const int threads[] = { 1, 2, 3, 7, 16 };
    static const int64_t tasks[] = { 0, 1, 2, 3, 15, 16, 17, 1000 };
    for (int t = 0; t < ARRAY_LEN(threads); t++) {
        Pool *pool;
        assert_int_equal(pool_new(threads[t], &pool, NULL), OK);
        assert_int_equal(pool_n_threads(pool), threads[t]);
        for (int round = 0; round < 20; round++)
            for (int n = 0; n < ARRAY_LEN(tasks); n++) run_and_check(pool, threads[t], tasks[n]);
        pool_free(pool);
    }
}

/* Rounds so short that a thread may still be waking up for one when the next begins. */
static void short_rounds(void **state)
{
    (void)state;
    Pool *pool;
    assert_int_equal(pool_new(4, &pool, NULL), OK);
    for (int round = 0; round < 2000; round++) run_and_check(pool, 4, 2 + round % 5);
    pool_free(pool);
}

static void add(void *arg, int64_t task, int worker)
{
    (void)worker;
    atomic_fetch_add((atomic_int_least64_t *)arg, task + 1);
}

/* A loop's argument lies on the stack and is gone when pool_run returns: a late thread that still took a
 * task of the loop before would add to the wrong sum. */
static void many_tiny_rounds(void **state)
{
    (void)state;
    static const int threads[] = { 2, 3, 5 };
    for (int t = 0; t < ARRAY_LEN(threads); t++) {
        Pool *pool;
        assert_int_equal(pool_new(threads[t], &pool, NULL), OK);
        for (int64_t round = 0; round < 30000; round++) {
            atomic_int_least64_t sum = 0;
            const int64_t n = round % 6;
            pool_run(pool, add, &sum, n);
            const int64_t got = atomic_load(&sum);
            if (got != n * (n + 1) / 2)
                fail_msg("%d threads, round %lld: want %lld, got %lld", threads[t], (long long)round,
                         (long long)(n * (n + 1) / 2), (long long)got);
        }
        pool_free(pool);
    }
}

static void linger(void *arg, int64_t task, int worker)
{
    if (worker > 0) usleep((useconds_t)(100 * (task % 3)));
    add(arg, task, worker);
}

/* Threads that fell asleep between loops are woken, and so is a caller that slept at the end of one. */
static void asleep_and_awake_again(void **state)
{
    (void)state;
    Pool *pool;
    assert_int_equal(pool_new(3, &pool, NULL), OK);
    for (int round = 0; round < 300; round++) {
        atomic_int_least64_t sum = 0;
        pool_run(pool, round % 3 ? add : linger, &sum, 12);
        assert_int_equal(atomic_load(&sum), 78);
        usleep((useconds_t)(round % 7 * 30));       /* on both sides of their patience         */
    }
    pool_free(pool);
}

/* Each thread takes one task and keeps it until all have one. */
static void meet(void *arg, int64_t task, int worker)
{
    (void)task;
    atomic_int *here = arg;
    atomic_fetch_or(here, 1 << worker);
    while (atomic_load(here) != 15) sched_yield();
}

/* Sleeping threads are not forgotten: a loop that needs all of them ends. */
static void everybody_comes(void **state)
{
    (void)state;
    Pool *pool;
    assert_int_equal(pool_new(4, &pool, NULL), OK);
    for (int round = 0; round < 200; round++) {
        atomic_int here = 0;
        pool_run(pool, meet, &here, 4);
        usleep((useconds_t)(round % 5 * 40));
    }
    pool_free(pool);
}

/* Many more threads than cores: what a loop costs may grow, its result may not change. */
static void oversubscribed(void **state)
{
    (void)state;
    Pool *pool;
    assert_int_equal(pool_new(64, &pool, NULL), OK);
    for (int round = 0; round < 200; round++) run_and_check(pool, 64, round % 2 ? 300 : 5);
    pool_free(pool);
    for (int round = 0; round < 50; round++) {      /* made for one loop, or for none          */
        assert_int_equal(pool_new(9, &pool, NULL), OK);
        if (round % 2) run_and_check(pool, 9, 20);
        pool_free(pool);
    }
}

/* Several pools at once, each with a caller of its own. */
static void *own_pool(void *failed)
{
    Pool *pool;
    if (pool_new(3, &pool, NULL) != OK) return failed;
    for (int round = 0; round < 100; round++) run_and_check(pool, 3, 50);
    pool_free(pool);
    return NULL;
}

static void pools_side_by_side(void **state)
{
    (void)state;
    static char state_of_failure[1];
    pthread_t callers[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&callers[i], NULL, own_pool, state_of_failure), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(callers[i], &failed);
        assert_null(failed);
    }
}

static void refusals(void **state)
{
    (void)state;
    static const int wrong[] = { 0, -1, POOL_THREADS_MAX + 1, INT32_MAX, INT32_MIN };
    for (int i = 0; i < ARRAY_LEN(wrong); i++) {
        Pool *pool = (Pool *)&pool;
        Error error = { 0 };
        assert_int_equal(pool_new(wrong[i], &pool, &error), BAD_ARGUMENT);
        assert_null(pool);
        assert_non_null(strstr(error.text, "expected 1 to"));
    }
    pool_free(NULL);
    assert_in_range(pool_cores(), 1, POOL_THREADS_MAX);
}

static void note_mask(void *arg, int64_t task, int worker)
{
    (void)task;
    sigset_t *masks = arg;
    pthread_sigmask(SIG_SETMASK, NULL, &masks[worker]);
    usleep(1000);               /* long enough for the others to come and take a task */
}

/* Ctrl-C belongs to the program: no thread of ours may be the one that receives it. */
static void pool_threads_take_no_signals(void **state)
{
    (void)state;
    Pool *pool;
    assert_int_equal(pool_new(3, &pool, NULL), OK);
    sigset_t masks[3];
    for (int i = 0; i < 3; i++) sigfillset(&masks[i]);
    pool_run(pool, note_mask, masks, 60);
    pool_free(pool);
    assert_false(sigismember(&masks[0], SIGINT));
    for (int i = 1; i < 3; i++) assert_true(sigismember(&masks[i], SIGINT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_once),
        cmocka_unit_test(short_rounds),
        cmocka_unit_test(many_tiny_rounds),
        cmocka_unit_test(asleep_and_awake_again),
        cmocka_unit_test(everybody_comes),
        cmocka_unit_test(oversubscribed),
        cmocka_unit_test(pools_side_by_side),
        cmocka_unit_test(refusals),
        cmocka_unit_test(pool_threads_take_no_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
