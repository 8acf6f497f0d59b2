/* SPDX-License-Identifier: Apache-2.0
 * train/vocabulary.c - see vocabulary.h. */
#include "train/vocabulary.h"

#include "base/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEMPLATE_BYTES_MAX = 1 << 20 };

static char *piece_text(const Vocab *v, int32_t token)
{
    return token < 0 || token >= v->n_pieces ? NULL : strndup(v->pieces[token].text, v->pieces[token].n_bytes);
}

/* A path that is not absolute begins at the configuration's folder. */
static Status read_template(Vocabulary *v, const Config *c, Error *error)
{
    const char *slash = strrchr(c->path, '/');
    Buffer path = { 0 };
    if (*c->chat_template != '/' && slash) buffer_append(&path, c->path, (size_t)(slash + 1 - c->path));
    buffer_text(&path, c->chat_template);
    Status status = path.failed ? fail_memory(error, c->chat_template)
                                : file_slurp(path.data, TEMPLATE_BYTES_MAX, &v->read, &v->source_bytes, error);
    if (status == NOT_FOUND) {
        Error why = *error;
        status = fail(error, NOT_FOUND, "[vocabulary] template: expected a file or the name of a built-in format "
                      "(chatml, zephyr, ..), found neither: %s", why.text);
    }
    v->source = v->read;
    buffer_free(&path);
    return status;
}

static Status open_format(Vocabulary *v, const Config *c, Error *error)
{
    char name[300];
    if (c->chat_template) {
        v->source = template_builtin_source(c->chat_template);
        if (v->source) v->source_bytes = strlen(v->source);
        else TRY(read_template(v, c, error));
    } else if (v->catalog.chat_template) {
        v->source = v->catalog.chat_template;
        v->source_bytes = v->catalog.chat_template_bytes;
    }
    if (!v->source) return OK;
    snprintf(name, sizeof name, "%.200s: chat template", c->chat_template ? c->chat_template : v->catalog.path);
    return template_new(v->source, v->source_bytes, name, &v->format, error);
}

static Status open_all(Vocabulary *v, const Memory *memory, const char *path, const Config *c, Error *error)
{
    TRY(catalog_open_with(memory, path, &v->catalog, error));
    if (v->catalog.vocab.kind == VOCAB_NONE)
        return fail(error, BAD_FILE, "%s: expected a vocabulary, found none", path);
    TRY(tokenizer_new(&v->catalog.vocab, path, &v->tokenizer, error));
    v->bos = piece_text(&v->catalog.vocab, v->catalog.vocab.bos);
    v->eos = piece_text(&v->catalog.vocab, v->catalog.vocab.eos);
    return open_format(v, c, error);
}

Status vocabulary_open(const Memory *memory, const char *path, const Config *c, Vocabulary *out, Error *error)
{
    *out = (Vocabulary){ 0 };
    const Status status = open_all(out, memory, path, c, error);
    if (status != OK) vocabulary_free(out);
    return status;
}

void vocabulary_free(Vocabulary *v)
{
    template_free(v->format);
    tokenizer_free(v->tokenizer);
    catalog_close(&v->catalog);
    free(v->read);
    free(v->bos);
    free(v->eos);
    *v = (Vocabulary){ 0 };
}

ChatReader vocabulary_reader(const Vocabulary *v)
{
    return (ChatReader){ .tokenizer = v->tokenizer, .format = v->format, .bos = v->bos, .eos = v->eos,
                         .format_why = "the vocabulary brings none" };
}
