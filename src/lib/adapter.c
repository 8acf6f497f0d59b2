/* SPDX-License-Identifier: Apache-2.0
 * lib/adapter.c - adapter files: for an engine or a conversion that was given some, and to look at. */
#include <mixt_tools.h>

#include "lib/lib.h"

#include <stdlib.h>

enum { ADAPTERS_MAX = 64 };

/* ---- as they were named ---- */

Status adapters_open(const mixt_adapter *given, size_t n, Adapters *out, Error *error)
{
    *out = (Adapters){ .n = 0 };
    if (n == 0) return OK;
    if (n > ADAPTERS_MAX)
        return fail(error, BAD_ARGUMENT, "adapters: expected at most %d, found %zu", ADAPTERS_MAX, n);
    out->files = calloc(n, sizeof *out->files);
    out->uses = calloc(n, sizeof *out->uses);
    if (!out->files || !out->uses) return fail_memory(error, "adapters");
    for (size_t i = 0; i < n; i++) {
        out->n++;
        TRY(adapter_open(given[i].path, &out->files[i], error));
        out->uses[i] = (AdapterUse){ .file = &out->files[i], .scale = given[i].scale };
    }
    return OK;
}

void adapters_free(Adapters *a)
{
    for (int i = 0; a->files && i < a->n; i++) adapter_close(&a->files[i]);
    free(a->files);
    free(a->uses);
    *a = (Adapters){ .n = 0 };
}

/* ---- to look at ---- */

struct mixt_adapter_file { AdapterFile file; mixt_adapter_pair *pairs; int64_t n_values, n_bytes; };

/* Whether expert e of a pair does anything. */
static Status does_anything(const AdapterFile *f, const AdapterPair *p, int64_t e, float *room, bool *out, Error *error)
{
    TRY(adapter_read(f, p, p->a, e, room, error));
    TRY(adapter_read(f, p, p->b, e, room, error));
    *out = false;
    for (int64_t i = 0; i < p->rows * p->rank && !*out; i++) *out = room[i] != 0.0f;
    return OK;
}

static Status look_at(mixt_adapter_file *a, const AdapterPair *p, mixt_adapter_pair *out, Error *error)
{
    const int64_t experts = p->n_experts ? p->n_experts : 1, most = p->rows > p->cols ? p->rows : p->cols;
    *out = (mixt_adapter_pair){
        .name = p->name,
        .format_a = format_info[p->a->format].name,
        .format_b = format_info[p->b->format].name,
        .rank = p->rank,
        .rows = p->rows,
        .cols = p->cols,
        .n_experts = p->n_experts,
    };
    a->n_values += experts * p->rank * (p->rows + p->cols);
    a->n_bytes += p->a->bytes + p->b->bytes;
    float *room = malloc((size_t)(most * p->rank) * sizeof *room);
    Status status = room ? OK : fail_memory(error, p->name);
    for (int64_t e = 0; e < experts && status == OK; e++) {
        bool any = false;
        status = does_anything(&a->file, p, e, room, &any, error);
        out->n_adapted += any;
    }
    free(room);
    return status;
}

static Status open_file(mixt_adapter_file *a, const char *path, Error *error)
{
    TRY(adapter_open(path, &a->file, error));
    a->pairs = calloc((size_t)a->file.n, sizeof *a->pairs);
    if (!a->pairs) return fail_memory(error, path);
    for (int64_t i = 0; i < a->file.n; i++) TRY(look_at(a, &a->file.pairs[i], &a->pairs[i], error));
    return OK;
}

mixt_status mixt_adapter_open(const char *path, mixt_adapter_file **out, mixt_error *error)
{
    Error inside = { 0 };
    *out = NULL;
    mixt_adapter_file *a = calloc(1, sizeof *a);
    const Status status = a ? open_file(a, path, &inside) : fail_memory(&inside, path);
    if (status == OK) *out = a;
    else mixt_adapter_free(a);
    return answer(error, status, &inside);
}

void mixt_adapter_free(mixt_adapter_file *a)
{
    if (!a) return;
    adapter_close(&a->file);
    free(a->pairs);
    free(a);
}

mixt_adapter_info mixt_adapter_read(const mixt_adapter_file *a)
{
    return (mixt_adapter_info){
        .struct_bytes = sizeof(mixt_adapter_info),
        .path = a->file.catalog.path,
        .arch = a->file.arch,
        .alpha = a->file.alpha,
        .n_values = a->n_values,
        .n_bytes = a->n_bytes,
    };
}

const mixt_adapter_pair *mixt_adapter_pairs(const mixt_adapter_file *a, size_t *n)
{
    *n = (size_t)a->file.n;
    return a->pairs;
}
