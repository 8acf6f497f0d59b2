/* SPDX-License-Identifier: Apache-2.0
 * measure/measure.c - everything measured once, in order. */
#include "measure/measure.h"

#include "base/clock.h"
#include "base/pool.h"

#include <stdio.h>
#include <time.h>

typedef struct Run {
    const MeasureOptions *options;
    Machine              *to;
    Kernels               kernels;
    ReadBuffer            buffer;
    int64_t               done, total;          /* measurements                              */
    int64_t               budget_us;            /* of one                                    */
} Run;

double rates_at(const Rates *rates, int n_threads)
{
    for (int i = 0; i < rates->n; i++)
        if (rates->rate[i].n_threads == n_threads) return rates->rate[i].per_s;
    return 0.0;
}

/* 1, 2, 3, 4 and so on up to 8 threads, then powers of two, and all. */
static int count_threads(int n_cores, int out[RATES_MAX])
{
    int n = 0;
    for (int t = 1; t < n_cores && n < RATES_MAX - 1; t = t < 8 ? t + 1 : 2 * t) out[n++] = t;
    out[n++] = n_cores;
    return n;
}

static Status tell(Run *r, Error *error)
{
    const MeasureOptions *o = r->options;
    if (o->progress && o->progress(o->progress_user, r->done, r->total))
        return fail(error, CANCELLED, "measuring was stopped");
    r->done++;
    return OK;
}

static Status add_peaks(Run *r, int n_threads, Error *error)
{
    Machine *m = r->to;
    TRY(tell(r, error));
    TRY(measure_int8(&r->kernels, n_threads, r->budget_us / 2, &m->int8.rate[m->int8.n], error));
    m->int8.n++;
    TRY(measure_f32(&r->kernels, n_threads, r->budget_us / 2, &m->f32.rate[m->f32.n], error));
    m->f32.n++;
    return OK;
}

static Status run_all(Run *r, const int *threads, int n, Error *error)
{
    Machine *m = r->to;
    TRY(tell(r, error));
    TRY(read_buffer_new(&m->facts, r->options->quick, &r->buffer, error));
    for (int i = 0; i < n; i++) {
        TRY(tell(r, error));
        TRY(measure_read(&r->kernels, &r->buffer, threads[i], r->budget_us,
                         &m->read.rate[m->read.n], error));
        m->read.n++;
    }
    if (n > 1) TRY(add_peaks(r, threads[0], error));
    TRY(add_peaks(r, threads[n - 1], error));
    if (!r->options->disk_folder) return OK;
    TRY(tell(r, error));
    return measure_disk(r->options->disk_folder, m, error);
}

Status measure_machine(const MeasureOptions *options, Machine *out, Error *error)
{
    int threads[RATES_MAX] = { options->n_threads };
    *out = (Machine){ .measured_at = (int64_t)time(NULL) };
    measure_facts(&out->facts);
    snprintf(out->cpu_set, sizeof out->cpu_set, "%s", cpu_set_name[options->set]);
    const int n = options->n_threads ? 1 : count_threads(out->facts.n_allowed, threads);
    if (options->n_threads < 0 || options->n_threads > POOL_THREADS_MAX)
        return fail(error, BAD_ARGUMENT, "threads: expected 1 to %d, found %d", POOL_THREADS_MAX,
                    options->n_threads);
    Run run = {
        .options = options,
        .to = out,
        .total = 1 + n + (n > 1 ? 2 : 1) + (options->disk_folder != NULL),
        .budget_us = options->quick ? 300000 : 1000000,
    };
    kernels_select(&run.kernels, options->set);
    const Status status = run_all(&run, threads, n, error);
    read_buffer_free(&run.buffer);
    return status;
}
