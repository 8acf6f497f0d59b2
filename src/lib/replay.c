/* SPDX-License-Identifier: Apache-2.0
 * lib/replay.c - traces of routing, policies tried on them, and what is kept beside a model. */
#include <mixt_tools.h>

#include "lib/lib.h"
#include "store/invent.h"
#include "store/replay.h"
#include "store/use.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)MIXT_REPLAY_BUDGETS == (int)REPLAY_BUDGETS &&
                   (int)MIXT_REPLAY_POLICIES_MAX == (int)REPLAY_POLICIES_MAX,
               "tables are copied whole");

/* ---- traces ---- */

/* Whatever `make` makes of `from`, as a trace of the caller's. */
static mixt_status give(Status (*make)(const void *from, Trace *out, Error *error), const void *from,
                        mixt_trace **out, mixt_error *error)
{
    Error inside = { 0 };
    *out = NULL;
    mixt_trace *t = calloc(1, sizeof *t);
    const Status status = t ? make(from, &t->trace, &inside) : fail_memory(&inside, "a trace");
    if (status == OK) *out = t;
    else mixt_trace_free(t);
    return answer(error, status, &inside);
}

static Status from_file(const void *path, Trace *out, Error *error)
{
    return trace_read(path, out, error);
}

mixt_status mixt_trace_open(const char *path, mixt_trace **out, mixt_error *error)
{
    return give(from_file, path, out, error);
}

/* The last part of a path: a trace may travel, and folders are nobody's business. */
static void name_of(const char *path, char out[TRACE_NAME_MAX + 1])
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    size_t first = n;
    while (first > 0 && path[first - 1] != '/') first--;
    const int length = n - first < TRACE_NAME_MAX ? (int)(n - first) : TRACE_NAME_MAX;
    snprintf(out, TRACE_NAME_MAX + 1, "%.*s", length, path + first);
}

static Status of_model(const void *model, Trace *out, Error *error)
{
    const mixt_model *m = model;
    if (!m->arch || m->sizes.dense)
        return fail(error, BAD_ARGUMENT, "%s: expected a mixture of experts, found a %s", m->catalog.path,
                    m->arch ? "dense model" : "vocabulary");
    TraceHead head = { .n_layers = (int)m->sizes.n_layers, .n_experts = (int)m->sizes.n_experts,
                       .n_used = (int)m->sizes.n_used, .expert_bytes = m->bytes.largest_expert };
    name_of(m->catalog.path, head.model);
    return trace_new(&head, out, error);
}

mixt_status mixt_trace_new(const mixt_model *model, mixt_trace **out, mixt_error *error)
{
    return give(of_model, model, out, error);
}

static Status add(Trace *t, const int32_t *experts, size_t n_rows, Error *error)
{
    const size_t each = (size_t)t->head.n_layers * (size_t)t->head.n_used;
    if (n_rows > TRACE_ROWS_MAX)
        return fail(error, BAD_ARGUMENT, "rows of a step: expected at most %d, found %zu", TRACE_ROWS_MAX, n_rows);
    const int32_t **rows = malloc((n_rows + 1) * sizeof *rows);
    if (!rows) return fail_memory(error, "a step of the trace");
    for (size_t i = 0; i < n_rows; i++) rows[i] = experts + i * each;
    const Status status = trace_add(t, rows, (int)n_rows, error);
    free(rows);
    return status;
}

mixt_status mixt_trace_add(mixt_trace *t, const int32_t *experts, size_t n_rows, mixt_error *error)
{
    Error inside = { 0 };
    return answer(error, add(&t->trace, experts, n_rows, &inside), &inside);
}

mixt_status mixt_trace_join(mixt_trace *t, const mixt_trace *more, mixt_error *error)
{
    Error inside = { 0 };
    return answer(error, trace_join(&t->trace, &more->trace, &inside), &inside);
}

mixt_status mixt_trace_write(const mixt_trace *t, const char *path, mixt_error *error)
{
    Error inside = { 0 };
    return answer(error, trace_write(&t->trace, path, &inside), &inside);
}

void mixt_trace_free(mixt_trace *t)
{
    if (!t) return;
    trace_free(&t->trace);
    free(t);
}

mixt_trace_info mixt_trace_read(const mixt_trace *t)
{
    const TraceHead *h = &t->trace.head;
    return (mixt_trace_info){ .struct_bytes = sizeof(mixt_trace_info), .model = h->model,
                              .n_layers = h->n_layers, .n_experts = h->n_experts, .n_used = h->n_used,
                              .expert_bytes = h->expert_bytes, .n_steps = t->trace.n_steps,
                              .n_rows = t->trace.n_rows };
}

/* ---- inventions ---- */

mixt_invention mixt_invention_defaults(void)
{
    return (mixt_invention){ .struct_bytes = sizeof(mixt_invention), .n_layers = 32, .n_experts = 8,
                             .n_used = 2, .n_steps = 2000, .n_topics = 8, .seed = 1 };
}

static int small(int64_t n)
{
    return n >= 0 && n <= INT32_MAX ? (int)n : -1;
}

static Status invented(const void *how, Trace *out, Error *error)
{
    const mixt_invention *i = how;
    *out = (Trace){ 0 };
    if (!(i->skew >= 0 && i->skew <= 20) || i->burst_steps < 0)
        return fail(error, BAD_ARGUMENT, "trace: expected a skew of 0 to 20 and bursts of 0 steps or more");
    const Invention inside = { .n_layers = small(i->n_layers), .n_experts = small(i->n_experts),
                               .n_used = small(i->n_used), .n_steps = i->n_steps, .skew = i->skew,
                               .burst_steps = i->burst_steps, .n_topics = small(i->n_topics), .seed = i->seed };
    return trace_invent(&inside, out, error);
}

mixt_status mixt_trace_invent(const mixt_invention *how, mixt_trace **out, mixt_error *error)
{
    mixt_invention h = mixt_invention_defaults();
    take_options(&h, sizeof h, how);
    return give(invented, &h, out, error);
}

/* ---- replay ---- */

static void give_row(const ReplayTable *table, int i, mixt_replay_row *out)
{
    const PolicyKind *kind = policy_kind(table->policies[i]);
    *out = (mixt_replay_row){ .policy = table->policies[i],
                              .what = kind ? kind->what : "who is asked for last goes; needs to know the future" };
    for (int b = 0; b < REPLAY_BUDGETS; b++) {
        out->first[b] = score_rate(table->cell[i][b].first);
        out->second[b] = score_rate(table->cell[i][b].second);
    }
}

static void give_table(const Trace *t, const ReplayTable *table, mixt_replay *out)
{
    *out = (mixt_replay){ .struct_bytes = sizeof *out, .n_rows = table->n_policies, .chosen = table->chosen };
    int64_t n_rows = 0;
    for (int64_t step = t->n_steps / 2; step < t->n_steps; step++) n_rows += t->step_rows[step];
    if (n_rows) out->asked_per_row = (double)table->cell[0][0].second.n_uses / (double)n_rows;
    for (int b = 0; b < REPLAY_BUDGETS; b++) out->room[b] = table->room[b];
    for (int i = 0; i < table->n_policies; i++) give_row(table, i, &out->rows[i]);
}

mixt_status mixt_replay_run(const mixt_trace *t, mixt_progress_fn progress, void *progress_user, mixt_replay *out,
                            mixt_error *error)
{
    Error inside = { 0 };
    ReplayTable table;
    *out = (mixt_replay){ .struct_bytes = sizeof *out };
    Status status = t->trace.n_steps < 2
                        ? fail(&inside, BAD_ARGUMENT, "trace: expected at least 2 steps, found %lld",
                               (long long)t->trace.n_steps)
                        : replay_table(&t->trace, progress, progress_user, &table, &inside);
    if (status == OK) give_table(&t->trace, &table, out);
    return answer(error, status, &inside);
}

/* ---- what is kept beside a model ---- */

static Status learn_trace(Use *use, const Trace *t, Error *error)
{
    const size_t n_keys = (size_t)use->n_layers * (size_t)use->n_experts;
    int64_t *rows = calloc(n_keys, sizeof *rows);
    if (!rows) return fail_memory(error, "the use of experts");
    for (int64_t step = 0; step < t->n_steps; step++)
        for (int layer = 0; layer < use->n_layers; layer++) {
            int n;
            const TraceUse *uses = trace_uses(t, step, layer, &n);
            for (int i = 0; i < n; i++) rows[layer * use->n_experts + uses[i].expert] += uses[i].n_rows;
        }
    use_learn(use, rows, t->head.n_used);
    free(rows);
    return OK;
}

static Status learn(const mixt_model *m, const Trace *t, const char *policy, const char *path, Error *error)
{
    const int n_layers = (int)m->sizes.n_layers, n_experts = (int)m->sizes.n_experts;
    if (t->head.n_layers != n_layers || t->head.n_experts != n_experts)
        return fail(error, BAD_ARGUMENT, "%s: has %d layers of %d experts, the trace %d of %d", m->catalog.path,
                    n_layers, n_experts, t->head.n_layers, t->head.n_experts);
    if (policy && !policy_kind(policy)) return fail(error, BAD_ARGUMENT, "no policy is called '%s'", policy);
    uint64_t mark;
    Use use;
    TRY(use_mark(&m->catalog, &mark, error));
    if (use_read(path, mark, n_layers, n_experts, &use, NULL) != OK)
        TRY(use_new(mark, n_layers, n_experts, &use, error));
    if (policy) snprintf(use.policy, sizeof use.policy, "%s", policy);
    Status status = learn_trace(&use, t, error);
    if (status == OK) status = use_write(&use, path, error);
    use_free(&use);
    return status;
}

mixt_status mixt_use_learn(const mixt_model *model, const mixt_trace *trace, const char *policy, const char *path,
                           mixt_error *error)
{
    Error inside = { 0 };
    return answer(error, learn(model, &trace->trace, policy, path, &inside), &inside);
}

static Status check_use(const mixt_model *m, const char *path, Error *error)
{
    uint64_t mark;
    Use use;
    TRY(use_mark(&m->catalog, &mark, error));
    TRY(use_read(path, mark, (int)m->sizes.n_layers, (int)m->sizes.n_experts, &use, error));
    use_free(&use);
    return OK;
}

mixt_status mixt_use_check(const mixt_model *model, const char *path, mixt_error *error)
{
    Error inside = { 0 };
    return answer(error, check_use(model, path, &inside), &inside);
}

mixt_status mixt_engine_learn(mixt_engine *engine, const char *path, mixt_error *error)
{
    Error inside = { 0 };
    return answer(error, engine_learn(engine->engine, &engine->model->catalog, path, &inside), &inside);
}
