/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_batch.c - hundreds of prompts from a file, answered together, into another file.
 *
 * Answers are written in the order of the prompts, each as soon as those before it are, into OUT.part; that becomes
 * OUT when all are there.  Whatever ends the program before, --resume goes on with the first answer that is missing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "batch_lines.h"
#include "embedded.h"
#include "json.h"
#include "output.h"
#include "progress.h"
#include "record.h"
#include "speak.h"
#include "use_file.h"

typedef struct Run {
    const App  *app;
    const char *model, *in, *out;
    Loaded      loaded;
    Recording   record;
    BatchLines  lines;
    size_t      n_written, n_kept;      /* lines that are in the file; of an earlier run   */
    size_t      n_first;                /* lines that were in the file                     */
    size_t      n_failed;               /* whose job ended with an error                   */
    Writer      writer;
    bool        writing;                /* what is in the file up to `offset` is ours      */
    int64_t     offset;
    Error       disk;                   /* why nothing more can be written                 */
    Progress    bar;
    mixt_batch_progress progress;
    mixt_engine_stats   before;
} Run;

typedef struct Ticket { Run *run; BatchLine *line; } Ticket;

/* ---- writing ---- */

/* Answers whose turn it is. */
static void write_ready(Run *r)
{
    while (r->n_written < r->lines.n && r->disk.code == OK) {
        Buffer *answer = &r->lines.all[r->n_written].answer;
        if (answer->failed) fail_memory(&r->disk, r->out);
        if (answer->failed || answer->n_bytes == 0) return;
        if (writer_put_at(&r->writer, r->offset, answer->data, answer->n_bytes, &r->disk) != OK) return;
        r->offset += (int64_t)answer->n_bytes;
        r->n_written++;
        buffer_free(answer);
    }
}

static void on_done(void *user, const mixt_job_result *result)
{
    const Ticket *ticket = user;
    Run          *r      = ticket->run;
    r->n_failed += result->status != MIXT_OK;
    line_answer(ticket->line, result);
    write_ready(r);
}

static int on_progress(void *user, const mixt_batch_progress *progress)
{
    Run *r = user;
    const int stop = progress_show(&r->bar, progress->n_done, progress->n_jobs);
    return stop || r->disk.code != OK || interrupt_pending();
}

/* ---- the file that grows ---- */

/* What an earlier run left: in OUT.part when it was stopped, in OUT when it came to its end. */
static Exit keep_earlier(Run *r, const Buffer *part)
{
    Buffer whole = { 0 };
    Exit   code  = DONE;
    const bool finished = part->n_bytes == 0 && access(r->out, F_OK) == 0;
    if (finished) code = input_read(r->app, r->out, &whole);
    size_t kept_bytes = 0;
    if (code == DONE)
        code = lines_match(r->app, &r->lines, finished ? r->out : r->writer.temporary, finished ? &whole : part,
                           finished, &r->n_kept, &kept_bytes);
    Error error = { 0 };
    if (code == DONE && writer_cut(&r->writer, (int64_t)kept_bytes, &error) != OK) code = base_problem(r->app, &error);
    r->n_written = finished ? 0 : r->n_kept;
    r->n_first   = r->n_written;
    r->offset    = (int64_t)kept_bytes;
    buffer_free(&whole);
    return code;
}

static Exit open_output(Run *r)
{
    const char *inputs[] = { strcmp(r->in, "-") ? r->in : NULL, NULL };
    Error  error = { 0 };
    Buffer part  = { 0 };
    if (writer_reopen(r->out, inputs, &r->writer, &error) != OK) return base_problem(r->app, &error);
    Exit code = input_read(r->app, r->writer.temporary, &part);
    if (code == DONE && opt_flag(r->app->options, OPT_RESUME)) code = keep_earlier(r, &part);
    else if (code == DONE && part.n_bytes)
        code = complain(r->app, USAGE, "%s: an earlier run was stopped; --resume goes on with it, or remove the file",
                        r->writer.temporary);
    r->writing = code == DONE;
    buffer_free(&part);
    return code;
}

/* All lines are there: the file gets its name. Otherwise whole lines stay for --resume. */
static Exit close_output(Run *r, Exit code)
{
    Error error = { 0 };
    if (r->writer.fd < 0) return code;
    if (code == DONE && r->n_written == r->lines.n) {
        return writer_commit(&r->writer, &error) == OK ? code : base_problem(r->app, &error);
    }
    char *part = strdup(r->writer.temporary);
    if (r->writing) writer_cut(&r->writer, r->offset, &error);      /* half a line: --resume leaves it out, too */
    writer_abandon(&r->writer);
    if (part && r->writing && r->n_written < r->lines.n && r->n_written > 0)
        remark(r->app, "%zu of %zu answers are in %s; the same command with --resume goes on", r->n_written, r->lines.n,
               part);
    free(part);
    return code;
}

/* ---- the work ---- */

static Exit add_jobs(Run *r, mixt_batch *batch, Ticket *tickets)
{
    mixt_error error;
    for (size_t i = r->n_first; i < r->lines.n; i++) {
        BatchLine *line = &r->lines.all[i];
        if (line->answer.n_bytes) continue;         /* an earlier run gave it                     */
        if (line->problem) {
            line_problem(line);
            continue;
        }
        tickets[i]     = (Ticket){ r, line };
        line->job.done = on_done;
        line->job.user = &tickets[i];
        if (mixt_batch_add(batch, &line->job, &error) != MIXT_OK) return problem(r->app, &error, NULL);
    }
    write_ready(r);
    return DONE;
}

static Exit run_batch(Run *r)
{
    const Options     *o        = r->app->options;
    mixt_batch_options settings = mixt_batch_defaults();
    mixt_batch        *batch;
    mixt_error         error;
    Ticket            *tickets = calloc(r->lines.n, sizeof *tickets);
    if (!tickets) return complain(r->app, NO_FIT, "out of memory for %zu prompts", r->lines.n);
    settings.n_together = (size_t)opt_whole(o, OPT_TOGETHER);
    settings.n_context  = (size_t)opt_whole(o, OPT_CTX);
    settings.trace      = r->record.trace;
    settings.progress   = on_progress;
    settings.user       = r;
    Exit code = mixt_batch_new(r->loaded.engine, &settings, &batch, &error) == MIXT_OK ? DONE
                                                                                       : problem(r->app, &error, NULL);
    if (code == DONE) code = add_jobs(r, batch, tickets);
    r->bar = progress_begin("answering", false);
    r->bar.unit = "prompts";
    const mixt_status status = code == DONE ? mixt_batch_run(batch, &error) : MIXT_OK;
    progress_end(&r->bar);
    if (code == DONE) r->progress = mixt_batch_read(batch);
    if (r->disk.code != OK) code = base_problem(r->app, &r->disk);
    else if (interrupt_pending()) code = INTERRUPTED;
    else if (status != MIXT_OK) code = problem(r->app, &error, NULL);
    mixt_batch_free(batch);
    free(tickets);
    return code;
}

/* ---- reports ---- */

static void report(const Run *r)
{
    const mixt_batch_progress *p = &r->progress;
    fprintf(stderr, "%zu prompts, %zu with errors; %lld tokens read, %lld written in %.2f s: %.1f tokens/s written\n",
            r->lines.n - r->n_kept, r->lines.n_bad + r->n_failed, (long long)p->n_read, (long long)p->n_written,
            (double)p->us * 1e-6, per_second((size_t)p->n_written, p->us));
    if (!opt_flag(r->app->options, OPT_VERBOSE)) return;
    const mixt_engine_stats now = mixt_engine_read(r->loaded.engine);
    char read[AMOUNT_MAX];
    fprintf(stderr, "steps    %8lld      %.1f rows each; %d prompts at once at most\n", (long long)p->n_steps,
            p->n_steps ? (double)p->n_rows / (double)p->n_steps : 0.0, p->n_running_max);
    fprintf(stderr, "pace                   half of the tokens within %.1f ms, 95 %% %.1f, 99 %% %.1f, all %.1f\n",
            (double)p->p50_us * 1e-3, (double)p->p95_us * 1e-3, (double)p->p99_us * 1e-3, (double)p->us_max * 1e-3);
    if (now.expert_pins > r->before.expert_pins)
        fprintf(stderr, "experts  %8.2f s    waited; %s read\n",
                (double)(now.expert_wait_us - r->before.expert_wait_us) * 1e-6,
                amount_bytes((double)(now.expert_read_bytes - r->before.expert_read_bytes), read));
    if (p->n_evicted) fprintf(stderr, "memory   %8lld      times a prompt began anew\n", (long long)p->n_evicted);
}

static Exit report_json(const Run *r)
{
    const mixt_batch_progress *p = &r->progress;
    const mixt_engine_stats now = mixt_engine_read(r->loaded.engine);
    Json json = { 0 };
    json_open(&json, '{');
    json_key_text(&json, "model", r->loaded.info.path);
    json_key_whole(&json, "prompts", (int64_t)r->lines.n);
    json_key_whole(&json, "kept", (int64_t)r->n_kept);
    json_key_whole(&json, "written", (int64_t)r->n_written);
    json_key_whole(&json, "errors", (int64_t)(r->lines.n_bad + r->n_failed));
    json_key_whole(&json, "prompt_tokens", p->n_read);
    json_key_whole(&json, "answer_tokens", p->n_written);
    json_key_whole(&json, "us", p->us);
    json_key_real(&json, "answer_per_second", per_second((size_t)p->n_written, p->us));
    json_key_whole(&json, "steps", p->n_steps);
    json_key_whole(&json, "rows", p->n_rows);
    json_key_whole(&json, "together", p->n_running_max);
    json_key_whole(&json, "began_anew", p->n_evicted);
    json_key_whole(&json, "token_p50_us", p->p50_us);
    json_key_whole(&json, "token_p95_us", p->p95_us);
    json_key_whole(&json, "token_p99_us", p->p99_us);
    json_key_whole(&json, "token_us_max", p->us_max);
    json_key_whole(&json, "expert_read_bytes", now.expert_read_bytes - r->before.expert_read_bytes);
    json_key_whole(&json, "expert_wait_us", now.expert_wait_us - r->before.expert_wait_us);
    json_close(&json, '}');
    return json_print(r->app, &json);
}

/* The first few, for whoever watches; all are in the file.  Of lines that were jobs, or of those that were none. */
static void remark_problems(const Run *r, bool jobs)
{
    enum { SHOWN_MAX = 5 };
    size_t n = 0;
    for (size_t i = r->n_first; i < r->lines.n; i++) {
        const BatchLine *line = &r->lines.all[i];
        if (!line->problem || jobs != (line->job.done != NULL)) continue;
        if (n++ < SHOWN_MAX) remark(r->app, "%s: line %zu: %s", r->in, line->number, line->problem);
    }
    if (n > SHOWN_MAX) remark(r->app, "and %zu more; each has its error in %s", n - SHOWN_MAX, r->out);
}

/* ---- all of it ---- */

/* What the command line says holds for lines that do not say otherwise. */
static mixt_job common_job(const Options *o)
{
    mixt_job job = mixt_job_defaults();
    job.sampler      = sampler_options(o);
    job.sampler.seed = opt_given(o, OPT_SEED) ? (uint64_t)opt_whole(o, OPT_SEED) : draw_seed();
    job.generate.n_tokens_max = (size_t)opt_whole(o, OPT_TOKENS);
    job.generate.stops        = o->values[OPT_STOP].texts;
    job.generate.n_stops      = o->values[OPT_STOP].n_texts;
    job.generate.ignore_end   = opt_flag(o, OPT_IGNORE_END);
    return job;
}

/* The engine alone: every job has a session of its own. */
static Exit open_engine(Run *r)
{
    const Exit code = load_network(r->app, 1, &r->loaded);
    mixt_session_free(r->loaded.session);
    r->loaded.session = NULL;
    if (code == DONE) r->before = mixt_engine_read(r->loaded.engine);
    return code;
}

/* The answers, and what is recorded, take nobody's place. */
static Exit check_outputs(const Run *r)
{
    const char *record = opt_text(r->app->options, OPT_RECORD);
    const char *inputs[] = { strcmp(r->in, "-") ? r->in : NULL, NULL };
    Exit code = output_check(r->app, r->out, r->loaded.model);
    if (code == DONE && record) code = output_check(r->app, record, r->loaded.model);
    if (code == DONE && record) code = output_check_inputs(r->app, record, inputs);
    if (code == DONE && record) code = output_differs(r->app, record, r->out);
    return code;
}

static Exit run_all(Run *r)
{
    const mixt_job common = common_job(r->app->options);
    Exit code = load_model(r->app, r->model, false, &r->loaded);
    if (code == DONE && !r->loaded.info.tokenizer)
        code = complain(r->app, BAD_DATA, "%s: has no tokenizer; put its tokenizer.model beside it", r->model);
    if (code == DONE) code = check_outputs(r);
    if (code == DONE) code = lines_read(r->app, r->in, &r->loaded, &common, &r->lines);
    if (code == DONE && interrupt_pending()) code = INTERRUPTED;
    if (code == DONE) code = open_output(r);
    if (code == DONE) remark_problems(r, false);
    if (code == DONE) code = open_engine(r);
    if (code == DONE) code = record_open(r->app, &r->loaded, &r->record);
    if (code == DONE) code = run_batch(r);
    remark_problems(r, true);
    use_keep(r->app, &r->loaded);
    const Exit recorded = record_close(r->app, &r->record);
    code = close_output(r, code);
    return code == DONE ? recorded : code;
}

Exit cmd_batch(const App *app)
{
    const Options *o = app->options;
    const char *const *given = o->arguments + (o->n_arguments > 2);
    Run  r = { .app = app, .model = o->n_arguments > 2 ? o->arguments[0] : embedded_model().name,
               .in = given[0], .out = given[1], .writer = { .fd = -1 } };
    if (!r.model)
        return complain(app, USAGE, "expected MODEL, for none was built into this program; usage: "
                                    "mixt batch MODEL IN.jsonl OUT.jsonl [options]");
    Exit code = run_all(&r);
    const bool finished = code == DONE;
    if (finished && opt_flag(o, OPT_JSON)) code = report_json(&r);
    else if (finished) report(&r);
    if (code == DONE && r.lines.n_bad) code = BAD_DATA;
    if (code == DONE && r.n_failed) code = FAILED_OTHER;
    lines_free(&r.lines);
    load_free(&r.loaded);
    return code;
}
