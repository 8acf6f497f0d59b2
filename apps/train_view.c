/* SPDX-License-Identifier: Apache-2.0
 * apps/train_view.c - see train_view.h. */
#include "train_view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "heat.h"
#include "json.h"

/* Lines that move do so four times a second; others come every twenty seconds. */
enum { LIVE_US = 250000, PLAIN_US = 20000000, BAR_CELLS = 24, HEAT_LINES_MAX = 12 };
/* What stands beside bar and curve in their lines: they get the rest. */
enum { BESIDE_BAR = 64, BESIDE_SPARK = 44 };

TrainView train_view(const App *app)
{
    const bool json = opt_flag(app->options, OPT_JSON_LINES);
    return (TrainView){ .app = app, .json = json, .live = !json && term_err(), .n_per_loss = 1 };
}

/* ---- the loss so far ---- */

static void add_loss(TrainView *v, double loss)
{
    if (v->n_losses == SPARK_MAX && v->n_in_last == v->n_per_loss) {
        for (int i = 0; i < SPARK_MAX / 2; i++) v->losses[i] = 0.5 * (v->losses[2 * i] + v->losses[2 * i + 1]);
        v->n_losses = SPARK_MAX / 2;
        v->n_in_last = v->n_per_loss *= 2;
    }
    if (v->n_losses == 0 || v->n_in_last == v->n_per_loss) {
        v->losses[v->n_losses++] = loss;
        v->n_in_last = 1;
        return;
    }
    double *last = &v->losses[v->n_losses - 1];
    *last += (loss - *last) / ++v->n_in_last;
}

/* In so many cells; when there are more averages, several share one. */
static void draw_spark(const TrainView *v, int n_cells)
{
    static const char *const bars[] = { "\u2581", "\u2582", "\u2583", "\u2584",
                                        "\u2585", "\u2586", "\u2587", "\u2588" };
    static const char        letters[] = "_.-~=+*#";
    double low = INFINITY, high = -INFINITY;
    if (n_cells < 1 || v->n_losses == 0) return;
    const int n = v->n_losses < n_cells ? v->n_losses : n_cells;
    for (int i = 0; i < v->n_losses; i++) {
        low  = fmin(low, v->losses[i]);
        high = fmax(high, v->losses[i]);
    }
    for (int i = 0; i < n; i++) {
        const double loss = v->losses[i * v->n_losses / n];
        const int    at   = high > low ? (int)(7.999 * (loss - low) / (high - low)) : 0;
        if (term_utf8()) fputs(bars[at], stderr);
        else fputc(letters[at], stderr);
    }
}

/* ---- pieces of text ---- */

static void print_time(double seconds)
{
    const long long s = seconds > 0 ? (long long)(seconds + 0.5) : 0;
    if (s >= 3600) fprintf(stderr, "%lld h %02lld min", s / 3600, s / 60 % 60);
    else if (s >= 60) fprintf(stderr, "%lld min %02lld s", s / 60, s % 60);
    else fprintf(stderr, "%lld s", s);
}

static void print_held(const mixt_train_progress *p)
{
    if (p->n_held && p->all.bits_per_byte <= 0) fprintf(stderr, "held-out %.4f per pair", p->all.loss);
    else if (p->n_held)
        fprintf(stderr, "held-out %.3f, perplexity %.2f, %.3f bits per byte", p->all.loss, exp(p->all.loss),
                p->all.bits_per_byte);
}

static void print_event(const mixt_train_progress *p)
{
    if (p->stage == MIXT_TRAIN_JUDGED && p->n_held) {
        fprintf(stderr, "step %lld of %lld: ", (long long)p->step, (long long)p->n_steps);
        if (p->step) fprintf(stderr, "loss %.3f, ", p->loss);
        print_held(p);
        fputc('\n', stderr);
    }
    if (p->stage == MIXT_TRAIN_DONE) fprintf(stderr, "written: %s\n", p->path);
}

/* ---- lines that move ---- */

static void next_line(TrainView *v)
{
    fputs("\033[K\n", stderr);
    v->n_lines++;
}

static void wipe(TrainView *v)
{
    if (v->n_lines) fprintf(stderr, "\033[%dA\r\033[J", v->n_lines);
    v->n_lines = 0;
}

static void draw_bar(double share, int n_cells)
{
    if (n_cells > BAR_CELLS) n_cells = BAR_CELLS;
    const int full = (int)(share * n_cells);
    for (int i = 0; i < n_cells; i++)
        fputs(term_utf8() ? i < full ? "\u2588" : "\u2591" : i < full ? "#" : ".", stderr);
}

static void draw_cell(Colour colour, double warmth)
{
    static const char letters[] = ".:-=+*#@";
    heat_begin(colour, warmth);
    if (colour == COLOUR_NONE) fprintf(stderr, "%c ", letters[(int)(warmth * 7 + 0.5)]);
    else fputs("  ", stderr);
    heat_end(colour);
}

/* Layers side by side, a cell for each expert. */
static void draw_experts(TrainView *v, const mixt_train_progress *p)
{
    const int     width = term_width();
    const int64_t panel = 4 + 2 * p->n_experts, n_panels = panel + 2 > width ? 0 : (width - 1) / panel;
    const double  full  = 2.0 / (double)p->n_experts;
    if (p->n_experts < 2 || n_panels == 0) return;
    int n_lines = 0;
    for (int64_t first = 0; first < p->n_layers && n_lines < HEAT_LINES_MAX; first += n_panels, n_lines++) {
        for (int64_t layer = first; layer < first + n_panels && layer < p->n_layers; layer++) {
            fprintf(stderr, "%3lld ", (long long)layer);
            for (int64_t e = 0; e < p->n_experts; e++)
                draw_cell(term_colour(), fmin(1, p->uses[layer * p->n_experts + e] / full));
        }
        next_line(v);
    }
    fprintf(stderr, "experts: brightest is twice an even load; entropy %.2f of %.2f nats", p->entropy,
            log((double)p->n_experts));
    if (p->dropped > 0) fprintf(stderr, ", dropped %.1f %%", 100 * p->dropped);
    next_line(v);
}

/* Every line is cut at the width of the terminal by being short: a line that wraps would not be wiped. */
static void draw(TrainView *v, const mixt_train_progress *p)
{
    const double done = p->n_steps ? ((double)p->step + (double)(p->pass % p->n_passes) / (double)p->n_passes) /
                                         (double)p->n_steps : 0;
    const int width = term_width();
    wipe(v);
    draw_bar(done, width - BESIDE_BAR);
    fprintf(stderr, " %.1f %%, step %lld of %lld", 100 * done, (long long)p->step, (long long)p->n_steps);
    if (p->tokens_per_s > 0) {
        fprintf(stderr, ", %.0f tokens/s, ", p->tokens_per_s);
        print_time(p->seconds_left);
        fputs(" left", stderr);
    }
    next_line(v);
    if (p->step) {
        draw_spark(v, width - BESIDE_SPARK);
        fprintf(stderr, " loss %.3f, rate %.1e, gradient %.2f", p->loss, p->rate, p->gradient);
        if (p->n_pairs) fprintf(stderr, ", preferred %.0f %%", 100 * p->preferred);
        next_line(v);
        draw_experts(v, p);
    }
    fflush(stderr);
}

/* ---- JSON ---- */

static const char *stage_name(mixt_train_stage stage)
{
    switch (stage) {
    case MIXT_TRAIN_PASS:   return "pass";
    case MIXT_TRAIN_STEP:   return "step";
    case MIXT_TRAIN_JUDGED: return "judged";
    case MIXT_TRAIN_SAVED:  return "saved";
    case MIXT_TRAIN_DONE:   return "done";
    }
    return "";
}

static void json_step(Json *json, const mixt_train_progress *p)
{
    json_key_whole(json, "tokens", p->tokens);
    json_key_real(json, "loss", p->loss);
    json_key_real(json, "rate", p->rate);
    json_key_real(json, "gradient", p->gradient);
    json_key_real(json, "balance", p->balance);
    json_key_real(json, "router_z", p->router_z);
    json_key_real(json, "entropy", p->entropy);
    json_key_real(json, "dropped", p->dropped);
    if (p->n_pairs) json_key_real(json, "preferred", p->preferred);
    json_key_real(json, "tokens_per_s", p->tokens_per_s);
    json_key_real(json, "seconds", p->seconds);
    json_key(json, "experts");
    json_open(json, '[');
    for (int64_t layer = 0; layer < p->n_layers; layer++) {
        json_open(json, '[');
        for (int64_t e = 0; e < p->n_experts; e++)
            json_real(json, round(1e4 * p->uses[layer * p->n_experts + e]) / 1e4);
        json_close(json, ']');
    }
    json_close(json, ']');
}

/* Of pairs of answers there is a loss and nothing else. */
static void json_judgement(Json *json, const mixt_train_held *held)
{
    json_key_real(json, "loss", held->loss);
    if (held->bits_per_byte <= 0) return;
    json_key_real(json, "perplexity", exp(held->loss));
    json_key_real(json, "bits_per_byte", held->bits_per_byte);
}

static void json_held(Json *json, const mixt_train_progress *p)
{
    json_key(json, "held_out");
    json_open(json, '[');
    for (size_t i = 0; i < p->n_held; i++) {
        json_open(json, '{');
        json_key_text(json, "path", p->held[i].path);
        json_judgement(json, &p->held[i]);
        json_close(json, '}');
    }
    json_close(json, ']');
    json_judgement(json, &p->all);
}

static void print_json(const TrainView *v, const mixt_train_progress *p)
{
    Json json = { 0 };
    if (p->stage == MIXT_TRAIN_PASS) return;
    json_open(&json, '{');
    json_key_text(&json, "event", stage_name(p->stage));
    json_key_whole(&json, "step", p->step);
    json_key_whole(&json, "steps", p->n_steps);
    if (p->stage == MIXT_TRAIN_STEP) json_step(&json, p);
    if (p->stage == MIXT_TRAIN_JUDGED) json_held(&json, p);
    if (p->path) json_key_text(&json, "path", p->path);
    json_close(&json, '}');
    json_print(v->app, &json);
    out_flush();
}

/* ---- */

static void print_plain(const mixt_train_progress *p)
{
    fprintf(stderr, "step %lld of %lld: loss %.3f, %.0f tokens/s, ", (long long)p->step, (long long)p->n_steps, p->loss,
            p->tokens_per_s);
    print_time(p->seconds_left);
    fputs(" left\n", stderr);
}

int train_view_show(void *user, const mixt_train_progress *p)
{
    TrainView    *v   = user;
    const int64_t now = clock_us();
    if (p->stage == MIXT_TRAIN_STEP) add_loss(v, p->loss);
    if (v->json) {
        print_json(v, p);
        return interrupt_pending() || out_failed();
    }
    const bool event = p->stage == MIXT_TRAIN_JUDGED || p->stage == MIXT_TRAIN_DONE;
    if (event) {
        wipe(v);
        print_event(p);
    }
    if (p->stage == MIXT_TRAIN_DONE || p->n_steps == 0) return interrupt_pending();
    if (v->live && (event || now - v->drawn_us >= LIVE_US)) {
        draw(v, p);
        v->drawn_us = now;
    } else if (!v->live && p->stage == MIXT_TRAIN_STEP && now - v->drawn_us >= PLAIN_US) {
        print_plain(p);
        v->drawn_us = now;
    }
    return interrupt_pending();
}

void train_view_log(void *user, const char *line)
{
    TrainView *v = user;
    wipe(v);
    remark(v->app, "%s", line);
}

void train_view_end(TrainView *v)
{
    wipe(v);
    fflush(stderr);
}
