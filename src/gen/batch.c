/* SPDX-License-Identifier: Apache-2.0
 * gen/batch.c - see batch.h. */
#include "gen/batch.h"

#include "base/clock.h"
#include "base/machine.h"
#include "gen/parts.h"
#include "gen/schedule.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Where experts share the memory with keys and values, every byte that these take is read from the disk again by the
 * next sweep; where they do not, the rest of the machine wants to live too. */
enum { KV_SHARE_OF_ROOM = 8, KV_SHARE_OF_FREE = 2 };

typedef struct Lane {
    bool      used;
    BatchJob  job;
    int64_t   order;                    /* when it came                                    */
    int64_t   kv_bytes;
    Session  *session;
    Sampler  *sampler;
    Talk      talk;
    bool      talks;                    /* the prompt is read: `next` is to be computed    */
    int32_t   next;
    Generated generated;
    Buffer    text;
    size_t    n_told;                   /* bytes of it that the job's listener has         */
    GenerateOptions generate;           /* the job's, with on_text by way of us            */
} Lane;

typedef struct Waiting { BatchJob job; int64_t order; size_t n_told; } Waiting;

struct Batch {
    Engine          *engine;
    const Tokenizer *tokenizer;
    BatchOptions     options;
    bool             sweeps;
    pthread_mutex_t  lock;              /* of the queue, and of `seen`                     */
    pthread_cond_t   came;
    Waiting         *queue;             /* [n_room]; those from n_begun on wait            */
    int64_t          n_queue, n_room, n_begun;
    int64_t          n_jobs;
    bool             somebody_came;     /* during the last step                            */
    Lane            *lanes;             /* [n_lanes]                                       */
    int              n_lanes, n_lanes_now;      /* now: fewer, after memory ran out        */
    int64_t          kv_bytes, kv_bytes_max;
    Feed            *feeds;             /* [n_lanes] of one step, and whose they are       */
    Lane           **fed;
    int              n_fed;
    const int32_t  **routed;            /* [engine_rows] of one step, when it is recorded  */
    double           step_us, us_per_row;       /* running means: of writers alone; of a row read */
    BatchProgress    progress;          /* of the thread that runs ..                      */
    BatchProgress    seen;              /* .. and what others may see of it                */
};

/* ---- making one ---- */

/* Are there experts which the disk has to give, again and again? */
static bool comes_from_disk(Engine *e)
{
    const StoreStats stats = engine_stats(e).store;
    const int64_t room = stats.room_bytes > stats.resident_bytes ? stats.room_bytes : stats.resident_bytes;
    return room < model_expert_bytes(e->model);
}

static int64_t kv_share(Engine *e, bool sweeps)
{
    return sweeps ? engine_stats(e).store.room_bytes / KV_SHARE_OF_ROOM : machine_free_bytes() / KV_SHARE_OF_FREE;
}

static Status check_options(const Engine *e, const BatchOptions *o, Error *error)
{
    if (o->n_lanes < 0) return fail(error, BAD_ARGUMENT, "jobs at once: expected 0 or more, found %d", o->n_lanes);
    if (o->n_context < 0 || o->n_context > e->model->sizes.n_context)
        return fail(error, BAD_ARGUMENT, "context: expected at most %lld tokens, as the model was made for, found %lld",
                    (long long)e->model->sizes.n_context, (long long)o->n_context);
    return OK;
}

Status batch_new(Engine *e, const Tokenizer *tokenizer, const BatchOptions *options, Batch **out, Error *error)
{
    *out = NULL;
    TRY(check_options(e, options, error));
    Batch *b = calloc(1, sizeof *b);
    if (!b) return fail_memory(error, "the batch");
    pthread_condattr_t steady;
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&b->came, &steady);
    pthread_condattr_destroy(&steady);
    pthread_mutex_init(&b->lock, NULL);
    b->engine = e;
    b->tokenizer = tokenizer;
    b->options = *options;
    b->sweeps = comes_from_disk(e);
    /* Half of the rows at least are for prompts: else writers could keep them out for ever. */
    const int half = engine_rows(e) > 1 ? engine_rows(e) / 2 : 1;
    b->n_lanes = engine_wanted(e) < half ? engine_wanted(e) : half;
    if (options->n_lanes && options->n_lanes < b->n_lanes) b->n_lanes = options->n_lanes;
    b->n_lanes_now = b->n_lanes;
    b->kv_bytes_max = options->kv_bytes ? options->kv_bytes : kv_share(e, b->sweeps);
    b->lanes = calloc((size_t)b->n_lanes, sizeof *b->lanes);
    b->feeds = calloc((size_t)b->n_lanes, sizeof *b->feeds);
    b->fed = calloc((size_t)b->n_lanes, sizeof *b->fed);
    if (options->trace) b->routed = calloc((size_t)engine_rows(e), sizeof *b->routed);
    if (!b->lanes || !b->feeds || !b->fed || (options->trace && !b->routed)) {
        batch_free(b);
        return fail_memory(error, "the batch");
    }
    *out = b;
    return OK;
}

static void lane_close(Batch *b, Lane *l)
{
    talk_free(&l->talk);
    sampler_free(l->sampler);
    session_free(l->session);
    buffer_free(&l->text);
    b->kv_bytes -= l->kv_bytes;
    *l = (Lane){ 0 };
}

void batch_free(Batch *b)
{
    if (!b) return;
    for (int i = 0; b->lanes && i < b->n_lanes; i++) {
        if (b->lanes[i].used && b->lanes[i].job.done) b->lanes[i].job.done(b->lanes[i].job.user, NULL);
        lane_close(b, &b->lanes[i]);
    }
    for (int64_t i = b->n_begun; i < b->n_queue; i++)
        if (b->queue[i].job.done) b->queue[i].job.done(b->queue[i].job.user, NULL);
    pthread_cond_destroy(&b->came);
    pthread_mutex_destroy(&b->lock);
    free(b->queue);
    free(b->lanes);
    free(b->feeds);
    free(b->fed);
    free(b->routed);
    free(b);
}

BatchProgress batch_progress(Batch *b)
{
    pthread_mutex_lock(&b->lock);
    BatchProgress p = b->seen;
    p.n_jobs = b->n_jobs;
    pthread_mutex_unlock(&b->lock);
    return p;
}

/* ---- the queue ---- */

static Status queue_room(Batch *b, Error *error)
{
    if (b->n_begun > 0 && b->n_queue == b->n_room) {        /* those who have gone leave room     */
        memmove(b->queue, b->queue + b->n_begun, (size_t)(b->n_queue - b->n_begun) * sizeof *b->queue);
        b->n_queue -= b->n_begun;
        b->n_begun = 0;
    }
    if (b->n_queue < b->n_room) return OK;
    if (b->n_room >= BATCH_JOBS_MAX)
        return fail(error, NO_ROOM, "expected at most %d jobs that wait, found more", BATCH_JOBS_MAX);
    const int64_t room = b->n_room ? 2 * b->n_room : 64;
    Waiting *queue = realloc(b->queue, (size_t)room * sizeof *queue);
    if (!queue) return fail_memory(error, "the queue of jobs");
    b->queue = queue;
    b->n_room = room;
    return OK;
}

Status batch_add(Batch *b, const BatchJob *job, Error *error)
{
    pthread_mutex_lock(&b->lock);
    const Status status = queue_room(b, error);
    if (status == OK) {
        b->queue[b->n_queue++] = (Waiting){ .job = *job, .order = b->n_jobs++ };
        b->somebody_came = true;
        pthread_cond_signal(&b->came);
    }
    pthread_mutex_unlock(&b->lock);
    return status;
}

static bool queue_look(Batch *b, Waiting *out)
{
    pthread_mutex_lock(&b->lock);
    const bool any = b->n_begun < b->n_queue;
    if (any) *out = b->queue[b->n_begun];
    pthread_mutex_unlock(&b->lock);
    return any;
}

static void queue_take(Batch *b)
{
    pthread_mutex_lock(&b->lock);
    b->n_begun++;
    pthread_mutex_unlock(&b->lock);
}

/* Back before all that wait; the place from which it was taken may be gone. */
static Status queue_again(Batch *b, const Lane *l, Error *error)
{
    Status status = OK;
    pthread_mutex_lock(&b->lock);
    if (b->n_begun == 0 && (status = queue_room(b, error)) == OK) {
        memmove(b->queue + 1, b->queue, (size_t)b->n_queue * sizeof *b->queue);
        b->n_queue++;
        b->n_begun++;
    }
    if (status == OK)
        b->queue[--b->n_begun] = (Waiting){ .job = l->job, .order = l->order, .n_told = l->n_told };
    pthread_mutex_unlock(&b->lock);
    return status;
}

/* ---- a lane's life ---- */

static void lane_done(Batch *b, Lane *l, Status status, const Error *error)
{
    const BatchResult result = {
        .status = status, .error = error, .generated = &l->generated,
        .text = l->text.data ? l->text.data : "", .n_bytes = l->text.n_bytes,
    };
    latency_merge(&b->progress.latency, &l->generated.latency);
    b->progress.n_done++;
    b->progress.n_failed += status != OK;
    if (l->job.done) l->job.done(l->job.user, &result);
    lane_close(b, l);
}

/* A job that had to begin anew says the same again, but not to its listener. */
static int on_text(void *user, const char *bytes, size_t n_bytes)
{
    Lane *l = user;
    const GenerateOptions *asked = &l->job.generate;
    const size_t n_before = l->text.n_bytes;
    buffer_append(&l->text, bytes, n_bytes);
    if (!asked->on_text || n_before + n_bytes <= l->n_told) return 0;
    const size_t known = l->n_told > n_before ? l->n_told - n_before : 0;
    l->n_told = n_before + n_bytes;
    return asked->on_text(asked->user, bytes + known, n_bytes - known);
}

static int64_t context_of(const Batch *b, const BatchJob *job)
{
    const int64_t trained = b->engine->model->sizes.n_context, asked = job->generate.n_tokens_max;
    int64_t most = b->options.n_context ? b->options.n_context : CONTEXT_DEFAULT;
    if (most > trained) most = trained;
    return asked && asked < most - job->n_tokens ? job->n_tokens + asked : most;
}

static Status check_job(const Batch *b, const BatchJob *job, int64_t n_context, Error *error)
{
    const int64_t n_vocab = b->engine->model->sizes.n_vocab;
    if (job->n_tokens < 1) return fail(error, BAD_ARGUMENT, "the prompt is empty");
    if (job->n_tokens > n_context)
        return fail(error, NO_ROOM, "the prompt has %lld tokens, the context room for %lld", (long long)job->n_tokens,
                    (long long)n_context);
    for (int64_t i = 0; i < job->n_tokens; i++)
        if (job->tokens[i] < 0 || job->tokens[i] >= n_vocab)
            return fail(error, BAD_ARGUMENT, "token %lld: expected 0 to %lld, found %d", (long long)i,
                        (long long)n_vocab - 1, (int)job->tokens[i]);
    return OK;
}

static int64_t context_bytes(const Batch *b, int64_t n_context)
{
    return kv_bytes(&b->engine->model->sizes, b->engine->kv, n_context);
}

static Status lane_open(Batch *b, Lane *l, const Waiting *w, Error *error)
{
    const int64_t n_context = context_of(b, &w->job);
    *l = (Lane){ .used = true, .job = w->job, .order = w->order, .n_told = w->n_told };
    l->generate = l->job.generate;
    l->generate.on_text = on_text;
    l->generate.user = l;
    TRY(check_job(b, &l->job, n_context, error));
    TRY(sampler_new(b->engine->model->sizes.n_vocab, &l->job.sampler, &l->sampler, error));
    TRY(session_new(b->engine, n_context, &l->session, error));
    if (b->options.trace) TRY(session_trace(l->session, true, error));
    l->kv_bytes = context_bytes(b, n_context);
    b->kv_bytes += l->kv_bytes;
    return OK;
}

static int n_used_lanes(const Batch *b)
{
    int n = 0;
    for (int i = 0; i < b->n_lanes; i++) n += b->lanes[i].used;
    return n;
}

/* Who came last of those under way; NULL: nobody is. */
static Lane *last_lane(Batch *b)
{
    Lane *last = NULL;
    for (int i = 0; i < b->n_lanes; i++)
        if (b->lanes[i].used && (!last || b->lanes[i].order > last->order)) last = &b->lanes[i];
    return last;
}

static Lane *free_lane(Batch *b)
{
    for (int i = 0; i < b->n_lanes; i++)
        if (!b->lanes[i].used) return &b->lanes[i];
    return NULL;
}

/* As many as there is memory for; one at least, or nothing would ever be done. */
static void begin_jobs(Batch *b)
{
    Waiting w;
    while (n_used_lanes(b) < b->n_lanes_now && queue_look(b, &w)) {
        Error error = { 0 };
        const int n_before = n_used_lanes(b);
        if (n_before && b->kv_bytes + context_bytes(b, context_of(b, &w.job)) > b->kv_bytes_max) return;
        Lane *l = free_lane(b);
        const Status status = lane_open(b, l, &w, &error);
        if (status == NO_MEMORY && n_before) {              /* it waits until somebody is done    */
            lane_close(b, l);
            return;
        }
        queue_take(b);
        if (status != OK) lane_done(b, l, status, &error);
    }
}

/* The logits of what the session holds are there: the next token, or the end. */
static void lane_speaks(Batch *b, Lane *l)
{
    Error error = { 0 };
    bool done = false;
    Status status = OK;
    if (!l->talks) {
        status = talk_begin(&l->talk, l->session, l->sampler, b->tokenizer, &l->generate, &l->generated, &error);
        l->talks = true;
    }
    int64_t n_held = session_n_tokens(l->session);
    if (status == OK && talk_has_room(&l->talk, n_held)) {
        status = talk_pick(&l->talk, session_logits(l->session), n_held++, &l->next, &done, &error);
        b->progress.n_written += status == OK;
    }
    /* Nobody will ask what comes after the last one: it need not be computed. */
    if (status == OK && (done || !talk_has_room(&l->talk, n_held))) {
        status = talk_end(&l->talk, &error);
        done = true;
    }
    if (status == OK && l->text.failed) status = fail_memory(&error, "the answer");
    if (status != OK || done) lane_done(b, l, status, &error);
}

/* ---- a step ---- */

static void choose_rows(Batch *b)
{
    LaneNeed needs[WANTED_MAX];
    Lane *lanes[WANTED_MAX];
    int rows[WANTED_MAX], n = 0;
    for (int i = 0; i < b->n_lanes; i++) {
        Lane *l = &b->lanes[i];
        if (!l->used) continue;
        needs[n] = (LaneNeed){ l->order, l->talks ? 0 : l->job.n_tokens - session_n_tokens(l->session) };
        lanes[n++] = l;
    }
    const ScheduleRules rules = {
        .n_rows_max = engine_rows(b->engine), .sweeps = b->sweeps,
        .piece_rows_max = schedule_piece(b->options.stall_us, b->step_us, b->us_per_row),
    };
    schedule_rows(needs, n, &rules, rows);
    b->n_fed = 0;
    for (int i = 0; i < n; i++) {
        if (rows[i] == 0) continue;
        Lane *l = lanes[i];
        const bool last = l->talks || rows[i] == needs[i].n_prompt_left;
        b->feeds[b->n_fed] = (Feed){
            .session = l->session, .n_tokens = rows[i], .wanted = last ? ROWS_LAST : ROWS_NONE,
            .tokens = l->talks ? &l->next : l->job.tokens + session_n_tokens(l->session),
        };
        b->fed[b->n_fed++] = l;
    }
}

typedef struct StepRows { int all, of_prompts; } StepRows;

/* A step that n feeds from the first made together. */
static StepRows count_step(Batch *b, int first, int n)
{
    StepRows rows = { 0 };
    for (int i = first; i < first + n; i++) {
        rows.all += b->feeds[i].n_tokens;
        rows.of_prompts += b->fed[i]->talks ? 0 : b->feeds[i].n_tokens;
    }
    b->progress.n_steps++;
    b->progress.n_rows += rows.all;
    b->progress.n_read += rows.of_prompts;
    return rows;
}

/* What a row of a prompt costs, and a step without any. */
static void note_step(Batch *b, StepRows rows, int64_t us)
{
    const double keep = 0.75;
    double *mean = rows.of_prompts ? &b->us_per_row : &b->step_us;
    const double here = rows.of_prompts ? (double)us / rows.all : (double)us;
    *mean = *mean > 0 ? keep * *mean + (1 - keep) * here : here;
}

/* Which experts served the rows of a step that n feeds from the first made together. */
static Status record(Batch *b, int first, int n, Error *error)
{
    int n_rows = 0;
    if (!b->options.trace) return OK;
    for (int i = first; i < first + n; i++) {
        const Session *s = b->feeds[i].session;
        const int64_t end = session_n_tokens(s);
        if (b->feeds[i].status != OK) continue;
        for (int64_t t = end - b->feeds[i].n_tokens; t < end; t++) b->routed[n_rows++] = session_experts(s, t);
    }
    return n_rows ? trace_add(b->options.trace, b->routed, n_rows, error) : OK;
}

/* After a step: who failed ends, who has logits goes on. */
static void take_step(Batch *b, int first, int n, const Error *error)
{
    for (int i = first; i < first + n; i++) {
        Lane *l = b->fed[i];
        if (b->feeds[i].status != OK) lane_done(b, l, b->feeds[i].status, error);
        else if (b->feeds[i].wanted == ROWS_LAST) lane_speaks(b, l);
    }
}

/* The step failed as a whole: each lane alone, so that only those end which needed what could not be had. */
static Status step_alone(Batch *b, Error *error)
{
    for (int i = 0; i < b->n_fed; i++) {
        Error own = { 0 };
        const Status status = engine_feed(b->engine, &b->feeds[i], 1, &own);
        if (status == CANCELLED) {
            if (error) *error = own;
            return status;
        }
        if (status == OK) count_step(b, i, 1);
        else b->feeds[i].status = status;
        TRY(record(b, i, 1, error));
        take_step(b, i, 1, &own);
    }
    return OK;
}

/* Memory ran out as sequences grew: who came last gives its own back, and begins anew when there is room. */
static Status evict_last(Batch *b, Error *error)
{
    Lane *last = last_lane(b);
    b->n_lanes_now = n_used_lanes(b) - 1;
    b->progress.n_evicted++;
    TRY(queue_again(b, last, error));
    lane_close(b, last);
    return OK;
}

static Status step(Batch *b, Error *error)
{
    Error why = { 0 };
    const int64_t start_us = clock_us();
    choose_rows(b);
    Status status = engine_feed(b->engine, b->feeds, b->n_fed, &why);
    if (status == NO_MEMORY && n_used_lanes(b) > 1) return evict_last(b, error);
    if (status == CANCELLED) {
        if (error) *error = why;
        return status;
    }
    if (status != OK) return step_alone(b, error);
    note_step(b, count_step(b, 0, b->n_fed), clock_us() - start_us);
    TRY(record(b, 0, b->n_fed, error));
    take_step(b, 0, b->n_fed, &why);
    return OK;
}

/* ---- until all is done ---- */

/* Somebody who comes within a few milliseconds rides along. */
static void hold(Batch *b)
{
    const int n_free = b->n_lanes_now - n_used_lanes(b);
    pthread_mutex_lock(&b->lock);
    const int64_t us =
        schedule_hold_us(b->sweeps, b->somebody_came && b->progress.n_steps > 0, n_free, b->step_us);
    if (us > 0 && b->n_begun == b->n_queue) {
        const int64_t start_us = clock_us(), end_us = start_us + us;
        const struct timespec until = { end_us / 1000000, end_us % 1000000 * 1000 };
        int waited = 0;
        while (b->n_begun == b->n_queue && waited == 0) waited = pthread_cond_timedwait(&b->came, &b->lock, &until);
        b->progress.n_holds++;
        b->progress.hold_us += clock_us() - start_us;
    }
    b->somebody_came = false;
    pthread_mutex_unlock(&b->lock);
}

static void show(Batch *b, int n_running)
{
    BatchProgress *p = &b->progress;
    p->n_running = n_running;
    if (n_running > p->n_running_max) p->n_running_max = n_running;
    pthread_mutex_lock(&b->lock);
    p->n_jobs = b->n_jobs;
    b->seen = *p;
    pthread_mutex_unlock(&b->lock);
}

static Status tell(Batch *b, Error *error)
{
    if (b->options.progress && b->options.progress(b->options.user, &b->progress))
        return fail(error, CANCELLED, "stopped before all jobs were done");
    return OK;
}

/* What was under way begins anew another time, in the order in which it came. */
static Status give_up(Batch *b, Status status, Error *error)
{
    for (Lane *last; (last = last_lane(b));) {
        TRY(queue_again(b, last, error));
        lane_close(b, last);
    }
    show(b, 0);
    return status;
}

Status batch_run(Batch *b, Error *error)
{
    Waiting next;
    for (;;) {
        const int64_t start_us = clock_us();
        hold(b);
        begin_jobs(b);
        const int n_running = n_used_lanes(b);
        Status status = n_running ? step(b, error) : OK;
        b->progress.us += clock_us() - start_us;
        show(b, n_running);
        if (status == OK) status = tell(b, error);
        if (status != OK) return give_up(b, status, error);
        if (n_running == 0 && !queue_look(b, &next)) return OK;         /* tell() may have added one */
        if (b->n_lanes_now < b->n_lanes && n_used_lanes(b) < n_running) b->n_lanes_now++;
    }
}
