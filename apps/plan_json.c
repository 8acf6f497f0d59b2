/* SPDX-License-Identifier: Apache-2.0
 * apps/plan_json.c - a plan for programs: every number that the page has, in bytes and seconds. */
#include "json.h"
#include "plan.h"

static const char *why_name(mixt_plan_why why)
{
    switch (why) {
    case MIXT_PLAN_ALL_FIT:   return "all fit";
    case MIXT_PLAN_FILL:      return "as many as fit";
    case MIXT_PLAN_WISHED:    return "as asked";
    case MIXT_PLAN_TOO_SMALL: break;
    }
    return "too small";
}

static void json_step(Json *json, const char *key, const mixt_plan_step *s)
{
    json_key(json, key);
    json_open(json, '{');
    json_key_real(json, "tokens_per_s", s->tokens_per_s);
    json_key_real(json, "seconds", s->seconds);
    json_key_whole(json, "rows", s->n_rows);
    json_key_whole(json, "before", s->n_before);
    json_key_real(json, "experts_per_layer", s->experts);
    json_key_real(json, "weight_bytes", s->weight_bytes);
    json_key_real(json, "kv_bytes", s->kv_bytes);
    json_key_real(json, "disk_bytes", s->disk_bytes);
    json_key_real(json, "operations", s->operations);
    json_key_real(json, "resident", s->resident);
    json_key_real(json, "memory_s", s->memory_s);
    json_key_real(json, "compute_s", s->compute_s);
    json_key_real(json, "other_s", s->other_s);
    json_key_real(json, "disk_s", s->disk_s);
    json_close(json, '}');
}

static void json_model(Json *json, const mixt_plan_info *i)
{
    json_key(json, "model");
    json_open(json, '{');
    json_key_text(json, "name", i->name);
    json_key_bool(json, "preset", i->preset);
    json_key_bool(json, "runs", i->runs);
    json_key_text(json, "type", i->type);
    json_key_whole(json, "parameters", i->n_values);
    json_key_whole(json, "parameters_active", i->n_values_active);
    json_key_whole(json, "layers", i->n_layers);
    json_key_whole(json, "experts", i->dense ? 0 : i->n_experts);
    json_key_whole(json, "experts_used", i->dense ? 0 : i->n_used);
    json_key_whole(json, "context", i->n_trained);
    json_key_whole(json, "file_bytes", i->file_bytes);
    json_close(json, '}');
}

static void json_memory(Json *json, const mixt_plan_info *i)
{
    json_key(json, "memory");
    json_open(json, '{');
    json_key_whole(json, "budget_bytes", i->budget_bytes);
    json_key_text(json, "budget", i->budget_given ? "given" : "what is free");
    json_key_whole(json, "used_bytes", i->used_bytes);
    json_key_whole(json, "least_bytes", i->least_bytes);
    json_key_whole(json, "all_bytes", i->all_bytes);
    json_key_whole(json, "weight_bytes", i->weight_bytes);
    json_key_whole(json, "dense_bytes", i->dense_bytes);
    json_key_whole(json, "experts_bytes", i->experts_bytes);
    json_key_whole(json, "kv_bytes", i->kv_bytes);
    json_key_whole(json, "kv_bytes_per_token", i->kv_bytes_per_token);
    json_key_whole(json, "scratch_bytes", i->scratch_bytes);
    json_key_whole(json, "program_bytes", i->spare_bytes);
    json_key_whole(json, "experts_in_memory", i->n_slots);
    json_key_whole(json, "experts_in_all", i->n_slots_all);
    json_key_text(json, "experts_why", why_name(i->why));
    json_key_real(json, "hit_rate", i->hit_rate);
    json_key_whole(json, "hit_rate_from_rows", i->n_use_rows);
    json_close(json, '}');
}

static void json_wish(Json *json, const mixt_plan_info *i)
{
    static const char *const caches[] = { "f16", "f32", "q8_0" };
    json_key(json, "wish");
    json_open(json, '{');
    json_key_whole(json, "context", i->n_context);
    json_key_whole(json, "sessions", i->n_sessions);
    json_key_whole(json, "batch", i->n_batch);
    json_key_whole(json, "prompt_tokens", i->n_prompt);
    json_key_text(json, "kv", caches[i->kv]);
    json_close(json, '}');
}

static void json_machine(Json *json, const PlanView *v)
{
    const mixt_plan_info *i = &v->info;
    json_key(json, "machine");
    json_open(json, '{');
    json_key_text(json, "limits", v->stored ? "stored" : "measured quickly");
    json_key_whole(json, "threads", i->n_threads);
    json_key_real(json, "read_bytes_per_s", i->read_per_s);
    json_key_real(json, "int8_ops_per_s", i->int8_per_s);
    json_key_real(json, "f32_ops_per_s", i->f32_per_s);
    json_key_real(json, "disk_bytes_per_s", i->disk_per_s);
    json_key_bool(json, "disk_measured", i->disk_measured);
    json_close(json, '}');
}

static void json_classes(Json *json, const PlanView *v)
{
    size_t                 n;
    const mixt_plan_class *c = mixt_plan_classes(v->plan, &n);
    json_key(json, "classes");
    json_open(json, '[');
    for (size_t i = 0; i < n; i++) {
        json_open(json, '{');
        json_key_text(json, "name", c[i].name);
        json_key_text(json, "formats", c[i].formats);
        json_key_whole(json, "parameters", c[i].n_values);
        json_key_whole(json, "bytes", c[i].n_bytes);
        json_key_real(json, "bytes_per_token", c[i].bytes_per_token);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void json_types(Json *json, const PlanView *v)
{
    size_t                n;
    const mixt_plan_type *t = mixt_plan_types(v->plan, &n);
    json_key(json, "types");
    json_open(json, '[');
    for (size_t i = 0; i < n; i++) {
        json_open(json, '{');
        json_key_text(json, "name", t[i].name);
        json_key_whole(json, "file_bytes", t[i].file_bytes);
        json_key_bool(json, "works", t[i].works);
        json_key_bool(json, "fits", t[i].fits);
        json_key_real(json, "resident", t[i].resident);
        json_key_real(json, "write_per_s", t[i].write_per_s);
        json_key_real(json, "prompt_per_s", t[i].prompt_per_s);
        json_close(json, '}');
    }
    json_close(json, ']');
    json_key_text(json, "next_better", v->info.better < 0 ? NULL : t[v->info.better].name);
    json_key_text(json, "next_smaller", v->info.smaller < 0 ? NULL : t[v->info.smaller].name);
}

static void json_places(Json *json, const PlanView *v)
{
    size_t                 n;
    const mixt_plan_place *p = mixt_plan_places(v->plan, &n);
    json_key(json, "places");
    json_open(json, '[');
    for (size_t i = 0; i < n; i++) {
        json_open(json, '{');
        json_key_text(json, "name", p[i].name);
        json_key_bool(json, "card", p[i].card);
        json_key_whole(json, "memory_bytes", p[i].memory_bytes);
        json_key_bool(json, "works", p[i].works);
        json_key_bool(json, "fits", p[i].fits);
        json_key_real(json, "resident", p[i].resident);
        json_key_real(json, "write_per_s", p[i].write_per_s);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void json_card(Json *json, const mixt_plan_info *i)
{
    if (!i->vram_bytes) return;
    json_key(json, "card");
    json_open(json, '{');
    json_key_whole(json, "memory_bytes", i->vram_bytes);
    json_key_whole(json, "without_experts_bytes", i->vram_rest_bytes);
    json_key_whole(json, "experts_that_would_fit", i->vram_slots);
    json_key_bool(json, "used", false);
    json_close(json, '}');
}

static void json_energy(Json *json, const PlanView *v)
{
    if (v->watts < 0) return;
    const double kwh = plan_kwh_per_million(v, v->info.first.tokens_per_s);
    json_key(json, "energy");
    json_open(json, '{');
    json_key_real(json, "watts", v->watts);
    json_key_real(json, "kwh_per_million_tokens", kwh);
    json_key_real(json, "tokens_per_kwh", 1e6 / kwh);
    json_key_real(json, "prompt_tokens_per_kwh", 1e6 / plan_kwh_per_million(v, v->info.prompt_per_s));
    if (v->price >= 0) json_key_real(json, "cost_per_million_tokens", kwh * v->price);
    json_close(json, '}');
}

Exit plan_json(const App *app, const PlanView *v)
{
    const mixt_plan_info *i = &v->info;
    Json json = { 0 };
    json_open(&json, '{');
    json_model(&json, i);
    json_wish(&json, i);
    json_machine(&json, v);
    json_memory(&json, i);
    json_classes(&json, v);
    json_step(&json, "write", &i->first);
    json_step(&json, "write_at_the_end", &i->last);
    json_step(&json, "write_together", &i->together);
    json_step(&json, "prompt_piece", &i->prompt);
    json_key(&json, "prompt");
    json_open(&json, '{');
    json_key_real(&json, "tokens_per_s", i->prompt_per_s);
    json_key_real(&json, "seconds", i->prompt_s);
    json_key_whole(&json, "pieces", i->n_pieces);
    json_close(&json, '}');
    json_key_real(&json, "with_32_gib_more_per_s", i->more_memory_per_s);
    json_key_real(&json, "with_second_disk_per_s", i->second_disk_per_s);
    json_card(&json, i);
    json_energy(&json, v);
    json_types(&json, v);
    json_places(&json, v);
    json_close(&json, '}');
    return json_print(app, &json);
}
