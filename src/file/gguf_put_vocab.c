/* SPDX-License-Identifier: Apache-2.0
 * file/gguf_put_vocab.c - a vocabulary becomes tokenizer.* keys: what gguf_vocab.c reads. */
#include <stdlib.h>
#include <string.h>

#include "file/gguf_write.h"
#include "text/pretokenize.h"

static Status put_word(GgufWriter *w, const char *key, const char *word, Error *error)
{
    return gguf_put_text(w, key, word, strlen(word), error);
}

typedef struct Columns {            /* one array per key, as GGUF stores pieces             */
    const char **texts;
    size_t      *n_bytes;
    float       *scores;
    int32_t     *types;
} Columns;

static void columns_free(Columns *c)
{
    free(c->texts);
    free(c->n_bytes);
    free(c->scores);
    free(c->types);
}

static Status put_pieces(GgufWriter *w, const Vocab *v, Error *error)
{
    const size_t n = (size_t)v->n_pieces;
    Columns c = { calloc(n, sizeof *c.texts), calloc(n, sizeof *c.n_bytes),
                 calloc(n, sizeof *c.scores), calloc(n, sizeof *c.types) };
    Status status = OK;
    if (!c.texts || !c.n_bytes || !c.scores || !c.types) {
        status = fail_memory(error, "the vocabulary");
    } else {
        for (size_t i = 0; i < n; i++) {
            c.texts[i] = v->pieces[i].text;
            c.n_bytes[i] = v->pieces[i].n_bytes;
            c.scores[i] = v->pieces[i].score;
            c.types[i] = v->pieces[i].type;
        }
        status = gguf_put_texts(w, "tokenizer.ggml.tokens", c.texts, c.n_bytes, n, error);
        if (status == OK && v->kind == VOCAB_SPM)
            status = gguf_put_f32s(w, "tokenizer.ggml.scores", c.scores, n, error);
        if (status == OK) status = gguf_put_i32s(w, "tokenizer.ggml.token_type", c.types, n, error);
    }
    columns_free(&c);
    return status;
}

/* Merges are written as one text each, "left right". */
static Status put_merges(GgufWriter *w, const Vocab *v, Error *error)
{
    const size_t n = (size_t)v->n_merges;
    size_t n_all = 0;
    for (size_t i = 0; i < n; i++) n_all += (size_t)v->merges[i].n_left + 1 + v->merges[i].n_right;
    char *all = malloc(n_all + 1), *at = all;
    const char **texts = calloc(n + 1, sizeof *texts);
    size_t *n_bytes = calloc(n + 1, sizeof *n_bytes);
    Status status = all && texts && n_bytes ? OK : fail_memory(error, "the merges");
    for (size_t i = 0; status == OK && i < n; i++) {
        const Merge *m = &v->merges[i];
        texts[i] = at;
        n_bytes[i] = (size_t)m->n_left + 1 + m->n_right;
        memcpy(at, m->left, m->n_left);
        at[m->n_left] = ' ';
        memcpy(at + m->n_left + 1, m->right, m->n_right);
        at += n_bytes[i];
    }
    if (status == OK) status = gguf_put_texts(w, "tokenizer.ggml.merges", texts, n_bytes, n, error);
    free(all);
    free(texts);
    free(n_bytes);
    return status;
}

/* -1 stands for "none": such a key is left out. */
static Status put_id(GgufWriter *w, const char *key, int32_t id, Error *error)
{
    return id < 0 ? OK : gguf_put_u32(w, key, (uint32_t)id, error);
}

static Status put_ids(GgufWriter *w, const Vocab *v, Error *error)
{
    TRY(put_id(w, "tokenizer.ggml.bos_token_id", v->bos, error));
    TRY(put_id(w, "tokenizer.ggml.eos_token_id", v->eos, error));
    TRY(put_id(w, "tokenizer.ggml.unknown_token_id", v->unknown, error));
    /* Ends beside eos: there are keys for two; readers find further ones by name. */
    static const char *const ends[] = { "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id" };
    for (int i = 0, n = 0; i < v->n_ends && n < ARRAY_LEN(ends); i++)
        if (v->ends[i] != v->eos) TRY(put_id(w, ends[n++], v->ends[i], error));
    TRY(gguf_put_bool(w, "tokenizer.ggml.add_bos_token", v->add_bos, error));
    return gguf_put_bool(w, "tokenizer.ggml.add_eos_token", v->add_eos, error);
}

Status gguf_put_vocab(GgufWriter *w, const Vocab *v, Error *error)
{
    if (v->kind == VOCAB_NONE) return put_word(w, "tokenizer.ggml.model", "no_vocab", error);
    const bool spm = v->kind == VOCAB_SPM;
    const char *pre = v->pre_pattern ? pretokenizer_name(v->pre_pattern, v->ignore_merges) : v->pre;
    if (!spm && !pre && v->pre_pattern)
        return fail(
            error, UNSUPPORTED,
            "the tokenizer splits words by a pattern of its own, for which GGUF has no name");
    if (spm && !v->escape_whitespaces)
        return fail(error, UNSUPPORTED,
                    "the tokenizer keeps spaces as they are, for which GGUF has no key");
    TRY(put_word(w, "tokenizer.ggml.model", spm ? "llama" : "gpt2", error));
    if (pre) TRY(put_word(w, "tokenizer.ggml.pre", pre, error));
    TRY(put_pieces(w, v, error));
    if (!spm) TRY(put_merges(w, v, error));
    TRY(put_ids(w, v, error));
    /* GGUF has no key for this; other readers pass over ours and differ on text that is not composed. */
    if (v->nfc) TRY(gguf_put_bool(w, "mixt.tokenizer.nfc", true, error));
    if (!spm) return OK;
    if (v->charsmap)
        TRY(gguf_put_u8s(w, "tokenizer.ggml.precompiled_charsmap", v->charsmap, v->charsmap_bytes,
                         error));
    TRY(gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", v->add_space_prefix, error));
    return gguf_put_bool(w, "tokenizer.ggml.remove_extra_whitespaces", v->remove_extra_whitespaces,
                         error);
}
