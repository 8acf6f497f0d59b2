/* SPDX-License-Identifier: Apache-2.0
 * lib/engine.c - mixt_engine, mixt_session, mixt_sampler and the loop over them. */
#include "lib/lib.h"

#include <stdlib.h>

/* ---- engine ---- */

mixt_engine_options mixt_engine_defaults(void)
{
    return (mixt_engine_options){
        .struct_bytes = sizeof(mixt_engine_options), .device = "cpu", .kv = MIXT_KV_F16,
        .look_ahead = LOOK_AHEAD_AS_PAYS,
    };
}

static Status engine_open(const mixt_model *m, const mixt_engine_options *o, const Adapters *adapters, Engine **out,
                          Error *error)
{
    if (!m->arch)
        return fail(error, BAD_ARGUMENT, "%s: was opened for its vocabulary only", m->catalog.path);
    static const Format caches[] = { [MIXT_KV_F16] = F16, [MIXT_KV_F32] = F32, [MIXT_KV_Q8_0] = Q8_0 };
    if ((int)o->kv < 0 || (int)o->kv >= ARRAY_LEN(caches))
        return fail(error, BAD_ARGUMENT, "key/value cache: expected F16, F32 or Q8_0");
    const EngineOptions options = {
        .device = o->device,
        .cpu_set = o->cpu_set,
        .n_threads = o->n_threads,
        .kv = caches[o->kv],
        .n_batch = o->n_batch <= BATCH_MAX ? (int64_t)o->n_batch : BATCH_MAX + 1,
        .memory_bytes = o->memory_bytes,
        .n_slots = o->expert_slots <= INT32_MAX ? (int64_t)o->expert_slots : INT32_MAX,
        .cancel = o->cancel,
        .cancel_user = o->cancel_user,
        .progress = o->progress,
        .progress_user = o->progress_user,
        .profile = o->profile,
        .policy = o->policy,
        .use = o->use,
        .look_ahead = o->look_ahead,
        .adapters = adapters->uses,
        .n_adapters = adapters->n,
    };
    return engine_new(m->arch, &m->catalog, &m->sizes, &options, out, error);
}

mixt_status mixt_engine_new(const mixt_model *model, const mixt_engine_options *options,
                            mixt_engine **out, mixt_error *error)
{
    mixt_engine_options o = mixt_engine_defaults();
    Error inside = { 0 };
    take_options(&o, sizeof o, options);
    *out = NULL;
    Adapters adapters;
    mixt_engine *e = calloc(1, sizeof *e);
    Status status = adapters_open(o.adapters, o.n_adapters, &adapters, &inside);
    if (status == OK)
        status = e ? engine_open(model, &o, &adapters, &e->engine, &inside) : fail_memory(&inside, "the engine");
    adapters_free(&adapters);
    if (status == OK) {
        e->model = model;
        *out = e;
    } else {
        free(e);
    }
    return answer(error, status, &inside);
}

void mixt_engine_free(mixt_engine *e)
{
    if (!e) return;
    engine_free(e->engine);
    free(e);
}

mixt_engine_stats mixt_engine_read(const mixt_engine *e)
{
    const EngineStats s = engine_stats(e->engine);
    const Device *d = engine_device(e->engine);
    return (mixt_engine_stats){
        .struct_bytes = sizeof(mixt_engine_stats),
        .device = d->ops->name,
        .cpu_set = device_cpu_set(d),
        .store = engine_store_name(e->engine),
        .n_threads = device_n_threads(d),
        .load_us = s.load_us,
        .resident_bytes = s.resident_bytes,
        .expert_pins = s.store.pins,
        .expert_hits = s.store.hits,
        .expert_read_bytes = s.store.read_bytes,
        .expert_wait_us = s.store.wait_us,
        .n_steps = s.n_steps,
        .n_rows = s.n_rows,
        .step_us = s.step_us,
        .n_batch = (size_t)s.n_batch,
        .memory_bytes = s.budget.limit_bytes,
        .program_bytes = s.budget.program_bytes,
        .dense_bytes = s.budget.dense_bytes,
        .scratch_bytes = s.budget.scratch_bytes,
        .kv_bytes = s.budget.kv_bytes,
        .expert_room_bytes = s.budget.room_bytes,
        .expert_waits = s.store.waits,
        .expert_read_us = s.store.read_us,
        .expert_guessed_used = s.store.guessed_used,
        .expert_guessed_wasted = s.store.guessed_wasted,
    };
}

/* ---- sessions ---- */

mixt_status mixt_session_new(mixt_engine *engine, size_t n_context, mixt_session **out,
                             mixt_error *error)
{
    Error inside = { 0 };
    *out = NULL;
    mixt_session *s = calloc(1, sizeof *s);
    const int64_t n = n_context < INT32_MAX ? (int64_t)n_context : INT32_MAX;
    Status status = s ? session_new(engine->engine, n, &s->session, &inside)
                      : fail_memory(&inside, "a session");
    if (status == OK) {
        s->engine = engine;
        *out = s;
    } else {
        free(s);
    }
    return answer(error, status, &inside);
}

void mixt_session_free(mixt_session *s)
{
    if (!s) return;
    session_free(s->session);
    free(s);
}

size_t mixt_session_n_tokens(const mixt_session *s)
{
    return (size_t)session_n_tokens(s->session);
}
size_t mixt_session_n_context(const mixt_session *s)
{
    return (size_t)session_n_context(s->session);
}
size_t mixt_session_n_reused(const mixt_session *s)
{
    return (size_t)session_n_reused(s->session);
}
const mixt_token *mixt_session_tokens(const mixt_session *s)  { return session_tokens(s->session); }
const float *mixt_session_logits(const mixt_session *s)       { return session_logits(s->session); }

mixt_status mixt_session_sync(mixt_session *s, const mixt_token *tokens, size_t n_tokens,
                              mixt_error *error)
{
    Error inside = { 0 };
    const int64_t n = n_tokens < INT64_MAX ? (int64_t)n_tokens : INT64_MAX;
    return answer(error, session_sync(s->session, tokens, n, &inside), &inside);
}

mixt_status mixt_session_score(mixt_session *s, const mixt_token *tokens, size_t n_tokens,
                               float *logits, mixt_error *error)
{
    Error inside = { 0 };
    const int64_t n = n_tokens < INT64_MAX ? (int64_t)n_tokens : INT64_MAX;
    return answer(error, session_append(s->session, tokens, n, logits, &inside), &inside);
}

mixt_status mixt_engine_step(mixt_engine *engine, mixt_session *const *sessions,
                             const mixt_token *next, size_t n_sessions, mixt_status *statuses,
                             mixt_error *error)
{
    Error inside = { 0 };
    if (n_sessions > BATCH_MAX)
        return answer(error,
                      fail(&inside, BAD_ARGUMENT,
                           "sessions in a step: expected at most %d, found %zu", BATCH_MAX,
                           n_sessions),
                      &inside);
    Session *in[BATCH_MAX] = { NULL };
    Status each[BATCH_MAX] = { OK };
    for (size_t i = 0; i < n_sessions; i++) in[i] = sessions[i]->session;
    Status status = engine_step(engine->engine, in, next, (int64_t)n_sessions, each, &inside);
    for (size_t i = 0; i < n_sessions; i++) {
        if (statuses) statuses[i] = (mixt_status)each[i];
        else if (status == OK) status = each[i];
    }
    return answer(error, status, &inside);
}

mixt_status mixt_session_trace(mixt_session *s, bool on, mixt_error *error)
{
    Error inside = { 0 };
    return answer(error, session_trace(s->session, on, &inside), &inside);
}

const int32_t *mixt_session_experts(const mixt_session *s, size_t token)
{
    return session_experts(s->session, token < INT64_MAX ? (int64_t)token : -1);
}

const float *mixt_session_expert_weights(const mixt_session *s, size_t token)
{
    return session_weights(s->session, token < INT64_MAX ? (int64_t)token : -1);
}

/* ---- sampling ---- */

_Static_assert(sizeof(mixt_bias) == sizeof(LogitBias) &&
                   offsetof(mixt_bias, add) == offsetof(LogitBias, add),
               "biases are copied whole");

mixt_sampler_options mixt_sampler_defaults(void)
{
    return (mixt_sampler_options){
        .struct_bytes = sizeof(mixt_sampler_options),
        .temperature = 0.8f,
        .top_k = 40,
        .top_p = 0.95f,
        .min_p = 0.05f,
        .typical_p = 1.0f,
        .repeat_penalty = 1.0f,
        .penalty_last_n = 64,
    };
}

SamplerOptions take_sampler(const mixt_sampler_options *options)
{
    mixt_sampler_options o = mixt_sampler_defaults();
    take_options(&o, sizeof o, options);
    return (SamplerOptions){
        .temperature = o.temperature,
        .top_k = o.top_k,
        .top_p = o.top_p,
        .min_p = o.min_p,
        .typical_p = o.typical_p,
        .repeat_penalty = o.repeat_penalty,
        .presence_penalty = o.presence_penalty,
        .frequency_penalty = o.frequency_penalty,
        .penalty_last_n = o.penalty_last_n,
        .seed = o.seed,
        .bias = (const LogitBias *)(const void *)o.bias,
        .n_bias = o.n_bias,
    };
}

mixt_status mixt_sampler_new(const mixt_model *model, const mixt_sampler_options *options,
                             mixt_sampler **out, mixt_error *error)
{
    const SamplerOptions in = take_sampler(options);
    Error inside = { 0 };
    *out = NULL;
    mixt_sampler *s = calloc(1, sizeof *s);
    const int64_t n_vocab = model->arch ? model->sizes.n_vocab : model->catalog.vocab.n_pieces;
    const Status status =
        s ? sampler_new(n_vocab, &in, &s->sampler, &inside) : fail_memory(&inside, "a sampler");
    if (status == OK) *out = s;
    else free(s);
    return answer(error, status, &inside);
}

void mixt_sampler_free(mixt_sampler *s)
{
    if (!s) return;
    sampler_free(s->sampler);
    free(s);
}

mixt_status mixt_sampler_pick(mixt_sampler *s, const mixt_session *session, mixt_token *out,
                              mixt_error *error)
{
    Error inside = { 0 };
    const float *logits = session_logits(session->session);
    Status status =
        logits ? OK
               : fail(&inside, BAD_ARGUMENT, "sampler: expected a session with at least one token");
    if (status == OK)
        status = sampler_pick(s->sampler, logits, session_tokens(session->session),
                              (size_t)session_n_tokens(session->session), out, &inside);
    return answer(error, status, &inside);
}

/* ---- the loop ---- */

mixt_generate_options mixt_generate_defaults(void)
{
    return (mixt_generate_options){ .struct_bytes = sizeof(mixt_generate_options) };
}

GenerateOptions take_generate(const mixt_generate_options *options)
{
    mixt_generate_options o = mixt_generate_defaults();
    take_options(&o, sizeof o, options);
    return (GenerateOptions){
        .n_tokens_max = o.n_tokens_max < INT64_MAX ? (int64_t)o.n_tokens_max : 0,
        .stops = o.stops,
        .n_stops = o.n_stops <= STOPS_MAX ? (int)o.n_stops : STOPS_MAX + 1,
        .ignore_end = o.ignore_end,
        .special = o.special,
        .on_text = o.on_text,
        .user = o.user,
        .speculate = o.speculate,
    };
}

mixt_generated take_generated(const Generated *said)
{
    return (mixt_generated){
        .finish = (mixt_finish)said->finish,
        .n_tokens = (size_t)said->n_tokens,
        .us = said->us,
        .p50_us = latency_at(&said->latency, 0.50),
        .p95_us = latency_at(&said->latency, 0.95),
        .p99_us = latency_at(&said->latency, 0.99),
        .us_max = said->latency.us_max,
        .n_steps = (size_t)said->n_steps,
        .n_drafted = (size_t)said->n_drafted,
        .n_accepted = (size_t)said->n_accepted,
    };
}

mixt_status mixt_generate(mixt_session *session, mixt_sampler *sampler,
                          const mixt_generate_options *options, mixt_generated *out,
                          mixt_error *error)
{
    const GenerateOptions in = take_generate(options);
    Error inside = { 0 };
    Generated said = { 0 };
    const Status status = generate(session->session, sampler->sampler,
                                   session->engine->model->tokenizer, &in, &said, &inside);
    if (out) *out = take_generated(&said);
    return answer(error, status, &inside);
}
