/* SPDX-License-Identifier: Apache-2.0
 * lib/batch.c - many answers at once. */
#include <mixt_tools.h>

#include "gen/batch.h"
#include "lib/lib.h"

#include <stdlib.h>

struct mixt_batch { Batch *batch; mixt_batch_options options; };

/* Who is to be told. */
typedef struct Ticket {
    void (*done)(void *user, const mixt_job_result *result);
    void  *user;
} Ticket;

mixt_batch_options mixt_batch_defaults(void)
{
    return (mixt_batch_options){ .struct_bytes = sizeof(mixt_batch_options) };
}

mixt_job mixt_job_defaults(void)
{
    return (mixt_job){
        .struct_bytes = sizeof(mixt_job), .sampler = mixt_sampler_defaults(), .generate = mixt_generate_defaults(),
    };
}

static mixt_batch_progress give_progress(const BatchProgress *p)
{
    return (mixt_batch_progress){
        .struct_bytes = sizeof(mixt_batch_progress),
        .n_jobs = p->n_jobs,
        .n_done = p->n_done,
        .n_failed = p->n_failed,
        .n_running = p->n_running,
        .n_running_max = p->n_running_max,
        .n_read = p->n_read,
        .n_written = p->n_written,
        .n_steps = p->n_steps,
        .n_rows = p->n_rows,
        .us = p->us,
        .n_evicted = p->n_evicted,
        .n_holds = p->n_holds,
        .hold_us = p->hold_us,
        .p50_us = latency_at(&p->latency, 0.50),
        .p95_us = latency_at(&p->latency, 0.95),
        .p99_us = latency_at(&p->latency, 0.99),
        .us_max = p->latency.us_max,
    };
}

static int on_progress(void *user, const BatchProgress *progress)
{
    const mixt_batch *b = user;
    if (!b->options.progress) return 0;
    const mixt_batch_progress now = give_progress(progress);
    return b->options.progress(b->options.user, &now);
}

static Status check_trace(const mixt_model *m, const Trace *t, Error *error)
{
    const TraceHead *h = &t->head;
    const Sizes *s = &m->sizes;
    if (!s->dense && h->n_layers == s->n_layers && h->n_experts == s->n_experts && h->n_used == s->n_used) return OK;
    return fail(error, BAD_ARGUMENT, "batch: expected a trace of this model, found one of %d layers, %d of %d experts",
                h->n_layers, h->n_used, h->n_experts);
}

mixt_status mixt_batch_new(mixt_engine *engine, const mixt_batch_options *options, mixt_batch **out,
                           mixt_error *error)
{
    Error inside = { 0 };
    *out = NULL;
    mixt_batch *b = calloc(1, sizeof *b);
    if (!b) return answer(error, fail_memory(&inside, "the batch"), &inside);
    b->options = mixt_batch_defaults();
    take_options(&b->options, sizeof b->options, options);
    const mixt_batch_options *o = &b->options;
    const BatchOptions in = {
        .n_lanes = o->n_together < INT32_MAX ? (int)o->n_together : INT32_MAX,
        .n_context = o->n_context < INT64_MAX ? (int64_t)o->n_context : INT64_MAX,
        .kv_bytes = o->kv_bytes,
        .stall_us = o->stall_us,
        .progress = on_progress,
        .user = b,
        .trace = o->trace ? &o->trace->trace : NULL,
    };
    Status status = o->trace ? check_trace(engine->model, &o->trace->trace, &inside) : OK;
    if (status == OK) status = batch_new(engine->engine, engine->model->tokenizer, &in, &b->batch, &inside);
    if (status == OK) *out = b;
    else mixt_batch_free(b);
    return answer(error, status, &inside);
}

void mixt_batch_free(mixt_batch *b)
{
    if (!b) return;
    batch_free(b->batch);
    free(b);
}

static void on_done(void *user, const BatchResult *result)
{
    Ticket *ticket = user;
    if (result && ticket->done) {
        const mixt_job_result given = {
            .struct_bytes = sizeof(mixt_job_result),
            .status = (mixt_status)result->status,
            .error = result->status == OK ? NULL : result->error->text,
            .text = result->text,
            .n_bytes = result->n_bytes,
            .generated = take_generated(result->generated),
        };
        ticket->done(ticket->user, &given);
    }
    free(ticket);
}

mixt_status mixt_batch_add(mixt_batch *b, const mixt_job *job, mixt_error *error)
{
    Error inside = { 0 };
    mixt_job j = mixt_job_defaults();
    take_options(&j, sizeof j, job);
    Ticket *ticket = malloc(sizeof *ticket);
    if (!ticket) return answer(error, fail_memory(&inside, "a job"), &inside);
    *ticket = (Ticket){ .done = j.done, .user = j.user };
    const BatchJob in = {
        .tokens = j.tokens,
        .n_tokens = j.n_tokens < INT64_MAX ? (int64_t)j.n_tokens : INT64_MAX,
        .sampler = take_sampler(&j.sampler),
        .generate = take_generate(&j.generate),
        .done = on_done,
        .user = ticket,
    };
    const Status status = batch_add(b->batch, &in, &inside);
    if (status != OK) free(ticket);
    return answer(error, status, &inside);
}

mixt_status mixt_batch_run(mixt_batch *b, mixt_error *error)
{
    Error inside = { 0 };
    return answer(error, batch_run(b->batch, &inside), &inside);
}

mixt_batch_progress mixt_batch_read(const mixt_batch *b)
{
    const BatchProgress now = batch_progress(b->batch);
    return give_progress(&now);
}
