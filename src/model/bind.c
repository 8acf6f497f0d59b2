/* SPDX-License-Identifier: Apache-2.0
 * model/bind.c - weights to their places: what every token needs is read onto the device, experts go
 * to the store.
 *
 * Rows of q and k from a container that pairs halves are read in the order of one that pairs
 * neighbours: then every container gives the same sums, and the logits are the same bytes. */
#include "model/model.h"
#include "store/load.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* How a matrix whose rows are not in our order is read. */
typedef struct Reading { Weight weight; const Sizes *sizes; } Reading;

enum { PER_MODEL = 2, PER_LAYER = 5 };      /* matrices that are not an expert's            */

typedef struct Binder {
    const Arch    *arch;
    const Catalog *catalog;
    const Sizes   *sizes;
    Device        *device;
    StoreProgress *progress;
    Model         *model;
    Error         *error;
    Load          *loads;       /* [PER_MODEL + PER_LAYER*L] room has been made, to be read */
    Reading       *readings;    /* likewise                                                */
    int            n_loads;
    int64_t        row_bytes_max;       /* of any matrix, experts included                 */
} Binder;

static Status device_said(const Binder *b, Status status)
{
    if (status != OK && b->error) *b->error = b->device->error;
    return status;
}

static Extent extent_of(const Catalog *catalog, const Weight *w)
{
    return (Extent){ .file = &catalog->files[w->tensor->file],
                     .offset = w->offset,
                     .rows = w->rows,
                     .cols = w->cols,
                     .format = w->format };
}

/* Rows of a head come from two places when the container pairs halves. */
static int64_t row_in_file(const void *of, int64_t row)
{
    const Reading *r = of;
    return weight_source_row(&r->weight, r->sizes, row);
}

static void keep_widest(Binder *b, const Extent *e)
{
    const int64_t bytes = format_row_bytes(e->format, e->cols);
    if (bytes > b->row_bytes_max) b->row_bytes_max = bytes;
}

/* Room for a matrix; what fills it goes on the list. */
static Status want_matrix(Binder *b, Role role, int layer, Tensor *out)
{
    Reading *r = &b->readings[b->n_loads];
    Weight *w = &r->weight;
    TRY(arch_weight(b->arch, b->catalog, b->sizes, role, layer, 0, w, b->error));
    TRY(device_said(b, b->device->ops->alloc_weight(b->device, w->format, w->rows, w->cols, out)));
    Load *load = &b->loads[b->n_loads++];
    *load = (Load){ .from = extent_of(b->catalog, w), .to = out };
    if (w->halves) {
        r->sizes = b->sizes;
        load->source_row = row_in_file;
        load->of = r;
    }
    keep_widest(b, &load->from);
    b->model->dense_bytes += w->bytes;
    return OK;
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
    b->progress->done_bytes += w.bytes;
    b->model->dense_bytes += w.bytes;
    return status;
}

static Status bind_layer(Binder *b, int layer)
{
    Layer *l = &b->model->layers[layer];
    TRY(load_norm(b, ROLE_ATTN_NORM, layer, &l->attn_norm));
    TRY(want_matrix(b, ROLE_Q, layer, &l->wq));
    TRY(want_matrix(b, ROLE_K, layer, &l->wk));
    TRY(want_matrix(b, ROLE_V, layer, &l->wv));
    TRY(want_matrix(b, ROLE_O, layer, &l->wo));
    TRY(load_norm(b, ROLE_FFN_NORM, layer, &l->ffn_norm));
    return b->sizes->dense ? OK : want_matrix(b, ROLE_ROUTER, layer, &l->router);
}

static Status expert_extents(const Arch *arch, const Catalog *catalog, const Sizes *sizes,
                             int layer, int expert, ExpertExtents *out, Error *error)
{
    Weight gate, up, down;
    TRY(arch_weight(arch, catalog, sizes, ROLE_GATE, layer, expert, &gate, error));
    TRY(arch_weight(arch, catalog, sizes, ROLE_UP, layer, expert, &up, error));
    TRY(arch_weight(arch, catalog, sizes, ROLE_DOWN, layer, expert, &down, error));
    *out = (ExpertExtents){ .gate = extent_of(catalog, &gate),
                            .up = extent_of(catalog, &up),
                            .down = extent_of(catalog, &down) };
    ExpertSlab slab;
    if (arch_slab(catalog, &gate, &up, &down, &slab))
        out->packed = (Slab){ .file = slab.file, .offset = slab.offset, .n_bytes = slab.n_bytes,
                              .hash = slab.checksum, .hashed = true, .layer = layer, .expert = expert };
    return OK;
}

static Status find_experts(Binder *b)
{
    Model *m = b->model;
    const int n_layers = (int)b->sizes->n_layers, n_experts = (int)b->sizes->n_experts;
    m->extents = calloc((size_t)n_layers * (size_t)n_experts, sizeof *m->extents);
    if (!m->extents) return fail_memory(b->error, "the table of experts");
    for (int l = 0; l < n_layers; l++)
        for (int e = 0; e < n_experts; e++) {
            ExpertExtents *x = &m->extents[l * n_experts + e];
            TRY(expert_extents(b->arch, b->catalog, b->sizes, l, e, x, b->error));
            keep_widest(b, &x->gate);
            keep_widest(b, &x->up);
            keep_widest(b, &x->down);
        }
    return OK;
}

/* Experts that lie packed need no work, so one that is asked for is there as fast as it can be read: all the room they
 * want, and nothing read before.  Through the page cache, for that may hold the file. */
static void read_as_used(Binder *b, const StoreSource *source, CacheOptions *cache)
{
    const int64_t n = (int64_t)source->n_layers * source->n_experts;
    if (cache->room_bytes) return;
    for (int64_t i = 0; i < n; i++)
        if (!source->experts[i].packed.file) return;
    cache->room_bytes = n * store_expert_room(b->device, source);
    cache->buffered = true;
}

/* A store that reads while tokens flow has a reader of its own. */
static Status bind_experts(Binder *b, const ModelPlan *plan, Loader *loader)
{
    Model *m = b->model;
    const StoreSource source = { .experts = m->extents,
                                 .n_layers = (int)b->sizes->n_layers,
                                 .n_experts = (int)b->sizes->n_experts };
    CacheOptions cache = { .room_bytes = plan->room_bytes, .room_bytes_max = plan->room_bytes_max,
                           .policy = plan->policy, .shares = plan->shares,
                           .shares_rows = plan->shares_rows };
    if (!cache.room_bytes && plan->n_slots < source.n_layers * source.n_experts)
        cache.room_bytes = plan->n_slots * store_expert_room(b->device, &source);
    read_as_used(b, &source, &cache);
    m->look_ahead = plan->look_ahead;
    return cache.room_bytes ? store_cache_open(b->device, &source, &cache, &m->store, b->error)
                            : store_ram_open(b->device, &source, loader, b->progress, &m->store, b->error);
}

static Status bind_dense(Binder *b)
{
    const Sizes *s = b->sizes;
    Model *m = b->model;
    Weight embed, out;
    TRY(arch_weight(b->arch, b->catalog, s, ROLE_EMBED, 0, 0, &embed, b->error));
    TRY(arch_weight(b->arch, b->catalog, s, ROLE_OUT, 0, 0, &out, b->error));
    m->tied = embed.tensor == out.tensor;

    TRY(want_matrix(b, ROLE_EMBED, 0, &m->embed));
    for (int layer = 0; layer < s->n_layers; layer++) TRY(bind_layer(b, layer));
    TRY(load_norm(b, ROLE_OUT_NORM, 0, &m->out_norm));
    return m->tied ? OK : want_matrix(b, ROLE_OUT, 0, &m->out);
}

/* ---- adapters ---- */

static Status place_floats(Binder *b, const float *from, int64_t rows, int64_t cols, Tensor *to)
{
    const DeviceOps *op = b->device->ops;
    TRY(device_said(b, op->alloc_weight(b->device, F32, rows, cols, to)));
    b->model->dense_bytes += rows * cols * (int64_t)sizeof *from;
    return device_said(b, op->fill(b->device, to, 0, rows, from));
}

static Status bind_low_rank(Binder *b, const LoraMap *map, Role role, int layer, int expert, LowRank *out)
{
    LoraFloats floats;
    Status status = lora_map_read(map, role, layer, expert, &floats, b->error);
    if (status == OK && floats.rank) status = place_floats(b, floats.a, floats.rank, floats.cols, &out->a);
    if (status == OK && floats.rank) status = place_floats(b, floats.b, floats.rows, floats.rank, &out->b);
    lora_floats_free(&floats);
    return status;
}

static Status bind_layer_lora(Binder *b, const LoraMap *map, int layer)
{
    Layer *l = &b->model->layers[layer];
    l->lora = calloc(1, sizeof *l->lora);
    if (l->lora) l->lora->experts = calloc((size_t)b->sizes->n_experts, sizeof *l->lora->experts);
    if (!l->lora || !l->lora->experts) return fail_memory(b->error, "adapters");
    TRY(bind_low_rank(b, map, ROLE_Q, layer, 0, &l->lora->q));
    TRY(bind_low_rank(b, map, ROLE_K, layer, 0, &l->lora->k));
    TRY(bind_low_rank(b, map, ROLE_V, layer, 0, &l->lora->v));
    TRY(bind_low_rank(b, map, ROLE_O, layer, 0, &l->lora->o));
    TRY(bind_low_rank(b, map, ROLE_ROUTER, layer, 0, &l->lora->router));
    for (int e = 0; e < b->sizes->n_experts; e++) {
        TRY(bind_low_rank(b, map, ROLE_GATE, layer, e, &l->lora->experts[e].gate));
        TRY(bind_low_rank(b, map, ROLE_UP, layer, e, &l->lora->experts[e].up));
        TRY(bind_low_rank(b, map, ROLE_DOWN, layer, e, &l->lora->experts[e].down));
    }
    return OK;
}

static Status bind_lora(Binder *b, const LoraMap *map)
{
    for (int layer = 0; layer < b->sizes->n_layers; layer++) TRY(bind_layer_lora(b, map, layer));
    return bind_low_rank(b, map, ROLE_OUT, 0, 0, &b->model->out_lora);
}

static void free_low_rank(Device *d, LowRank *low)
{
    d->ops->free(d, &low->a);
    d->ops->free(d, &low->b);
}

static void free_layer_lora(Device *d, LayerLora *lora, int64_t n_experts)
{
    if (!lora) return;
    LowRank *all[] = { &lora->q, &lora->k, &lora->v, &lora->o, &lora->router };
    for (int i = 0; i < ARRAY_LEN(all); i++) free_low_rank(d, all[i]);
    for (int64_t e = 0; lora->experts && e < n_experts; e++) {
        free_low_rank(d, &lora->experts[e].gate);
        free_low_rank(d, &lora->experts[e].up);
        free_low_rank(d, &lora->experts[e].down);
    }
    free(lora->experts);
    free(lora);
}

/* ---- all ---- */

static Status bind_all(Binder *b, const ModelPlan *plan)
{
    const Sizes *s = b->sizes;
    Model *m = b->model;
    TRY(bind_dense(b));
    TRY(find_experts(b));
    Loader *loader;
    TRY(loader_new(b->device, b->row_bytes_max, &loader, b->error));
    Status status = loader_run(loader, b->loads, b->n_loads, b->progress, b->error);
    if (m->tied) m->out = m->embed;
    if (status == OK) status = bind_experts(b, plan, loader);
    loader_free(loader);
    TRY(status);
    if (plan->lora) TRY(bind_lora(b, plan->lora));

    const DeviceLimits limits = model_limits(s, plan->max_tokens, plan->lora ? lora_map_rank(plan->lora) : 0);
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
    const size_t n = PER_MODEL + PER_LAYER * (size_t)sizes->n_layers;
    Binder binder = { .arch = arch,
                      .catalog = catalog,
                      .sizes = sizes,
                      .device = device,
                      .progress = progress,
                      .model = m,
                      .error = error,
                      .loads = calloc(n, sizeof *binder.loads),
                      .readings = calloc(n, sizeof *binder.readings) };
    const bool all = m->layers && binder.loads && binder.readings;
    const Status status = all ? bind_all(&binder, plan) : fail_memory(error, "the model");
    free(binder.loads);
    free(binder.readings);
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
        free_layer_lora(d, l->lora, m->sizes.n_experts);
    }
    free_low_rank(d, &m->out_lora);
    if (!m->tied) d->ops->free(d, &m->out);
    d->ops->free(d, &m->embed);
    d->ops->free(d, &m->out_norm.gain);
    free(m->layers);
    free(m->extents);
    free(m);
}

int64_t model_expert_bytes(const Model *m)
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < m->sizes.n_layers * m->sizes.n_experts; i++) bytes += expert_bytes(&m->extents[i]);
    return bytes;
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
