/* SPDX-License-Identifier: Apache-2.0
 * gen/engine.c - a model placed in memory; feed.c steps over it. */
#include "base/clock.h"
#include "gen/parts.h"

#include <stdlib.h>

/* ---- what fits ---- */

static int64_t usual_context(const Sizes *s)
{
    return s->n_context < CONTEXT_DEFAULT ? s->n_context : CONTEXT_DEFAULT;
}

#ifdef MIXT_HOSTILE
/* A cache of two experts: every pin evicts. */
static int64_t slots_wished(const Sizes *s, const EngineOptions *o)
{
    return o->n_slots || o->memory_bytes || s->n_layers * s->n_experts <= 2 ? o->n_slots : 2;
}
#else
static int64_t slots_wished(const Sizes *s, const EngineOptions *o)
{
    (void)s;
    return o->n_slots;
}
#endif

static int64_t scratch_bytes(const Sizes *s, const LoraMap *map, const EngineOptions *o, int64_t n_batch)
{
    const DeviceLimits limits = model_limits(s, n_batch, map ? lora_map_rank(map) : 0);
    return work_bytes(s, n_batch) + device_work_bytes(o->device, &limits, o->n_threads, CONTEXT_DEFAULT);
}

/* All experts when they fit beside the rest, else room for as many as do; never fewer than one token uses. */
static BudgetAsk ask_of(const Catalog *catalog, const Sizes *s, const ModelBytes *bytes, const LoraMap *map,
                        const EngineOptions *o, int64_t n_batch)
{
    return (BudgetAsk){
        .path = catalog->path,
        .limit_bytes = o->memory_bytes > 0 ? o->memory_bytes : budget_limit_bytes(),
        .hard = o->memory_bytes > 0,
        .dense_bytes = bytes->dense + (map ? lora_map_values(map) * (int64_t)sizeof(float) : 0),
        .scratch_bytes = scratch_bytes(s, map, o, n_batch),
        .kv_first_bytes = kv_bytes(s, o->kv, usual_context(s)),
        .experts_bytes = bytes->experts,
        .slot_bytes = store_room_at_most(bytes->largest_expert),
        .n_experts = s->n_layers * s->n_experts,
        .n_least = s->n_used,
        .n_wish = slots_wished(s, o),
    };
}

/* Where experts are read anew for each step, a step should serve many rows. */
static Status choose_rows(Engine *e, const Catalog *catalog, const Sizes *s, const ModelBytes *bytes,
                          const LoraMap *map, const EngineOptions *o, Error *error)
{
    e->n_batch = o->n_batch ? o->n_batch : BATCH_DEFAULT;
    BudgetAsk ask = ask_of(catalog, s, bytes, map, o, e->n_batch);
    TRY(budget_open(&ask, &e->budget, error));
    if (o->n_batch || ask.n_wish || !sweeps_pay(e->budget.room_bytes, bytes->experts)) return OK;
    for (int i = 0; i < N_SWEEP_ROWS; i++) {
        Budget larger;
        ask.scratch_bytes = scratch_bytes(s, map, o, sweep_rows[i]);
        if (budget_open(&ask, &larger, NULL) == OK && sweep_affordable(larger.limit_bytes, larger.scratch_bytes)) {
            e->n_batch = sweep_rows[i];
            e->budget = larger;
            break;
        }
    }
    return OK;
}

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

/* An expert of less comes so soon that threads woken for it earlier take more time than they save; at 0.44 MB they
 * save a sixth of each token, at 0.1 MB they cost a twentieth (docs/PERFORMANCE.md). */
enum { WORTH_READING_AHEAD = 256 << 10 };

static int layers_ahead(const EngineOptions *o, const ModelBytes *bytes)
{
    if (o->look_ahead != LOOK_AHEAD_AS_PAYS) return o->look_ahead;
    return bytes->largest_expert >= WORTH_READING_AHEAD ? LOOK_AHEAD_MAX : 0;
}

static Status engine_fill(Engine *e, const Arch *arch, const Catalog *catalog, const Sizes *sizes,
                          const LoraMap *map, const EngineOptions *o, const Use *use, Error *error)
{
    const int64_t start_us = clock_us();
    Budget *budget = &e->budget;
    ModelBytes bytes;
    TRY(model_bytes(arch, catalog, sizes, &bytes, error));
    TRY(choose_rows(e, catalog, sizes, &bytes, map, o, error));
    const DeviceOptions device_options = { .n_threads = o->n_threads, .cpu_set = o->cpu_set };
    TRY(device_open(o->device, &device_options, &e->device, error));

    const bool wished = slots_wished(sizes, o) > 0;
    StoreProgress progress = { .tell = o->progress,
                               .user = o->progress_user,
                               .total_bytes = bytes.dense + (budget->n_slots ? 0 : bytes.experts) };
    const ModelPlan plan = {
        .n_slots = wished ? (int)budget->n_slots : 0,
        .room_bytes = wished || !budget->n_slots ? 0 : budget->room_bytes,
        .room_bytes_max = budget->room_bytes_max,
        .max_tokens = e->n_batch,
        .look_ahead = layers_ahead(o, &bytes),
        .lora = map,
        .policy = o->policy || !use->policy[0] ? o->policy : use->policy,
        .shares = use->shares,
        .shares_rows = use->n_rows,
    };
    TRY(model_bind(arch, catalog, sizes, e->device, &plan, &progress, &e->model, error));
    if (o->profile) TRY(engine_watch(e, error));
    TRY(work_new(e->model, e->n_batch, &e->work, error));
    if (!make_rows(e)) return fail_memory(error, "the rows of a step");
    if (use->n_rows && budget->n_slots) TRY(engine_warm(e, use, error));
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
    if (o->look_ahead < LOOK_AHEAD_AS_PAYS || o->look_ahead > LOOK_AHEAD_MAX)
        return fail(error, BAD_ARGUMENT, "layers to look ahead: expected 0 to %d, or %d for as many as pay, found %d",
                    LOOK_AHEAD_MAX, LOOK_AHEAD_AS_PAYS, o->look_ahead);
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
    LoraMap *map = NULL;
    Status status = OK;
    if (o->n_adapters) status = lora_map_new(arch, catalog, sizes, o->adapters, o->n_adapters, &map, error);
    Use use;
    engine_learned(catalog, sizes, o->use, &use);
    if (status == OK) status = engine_fill(e, arch, catalog, sizes, map, o, &use, error);
    use_free(&use);
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
    free(e->uses_told);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

EngineStats engine_stats(Engine *e)
{
    pthread_mutex_lock(&e->lock);
    EngineStats stats = e->stats;
    stats.store = e->model->store->ops->stats(e->model->store);
    stats.resident_bytes = e->model->dense_bytes + stats.store.resident_bytes + e->work.bytes;
    stats.budget = e->budget;
    stats.n_batch = e->n_batch;
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
