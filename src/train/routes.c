/* SPDX-License-Identifier: Apache-2.0
 * train/routes.c - which experts serve a token, what that costs, and how the router learns.
 *
 * The choice is that of model/router.c: the U largest scores, the lower index on a tie, weights the softmax of the
 * chosen (or, where the family does not renormalise, their share of the softmax of all).  What it learns from:
 *
 *  - the answers, through the weights;
 *  - the load-balancing loss of a layer, E * sum over e of f_e P_e, where f_e is the share of the batch's N*U choices
 *    that fell on e and P_e the mean of its probability.  It is 1 when experts are used alike; only P learns.
 *    Source: Fedus et al. 2021, "Switch Transformers", arXiv 2101.03961, 2.2, with U choices instead of one.  Other
 *    programs count choices per token, which is U times as much, or all layers together;
 *  - the z-loss, the mean of (log of the sum of exp(score))^2.  Source: Zoph et al. 2022, arXiv 2202.08906.
 *
 * Of both losses the mean over layers is taken, so that coefficients mean the same at any depth.
 *
 * Capacity: first choices take their places in the order of the batch, then second ones; who finds an expert full is
 * not served by it, and the other weights stay as they were. */
#include "train/parts.h"
#include "train/sums.h"

#include <math.h>
#include <string.h>

enum { ROWS_A_TASK = 256 };

typedef struct Routing { const Net *net; const Plan *plan; const Pass *pass; } Routing;

static int64_t rows_end(const Routing *r, int64_t task)
{
    return (task + 1) * ROWS_A_TASK < r->pass->n_rows ? (task + 1) * ROWS_A_TASK : r->pass->n_rows;
}

static void share_rows(Net *net, PoolTask task, const Routing *r)
{
    pool_run(net->pool, task, (void *)r, (r->pass->n_rows + ROWS_A_TASK - 1) / ROWS_A_TASK);
}

/* ---- choosing ---- */

/* Insertion into a list of at most U, largest first; an equal score stays behind the earlier index. */
static void choose(const float *scores, int64_t n_experts, int64_t n_used, int32_t *chosen)
{
    int64_t n = 0;
    for (int64_t e = 0; e < n_experts; e++) {
        int64_t at = n;
        while (at > 0 && scores[e] > scores[chosen[at - 1]]) at--;
        if (at == n_used) continue;
        const int64_t last = n < n_used ? n++ : n_used - 1;
        memmove(&chosen[at + 1], &chosen[at], (size_t)(last - at) * sizeof *chosen);
        chosen[at] = (int32_t)e;
    }
}

static void choose_row(const Net *net, const Plan *plan, int64_t n)
{
    const int64_t n_experts = net->sizes.n_experts, n_used = net->sizes.n_used;
    const float *scores = net->work.scores + n * n_experts;
    int32_t *chosen = plan->experts + n * n_used;
    bool numbers = true;
    for (int64_t e = 0; e < n_experts; e++) numbers = numbers && isfinite(scores[e]);
    if (!numbers) {
        chosen[0] = -1;
        return;
    }
    choose(scores, n_experts, n_used, chosen);
    const double top = (double)scores[chosen[0]];
    double all = 0, some = 0;
    for (int64_t e = 0; e < n_experts; e++) all += exp((double)scores[e] - top);
    for (int64_t j = 0; j < n_used; j++) some += exp((double)scores[chosen[j]] - top);
    for (int64_t e = 0; e < n_experts; e++)
        plan->probs[n * n_experts + e] = (float)(exp((double)scores[e] - top) / all);
    for (int64_t j = 0; j < n_used; j++)
        plan->weights[n * n_used + j] =
            (float)(exp((double)scores[chosen[j]] - top) / (net->router.renormalise ? some : all));
    plan->log_sums[n] = top + log(all);
}

static void choose_rows(void *arg, int64_t task, int worker)
{
    const Routing *r = arg;
    (void)worker;
    for (int64_t n = task * ROWS_A_TASK; n < rows_end(r, task); n++) choose_row(r->net, r->plan, n);
}

/* The only expert, by everybody, with weight 1. */
static void choose_dense(const Plan *plan, int64_t n_rows)
{
    for (int64_t n = 0; n < n_rows; n++) plan->experts[n] = 0, plan->weights[n] = 1.0f;
}

/* ---- places ---- */

static int64_t capacity(const Net *net, int64_t n_rows)
{
    const double even = (double)(n_rows * net->sizes.n_used) / (double)net->sizes.n_experts;
    return net->options.capacity > 0 ? (int64_t)ceil(net->options.capacity * even) : n_rows;
}

/* Answers how many slots were dropped. */
static int64_t drop_and_count(const Net *net, const Plan *plan, int64_t n_rows)
{
    const int64_t n_experts = net->sizes.n_experts, n_used = net->sizes.n_used, room = capacity(net, n_rows);
    int64_t *served = plan->first + 1, n_dropped = 0;
    memset(plan->counts, 0, (size_t)n_experts * sizeof *plan->counts);
    memset(plan->first, 0, (size_t)(n_experts + 1) * sizeof *plan->first);
    for (int64_t j = 0; j < n_used; j++)
        for (int64_t n = 0; n < n_rows; n++) {
            const int32_t e = plan->experts[n * n_used + j];
            const bool full = served[e] == room;
            plan->counts[e]++;
            plan->place_of[n * n_used + j] = full ? -1 : 0;
            served[e] += !full;
            n_dropped += full;
        }
    for (int64_t e = 0; e < n_experts; e++) plan->first[e + 1] += plan->first[e];
    return n_dropped;
}

static void give_places(const Net *net, const Plan *plan, int64_t n_rows)
{
    int64_t next[EXPERTS_MAX];
    memcpy(next, plan->first, (size_t)net->sizes.n_experts * sizeof *next);
    for (int64_t slot = 0; slot < n_rows * net->sizes.n_used; slot++) {
        if (plan->place_of[slot] < 0) continue;
        const int64_t place = next[plan->experts[slot]]++;
        plan->place_of[slot] = (int32_t)place;
        plan->slot_at[place] = (int32_t)slot;
    }
}

/* ---- what is reported ---- */

/* f_e * E: 1 for an expert that gets its share. */
static double use_of(const Net *net, const Plan *plan, int64_t e, int64_t n_rows)
{
    return (double)plan->counts[e] * (double)net->sizes.n_experts / (double)(n_rows * net->sizes.n_used);
}

static void tell_losses(const Net *net, int layer, const Plan *plan, const Pass *pass)
{
    const int64_t n_experts = net->sizes.n_experts, n_rows = pass->n_rows;
    double balance = 0, z = 0, entropy = 0;
    double means[EXPERTS_MAX] = { 0 };
    for (int64_t n = 0; n < n_rows; n++)
        for (int64_t e = 0; e < n_experts; e++) means[e] += (double)plan->probs[n * n_experts + e];
    for (int64_t e = 0; e < n_experts; e++) balance += use_of(net, plan, e, n_rows) * means[e] / (double)n_rows;
    for (int64_t n = 0; n < n_rows; n++) z += plan->log_sums[n] * plan->log_sums[n];
    for (int64_t n = 0; n < n_rows; n++)            /* -log p = log_sum - score */
        entropy += plan->log_sums[n] - dot(plan->probs + n * n_experts, net->work.scores + n * n_experts, n_experts);
    pass->report->balance += balance;
    pass->report->router_z += z / (double)n_rows;
    if (pass->report->entropy) pass->report->entropy[layer] += entropy;
}

Status route_rows(Net *net, int layer, Plan *plan, const Pass *pass, Error *error)
{
    const int64_t n_experts = net->sizes.n_experts;
    const Routing r = { net, plan, pass };
    if (net->sizes.dense) choose_dense(plan, pass->n_rows);
    else share_rows(net, choose_rows, &r);
    for (int64_t n = 0; n < pass->n_rows; n++)
        if (plan->experts[n * net->sizes.n_used] < 0)
            return fail(error, FAILED, "layer %d: the router's scores of token %lld are not numbers", layer,
                        (long long)n);
    const int64_t n_dropped = drop_and_count(net, plan, pass->n_rows);
    give_places(net, plan, pass->n_rows);
    if (!pass->report) return OK;
    pass->report->n_dropped += n_dropped;
    for (int64_t e = 0; pass->report->uses && e < n_experts; e++)
        pass->report->uses[layer * n_experts + e] += plan->first[e + 1] - plan->first[e];
    if (!net->sizes.dense) tell_losses(net, layer, plan, pass);
    return OK;
}

/* ---- the way back ---- */

/* Through the weights.  Renormalised: ds_j = w_j (dw_j - sum of w dw) for the chosen; otherwise the same over all. */
static void back_from_weights(const Net *net, const Plan *plan, int64_t n, double *ds)
{
    const int64_t n_experts = net->sizes.n_experts, n_used = net->sizes.n_used;
    const int32_t *chosen = plan->experts + n * n_used;
    const float *w = plan->weights + n * n_used, *dw = net->work.dweights + n * n_used;
    double mean = 0;
    for (int64_t j = 0; j < n_used; j++) mean += (double)w[j] * (double)dw[j];
    for (int64_t e = 0; e < n_experts; e++)
        ds[e] = net->router.renormalise ? 0.0 : -(double)plan->probs[n * n_experts + e] * mean;
    for (int64_t j = 0; j < n_used; j++)
        ds[chosen[j]] += (double)w[j] * (net->router.renormalise ? (double)dw[j] - mean : (double)dw[j]);
}

static void back_rows(void *arg, int64_t task, int worker)
{
    const Routing *r = arg;
    const Net *net = r->net;
    const int64_t n_experts = net->sizes.n_experts, n_rows = r->pass->n_rows;
    const double each = r->pass->share * (double)r->pass->n_targets / (double)(net->sizes.n_layers * n_rows);
    (void)worker;
    for (int64_t n = task * ROWS_A_TASK; n < rows_end(r, task); n++) {
        double ds[EXPERTS_MAX], mean = 0;
        const float *p = r->plan->probs + n * n_experts;
        back_from_weights(net, r->plan, n, ds);
        for (int64_t e = 0; e < n_experts; e++) mean += (double)p[e] * use_of(net, r->plan, e, n_rows);
        const double z = 2 * each * net->options.router_z * r->plan->log_sums[n];
        for (int64_t e = 0; e < n_experts; e++) {
            const double balance = each * net->options.balance * (use_of(net, r->plan, e, n_rows) - mean);
            net->work.scores[n * n_experts + e] = (float)(ds[e] + (double)p[e] * (balance + z));
        }
    }
}

void route_back(Net *net, const Plan *plan, const Pass *pass)
{
    const Routing r = { net, plan, pass };
    share_rows(net, back_rows, &r);
}
