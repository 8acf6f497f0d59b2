/* SPDX-License-Identifier: Apache-2.0
 * measure/peak.c - how many multiply-accumulates the cores make, of bytes and of floats. */
#include "measure/measure.h"

#include "base/clock.h"
#include "base/pool.h"

enum {
    TASKS_A_THREAD = 16,        /* a thread that comes late leaves its share to the others   */
    TASK_US = 1000,
    ROUNDS_FIRST = 256
};

typedef struct Probe {
    const Kernels *kernels;
    bool           floats;
    size_t         n_rounds;
    volatile uint32_t sink;
} Probe;

static void probe_once(void *arg, int64_t task, int worker)
{
    static const uint8_t a[64] = { 1, 2, 3 };
    static const int8_t  b[64] = { 3, -2, 1 };
    static const float   x[16] = { 1, 2, 3 }, y[16] = { 3, -2, 1 };
    (void)task, (void)worker;
    Probe *p = arg;
    const uint32_t answer = p->floats ? (uint32_t)(int32_t)p->kernels->probe_f32(x, y, p->n_rounds)
                                      : p->kernels->probe_int8(a, b, p->n_rounds);
    if (answer == 1) p->sink = answer;          /* wanted, and never 1: both sums are even   */
}

/* So many rounds that a task takes about TASK_US. */
static void choose_rounds(Probe *p)
{
    for (p->n_rounds = ROUNDS_FIRST;; p->n_rounds *= 2) {
        const int64_t start_us = clock_us();
        probe_once(p, 0, 0);
        if (clock_us() - start_us >= TASK_US / 2) return;
    }
}

static Status peak(Probe *p, double operations, int n_threads, int64_t budget_us, Rate *out,
                   Error *error)
{
    Pool *pool;
    TRY(pool_new(n_threads, &pool, error));
    choose_rounds(p);
    const int64_t n_tasks = (int64_t)TASKS_A_THREAD * n_threads, begin_us = clock_us();
    int64_t best_us = INT64_MAX;
    for (int n = 0; n < 3 || clock_us() - begin_us < budget_us; n++) {
        const int64_t start_us = clock_us();
        pool_run(pool, probe_once, p, n_tasks);
        const int64_t us = clock_us() - start_us;
        if (us > 0 && us < best_us) best_us = us;
    }
    pool_free(pool);
    *out = (Rate){ n_threads,
                   operations * (double)p->n_rounds * (double)n_tasks / (double)best_us * 1e6 };
    return OK;
}

Status measure_int8(const Kernels *kernels, int n_threads, int64_t budget_us, Rate *out,
                    Error *error)
{
    Probe p = { .kernels = kernels };
    return peak(&p, PROBE_INT8_OPERATIONS, n_threads, budget_us, out, error);
}

Status measure_f32(const Kernels *kernels, int n_threads, int64_t budget_us, Rate *out,
                   Error *error)
{
    Probe p = { .kernels = kernels, .floats = true };
    return peak(&p, PROBE_F32_OPERATIONS, n_threads, budget_us, out, error);
}
