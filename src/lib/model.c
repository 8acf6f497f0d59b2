/* SPDX-License-Identifier: Apache-2.0
 * lib/model.c - mixt_model: files opened, checked and described. */
#include "lib/lib.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mixt_model_options mixt_model_defaults(void)
{
    return (mixt_model_options){ .struct_bytes = sizeof(mixt_model_options) };
}

static void name_container(mixt_model *m)
{
    const Catalog *c = &m->catalog;
    const char *names[] = { "GGUF", "Hugging Face folder", "Mistral folder", "tokenizer file" };
    if (c->source == SOURCE_GGUF)
        snprintf(m->container, sizeof m->container,
                 c->packed && c->n_files > 1 ? "GGUF v%d in %d parts, packed"
                 : c->packed      ? "GGUF v%d, packed"
                 : c->in_memory   ? "GGUF v%d in memory"
                 : c->n_files > 1 ? "GGUF v%d in %d parts"
                                  : "GGUF v%d",
                 c->gguf_version, c->n_files);
    else
        snprintf(m->container, sizeof m->container, "%s", names[c->source]);
}

static Status open_tokenizer(mixt_model *m, Error *error)
{
    const Vocab *v = &m->catalog.vocab;
    if (v->kind == VOCAB_NONE) return OK;
    TRY(tokenizer_new(v, m->catalog.path, &m->tokenizer, error));
    if (v->kind == VOCAB_SPM)
        snprintf(m->tokenizer_name, sizeof m->tokenizer_name, "SentencePiece BPE");
    else
        snprintf(m->tokenizer_name, sizeof m->tokenizer_name, "byte-level BPE (%.60s)",
                 v->pre           ? v->pre
                 : v->pre_pattern ? "its own pattern"
                                  : "default");
    return OK;
}

static Status open_network(mixt_model *m, const mixt_model_options *o, Error *error)
{
    TRY(arch_find(&m->catalog, &m->arch, error));
    TRY(arch_sizes(m->arch, &m->catalog, &m->sizes, error));
    TRY(model_bytes(m->arch, &m->catalog, &m->sizes, &m->bytes, error));
    TRY(arch_leftovers(m->arch, &m->catalog, &m->sizes, o->log, o->log_user, error));
    return count_classes(m, error);
}

static Status open_all(mixt_model *m, const char *path, const mixt_model_options *o, Error *error)
{
    const Memory memory = take_memory(o->memory);
    TRY(catalog_open_with(&memory, path, &m->catalog, error));
    name_container(m);
    if (!o->vocab_only) TRY(open_network(m, o, error));
    TRY(open_tokenizer(m, error));
    if (o->vocab_only && !m->tokenizer)
        return fail(error, BAD_FILE, "%s: expected a tokenizer, found none", path);
    TRY(catalog_files(&m->catalog, &m->files, error));
    return choose_format(m, o->chat_template, error);
}

mixt_status mixt_model_open(const char *path, const mixt_model_options *options, mixt_model **out,
                            mixt_error *error)
{
    mixt_model_options o = mixt_model_defaults();
    Error inside = { 0 };
    take_options(&o, sizeof o, options);
    *out = NULL;
    mixt_model *m = calloc(1, sizeof *m);
    Status status = m ? open_all(m, path, &o, &inside) : fail_memory(&inside, path);
    if (status != OK) mixt_model_free(m);
    else *out = m;
    return answer(error, status, &inside);
}

void mixt_model_free(mixt_model *m)
{
    if (!m) return;
    template_free(m->format);
    tokenizer_free(m->tokenizer);
    catalog_close(&m->catalog);
    free(m);
}

mixt_model_info mixt_model_read(const mixt_model *m)
{
    const Sizes *s = &m->sizes;
    const Vocab *v = &m->catalog.vocab;
    const int64_t n_all = s->n_layers * s->n_experts;
    return (mixt_model_info){
        .struct_bytes = sizeof(mixt_model_info),
        .path = m->catalog.path,
        .container = m->container,
        .arch = m->arch ? m->arch->name : NULL,
        .tokenizer = m->tokenizer ? m->tokenizer_name : NULL,
        .template_name = m->format_name,
        .template_why = m->format_why,
        .n_layers = s->n_layers,
        .n_context = s->n_context,
        .width = s->width,
        .n_heads = s->n_heads,
        .n_kv_heads = s->n_kv_heads,
        .head_size = s->head_size,
        .n_experts = m->arch && !s->dense ? s->n_experts : 0,
        .n_used = m->arch && !s->dense ? s->n_used : 0,
        .hidden = s->hidden,
        .n_vocab = m->arch ? s->n_vocab : v->n_pieces,
        .window = s->window,
        .rope_base = s->rope_base,
        .norm_eps = s->norm_eps,
        .n_values = m->n_values,
        .n_values_active = m->n_values_active,
        .weight_bytes = m->bytes.dense + m->bytes.experts,
        .expert_bytes = n_all && m->bytes.largest_expert * n_all == m->bytes.experts
                            ? m->bytes.largest_expert
                            : 0,
        .kv_bytes_per_token = 2 * 2 * s->n_layers * s->n_kv_heads * s->head_size,
        .n_tensors = m->catalog.n_tensors,
        .bos = v->kind == VOCAB_NONE ? -1 : v->bos,
        .eos = v->kind == VOCAB_NONE ? -1 : v->eos,
        .unknown = v->kind == VOCAB_NONE ? -1 : v->unknown,
    };
}

const mixt_weight_class *mixt_model_classes(const mixt_model *m, size_t *n)
{
    *n = m->n_classes;
    return m->classes;
}

const char *const *mixt_model_files(const mixt_model *m)
{
    return m->files;
}
