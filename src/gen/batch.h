/* SPDX-License-Identifier: Apache-2.0
 * gen/batch.h - many answers at once: continuous batching.
 *
 * Jobs wait in a queue; as many as memory has room for are under way, each in a lane of its own.  Every step carries
 * the rows of all lanes (gen/schedule.h says how many of each), so that one read of an expert serves all of them; a
 * lane that is done makes room for the next job at once.  What a job says does not depend on the others: its logits
 * are the bytes it would have had alone (D1), and it is picked from as generate() does. */
#ifndef GEN_BATCH_H
#define GEN_BATCH_H

#include "gen/talk.h"
#include "store/trace.h"

typedef struct Batch Batch;

typedef struct BatchResult {
    Status           status;            /* OK, or what ended this job, and why             */
    const Error     *error;
    const Generated *generated;
    const char      *text;  size_t n_bytes;     /* of the whole answer                     */
} BatchResult;

/* Everything it points to is borrowed until done() is called, or the batch is freed. */
typedef struct BatchJob {
    const int32_t  *tokens;  int64_t n_tokens;  /* the prompt                              */
    SamplerOptions  sampler;
    GenerateOptions generate;           /* speculate is not used: the rows of others are better company */
    /* From the thread that runs the batch; result NULL: it was forgotten, from the one that freed the batch. */
    void          (*done)(void *user, const BatchResult *result);
    void           *user;
} BatchJob;

typedef struct BatchProgress {
    int64_t n_jobs, n_done, n_failed;
    int     n_running, n_running_max;
    int64_t n_read, n_written;          /* tokens of prompts, and of answers               */
    int64_t n_steps, n_rows, us;
    int64_t n_evicted;                  /* times that a job gave its memory up and began anew */
    int64_t n_holds, hold_us;           /* before sweeps                                   */
    Latency latency;                    /* from one token of a job to its next             */
} BatchProgress;

typedef struct BatchOptions {
    int      n_lanes;                   /* jobs under way at most; 0: as many as logits of a step have room for */
    int64_t  n_context;                 /* of one job at most; 0: CONTEXT_DEFAULT          */
    int64_t  kv_bytes;                  /* keys and values of all of them; 0: a share of what is free */
    int64_t  stall_us;                  /* wish: a step with writers takes no longer because of prompts; 0: none */
    int    (*progress)(void *user, const BatchProgress *progress);     /* after each step; non-zero stops */
    void    *user;
    Trace   *trace;                     /* the routing of every step is added; NULL: nowhere */
} BatchOptions;

enum { BATCH_JOBS_MAX = 1 << 24 };

Status batch_new(Engine *engine, const Tokenizer *tokenizer, const BatchOptions *options, Batch **out, Error *error);
void   batch_free(Batch *batch);        /* jobs that are not done are forgotten            */
/* Any thread, also while it runs, and from done() and progress(). */
Status batch_add(Batch *batch, const BatchJob *job, Error *error);
/* One thread at a time.  Until no job is left: also those are done that done() and progress() add.  One that another
 * thread adds as this returns waits for the next call; then n_done is less than n_jobs.  A job that fails says so in
 * its result, and the others go on.  CANCELLED when progress() or the engine's cancel() asked to stop: then what was
 * under way waits in the queue again. */
Status batch_run(Batch *batch, Error *error);
/* Any thread, also while it runs: as it was when the last step ended, but for n_jobs, which is all that were added. */
BatchProgress batch_progress(Batch *batch);

#endif
