/* SPDX-License-Identifier: Apache-2.0
 * device/profile.c - see profile.h. */
#include "device/profile.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

struct Profile {
    const DeviceOps *real;
    DeviceOps        timed;
    int64_t          step_began_ns, steps_ns, n_steps;
    int              n_rows;
    ProfileRow       rows[PROFILE_ROWS_MAX - 1];        /* and one for what lies between    */
};

/* ---- counting ---- */

/* By name: there are few, and an op takes far longer.  A name too many goes to the last row. */
static ProfileRow *row_of(Profile *p, const char *name)
{
    for (int i = 0; i < p->n_rows; i++)
        if (p->rows[i].name == name || !strcmp(p->rows[i].name, name)) return &p->rows[i];
    if (p->n_rows == ARRAY_LEN(p->rows)) return &p->rows[p->n_rows - 1];
    p->rows[p->n_rows] = (ProfileRow){ .name = name };
    return &p->rows[p->n_rows++];
}

static Status count(Device *d, const char *name, int64_t start_ns, int64_t bytes,
                    int64_t operations, Status status)
{
    ProfileRow *row = row_of(d->profile, name);
    row->ns += clock_ns() - start_ns;
    row->n_calls++;
    row->bytes += bytes;
    row->operations += operations;
    return status;
}

static int64_t weight_bytes(const Tensor *w)
{
    return w->rows * w->row_bytes;
}

/* ---- wrappers, in the order of DeviceOps ---- */

static Status timed_download(Device *d, void *to, const Tensor *from, size_t n_bytes)
{
    const int64_t start_ns = clock_ns();
    return count(d, "download", start_ns, 0, 0, d->profile->real->download(d, to, from, n_bytes));
}

static Status timed_wait(Device *d)
{
    const int64_t start_ns = clock_ns();
    return count(d, "wait", start_ns, 0, 0, d->profile->real->wait(d));
}

static Status timed_embed(Device *d, Tensor *y, const Tensor *table, const int32_t *tokens, int n)
{
    const int64_t start_ns = clock_ns();
    return count(d, "embedding", start_ns, n * table->row_bytes, 0,
                 d->profile->real->embed(d, y, table, tokens, n));
}

static Status timed_norm(Device *d, Tensor *y, const Tensor *x, const Norm *norm)
{
    const int64_t start_ns = clock_ns();
    return count(d, "norm", start_ns, 0, 0, d->profile->real->norm(d, y, x, norm));
}

static Status timed_project(Device *d, Tensor *const y[], const Tensor *x, const Tensor *const w[],
                            int n)
{
    const int64_t start_ns = clock_ns();
    int64_t bytes = 0, operations = 0;
    for (int i = 0; i < n; i++) {
        bytes += weight_bytes(w[i]);
        operations += 2 * x->rows * w[i]->rows * w[i]->cols;
    }
    const char *name = n > 0 && w[0]->role ? w[0]->role : "project";
    return count(d, name, start_ns, bytes, operations, d->profile->real->project(d, y, x, w, n));
}

static Status timed_add(Device *d, Tensor *y, const Tensor *x)
{
    const int64_t start_ns = clock_ns();
    return count(d, "add", start_ns, 0, 0, d->profile->real->add(d, y, x));
}

static Status timed_adapt(Device *d, Tensor *y, const Tensor *x, const LowRank *low)
{
    const int64_t start_ns = clock_ns(), values = low->a.rows * (low->a.cols + low->b.rows);
    return count(d, "adapters", start_ns, values * (int64_t)sizeof(float), 2 * x->rows * values,
                 d->profile->real->adapt(d, y, x, low));
}

static Status timed_rope(Device *d, Tensor *x, const int32_t *positions, const Rope *rope)
{
    const int64_t start_ns = clock_ns();
    return count(d, "rope", start_ns, 0, 0, d->profile->real->rope(d, x, positions, rope));
}

static Status timed_kv_write(Device *d, const KvView *kv, const Tensor *k, const Tensor *v)
{
    const int64_t start_ns = clock_ns();
    return count(d, "kv write", start_ns, 0, 0, d->profile->real->kv_write(d, kv, k, v));
}

/* Rows of one sequence that follow each other share what they read: from the first position that
 * the first of them sees to the last one's own. */
static void count_attended(const KvView *kv, int64_t n_rows, int64_t n_q, int64_t *bytes,
                           int64_t *operations)
{
    int64_t positions = 0, seen = 0;
    for (int64_t t = 0, from = 0; t < n_rows; t++) {
        const int64_t own = kv->positions[t];
        const int64_t first = kv->window > 0 && own >= kv->window ? own - kv->window + 1 : 0;
        if (t == 0 || kv->pages[t] != kv->pages[t - 1]) from = first;
        if (t == n_rows - 1 || kv->pages[t + 1] != kv->pages[t]) positions += own - from + 1;
        seen += own - first + 1;
    }
    *bytes = n_rows ? 2 * positions * kv->pages[0]->row_bytes : 0;
    *operations = 4 * seen * n_q;               /* a product with the key, one with the value */
}

static Status timed_attend(Device *d, Tensor *y, const Tensor *q, const KvView *kv)
{
    int64_t bytes, operations;
    count_attended(kv, q->rows, q->cols, &bytes, &operations);
    const int64_t start_ns = clock_ns();
    return count(d, "attention", start_ns, bytes, operations,
                 d->profile->real->attend(d, y, q, kv));
}

static Status timed_experts(Device *d, Tensor *parts, const Tensor *x, const ExpertJob *jobs,
                            int n_jobs)
{
    const int64_t start_ns = clock_ns();
    int64_t bytes = 0, operations = 0;
    for (int j = 0; j < n_jobs; j++) {
        const Expert *e = &jobs[j].expert;
        bytes += weight_bytes(&e->gate) + weight_bytes(&e->up) + weight_bytes(&e->down);
        operations += 6 * jobs[j].n * e->gate.rows * e->gate.cols; /* three matrices of one size */
    }
    return count(d, "experts", start_ns, bytes, operations,
                 d->profile->real->experts(d, parts, x, jobs, n_jobs));
}

static Status timed_combine(Device *d, Tensor *y, const Tensor *parts, const float *weights,
                            int n_used)
{
    const int64_t start_ns = clock_ns();
    return count(d, "combine", start_ns, 0, 0,
                 d->profile->real->combine(d, y, parts, weights, n_used));
}

static Status timed_pick(Device *d, Tensor *y, const Tensor *x, const int32_t *rows, int n)
{
    const int64_t start_ns = clock_ns();
    return count(d, "pick", start_ns, 0, 0, d->profile->real->pick(d, y, x, rows, n));
}

/* ---- on and off ---- */

/* The other ops stay the device's own: they belong to loading. */
Status profile_attach(Device *d, Error *error)
{
    Profile *p = calloc(1, sizeof *p);
    if (!p) return fail_memory(error, "a profile");
    p->real = d->ops;
    p->timed = *d->ops;
    p->timed.download = timed_download;
    p->timed.wait = timed_wait;
    p->timed.embed = timed_embed;
    p->timed.norm = timed_norm;
    p->timed.project = timed_project;
    p->timed.add = timed_add;
    p->timed.adapt = timed_adapt;
    p->timed.rope = timed_rope;
    p->timed.kv_write = timed_kv_write;
    p->timed.attend = timed_attend;
    p->timed.experts = timed_experts;
    p->timed.combine = timed_combine;
    p->timed.pick = timed_pick;
    d->profile = p;
    d->ops = &p->timed;
    return OK;
}

void profile_detach(Device *d)
{
    if (!d->profile) return;
    d->ops = d->profile->real;
    free(d->profile);
    d->profile = NULL;
}

void profile_reset(Device *d)
{
    Profile *p = d->profile;
    if (!p) return;
    p->n_rows = 0;
    p->steps_ns = p->n_steps = 0;
}

int profile_read_rows(const Device *d, ProfileRow rows[PROFILE_ROWS_MAX])
{
    const Profile *p = d->profile;
    if (!p) return 0;
    int64_t between_ns = p->steps_ns;
    for (int i = 0; i < p->n_rows; i++) {
        rows[i] = p->rows[i];
        between_ns -= p->rows[i].ns;
    }
    /* Work outside steps (a download of logits) counts in its row and would make this negative. */
    rows[p->n_rows] = (ProfileRow){ .name = "between",
                                    .n_calls = p->n_steps,
                                    .ns = between_ns > 0 ? between_ns : 0 };
    return p->n_rows + 1;
}

void profile_step_begins(Device *d)
{
    if (d->profile) d->profile->step_began_ns = clock_ns();
}

void profile_step_ends(Device *d)
{
    if (!d->profile) return;
    d->profile->steps_ns += clock_ns() - d->profile->step_began_ns;
    d->profile->n_steps++;
}
