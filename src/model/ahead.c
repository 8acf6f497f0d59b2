/* SPDX-License-Identifier: Apache-2.0
 * model/ahead.c - which experts the layers after this one will want, told to the store before they are needed.
 *
 * Many rows use every expert of every layer: the next ones are certain.  Of few rows the next layers' routers are
 * asked with the residual stream as it stands now; what is still missing in it is this layer's experts, and what
 * comes between.  How much that changes a choice only the model knows, so accounts are kept of how often a guess so
 * many layers ahead was right, and one that is mostly wrong is not told to the store.  Nearer layers are asked first,
 * and nobody looks further once as many experts to read were found as a layer uses: where most are in memory it takes
 * many layers to find work for the disk, and where few are, one does.  Either way nothing that is computed depends on
 * it. */
#include "model/model.h"

#include <string.h>

enum { LUCK_GUESSES = 1024 };    /* so many are remembered: routing changes with the text       */

/* Of the first n in w->left. */
static int count_absent(const Model *m, const Work *w, int n)
{
    int n_absent = 0;
    for (int i = 0; i < n; i++) n_absent += !m->store->ops->resident(m->store, w->left[i]);
    return n_absent;
}

/* ---- many rows ---- */

/* Rows choose about evenly: one in exp(4) = 55 experts is left out at most. */
bool sweeps(const Sizes *s, int64_t n_rows)
{
    return s->n_used == s->n_experts ? n_rows > 0 : n_rows * s->n_used >= 4 * s->n_experts;
}

/* After the last attention only rows go on that somebody asked for (forward.c). */
static int64_t rows_in(const Model *m, const Step *step, int layer)
{
    if (layer < m->sizes.n_layers - 1 || step->n_wanted == step->n_tokens) return step->n_tokens;
    int64_t n = step->n_wanted;
    for (int t = 0; step->experts && t < step->n_tokens; t++) n += step->experts[t] != NULL;
    return n;
}

static int absent_in(const Model *m, int layer, Work *w)
{
    for (int e = 0; e < m->sizes.n_experts; e++) w->left[e] = (ExpertId){ (int16_t)layer, (int16_t)e };
    return count_absent(m, w, (int)m->sizes.n_experts);
}

/* Of many sequences some will write another token. */
static bool another_follows(const Model *m, const Step *step)
{
    return m->sizes.dense || step->goes_on || sweeps(&m->sizes, step->n_wanted);
}

/* As far as the first layer that lacks something; where this one lacks nothing the disk may be done with that before
 * we look again, so one further.  And on into the next step, while the last layers are computed. */
static void look_along_sweep(Model *m, int layer, const Step *step, Work *w)
{
    const int n_layers = (int)m->sizes.n_layers, n_experts = (int)m->sizes.n_experts;
    const int enough = absent_in(m, layer, w) ? 1 : n_experts + 1;
    int n_absent = 0;
    for (int far = 1; far <= m->look_ahead && far < n_layers && n_absent < enough; far++) {
        const int ahead = layer + far;
        if (ahead >= n_layers && !another_follows(m, step)) break;
        if (ahead < n_layers && !sweeps(&m->sizes, rows_in(m, step, ahead))) continue;
        n_absent += absent_in(m, ahead % n_layers, w);
        m->store->ops->hint(m->store, w->left, n_experts, HINT_SOON);
    }
}

/* ---- few rows ---- */

/* What was guessed about this layer by those before it, and how much of that is so. */
static void count_luck(const Model *m, int layer, Work *w)
{
    const int n_experts = (int)m->sizes.n_experts;
    const Routes *r = &w->routes;
    uint32_t *guessed = w->guessed + (size_t)layer * (size_t)n_experts;
    bool used[EXPERTS_MAX] = { false };
    for (int g = 0; g < r->n_groups; g++) used[r->group_expert[g]] = true;
    for (int e = 0; e < n_experts; e++)
        for (int far = 1; guessed[e] >> (far - 1); far++) {
            Luck *luck = &w->luck[far - 1];
            if (!(guessed[e] >> (far - 1) & 1)) continue;
            luck->guesses++;
            luck->right += used[e];
            if (luck->guesses >= LUCK_GUESSES) luck->guesses /= 2, luck->right /= 2;
        }
    memset(guessed, 0, (size_t)n_experts * sizeof *guessed);
}

/* More often right than wrong. */
static bool trusted(const Work *w, int far)
{
    return 2 * w->luck[far - 1].right >= w->luck[far - 1].guesses;
}

/* Those that any row would choose, by how many would, to w->left.  How many: none when a row cannot choose. */
static int chosen_by_any(Model *m, int layer, int n_rows, Work *w)
{
    const int n_experts = (int)m->sizes.n_experts, n_used = (int)m->sizes.n_used;
    int32_t chosen[EXPERTS_MAX];
    float weights[EXPERTS_MAX];
    int votes[EXPERTS_MAX] = { 0 }, n = 0;
    for (int t = 0; t < n_rows; t++) {
        if (!choose_experts(w->host_scores + t * n_experts, n_experts, n_used, &m->router, chosen, weights)) return 0;
        for (int j = 0; j < n_used; j++) votes[chosen[j]]++;
    }
    for (int most = n_rows; most > 0; most--)
        for (int e = 0; e < n_experts; e++)
            if (votes[e] == most) w->left[n++] = (ExpertId){ (int16_t)layer, (int16_t)e };
    return n;
}

static Status ask_router(Model *m, int layer, Work *w, int *n_chosen)
{
    Device *d = m->device;
    const Layer *l = &m->layers[layer];
    const int n_rows = (int)w->x.rows;
    const size_t bytes = (size_t)n_rows * (size_t)m->sizes.n_experts * sizeof *w->host_scores;
    TRY(d->ops->norm(d, &w->y, &w->x, &l->ffn_norm));
    TRY(d->ops->project(d, (Tensor *[]){ &w->scores }, &w->y, (const Tensor *[]){ &l->router }, 1));
    if (l->lora) TRY(adapt(m, &w->scores, &w->y, &l->lora->router));
    TRY(d->ops->download(d, w->host_scores, &w->scores, bytes));
    *n_chosen = chosen_by_any(m, layer, n_rows, w);
    return OK;
}

/* The first distance that is not trusted is asked all the same: so we hear when it would be. */
static Status look_by_routers(Model *m, int layer, Work *w)
{
    const int last = (int)m->sizes.n_layers - 1;
    int n_absent = 0;
    for (int far = 1; far <= m->look_ahead && layer + far <= last && n_absent < w->routes.n_groups; far++) {
        const int ahead = layer + far;
        int n;
        TRY(ask_router(m, ahead, w, &n));
        for (int i = 0; i < n; i++) w->guessed[ahead * m->sizes.n_experts + w->left[i].expert] |= 1u << (far - 1);
        if (!trusted(w, far)) break;
        n_absent += count_absent(m, w, n);
        m->store->ops->hint(m->store, w->left, n, HINT_GUESS);
    }
    return OK;
}

Status look_ahead(Model *m, int layer, const Step *step, Work *w)
{
    if (!m->store->streams || m->look_ahead == 0) return OK;
    if (sweeps(&m->sizes, step->n_tokens)) {
        look_along_sweep(m, layer, step, w);
        return OK;
    }
    if (layer == 0) memset(w->guessed, 0, (size_t)(m->sizes.n_layers * m->sizes.n_experts) * sizeof *w->guessed);
    count_luck(m, layer, w);
    return look_by_routers(m, layer, w);
}
