/* SPDX-License-Identifier: Apache-2.0
 * model/bind.c - weights to their places: what every token needs is read onto the device, experts go
 * to the store.
 *
 * Rows of q and k from a container that pairs halves are read in the order of one that pairs
 * neighbours: then every container gives the same sums, and the logits are the same bytes. */
#include "model/model.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef struct Binder {
    const Arch    *arch;
    const Catalog *catalog;
    const Sizes   *sizes;
    Device        *device;
    StoreProgress *progress;
    Model         *model;
    Error         *error;
} Binder;

static Status device_said(const Binder *b, Status status)
{
    if (status != OK && b->error) *b->error = b->device->error;
    return status;
}

static Status told(Binder *b, int64_t bytes)
{
    StoreProgress *p = b->progress;
    p->done_bytes += bytes;
    b->model->dense_bytes += bytes;
    if (p->tell && p->tell(p->user, p->done_bytes, p->total_bytes))
        return fail(b->error, CANCELLED, "loading was stopped");
    return OK;
}

static Extent extent_of(const Catalog *catalog, const Weight *w)
{
    return (Extent){ .file = &catalog->files[w->tensor->file],
                     .offset = w->offset,
                     .rows = w->rows,
                     .cols = w->cols,
                     .format = w->format };
}

/* Row by row: the rows of a head come from two places. */
static Status load_rows(Binder *b, const Weight *w, Tensor *to)
{
    const size_t row_bytes = (size_t)format_row_bytes(w->format, w->cols), n = (size_t)w->bytes;
    char *source = malloc(n), *ordered = malloc(n);
    Status status = source && ordered ? OK : fail_memory(b->error, w->tensor->name);
    if (status == OK)
        status = file_read(&b->catalog->files[w->tensor->file], w->offset, source, n, b->error);
    for (int64_t row = 0; status == OK && row < w->rows; row++)
        memcpy(ordered + (size_t)row * row_bytes,
               source + (size_t)weight_source_row(w, b->sizes, row) * row_bytes, row_bytes);
    if (status == OK) status = device_said(b, b->device->ops->fill(b->device, to, 0, w->rows, ordered));
    free(source);
    free(ordered);
    return status;
}

static Status load_matrix(Binder *b, Role role, int layer, Tensor *out)
{
    Weight w;
    TRY(arch_weight(b->arch, b->catalog, b->sizes, role, layer, 0, &w, b->error));
    TRY(device_said(b, b->device->ops->alloc_weight(b->device, w.format, w.rows, w.cols, out)));
    if (w.halves) {
        TRY(load_rows(b, &w, out));
    } else {
        const Extent e = extent_of(b->catalog, &w);
        TRY(extent_load(b->device, &e, out, b->error));
    }
    return told(b, w.bytes);
}

/* Gains are few and used in float: stored as F32 whatever the file has. */
static Status load_norm(Binder *b, Role role, int layer, Norm *out)
{
    Weight w;
    TRY(arch_weight(b->arch, b->catalog, b->sizes, role, layer, 0, &w, b->error));
    out->eps = (float)b->sizes->norm_eps;
    TRY(device_said(b, b->device->ops->alloc(b->device, F32, 1, w.cols, &out->gain)));
    void *stored = malloc((size_t)w.bytes);
    float *gains = malloc((size_t)w.cols * sizeof *gains);
    Status status = stored && gains ? OK : fail_memory(b->error, w.tensor->name);
    if (status == OK)
        status = file_read(&b->catalog->files[w.tensor->file], w.offset, stored, (size_t)w.bytes,
                           b->error);
    if (status == OK) {
        format_info[w.format].decode(gains, stored, (size_t)w.cols);
        status = device_said(b, b->device->ops->upload(b->device, &out->gain, gains,
                                                       (size_t)w.cols * sizeof *gains));
    }
    free(stored);
    free(gains);
    return status == OK ? told(b, w.bytes) : status;
}

static Status bind_layer(Binder *b, int layer)
{
    Layer *l = &b->model->layers[layer];
    TRY(load_norm(b, ROLE_ATTN_NORM, layer, &l->attn_norm));
    TRY(load_matrix(b, ROLE_Q, layer, &l->wq));
    TRY(load_matrix(b, ROLE_K, layer, &l->wk));
    TRY(load_matrix(b, ROLE_V, layer, &l->wv));
    TRY(load_matrix(b, ROLE_O, layer, &l->wo));
    TRY(load_norm(b, ROLE_FFN_NORM, layer, &l->ffn_norm));
    return b->sizes->dense ? OK : load_matrix(b, ROLE_ROUTER, layer, &l->router);
}

static Status expert_extents(const Arch *arch, const Catalog *catalog, const Sizes *sizes,
                             int layer, int expert, ExpertExtents *out, Error *error)
{
    Weight gate, up, down;
    TRY(arch_weight(arch, catalog, sizes, ROLE_GATE, layer, expert, &gate, error));
    TRY(arch_weight(arch, catalog, sizes, ROLE_UP, layer, expert, &up, error));
    TRY(arch_weight(arch, catalog, sizes, ROLE_DOWN, layer, expert, &down, error));
    *out = (ExpertExtents){ extent_of(catalog, &gate), extent_of(catalog, &up),
                            extent_of(catalog, &down) };
    return OK;
}

static Status bind_experts(Binder *b, int n_slots)
{
    Model *m = b->model;
    const int n_layers = (int)b->sizes->n_layers, n_experts = (int)b->sizes->n_experts;
    m->extents = calloc((size_t)n_layers * (size_t)n_experts, sizeof *m->extents);
    if (!m->extents) return fail_memory(b->error, "the table of experts");
    for (int l = 0; l < n_layers; l++)
        for (int e = 0; e < n_experts; e++)
            TRY(expert_extents(b->arch, b->catalog, b->sizes, l, e, &m->extents[l * n_experts + e],
                               b->error));

    const StoreSource source = { .experts = m->extents,
                                 .n_layers = n_layers,
                                 .n_experts = n_experts };
    if (n_slots > 0 && n_slots < n_layers * n_experts)
        return store_disk_open(b->device, &source, n_slots, &m->store, b->error);
    return store_ram_open(b->device, &source, b->progress, &m->store, b->error);
}

static Status bind_all(Binder *b, const ModelPlan *plan)
{
    const Sizes *s = b->sizes;
    Model *m = b->model;
    Weight embed, out;
    TRY(arch_weight(b->arch, b->catalog, s, ROLE_EMBED, 0, 0, &embed, b->error));
    TRY(arch_weight(b->arch, b->catalog, s, ROLE_OUT, 0, 0, &out, b->error));
    m->tied = embed.tensor == out.tensor;

    TRY(load_matrix(b, ROLE_EMBED, 0, &m->embed));
    for (int layer = 0; layer < s->n_layers; layer++) TRY(bind_layer(b, layer));
    TRY(load_norm(b, ROLE_OUT_NORM, 0, &m->out_norm));
    if (m->tied) m->out = m->embed;
    else TRY(load_matrix(b, ROLE_OUT, 0, &m->out));
    TRY(bind_experts(b, plan->n_slots));

    const int64_t widest =
        s->n_heads * s->head_size > s->width ? s->n_heads * s->head_size : s->width;
    const DeviceLimits limits = {
        .n_tokens = plan->max_tokens,
        .n_cols = widest > s->hidden ? widest : s->hidden,
        .n_width = s->width,
        .n_hidden = s->hidden,
        .n_used = s->n_used,
        .n_heads = s->n_heads,
        .n_context = plan->n_context,
    };
    return device_said(b, b->device->ops->reserve(b->device, &limits));
}

Status model_bind(const Arch *arch, const Catalog *catalog, const Sizes *sizes, Device *device,
                  const ModelPlan *plan, StoreProgress *progress, Model **out, Error *error)
{
    *out = NULL;
    Model *m = calloc(1, sizeof *m);
    if (!m) return fail_memory(error, "the model");
    *m = (Model){
        .sizes = *sizes,
        .router = arch->router,
        .device = device,
        .rope = { .head_size = (int)sizes->head_size,
                  .n_turned = (int)sizes->n_turned,
                  .base = sizes->rope_base,
                  .pairs = PAIRS_ADJACENT }, /* whatever the container had: see the top     */
    };
    m->layers = calloc((size_t)sizes->n_layers, sizeof *m->layers);
    Binder binder = { arch, catalog, sizes, device, progress, m, error };
    const Status status = m->layers ? bind_all(&binder, plan) : fail_memory(error, "the model");
    if (status != OK) {
        model_free(m);
        return status;
    }
    *out = m;
    return OK;
}

void model_free(Model *m)
{
    if (!m) return;
    Device *d = m->device;
    if (m->store) m->store->ops->close(m->store);
    for (int i = 0; m->layers && i < m->sizes.n_layers; i++) {
        Layer *l = &m->layers[i];
        Tensor *all[] = { &l->attn_norm.gain, &l->ffn_norm.gain, &l->wq, &l->wk, &l->wv, &l->wo,
                          &l->router };
        for (int t = 0; t < ARRAY_LEN(all); t++) d->ops->free(d, all[t]);
    }
    if (!m->tied) d->ops->free(d, &m->out);
    d->ops->free(d, &m->embed);
    d->ops->free(d, &m->out_norm.gain);
    free(m->layers);
    free(m->extents);
    free(m);
}

/* ---- before anything is loaded ---- */

static Status add_role(const Arch *arch, const Catalog *catalog, const Sizes *sizes, Role role,
                       int layer, int64_t *bytes, Error *error)
{
    Weight w;
    TRY(arch_weight(arch, catalog, sizes, role, layer, 0, &w, error));
    *bytes += w.bytes;
    return OK;
}

Status model_bytes(const Arch *arch, const Catalog *catalog, const Sizes *sizes, ModelBytes *out,
                   Error *error)
{
    static const Role of_layer[] = {
        ROLE_ATTN_NORM, ROLE_Q, ROLE_K, ROLE_V, ROLE_O, ROLE_FFN_NORM
    };
    *out = (ModelBytes){ 0 };
    Weight embed, last;
    TRY(arch_weight(arch, catalog, sizes, ROLE_EMBED, 0, 0, &embed, error));
    TRY(arch_weight(arch, catalog, sizes, ROLE_OUT, 0, 0, &last, error));
    out->dense = embed.bytes + (last.tensor == embed.tensor ? 0 : last.bytes);
    TRY(add_role(arch, catalog, sizes, ROLE_OUT_NORM, 0, &out->dense, error));
    for (int l = 0; l < sizes->n_layers; l++) {
        for (int i = 0; i < ARRAY_LEN(of_layer); i++)
            TRY(add_role(arch, catalog, sizes, of_layer[i], l, &out->dense, error));
        if (!sizes->dense) TRY(add_role(arch, catalog, sizes, ROLE_ROUTER, l, &out->dense, error));
        for (int e = 0; e < sizes->n_experts; e++) {
            ExpertExtents x;
            TRY(expert_extents(arch, catalog, sizes, l, e, &x, error));
            const int64_t bytes = expert_bytes(&x);
            out->experts += bytes;
            if (bytes > out->largest_expert) out->largest_expert = bytes;
        }
    }
    return OK;
}
