/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_replay.c - which policy would have had the experts in memory, over recorded routing. */
#include <mixt_tools.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "load.h"
#include "output.h"
#include "progress.h"
#include "use_file.h"

/* ---- the trace ---- */

static Exit invent(const App *app, mixt_trace **out)
{
    const Options *o   = app->options;
    mixt_invention how = mixt_invention_defaults();
    mixt_error     error;
    how.n_layers    = opt_whole(o, OPT_TRACE_LAYERS);
    how.n_experts   = opt_whole(o, OPT_TRACE_EXPERTS);
    how.n_used      = opt_whole(o, OPT_TRACE_USED);
    how.n_steps     = opt_whole(o, OPT_STEPS);
    how.skew        = opt_real(o, OPT_TRACE_SKEW);
    how.burst_steps = opt_whole(o, OPT_BURST);
    how.seed        = (uint64_t)opt_whole(o, OPT_TRACE_SEED);
    return mixt_trace_invent(&how, out, &error) == MIXT_OK ? DONE : problem(app, &error, NULL);
}

static Exit read_traces(const App *app, mixt_trace **out)
{
    mixt_error error;
    for (int i = 0; i < app->options->n_arguments; i++) {
        mixt_trace *trace;
        if (mixt_trace_open(app->options->arguments[i], &trace, &error) != MIXT_OK) return problem(app, &error, NULL);
        if (!*out) {
            *out = trace;
            continue;
        }
        const mixt_status joined = mixt_trace_join(*out, trace, &error);
        mixt_trace_free(trace);
        if (joined != MIXT_OK) return problem(app, &error, NULL);
    }
    return DONE;
}

static Exit take_trace(const App *app, mixt_trace **out)
{
    const bool invented = opt_flag(app->options, OPT_INVENT);
    *out = NULL;
    if (invented == (app->options->n_arguments > 0))
        return complain(app, USAGE, "expected a TRACE, or --invent");
    return invented ? invent(app, out) : read_traces(app, out);
}

/* ---- the table ---- */

/* The eighth of a cell that is full, for terminals that can draw it. */
static const char *bar(double share)
{
    static const char *const eighths[] = { "\u2581", "\u2582", "\u2583", "\u2584",
                                           "\u2585", "\u2586", "\u2587", "\u2588" };
    const int i = (int)(share * 8);
    return eighths[i < 0 ? 0 : i > 7 ? 7 : i];
}

static void show_line(const mixt_replay_row *row, bool chosen, bool bars)
{
    out_format("%c %-8s", chosen ? '*' : ' ', row->policy);
    for (int b = 0; b < MIXT_REPLAY_BUDGETS; b++)
        out_format("%s%s%5.1f", b ? " " : "", bars ? bar(row->second[b]) : "", 100 * row->second[b]);
    out_text("\n");
}

/* Mean over the budgets: one number to compare by. */
static double mean(const double shares[MIXT_REPLAY_BUDGETS])
{
    double sum = 0;
    for (int b = 0; b < MIXT_REPLAY_BUDGETS; b++) sum += shares[b];
    return sum / MIXT_REPLAY_BUDGETS;
}

/* One unit for the line: that of its largest number. */
static void show_bytes(const char *label, const double bytes[MIXT_REPLAY_BUDGETS], const char *of, bool bars)
{
    double most = 0;
    for (int b = 0; b < MIXT_REPLAY_BUDGETS; b++) most = bytes[b] > most ? bytes[b] : most;
    const bool giga = most >= 1e9;
    out_format("  %-8s", label);
    for (int b = 0; b < MIXT_REPLAY_BUDGETS; b++)
        out_format("%s%*.1f", b ? " " : "", bars ? 7 : 5, bytes[b] / (giga ? 1e9 : 1e6));
    out_format("  %s%s\n", giga ? "GB" : "MB", of);
}

static void show_room(const mixt_replay *r, double each, bool bars)
{
    double bytes[MIXT_REPLAY_BUDGETS];
    for (int b = 0; b < MIXT_REPLAY_BUDGETS; b++) bytes[b] = (double)r->room[b] * each;
    show_bytes("room", bytes, "", bars);
}

static void show_misses(const mixt_replay *r, double each, bool bars)
{
    double        bytes[MIXT_REPLAY_BUDGETS];
    const double *hits = r->rows[r->chosen].second;
    for (int b = 0; b < MIXT_REPLAY_BUDGETS; b++) bytes[b] = (1 - hits[b]) * r->asked_per_row * each;
    show_bytes("read", bytes, " for a row", bars);
}

static const mixt_replay_row *row_of(const mixt_replay *r, const char *policy)
{
    for (int i = 0; i < r->n_rows; i++)
        if (strcmp(r->rows[i].policy, policy) == 0) return &r->rows[i];
    return NULL;
}

static void show_verdict(const mixt_replay *r)
{
    const mixt_replay_row *chosen = &r->rows[r->chosen], *oracle = &r->rows[r->n_rows - 1], *lru = row_of(r, "lru");
    const double           here = 100 * mean(chosen->second);
    out_format("\n* %s: %s.\n", chosen->policy, chosen->what);
    out_format("  Chosen on the first half, judged on the second: %.1f %% in memory, the mean of the budgets;\n  ",
               here);
    if (lru && lru != chosen) out_format("%.1f points more than lru, ", here - 100 * mean(lru->second));
    out_format("%.1f below the oracle, which knows the future.\n", 100 * mean(oracle->second) - here);
}

static void show(const mixt_trace *trace, const mixt_replay *r)
{
    const mixt_trace_info info = mixt_trace_read(trace);
    const bool            bars = term_utf8();
    const double          each = (double)info.expert_bytes;
    Buffer                name = { 0 };
    buffer_json(&name, info.model, strlen(info.model));     /* a file's word: no escapes to the terminal */
    out_format("%s, %" PRId64 " layers of %" PRId64 " experts, %" PRId64 " used for a row; %" PRId64
               " rows in %" PRId64 " steps\n",
               name.data ? name.data : "", info.n_layers, info.n_experts, info.n_used, info.n_rows, info.n_steps);
    buffer_free(&name);
    out_text("Per cent of the experts asked for that lay in memory, with room for\n\n  of all  ");
    for (int b = 0; b < MIXT_REPLAY_BUDGETS; b++) out_format("%s%*d%%", b ? " " : "", bars ? 6 : 4, 10 * (b + 1));
    out_text("\n");
    if (info.expert_bytes) show_room(r, each, bars);
    for (int i = 0; i < r->n_rows; i++) show_line(&r->rows[i], i == r->chosen, bars);
    if (info.expert_bytes) show_misses(r, each, bars);
    show_verdict(r);
}

/* ---- JSON ---- */

static void json_shares(Json *json, const char *key, const double shares[MIXT_REPLAY_BUDGETS])
{
    json_key(json, key);
    json_open(json, '[');
    for (int b = 0; b < MIXT_REPLAY_BUDGETS; b++) json_real(json, shares[b]);
    json_close(json, ']');
}

static Exit show_json(const App *app, const mixt_trace *trace, const mixt_replay *r)
{
    const mixt_trace_info info = mixt_trace_read(trace);
    Json                  json = { 0 };
    json_open(&json, '{');
    json_key_text(&json, "model", info.model);
    json_key_whole(&json, "layers", info.n_layers);
    json_key_whole(&json, "experts", info.n_experts);
    json_key_whole(&json, "used", info.n_used);
    json_key_whole(&json, "expert_bytes", info.expert_bytes);
    json_key_whole(&json, "steps", info.n_steps);
    json_key_whole(&json, "rows", info.n_rows);
    json_key_real(&json, "asked_per_row", r->asked_per_row);
    json_key(&json, "room");
    json_open(&json, '[');
    for (int b = 0; b < MIXT_REPLAY_BUDGETS; b++) json_whole(&json, r->room[b]);
    json_close(&json, ']');
    json_key(&json, "policies");
    json_open(&json, '[');
    for (int i = 0; i < r->n_rows; i++) {
        json_open(&json, '{');
        json_key_text(&json, "policy", r->rows[i].policy);
        json_shares(&json, "first_half", r->rows[i].first);
        json_shares(&json, "second_half", r->rows[i].second);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_key_text(&json, "chosen", r->rows[r->chosen].policy);
    json_key_real(&json, "mean", mean(r->rows[r->chosen].second));
    json_key_real(&json, "oracle_mean", mean(r->rows[r->n_rows - 1].second));
    json_close(&json, '}');
    return json_print(app, &json);
}

/* ---- what becomes of it ---- */

/* The model's next run begins with it. */
static Exit choose(const App *app, const mixt_model *model, const mixt_trace *trace, const char *policy)
{
    Exit       code = DONE;
    mixt_error error;
    Buffer     to = use_path(model);
    if (!to.data)
        code = complain(app, DISK, "%s: cannot be written beside, and there is no cache folder",
                        opt_text(app->options, OPT_CHOOSE));
    else if (mixt_use_learn(model, trace, policy, to.data, &error) != MIXT_OK)
        code = problem(app, &error, NULL);
    else remark(app, "%s: %s, and what the trace saw", to.data, policy);
    buffer_free(&to);
    return code;
}

static Exit run(const App *app, const mixt_trace *trace, const mixt_model *model)
{
    const Options *o        = app->options;
    const char    *to       = opt_text(o, OPT_TRACE_OUTPUT);
    Progress       progress = progress_begin("replaying", false);
    mixt_replay    r;
    mixt_error     error;
    if (to && mixt_trace_write(trace, to, &error) != MIXT_OK) return problem(app, &error, NULL);
    const mixt_status status = mixt_replay_run(trace, progress_show, &progress, &r, &error);
    progress_end(&progress);
    if (status != MIXT_OK) return problem(app, &error, NULL);
    Exit code = DONE;
    if (opt_flag(o, OPT_JSON)) code = show_json(app, trace, &r);
    else show(trace, &r);
    return code == DONE && model ? choose(app, model, trace, r.rows[r.chosen].policy) : code;
}

static Exit check_output(const App *app, const char *to, const mixt_model *model)
{
    Exit code = output_check(app, to, model);
    for (int i = 0; code == DONE && i < app->options->n_arguments; i++)
        code = output_check_inputs(app, to, (const char *const[]){ app->options->arguments[i], NULL });
    return code;
}

Exit cmd_replay(const App *app)
{
    const char *to     = opt_text(app->options, OPT_TRACE_OUTPUT), *model = opt_text(app->options, OPT_CHOOSE);
    Loaded      loaded = { 0 };
    mixt_trace *trace  = NULL;
    Exit        code   = take_trace(app, &trace);
    if (code == DONE && model) code = load_model(app, model, false, &loaded);
    if (code == DONE && to) code = check_output(app, to, loaded.model);
    if (code == DONE) code = run(app, trace, loaded.model);
    mixt_trace_free(trace);
    load_free(&loaded);
    return code;
}
