/* SPDX-License-Identifier: Apache-2.0
 * file/gguf_vocab.c - the tokenizer.* keys of a GGUF header become a vocabulary.
 *
 * The large arrays go straight to their place while the header streams by; when all keys have been
 * seen they are put together.  Defaults are those that writers of such files rely on. */
#include <string.h>

#include "file/gguf.h"
#include "file/vocab_build.h"

enum { CHARSMAP_BYTES_MAX = 16 << 20, MERGE_BYTES_MAX = 2 * VOCAB_PIECE_BYTES_MAX };

/* ---- arrays, while the header is read ---- */

static Status check_type(const Gguf *g, uint32_t type, uint32_t want, uint32_t or_want,
                         Error *error)
{
    if (type == want || type == or_want) return OK;
    return stream_fail(&g->stream, BAD_FILE, error, "expected an array of %s, found one of %s",
                       gguf_value_type_name(want), gguf_value_type_name(type));
}

static Status check_count(const Gguf *g, uint64_t n, int64_t max, Error *error)
{
    if (n <= (uint64_t)max) return OK;
    return stream_fail(&g->stream, BAD_FILE, error, "expected at most %lld elements, found %llu",
                       (long long)max, (unsigned long long)n);
}

static void *room(Gguf *g, uint64_t n, size_t each)
{
    return arena_new(&g->build->catalog->arena, (size_t)n, each);
}

static Status read_pieces(Gguf *g, uint64_t n, Error *error)
{
    GgufVocab *v = &g->vocab;
    TRY(check_count(g, n, VOCAB_PIECES_MAX, error));
    if (!(v->pieces = room(g, n, sizeof *v->pieces))) return fail_memory(error, "the vocabulary");
    for (uint64_t i = 0; i < n; i++) {
        char *text;
        size_t n_bytes;
        TRY(gguf_text(g, VOCAB_PIECE_BYTES_MAX, &text, &n_bytes, error));
        v->pieces[i] = (Piece){ .text = text, .n_bytes = (uint32_t)n_bytes, .type = PIECE_NORMAL };
    }
    v->n_pieces = (int64_t)n;
    return OK;
}

static Status read_scores(Gguf *g, uint64_t n, Error *error)
{
    TRY(check_count(g, n, VOCAB_PIECES_MAX, error));
    if (!(g->vocab.scores = room(g, n, sizeof(float)))) return fail_memory(error, "the vocabulary");
    g->vocab.n_scores = (int64_t)n;
    return stream_take(&g->stream, g->vocab.scores, (size_t)n * sizeof(float), error);
}

static Status read_types(Gguf *g, uint64_t n, Error *error)
{
    TRY(check_count(g, n, VOCAB_PIECES_MAX, error));
    if (!(g->vocab.types = room(g, n, sizeof(int32_t))))
        return fail_memory(error, "the vocabulary");
    g->vocab.n_types = (int64_t)n;
    return stream_take(&g->stream, g->vocab.types, (size_t)n * sizeof(int32_t), error);
}

/* "left right"; the left part may itself begin with a space, so the search starts behind it. */
static Status read_merge(Gguf *g, Merge *merge, int64_t rank, Error *error)
{
    char *text;
    size_t n_bytes;
    TRY(gguf_text(g, MERGE_BYTES_MAX, &text, &n_bytes, error));
    const char *space = n_bytes > 2 ? memchr(text + 1, ' ', n_bytes - 1) : NULL;
    const size_t n_left = space ? (size_t)(space - text) : 0;
    if (!space || n_left + 1 == n_bytes)
        return stream_fail(&g->stream, BAD_FILE, error,
                           "expected merge %lld to be two pieces, found '%.60s'", (long long)rank,
                           text);
    *merge = (Merge){ .left = text, .n_left = (uint32_t)n_left,
                      .right = space + 1, .n_right = (uint32_t)(n_bytes - n_left - 1) };
    return OK;
}

static Status read_merges(Gguf *g, uint64_t n, Error *error)
{
    GgufVocab *v = &g->vocab;
    TRY(check_count(g, n, VOCAB_MERGES_MAX, error));
    if (!(v->merges = room(g, n, sizeof *v->merges))) return fail_memory(error, "the merges");
    for (uint64_t i = 0; i < n; i++) TRY(read_merge(g, &v->merges[i], (int64_t)i, error));
    v->n_merges = (int64_t)n;
    return OK;
}

static Status read_charsmap(Gguf *g, uint64_t n, Error *error)
{
    TRY(check_count(g, n, CHARSMAP_BYTES_MAX, error));
    if (!(g->vocab.charsmap = room(g, n, 1))) return fail_memory(error, "the charsmap");
    g->vocab.charsmap_bytes = (int64_t)n;
    return stream_take(&g->stream, g->vocab.charsmap, (size_t)n, error);
}

Status gguf_vocab_array(Gguf *g, const char *key, uint32_t type, uint64_t n, bool *taken,
                        Error *error)
{
    static const struct {
        const char *key;
        uint32_t    type, or_type;
        Status    (*read)(Gguf *g, uint64_t n, Error *error);
    } arrays[] = {
        { "tokenizer.ggml.tokens",               GGUF_TEXT, GGUF_TEXT, read_pieces },
        { "tokenizer.ggml.scores",               GGUF_F32,  GGUF_F32,  read_scores },
        { "tokenizer.ggml.token_type",           GGUF_I32,  GGUF_U32,  read_types },
        { "tokenizer.ggml.merges",               GGUF_TEXT, GGUF_TEXT, read_merges },
        { "tokenizer.ggml.precompiled_charsmap", GGUF_U8,   GGUF_I8,   read_charsmap },
    };
    for (int i = 0; i < ARRAY_LEN(arrays); i++) {
        if (strcmp(key, arrays[i].key) != 0) continue;
        TRY(check_type(g, type, arrays[i].type, arrays[i].or_type, error));
        *taken = true;
        /* A repeated key would be found only after it was read; the arena holds both till then. */
        return arrays[i].read(g, n, error);
    }
    *taken = false;
    return OK;
}

/* ---- the rest, when all keys are known ---- */

static Status text_key(Gguf *g, const char *key, const char **out, Error *error)
{
    const Setting *s = catalog_setting(g->build->catalog, key);
    if (!s) return OK;
    stream_thing(&g->stream, "key", key, 0);
    if (s->kind != SETTING_TEXT)
        return stream_fail(&g->stream, BAD_FILE, error, "expected a string, found %s",
                           gguf_value_type_name((uint32_t)s->gguf_type));
    *out = s->text.bytes;
    return OK;
}

static Status flag_key(Gguf *g, const char *key, bool *out, Error *error)
{
    const Setting *s = catalog_setting(g->build->catalog, key);
    if (!s) return OK;
    stream_thing(&g->stream, "key", key, 0);
    if (s->kind != SETTING_BOOL)
        return stream_fail(&g->stream, BAD_FILE, error, "expected a bool, found %s",
                           gguf_value_type_name((uint32_t)s->gguf_type));
    *out = s->flag;
    return OK;
}

static Status id_key(Gguf *g, const char *key, int32_t *out, Error *error)
{
    const Catalog *c = g->build->catalog;
    const Setting *s = catalog_setting(c, key);
    if (!s) return OK;
    stream_thing(&g->stream, "key", key, 0);
    if (s->kind != SETTING_UINT && s->kind != SETTING_INT)
        return stream_fail(&g->stream, BAD_FILE, error, "expected a token id, found %s",
                           gguf_value_type_name((uint32_t)s->gguf_type));
    const uint64_t id = s->kind == SETTING_UINT ? s->natural : (uint64_t)s->integer;
    if (id >= (uint64_t)c->vocab.n_pieces)
        return stream_fail(&g->stream, BAD_FILE, error, "expected an id below %d, found %lld",
                           c->vocab.n_pieces, (long long)id);
    *out = (int32_t)id;
    return OK;
}

static Status require_count(Gguf *g, const char *key, int64_t n, Error *error)
{
    if (n < 0 || n == g->vocab.n_pieces) return OK;
    stream_thing(&g->stream, "key", key, 0);
    return stream_fail(&g->stream, BAD_FILE, error,
                       "expected %lld elements as in tokenizer.ggml.tokens, found %lld",
                       (long long)g->vocab.n_pieces, (long long)n);
}

/* Files from before token_type existed: the texts say what a type would. */
static void guess_types(Vocab *v)
{
    for (int32_t i = 0; i < v->n_pieces; i++)
        if (vocab_byte_value(v->pieces[i].text, v->pieces[i].n_bytes) >= 0)
            v->pieces[i].type = PIECE_BYTE;
    if (v->bos >= 0) v->pieces[v->bos].type = PIECE_CONTROL;
    if (v->eos >= 0) v->pieces[v->eos].type = PIECE_CONTROL;
    if (v->unknown >= 0) v->pieces[v->unknown].type = PIECE_UNKNOWN;
}

static Status join_arrays(Gguf *g, Vocab *v, Error *error)
{
    const GgufVocab *from = &g->vocab;
    TRY(require_count(g, "tokenizer.ggml.scores", from->n_scores, error));
    TRY(require_count(g, "tokenizer.ggml.token_type", from->n_types, error));
    v->pieces = from->pieces;
    v->n_pieces = (int32_t)from->n_pieces;
    for (int32_t i = 0; i < v->n_pieces; i++) {
        if (from->scores) v->pieces[i].score = from->scores[i];
        if (!from->types) continue;
        const int32_t type = from->types[i];
        v->pieces[i].type = type >= PIECE_NORMAL && type <= PIECE_BYTE ? (uint8_t)type : 0;
        if (v->pieces[i].type) continue;
        stream_thing(&g->stream, "key", "tokenizer.ggml.token_type", 0);
        return stream_fail(&g->stream, BAD_FILE, error,
                           "expected types from 1 to 6, found %d for token %d", type, i);
    }
    v->merges = from->merges;
    v->n_merges = from->n_merges < 0 ? 0 : (int32_t)from->n_merges;
    if (from->charsmap_bytes > 0) {
        v->charsmap = from->charsmap;
        v->charsmap_bytes = (size_t)from->charsmap_bytes;
    }
    return OK;
}

/* Pre-tokenisers whose models were trained with BOS and take a word that is a token whole;
 * their files leave both unsaid. */
static void defaults_of_pre(Vocab *v)
{
    static const char *const llama3_like[] = { "llama3", "llama-v3", "llama-bpe", "tekken" };
    for (int i = 0; v->pre && i < ARRAY_LEN(llama3_like); i++)
        if (strcmp(v->pre, llama3_like[i]) == 0) v->ignore_merges = v->add_bos = true;
}

static Status special_ids(Gguf *g, Vocab *v, Error *error)
{
    if (v->kind == VOCAB_SPM && v->n_pieces > 2) v->unknown = 0, v->bos = 1, v->eos = 2;
    TRY(id_key(g, "tokenizer.ggml.bos_token_id", &v->bos, error));
    TRY(id_key(g, "tokenizer.ggml.eos_token_id", &v->eos, error));
    TRY(id_key(g, "tokenizer.ggml.unknown_token_id", &v->unknown, error));
    int32_t eot = -1, eom = -1;
    TRY(id_key(g, "tokenizer.ggml.eot_token_id", &eot, error));
    TRY(id_key(g, "tokenizer.ggml.eom_token_id", &eom, error));
    vocab_add_end(v, v->eos);
    vocab_add_end(v, eot);
    vocab_add_end(v, eom);
    return OK;
}

static Status read_kind(Gguf *g, Vocab *v, Error *error)
{
    const char *model = NULL;
    TRY(text_key(g, "tokenizer.ggml.model", &model, error));
    stream_thing(&g->stream, "key", "tokenizer.ggml.model", 0);
    if (!model && g->vocab.n_pieces >= 0)
        return stream_fail(&g->stream, BAD_FILE, error,
                           "expected a kind of tokenizer beside its tokens, found no such key");
    if (!model || strcmp(model, "none") == 0 || strcmp(model, "no_vocab") == 0) return OK;
    v->kind = strcmp(model, "llama") == 0  ? VOCAB_SPM
              : strcmp(model, "gpt2") == 0 ? VOCAB_BPE
                                           : VOCAB_NONE;
    if (v->kind == VOCAB_NONE)
        return stream_fail(&g->stream, UNSUPPORTED, error,
                           "expected 'llama', 'gpt2' or 'none', found '%.60s'", model);
    if (g->vocab.n_pieces >= 0) return OK;
    stream_thing(&g->stream, "key", "tokenizer.ggml.tokens", 0);
    return stream_fail(&g->stream, BAD_FILE, error,
                       "expected an array of strings, found no such key");
}

static Status read_template(Gguf *g, Error *error)
{
    Catalog *c = g->build->catalog;
    static const char key[] = "tokenizer.chat_template";
    TRY(text_key(g, key, &c->chat_template, error));
    if (!c->chat_template) return OK;
    c->chat_template_bytes = catalog_setting(c, key)->text.n_bytes;
    c->chat_template_from = key;
    return OK;
}

Status gguf_vocab_finish(Gguf *g, Error *error)
{
    Vocab *v = &g->build->catalog->vocab;
    TRY(read_template(g, error));
    TRY(read_kind(g, v, error));
    if (v->kind == VOCAB_NONE) return OK;

    TRY(join_arrays(g, v, error));
    TRY(special_ids(g, v, error));
    if (!g->vocab.types) guess_types(v);
    v->add_bos = v->add_space_prefix = v->kind == VOCAB_SPM;
    v->escape_whitespaces = v->kind == VOCAB_SPM;
    TRY(text_key(g, "tokenizer.ggml.pre", &v->pre, error));
    if (v->kind == VOCAB_BPE) defaults_of_pre(v);
    TRY(flag_key(g, "tokenizer.ggml.add_bos_token", &v->add_bos, error));
    TRY(flag_key(g, "tokenizer.ggml.add_eos_token", &v->add_eos, error));
    TRY(flag_key(g, "tokenizer.ggml.add_space_prefix", &v->add_space_prefix, error));
    TRY(flag_key(g, "mixt.tokenizer.nfc", &v->nfc, error));
    TRY(flag_key(g, "tokenizer.ggml.remove_extra_whitespaces", &v->remove_extra_whitespaces,
                 error));
    return vocab_check(v, g->stream.file->path, error);
}
