/* SPDX-License-Identifier: Apache-2.0
 * gen/engine.c - a model placed in memory; feed.c steps over it. */
#include "base/clock.h"
#include "base/machine.h"
#include "gen/parts.h"

#include <stdlib.h>

/* ---- what fits ---- */

enum { SPARE_BYTES = 192 << 20 };       /* the program itself, the tokenizer, page tables          */

static Status too_small(const Catalog *c, int64_t need, int64_t have, Error *error)
{
    return fail(error, NO_MEMORY,
                "%s: does not fit in memory: needs at least %.2f GiB (%.2f GB), %.2f GiB (%.2f GB) "
                "are free",
                c->path, (double)need / (double)GIB, (double)need / 1e9, (double)have / (double)GIB,
                (double)have / 1e9);
}

/* All experts when they fit beside the rest, else as many slots as do; never fewer than one token uses. */
static Status plan_slots(const Catalog *catalog, const Sizes *s, const ModelBytes *bytes, int64_t adapter_bytes,
                         const EngineOptions *o, int64_t n_batch, int64_t *n_slots, Error *error)
{
    const int64_t n_all = s->n_layers * s->n_experts;
    const int64_t context = s->n_context < CONTEXT_DEFAULT ? s->n_context : CONTEXT_DEFAULT;
    const int64_t kv = (context + PAGE_TOKENS - 1) / PAGE_TOKENS * kv_page_bytes(s, o->kv);
    const int64_t rest = bytes->dense + adapter_bytes + work_bytes(s, n_batch) + kv + SPARE_BYTES,
                  have = machine_free_bytes();

    *n_slots = o->n_slots < n_all ? o->n_slots : 0;
    if (*n_slots)
        return rest + *n_slots * bytes->largest_expert <= have
                   ? OK
                   : too_small(catalog, rest + *n_slots * bytes->largest_expert, have, error);
    if (rest + bytes->experts <= have) return OK;
    *n_slots = (have - rest) / bytes->largest_expert;
    if (*n_slots < s->n_used)
        return too_small(catalog, rest + s->n_used * bytes->largest_expert, have, error);
    if (*n_slots >= n_all) *n_slots = n_all - 1;
    return OK;
}

#ifdef MIXT_HOSTILE
/* A cache of two experts, or of as many as one token uses. */
static void hostile_slots(const Sizes *s, int64_t *n_slots)
{
    *n_slots = s->n_layers * s->n_experts > 2 ? 2 : 0;
}
#endif

/* ---- making one ---- */

static bool make_rows(Engine *e)
{
    const size_t n = (size_t)e->n_batch;
    return (e->tokens    = arena_new(&e->arena, n, sizeof *e->tokens)) &&
           (e->positions = arena_new(&e->arena, n, sizeof *e->positions)) &&
           (e->wanted    = arena_new(&e->arena, n, sizeof *e->wanted)) &&
           (e->pages     = arena_new(&e->arena, n, sizeof *e->pages)) &&
           (e->experts   = arena_new(&e->arena, n, sizeof *e->experts)) &&
           (e->weights   = arena_new(&e->arena, n, sizeof *e->weights)) &&
           (e->broken    = arena_new(&e->arena, n, sizeof *e->broken));
}

/* Their floats, and what a step keeps between the products of one. */
static int64_t adapter_bytes(const LoraMap *map, const Sizes *s, int64_t n_batch)
{
    if (!map) return 0;
    return (lora_map_values(map) + n_batch * s->n_used * (2 * lora_map_rank(map) + s->hidden)) * (int64_t)sizeof(float);
}

static Status engine_fill(Engine *e, const Arch *arch, const Catalog *catalog, const Sizes *sizes,
                          const LoraMap *map, const EngineOptions *o, Error *error)
{
    const int64_t start_us = clock_us();
    ModelBytes bytes;
    int64_t n_slots;
    TRY(model_bytes(arch, catalog, sizes, &bytes, error));
    TRY(plan_slots(catalog, sizes, &bytes, adapter_bytes(map, sizes, e->n_batch), o, e->n_batch, &n_slots, error));
#ifdef MIXT_HOSTILE
    hostile_slots(sizes, &n_slots);
#endif
    const DeviceOptions device_options = { .n_threads = o->n_threads, .cpu_set = o->cpu_set };
    TRY(device_open(o->device, &device_options, &e->device, error));

    StoreProgress progress = { .tell = o->progress,
                               .user = o->progress_user,
                               .total_bytes = bytes.dense + (n_slots ? 0 : bytes.experts) };
    const ModelPlan plan = {
        .n_slots = (int)n_slots, .max_tokens = e->n_batch, .lora = map,
    };
    TRY(model_bind(arch, catalog, sizes, e->device, &plan, &progress, &e->model, error));
    if (o->profile) TRY(engine_watch(e, error));
    TRY(work_new(e->model, e->n_batch, &e->work, error));
    if (!make_rows(e)) return fail_memory(error, "the rows of a step");
    e->stats.load_us = clock_us() - start_us;
    return OK;
}

Status engine_new(const Arch *arch, const Catalog *catalog, const Sizes *sizes,
                  const EngineOptions *o, Engine **out, Error *error)
{
    *out = NULL;
    if (o->n_batch < 0 || o->n_batch > BATCH_MAX)
        return fail(error, BAD_ARGUMENT, "rows per step: expected 1 to %d, found %lld", BATCH_MAX,
                    (long long)o->n_batch);
    if (o->n_slots < 0)
        return fail(error, BAD_ARGUMENT, "expert slots: expected 0 or more, found %lld",
                    (long long)o->n_slots);
    if (o->kv != F16 && o->kv != F32 && o->kv != Q8_0)
        return fail(error, BAD_ARGUMENT, "key/value cache: expected f16, f32 or q8_0");
    if (sizes->head_size % format_info[o->kv].block_values)
        return fail(error, UNSUPPORTED,
                    "key/value cache of %s: expected heads of a multiple of %d numbers, found %lld",
                    format_info[o->kv].name, format_info[o->kv].block_values, (long long)sizes->head_size);
    Engine *e = calloc(1, sizeof *e);
    if (!e) return fail_memory(error, "the engine");
    pthread_mutex_init(&e->lock, NULL);
    e->kv = o->kv;
    e->cancel = o->cancel;
    e->cancel_user = o->cancel_user;
    e->n_batch = o->n_batch ? o->n_batch : BATCH_DEFAULT;
    LoraMap *map = NULL;
    Status status = OK;
    if (o->n_adapters) status = lora_map_new(arch, catalog, sizes, o->adapters, o->n_adapters, &map, error);
    if (status == OK) status = engine_fill(e, arch, catalog, sizes, map, o, error);
    lora_map_free(map);
    if (status != OK) {
        engine_free(e);
        return status;
    }
    *out = e;
    return OK;
}

void engine_free(Engine *e)
{
    if (!e) return;
    work_free(&e->work);
    model_free(e->model);
    device_close(e->device);
    arena_free(&e->arena);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

EngineStats engine_stats(Engine *e)
{
    pthread_mutex_lock(&e->lock);
    EngineStats stats = e->stats;
    stats.store = e->model->store->ops->stats(e->model->store);
    stats.resident_bytes = e->model->dense_bytes + stats.store.resident_bytes + e->work.bytes;
    pthread_mutex_unlock(&e->lock);
    return stats;
}

const Device *engine_device(const Engine *e)
{
    return e->device;
}

const char *engine_store_name(const Engine *e)
{
    return e->model->store->ops->name;
}
