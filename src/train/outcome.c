/* SPDX-License-Identifier: Apache-2.0
 * train/outcome.c - see outcome.h.  Experts are learned apart and written stacked. */
#include "train/outcome.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CHUNK_VALUES = 256 << 10 };

bool outcome_type(const char *name, Format *out)
{
    static const Format allowed[] = { F32, F16, BF16, Q8_0 };
    for (int i = 0; i < ARRAY_LEN(allowed); i++)
        if (!strcasecmp(name, format_info[allowed[i]].name)) {
            *out = allowed[i];
            return true;
        }
    return false;
}

static const Param *find_param(const Outcome *o, const char *name)
{
    for (int i = 0; i < o->n_params; i++)
        if (!strcmp(o->params[i].name, name)) return &o->params[i];
    return NULL;
}

static void choose_format(const Outcome *o, OutTensor *t)
{
    if (t->vector || t->role == ROLE_ROUTER) return;
    if (out_cols(t) % format_info[o->type].block_values == 0) t->format = o->type;
}

/* ---- settings ---- */

/* general.file_type: what most matrices are.  Source: llama.h, enum llama_ftype. */
static uint32_t file_type(Format type)
{
    switch (type) {
    case F16:  return 1;
    case Q8_0: return 7;
    case BF16: return 32;
    default:   return 0;
    }
}

static Status put_settings(GgufWriter *w, const Outcome *o, Error *error)
{
    TRY(put_sizes(w, o->arch, o->sizes, error));
    if (o->name) TRY(put_words(w, "general.name", o->name, error));
    TRY(gguf_put_u32(w, "general.file_type", file_type(o->type), error));
    if (o->type == Q8_0) TRY(gguf_put_u32(w, "general.quantization_version", 2, error));
    TRY(gguf_put_vocab(w, o->vocab, error));
    if (!o->chat_template) return OK;
    return gguf_put_text(w, "tokenizer.chat_template", o->chat_template, o->chat_template_bytes, error);
}

/* ---- data ---- */

static Status put_values(GgufWriter *w, const float *values, int64_t n, Format format, void *room, Error *error)
{
    const FormatInfo *f = &format_info[format];
    for (int64_t i = 0; i < n; i += CHUNK_VALUES) {
        const size_t step = (size_t)(n - i < CHUNK_VALUES ? n - i : CHUNK_VALUES);
        f->encode(room, values + i, step);
        TRY(gguf_add(w, room, step / (size_t)f->block_values * (size_t)f->block_bytes, error));
    }
    return OK;
}

static Status put_tensor(GgufWriter *w, const Outcome *o, const OutTensor *t, void *room, Error *error)
{
    const int64_t n_slices = t->n_dims == 3 ? t->dims[0] : 1, n = out_rows(t) * out_cols(t) / n_slices;
    for (int e = 0; e < n_slices; e++) {
        char name[OUT_NAME_BYTES];
        out_slice_name(o->arch, t, e, name);
        const Param *p = find_param(o, name);
        if (!p || p->rows * p->cols != n)
            return fail(error, FAILED, "%s: expected %lld learned numbers, found %lld", name, (long long)n,
                        (long long)(p ? p->rows * p->cols : 0));
        for (int64_t i = 0; i < n; i++)
            if (!isfinite(p->value[i]))
                return fail(error, FAILED, "%s: expected numbers, found %g", name, (double)p->value[i]);
        TRY(put_values(w, p->value, n, t->format, room, error));
    }
    return OK;
}

static Status put_tensors(GgufWriter *w, const Outcome *o, const OutList *list, Error *error)
{
    void *room = malloc(CHUNK_VALUES * sizeof(float));
    if (!room) return fail_memory(error, "the model file");
    Status status = OK;
    for (int i = 0; status == OK && i < list->n; i++) {
        const OutTensor *t = &list->tensors[i];
        status = gguf_declare(w, t->name, t->format, t->n_dims, t->dims, error);
    }
    for (int i = 0; status == OK && i < list->n; i++) status = put_tensor(w, o, &list->tensors[i], room, error);
    free(room);
    return status;
}

Status outcome_write(const char *path, const char *const *inputs, const Outcome *o, Error *error)
{
    OutList list;
    GgufWriter *w;
    const bool with_output = find_param(o, arch_gguf_name(o->arch, ROLE_OUT)) != NULL;     /* else tied */
    TRY(out_list(o->arch, o->sizes, with_output, &list, error));
    for (int i = 0; i < list.n; i++) choose_format(o, &list.tensors[i]);
    Status status = gguf_create(path, inputs, &w, error);
    if (status == OK) {
        status = put_settings(w, o, error);
        if (status == OK) status = put_tensors(w, o, &list, error);
        if (status == OK) status = gguf_finish(w, error);
        else gguf_abandon(w);
    }
    free(list.tensors);
    return status;
}

/* ---- adapters ---- */

enum { HALVES = 2 };
static const char *const half_ends[HALVES] = { ".lora_a", ".lora_b" };

/* One half of one expert's pair; NULL: it has none. */
static const Param *find_half(const Outcome *o, const OutTensor *t, int expert, int half)
{
    char name[OUT_NAME_BYTES], whole[PARAM_NAME_BYTES];
    out_slice_name(o->arch, t, expert, name);
    snprintf(whole, sizeof whole, "%s%s", name, half_ends[half]);
    return find_param(o, whole);
}

static int n_slices(const OutTensor *t)
{
    return t->n_dims == 3 ? (int)t->dims[0] : 1;
}

/* Any expert's half: all of a stack have one shape.  NULL: the tensor has no adapter. */
static const Param *any_half(const Outcome *o, const OutTensor *t, int half)
{
    for (int e = 0; e < n_slices(t); e++)
        if (find_half(o, t, e, half)) return find_half(o, t, e, half);
    return NULL;
}

/* The format of a half: as asked for, where its rows are whole blocks. */
static Format half_format(const Outcome *o, const Param *p)
{
    return p->cols % format_info[o->type].block_values ? F32 : o->type;
}

static Status declare_half(GgufWriter *w, const Outcome *o, const OutTensor *t, int half, Error *error)
{
    const Param *p = any_half(o, t, half);
    char name[PARAM_NAME_BYTES];
    if (!p) return fail(error, FAILED, "%s: expected both halves of its adapter, found one", t->name);
    const int64_t dims[3] = { n_slices(t), p->rows, p->cols };
    const int flat = t->n_dims == 3 ? 0 : 1;
    snprintf(name, sizeof name, "%s%s", t->name, half_ends[half]);
    return gguf_declare(w, name, half_format(o, p), 3 - flat, dims + flat, error);
}

/* The file has one alpha; what a class has more goes into its b.  `values` has room for a half. */
static Status put_half(GgufWriter *w, const Outcome *o, const OutTensor *t, int half, double scale, float *values,
                       void *room, Error *error)
{
    const Param *any = any_half(o, t, half);
    const int64_t n = any->rows * any->cols;
    for (int e = 0; e < n_slices(t); e++) {
        const Param *p = find_half(o, t, e, half);
        for (int64_t i = 0; i < n; i++) {
            values[i] = !p ? 0 : half == 1 && scale != 1 ? (float)(scale * (double)p->value[i]) : p->value[i];
            if (!isfinite(values[i]))
                return fail(error, FAILED, "%s: expected numbers, found %g", p->name, (double)values[i]);
        }
        TRY(put_values(w, values, n, half_format(o, any), room, error));
    }
    return OK;
}

static Status put_pairs(GgufWriter *w, const Outcome *o, const OutList *list, const AdapterPlan *plan, double alpha,
                        Error *error)
{
    int64_t most = 1;
    for (int i = 0; i < list->n; i++)
        for (int half = 0; half < HALVES && any_half(o, &list->tensors[i], 0); half++) {
            const Param *p = any_half(o, &list->tensors[i], half);
            if (p->rows * p->cols > most) most = p->rows * p->cols;
            TRY(declare_half(w, o, &list->tensors[i], half, error));
        }
    float *values = malloc((size_t)most * sizeof *values);
    void *room = malloc(CHUNK_VALUES * sizeof(float));
    Status status = values && room ? OK : fail_memory(error, "the adapter file");
    for (int i = 0; status == OK && i < list->n; i++)
        for (int half = 0; status == OK && half < HALVES && any_half(o, &list->tensors[i], 0); half++)
            status = put_half(w, o, &list->tensors[i], half, plan->alpha[list->tensors[i].role] / alpha, values, room,
                              error);
    free(values);
    free(room);
    return status;
}

/* The first class's alpha is the file's, so its numbers stay as they are. */
static double file_alpha(const AdapterPlan *plan)
{
    for (int role = 0; role < N_ROLES; role++)
        if (plan->rank[role]) return plan->alpha[role];
    return 1;
}

static Status put_adapter(GgufWriter *w, const Outcome *o, const OutList *list, const AdapterPlan *plan, Error *error)
{
    const double alpha = (double)(float)file_alpha(plan);       /* as readers will see it    */
    TRY(put_words(w, "general.type", "adapter", error));
    TRY(put_words(w, "general.architecture", o->arch->names[SOURCE_GGUF][0], error));
    if (o->name) TRY(put_words(w, "general.name", o->name, error));
    TRY(put_words(w, "adapter.type", "lora", error));
    TRY(gguf_put_f32(w, "adapter.lora.alpha", (float)alpha, error));
    return put_pairs(w, o, list, plan, alpha, error);
}

Status outcome_write_adapter(const char *path, const char *const *inputs, const Outcome *o, const AdapterPlan *plan,
                             Error *error)
{
    OutList list;
    GgufWriter *w;
    TRY(out_list(o->arch, o->sizes, true, &list, error));
    Status status = gguf_create(path, inputs, &w, error);
    if (status == OK) {
        status = put_adapter(w, o, &list, plan, error);
        if (status == OK) status = gguf_finish(w, error);
        else gguf_abandon(w);
    }
    free(list.tensors);
    return status;
}
