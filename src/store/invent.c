/* SPDX-License-Identifier: Apache-2.0
 * store/invent.c - see invent.h.
 *
 * In each layer the experts stand in a random order, another one for each topic; the k-th is drawn with a
 * weight of k^-skew, U different ones for a row.  A topic ends with probability 1/burst after each step. */
#include "store/invent.h"

#include "base/arena.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>

enum { TOPICS_MAX = 4096 };

typedef struct Inventor {
    const Invention *how;
    Rng      rng;
    double  *weight;                    /* [E] of the k-th                                 */
    int16_t *order;                     /* [topics][L][E]                                  */
    bool    *taken;                     /* [E]                                             */
    int32_t *experts;                   /* [L][U] one row                                  */
} Inventor;

static void shuffle(Rng *rng, int16_t *order, int n)
{
    for (int i = 0; i < n; i++) order[i] = (int16_t)i;
    for (int i = n - 1; i > 0; i--) {
        const int j = (int)(rng_unit(rng) * (i + 1));
        const int16_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

/* U different experts, each with its weight among those that are left. */
static void draw(Inventor *v, const int16_t *order, int32_t *out)
{
    const Invention *how = v->how;
    double all = 0;
    for (int k = 0; k < how->n_experts; k++) {
        v->taken[k] = false;
        all += v->weight[k];
    }
    for (int i = 0; i < how->n_used; i++) {
        double left = rng_unit(&v->rng) * all;
        int chosen = -1;
        for (int k = 0; k < how->n_experts && (chosen < 0 || left >= 0); k++) {
            if (v->taken[k]) continue;
            chosen = k;                                 /* the last one, should sums not meet  */
            left -= v->weight[k];
        }
        v->taken[chosen] = true;
        all -= v->weight[chosen];
        out[i] = order[chosen];
    }
}

static Status invent(Inventor *v, int n_topics, Trace *out, Error *error)
{
    const Invention *how = v->how;
    const size_t layer_orders = (size_t)how->n_experts, topic_orders = layer_orders * (size_t)how->n_layers;
    for (int k = 0; k < how->n_experts; k++) v->weight[k] = pow(k + 1, -how->skew);
    for (size_t i = 0; i < topic_orders * (size_t)n_topics; i += layer_orders)
        shuffle(&v->rng, v->order + i, how->n_experts);

    size_t topic = 0;
    for (int64_t step = 0; step < how->n_steps; step++) {
        if (how->burst_steps && rng_unit(&v->rng) * (double)how->burst_steps < 1)
            topic = (size_t)(rng_unit(&v->rng) * n_topics);
        for (int layer = 0; layer < how->n_layers; layer++)
            draw(v, v->order + topic * topic_orders + (size_t)layer * layer_orders,
                 v->experts + layer * how->n_used);
        TRY(trace_add(out, (const int32_t *const[]){ v->experts }, 1, error));
    }
    return OK;
}

static void name_it(const Invention *how, int n_topics, TraceHead *head)
{
    if (how->burst_steps)
        snprintf(head->model, sizeof head->model, "invented: skew %g, %d topics of %lld steps", how->skew,
                 n_topics, (long long)how->burst_steps);
    else if (how->skew > 0) snprintf(head->model, sizeof head->model, "invented: skew %g", how->skew);
    else snprintf(head->model, sizeof head->model, "invented: uniform");
}

Status trace_invent(const Invention *how, Trace *out, Error *error)
{
    *out = (Trace){ 0 };
    const int n_topics = how->burst_steps ? how->n_topics : 1;
    if (how->n_steps < 1 || how->n_steps > TRACE_STEPS_MAX)
        return fail(error, BAD_ARGUMENT, "steps: expected 1 to %d, found %lld", TRACE_STEPS_MAX,
                    (long long)how->n_steps);
    if (how->n_layers < 1 || how->n_layers > TRACE_LAYERS_MAX || how->n_experts < 1 ||
        how->n_experts > TRACE_EXPERTS_MAX || how->n_used < 1 || how->n_used > how->n_experts)
        return fail(error, BAD_ARGUMENT, "shape: expected at most %d layers of %d experts, some used; found %d, %d, %d",
                    TRACE_LAYERS_MAX, TRACE_EXPERTS_MAX, how->n_layers, how->n_experts, how->n_used);
    if (n_topics < 1 || n_topics > TOPICS_MAX)
        return fail(error, BAD_ARGUMENT, "topics: expected 1 to %d, found %d", TOPICS_MAX, n_topics);
    TraceHead head = { .n_layers = how->n_layers, .n_experts = how->n_experts, .n_used = how->n_used };
    name_it(how, n_topics, &head);
    TRY(trace_new(&head, out, error));

    Arena arena = { 0 };
    const size_t n_experts = (size_t)how->n_experts, n_orders = (size_t)how->n_layers * (size_t)n_topics;
    Inventor v = { .how = how,
                   .rng = { how->seed },
                   .weight = arena_new(&arena, n_experts, sizeof *v.weight),
                   .order = arena_new(&arena, n_orders * n_experts, sizeof *v.order),
                   .taken = arena_new(&arena, n_experts, sizeof *v.taken),
                   .experts = arena_new(&arena, (size_t)how->n_layers, (size_t)how->n_used * sizeof *v.experts) };
    Status status = v.weight && v.order && v.taken && v.experts ? OK : fail_memory(error, "a trace");
    if (status == OK) status = invent(&v, n_topics, out, error);
    arena_free(&arena);
    if (status != OK) trace_free(out);
    return status;
}
