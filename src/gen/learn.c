/* SPDX-License-Identifier: Apache-2.0
 * gen/learn.c - what earlier runs learned of which experts are used, and what this run adds to it. */
#include "gen/parts.h"

#include <stdlib.h>
#include <string.h>

void engine_learned(const Catalog *catalog, const Sizes *sizes, const char *path, Use *out)
{
    uint64_t mark;
    *out = (Use){ 0 };
    if (!path || sizes->dense || use_mark(catalog, &mark, NULL) != OK) return;
    if (use_read(path, mark, (int)sizes->n_layers, (int)sizes->n_experts, out, NULL) != OK) *out = (Use){ 0 };
}

Status engine_warm(Engine *e, const Use *use, Error *error)
{
    Store *store = e->model->store;
    const int n = use->n_layers * use->n_experts;
    if (!store->ops->warm) return OK;
    int32_t *keys = calloc((size_t)n, sizeof *keys);
    ExpertId *ids = calloc((size_t)n, sizeof *ids);
    Status status = keys && ids ? use_hottest(use, keys, n, error) : fail_memory(error, "the use of experts");
    for (int i = 0; i < n && status == OK; i++)
        ids[i] = (ExpertId){ (int16_t)(keys[i] / use->n_experts), (int16_t)(keys[i] % use->n_experts) };
    if (status == OK) store->ops->warm(store, ids, n);
    free(keys);
    free(ids);
    return status;
}

static size_t n_keys(const Engine *e)
{
    return (size_t)(e->model->sizes.n_layers * e->model->sizes.n_experts);
}

/* Rows served since this was last asked; what was told is remembered. */
static Status news(Engine *e, int64_t *out, Error *error)
{
    const size_t n = n_keys(e);
    pthread_mutex_lock(&e->lock);
    if (!e->uses_told) e->uses_told = calloc(n, sizeof *e->uses_told);
    const int64_t *uses = e->model->store->ops->uses(e->model->store);
    for (size_t i = 0; i < n && e->uses_told; i++) out[i] = uses[i] - e->uses_told[i];
    if (e->uses_told) memcpy(e->uses_told, uses, n * sizeof *uses);
    pthread_mutex_unlock(&e->lock);
    return e->uses_told ? OK : fail_memory(error, "the use of experts");
}

/* Nobody could write them down: the next one who asks is told again. */
static void still_news(Engine *e, const int64_t *rows)
{
    pthread_mutex_lock(&e->lock);
    for (size_t i = 0; i < n_keys(e); i++) e->uses_told[i] -= rows[i];
    pthread_mutex_unlock(&e->lock);
}

static Status learn(Engine *e, const int64_t *rows, const Catalog *catalog, const char *path, Error *error)
{
    const Sizes *s = &e->model->sizes;
    const int n_layers = (int)s->n_layers, n_experts = (int)s->n_experts;
    uint64_t mark;
    Use use;
    TRY(use_mark(catalog, &mark, error));
    if (use_read(path, mark, n_layers, n_experts, &use, NULL) != OK)
        TRY(use_new(mark, n_layers, n_experts, &use, error));
    use_learn(&use, rows, (int)s->n_used);
    const Status status = use_write(&use, path, error);
    use_free(&use);
    return status;
}

Status engine_learn(Engine *e, const Catalog *catalog, const char *path, Error *error)
{
    const Store *store = e->model->store;
    if (!store->ops->uses) return OK;
    int64_t *rows = calloc(n_keys(e), sizeof *rows);
    if (!rows) return fail_memory(error, "the use of experts");
    Status status = news(e, rows, error);
    if (status == OK) {
        status = learn(e, rows, catalog, path, error);
        if (status != OK) still_news(e, rows);
    }
    free(rows);
    return status;
}
