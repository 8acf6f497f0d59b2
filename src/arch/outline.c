/* SPDX-License-Identifier: Apache-2.0
 * arch/outline.c - see outline.h.  Keys and tensor names come from the family's table. */
#include "arch/outline.h"

#include "base/checked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tensors ---- */

/* The rule whose name arch_gguf_name gives: the first with a GGUF column. */
static const TensorRule *find_rule(const Arch *arch, Role role)
{
    for (int i = 0; i < arch->n_tensors; i++)
        if (arch->tensors[i].role == role && arch->tensors[i].name[SOURCE_GGUF])
            return &arch->tensors[i];
    return NULL;
}

static void make_name(char name[OUT_NAME_BYTES], const char *pattern, int layer)
{
    const char *hole = strstr(pattern, "%d");
    if (hole)
        snprintf(name, OUT_NAME_BYTES, "%.*s%d%s", (int)(hole - pattern), pattern, layer, hole + 2);
    else
        snprintf(name, OUT_NAME_BYTES, "%s", pattern);
}

static Status add_tensor(OutList *list, const Arch *arch, const Sizes *s, Role role, int layer,
                         Error *error)
{
    const TensorRule *rule = find_rule(arch, role);
    if (!rule) return OK;                               /* a dense layer has no router          */
    OutTensor *t = &list->tensors[list->n++];
    *t = (OutTensor){ .role = role, .layer = layer, .format = F32, .vector = !rule->shape[1] };
    make_name(t->name, arch_gguf_name(arch, role), layer);
    int64_t n_values = 1;
    while (t->n_dims < 3 && rule->shape[t->n_dims]) {
        const int64_t size = arch_dim(s, rule->shape[t->n_dims]);
        t->dims[t->n_dims++] = size;
        if (size < 1 || !checked_mul(n_values, size, &n_values) || n_values > INT64_MAX / 64)
            return fail(error, BAD_ARGUMENT,
                        "%s: expected a sane number of values, found dimension %lld", t->name,
                        (long long)size);
    }
    return OK;
}

Status out_list(const Arch *arch, const Sizes *s, bool with_output, OutList *out, Error *error)
{
    *out =
        (OutList){ .tensors = calloc((size_t)(s->n_layers + 1) * N_ROLES, sizeof *out->tensors) };
    if (!out->tensors) return fail_memory(error, "the list of tensors");
    Status status = add_tensor(out, arch, s, ROLE_EMBED, 0, error);
    for (int layer = 0; status == OK && layer < s->n_layers; layer++)
        for (Role role = ROLE_ATTN_NORM; status == OK && role < N_ROLES; role++)
            status = add_tensor(out, arch, s, role, layer, error);
    if (status == OK) status = add_tensor(out, arch, s, ROLE_OUT_NORM, 0, error);
    if (status == OK && with_output) status = add_tensor(out, arch, s, ROLE_OUT, 0, error);
    if (status == OK) return OK;
    free(out->tensors);
    *out = (OutList){ 0 };
    return status;
}

void out_slice_name(const Arch *arch, const OutTensor *t, int expert, char name[OUT_NAME_BYTES])
{
    snprintf(name, OUT_NAME_BYTES, "%s", t->name);
    for (int i = 0; t->n_dims == 3 && i < arch->n_tensors; i++) {
        const TensorRule *rule = &arch->tensors[i];
        if (rule->role != t->role || rule->flags & STACKED || !rule->name[SOURCE_GGUF]) continue;
        char with_layer[OUT_NAME_BYTES];
        make_name(with_layer, rule->name[SOURCE_GGUF], t->layer);
        make_name(name, with_layer, expert);
        return;
    }
}

int64_t out_cols(const OutTensor *t)
{
    return t->dims[t->n_dims - 1];
}

int64_t out_rows(const OutTensor *t)
{
    int64_t rows = 1;
    for (int i = 0; i < t->n_dims - 1; i++) rows *= t->dims[i];
    return rows;
}

int64_t out_bytes(const OutTensor *t)
{
    return out_rows(t) * format_row_bytes(t->format, out_cols(t));
}

Status out_check(const OutTensor *t, Error *error)
{
    const FormatInfo *f = &format_info[t->format];
    if (out_cols(t) % f->block_values == 0) return OK;
    return fail(error, BAD_ARGUMENT, "%s: %s needs rows of a multiple of %d numbers, found %lld",
                t->name, f->name, f->block_values, (long long)out_cols(t));
}

/* ---- settings ---- */

Status put_words(GgufWriter *w, const char *key, const char *words, Error *error)
{
    return gguf_put_text(w, key, words, strlen(words), error);
}

static double size_value(const Sizes *s, Size size)
{
    switch (size) {
    case SIZE_LAYERS:      return (double)s->n_layers;
    case SIZE_VOCAB:       return (double)s->n_vocab;
    case SIZE_CONTEXT:     return (double)s->n_context;
    case SIZE_MODEL_WIDTH: return (double)s->width;
    case SIZE_HEADS:       return (double)s->n_heads;
    case SIZE_KV_HEADS:    return (double)s->n_kv_heads;
    case SIZE_HEAD:        return (double)s->head_size;
    case SIZE_EXPERTS:     return (double)s->n_experts;
    case SIZE_USED:        return (double)s->n_used;
    case SIZE_HIDDEN:      return (double)s->hidden;
    case SIZE_WINDOW:      return (double)s->window;
    case SIZE_TURNED:      return (double)s->n_turned;
    case SIZE_NORM_EPS:    return s->norm_eps;
    case SIZE_ROPE_BASE:   return s->rope_base;
    case N_SIZES:          break;
    }
    abort();
}

Status put_sizes(GgufWriter *w, const Arch *arch, const Sizes *s, Error *error)
{
    const char *family = arch->names[SOURCE_GGUF][0];
    char key[128];
    TRY(put_words(w, "general.architecture", family, error));
    for (int i = 0; i < arch->n_sizes; i++) {
        const SizeRule *rule = &arch->sizes[i];
        const char *keys = rule->key[SOURCE_GGUF];
        if (!keys || (rule->size == SIZE_WINDOW && s->window == 0)) continue;
        snprintf(key, sizeof key, "%.*s", (int)strcspn(keys, "|"), keys);
        const double value = size_value(s, rule->size);
        const bool real = rule->size == SIZE_NORM_EPS || rule->size == SIZE_ROPE_BASE;
        TRY(real ? gguf_put_f32(w, key, (float)value, error)
                 : gguf_put_u32(w, key, (uint32_t)value, error));
    }
    /* A key every reader knows and no size of ours needs: it follows from another. */
    snprintf(key, sizeof key, "%s.attention.value_length", family);
    return gguf_put_u32(w, key, (uint32_t)s->head_size, error);
}
