/* SPDX-License-Identifier: Apache-2.0
 * model/moe.c - the sparse half of a layer: choose experts, fetch them, use them, mix.
 *
 *   y[t] = sum over j < U of weight[t][j] * expert[t][j](h[t])
 *
 * A dense layer is a layer whose only expert every token chooses with weight 1: route() knows the
 * difference, nothing below it.  Every expert is visited once per step, for all its rows: those in memory are used
 * while the others are read, then those that have come, in waves.  Answers are mixed in slot order, so the bits of y
 * do not depend on what was in memory or came first. */
#include "model/model.h"

#include <string.h>

/* What adapters add to an expert; NULL: nothing. */
static const ExpertLowRank *low_of(const Model *m, int layer, int expert)
{
    const LayerLora *lora = m->layers[layer].lora;
    const ExpertLowRank *low = lora ? &lora->experts[expert] : NULL;
    return low && (adapts(&low->gate) || adapts(&low->up) || adapts(&low->down)) ? low : NULL;
}

/* The first n groups that are left: pinned, used together, let go. */
static Status wave(Model *m, int layer, int n, Work *w, Error *error)
{
    const Routes *r = &w->routes;
    Store *store = m->store;
    Status status = OK;
    int n_pinned = 0;

    for (int i = 0; i < n && status == OK; i++) {
        const int g = w->left_group[i], n_rows = r->group_begin[g + 1] - r->group_begin[g];
        status = store->ops->pin(store, w->left[i], n_rows, &w->pins[i], error);    /* may wait */
        n_pinned += status == OK;
        w->jobs[i] = (ExpertJob){
            .expert = w->pins[i].weights,
            .low = low_of(m, layer, w->left[i].expert),
            .rows = r->rows + r->group_begin[g], .slots = r->slots + r->group_begin[g],
            .n = n_rows,
        };
    }
    if (status == OK) status = m->device->ops->experts(m->device, &w->parts, &w->h, w->jobs, n);
    for (int i = 0; i < n_pinned; i++) store->ops->unpin(store, &w->pins[i]);
    return status;
}

static void swap_left(Work *w, int i, int j)
{
    const ExpertId id = w->left[i];
    const int32_t group = w->left_group[i];
    w->left[i] = w->left[j], w->left_group[i] = w->left_group[j];
    w->left[j] = id, w->left_group[j] = group;
}

/* Those that can be had now, at most n_max of them, come first among the n that are left; when there is none, the one
 * that comes next is waited for.  How many. */
static int gather_wave(Model *m, int n, int n_max, Work *w)
{
    Store *store = m->store;
    int n_wave = 0;
    for (int i = 0; i < n && n_wave < n_max; i++)
        if (store->ops->resident(store, w->left[i])) swap_left(w, i, n_wave++);
    if (n_wave) return n_wave;
    swap_left(w, store->ops->first(store, w->left, n), 0);
    return 1;
}

/* When not all fit at once, half of the room is used while the other half is read. */
static Status waves(Model *m, int layer, Work *w, Error *error)
{
    int n = w->routes.n_groups;
    for (int g = 0; g < n; g++) w->left[g] = w->ids[g], w->left_group[g] = g;
    while (n > 0) {
        const int room = m->store->pins_max;
        const int n_wave = gather_wave(m, n, n <= room / 2 || room == 1 ? room : room / 2, w);
        TRY(wave(m, layer, n_wave, w, error));
        n -= n_wave;
        memmove(w->left, w->left + n_wave, (size_t)n * sizeof *w->left);
        memmove(w->left_group, w->left_group + n_wave, (size_t)n * sizeof *w->left_group);
    }
    return OK;
}

/* Experts in memory first, so that a store with few slots uses what it has before it gives it up.  Each is asked about
 * once: what is being read may come at any moment, and would be missed by whoever asks twice. */
static void resident_first(Model *m, int layer, Work *w, int n_groups)
{
    Routes *r = &w->routes;
    int n = 0, n_absent = 0;
    for (int g = 0; g < n_groups; g++) {
        const ExpertId id = { (int16_t)layer, (int16_t)r->group_expert[g] };
        if (m->store->ops->resident(m->store, id)) w->ids[n++] = id;
        else w->left[n_absent++] = id;
    }
    memcpy(w->ids + n, w->left, (size_t)n_absent * sizeof *w->ids);
}

/* Rows and slots sorted by expert, in the order of ids; within an expert by slot. */
static void order_groups(Model *m, int layer, Work *w)
{
    Routes *r = &w->routes;
    const int n_used = (int)m->sizes.n_used, n_slots = (int)w->parts.rows, n_groups = r->n_groups;
    int32_t next[EXPERTS_MAX] = { 0 };                      /* per expert: how many, then where    */

    resident_first(m, layer, w, n_groups);
    for (int i = 0; i < n_slots; i++) next[r->experts[i]]++;
    r->group_begin[0] = 0;
    for (int g = 0; g < n_groups; g++) {
        const int expert = r->group_expert[g] = w->ids[g].expert;
        r->group_begin[g + 1] = r->group_begin[g] + next[expert];
        next[expert] = r->group_begin[g];
    }
    for (int i = 0; i < n_slots; i++) {
        const int32_t at = next[r->experts[i]]++;
        r->rows[at] = i / n_used;
        r->slots[at] = i;
    }
}

Status moe(Model *m, int layer, const Step *step, Work *w, Error *error)
{
    TRY(route(m, layer, step, w, error));                   /* who goes to whom, with what weight */
    order_groups(m, layer, w);
    m->store->ops->hint(m->store, w->ids, w->routes.n_groups, HINT_NEEDED);
    TRY(look_ahead(m, layer, step, w));
    TRY(waves(m, layer, w, error));
    return m->device->ops->combine(m->device, &w->y, &w->parts, w->routes.weights,
                                   (int)m->sizes.n_used);
}
