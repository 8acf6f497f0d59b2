/* SPDX-License-Identifier: Apache-2.0
 * lib/plan.c - mixt_plan: a table of tensors from a file or a preset, and what plan/ makes of it. */
#include <mixt_tools.h>

#include "base/machine.h"
#include "base/pool.h"
#include "lib/lib.h"
#include "plan/places.h"
#include "quantize/recipe.h"
#include "store/store.h"
#include "store/use.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TYPES_MAX = 32, PLACES_MAX = 64, FORMATS_TEXT = 96 };

struct mixt_plan {
    const mixt_model *model;            /* NULL: a preset                                   */
    Preset            preset;
    Sizes             sizes;
    mixt_plan_info    info;
    mixt_plan_class   classes[N_PLAN_CLASSES];
    char              formats[N_PLAN_CLASSES][FORMATS_TEXT];
    mixt_plan_type    types[TYPES_MAX];
    mixt_plan_place   places[PLACES_MAX];
    float            *chances;          /* what is known from use (plan/plan.h), or NULL    */
    size_t            n_classes, n_types, n_places;
};

/* ---- tables ---- */

static PlanClass class_of_role(Role role)
{
    switch (role) {
    case ROLE_EMBED:  return CLASS_EMBED;
    case ROLE_OUT:    return CLASS_OUT;
    case ROLE_Q:
    case ROLE_K:
    case ROLE_V:
    case ROLE_O:      return CLASS_ATTENTION;
    case ROLE_ROUTER: return CLASS_ROUTER;
    case ROLE_GATE:
    case ROLE_UP:
    case ROLE_DOWN:   return CLASS_EXPERTS;
    default:          return CLASS_NORMS;
    }
}

static PlanClass class_of_part(const PresetTensor *t, bool dense)
{
    if (t->part == PART_EMBED) return CLASS_EMBED;
    if (t->part == PART_OUT) return CLASS_OUT;
    switch (t->of) {
    case OF_ATTENTION: return CLASS_ATTENTION;
    case OF_ROUTER:    return CLASS_ROUTER;
    case OF_DENSE:     return dense ? CLASS_EXPERTS : CLASS_SHARED;
    case OF_SHARED:    return CLASS_SHARED;
    case OF_EXPERTS:   return CLASS_EXPERTS;
    case OF_MODEL:     break;
    }
    return CLASS_NORMS;
}

static void begin_table(const Sizes *s, PlanModel *out)
{
    *out = (PlanModel){
        .n_layers = s->n_layers, .n_expert_layers = s->n_layers, .n_experts = s->n_experts, .n_used = s->n_used,
        .n_vocab = s->n_vocab, .n_context = s->n_context, .window = s->window,
        .kv_values = 2 * s->n_kv_heads * s->head_size, .attend_values = 2 * s->n_heads * s->head_size,
    };
}

/* In another mix, or with recipe NULL as the file has it.  A tied output is no tensor of its own. */
static Status table_of_model(const mixt_model *m, const Recipe *recipe, PlanModel *out, Error *error)
{
    const Sizes *s = &m->sizes;
    Weight w, embed;
    begin_table(s, out);
    TRY(arch_weight(m->arch, &m->catalog, s, ROLE_EMBED, 0, 0, &embed, error));
    for (Role role = 0; role < N_ROLES; role++) {
        if (role == ROLE_ROUTER && s->dense) continue;
        const int n_layers = role_in_layer(role) ? (int)s->n_layers : 1;
        const int n_experts = role_of_expert(role) ? (int)s->n_experts : 1;
        for (int l = 0; l < n_layers; l++)
            for (int e = 0; e < n_experts; e++) {
                TRY(arch_weight(m->arch, &m->catalog, s, role, l, e, &w, error));
                if (role == ROLE_OUT && w.tensor == embed.tensor) continue;
                const Format f = recipe ? recipe_format(recipe, s, role, l) : w.format;
                if (w.cols % format_info[f].block_values)
                    return fail(error, BAD_ARGUMENT, "%s: rows of %lld numbers are no whole blocks of %s",
                                w.tensor->name, (long long)w.cols, format_info[f].name);
                plan_add(out, &(PlanTensor){ class_of_role(role), f, w.rows, w.cols, 1 });
            }
    }
    return OK;
}

static void table_of_preset(const Preset *p, const Recipe *recipe, PlanModel *out)
{
    PresetTensor list[PRESET_TENSORS_MAX];
    begin_table(&p->sizes, out);
    out->n_expert_layers = 0;
    for (int l = -1; l < p->sizes.n_layers; l++) {
        const int n = preset_tensors(p, l, list);
        for (int i = 0; i < n; i++) {
            const PresetTensor *t = &list[i];
            plan_add(out, &(PlanTensor){ class_of_part(t, p->sizes.dense), recipe_published(recipe, p, t), t->rows,
                                         t->cols, t->n_experts });
        }
        if (l >= 0 && (p->sizes.dense || preset_layer_has_experts(p, l))) out->n_expert_layers++;
    }
    out->kv_values = preset_kv_values(p);
    out->attend_values = p->kv_rank ? p->sizes.n_heads * (2 * p->kv_rank + p->n_rope)
                                    : p->sizes.n_heads * (p->sizes.head_size + p->value_size);
}

static Status make_table(const mixt_plan *p, const Recipe *recipe, PlanModel *out, Error *error)
{
    if (p->model) return table_of_model(p->model, recipe, out, error);
    table_of_preset(&p->preset, recipe, out);
    return OK;
}

/* What lies in a file beside the tensors. */
static int64_t header_bytes(const mixt_plan *p)
{
    if (!p->model) return p->preset.header_bytes;
    const Catalog *c = &p->model->catalog;
    int64_t all = 0;
    for (int i = 0; i < c->n_files; i++) all += c->files[i].n_bytes;
    const int64_t rest = all - p->model->bytes.dense - p->model->bytes.experts;
    return rest > 0 ? rest : 0;
}

/* ---- the machine, the wish ---- */

/* With so many threads, or the nearest fewer; the first where all have more. */
static double rate_at(const mixt_rate *rates, int n, int n_threads)
{
    double best = 0;
    for (int i = 0; i < n && i < MIXT_RATES_MAX; i++)
        if (rates[i].n_threads <= n_threads || i == 0) best = rates[i].per_s;
    return best;
}

/* With as many reads in flight as were tried: that is how experts are read. */
static double disk_at(const mixt_machine *m)
{
    double rate = 0;
    int deepest = 0;
    for (int i = 0; i < m->n_disk && i < MIXT_DISK_RATES_MAX; i++) {
        if (m->disk[i].depth < deepest || (m->disk[i].depth == deepest && m->disk[i].bytes_per_s < rate)) continue;
        deepest = m->disk[i].depth;
        rate = m->disk[i].bytes_per_s;
    }
    return rate;
}

static const double disk_assumed = 1e9;

static Status take_machine(const mixt_plan_options *o, mixt_plan_info *info, PlanMachine *out, Error *error)
{
    const mixt_machine *m = o->machine;
    info->n_threads = o->n_threads ? o->n_threads : m && m->n_allowed > 0 ? m->n_allowed : pool_cores();
    if (!m) {                           /* places only: forget_speeds takes the rest away  */
        *out = (PlanMachine){ 1, 1, 1, 1, NULL };
        return OK;
    }
    *out = (PlanMachine){ rate_at(m->read, m->n_read, info->n_threads), rate_at(m->int8, m->n_int8, info->n_threads),
                          rate_at(m->f32, m->n_f32, info->n_threads), o->disk_per_s, m->cpu_set };
    if (!(out->read_bytes > 0 && out->int8_products > 0 && out->f32_products > 0))
        return fail(error, BAD_ARGUMENT, "plan: the machine's profile lacks a rate of reading or of products");
    info->disk_measured = o->disk_per_s > 0 || disk_at(m) > 0;
    if (!(out->disk_bytes > 0)) out->disk_bytes = info->disk_measured ? disk_at(m) : disk_assumed;
    info->read_per_s = out->read_bytes;
    info->int8_per_s = out->int8_products;
    info->f32_per_s = out->f32_products;
    info->disk_per_s = out->disk_bytes;
    return OK;
}

/* The engine's own count, and the device's, of what a step of so many rows needs. */
static int64_t scratch_bytes(const Sizes *s, int n_threads, int64_t n_batch, int64_t n_context)
{
    const DeviceLimits limits = model_limits(s, n_batch, 0);
    return work_bytes(s, n_batch) + device_work_bytes("cpu", &limits, n_threads, n_context);
}

static int by_chance(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (y > x) - (y < x);
}

/* Chances known from few rows differ by chance too, and those that look largest are so in part by luck: each goes
 * towards the mean by the part of their variance that luck explains.
 * Source: James, Stein, "Estimation with quadratic loss", Berkeley Symposium 1961; here with the variance of shares. */
static void forget_luck(float *chances, size_t n, double mean, int64_t n_rows)
{
    double spread = 0, luck = 0;
    for (size_t i = 0; i < n; i++) {
        const double p = (double)chances[i];
        spread += (p - mean) * (p - mean);
        luck += p * (1 - p) / (double)n_rows;
    }
    const double keep = spread > luck ? 1 - luck / spread : 0;
    for (size_t i = 0; i < n; i++) chances[i] = (float)(mean + keep * ((double)chances[i] - mean));
}

/* A file that is not there, or no good, counts for nothing. */
static Status take_use(mixt_plan *p, const char *path, Error *error)
{
    uint64_t mark;
    Use use;
    if (!path || !p->model || p->sizes.dense || use_mark(&p->model->catalog, &mark, NULL) != OK) return OK;
    if (use_read(path, mark, (int)p->sizes.n_layers, (int)p->sizes.n_experts, &use, NULL) != OK) return OK;
    const size_t n = (size_t)(p->sizes.n_layers * p->sizes.n_experts);
    if (use.n_rows) p->chances = malloc(n * sizeof *p->chances);
    if (use.n_rows && !p->chances) {
        use_free(&use);
        return fail_memory(error, "the plan");
    }
    for (size_t i = 0; p->chances && i < n; i++)
        p->chances[i] = fminf((float)p->sizes.n_used * use.shares[i], 1);
    const double mean = (double)p->sizes.n_used / (double)p->sizes.n_experts;
    if (p->chances) forget_luck(p->chances, n, mean, use.n_rows);
    if (p->chances) qsort(p->chances, n, sizeof *p->chances, by_chance);
    p->info.n_use_rows = use.n_rows;
    use_free(&use);
    return OK;
}

static Status take_wish(const mixt_plan *p, const mixt_plan_options *o, mixt_plan_info *info, PlanWish *out,
                        Error *error)
{
    static const Format caches[] = { [MIXT_KV_F16] = F16, [MIXT_KV_F32] = F32, [MIXT_KV_Q8_0] = Q8_0 };
    const Sizes *s = &p->sizes;
    const int64_t usual = s->n_context < CONTEXT_DEFAULT ? s->n_context : CONTEXT_DEFAULT;
    if ((int)o->kv < 0 || (int)o->kv >= ARRAY_LEN(caches))
        return fail(error, BAD_ARGUMENT, "key/value cache: expected F16, F32 or Q8_0");
    if (o->n_context > (size_t)s->n_context)
        return fail(error, BAD_ARGUMENT, "context: expected 1 to %lld tokens, as the model was made for, found %zu",
                    (long long)s->n_context, o->n_context);
    if (o->n_batch > BATCH_MAX || o->n_sessions > (1 << 20) || o->n_prompt > (1 << 30) || o->n_together > BATCH_MAX)
        return fail(error, BAD_ARGUMENT, "plan: expected at most %d rows per step and sequences that write together, "
                    "%d sessions", BATCH_MAX, 1 << 20);
    if (!(o->hit_rate <= 1))
        return fail(error, BAD_ARGUMENT, "hit rate: expected at most 1, found %g", o->hit_rate);
    *out = (PlanWish){
        .budget_bytes = o->memory_bytes ? o->memory_bytes : budget_limit_bytes(),
        .n_context = o->n_context ? (int64_t)o->n_context : usual,
        .n_sessions = o->n_sessions ? (int64_t)o->n_sessions : 1,
        .n_rows = o->n_batch ? (int64_t)o->n_batch : BATCH_DEFAULT,
        .n_prompt = o->n_prompt ? (int64_t)o->n_prompt : 512,
        .n_together = o->n_together ? (int64_t)o->n_together : 8,
        .n_slots = o->expert_slots <= INT32_MAX ? (int64_t)o->expert_slots : INT32_MAX,
        .kv = caches[o->kv],
        .page_tokens = PAGE_TOKENS,
        .spare_bytes = PROGRAM_PLANNED_BYTES,
        .hit_rate = o->hit_rate,
        .chances = p->chances,
    };
    out->scratch_bytes = scratch_bytes(s, info->n_threads, out->n_rows, out->n_context);
    info->budget_given = o->memory_bytes != 0;
    info->budget_bytes = out->budget_bytes;
    info->n_context = out->n_context;
    info->n_sessions = out->n_sessions;
    info->n_batch = out->n_rows;
    info->n_prompt = out->n_prompt;
    info->kv = o->kv;
    return OK;
}

/* ---- answers ---- */

/* Without a machine there are places, and no speeds. */
static void forget_speeds(mixt_plan *p)
{
    const mixt_plan_step none = { 0 };
    mixt_plan_info *i = &p->info;
    i->first = i->last = i->together = i->prompt = none;
    i->prompt_s = i->prompt_per_s = i->more_memory_per_s = i->second_disk_per_s = 0;
    for (size_t t = 0; t < p->n_types; t++) p->types[t].write_per_s = p->types[t].prompt_per_s = 0;
    p->n_places = 0;
}

static mixt_plan_step give_step(const PlanStep *s)
{
    return (mixt_plan_step){ s->n_rows, s->n_before, s->experts, s->weight_bytes, s->kv_bytes, s->disk_bytes,
                             s->products, s->resident, s->memory_s, s->product_s, s->other_s, s->disk_s, s->step_s,
                             s->tokens_per_s };
}

static void give_sizes(const mixt_plan *p, const PlanModel *m, const PlanWish *wish, mixt_plan_info *info)
{
    info->dense = p->sizes.dense;
    info->n_values = plan_values(m);
    info->n_values_active = plan_values_active(m);
    info->n_layers = m->n_layers;
    info->n_experts = m->n_experts;
    info->n_used = m->n_used;
    info->n_trained = m->n_context;
    info->kv_bytes_per_token = m->n_layers * format_row_bytes(wish->kv, m->kv_values);
    info->scratch_bytes = wish->scratch_bytes;
    info->spare_bytes = wish->spare_bytes;
}

static void give_plan(const Plan *plan, const PlanModel *m, mixt_plan_info *info)
{
    info->weight_bytes = plan->weight_bytes;
    info->dense_bytes = plan->dense_bytes;
    info->experts_bytes = plan->experts_bytes;
    info->kv_bytes = plan->kv_bytes;
    info->used_bytes = plan->slots.used_bytes;
    info->least_bytes = plan->slots.need_bytes;
    info->all_bytes = plan->slots.all_bytes;
    info->why = (mixt_plan_why)plan->slots.why;
    info->n_slots = plan->slots.n_slots;
    info->n_slots_all = m->n_expert_layers * m->n_experts;
    info->hit_rate = plan->hit_rate;
    info->first = give_step(&plan->first);
    info->last = give_step(&plan->last);
    info->together = give_step(&plan->together);
    info->prompt = give_step(&plan->prompt);
    info->n_pieces = plan->n_pieces;
    info->prompt_s = plan->prompt_s;
    info->prompt_per_s = plan->prompt_per_s;
}
_Static_assert((int)SLOTS_ALL_FIT == MIXT_PLAN_ALL_FIT && (int)SLOTS_TOO_FEW == MIXT_PLAN_TOO_SMALL, "one list");

static double speed_with(const PlanModel *m, const PlanMachine *machine, const PlanWish *wish)
{
    Plan plan;
    plan_make(m, machine, wish, &plan);
    return plan.first.tokens_per_s;
}

static void give_what_if(const PlanModel *m, const PlanMachine *machine, const PlanWish *wish, mixt_plan_info *info)
{
    PlanWish more = *wish;
    PlanMachine two = *machine;
    more.budget_bytes += 32 * GIB;
    two.disk_bytes *= 2;
    info->more_memory_per_s = speed_with(m, machine, &more);
    info->second_disk_per_s = speed_with(m, &two, wish);
}

static void give_card(const mixt_plan_options *o, mixt_plan_info *info)
{
    const int64_t rest = info->dense_bytes + info->kv_bytes + info->scratch_bytes,
                  left = o->vram_bytes - rest;
    info->vram_bytes = o->vram_bytes;
    info->vram_rest_bytes = rest;
    if (left > 0 && info->experts_bytes > 0)
        info->vram_slots = left >= info->experts_bytes
                               ? info->n_slots_all
                               : left / (info->experts_bytes / info->n_slots_all);
}

static void format_list(const int64_t bytes[N_FORMATS], char out[FORMATS_TEXT])
{
    size_t n = 0;
    out[0] = 0;
    for (int f = 0; f < N_FORMATS; f++)
        if (bytes[f] && n < FORMATS_TEXT)
            n += (size_t)snprintf(out + n, FORMATS_TEXT - n, "%s%s", n ? ", " : "", format_info[f].name);
}

static void give_classes(mixt_plan *p, const PlanModel *m)
{
    static const char *const names[N_PLAN_CLASSES] = {
        [CLASS_EMBED] = "embedding", [CLASS_ATTENTION] = "attention", [CLASS_ROUTER] = "router",
        [CLASS_SHARED] = "feed-forward", [CLASS_EXPERTS] = "experts", [CLASS_NORMS] = "norms", [CLASS_OUT] = "output",
    };
    const bool tied = plan_class_bytes(m, CLASS_OUT) == 0;
    for (PlanClass c = 0; c < N_PLAN_CLASSES; c++) {
        const double bytes = (double)plan_class_bytes(m, c);
        if (bytes == 0) continue;
        const double used = c == CLASS_EXPERTS         ? (double)m->n_used / (double)m->n_experts
                            : c == CLASS_EMBED && !tied ? 1.0 / (double)m->n_vocab
                                                       : 1.0;
        format_list(m->bytes[c], p->formats[c]);
        p->classes[p->n_classes++] = (mixt_plan_class){
            .name = c == CLASS_EXPERTS && p->sizes.dense ? "feed-forward" : names[c],
            .formats = p->formats[c], .n_values = plan_class_values(m, c), .n_bytes = (int64_t)bytes,
            .bytes_per_token = bytes * used,
        };
    }
}

/* ---- the same with other mixes, and elsewhere ---- */

/* Mixes a model cannot be stored in are left out. */
static void give_types(mixt_plan *p, const PlanMachine *machine, const PlanWish *wish, const char *chosen)
{
    for (int i = 0; recipe_names[i] && p->n_types < TYPES_MAX; i++) {
        PlanModel m;
        Plan plan;
        const Recipe *recipe = recipe_find(recipe_names[i]);
        if (make_table(p, recipe, &m, NULL) != OK) continue;
        plan_make(&m, machine, wish, &plan);
        p->types[p->n_types++] = (mixt_plan_type){
            .name = recipe->name, .file_bytes = plan.weight_bytes + header_bytes(p),
            .works = plan.slots.why != SLOTS_TOO_FEW, .fits = plan.slots.why == SLOTS_ALL_FIT,
            .chosen = chosen && !strcmp(chosen, recipe->name),
            .resident = plan.slots.n_slots ? (double)plan.slots.n_slots / (double)(m.n_expert_layers * m.n_experts) : 0,
            .write_per_s = plan.first.tokens_per_s, .prompt_per_s = plan.prompt_per_s,
        };
    }
}

/* The next larger and the next smaller file; among equals the first of the table. */
static void choose_neighbours(mixt_plan *p)
{
    const int64_t here = p->info.file_bytes;
    p->info.better = p->info.smaller = -1;
    for (int i = 0; i < (int)p->n_types; i++) {
        const int64_t bytes = p->types[i].file_bytes;
        const int better = p->info.better, smaller = p->info.smaller;
        if (p->types[i].chosen || llabs(bytes - here) < here / 200) continue;
        if (bytes > here && (better < 0 || bytes < p->types[better].file_bytes)) p->info.better = i;
        if (bytes < here && (smaller < 0 || bytes > p->types[smaller].file_bytes)) p->info.smaller = i;
    }
}

static void give_places(mixt_plan *p, const PlanModel *m, const PlanMachine *machine, const PlanWish *wish)
{
    for (const Place *place = place_table; place->name && p->n_places < PLACES_MAX; place++) {
        const PlaceAnswer a = plan_place(m, wish, machine, place);
        p->places[p->n_places++] = (mixt_plan_place){ place->name, place->card, a.works, a.fits, place->memory_bytes,
                                                      a.resident, a.tokens_per_s };
    }
}

/* ---- public ---- */

mixt_plan_options mixt_plan_defaults(void)
{
    return (mixt_plan_options){ .struct_bytes = sizeof(mixt_plan_options), .kv = MIXT_KV_F16, .hit_rate = -1 };
}

const char *const *mixt_plan_presets(void)
{
    return arch_preset_names;
}

static Status choose_subject(mixt_plan *p, const mixt_model *model, const char *preset, Error *error)
{
    p->model = model;
    if (model && !model->arch)
        return fail(error, BAD_ARGUMENT, "%s: was opened for its vocabulary only", model->catalog.path);
    if (model) {
        p->sizes = model->sizes;
        p->info.name = model->catalog.path;
        p->info.runs = true;
        return OK;
    }
    if (!preset || !arch_preset(preset, &p->preset))
        return fail(error, NOT_FOUND, "%s: no model of that name is known", preset ? preset : "(none)");
    p->sizes = p->preset.sizes;
    p->info.name = p->preset.title;
    p->info.preset = true;
    p->info.runs = p->preset.runs;
    return OK;
}

/* As the engine chooses them (gen/engine.c). */
static void choose_rows(const mixt_plan *p, const mixt_plan_options *o, const PlanModel *m, const PlanMachine *machine,
                        mixt_plan_info *info, PlanWish *wish)
{
    Plan plan;
    plan_make(m, machine, wish, &plan);
    if (o->n_batch || o->expert_slots || !sweeps_pay(plan.slots.room_bytes, plan.experts_bytes)) return;
    for (int i = 0; i < N_SWEEP_ROWS; i++) {
        const int64_t scratch = scratch_bytes(&p->sizes, info->n_threads, sweep_rows[i], wish->n_context);
        if (!sweep_affordable(wish->budget_bytes, scratch + wish->reading_bytes)) continue;
        wish->scratch_bytes = scratch;
        info->n_batch = wish->n_rows = sweep_rows[i];
        return;
    }
}

static Status fill(mixt_plan *p, const mixt_plan_options *o, Error *error)
{
    PlanMachine machine;
    PlanModel m;
    PlanWish wish;
    Plan plan;
    const char *type = o->type ? o->type : p->model ? NULL : "Q4_K_M";
    const Recipe *recipe = type ? recipe_find(type) : NULL;
    if (type && !recipe) return fail(error, BAD_ARGUMENT, "type '%s': expected a mix such as Q4_K_M or Q8_0", type);
    TRY(make_table(p, recipe, &m, error));
    TRY(take_machine(o, &p->info, &machine, error));
    if (o->hit_rate < 0) TRY(take_use(p, o->use, error));
    TRY(take_wish(p, o, &p->info, &wish, error));
    const int64_t n_all = m.n_expert_layers * m.n_experts;
    wish.reading_bytes = n_all ? store_reading_bytes(plan_class_bytes(&m, CLASS_EXPERTS) / n_all) : 0;
    choose_rows(p, o, &m, &machine, &p->info, &wish);

    plan_make(&m, &machine, &wish, &plan);
    p->info.type = recipe ? recipe->name : "as stored";
    p->info.file_bytes = plan.weight_bytes + header_bytes(p);
    give_sizes(p, &m, &wish, &p->info);
    give_plan(&plan, &m, &p->info);
    give_card(o, &p->info);
    give_classes(p, &m);
    if (!o->brief) {
        give_what_if(&m, &machine, &wish, &p->info);
        give_types(p, &machine, &wish, recipe ? recipe->name : NULL);
        give_places(p, &m, &machine, &wish);
    }
    choose_neighbours(p);
    if (!o->machine) forget_speeds(p);
    return OK;
}

mixt_status mixt_plan_new(const mixt_model *model, const char *preset, const mixt_plan_options *options,
                          mixt_plan **out, mixt_error *error)
{
    mixt_plan_options o = mixt_plan_defaults();
    Error inside = { 0 };
    take_options(&o, sizeof o, options);
    *out = NULL;
    mixt_plan *p = calloc(1, sizeof *p);
    Status status = p ? choose_subject(p, model, preset, &inside) : fail_memory(&inside, "the plan");
    if (status == OK) status = fill(p, &o, &inside);
    if (status == OK) {
        p->info.struct_bytes = sizeof p->info;
        *out = p;
    } else {
        mixt_plan_free(p);
    }
    return answer(error, status, &inside);
}

void mixt_plan_free(mixt_plan *p)
{
    if (p) free(p->chances);
    free(p);
}

mixt_plan_info mixt_plan_read(const mixt_plan *p) { return p->info; }

const mixt_plan_class *mixt_plan_classes(const mixt_plan *p, size_t *n)
{
    *n = p->n_classes;
    return p->classes;
}

const mixt_plan_type *mixt_plan_types(const mixt_plan *p, size_t *n)
{
    *n = p->n_types;
    return p->types;
}

const mixt_plan_place *mixt_plan_places(const mixt_plan *p, size_t *n)
{
    *n = p->n_places;
    return p->places;
}
