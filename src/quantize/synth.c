/* SPDX-License-Identifier: Apache-2.0
 * quantize/synth.c - a model file of a true shape: header, vocabulary, and weights from fill.c. */
#include "quantize/synth.h"

#include "arch/shapes.h"
#include "quantize/fill.h"
#include "quantize/recipe.h"
#include "quantize/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const *const synth_shapes = arch_shape_names;

enum {
    WIDTH_LEAST = 32,                   /* a constant, and something for routers to read    */
    WIDTH_MOST  = 1 << 20, HEADS_MOST = 1 << 14, CONTEXT_MOST = 1 << 28
};
static const double SKEW_MOST = 4.0;

typedef struct Plan {
    Sizes         sizes;
    const Arch   *arch;
    const Recipe *recipe;
    OutList       list;
    int64_t       n_bytes;              /* of all tensors                                   */
} Plan;

/* ---- options to sizes ---- */

static Status take(const char *name, int64_t given, int64_t least, int64_t most, int64_t *size,
                   Error *error)
{
    if (given) *size = given;
    if (*size >= least && *size <= most) return OK;
    return fail(error, BAD_ARGUMENT, "%s: expected %lld to %lld, found %lld", name,
                (long long)least, (long long)most, (long long)*size);
}

static Status take_experts(const SynthOptions *o, Sizes *s, Error *error)
{
    if (o->n_experts == -1 || (s->dense && o->n_experts == 0)) {
        if (o->n_used)
            return fail(error, BAD_ARGUMENT,
                        "experts used: expected experts to use, found a dense model");
        s->dense = true;
        s->n_experts = s->n_used = 1;
        return OK;
    }
    if (s->dense) s->n_used = 2;
    s->dense = false;
    TRY(take("experts", o->n_experts, 1, EXPERTS_MAX, &s->n_experts, error));
    if (s->n_used > s->n_experts) s->n_used = s->n_experts;
    return take("experts used", o->n_used, 1, s->n_experts < USED_MAX ? s->n_experts : USED_MAX,
                &s->n_used, error);
}

static Status take_sizes(const SynthOptions *o, Sizes *s, Error *error)
{
    if (!o->like || !arch_shape(o->like, s))
        return fail_choice("shape", synth_shapes, o->like, error);
    TRY(take("layers", o->n_layers, 1, LAYERS_MAX, &s->n_layers, error));
    TRY(take("width", o->width, WIDTH_LEAST, WIDTH_MOST, &s->width, error));
    TRY(take("expert width", o->hidden, 1, WIDTH_MOST, &s->hidden, error));
    TRY(take("heads", o->n_heads, 1, HEADS_MOST, &s->n_heads, error));
    TRY(take("kv heads", o->n_kv_heads, 1, s->n_heads, &s->n_kv_heads, error));
    TRY(take("head size", o->head_size, 2, WIDTH_MOST / s->n_heads, &s->head_size, error));
    TRY(take("vocabulary", o->n_vocab, WORDS_MIN, WORDS_MAX, &s->n_vocab, error));
    TRY(take("context", o->n_context, 1, CONTEXT_MOST, &s->n_context, error));
    TRY(take_experts(o, s, error));
    if (o->window == -1) s->window = 0;                 /* none, though the shape has one       */
    else TRY(take("window", o->window, 0, CONTEXT_MOST, &s->window, error));
    if (s->n_heads % s->n_kv_heads)
        return fail(error, BAD_ARGUMENT, "heads: expected a multiple of %lld kv heads, found %lld",
                    (long long)s->n_kv_heads, (long long)s->n_heads);
    if (s->head_size % 2)
        return fail(error, BAD_ARGUMENT, "head size: expected an even number, found %lld",
                    (long long)s->head_size);
    s->n_turned = s->head_size;
    return OK;
}

static Status find_family(Plan *p, Error *error)
{
    for (int i = 0; arch_table[i]; i++)
        if (arch_table[i]->has_experts == !p->sizes.dense) {
            p->arch = arch_table[i];
            return OK;
        }
    return fail(error, UNSUPPORTED, "no family of models has %s experts",
                p->sizes.dense ? "no" : "any");
}

static Status plan_tensors(Plan *p, Error *error)
{
    TRY(out_list(p->arch, &p->sizes, true, &p->list, error));
    for (int i = 0; i < p->list.n; i++) {
        OutTensor *t = &p->list.tensors[i];
        t->format = recipe_format(p->recipe, &p->sizes, t->role, t->layer);
        TRY(out_check(t, error));
        p->n_bytes += out_bytes(t);
    }
    return OK;
}

static Status plan_make(const SynthOptions *o, Plan *out, Error *error)
{
    *out = (Plan){ 0 };
    TRY(take_sizes(o, &out->sizes, error));
    if (!(o->router_skew >= 0 && o->router_skew <= SKEW_MOST))
        return fail(error, BAD_ARGUMENT, "router skew: expected 0 to %g, found %g", SKEW_MOST,
                    o->router_skew);
    if (out->sizes.dense && o->router_skew > 0)
        return fail(error, BAD_ARGUMENT,
                    "router skew: expected a model with experts, found a dense one");
    out->recipe = recipe_find(o->type ? o->type : "");
    if (!out->recipe) return fail_choice("type", recipe_names, o->type, error);
    TRY(find_family(out, error));
    const Status status = plan_tensors(out, error);
    if (status != OK) free(out->list.tensors);
    return status;
}

Status synth_bytes(const SynthOptions *o, int64_t *out, Error *error)
{
    Plan plan;
    TRY(plan_make(o, &plan, error));
    *out = plan.n_bytes;
    free(plan.list.tensors);
    return OK;
}

/* ---- the file ---- */

static Status put_header(GgufWriter *w, const Plan *p, const SynthOptions *o, Error *error)
{
    char name[96];
    snprintf(name, sizeof name, "random weights shaped like %s", o->like);
    TRY(put_sizes(w, p->arch, &p->sizes, error));
    TRY(put_words(w, "general.name", name, error));
    TRY(gguf_put_u32(w, "general.file_type", p->recipe->file_type, error));
    TRY(gguf_put_u32(w, "general.quantization_version", 2, error));

    Arena arena = { 0 };
    Vocab vocab;
    Status status = words_make(p->sizes.n_vocab, &arena, &vocab, error);
    if (status == OK) status = gguf_put_vocab(w, &vocab, error);
    arena_free(&arena);
    TRY(status);
    return put_words(w, "tokenizer.chat_template", words_template, error);
}

static Status put_tensors(GgufWriter *w, const Plan *p, Fill *fill, const SynthOptions *o,
                          Error *error)
{
    Meter meter = { o->progress, o->progress_user, 0, p->n_bytes };
    for (int i = 0; i < p->list.n; i++) {
        const OutTensor *t = &p->list.tensors[i];
        TRY(gguf_declare(w, t->name, t->format, t->n_dims, t->dims, error));
    }
    for (int i = 0; i < p->list.n; i++)
        TRY(fill_tensor(fill, &p->list.tensors[i], i, w, &meter, error));
    return OK;
}

static Status write_model(const char *to, const Plan *p, const SynthOptions *o, Error *error)
{
    GgufWriter *w;
    Fill *fill;
    TRY(fill_new(&p->sizes, o->router_skew, o->seed, &fill, error));
    Status status = gguf_create(to, NULL, &w, error);
    if (status == OK) {
        status = put_header(w, p, o, error);
        if (status == OK) status = put_tensors(w, p, fill, o, error);
        if (status == OK) status = gguf_finish(w, error);
        else gguf_abandon(w);
    }
    fill_free(fill);
    return status;
}

Status synth(const char *to, const SynthOptions *o, Error *error)
{
    Plan plan;
    TRY(plan_make(o, &plan, error));
    const Status status = write_model(to, &plan, o, error);
    free(plan.list.tensors);
    return status;
}
