/* SPDX-License-Identifier: Apache-2.0
 * model/router.c - which experts serve a token, and with what weight.
 *
 * Scores are the router's row times the token.  The U largest are chosen, the lower index on a tie;
 * their weights are the softmax of the chosen scores, which equals softmax over all, then divided
 * by the sum of the chosen. Source: Jiang et al. 2024, arXiv 2401.04088, 2.1. */
#include "model/model.h"

#include <math.h>
#include <string.h>

/* Insertion into a list of at most U, largest first; an equal score stays behind the earlier index. */
static void choose(const float *scores, int n_experts, int n_used, int32_t *experts)
{
    int n = 0;
    for (int e = 0; e < n_experts; e++) {
        int at = n;
        while (at > 0 && scores[e] > scores[experts[at - 1]]) at--;
        if (at == n_used) continue;
        const int last = n < n_used ? n++ : n_used - 1;
        memmove(&experts[at + 1], &experts[at], (size_t)(last - at) * sizeof *experts);
        experts[at] = e;
    }
}

/* Sum of exp(score - top): over the chosen, or over all when the family does not renormalise. */
static double sum_of(const float *scores, int n_experts, const int32_t *experts, int n_used,
                     bool renormalise)
{
    const double top = scores[experts[0]];
    double sum = 0;
    if (renormalise)
        for (int j = 0; j < n_used; j++) sum += exp(scores[experts[j]] - top);
    else
        for (int e = 0; e < n_experts; e++) sum += exp(scores[e] - top);
    return sum;
}

bool choose_experts(const float *scores, int n_experts, int n_used, const Router *router,
                    int32_t *experts, float *weights)
{
    bool numbers = true;
    for (int e = 0; e < n_experts; e++) numbers = numbers && isfinite(scores[e]);
    if (!numbers) {                         /* THREATS: no expert twice, no expert -1            */
        for (int j = 0; j < n_used; j++) experts[j] = j, weights[j] = 0.0f;
        return false;
    }
    choose(scores, n_experts, n_used, experts);
    const double sum = sum_of(scores, n_experts, experts, n_used, router->renormalise);
    for (int j = 0; j < n_used; j++)
        weights[j] = (float)(exp((double)scores[experts[j]] - scores[experts[0]]) / sum);
    return true;
}

/* The only expert, by everybody, with weight 1. */
static void route_dense(int n_tokens, Routes *r)
{
    for (int t = 0; t < n_tokens; t++) r->experts[t] = 0, r->weights[t] = 1.0f;
}

static Status route_sparse(Model *m, int layer, const Step *step, Work *w, Error *error)
{
    Device *d = m->device;
    const int n_experts = (int)m->sizes.n_experts, n_used = (int)m->sizes.n_used;
    const int n = (int)w->h.rows;
    const size_t bytes = (size_t)n * (size_t)n_experts * sizeof *w->host_scores;

    TRY(d->ops->project(d, (Tensor *[]){&w->scores}, &w->h,
                        (const Tensor *[]){&m->layers[layer].router}, 1));
    if (m->layers[layer].lora) TRY(adapt(m, &w->scores, &w->h, &m->layers[layer].lora->router));
    TRY(d->ops->download(d, w->host_scores, &w->scores, bytes));
    for (int i = 0; i < n; i++)
        if (!choose_experts(w->host_scores + i * n_experts, n_experts, n_used, &m->router,
                            w->routes.experts + i * n_used, w->routes.weights + i * n_used)) {
            bool *broken = &step->broken[w->row[i]];
            if (!*broken) fail(error, FAILED, "layer %d: the router's scores are not numbers", layer);
            *broken = true;
        }
    return OK;
}

/* For whoever watches which experts fire. */
static void record(const Step *step, int layer, int n_used, const Work *w)
{
    const Routes *r = &w->routes;
    for (int i = 0; step->experts && i < (int)w->h.rows; i++) {
        const int t = w->row[i];
        if (!step->experts[t]) continue;
        memcpy(step->experts[t] + layer * n_used, r->experts + i * n_used, (size_t)n_used * sizeof *r->experts);
        memcpy(step->weights[t] + layer * n_used, r->weights + i * n_used, (size_t)n_used * sizeof *r->weights);
    }
}

Status route(Model *m, int layer, const Step *step, Work *w, Error *error)
{
    Routes *r = &w->routes;
    const int n_used = (int)m->sizes.n_used, n_experts = (int)m->sizes.n_experts;
    if (m->sizes.dense) route_dense((int)w->h.rows, r);
    else TRY(route_sparse(m, layer, step, w, error));
    record(step, layer, n_used, w);

    bool wanted[EXPERTS_MAX] = { false };
    for (int i = 0; i < (int)w->parts.rows; i++) wanted[r->experts[i]] = true;
    r->n_groups = 0;
    for (int e = 0; e < n_experts; e++)
        if (wanted[e]) r->group_expert[r->n_groups++] = e;
    return OK;
}
