/* SPDX-License-Identifier: Apache-2.0
 * apps/experts.c - see experts.h.
 *
 * The map: a row is a layer, a column an expert, the number the share of the layer's firings that
 * went to it, in per cent; the shade says how that compares with an even load.  Layers stand in
 * panels side by side when the terminal is wide enough, experts in bands when it is not. */
#include "experts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heat.h"

enum { CELL = 4, LABEL = 4, GAP = 3 };

typedef struct Map {
    int64_t  L, E, U;
    int64_t *counts;            /* [L][E] */
    int64_t *totals;            /* [L]    */
    Colour   colour;
} Map;

static bool map_fill(const Fired *fired, Map *out)
{
    const mixt_model_info *m = &fired->loaded->info;
    *out = (Map){ .L = m->n_layers, .E = m->n_experts, .U = m->n_used, .colour = term_colour() };
    out->counts = calloc((size_t)(out->L * out->E), sizeof *out->counts);
    out->totals = calloc((size_t)out->L, sizeof *out->totals);
    if (!out->counts || !out->totals) return false;
    for (size_t t = fired->first; t < fired->end; t++) {
        const int32_t *experts = mixt_session_experts(fired->loaded->session, t);     /* [L][U] */
        for (int64_t i = 0; experts && i < out->L * out->U; i++) {
            if (experts[i] < 0 || experts[i] >= out->E) continue;       /* a dense layer has none */
            out->counts[i / out->U * out->E + experts[i]]++;
            out->totals[i / out->U]++;
        }
    }
    return true;
}

static void map_free(Map *map)
{
    free(map->counts);
    free(map->totals);
}

/* ---- shades ---- */

/* The share from which a cell is as bright as it gets: twice an even load, unless that cannot
 * happen. */
static double full_share(const Map *map)
{
    return heat_full(map->E, map->U);
}

/* 0 for none, 1 for full. */
static double heat(const Map *map, double share)
{
    return share >= full_share(map) ? 1 : share / full_share(map);
}

static void shade(const Map *map, double warmth)
{
    heat_begin(map->colour, warmth);
}

static void unshade(const Map *map)
{
    heat_end(map->colour);
}

static void cell(const Map *map, int64_t layer, int64_t expert)
{
    const int64_t count = map->counts[layer * map->E + expert], total = map->totals[layer];
    const double  share = total ? (double)count / (double)total : 0;
    shade(map, heat(map, share));
    if (count) fprintf(stderr, "%*.0f ", CELL - 1, 100 * share);
    else fprintf(stderr, "%*s ", CELL - 1, ".");
    unshade(map);
}

/* ---- laying out ---- */

static void band(const Map *map, int64_t first, int64_t n, int64_t n_panels)
{
    const int64_t n_rows = (map->L + n_panels - 1) / n_panels;
    for (int64_t panel = 0; panel < n_panels && panel * n_rows < map->L; panel++) {
        fprintf(stderr, "%*s%*s ", panel ? GAP : 0, "", LABEL - 1, "");
        for (int64_t e = first; e < first + n; e++)
            fprintf(stderr, "%*lld ", CELL - 1, (long long)e);
    }
    for (int64_t row = 0; row < n_rows; row++) {
        fputc('\n', stderr);
        for (int64_t layer = row; layer < map->L; layer += n_rows) {
            fprintf(stderr, "%*s%*lld ", layer > row ? GAP : 0, "", LABEL - 1, (long long)layer);
            for (int64_t e = first; e < first + n; e++) cell(map, layer, e);
        }
    }
    fputc('\n', stderr);
}

static void legend(const Map *map, size_t n_tokens)
{
    const double even = 100.0 / (double)map->E;
    fprintf(stderr,
            "experts that fired: %zu tokens, %lld of %lld; layers down, experts across, %% of a "
            "layer's firings\n",
            n_tokens, (long long)map->U, (long long)map->E);
    if (map->colour == COLOUR_NONE) {
        fprintf(stderr, "an even load is %.3g\n", even);
        return;
    }
    shade(map, 0);
    fputs("  none ", stderr);
    unshade(map);
    fputc(' ', stderr);
    shade(map, heat(map, even / 100));
    fprintf(stderr, "  even load %.3g ", even);
    unshade(map);
    fputc(' ', stderr);
    shade(map, 1);
    fprintf(stderr, "  %.3g and more ", 100 * full_share(map));
    unshade(map);
    fputc('\n', stderr);
}

void experts_draw(const App *app, const Fired *fired)
{
    Map map;
    if (!map_fill(fired, &map)) {
        map_free(&map);
        remark(app, "out of memory for the map of experts");
        return;
    }
    const int     width    = term_width();
    const int64_t in_line  = width > LABEL + CELL ? (width - LABEL) / CELL : 1;
    const int64_t n        = map.E < in_line ? map.E : in_line;
    const int64_t panel    = LABEL + CELL * n + GAP;
    const int64_t n_panels = n < map.E || width + GAP < panel ? 1 : (width + GAP) / panel;
    legend(&map, fired->end - fired->first);
    for (int64_t e = 0; e < map.E; e += n) band(&map, e, map.E - e < n ? map.E - e : n, n_panels);
    map_free(&map);
}

/* ---- token by token ---- */

/* A token as text of a fixed width that cannot harm a terminal. */
static void print_label(const Loaded *loaded, mixt_token token)
{
    size_t      n     = 0;
    const char *bytes = mixt_token_bytes(loaded->model, token, true, &n);
    Buffer      text  = { 0 };
    buffer_json(&text, bytes ? bytes : "", bytes ? n : 0);
    fprintf(stderr, "%7d %-14s", token, text.data ? text.data : "");
    buffer_free(&text);
}

void experts_list(const Fired *fired)
{
    const mixt_model_info *m      = &fired->loaded->info;
    const mixt_token      *tokens = mixt_session_tokens(fired->loaded->session);
    fprintf(stderr, "experts of each token, layer after layer, by falling weight:\n");
    for (size_t t = fired->first; t < fired->end; t++) {
        const int32_t *experts = mixt_session_experts(fired->loaded->session, t);
        print_label(fired->loaded, tokens[t]);
        for (int64_t i = 0; experts && i < m->n_layers * m->n_used; i++)
            fprintf(stderr, "%s%d", i % m->n_used ? "," : " ", experts[i]);
        fputc('\n', stderr);
    }
}

/* ---- JSON ---- */

static void json_rows(Json *json, const char *key, const int64_t *wholes, const int32_t *experts,
                      const float *weights, int64_t n_rows, int64_t n)
{
    json_key(json, key);
    json_open(json, '[');
    for (int64_t row = 0; row < n_rows; row++) {
        json_open(json, '[');
        for (int64_t i = row * n; i < (row + 1) * n; i++) {
            if (weights) json_real(json, (double)weights[i]);
            else json_whole(json, experts ? experts[i] : wholes[i]);
        }
        json_close(json, ']');
    }
    json_close(json, ']');
}

static void json_token(Json *json, const Loaded *loaded, size_t t)
{
    const mixt_token token   = mixt_session_tokens(loaded->session)[t];
    const int32_t   *experts = mixt_session_experts(loaded->session, t);
    const float     *weights = mixt_session_expert_weights(loaded->session, t);
    size_t           n       = 0;
    const char      *bytes   = mixt_token_bytes(loaded->model, token, true, &n);
    json_open(json, '{');
    json_key_whole(json, "id", token);
    json_key(json, "text");
    json_text(json, bytes ? bytes : "", bytes ? n : 0);
    if (experts)
        json_rows(json, "experts", NULL, experts, NULL, loaded->info.n_layers, loaded->info.n_used);
    if (weights)
        json_rows(json, "weights", NULL, NULL, weights, loaded->info.n_layers, loaded->info.n_used);
    json_close(json, '}');
}

void experts_json(const Fired *fired, bool tokens, Json *json)
{
    Map map;
    if (!map_fill(fired, &map)) json->failed = true;
    json_key(json, "experts");
    json_open(json, '{');
    json_key_whole(json, "experts", map.E);
    json_key_whole(json, "used", map.U);
    json_key_whole(json, "tokens_seen", (int64_t)(fired->end - fired->first));
    if (!json->failed) json_rows(json, "fired", map.counts, NULL, NULL, map.L, map.E);
    if (tokens) {
        json_key(json, "tokens");
        json_open(json, '[');
        for (size_t t = fired->first; t < fired->end; t++) json_token(json, fired->loaded, t);
        json_close(json, ']');
    }
    json_close(json, '}');
    map_free(&map);
}
