/* SPDX-License-Identifier: Apache-2.0
 * gen/batch.c: what a job says does not depend on the others, on memory, on where experts lay; one that meets a number
 * that is none, or asks for nonsense, ends alone. */
#include "../../support.h"

#include <mixt.h>
#include <mixt_tools.h>

#include "base/io.h"
#include "base/rng.h"
#include "file/catalog.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#ifdef MIXT_HOSTILE             /* small reads past the page cache: a step takes a hundred times as long */
enum { N_JOBS = 24, PROMPT_MAX = 40, WRITTEN_MAX = 4, STOP_AFTER = 11, RARELY = 1 << 22 };
#else
enum { N_JOBS = 40, PROMPT_MAX = 150, WRITTEN_MAX = 30, STOP_AFTER = 29, RARELY = 4000 };
#endif
enum { POISON = 290 };

static mixt_error  error;
static mixt_model *model;
static char        path[512];

static void must(mixt_status status)
{
    if (status != MIXT_OK) fail_msg("%s: %s", mixt_status_name(status), error.text);
}

typedef struct Wish {
    mixt_token  tokens[PROMPT_MAX];
    mixt_job    job;
    const char *stop;
    char        text[4096], told[4096], said[512];
    size_t      n_text, n_told;
    int         n_done;
    mixt_status status;
    mixt_generated generated;
} Wish;

static Wish wishes[N_JOBS], alone[N_JOBS];

static void on_done(void *user, const mixt_job_result *result)
{
    Wish *w = user;
    w->n_done++;
    w->status = result->status;
    w->generated = result->generated;
    w->n_text = result->n_bytes;
    assert_true(result->n_bytes < sizeof w->text);
    memcpy(w->text, result->text, result->n_bytes);
    if (result->error) snprintf(w->said, sizeof w->said, "%s", result->error);
    assert_int_equal(result->error != NULL, result->status != MIXT_OK);
}

static int on_text(void *user, const char *bytes, size_t n_bytes)
{
    Wish *w = user;
    assert_true(w->n_told + n_bytes < sizeof w->told);
    memcpy(w->told + w->n_told, bytes, n_bytes);
    w->n_told += n_bytes;
    return 0;
}

/* The poisoned token comes from prompts only, whatever the weights would say on this machine. */
static const mixt_bias never = { POISON, -INFINITY };

static void make_wishes(Wish *all)
{
    Rng rng = { 77 };
    memset(all, 0, N_JOBS * sizeof *all);
    for (int i = 0; i < N_JOBS; i++) {
        Wish *w = &all[i];
        w->job = mixt_job_defaults();
        w->job.tokens = w->tokens;
        w->job.n_tokens = (size_t)(1 + rng_unit(&rng) * (i % 7 ? 20 : PROMPT_MAX - 1));
        for (size_t t = 0; t < w->job.n_tokens; t++) w->tokens[t] = t ? 262 + (mixt_token)(rng_unit(&rng) * 28) : 1;
        w->job.sampler.seed = (uint64_t)i;
        w->job.sampler.bias = &never;
        w->job.sampler.n_bias = 1;
        w->job.sampler.temperature = i % 3 ? 0.7f : 0;
        w->job.generate.n_tokens_max = (size_t)(1 + rng_unit(&rng) * WRITTEN_MAX);
        w->job.generate.ignore_end = i % 4 == 0;
        w->stop = i % 5 ? NULL : "a";
        w->job.generate.stops = &w->stop;
        w->job.generate.n_stops = w->stop != NULL;
        w->job.generate.on_text = on_text;
        w->job.generate.user = w;
        w->job.done = on_done;
        w->job.user = w;
    }
}

static mixt_engine *engine_with(size_t n_batch, size_t slots)
{
    mixt_engine *engine;
    mixt_engine_options o = mixt_engine_defaults();
    o.n_batch = n_batch;
    o.expert_slots = slots;
    must(mixt_engine_new(model, &o, &engine, &error));
    return engine;
}

static void open_model(const char *type)
{
    snprintf(path, sizeof path, "%s/batch.gguf", test_scratch());
    mixt_synth_options o = mixt_synth_defaults();
    o.like = "tiny";
    o.n_layers = 2;
    o.type = type;
    must(mixt_synth(path, &o, &error));
    must(mixt_model_open(path, NULL, &model, &error));
}

/* Each job by itself, through mixt_generate. */
static void say_alone(void)
{
    mixt_engine *engine = engine_with(0, 0);
    make_wishes(alone);
    for (int i = 0; i < N_JOBS; i++) {
        Wish *w = &alone[i];
        mixt_session *session;
        mixt_sampler *sampler;
        must(mixt_session_new(engine, 0, &session, &error));
        must(mixt_sampler_new(model, &w->job.sampler, &sampler, &error));
        must(mixt_session_sync(session, w->tokens, w->job.n_tokens, &error));
        must(mixt_generate(session, sampler, &w->job.generate, &w->generated, &error));
        mixt_sampler_free(sampler);
        mixt_session_free(session);
    }
    mixt_engine_free(engine);
}

static void check_wish(int i, const char *what)
{
    const Wish *want = &alone[i], *got = &wishes[i];
    if (got->n_done != 1 || got->status != MIXT_OK)
        fail_msg("%s: job %d: done %d times, %s: %s", what, i, got->n_done, mixt_status_name(got->status), got->said);
    if (want->n_told != got->n_text || memcmp(want->told, got->text, got->n_text))
        fail_msg("%s: job %d: want '%s', got '%s'", what, i, want->told, got->text);
    if (got->n_told != got->n_text || memcmp(got->told, got->text, got->n_text))
        fail_msg("%s: job %d: was told '%s' of '%s'", what, i, got->told, got->text);
    assert_int_equal(want->generated.finish, got->generated.finish);
    assert_int_equal(want->generated.n_tokens, got->generated.n_tokens);
}

static mixt_batch_progress run_all(size_t n_batch, size_t slots, mixt_batch_options options, const char *what)
{
    mixt_batch *batch;
    mixt_engine *engine = engine_with(n_batch, slots);
    make_wishes(wishes);
    must(mixt_batch_new(engine, &options, &batch, &error));
    for (int i = 0; i < N_JOBS; i++) must(mixt_batch_add(batch, &wishes[i].job, &error));
    must(mixt_batch_run(batch, &error));
    for (int i = 0; i < N_JOBS; i++) check_wish(i, what);
    const mixt_batch_progress p = mixt_batch_read(batch);
    assert_int_equal(p.n_done, N_JOBS);
    assert_int_equal(p.n_failed, 0);
    mixt_batch_free(batch);
    mixt_engine_free(engine);
    return p;
}

static void company_changes_nothing(void **state)
{
    (void)state;
    mixt_batch_options o = mixt_batch_defaults();
    const mixt_batch_progress all = run_all(0, 0, o, "all that fit");
    run_all(0, 3, o, "from the disk");
    run_all(7, 0, o, "7 rows a step");
    run_all(1, 0, o, "1 row a step");
    o.stall_us = 1;
    run_all(0, 0, o, "short pieces");
    o.n_together = 1;
    const mixt_batch_progress one = run_all(0, 0, o, "one at a time");
    assert_int_equal(one.n_running_max, 1);
    assert_true(all.n_running_max > 1);
    assert_true(all.n_steps * 2 < one.n_steps);             /* steps were shared                */
    o.n_together = 0;
    o.kv_bytes = 1;                                         /* room for one, which there always is */
    assert_int_equal(run_all(0, 0, o, "no memory").n_running_max, 1);
}

/* ---- stopping, and going on ---- */

static int stop_after;
static int stop_soon(void *user, const mixt_batch_progress *p)
{
    (void)user;
    return p->n_steps % stop_after == 0 && p->n_done < p->n_jobs;
}

static void a_batch_that_was_stopped_goes_on(void **state)
{
    (void)state;
    mixt_batch *batch;
    mixt_engine *engine = engine_with(0, 0);
    mixt_batch_options o = mixt_batch_defaults();
    int n_stops = 0;
    o.progress = stop_soon;
    stop_after = STOP_AFTER;                                /* longer than a job: else none would end   */
    o.n_together = 4;
    make_wishes(wishes);
    must(mixt_batch_new(engine, &o, &batch, &error));
    for (int i = 0; i < N_JOBS; i++) must(mixt_batch_add(batch, &wishes[i].job, &error));
    for (mixt_status status = MIXT_CANCELLED; status != MIXT_OK; n_stops++) {
        status = mixt_batch_run(batch, &error);
        if (status != MIXT_OK) assert_int_equal(status, MIXT_CANCELLED);
        if (n_stops > 500) fail_msg("it never ends");
    }
    assert_true(n_stops > 1);
    for (int i = 0; i < N_JOBS; i++) check_wish(i, "stopped and gone on");
    mixt_batch_free(batch);
    mixt_engine_free(engine);
}

static void jobs_that_were_never_run_are_forgotten(void **state)
{
    (void)state;
    mixt_batch *batch;
    mixt_engine *engine = engine_with(0, 0);
    make_wishes(wishes);
    must(mixt_batch_new(engine, NULL, &batch, &error));
    for (int i = 0; i < N_JOBS; i++) must(mixt_batch_add(batch, &wishes[i].job, &error));
    mixt_batch_free(batch);
    for (int i = 0; i < N_JOBS; i++) assert_int_equal(wishes[i].n_done, 0);
    mixt_engine_free(engine);
}

/* ---- from other threads ---- */

static mixt_batch *shared;
static void *add_half(void *unused)
{
    (void)unused;
    for (int i = 1; i < N_JOBS; i += 2) {
        if (mixt_batch_add(shared, &wishes[i].job, NULL) != MIXT_OK) return "failed";
        usleep(500);
    }
    return NULL;
}

static void jobs_may_come_while_it_runs(void **state)
{
    (void)state;
    mixt_engine *engine = engine_with(0, 3);
    mixt_batch_options o = mixt_batch_defaults();
    pthread_t other;
    void *failed;
    o.n_together = 6;
    make_wishes(wishes);
    must(mixt_batch_new(engine, &o, &shared, &error));
    for (int i = 0; i < N_JOBS; i += 2) must(mixt_batch_add(shared, &wishes[i].job, &error));
    assert_int_equal(pthread_create(&other, NULL, add_half, NULL), 0);
    must(mixt_batch_run(shared, &error));
    pthread_join(other, &failed);
    assert_null(failed);
    must(mixt_batch_run(shared, &error));           /* those that came after the last was done  */
    for (int i = 0; i < N_JOBS; i++) check_wish(i, "from two threads");
    mixt_batch_free(shared);
    mixt_engine_free(engine);
}

static atomic_bool over;
static void *watch(void *unused)
{
    (void)unused;
    mixt_batch_progress before = mixt_batch_read(shared);
    while (!over) {
        const mixt_batch_progress p = mixt_batch_read(shared);
        if (p.n_done > p.n_jobs || p.n_done < before.n_done || p.n_rows < before.n_rows || p.n_rows < p.n_steps ||
            p.n_read < before.n_read || p.n_read > p.n_rows)
            return "numbers that cannot be";
        before = p;
    }
    return NULL;
}

/* What was added while it ran is counted, done or not, and what is asked for meanwhile is of one moment. */
static void others_see_how_far_it_is(void **state)
{
    (void)state;
    mixt_engine *engine = engine_with(0, 3);
    pthread_t adder, watcher;
    void *failed;
    make_wishes(wishes);
    must(mixt_batch_new(engine, NULL, &shared, &error));
    for (int i = 0; i < N_JOBS; i += 2) must(mixt_batch_add(shared, &wishes[i].job, &error));
    over = false;
    assert_int_equal(pthread_create(&adder, NULL, add_half, NULL), 0);
    assert_int_equal(pthread_create(&watcher, NULL, watch, NULL), 0);
    must(mixt_batch_run(shared, &error));
    pthread_join(adder, &failed);
    assert_null(failed);
    mixt_batch_progress p = mixt_batch_read(shared);
    assert_int_equal(p.n_jobs, N_JOBS);                     /* also those that nobody has looked at   */
    int n_done = 0;
    for (int i = 0; i < N_JOBS; i++) n_done += wishes[i].n_done;
    assert_int_equal(p.n_done, n_done);
    must(mixt_batch_run(shared, &error));
    over = true;
    pthread_join(watcher, &failed);
    if (failed) fail_msg("%s", (const char *)failed);
    p = mixt_batch_read(shared);
    assert_int_equal(p.n_done, N_JOBS);
    assert_int_equal(p.n_running, 0);
    mixt_batch_free(shared);
    mixt_engine_free(engine);
}

static int n_added;
static int add_when_idle(void *user, const mixt_batch_progress *p)
{
    (void)user;
    if (p->n_running || n_added == N_JOBS) return 0;
    return mixt_batch_add(shared, &wishes[n_added++].job, NULL) != MIXT_OK;
}

/* Whoever is told that nobody is under way may add one: it is done, too. */
static void jobs_may_come_at_the_very_end(void **state)
{
    (void)state;
    mixt_engine *engine = engine_with(0, 0);
    mixt_batch_options o = mixt_batch_defaults();
    o.progress = add_when_idle;
    n_added = 0;
    make_wishes(wishes);
    must(mixt_batch_new(engine, &o, &shared, &error));
    must(mixt_batch_run(shared, &error));
    assert_int_equal(n_added, N_JOBS);
    for (int i = 0; i < N_JOBS; i++) check_wish(i, "added when all were done");
    mixt_batch_free(shared);
    mixt_engine_free(engine);
}

/* ---- what goes wrong ---- */

static void poison_embedding(void)
{
    Catalog c;
    Error inside;
    const float nan_row[1] = { NAN };
    assert_int_equal(catalog_open(path, &c, &inside), OK);
    const FileTensor *t = catalog_tensor(&c, "token_embd.weight");
    assert_int_equal(t->format, F32);
    FILE *f = fopen(path, "r+b");
    fseek(f, (long)(t->offset + POISON * t->dims[1] * 4), SEEK_SET);
    fwrite(nan_row, 4, 1, f);
    fclose(f);
    catalog_close(&c);
}

static void check_failure(int i, mixt_status status, const char *part)
{
    const Wish *w = &wishes[i];
    if (w->n_done != 1 || w->status != status || !strstr(w->said, part))
        fail_msg("job %d: want %s, '%s'; got %d times %s, '%s'", i, mixt_status_name(status), part, w->n_done,
                 mixt_status_name(w->status), w->said);
}

static void who_fails_fails_alone(void **state)
{
    (void)state;
    mixt_batch *batch;
    mixt_engine *engine = engine_with(0, 0);
    make_wishes(wishes);
    wishes[3].tokens[0] = POISON;
    wishes[7].tokens[wishes[7].job.n_tokens - 1] = POISON;
    wishes[11].job.n_tokens = 0;
    wishes[15].tokens[0] = 1 << 20;
    wishes[19].job.sampler.top_p = 3;
    wishes[23].job.generate.n_stops = 1000;
    must(mixt_batch_new(engine, NULL, &batch, &error));
    for (int i = 0; i < N_JOBS; i++) must(mixt_batch_add(batch, &wishes[i].job, &error));
    must(mixt_batch_run(batch, &error));
    check_failure(3, MIXT_FAILED, "router");
    check_failure(7, MIXT_FAILED, "router");
    check_failure(11, MIXT_BAD_ARGUMENT, "empty");
    check_failure(15, MIXT_BAD_ARGUMENT, "token 0");
    check_failure(19, MIXT_BAD_ARGUMENT, "top_p");
    check_failure(23, MIXT_BAD_ARGUMENT, "stop");
    for (int i = 0; i < N_JOBS; i++)
        if (i % 4 != 3 || i > 23) check_wish(i, "beside some that fail");
    assert_int_equal(mixt_batch_read(batch).n_failed, 6);
    mixt_batch_free(batch);
    mixt_engine_free(engine);
}

static atomic_int n_reads;
static int        fail_every;
static int faulty(IoCall call)
{
    return call == IO_READ && atomic_fetch_add(&n_reads, 1) % fail_every == fail_every - 1 ? EIO : 0;
}

/* A read that fails now and then is made again; everybody ends, with an error of his own or with the right text. */
static void a_disk_that_says_no_ends_no_others(void **state)
{
    (void)state;
    const int often[] = { RARELY, 61, 7, 1 };
    for (int k = 0; k < 4; k++) {
        mixt_batch *batch;
        mixt_engine *engine = engine_with(0, 3);
        int n_right = 0;
        int64_t n_read = 0, n_rows = 0;
        make_wishes(wishes);
        must(mixt_batch_new(engine, NULL, &batch, &error));
        for (int i = 0; i < N_JOBS; i++) must(mixt_batch_add(batch, &wishes[i].job, &error));
        fail_every = often[k];
        n_reads = 0;
        io_fault = faulty;
        const mixt_status status = mixt_batch_run(batch, &error);
        io_fault = NULL;
        must(status);
        for (int i = 0; i < N_JOBS; i++) {
            assert_int_equal(wishes[i].n_done, 1);
            if (wishes[i].status != MIXT_OK) assert_int_equal(wishes[i].status, MIXT_IO);
            else n_right++, check_wish(i, "a disk that fails");
            if (wishes[i].status != MIXT_OK) continue;
            n_read += (int64_t)wishes[i].job.n_tokens;
            n_rows += (int64_t)(wishes[i].job.n_tokens + wishes[i].generated.n_tokens) - 1;
        }
        const mixt_batch_progress p = mixt_batch_read(batch);   /* also steps that were made one by one */
        if (p.n_read < n_read || p.n_rows < n_rows)
            fail_msg("want %d tokens read and %d rows or more, got %d and %d", (int)n_read, (int)n_rows, (int)p.n_read,
                     (int)p.n_rows);
        if (k == 0) assert_int_equal(n_right, N_JOBS);
        if (k == 3) assert_int_equal(n_right, 0);
        mixt_batch_free(batch);
        mixt_engine_free(engine);
    }
}

static int prepare(void **state)
{
    (void)state;
    open_model("F32");
    mixt_model_free(model);
    poison_embedding();                             /* of a token that the others do not have   */
    must(mixt_model_open(path, NULL, &model, &error));
    say_alone();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(company_changes_nothing),
        cmocka_unit_test(a_batch_that_was_stopped_goes_on),
        cmocka_unit_test(jobs_that_were_never_run_are_forgotten),
        cmocka_unit_test(jobs_may_come_while_it_runs),
        cmocka_unit_test(others_see_how_far_it_is),
        cmocka_unit_test(jobs_may_come_at_the_very_end),
        cmocka_unit_test(who_fails_fails_alone),
        cmocka_unit_test(a_disk_that_says_no_ends_no_others),
    };
    const int failed = cmocka_run_group_tests(tests, prepare, NULL);
    mixt_model_free(model);
    return failed;
}
