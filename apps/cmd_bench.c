/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_bench.c - how fast a model reads and writes, at which depth, and what of the machine
 * that takes.
 *
 * One sweep over the depths.  At each, the session is filled up to it untimed, then every test is
 * run once and all are run again as often as asked: what disturbs for a second falls on all of
 * them.  After a test the session is cut back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/pool.h"
#include "bench.h"
#include "machine_file.h"
#include "progress.h"

/* ---- what was asked ---- */

static int by_size(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* "0,512,2K": strictly numbers, ascending afterwards, each once. */
static Exit read_list(const App *app, OptionId id, size_t min, size_t max, List *out)
{
    const Option *row  = &options[id];
    const char   *text = opt_text(app->options, id);
    const Option  one  = { .kind = SIZE, .min = (double)min, .max = (double)max, .meta = "N" };
    char          word[32], where[48];
    Error         error;
    snprintf(where, sizeof where, "--%s", row->name);
    for (const char *at = text;; at++) {
        const size_t n = strcspn(at, ",");
        Value        value = { 0 };
        snprintf(word, sizeof word, "%.*s", (int)(n < sizeof word ? n : sizeof word - 1), at);
        if (option_set(&one, where, word, &value, &error) != OK) return base_problem(app, &error);
        bool known = false;
        for (size_t i = 0; i < out->n; i++) known = known || out->at[i] == (size_t)value.whole;
        if (!known && out->n == LIST_MAX)
            return complain(app, USAGE, "%s: expected at most %d numbers, found more", where,
                            LIST_MAX);
        if (!known) out->at[out->n++] = (size_t)value.whole;
        at += n;
        if (!*at) break;
    }
    qsort(out->at, out->n, sizeof out->at[0], by_size);
    return DONE;
}

static size_t largest(const List *list)
{
    return list->n ? list->at[list->n - 1] : 0;         /* ascending */
}

/* A single 0 means: none of these. */
static void drop_zero(List *list)
{
    if (list->n == 0 || list->at[0] != 0) return;
    list->n--;
    memmove(list->at, list->at + 1, list->n * sizeof list->at[0]);
}

/* Defaults shrink to what the model was made for; what somebody asked for does not. */
static Exit fit_context(Bench *b)
{
    const App   *app  = b->app;
    const size_t most = (size_t)b->loaded.info.n_context;
    for (size_t i = 0; i < b->prompts.n && !opt_given(app->options, OPT_PROMPTS); i++)
        if (b->prompts.at[i] > most) b->prompts.at[i] = most;
    for (size_t i = 0; i < b->written.n && !opt_given(app->options, OPT_WRITTEN); i++)
        if (b->written.at[i] > most) b->written.at[i] = most;
    const size_t longest =
        largest(&b->prompts) > largest(&b->written) ? largest(&b->prompts) : largest(&b->written);
    while (b->depths.n > 1 && largest(&b->depths) + longest > most &&
           !opt_given(app->options, OPT_AT))
        b->depths.n--;
    b->n_context = largest(&b->depths) + longest;
    if (b->n_context > most)
        return complain(
            app, USAGE,
            "%zu tokens after %zu: expected at most %zu together, as the model was made for",
            longest, largest(&b->depths), most);
    return DONE;
}

static Exit read_wishes(Bench *b)
{
    enum { TOKENS_MAX = 1 << 20, DEPTH_MAX = 1 << 26 };
    const App *app  = b->app;
    Exit       code = read_list(app, OPT_PROMPTS, 0, TOKENS_MAX, &b->prompts);
    if (code == DONE) code = read_list(app, OPT_WRITTEN, 0, TOKENS_MAX, &b->written);
    if (code == DONE) code = read_list(app, OPT_AT, 0, DEPTH_MAX, &b->depths);
    if (code == DONE) code = read_list(app, OPT_ROWS, 1, ROWS_MAX, &b->rows);
    if (code != DONE) return code;
    drop_zero(&b->prompts);
    drop_zero(&b->written);
    b->n_repeat = (size_t)opt_whole(app->options, OPT_REPEAT);
    if (b->prompts.n + b->written.n == 0)
        return complain(app, USAGE, "nothing to measure: --prompts and --tokens are both 0");
    return DONE;
}

/* ---- tests ---- */

static bool add_test(Bench *b, Test test)
{
    test.seconds = calloc(b->n_repeat, sizeof *test.seconds);
    if (!test.prompt) test.step_seconds = calloc(b->n_repeat * test.n, sizeof *test.step_seconds);
    b->tests[b->n_tests++] = test;
    return test.seconds && (test.prompt || test.step_seconds);
}

static Exit list_tests(Bench *b)
{
    const size_t each = b->prompts.n + b->written.n * b->rows.n;
    bool         all  = (b->tests = calloc(each * b->depths.n, sizeof *b->tests)) != NULL;
    for (size_t d = 0; d < b->depths.n && all; d++) {
        const size_t depth = b->depths.at[d];
        for (size_t i = 0; i < b->prompts.n && all; i++)
            all = add_test(
                b, (Test){ .prompt = true, .n = b->prompts.at[i], .depth = depth, .rows = 1 });
        for (size_t r = 0; r < b->rows.n && all; r++)
            for (size_t i = 0; i < b->written.n && all; i++)
                all = add_test(
                    b, (Test){ .n = b->written.at[i], .depth = depth, .rows = b->rows.at[r] });
    }
    return all ? DONE : complain(b->app, NO_FIT, "out of memory for %zu tests", each * b->depths.n);
}

/* Token i of sequence s: scattered over the vocabulary so that a router sees different rows, the
 * same in every run. The first few hundred ids are bytes and marks in most vocabularies, and rare
 * in texts. */
static mixt_token token_at(const Bench *b, size_t s, size_t i)
{
    const uint64_t n_vocab = (uint64_t)b->loaded.info.n_vocab, first = n_vocab > 600 ? 300 : 0;
    const uint64_t scattered =
        ((uint64_t)(s * 7919 + i) * 2654435761u + 12345) % ((uint64_t)1 << 32);
    return (mixt_token)(first + (scattered * (n_vocab - first) >> 32));
}

/* ---- what a step reads ---- */

static double class_bytes(const Bench *b, const char *name)
{
    size_t                   n;
    const mixt_weight_class *classes = mixt_model_classes(b->loaded.model, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(classes[i].name, name) == 0) return (double)classes[i].n_bytes;
    return 0;
}

/* Everything but the experts, once; of the embedding one row for each token, all of it where it
 * serves as output. */
static double dense_bytes(const Bench *b, size_t rows)
{
    const double embedding = class_bytes(b, "embedding"), output = class_bytes(b, "output");
    return class_bytes(b, "attention") + class_bytes(b, "router") + class_bytes(b, "norms") +
           (output > 0 ? output : embedding) +
           embedding / (double)b->loaded.info.n_vocab * (double)rows;
}

/* Different experts that the rows of one step chose in a layer: read once, however many rows they
 * serve. */
static size_t different_experts(const Bench *b, const Test *t, size_t token, int64_t layer)
{
    const size_t  n_used = (size_t)b->loaded.info.n_used;
    const int32_t *chosen[ROWS_MAX];
    size_t        n = 0;
    for (size_t s = 0; s < t->rows; s++) {
        const int32_t *of_token = mixt_session_experts(b->sessions[s], token);
        chosen[s] = of_token ? of_token + (size_t)layer * n_used : NULL;
        for (size_t j = 0; j < n_used && chosen[s]; j++) {
            bool seen = false;
            for (size_t before = 0; before < s && !seen; before++)
                for (size_t k = 0; k < n_used; k++)
                    seen = seen || (chosen[before] && chosen[before][k] == chosen[s][j]);
            n += !seen;
        }
    }
    return n;
}

/* After a repetition of writing: what each of its steps read, from the experts that fired. */
static void count_bytes(const Bench *b, Test *t)
{
    const mixt_model_info *m     = &b->loaded.info;
    const double           steps = (double)(t->n * b->n_repeat);
    const char            *kv    = opt_text(b->app->options, OPT_KV);
    const double kv_token = (double)m->kv_bytes_per_token * (strcmp(kv, "f32") == 0    ? 2.0
                                                             : strcmp(kv, "q8_0") == 0 ? 34.0 / 64.0
                                                                                       : 1.0);
    for (size_t i = 0; i < t->n; i++) {
        double seen = (double)(t->depth + i + 1), experts = 0, bytes = 0;
        if (m->window > 0 && seen > (double)m->window) seen = (double)m->window;
        for (int64_t layer = 0; layer < m->n_layers; layer++) {
            const size_t n = m->n_experts ? different_experts(b, t, t->depth + i, layer) : 1;
            experts += (double)n / (double)m->n_layers;
            bytes += (double)n * (double)mixt_model_expert_bytes(b->loaded.model, (size_t)layer);
        }
        t->experts += experts / steps;
        t->weight_bytes += (bytes + dense_bytes(b, t->rows)) / steps;
        t->kv_bytes += seen * kv_token * (double)t->rows / steps;
    }
}

/* Products with weights, and of attention: 2 operations per multiply-accumulate.  Of a prompt only the last token goes
 * through the experts of the last layer, and the output. */
static double count_operations(const Bench *b, const Test *t)
{
    const mixt_model_info   *m = &b->loaded.info;
    size_t                   n;
    const mixt_weight_class *classes = mixt_model_classes(b->loaded.model, &n);
    double each = 0, attention = 0, output = 0, embedding = 0, pairs = 0;
    for (size_t i = 0; i < n; i++) {
        const double values = (double)classes[i].n_values_active;
        if (strcmp(classes[i].name, "output") == 0) output = values;
        else if (strcmp(classes[i].name, "embedding") == 0) embedding = values;
        else if (strcmp(classes[i].name, "attention") == 0) attention = values;
        else if (strcmp(classes[i].name, "norms") != 0) each += values;
    }
    if (output == 0) output = embedding;
    for (size_t i = 0; i < t->n; i++) {
        const double seen = (double)(t->depth + i + 1);
        pairs += m->window > 0 && seen > (double)m->window ? (double)m->window : seen;
    }
    const double tokens = (double)t->n, layers = (double)m->n_layers, last = t->prompt ? 1 : tokens;
    return (2 * attention * tokens + 2 * each * (tokens * (layers - 1) + last) / layers + 2 * output * last +
            4 * pairs * (double)(m->n_heads * m->head_size * m->n_layers)) * (double)t->rows;
}

/* ---- running ---- */

/* Sequence s holds exactly its first n tokens. */
static mixt_status hold(const Bench *b, size_t s, size_t n, mixt_error *error)
{
    mixt_token *tokens = malloc((n + 1) * sizeof *tokens);
    if (!tokens) {
        *error = (mixt_error){ MIXT_NO_MEMORY, "out of memory for tokens" };
        return MIXT_NO_MEMORY;
    }
    for (size_t i = 0; i < n; i++) tokens[i] = token_at(b, s, i);
    const mixt_status status = mixt_session_sync(b->sessions[s], tokens, n, error);
    free(tokens);
    return status;
}

/* Of steps: their bytes depend on them.  A prompt whose experts are watched needs those of its last layer for all
 * tokens. */
static mixt_status watch_experts(const Bench *b, const Test *t, mixt_error *error)
{
    const bool  steps_of_experts = !t->prompt && b->loaded.info.n_experts > 0;
    mixt_status status = MIXT_OK;
    for (size_t s = 0; s < t->rows && status == MIXT_OK; s++)
        status = mixt_session_trace(b->sessions[s], steps_of_experts, error);
    return status;
}

static double seconds_since(int64_t start_ns)
{
    return (double)(clock_ns() - start_ns) * 1e-9;
}

static mixt_status run_prompt(const Bench *b, const Test *t, size_t repeat, mixt_error *error)
{
    mixt_token *tokens = malloc((t->depth + t->n) * sizeof *tokens);
    if (!tokens) {
        *error = (mixt_error){ MIXT_NO_MEMORY, "out of memory for tokens" };
        return MIXT_NO_MEMORY;
    }
    for (size_t i = 0; i < t->depth + t->n; i++) tokens[i] = token_at(b, 0, i);
    const int64_t     start_ns = clock_ns();
    const mixt_status status   = mixt_session_sync(b->sessions[0], tokens, t->depth + t->n, error);
    t->seconds[repeat] = seconds_since(start_ns);
    free(tokens);
    return status;
}

static mixt_status run_steps(const Bench *b, const Test *t, size_t repeat, mixt_error *error)
{
    mixt_token  next[ROWS_MAX];
    mixt_status status = MIXT_OK;
    for (size_t i = 0; i < t->n && status == MIXT_OK; i++) {
        for (size_t s = 0; s < t->rows; s++) next[s] = token_at(b, s, t->depth + i);
        const int64_t start_ns = clock_ns();
        status = mixt_engine_step(b->loaded.engine, b->sessions, next, t->rows, NULL, error);
        t->step_seconds[repeat * t->n + i] = seconds_since(start_ns);
        t->seconds[repeat] += t->step_seconds[repeat * t->n + i];
    }
    return status;
}

static mixt_status add_profile(const Bench *b, Test *t, mixt_error *error)
{
    mixt_profile_row rows[PROFILE_MAX];
    size_t           n;
    const mixt_status status =
        mixt_engine_profile(b->loaded.engine, true, rows, PROFILE_MAX, &n, error);
    if (status != MIXT_OK || !t) return status;
    for (size_t i = 0; i < n; i++) {
        size_t to = 0;
        while (to < t->n_profile && strcmp(t->profile[to].name, rows[i].name) != 0) to++;
        if (to == PROFILE_MAX) continue;
        if (to == t->n_profile)
            t->profile[t->n_profile++] = (mixt_profile_row){ .name = rows[i].name };
        t->profile[to].n_calls += rows[i].n_calls;
        t->profile[to].ns += rows[i].ns;
        t->profile[to].bytes += rows[i].bytes;
        t->profile[to].operations += rows[i].operations;
    }
    return MIXT_OK;
}

static mixt_status run_once(const Bench *b, Test *t, size_t repeat, mixt_error *error)
{
    mixt_status status = MIXT_OK;
    for (size_t s = 0; s < t->rows && status == MIXT_OK; s++) status = hold(b, s, t->depth, error);
    if (status == MIXT_OK) status = watch_experts(b, t, error);
    if (status == MIXT_OK) status = add_profile(b, NULL, error); /* forget what came before */
    if (status != MIXT_OK) return status;
    const int64_t read_bytes = mixt_engine_read(b->loaded.engine).expert_read_bytes;
    status = t->prompt ? run_prompt(b, t, repeat, error) : run_steps(b, t, repeat, error);
    if (status != MIXT_OK) return status;
    t->disk_bytes += mixt_engine_read(b->loaded.engine).expert_read_bytes - read_bytes;
    if (!t->prompt) count_bytes(b, t);
    t->operations = count_operations(b, t);
    return add_profile(b, t, error);
}

/* Work in tokens, for the bar: one that is written takes as long as a few that are read. */
static int64_t cost(const Test *t)
{
    enum { WRITTEN_COSTS = 4 };
    return (int64_t)(t->prompt ? t->n : WRITTEN_COSTS * t->n);
}

static mixt_status sweep(Bench *b, mixt_error *error)
{
    int64_t done = 0, total = (int64_t)largest(&b->depths);
    for (size_t i = 0; i < b->n_tests; i++) total += cost(&b->tests[i]) * (int64_t)b->n_repeat;
    Progress    progress = progress_begin("measuring", false);
    mixt_status status =
        hold(b, 0, b->n_context < 16 ? b->n_context : 16, error); /* first touches */
    for (size_t first = 0, last; first < b->n_tests && status == MIXT_OK; first = last) {
        const size_t depth = b->tests[first].depth;
        for (last = first; last < b->n_tests && b->tests[last].depth == depth;) last++;
        status = hold(b, 0, depth, error);
        for (size_t repeat = 0; repeat < b->n_repeat; repeat++)
            for (size_t i = first; i < last && status == MIXT_OK; i++) {
                progress_show(&progress, done + (int64_t)depth, total);
                status = run_once(b, &b->tests[i], repeat, error);
                done += cost(&b->tests[i]);
            }
    }
    progress_end(&progress);
    return status;
}

/* ---- the limits ---- */

static Exit measure_once(const Bench *b, mixt_machine *out)
{
    const App           *app      = b->app;
    mixt_measure_options o        = mixt_measure_defaults();
    Progress             progress = progress_begin("measuring the machine", false);
    mixt_error           error;
    o.quick = true;
    o.n_threads = b->n_threads;
    o.cpu_set = opt_text(app->options, OPT_CPU);
    o.progress = progress_show;
    o.progress_user = &progress;
    const mixt_status status = mixt_measure(&o, out, &error);
    progress_end(&progress);
    return status == MIXT_OK ? DONE : problem(app, &error, NULL);
}

static Exit measure_limits(Bench *b)
{
    if (opt_flag(b->app->options, OPT_STORED) && machine_stored(b->app, &b->machine)) {
        b->stored = limit_read(b) > 0 && limit_peak(b) > 0;
        if (b->stored) return DONE;
        remark(b->app, "mixt doctor has not measured with %d thread%s; measuring anew",
               b->n_threads, b->n_threads == 1 ? "" : "s");
    }
    return measure_once(b, &b->machine);
}

static void keep_larger(mixt_rate *rate, const mixt_rate *again)
{
    if (again->per_s > rate->per_s) *rate = *again;
}

/* Once more at the end: a neighbour who was busy at the start would make the limit too low and
 * every share too large. */
static Exit measure_limits_again(Bench *b)
{
    mixt_machine again;
    if (b->stored) return DONE;
    const Exit code = measure_once(b, &again);
    if (code != DONE) return code;
    keep_larger(&b->machine.read[0], &again.read[0]);
    keep_larger(&b->machine.int8[0], &again.int8[0]);
    keep_larger(&b->machine.f32[0], &again.f32[0]);
    return DONE;
}

static int64_t resident_peak_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) ? 0 : (int64_t)usage.ru_maxrss * 1024;
}

static Exit open_sessions(Bench *b)
{
    const size_t n = largest(&b->rows);
    mixt_error   error;
    b->sessions = calloc(n, sizeof *b->sessions);
    if (!b->sessions) return complain(b->app, NO_FIT, "out of memory for %zu sessions", n);
    b->sessions[b->n_sessions++] = b->loaded.session;
    mixt_status status = MIXT_OK;
    for (; b->n_sessions < n && status == MIXT_OK; b->n_sessions += status == MIXT_OK)
        status =
            mixt_session_new(b->loaded.engine, b->n_context, &b->sessions[b->n_sessions], &error);
    return status == MIXT_OK ? DONE
                             : problem(b->app, &error, "try fewer --rows or smaller depths --at");
}

static void bench_free(Bench *b)
{
    for (size_t i = 0; i < b->n_tests; i++) {
        free(b->tests[i].seconds);
        free(b->tests[i].step_seconds);
    }
    for (size_t s = 1; s < b->n_sessions; s++) mixt_session_free(b->sessions[s]);
    free(b->tests);
    free(b->sessions);
    load_free(&b->loaded);
}

Exit cmd_bench(const App *app)
{
    const int  wanted = (int)opt_whole(app->options, OPT_THREADS);
    Bench      b = { .app = app, .n_threads = wanted ? wanted : pool_cores() };
    mixt_error error;
    Exit       code = read_wishes(&b);
    if (code == DONE) code = load_model(app, app->options->arguments[0], false, &b.loaded);
    if (code == DONE) code = fit_context(&b);
    if (code == DONE) code = list_tests(&b);
    /* Before loading, so that the largest resident size is the model's and not that of a buffer to
     * read. */
    if (code == DONE) code = measure_limits(&b);
    if (code == DONE) code = load_network(app, b.n_context, &b.loaded);
    if (code == DONE) code = open_sessions(&b);
    if (code == DONE && sweep(&b, &error) != MIXT_OK) code = problem(app, &error, NULL);
    b.resident_peak_bytes = resident_peak_bytes();
    if (code == DONE) code = measure_limits_again(&b);
    if (code == DONE) code = opt_flag(app->options, OPT_JSON) ? bench_json(&b) : bench_table(&b);
    bench_free(&b);
    return code;
}
