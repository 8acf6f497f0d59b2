/* SPDX-License-Identifier: Apache-2.0
 * train/run.c - see run.h: configuration, vocabulary, texts, network, optimiser, and a checkpoint to go on from. */
#include "train/run.h"

#include "arch/outline.h"
#include "base/clock.h"
#include "base/machine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void run_say(const Run *r, const char *format, ...)
{
    char text[sizeof(((Error *)0)->text)];
    Error line;                             /* borrowed for its cleaning of names           */
    va_list args;
    if (!r->o.log) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fail(&line, OK, "%s", text);
    r->o.log(r->o.log_user, line.text);
}

/* ---- places ---- */

static Status make_folder(const char *path, Error *error)
{
    struct stat info;
    if (mkdir(path, 0777) == 0 || (stat(path, &info) == 0 && S_ISDIR(info.st_mode))) return OK;
    return fail(error, IO_FAILED, "%s: cannot make the folder: %s", path, strerror(errno));
}

/* Only the caller speaks of memory: a configuration's `from` is a file. */
static const Memory *memory_from(const Run *r)
{
    const TrainOptions *o = &r->o;
    return o->from && o->memory.name && strcmp(o->from, o->memory.name) == 0 ? &o->memory : NULL;
}

static Status list_inputs(Run *r, Error *error)
{
    int n = 0;
    r->inputs = calloc((size_t)r->data.n_corpora + 4, sizeof *r->inputs);
    if (!r->inputs) return fail_memory(error, "the names of files");
    r->inputs[n++] = r->config.path;
    if (r->config.from && !memory_from(r)) r->inputs[n++] = r->config.from;
    if (r->config.vocabulary) r->inputs[n++] = r->config.vocabulary;
    for (int i = 0; i < r->data.n_corpora; i++) r->inputs[n++] = r->data.corpora[i].path;
    return OK;
}

/* Nobody wants to hear of a bad name after hours. */
static Status try_outputs(const Run *r, Error *error)
{
    const char *paths[] = { r->config.output, r->config.report };
    for (int i = 0; i < ARRAY_LEN(paths); i++) {
        Writer w;
        TRY(writer_open(paths[i], r->inputs, &w, error));
        writer_abandon(&w);
    }
    return OK;
}

/* ---- machine ---- */

static Status open_machine(Run *r, Error *error)
{
    CpuSet set = cpu_detect();
    if (r->o.cpu_set && (!cpu_set_from_name(r->o.cpu_set, &set) || set > cpu_detect()))
        return fail(error, BAD_ARGUMENT, "cpu: expected instructions this machine has (up to %s), found '%s'",
                    cpu_set_name[cpu_detect()], r->o.cpu_set);
    kernels_select(&r->kernels, set);
    int n = r->o.n_threads ? r->o.n_threads : (int)r->config.n_threads;
    if (n == 0) n = pool_cores();
    return pool_new(n < POOL_THREADS_MAX ? n : POOL_THREADS_MAX, &r->pool, error);
}

/* ---- the network ---- */

/* Sizes that the configuration repeats beside --from must be those of the model. */
static Status check_sizes(const Run *r, Error *error)
{
    const Sizes *want = &r->config.sizes, *got = &r->sizes;
    const struct { const char *name; int64_t want, got; } sizes[] = {
        { "layers", want->n_layers, got->n_layers }, { "width", want->width, got->width },
        { "heads", want->n_heads, got->n_heads },    { "kv_heads", want->n_kv_heads, got->n_kv_heads },
        { "experts", want->n_experts, got->n_experts }, { "used", want->n_used, got->n_used },
        { "hidden", want->hidden, got->hidden },     { "head_size", want->head_size, got->head_size },
    };
    for (int i = 0; i < ARRAY_LEN(sizes); i++)
        if (sizes[i].want && sizes[i].want != sizes[i].got)
            return fail(error, BAD_ARGUMENT, "%s: [model] %s: expected %lld as in '%s', found %lld", r->config.path,
                        sizes[i].name, (long long)sizes[i].got, r->config.from, (long long)sizes[i].want);
    if (r->vocabulary.catalog.vocab.n_pieces > got->n_vocab)
        return fail(error, BAD_ARGUMENT, "%s: expected a vocabulary of at most %lld tokens as in '%s', found %d",
                    r->config.vocabulary ? r->config.vocabulary : r->config.from, (long long)got->n_vocab,
                    r->config.from, (int)r->vocabulary.catalog.vocab.n_pieces);
    return OK;
}

static NetOptions net_options(const Config *c)
{
    return (NetOptions){ .n_sequences = c->n_sequences, .n_tokens = c->n_tokens,
                         .bf16 = !strcmp(c->precision, "bf16"), .recompute = c->recompute,
                         .balance = c->balance, .router_z = c->router_z, .capacity = c->capacity,
                         .tied = c->tied };
}

/* Numbers of all weights. */
static Status count_values(const Run *r, bool tied, int64_t *out, Error *error)
{
    OutList list;
    TRY(out_list(r->arch, &r->sizes, !tied, &list, error));
    *out = 0;
    for (int i = 0; i < list.n; i++) *out += out_rows(&list.tensors[i]) * out_cols(&list.tensors[i]);
    free(list.tensors);
    return OK;
}

/* The network, and the optimiser's two moments; or, beside adapters, weights as they are stored. */
static Status check_memory(const Run *r, const NetOptions *o, int64_t stored_bytes, Error *error)
{
    int64_t n_values, have = machine_free_bytes();
    TRY(count_values(r, o->tied, &n_values, error));
    const int64_t need = net_bytes(&r->sizes, o) + (r->adapts ? stored_bytes - 8 * n_values : 8 * n_values);
    run_say(r, "%.2f million weights%s, %lld steps; needs about %.2f GiB", (double)n_values / 1e6,
            r->adapts ? " that stay as they are, adapters beside them" : "", (long long)r->schedule.n_steps,
            (double)need / (double)GIB);
    if (need <= have) return OK;
    return fail(error, NO_MEMORY,
                "%s: does not fit in memory: needs about %.2f GiB, %.2f GiB are free; try recompute = yes, or a "
                "smaller batch with more accumulate", r->config.path, (double)need / (double)GIB,
                (double)have / (double)GIB);
}

/* "3,5" */
static Status read_experts(Run *r, Error *error)
{
    const char *text = r->config.experts;
    if (!text) return OK;
    r->only = calloc((size_t)r->sizes.n_experts, sizeof *r->only);
    if (!r->only) return fail_memory(error, "the list of experts");
    for (const char *at = text; at; at = *at == ',' ? at + 1 : NULL) {
        char *end;
        const long expert = strtol(at, &end, 10);
        if (end == at || (*end && *end != ',') || expert < 0 || expert >= r->sizes.n_experts)
            return fail(error, BAD_ARGUMENT, "%s: [adapter] experts: expected numbers from 0 to %lld with commas "
                        "between, found '%.80s'", r->config.path, (long long)r->sizes.n_experts - 1, text);
        r->only[expert] = true;
        at = end;
    }
    r->adapters.experts = r->only;
    return OK;
}

static Status plan_adapters(Run *r, const Catalog *catalog, Error *error)
{
    static const struct { Role role; Adapts of; } classes[] = {
        { ROLE_Q, ADAPTS_ATTENTION }, { ROLE_K, ADAPTS_ATTENTION }, { ROLE_V, ADAPTS_ATTENTION },
        { ROLE_O, ADAPTS_ATTENTION }, { ROLE_ROUTER, ADAPTS_ROUTER }, { ROLE_GATE, ADAPTS_EXPERTS },
        { ROLE_UP, ADAPTS_EXPERTS },  { ROLE_DOWN, ADAPTS_EXPERTS }, { ROLE_OUT, ADAPTS_OUTPUT },
    };
    const Config *c = &r->config;
    Weight embed, output;
    for (int i = 0; i < ARRAY_LEN(classes); i++) {
        const Adapts of = classes[i].of;
        r->adapters.rank[classes[i].role] = (int)c->ranks[of];
        r->adapters.alpha[classes[i].role] = c->alphas[of] > 0 ? c->alphas[of] : (double)c->ranks[of];
    }
    if (c->ranks[ADAPTS_ROUTER] && r->sizes.dense)
        return fail(error, BAD_ARGUMENT, "%s: [adapter] router_rank: expected a model with a router, found a dense one",
                    c->path);
    TRY(arch_weight(r->arch, catalog, &r->sizes, ROLE_EMBED, 0, 0, &embed, error));
    TRY(arch_weight(r->arch, catalog, &r->sizes, ROLE_OUT, 0, 0, &output, error));
    if (c->ranks[ADAPTS_OUTPUT] && embed.tensor == output.tensor)
        return fail(error, BAD_ARGUMENT, "%s: [adapter] output_rank: expected a model with an output matrix of its "
                    "own, found one that uses its embedding", c->path);
    return read_experts(r, error);
}

static int64_t stored_bytes(const Catalog *catalog)
{
    int64_t n_bytes = 0;
    for (int64_t i = 0; i < catalog->n_tensors; i++) n_bytes += catalog->tensors[i].bytes;
    return n_bytes;
}

static Status load_net(Run *r, const Catalog *catalog, Error *error)
{
    const NetOptions o = net_options(&r->config);
    r->adapts = config_adapts(&r->config);
    TRY(arch_find(catalog, &r->arch, error));
    TRY(arch_sizes(r->arch, catalog, &r->sizes, error));
    TRY(arch_leftovers(r->arch, catalog, &r->sizes, r->o.log, r->o.log_user, error));
    TRY(check_sizes(r, error));
    TRY(check_memory(r, &o, stored_bytes(catalog), error));
    if (r->adapts) {
        TRY(plan_adapters(r, catalog, error));
        return net_adapt(r->arch, catalog, &r->sizes, &o, &r->adapters, (uint64_t)r->config.seed, r->pool, &r->kernels,
                         &r->net, error);
    }
    return net_from_catalog(r->arch, catalog, &r->sizes, &o, r->pool, &r->kernels, &r->net, error);
}

static Status draw_net(Run *r, Error *error)
{
    const NetOptions o = net_options(&r->config);
    r->sizes = r->config.sizes;
    r->sizes.n_vocab = r->vocabulary.catalog.vocab.n_pieces;
    for (int i = 0; arch_table[i] && !r->arch; i++)
        if (arch_table[i]->has_experts == !r->sizes.dense) r->arch = arch_table[i];
    TRY(check_memory(r, &o, 0, error));
    return net_new(r->arch, &r->sizes, &o, (uint64_t)r->config.seed, r->pool, &r->kernels, &r->net, error);
}

static Status open_net(Run *r, Error *error)
{
    Status status;
    if (r->config.from) {
        Catalog catalog;
        TRY(catalog_open_with(memory_from(r), r->config.from, &catalog, error));
        status = load_net(r, &catalog, error);
        catalog_close(&catalog);
    } else {
        status = draw_net(r, error);
    }
    TRY(status);
    r->params = net_params(r->net, &r->n_params);
    r->values = net_values(r->net, &r->n_values);
    r->grads = net_grads(r->net);
    const Config *c = &r->config;
    const AdamwOptions adamw = { c->beta1, c->beta2, c->epsilon, c->weight_decay, c->clip };
    return adamw_new(&adamw, r->params, r->n_params, r->n_values, &r->adamw, error);
}

/* ---- texts ---- */

static int ask_to_stop(void *user)
{
    Run *r = user;
    r->progress.stage = TRAIN_PASS;
    return r->o.progress ? r->o.progress(r->o.progress_user, &r->progress) : 0;
}

static Status open_data(Run *r, Error *error)
{
    const Vocabulary *v = &r->vocabulary;
    const CorpusReader reader = {
        .chat = vocabulary_reader(v),
        .format_digest = corpus_format_digest(&v->catalog.vocab, v->source, v->source_bytes),
        .marker = r->config.marker,
        .pairs = r->config.beta > 0,
        .folder = r->config.folder,
        .pool = r->pool,
        .cancel = ask_to_stop,
        .cancel_user = r,
    };
    return data_open(&reader, &r->config, r->o.log, r->o.log_user, &r->data, error);
}

/* How many steps, and which text each of them meets. */
static Status plan(Run *r, Error *error)
{
    const Config *c = &r->config;
    r->n_step_sequences = c->n_sequences * c->accumulate;
    const int64_t step_tokens = r->n_step_sequences * c->n_tokens;
    int64_t n_steps = c->steps ? c->steps : (c->tokens + step_tokens - 1) / step_tokens;
    if (n_steps == 0) n_steps = (r->data.n_sequences + r->n_step_sequences - 1) / r->n_step_sequences;
    if (c->warm_up > n_steps)
        return fail(error, BAD_ARGUMENT, "%s: [optimizer] warm_up: expected at most the %lld steps of this run, found "
                    "%lld", c->path, (long long)n_steps, (long long)c->warm_up);
    r->schedule = (Schedule){ c->rate, c->final_rate, c->warm_up, n_steps };
    data_plan(&r->data, n_steps * r->n_step_sequences);
    r->progress.n_steps = n_steps;
    r->progress.n_passes = c->accumulate;
    r->progress.n_tokens = n_steps * step_tokens;
    return OK;
}

/* ---- what a step needs ---- */

static Status make_room(Run *r, Error *error)
{
    const Sizes *s = &r->sizes;
    const size_t n = (size_t)(r->n_step_sequences * r->config.n_tokens), L = (size_t)s->n_layers,
                 LE = L * (size_t)s->n_experts, n_held = (size_t)r->data.n_held;
    Taken *t = &r->taken;
    t->tokens = malloc(n * sizeof *t->tokens);
    t->targets = malloc(n * sizeof *t->targets);
    t->starts = malloc(n * sizeof *t->starts);
    t->numbers = malloc((size_t)r->n_step_sequences * sizeof *t->numbers);
    r->report.uses = calloc(LE, sizeof *r->report.uses);
    r->report.entropy = calloc(L, sizeof *r->report.entropy);
    r->uses = calloc(LE, sizeof *r->uses);
    r->layer_entropy = calloc(L, sizeof *r->layer_entropy);
    r->held = calloc(n_held + 1, sizeof *r->held);
    r->held_row = calloc(2 * (n_held + 1), sizeof *r->held_row);
    if (!t->tokens || !t->targets || !t->starts || !t->numbers || !r->report.uses || !r->report.entropy || !r->uses ||
        !r->layer_entropy || !r->held || !r->held_row)
        return fail_memory(error, "a step");
    r->progress.n_layers = s->n_layers;
    r->progress.n_experts = s->n_experts;
    r->progress.uses = r->uses;
    r->progress.layer_entropy = r->layer_entropy;
    r->progress.held = r->held;
    return curves_new(s->n_layers, s->n_experts, r->data.n_held, &r->curves, error);
}

/* ---- preferences ---- */

/* Log probabilities of sequences [0, n) of the phases (held -1) or of a held-out file. */
static Status refer(Run *r, int held, int64_t n, double *out, Error *error)
{
    const int64_t T = r->config.n_tokens, B = r->config.n_sequences;
    const Taken *t = &r->taken;
    for (int64_t first = 0; first < n; first += B) {
        const int64_t n_here = n - first < B ? n - first : B;
        for (int64_t i = 0; i < n_here; i++) {
            int32_t *tokens = t->tokens + i * T, *targets = t->targets + i * T, *starts = t->starts + i * T;
            if (held < 0) data_sequence(&r->data, first + i, tokens, targets, starts);
            else data_judged(&r->data, held, first + i, tokens, targets, starts);
        }
        const Batch batch = { n_here, T, t->tokens, t->targets, t->starts };
        TRY(prefer_sums(r->net, &batch, out + first, error));
        if (ask_to_stop(r)) return fail(error, CANCELLED, "%s: stopped", r->config.path);
    }
    return OK;
}

/* What the model thought of all answers before it learned: asked before a checkpoint's weights take its place, so that
 * a run that goes on measures against the same. */
static Status open_references(Run *r, Error *error)
{
    const Data *d = &r->data;
    if (r->config.beta <= 0) return OK;
    r->references = malloc((size_t)d->n_sequences * sizeof *r->references);
    r->held_references = calloc((size_t)d->n_held + 1, sizeof *r->held_references);
    r->step_references = malloc((size_t)r->n_step_sequences * sizeof *r->step_references);
    r->sums = malloc((size_t)r->config.n_sequences * sizeof *r->sums);
    if (!r->references || !r->held_references || !r->step_references || !r->sums)
        return fail_memory(error, "preferences");
    run_say(r, "%lld pairs of answers: asking the model as it is", (long long)d->n_sequences / 2);
    TRY(refer(r, -1, d->n_sequences, r->references, error));
    for (int i = 0; i < d->n_held; i++) {
        r->held_references[i] = malloc((size_t)d->held[i].n_judged * sizeof **r->held_references);
        if (!r->held_references[i]) return fail_memory(error, "preferences");
        TRY(refer(r, i, d->held[i].n_judged, r->held_references[i], error));
    }
    return OK;
}

/* ---- going on ---- */

Checkpoint run_checkpoint(Run *r)
{
    const Vocabulary *v = &r->vocabulary;
    return (Checkpoint){
        .binding = r->binding.data,
        .defaults = r->defaults.data,
        .data = data_digest(&r->data, &r->config),
        .format = corpus_format_digest(&v->catalog.vocab, v->source, v->source_bytes),
        .params = r->params,
        .n_params = r->n_params,
        .step = r->step,
        .tokens = r->tokens,
        .seconds = r->seconds + (double)(clock_us() - r->start_us) * 1e-6,
        .values = r->values,
        .adamw = &r->adamw,
        .curves = &r->curves,
    };
}

static Status go_on(Run *r, Error *error)
{
    bool lost;
    config_binding(&r->config, &r->binding);
    config_defaults(&r->defaults);
    buffer_format(&r->checkpoint, "%s/checkpoint.mixt", r->config.folder);
    if (r->binding.failed || r->defaults.failed || r->checkpoint.failed) return fail_memory(error, "the checkpoint");
    if (r->o.fresh) return OK;
    Checkpoint c = run_checkpoint(r);
    const Status status = checkpoint_read(r->checkpoint.data, &c, &lost, error);
    if (status == NOT_FOUND) return OK;
    TRY(status);
    if (c.step > r->schedule.n_steps)
        return fail(error, BAD_ARGUMENT, "%s: expected at most %lld steps, found %lld", r->checkpoint.data,
                    (long long)r->schedule.n_steps, (long long)c.step);
    r->step = c.step;
    r->tokens = c.tokens;
    r->seconds = c.seconds;
    run_say(r, "%s: goes on after step %lld of %lld", r->checkpoint.data, (long long)r->step,
            (long long)r->schedule.n_steps);
    if (lost) run_say(r, "%s: the held-out files have changed, their curves begin anew", r->checkpoint.data);
    return OK;
}

/* ---- */

static Status open_all(Run *r, Error *error)
{
    const Config *c = &r->config;
    TRY(config_open(r->o.config, r->o.from, &r->config, error));
    if (r->o.output) r->config.output = r->o.output;
    TRY(make_folder(c->folder, error));
    TRY(open_machine(r, error));
    TRY(vocabulary_open(c->vocabulary ? NULL : memory_from(r), c->vocabulary ? c->vocabulary : c->from, c,
                        &r->vocabulary, error));
    TRY(open_data(r, error));
    TRY(list_inputs(r, error));
    TRY(try_outputs(r, error));
    TRY(plan(r, error));
    TRY(open_net(r, error));
    TRY(make_room(r, error));
    TRY(open_references(r, error));
    r->start_us = r->saved_us = clock_us();
    return go_on(r, error);
}

Status run_open(const TrainOptions *o, Run *out, Error *error)
{
    *out = (Run){ .o = *o };
    return open_all(out, error);
}

void run_close(Run *r)
{
    free(r->taken.tokens);
    free(r->taken.targets);
    free(r->taken.starts);
    free(r->taken.numbers);
    for (int i = 0; r->held_references && i < r->data.n_held; i++) free(r->held_references[i]);
    free(r->held_references);
    free(r->references);
    free(r->step_references);
    free(r->sums);
    free(r->only);
    free(r->report.uses);
    free(r->report.entropy);
    free(r->uses);
    free(r->layer_entropy);
    free(r->held);
    free(r->held_row);
    free(r->inputs);
    curves_free(&r->curves);
    adamw_free(&r->adamw);
    net_free(r->net);
    data_free(&r->data);
    vocabulary_free(&r->vocabulary);
    pool_free(r->pool);
    buffer_free(&r->binding);
    buffer_free(&r->defaults);
    buffer_free(&r->checkpoint);
    config_free(&r->config);
    *r = (Run){ 0 };
}
