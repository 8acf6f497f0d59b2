/* SPDX-License-Identifier: Apache-2.0
 * train/train.c - the loop; see train.h.  READ `learn` FIRST: a step is all there is to see. */
#include "train/train.h"

#include "base/clock.h"
#include "train/outcome.h"
#include "train/report.h"
#include "train/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

static double seconds_of(const Run *r)
{
    return r->seconds + (double)(clock_us() - r->start_us) * 1e-6;
}

static bool tell(Run *r, TrainStage stage, const char *path)
{
    TrainProgress *p = &r->progress;
    p->stage = stage;
    p->path = path;
    p->step = r->step;
    p->tokens = r->tokens;
    p->seconds = seconds_of(r);
    return r->o.progress && r->o.progress(r->o.progress_user, p);
}

static Status stopped(const Run *r, Error *error)
{
    return fail(error, CANCELLED, "%s: stopped after step %lld of %lld; the same command goes on", r->config.path,
                (long long)r->step, (long long)r->schedule.n_steps);
}

/* ---- one step ---- */

static void forget(NetReport *report, const Sizes *s)
{
    int64_t *uses = report->uses;
    double *entropy = report->entropy;
    *report = (NetReport){ .uses = uses, .entropy = entropy };
    memset(uses, 0, (size_t)(s->n_layers * s->n_experts) * sizeof *uses);
    memset(entropy, 0, (size_t)s->n_layers * sizeof *entropy);
}

/* A pass of a step: its text, or its pairs of answers. */
static Status one_pass(Run *r, int64_t pass, Error *error)
{
    const Config *c = &r->config;
    const Taken *t = &r->taken;
    const int64_t first = pass * c->n_sequences, at = first * c->n_tokens;
    const Batch batch = { c->n_sequences, c->n_tokens, t->tokens + at, t->targets + at, t->starts + at };
    const double part = t->n_targets ? 1.0 / (double)t->n_targets : 0;
    if (!r->references) return net_learn(r->net, &batch, part, &r->report, error);
    Prefer prefer = { .beta = c->beta, .batch = &batch, .reference = r->step_references + first,
                      .share = 2.0 / (double)r->n_step_sequences };
    TRY(net_learn_weighed(r->net, &batch, prefer_weigh, &prefer, part, &r->report, error));
    r->preference_loss += prefer.loss;
    r->n_pairs += prefer.n_pairs;
    r->n_preferred += prefer.n_preferred;
    return OK;
}

/* All passes of a step; their gradients add up.  CANCELLED between two of them leaves the weights as they were. */
static Status passes(Run *r, Error *error)
{
    const int64_t n = r->n_step_sequences;
    TRY(data_take(&r->data, r->step * n, n, &r->taken, error));
    for (int64_t i = 0; r->references && i < n; i++) r->step_references[i] = r->references[r->taken.numbers[i]];
    memset(r->grads, 0, (size_t)r->n_values * sizeof *r->grads);
    forget(&r->report, &r->sizes);
    r->preference_loss = 0;
    r->n_pairs = r->n_preferred = 0;
    for (int64_t i = 0; i < r->config.accumulate; i++) {
        TRY(one_pass(r, i, error));
        r->progress.pass = i + 1;
        if (tell(r, TRAIN_PASS, NULL)) return stopped(r, error);
    }
    return OK;
}

static void describe(Run *r, double rate, double length, double *row)
{
    const NetReport *n = &r->report;
    const Sizes *s = &r->sizes;
    TrainProgress *p = &r->progress;
    const double per_layer = (double)(n->n_passes * s->n_layers);
    double entropy = 0;
    for (int64_t layer = 0; layer < s->n_layers; layer++) {
        double all = 0;
        for (int64_t e = 0; e < s->n_experts; e++) all += (double)n->uses[layer * s->n_experts + e];
        for (int64_t e = 0; e < s->n_experts; e++)
            r->uses[layer * s->n_experts + e] = share((double)n->uses[layer * s->n_experts + e], all);
        r->layer_entropy[layer] = share(n->entropy[layer], (double)n->n_rows);
        entropy += r->layer_entropy[layer];
    }
    p->loss = r->references ? share(r->preference_loss, (double)r->n_pairs) : share(n->loss, (double)n->n_targets);
    p->n_pairs = r->n_pairs;
    p->preferred = share((double)r->n_preferred, (double)r->n_pairs);
    p->rate = rate;
    p->length = length;
    p->balance = share(n->balance, per_layer);
    p->router_z = share(n->router_z, per_layer);
    p->entropy = entropy / (double)s->n_layers;
    p->dropped = share((double)n->n_dropped, (double)(n->n_rows * s->n_layers * s->n_used));

    row[STEP_NUMBER] = (double)r->step;
    row[STEP_TOKENS] = (double)r->tokens;
    row[STEP_SECONDS] = seconds_of(r);
    row[STEP_LOSS] = p->loss;
    row[STEP_RATE] = rate;
    row[STEP_LENGTH] = length;
    row[STEP_BALANCE] = p->balance;
    row[STEP_ROUTER_Z] = p->router_z;
    row[STEP_ENTROPY] = p->entropy;
    row[STEP_DROPPED] = p->dropped;
}

/* How fast we are: half of the weight on the last seven steps. */
static void measure(Run *r, int64_t start_us)
{
    const double now = (double)(clock_us() - start_us) * 1e-6;
    r->step_s = r->step_s > 0 ? 0.9 * r->step_s + 0.1 * now : now;
    r->progress.tokens_per_s = share((double)(r->n_step_sequences * r->config.n_tokens), r->step_s);
    r->progress.seconds_left = (double)(r->schedule.n_steps - r->step) * r->step_s;
}

static Status learn(Run *r, Error *error)
{
    const int64_t start_us = clock_us();
    double row[STEP_COLUMNS];
    TRY(passes(r, error));
    const double rate = schedule_rate(&r->schedule, r->step + 1);
    const double length = adamw_step(&r->adamw, r->pool, r->values, r->grads, r->step + 1, rate);
    if (!isfinite(length))
        return fail(error, FAILED,
                    "%s: step %lld: expected a gradient, found %g; a lower rate or a longer warm_up may help",
                    r->config.path, (long long)(r->step + 1), length);
    r->step++;
    r->tokens += r->n_step_sequences * r->config.n_tokens;
    measure(r, start_us);
    describe(r, rate, length, row);
    return curves_step(&r->curves, row, &r->report, error);
}

/* ---- held-out text ---- */

/* Targets are tokens, or pairs of answers; bytes are those of the text, 0 of pairs. */
typedef struct Sum { double loss; int64_t n_targets, n_bytes; } Sum;

static Status judge_text(Run *r, const Batch *batch, Sum *sum, Error *error)
{
    NetReport report = { 0 };
    TRY(net_judge(r->net, batch, &report, NULL, error));
    sum->loss += report.loss;
    sum->n_targets += report.n_targets;
    sum->n_bytes += data_bytes(&r->data, batch->n_sequences * batch->n_tokens, batch->tokens, batch->targets);
    return OK;
}

static Status judge_pairs(Run *r, const Batch *batch, const double *reference, Sum *sum, Error *error)
{
    Prefer prefer = { .beta = r->config.beta, .batch = batch, .reference = reference };
    TRY(prefer_sums(r->net, batch, r->sums, error));
    prefer_count(&prefer, r->sums);
    sum->loss += prefer.loss;
    sum->n_targets += prefer.n_pairs;
    return OK;
}

static Status judge_file(Run *r, int held, Sum *sum, Error *error)
{
    const int64_t T = r->config.n_tokens, B = r->config.n_sequences, n = r->data.held[held].n_judged;
    const Taken *t = &r->taken;
    for (int64_t first = 0; first < n; first += B) {
        const int64_t n_here = n - first < B ? n - first : B;
        for (int64_t i = 0; i < n_here; i++)
            data_judged(&r->data, held, first + i, t->tokens + i * T, t->targets + i * T, t->starts + i * T);
        const Batch batch = { n_here, T, t->tokens, t->targets, t->starts };
        TRY(r->references ? judge_pairs(r, &batch, r->held_references[held] + first, sum, error)
                          : judge_text(r, &batch, sum, error));
        if (tell(r, TRAIN_PASS, NULL)) return stopped(r, error);
    }
    return OK;
}

static TrainHeld held_of(const Sum *sum, const char *path)
{
    return (TrainHeld){ path, share(sum->loss, (double)sum->n_targets),
                        share(sum->loss / log(2.0), (double)sum->n_bytes) };
}

static Status judge(Run *r, Error *error)
{
    Sum all = { 0 };
    for (int i = 0; i < r->data.n_held; i++) {
        Sum sum = { 0 };
        TRY(judge_file(r, i, &sum, error));
        r->held[i] = held_of(&sum, r->data.held[i].path);
        all.loss += sum.loss;
        all.n_targets += sum.n_targets;
        all.n_bytes += sum.n_bytes;
    }
    r->progress.all = held_of(&all, "");
    r->progress.n_held = r->data.n_held;
    for (int i = 0; i <= r->data.n_held; i++) {
        const TrainHeld *h = i < r->data.n_held ? &r->held[i] : &r->progress.all;
        r->held_row[2 * i] = h->loss;
        r->held_row[2 * i + 1] = h->bits_per_byte;
    }
    return OK;
}

static Status write_report(Run *r, Error *error)
{
    const Config *c = &r->config;
    const Report report = {
        .title = c->name ? c->name : c->path, .curves = &r->curves, .held = r->data.held, .n_used = r->sizes.n_used,
        .n_steps = r->schedule.n_steps, .n_values = r->n_values, .sizes = &r->sizes, .settings = r->binding.data,
        .pairs = r->references != NULL,
    };
    return report_write(c->report, r->inputs, &report, error);
}

static Status mark(Run *r, Error *error)
{
    TRY(judge(r, error));
    TRY(curves_mark(&r->curves, r->step, r->tokens, seconds_of(r), r->held_row, error));
    TRY(write_report(r, error));
    return tell(r, TRAIN_JUDGED, NULL) ? stopped(r, error) : OK;
}

/* ---- keeping ---- */

static Status save(Run *r, Error *error)
{
    const Checkpoint c = run_checkpoint(r);
    TRY(checkpoint_write(r->checkpoint.data, &c, error));
    r->saved_us = clock_us();
    tell(r, TRAIN_SAVED, r->checkpoint.data);
    return OK;
}

static bool is_time_to_save(const Run *r)
{
    const Config *c = &r->config;
    const double minutes = (double)(clock_us() - r->saved_us) / 60e6;
    return (c->checkpoint_steps && r->step % c->checkpoint_steps == 0) ||
           (c->checkpoint_minutes > 0 && minutes >= c->checkpoint_minutes);
}

static Status write_model(Run *r, Error *error)
{
    const Config *c = &r->config;
    Outcome o = { .arch = r->arch, .sizes = &r->sizes, .params = r->params, .n_params = r->n_params, .name = c->name,
                  .vocab = &r->vocabulary.catalog.vocab, .chat_template = r->vocabulary.source,
                  .chat_template_bytes = r->vocabulary.source_bytes };
    if (!outcome_type(c->type, &o.type)) return fail(error, BAD_ARGUMENT, "type: '%s' is not known", c->type);
    TRY(r->adapts ? outcome_write_adapter(c->output, r->inputs, &o, &r->adapters, error)
                  : outcome_write(c->output, r->inputs, &o, error));
    tell(r, TRAIN_DONE, c->output);
    return OK;
}

/* ---- the loop ---- */

static Status steps(Run *r, Error *error)
{
    const int64_t n = r->schedule.n_steps, every = r->config.eval_steps;
    if (r->step == 0 && r->config.from && r->data.n_held) TRY(mark(r, error));      /* what there was before */
    while (r->step < n) {
        TRY(learn(r, error));
        const bool stop = tell(r, TRAIN_STEP, NULL);
        if (!stop && (r->step == n || (every && r->step % every == 0))) TRY(mark(r, error));
        if (stop) return stopped(r, error);
        if (r->step < n && is_time_to_save(r)) TRY(save(r, error));
    }
    return OK;
}

/* A run that is stopped is saved; one that fails keeps the checkpoint it had. */
static Status run_through(Run *r, Error *error)
{
    const bool was_done = r->step == r->schedule.n_steps;
    const Status status = steps(r, error);
    if (status != OK && status != CANCELLED) return status;
    if (!was_done) {
        Error why = { 0 };
        const Status saved = save(r, &why);
        if (saved != OK) {
            if (error) *error = why;
            return saved;
        }
    }
    return status == OK ? write_model(r, error) : status;
}

Status train(const TrainOptions *options, Error *error)
{
    Run *run = malloc(sizeof *run);
    if (!run) return fail_memory(error, "a run");
    Status status = run_open(options, run, error);
    if (status == OK) status = run_through(run, error);
    run_close(run);
    free(run);
    return status;
}
