/* SPDX-License-Identifier: Apache-2.0
 * train/report.c - see report.h. */
#include "train/report.h"

#include "base/io.h"
#include "train/chart.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Colours of Okabe and Ito, which people tell apart whatever their eyes; heat as in the terminal. */
static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1180px;margin:2em auto;padding:0 1em;color:#222;background:#fff}"
    "h1{font-size:1.4em;margin:0}h2{font-size:1.1em;margin:1.6em 0 .3em}.grid{stroke:#8884;stroke-width:1}"
    "main{display:grid;grid-template-columns:repeat(auto-fit,minmax(460px,1fr));gap:14px 26px}"
    "figure{margin:0}svg{width:100%;height:auto;display:block}svg text{font-size:11px;fill:#777}i{color:#777}"
    "polyline{fill:none;stroke-width:1.8;stroke-linejoin:round}.faint{opacity:.45;stroke-width:1}"
    "table{border-collapse:collapse;margin:.6em 0}td,th{padding:.15em 1em .15em 0;text-align:right;font-weight:normal}"
    "td:first-child,th:first-child{text-align:left}th{color:#777}pre{overflow:auto;font-size:12px}"
    "figcaption span{margin-left:.7em;font-size:.85em}figcaption span::before{content:'\\25cf\\00a0'}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#16161a}}";

static const char *const line_colours[] = { "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00",
                                            "#999", "#b8a800" };
static const char *const heat_colours[] = { "#080818", "#181054", "#4e127a", "#872180", "#be376e", "#ec5a52",
                                            "#fc9c60", "#fceba0" };

static void put_style(Buffer *out)
{
    buffer_format(out, "<style>%s", style);
    for (int i = 0; i < CHART_LINES_MAX; i++) {
        const char *colour = line_colours[i % ARRAY_LEN(line_colours)];
        buffer_format(out, ".l%d{stroke:%s}.d%d{fill:%s}.k%d::before{color:%s}", i, colour, i, colour, i, colour);
    }
    for (int i = 0; i < ARRAY_LEN(heat_colours); i++) buffer_format(out, ".h%d{fill:%s}", i, heat_colours[i]);
    buffer_text(out, "</style>");
}

/* "2 h 05 min", "3 min 20 s" */
static void put_time(Buffer *out, double seconds)
{
    const long long s = (long long)seconds;
    if (s >= 3600) buffer_format(out, "%lld h %02lld min", s / 3600, s / 60 % 60);
    else buffer_format(out, "%lld min %02lld s", s / 60, s % 60);
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static const char *unit_of(const Report *r)
{
    return r->pairs ? "per pair of answers" : "nats per token";
}

/* ---- the summary ---- */

static void put_facts(Buffer *out, const Report *r)
{
    const Curves *c = r->curves;
    const Sizes *s = r->sizes;
    buffer_format(out, "<p>%.2f million numbers learn: %lld layers of width %lld, ", (double)r->n_values / 1e6,
                  (long long)s->n_layers, (long long)s->width);
    if (s->dense) buffer_text(out, "dense");
    else buffer_format(out, "%lld experts of which a token uses %lld", (long long)s->n_experts, (long long)r->n_used);
    buffer_format(out, ", a vocabulary of %lld.", (long long)s->n_vocab);
    if (c->steps.n) {
        const double *last = curve_row(&c->steps, c->steps.n - 1);
        buffer_format(out, "<br>Step %.0f of %lld, %.2f million tokens, ", last[STEP_NUMBER], (long long)r->n_steps,
                      last[STEP_TOKENS] / 1e6);
        put_time(out, last[STEP_SECONDS]);
        if (last[STEP_SECONDS] > 0)
            buffer_format(out, ", %.0f tokens a second", last[STEP_TOKENS] / last[STEP_SECONDS]);
        buffer_text(out, ".");
    }
    buffer_text(out, "</p>\n");
}

static void put_held_row(Buffer *out, const Report *r, const char *name, const double *held)
{
    buffer_text(out, "<tr><td>");
    chart_text(out, name);
    buffer_format(out, "</td><td>%.4f</td>", held[0]);
    if (!r->pairs) buffer_format(out, "<td>%.2f</td><td>%.4f</td>", exp(held[0]), held[1]);
    buffer_text(out, "</tr>");
}

static void put_held(Buffer *out, const Report *r)
{
    const Curves *c = r->curves;
    if (c->marks.n == 0 || c->n_held == 0) return;
    const double *mark = curve_row(&c->marks, c->marks.n - 1);
    buffer_format(out, "<table><tr><th>held-out text, after step %.0f</th><th>%s</th>", mark[MARK_STEP], unit_of(r));
    if (!r->pairs) buffer_text(out, "<th>perplexity</th><th>bits per byte</th>");
    buffer_text(out, "</tr>");
    for (int64_t i = 0; i < c->n_held; i++) put_held_row(out, r, file_name(r->held[i].path), mark_held(c, mark, i));
    if (c->n_held > 1) put_held_row(out, r, "all", mark_held(c, mark, c->n_held));
    buffer_text(out, "</table>\n");
}

/* ---- curves ---- */

/* Before the first step there are no cells: a run that begins with a model reports what that one knows. */
static Line step_line(const Curves *c, const char *name, int column)
{
    if (c->steps.n == 0) return (Line){ .name = name, .stride = STEP_COLUMNS };
    return (Line){ name, c->steps.cells + STEP_NUMBER, c->steps.cells + column, c->steps.n, STEP_COLUMNS, false };
}

static Line mark_line(const Curves *c, const char *name, int64_t column)
{
    return (Line){ name, c->marks.cells + MARK_STEP, c->marks.cells + column, c->marks.n, c->marks.width, false };
}

static void put_loss(Buffer *out, const Report *r)
{
    const Curves *c = r->curves;
    Line lines[2] = { step_line(c, "learned", STEP_LOSS) };
    lines[0].faint = true;
    int n = 1;
    if (c->n_held && c->marks.n) lines[n++] = mark_line(c, "held-out", MARK_COLUMNS + 2 * c->n_held);
    chart_lines(out, "Loss", unit_of(r), lines, n, (double)r->n_steps);
}

/* Column 0 of a held-out file is its loss, 1 its bits per byte. */
static void put_held_lines(Buffer *out, const Report *r, const char *title, const char *unit, int column)
{
    const Curves *c = r->curves;
    Line lines[CHART_LINES_MAX];
    const int n = (int)(c->n_held < CHART_LINES_MAX ? c->n_held : CHART_LINES_MAX);
    if (n == 0 || c->marks.n == 0) return;
    for (int i = 0; i < n; i++)
        lines[i] = mark_line(c, file_name(r->held[i].path), MARK_COLUMNS + 2 * i + column);
    chart_lines(out, title, unit, lines, n, (double)r->n_steps);
}

/* The same as the loss, but people ask for it. */
static void put_perplexity(Buffer *out, const Report *r)
{
    const Curves *c = r->curves;
    if (c->n_held == 0 || c->marks.n == 0) return;
    double *points = malloc((size_t)c->marks.n * 2 * sizeof *points);
    if (!points) {
        out->failed = true;
        return;
    }
    for (int64_t i = 0; i < c->marks.n; i++) {
        const double *mark = curve_row(&c->marks, i);
        points[2 * i] = mark[MARK_STEP];
        points[2 * i + 1] = exp(fmin(mark_held(c, mark, c->n_held)[0], 12));    /* the first may be anything */
    }
    const Line line = { "held-out", points, points + 1, c->marks.n, 2, false };
    chart_lines(out, "Perplexity of held-out text", "per token, all files", &line, 1, (double)r->n_steps);
    free(points);
}

static void put_rate(Buffer *out, const Report *r)
{
    const Line rate = step_line(r->curves, "rate", STEP_RATE), length = step_line(r->curves, "length", STEP_LENGTH);
    chart_lines(out, "Learning rate", "per step", &rate, 1, (double)r->n_steps);
    chart_lines(out, "Length of the gradient", "before it is clipped", &length, 1, (double)r->n_steps);
}

/* ---- experts ---- */

static void put_router(Buffer *out, const Report *r)
{
    const Curves *c = r->curves;
    const int64_t first = MARK_COLUMNS + 2 * (c->n_held + 1) + c->n_layers * c->n_experts;
    const Line balance = step_line(c, "balance", STEP_BALANCE), dropped = step_line(c, "dropped", STEP_DROPPED);
    Line lines[CHART_LINES_MAX];
    char names[CHART_LINES_MAX][32];
    int n = 0;
    for (int64_t layer = 0; layer < c->n_layers && n < CHART_LINES_MAX; layer++, n++) {
        snprintf(names[n], sizeof names[n], "layer %lld", (long long)layer);
        lines[n] = mark_line(c, names[n], first + layer);
    }
    char unit[64];
    snprintf(unit, sizeof unit, "nats; all alike is %.2f", log((double)c->n_experts));
    if (c->marks.n) chart_lines(out, "Entropy of the router", unit, lines, n, (double)r->n_steps);
    chart_lines(out, "Load-balancing loss", "per layer; an even load is 1", &balance, 1, (double)r->n_steps);
    const double *last = c->steps.n ? curve_row(&c->steps, c->steps.n - 1) : NULL;
    if (last && last[STEP_DROPPED] > 0)
        chart_lines(out, "Dropped", "share of slots over the capacity", &dropped, 1, (double)r->n_steps);
}

static void put_experts(Buffer *out, const Report *r)
{
    const Curves *c = r->curves;
    if (r->sizes->dense || c->marks.n == 0) return;
    const double even = 1.0 / (double)c->n_experts, most = 1.0 / (double)r->n_used;
    const double full = 2 * even < most ? 2 * even : most;
    buffer_format(out, "</main><h2>Experts</h2><p>Time goes to the right, a row is an expert. An even load is %.3g %%; "
                       "brightest is %.3g %% and more.</p><main>\n", 100 * even, 100 * full);
    for (int64_t layer = 0; layer < c->n_layers; layer++) {
        char title[40];
        snprintf(title, sizeof title, "layer %lld", (long long)layer);
        chart_heat(out, title, mark_uses(c, c->marks.cells) + layer * c->n_experts, c->marks.n, c->marks.width,
                   c->n_experts, full);
    }
    put_router(out, r);
}

/* ---- the page ---- */

static void put_page(Buffer *out, const Report *r)
{
    buffer_text(out, "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
                     "content=\"width=device-width\"><title>");
    chart_text(out, r->title);
    buffer_text(out, "</title>");
    put_style(out);
    buffer_text(out, "<h1>");
    chart_text(out, r->title);
    buffer_text(out, "</h1>\n");
    put_facts(out, r);
    put_held(out, r);
    buffer_text(out, "<main>\n");
    put_loss(out, r);
    if (!r->pairs) put_held_lines(out, r, "Held-out text", "bits per byte", 1);
    if (!r->pairs) put_perplexity(out, r);
    put_held_lines(out, r, "Loss of held-out text", unit_of(r), 0);
    put_rate(out, r);
    put_experts(out, r);
    buffer_text(out, "</main><details><summary>Settings</summary><pre>");
    chart_text(out, r->settings);
    buffer_text(out, "</pre></details></html>\n");
}

Status report_write(const char *path, const char *const *inputs, const Report *r, Error *error)
{
    Buffer page = { 0 };
    Writer w;
    put_page(&page, r);
    Status status = page.failed ? fail_memory(error, path) : writer_open(path, inputs, &w, error);
    if (status == OK) {
        status = writer_add(&w, page.data, page.n_bytes, error);
        if (status == OK) status = writer_commit(&w, error);
        else writer_abandon(&w);
    }
    buffer_free(&page);
    return status;
}
