/* SPDX-License-Identifier: Apache-2.0
 * apps/speak.c - see speak.h. */
#include "speak.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "ledger.h"
#include "progress.h"

/* ---- the sampler ---- */

enum { BIASES_MAX = 1 << 16 };

/* One "ID=X"; *text moves behind it and a comma. */
static bool read_bias(const char **text, int64_t n_vocab, mixt_bias *out)
{
    char *end;
    if (!isdigit((unsigned char)**text)) return false;
    const long long id = strtoll(*text, &end, 10);
    if (id >= n_vocab || *end != '=') return false;
    const char *number = end + 1;
    out->token = (mixt_token)id;
    out->add   = strtof(number, &end);
    if (end == number || !isfinite(out->add) || (*end && *end != ',')) return false;
    *text = end + (*end == ',');
    return true;
}

static Exit read_biases(const Speaker *s, mixt_bias **out, size_t *n)
{
    const Value *value = &s->app->options->values[OPT_LOGIT_BIAS];
    *n   = 0;
    *out = calloc(BIASES_MAX, sizeof **out);
    if (!*out) return complain(s->app, NO_FIT, "out of memory for --logit-bias");
    for (size_t i = 0; i < value->n_texts; i++) {
        for (const char *text = value->texts[i]; *text;) {
            if (*n < BIASES_MAX && read_bias(&text, s->loaded.info.n_vocab, &(*out)[*n])) ++*n;
            else
                return complain(s->app, USAGE,
                                "--logit-bias: expected ID=X with an ID from 0 to %lld, found '%s'",
                                (long long)s->loaded.info.n_vocab - 1, text);
        }
    }
    return DONE;
}

uint64_t draw_seed(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed) seed = (uint64_t)clock_us();
    return seed >> 11;              /* below 2^53: whoever reads the JSON reads it exactly  */
}

mixt_sampler_options sampler_options(const Options *o)
{
    mixt_sampler_options settings = mixt_sampler_defaults();
    settings.temperature       = (float)opt_real(o, OPT_TEMP);
    settings.top_k             = (int)opt_whole(o, OPT_TOP_K);
    settings.top_p             = (float)opt_real(o, OPT_TOP_P);
    settings.min_p             = (float)opt_real(o, OPT_MIN_P);
    settings.typical_p         = (float)opt_real(o, OPT_TYPICAL_P);
    settings.repeat_penalty    = (float)opt_real(o, OPT_REPEAT_PENALTY);
    settings.presence_penalty  = (float)opt_real(o, OPT_PRESENCE_PENALTY);
    settings.frequency_penalty = (float)opt_real(o, OPT_FREQUENCY_PENALTY);
    settings.penalty_last_n    = (int)opt_whole(o, OPT_REPEAT_LAST_N);
    return settings;
}

Exit speaker_sampler(Speaker *s)
{
    const Options       *o        = s->app->options;
    mixt_sampler_options settings = sampler_options(o);
    mixt_sampler        *sampler;
    mixt_bias           *biases;
    mixt_error           error;
    Exit                 code = read_biases(s, &biases, &settings.n_bias);
    settings.bias = biases;
    settings.seed = opt_given(o, OPT_SEED) ? (uint64_t)opt_whole(o, OPT_SEED) : draw_seed();
    if (code == DONE && mixt_sampler_new(s->loaded.model, &settings, &sampler, &error) != MIXT_OK)
        code = problem(s->app, &error, NULL);
    if (code == DONE) {
        mixt_sampler_free(s->sampler);
        s->sampler = sampler;
        s->seed    = settings.seed;
    }
    free(biases);
    return code;
}

/* ---- opening ---- */

/* "auto", "off", or how many tokens at most. */
static Exit read_speculate(const App *app, int *out)
{
    enum { DRAFTS_MAX = 15 };
    const char *text = opt_text(app->options, OPT_SPECULATE);
    char       *end;
    if (strcmp(text, "auto") == 0) return *out = -1, DONE;
    if (strcmp(text, "off") == 0) return *out = 0, DONE;
    const long n = strtol(text, &end, 10);
    if (isdigit((unsigned char)*text) && !*end && n <= DRAFTS_MAX) return *out = (int)n, DONE;
    return complain(app, USAGE, "--speculate: expected auto, off or a number from 0 to %d, found '%s'", DRAFTS_MAX,
                    text);
}

Exit speaker_open(Speaker *s, const char *path)
{
    const Options *o    = s->app->options;
    Exit           code = read_speculate(s->app, &s->speculate);
    if (code == DONE) code = load_model(s->app, path, false, &s->loaded);
    if (code == DONE && !s->loaded.info.tokenizer)
        code = complain(s->app, BAD_DATA, "%s: has no tokenizer; put its tokenizer.model beside it",
                        path);
    if (code == DONE) plan_before(s->app, s->loaded.model, (size_t)opt_whole(o, OPT_CTX), &s->predicted);
    if (code == DONE) code = load_network(s->app, (size_t)opt_whole(o, OPT_CTX), &s->loaded);
    if (code == DONE) code = speaker_sampler(s);
    mixt_error error;
    if (code == DONE && mixt_session_trace(s->loaded.session,
                                           opt_flag(o, OPT_EXPERTS) && s->loaded.info.n_experts > 0,
                                           &error) != MIXT_OK)
        code = problem(s->app, &error, NULL);
    if (code == DONE) code = record_open(s->app, &s->loaded, &s->record);
    return code;
}

void speaker_free(Speaker *s)
{
    mixt_sampler_free(s->sampler);
    load_free(&s->loaded);
    buffer_free(&s->text);
    *s = (Speaker){ .app = s->app };
}

/* ---- a turn ---- */

/* A mixt_text_fn. */
static int on_text(void *user, const char *bytes, size_t n_bytes)
{
    Speaker *s = user;
    if (s->talking && !s->text.n_bytes) {
        while (n_bytes && (*bytes == ' ' || *bytes == '\n')) bytes++, n_bytes--;
    }
    buffer_append(&s->text, bytes, n_bytes);
    if (!s->quiet) {
        out_bytes(bytes, n_bytes);
        out_flush();
    }
    return interrupt_pending() || out_failed();
}

/* A --ctx that is enough, or the bad news that the model never saw so much.  A conversation can go
 * on at once: without its past. */
static void advise_room(const Speaker *s, size_t n_tokens, char *out, size_t room)
{
    const size_t trained = (size_t)s->loaded.info.n_context;
    size_t       enough  = mixt_session_n_context(s->loaded.session);
    while (enough <= n_tokens) enough *= 2;
    if (enough > trained) enough = trained;
    const int n = s->talking ? snprintf(out, room, "/clear begins anew; ") : 0;
    if (enough > n_tokens) snprintf(out + n, room - (size_t)n, "try --ctx %zu", enough);
    else snprintf(out + n, room - (size_t)n, "the model was trained for %zu", trained);
}

static Exit no_room(const Speaker *s, size_t n_tokens)
{
    char advice[80];
    advise_room(s, n_tokens, advice, sizeof advice);
    return complain(s->app, FAILED_OTHER, "the prompt has %zu tokens, the context room for %zu; %s",
                    n_tokens, mixt_session_n_context(s->loaded.session), advice);
}

static Exit read_prompt(Speaker *s, const Ids *prompt)
{
    mixt_error    error;
    const int64_t start = clock_us();
    s->before           = mixt_engine_read(s->loaded.engine);
    s->n_prompt         = prompt->n;
    s->generated        = (mixt_generated){ 0 };
    buffer_clear(&s->text);
    if (prompt->n == 0)
        return complain(s->app, USAGE,
                        "the prompt is empty, and the model has no token to begin with");
    if (prompt->n > mixt_session_n_context(s->loaded.session)) return no_room(s, prompt->n);
    const mixt_status status = load_read(&s->loaded, prompt->ids, prompt->n, &s->n_reused, &error);
    s->prompt_us             = clock_us() - start;
    return status == MIXT_OK ? DONE : problem(s->app, &error, NULL);
}

static Exit write_answer(Speaker *s)
{
    const Options        *o        = s->app->options;
    mixt_generate_options settings = mixt_generate_defaults();
    mixt_error            error;
    settings.speculate    = s->speculate;
    settings.n_tokens_max = (size_t)opt_whole(o, OPT_TOKENS);
    settings.stops        = o->values[OPT_STOP].texts;
    settings.n_stops      = o->values[OPT_STOP].n_texts;
    settings.ignore_end   = opt_flag(o, OPT_IGNORE_END);
    settings.on_text      = on_text;
    settings.user         = s;
    const mixt_status status =
        mixt_generate(s->loaded.session, s->sampler, &settings, &s->generated, &error);
    if (!s->quiet) out_text("\n");
    out_flush();
    if (interrupt_pending()) return INTERRUPTED;
    return status == MIXT_OK ? DONE : problem(s->app, &error, NULL);
}

/* The answer may have ended because there was no more room: then say so, with both numbers. */
static void remark_room(const Speaker *s)
{
    const size_t n_context = mixt_session_n_context(s->loaded.session),
                 asked = (size_t)opt_whole(s->app->options, OPT_TOKENS);
    const size_t n_held    = mixt_session_n_tokens(s->loaded.session);
    const bool cut =
        s->generated.finish == MIXT_FINISH_LENGTH && (asked == 0 || s->generated.n_tokens < asked);
    char         advice[80];
    advise_room(s, n_context, advice, sizeof advice);
    if (cut)
        remark(s->app, "the context is full, %zu of %zu tokens; %s", n_held, n_context, advice);
}

Exit speaker_turn(Speaker *s, const Ids *prompt)
{
    Exit code = read_prompt(s, prompt);
    if (code == DONE) code = write_answer(s);
    mixt_error error;
    if ((code == DONE || code == INTERRUPTED) &&
        record_turn(&s->record, &s->loaded, s->n_reused, s->n_prompt, &error) != MIXT_OK)
        code = problem(s->app, &error, NULL);
    if (code == DONE) remark_room(s);
    return code;
}

/* ---- reports ---- */

/* What a reader feels: the time from one token to the next, not its mean. */
static void report_stutter(const mixt_generated *g)
{
    if (g->n_tokens < 2) return;
    fprintf(stderr, "pace                   half of the tokens within %.1f ms, 95 %% %.1f, 99 %% %.1f, all %.1f\n",
            (double)g->p50_us * 1e-3, (double)g->p95_us * 1e-3, (double)g->p99_us * 1e-3, (double)g->us_max * 1e-3);
    if (g->n_drafted)
        fprintf(stderr, "guesses                %zu of %zu right; %zu steps\n", g->n_accepted, g->n_drafted,
                g->n_steps);
}

static void report_timings(const Speaker *s)
{
    const mixt_engine_stats now = mixt_engine_read(s->loaded.engine);
    char resident[AMOUNT_MAX], read[AMOUNT_MAX];
    fprintf(stderr, "load     %8.2f s    %s in memory; %s, %s, %d thread%s, experts in %s\n",
            (double)now.load_us * 1e-6, amount_bytes((double)now.resident_bytes, resident),
            now.device, now.cpu_set ? now.cpu_set : "-", now.n_threads,
            now.n_threads == 1 ? "" : "s", now.store ? now.store : "-");
    fprintf(stderr, "prompt   %8.2f s    %zu tokens, %zu of them known; %.1f tokens/s\n",
            (double)s->prompt_us * 1e-6, s->n_prompt, s->n_reused,
            per_second(s->n_prompt - s->n_reused, s->prompt_us));
    fprintf(stderr, "answer   %8.2f s    %zu tokens; %.1f tokens/s; seed %llu\n",
            (double)s->generated.us * 1e-6, s->generated.n_tokens,
            per_second(s->generated.n_tokens, s->generated.us), (unsigned long long)s->seed);
    report_stutter(&s->generated);
    ledger_show(&now);
    const int64_t pins = now.expert_pins - s->before.expert_pins,
                  hits = now.expert_hits - s->before.expert_hits;
    if (pins > 0)
        fprintf(stderr, "experts  %8.2f s    waited; %lld asked for, %.1f %% there, %s read\n",
                (double)(now.expert_wait_us - s->before.expert_wait_us) * 1e-6, (long long)pins,
                100 * (double)hits / (double)pins,
                amount_bytes((double)(now.expert_read_bytes - s->before.expert_read_bytes), read));
    const Done done = { s->n_prompt - s->n_reused, s->generated.n_tokens, s->prompt_us, s->generated.us };
    plan_after(&s->predicted, s->loaded.model, &done);
}

/* The passes that wrote the answer: the one over the last token of the prompt wrote its first word.
 */
static Fired fired_of(const Speaker *s)
{
    const size_t n_held = mixt_session_n_tokens(s->loaded.session);
    const size_t first  = s->n_prompt ? s->n_prompt - 1 : 0, end = first + s->generated.n_tokens;
    return (Fired){ .loaded = &s->loaded, .first = first, .end = end < n_held ? end : n_held };
}

void speaker_report(const Speaker *s)
{
    const Options *o      = s->app->options;
    const char    *detail = opt_text(o, OPT_EXPERTS);
    const Fired    fired  = fired_of(s);
    if (opt_flag(o, OPT_EXPERTS) && s->loaded.info.n_experts <= 0) {
        remark(s->app, "the model is dense: it has no experts to show");
    } else if (opt_flag(o, OPT_EXPERTS) && fired.first < fired.end) {
        if (detail && *detail) experts_list(&fired);
        experts_draw(s->app, &fired);
    }
    if (opt_flag(o, OPT_VERBOSE)) report_timings(s);
}

static const char *finish_name(const Speaker *s)
{
    switch (s->generated.finish) {
    case MIXT_FINISH_LENGTH: return "length";
    case MIXT_FINISH_END:    return "end";
    case MIXT_FINISH_STOP:   return "stop";
    case MIXT_FINISH_CALLER: break;
    }
    return "interrupted";
}

Exit speaker_json(const Speaker *s, Exit code)
{
    const Options          *o     = s->app->options;
    const mixt_engine_stats now   = mixt_engine_read(s->loaded.engine);
    const Fired             fired = fired_of(s);
    Json                    json  = { 0 };
    json_open(&json, '{');
    json_key_text(&json, "model", s->loaded.info.path);
    json_key(&json, "text");
    json_text(&json, s->text.data ? s->text.data : "", s->text.n_bytes);
    json_key_text(&json, "finish", code == INTERRUPTED ? "interrupted" : finish_name(s));
    json_key_whole(&json, "prompt_tokens", (int64_t)s->n_prompt);
    json_key_whole(&json, "answer_tokens", (int64_t)s->generated.n_tokens);
    json_key_whole(&json, "context", (int64_t)mixt_session_n_context(s->loaded.session));
    json_key_whole(&json, "seed", (int64_t)s->seed);
    json_key(&json, "timings");
    json_open(&json, '{');
    json_key_whole(&json, "load_us", now.load_us);
    json_key_whole(&json, "prompt_us", s->prompt_us);
    json_key_real(&json, "prompt_per_second", per_second(s->n_prompt - s->n_reused, s->prompt_us));
    json_key_whole(&json, "answer_us", s->generated.us);
    json_key_real(&json, "answer_per_second", per_second(s->generated.n_tokens, s->generated.us));
    json_key_whole(&json, "token_p50_us", s->generated.p50_us);
    json_key_whole(&json, "token_p95_us", s->generated.p95_us);
    json_key_whole(&json, "token_p99_us", s->generated.p99_us);
    json_key_whole(&json, "token_us_max", s->generated.us_max);
    json_key_whole(&json, "steps", (int64_t)s->generated.n_steps);
    json_key_whole(&json, "guessed", (int64_t)s->generated.n_drafted);
    json_key_whole(&json, "guessed_right", (int64_t)s->generated.n_accepted);
    json_key_whole(&json, "expert_pins", now.expert_pins);
    json_key_whole(&json, "expert_hits", now.expert_hits);
    json_key_whole(&json, "expert_read_bytes", now.expert_read_bytes);
    json_key_whole(&json, "expert_wait_us", now.expert_wait_us);
    json_close(&json, '}');
    ledger_json(&now, &json);
    if (opt_flag(o, OPT_EXPERTS) && s->loaded.info.n_experts > 0)
        experts_json(&fired, *opt_text(o, OPT_EXPERTS) != 0, &json);
    json_close(&json, '}');
    const Exit printed = json_print(s->app, &json);
    return code != DONE ? code : printed;
}
