/* SPDX-License-Identifier: Apache-2.0
 * store/replay.c - see replay.h. */
#include "store/replay.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

/* A store without weights.  Keys in memory lie in `resident`, those that are pinned at its end. */
typedef struct Room {
    const Trace *trace;
    Policy      *policy;                /* NULL: the oracle                                */
    int32_t     *resident;              /* [room]                                          */
    int32_t     *place;                 /* [L*E] where in it, -1: not there                */
    int          n_resident, n_pinned, room;
    int64_t     *next;                  /* [n_uses] the oracle's: when the same expert is used next */
    int64_t     *when;                  /* [L*E] its next use as of now                    */
    TraceUse    *line;                  /* [E] a layer's uses, those in memory first       */
    int64_t     *line_at;               /* [E] and which they are                          */
} Room;

static void swap_places(Room *r, int a, int b)
{
    const int32_t key = r->resident[a];
    r->resident[a] = r->resident[b];
    r->resident[b] = key;
    r->place[r->resident[a]] = a;
    r->place[key] = b;
}

static int farthest(const Room *r, int n)
{
    int worst = 0;
    for (int i = 1; i < n; i++)
        if (r->when[r->resident[i]] > r->when[r->resident[worst]]) worst = i;
    return worst;
}

/* Makes room for one: somebody who is not pinned leaves. */
static void evict(Room *r, int layer)
{
    const int n = r->n_resident - r->n_pinned;
    const int gone = r->policy ? policy_victim(r->policy, r->resident, n, layer) : farthest(r, n);
    swap_places(r, gone, n - 1);                        /* the last that is not pinned ..      */
    swap_places(r, n - 1, r->n_resident - 1);           /* .. and now the last of all          */
    r->place[r->resident[--r->n_resident]] = -1;
}

static bool pin(Room *r, int32_t key, int layer)
{
    const bool hit = r->place[key] >= 0;
    if (!hit) {
        if (r->n_resident == r->room) evict(r, layer);
        r->place[key] = r->n_resident;
        r->resident[r->n_resident++] = key;
    }
    swap_places(r, r->place[key], r->n_resident - 1 - r->n_pinned);
    r->n_pinned++;
    return hit;
}

/* Those in memory first, as model/moe.c does it. */
static int line_up(Room *r, const TraceUse *uses, int n, int32_t first)
{
    int at = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < n; i++)
            if ((r->place[first + uses[i].expert] >= 0) == (pass == 0)) {
                r->line_at[at] = uses - r->trace->uses + i;
                r->line[at++] = uses[i];
            }
    return at;
}

static void run_layer(Room *r, int64_t step, int layer, ReplayScore *score)
{
    int n;
    const TraceUse *uses = trace_uses(r->trace, step, layer, &n);
    const int32_t first = layer * r->trace->head.n_experts;
    line_up(r, uses, n, first);
    for (int i = 0; i < n; i++) {
        if (r->n_pinned == r->room) r->n_pinned = 0;    /* this wave is done                   */
        const int32_t key = first + r->line[i].expert;
        score->n_hits += pin(r, key, layer);
        if (r->policy) policy_used(r->policy, key, r->line[i].n_rows);
        else r->when[key] = r->next[r->line_at[i]];
    }
    score->n_uses += n;
    r->n_pinned = 0;
}

/* Backwards: who uses this expert next is who was last seen to. */
static void look_ahead(Room *r)
{
    const Trace *t = r->trace;
    const int n_layers = t->head.n_layers, n_keys = n_layers * t->head.n_experts;
    for (int key = 0; key < n_keys; key++) r->when[key] = INT64_MAX;
    for (int64_t step = t->n_steps - 1; step >= 0; step--)
        for (int layer = n_layers - 1; layer >= 0; layer--) {
            int n;
            const TraceUse *uses = trace_uses(t, step, layer, &n);
            for (int i = 0; i < n; i++) {
                const int key = layer * t->head.n_experts + uses[i].expert;
                r->next[uses - t->uses + i] = r->when[key];
                r->when[key] = step * n_layers + layer;
            }
        }
}

/* What was used most lies there already. */
static void fill(Room *r, const float *shares)
{
    const int n_keys = r->trace->head.n_layers * r->trace->head.n_experts;
    while (r->n_resident < r->room) {
        int best = -1;
        for (int key = 0; key < n_keys; key++)
            if (r->place[key] < 0 && (best < 0 || shares[key] > shares[best])) best = key;
        r->place[best] = r->n_resident;
        r->resident[r->n_resident++] = best;
    }
}

static void run(Room *r, Replay *out)
{
    const Trace *t = r->trace;
    for (int64_t step = 0; step < t->n_steps; step++) {
        if (r->policy) policy_step(r->policy);
        ReplayScore *score = step < t->n_steps / 2 ? &out->first : &out->second;
        for (int layer = 0; layer < t->head.n_layers; layer++) run_layer(r, step, layer, score);
    }
}

static Status make_room(Room *r, Arena *arena, Error *error)
{
    const size_t n_experts = (size_t)r->trace->head.n_experts, n_keys = n_experts * (size_t)r->trace->head.n_layers;
    r->resident = arena_new(arena, (size_t)r->room, sizeof *r->resident);
    r->place = arena_new(arena, n_keys, sizeof *r->place);
    r->when = arena_new(arena, n_keys, sizeof *r->when);
    r->line = arena_new(arena, n_experts, sizeof *r->line);
    r->line_at = arena_new(arena, n_experts, sizeof *r->line_at);
    if (!r->policy) r->next = arena_new(arena, (size_t)r->trace->n_uses + 1, sizeof *r->next);
    if (!r->resident || !r->place || !r->when || !r->line || !r->line_at || (!r->policy && !r->next))
        return fail_memory(error, "the replay");
    for (size_t key = 0; key < n_keys; key++) r->place[key] = -1;
    return OK;
}

Status replay(const Trace *trace, const char *policy, int room, const float *shares, int64_t n_rows, Replay *out,
              Error *error)
{
    *out = (Replay){ 0 };
    const int n_keys = trace->head.n_layers * trace->head.n_experts;
    if (room < 1 || room > n_keys)
        return fail(error, BAD_ARGUMENT, "room: expected 1 to %d experts, found %d", n_keys, room);
    Room r = { .trace = trace, .room = room };
    Arena arena = { 0 };
    Status status = OK;
    if (strcmp(policy, REPLAY_ORACLE) != 0)
        status = policy_new(policy, trace->head.n_layers, trace->head.n_experts, &r.policy, error);
    if (status == OK) status = make_room(&r, &arena, error);
    if (status == OK) {
        if (!r.policy) look_ahead(&r);
        if (shares) fill(&r, shares);
        if (shares && r.policy) policy_prime(r.policy, shares, n_rows);
        run(&r, out);
    }
    policy_free(r.policy);
    arena_free(&arena);
    return status;
}

/* ---- every policy, several budgets ---- */

static int best_of(const ReplayTable *table)
{
    int best = 0;
    double most = -1;
    for (int i = 0; i < table->n_policies - 1; i++) {
        double sum = 0;
        for (int b = 0; b < REPLAY_BUDGETS; b++) sum += score_rate(table->cell[i][b].first);
        if (sum > most) {
            most = sum;
            best = i;
        }
    }
    return best;
}

Status replay_table(const Trace *trace, int (*tell)(void *user, int64_t done, int64_t total), void *user,
                    ReplayTable *out, Error *error)
{
    *out = (ReplayTable){ .n_policies = n_policy_kinds + 1 };
    const int n_keys = trace->head.n_layers * trace->head.n_experts, n_cells = out->n_policies * REPLAY_BUDGETS;
    for (int i = 0; i < n_policy_kinds; i++) out->policies[i] = policy_kinds[i].name;
    out->policies[n_policy_kinds] = REPLAY_ORACLE;
    for (int b = 0; b < REPLAY_BUDGETS; b++) {
        const int room = (n_keys * (b + 1) + 5) / 10;
        out->room[b] = room > 1 ? room : 1;
    }
    for (int i = 0; i < n_cells; i++) {
        const int policy = i / REPLAY_BUDGETS, b = i % REPLAY_BUDGETS;
        if (tell && tell(user, i, n_cells)) return fail(error, CANCELLED, "stopped before the replay was done");
        TRY(replay(trace, out->policies[policy], out->room[b], NULL, 0, &out->cell[policy][b], error));
    }
    out->chosen = best_of(out);
    return OK;
}
