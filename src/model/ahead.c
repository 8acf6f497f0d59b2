/* SPDX-License-Identifier: Apache-2.0
 * model/ahead.c - which experts the layers after this one will want, told to the store before they are needed.
 *
 * Many rows use every expert of every layer: the next ones are certain.  Of few rows the next layers' routers are
 * asked with the residual stream as it stands now; what is still missing in it is this layer's experts (and what
 * comes between), a small part of the whole, so most answers are right.  Either way nothing that is computed depends
 * on it. */
#include "model/model.h"

#include <string.h>

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

static void hint_all(Model *m, int layer, Work *w)
{
    for (int e = 0; e < m->sizes.n_experts; e++) w->left[e] = (ExpertId){ (int16_t)layer, (int16_t)e };
    m->store->ops->hint(m->store, w->left, (int)m->sizes.n_experts, HINT_SOON);
}

/* A step of which nothing is wanted is a piece of a prompt, and another follows. */
static void look_along_sweep(Model *m, int layer, const Step *step, Work *w)
{
    const int n_layers = (int)m->sizes.n_layers;
    for (int ahead = layer + 1; ahead <= layer + m->look_ahead; ahead++)
        if (ahead < n_layers ? sweeps(&m->sizes, rows_in(m, step, ahead)) : step->n_wanted == 0 || m->sizes.dense)
            hint_all(m, ahead % n_layers, w);
}

/* Those that any row would choose, by how many would. */
static void hint_chosen(Model *m, int layer, int n_rows, Work *w)
{
    const int n_experts = (int)m->sizes.n_experts, n_used = (int)m->sizes.n_used;
    int32_t chosen[EXPERTS_MAX];
    float weights[EXPERTS_MAX];
    int votes[EXPERTS_MAX] = { 0 }, n = 0;
    for (int t = 0; t < n_rows; t++) {
        if (!choose_experts(w->host_scores + t * n_experts, n_experts, n_used, &m->router, chosen, weights)) return;
        for (int j = 0; j < n_used; j++) votes[chosen[j]]++;
    }
    for (int most = n_rows; most > 0; most--)
        for (int e = 0; e < n_experts; e++)
            if (votes[e] == most) w->left[n++] = (ExpertId){ (int16_t)layer, (int16_t)e };
    m->store->ops->hint(m->store, w->left, n, HINT_GUESS);
}

static Status ask_router(Model *m, int layer, Work *w)
{
    Device *d = m->device;
    const Layer *l = &m->layers[layer];
    const int n_rows = (int)w->x.rows;
    const size_t bytes = (size_t)n_rows * (size_t)m->sizes.n_experts * sizeof *w->host_scores;
    TRY(d->ops->norm(d, &w->y, &w->x, &l->ffn_norm));
    TRY(d->ops->project(d, (Tensor *[]){ &w->scores }, &w->y, (const Tensor *[]){ &l->router }, 1));
    if (l->lora) TRY(adapt(m, &w->scores, &w->y, &l->lora->router));
    TRY(d->ops->download(d, w->host_scores, &w->scores, bytes));
    hint_chosen(m, layer, n_rows, w);
    return OK;
}

Status look_ahead(Model *m, int layer, const Step *step, Work *w)
{
    if (!m->store->streams || m->look_ahead == 0) return OK;
    if (sweeps(&m->sizes, step->n_tokens)) {
        look_along_sweep(m, layer, step, w);
        return OK;
    }
    for (int ahead = layer + 1; ahead <= layer + m->look_ahead && ahead < m->sizes.n_layers; ahead++)
        TRY(ask_router(m, ahead, w));
    return OK;
}
