/* SPDX-License-Identifier: Apache-2.0
 * model/moe.c - the sparse half of a layer: choose experts, fetch them, use them, mix.
 *
 *   y[t] = sum over j < U of weight[t][j] * expert[t][j](h[t])
 *
 * A dense layer is a layer whose only expert every token chooses with weight 1: route() knows the
 * difference, nothing below it.  Every expert is visited once per step, for all its rows, in waves
 * of as many as the store can hold.  Answers are mixed in slot order, so the bits of y do not
 * depend on what was in memory. */
#include "model/model.h"

/* What adapters add to an expert; NULL: nothing. */
static const ExpertLowRank *low_of(const Model *m, int layer, int expert)
{
    const LayerLora *lora = m->layers[layer].lora;
    const ExpertLowRank *low = lora ? &lora->experts[expert] : NULL;
    return low && (adapts(&low->gate) || adapts(&low->up) || adapts(&low->down)) ? low : NULL;
}

/* Experts [begin, end) of this layer's groups: pinned, used together, let go. */
static Status wave(Model *m, int layer, int begin, int end, Work *w, Error *error)
{
    const Routes *r = &w->routes;
    Store *store = m->store;
    Status status = OK;
    int n_pinned = 0;

    for (int g = begin; g < end && status == OK; g++) {
        status = store->ops->pin(store, w->ids[g], r->group_begin[g + 1] - r->group_begin[g],
                                 &w->pins[g], error);           /* may wait              */
        n_pinned += status == OK;
        w->jobs[g] = (ExpertJob){
            .expert = w->pins[g].weights,
            .low = low_of(m, layer, w->ids[g].expert),
            .rows = r->rows + r->group_begin[g], .slots = r->slots + r->group_begin[g],
            .n = r->group_begin[g + 1] - r->group_begin[g],
        };
    }
    if (status == OK)
        status = m->device->ops->experts(m->device, &w->parts, &w->h, w->jobs + begin, end - begin);
    for (int g = begin; g < begin + n_pinned; g++) store->ops->unpin(store, &w->pins[g]);
    return status;
}

/* Experts in memory first, so that a store with few slots uses what it has before it gives it up. */
static void resident_first(Model *m, int layer, Work *w, int n_groups)
{
    Routes *r = &w->routes;
    int n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int g = 0; g < n_groups; g++) {
            const ExpertId id = { (int16_t)layer, (int16_t)r->group_expert[g] };
            if (m->store->ops->resident(m->store, id) == (pass == 0)) w->ids[n++] = id;
        }
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

    const int n_groups = w->routes.n_groups, room = m->store->pins_max;
    for (int begin = 0; begin < n_groups;) {
        const int end = n_groups - begin <= room ? n_groups : begin + room;
        TRY(wave(m, layer, begin, end, w, error));
        begin = end;
    }
    return m->device->ops->combine(m->device, &w->y, &w->parts, w->routes.weights,
                                   (int)m->sizes.n_used);
}
