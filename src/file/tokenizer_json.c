/* SPDX-License-Identifier: Apache-2.0
 * file/tokenizer_json.c - tokenizer.json: vocabulary, merges and added tokens.
 *
 * Two families share the model type "BPE": byte-level ones (GPT-2, Llama 3, Qwen), which become
 * VOCAB_BPE, and SentencePiece models in disguise (Mixtral, Llama 2), which become VOCAB_SPM again.
 * Their merges were generated from the pieces in the order of the scores, so the first merge that
 * makes a piece ranks it as its score did: score = -rank gives the same tokens as the model itself.
 * The steps around the model (normalizer, pre_tokenizer, ...) are read in tokenizer_steps.c. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "file/tokenizer_steps.h"

enum { TOKENIZER_BYTES_MAX = 128 << 20 };

typedef struct Reader {
    Build        *build;
    const char   *path;
    const json_t *root, *model, *vocab, *merges;
} Reader;

/* ---- vocabulary ---- */

static Status bad_vocab(const Reader *r, const char *text, const char *expected,
                        const json_t *found, Error *error)
{
    return fail(error, BAD_FILE, "%s: vocab: token '%.60s': expected %s, found %s", r->path, text,
                expected, json_is_integer(found) ? "another" : json_kind(found));
}

static Status read_pieces(Reader *r, Error *error)
{
    Vocab *v = &r->build->catalog->vocab;
    const size_t n_words = json_object_size(r->vocab);
    int64_t id_max = -1;
    const char *text;
    json_t *id;
    json_object_foreach((json_t *)r->vocab, text, id) {
        const json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value >= VOCAB_PIECES_MAX)
            return bad_vocab(r, text, "an id below 4194304", id, error);
        if (strlen(text) > VOCAB_PIECE_BYTES_MAX)
            return bad_vocab(r, text, "at most 65536 bytes", id, error);
        if (value > id_max) id_max = value;
    }
    if (n_words == 0)
        return fail(error, BAD_FILE, "%s: vocab: expected tokens, found none", r->path);
    TRY(vocab_pad(r->build, id_max + 1, r->path, error));       /* what stays UNUSED is a hole */
    json_object_foreach((json_t *)r->vocab, text, id) {
        Piece *p = &v->pieces[json_integer_value(id)];
        if (p->type != PIECE_UNUSED) return bad_vocab(r, text, "an id of its own", id, error);
        *p = (Piece){.text = build_text(r->build, text, strlen(text)),
                     .n_bytes = (uint32_t)strlen(text),
                     .type = PIECE_NORMAL};
        if (!p->text) return fail_memory(error, "the vocabulary");
    }
    return OK;
}

/* ---- merges ---- */

/* "left right", or ["left", "right"], which newer writers prefer because pieces may have spaces. */
static Status take_merge(Reader *r, size_t rank, Merge *merge, Error *error)
{
    const json_t *entry = json_array_get(r->merges, rank);
    const json_t *left = json_array_get(entry, 0), *right = json_array_get(entry, 1);
    if (json_is_string(entry)) {
        const char *text = json_string_value(entry), *space = *text ? strchr(text + 1, ' ') : NULL;
        if (space)
            *merge = (Merge){ .left = text, .n_left = (uint32_t)(space - text),
                              .right = space + 1, .n_right = (uint32_t)strlen(space + 1) };
    } else if (json_array_size(entry) == 2 && json_is_string(left) && json_is_string(right)) {
        *merge = (Merge){.left = json_string_value(left),
                         .n_left = (uint32_t)json_string_length(left),
                         .right = json_string_value(right),
                         .n_right = (uint32_t)json_string_length(right)};
    }
    if (merge->n_left && merge->n_right &&
        merge->n_left + (uint64_t)merge->n_right <= VOCAB_PIECE_BYTES_MAX)
        return OK;
    return fail(error, BAD_FILE, "%s: merges: merge %zu: expected two pieces, found %s", r->path,
                rank, json_is_string(entry) ? json_string_value(entry) : json_kind(entry));
}

static Status keep_merges(Reader *r, Error *error)
{
    Vocab *v = &r->build->catalog->vocab;
    const size_t n = json_array_size(r->merges);
    v->merges = arena_new(&r->build->catalog->arena, n, sizeof *v->merges);
    if (!v->merges) return fail_memory(error, "the merges");
    for (size_t i = 0; i < n; i++) {
        Merge merge = { 0 };
        TRY(take_merge(r, i, &merge, error));
        merge.left = build_text(r->build, merge.left, merge.n_left);
        merge.right = build_text(r->build, merge.right, merge.n_right);
        if (!merge.left || !merge.right) return fail_memory(error, "the merges");
        v->merges[i] = merge;
    }
    v->n_merges = (int32_t)n;
    return OK;
}

/* The first merge that makes a piece ranks it. */
static Status rank_pieces(Reader *r, bool *ranked, Error *error)
{
    Vocab *v = &r->build->catalog->vocab;
    static const size_t whole_max = VOCAB_PIECE_BYTES_MAX;
    char *whole = malloc(whole_max + 1);
    if (!whole) return fail_memory(error, "the merges");
    Status status = OK;
    for (size_t i = 0; i < json_array_size(r->merges) && status == OK; i++) {
        Merge m = { 0 };
        status = take_merge(r, i, &m, error);
        if (status != OK) break;
        memcpy(whole, m.left, m.n_left);
        memcpy(whole + m.n_left, m.right, m.n_right);
        whole[m.n_left + m.n_right] = 0;
        const json_t *id = json_object_get(r->vocab, whole);
        if (!id) {
            status =
                fail(error, BAD_FILE,
                     "%s: merges: merge %zu: expected its result in the vocab, found no '%.60s'",
                     r->path, i, whole);
        } else if (!ranked[json_integer_value(id)]) {
            ranked[json_integer_value(id)] = true;
            v->pieces[json_integer_value(id)].score = -(float)(i + 1);     /* exact below 2^24 */
        }
    }
    free(whole);
    return status;
}

static bool one_character(const Piece *p)
{
    uint32_t point;
    return utf8_decode(p->text, p->n_bytes, &point) == p->n_bytes;
}

/* Types that the json does not write down.  A longer piece that no merge makes is never made here,
 * and UNUSED keeps SentencePiece from making it, which would try every pair. */
static Status score_pieces(Reader *r, Error *error)
{
    Vocab *v = &r->build->catalog->vocab;
    bool *ranked = calloc((size_t)v->n_pieces, sizeof *ranked);
    if (!ranked) return fail_memory(error, "the merges");
    const Status status = rank_pieces(r, ranked, error);
    for (int32_t id = 0; id < v->n_pieces && status == OK; id++) {
        Piece *p = &v->pieces[id];
        if (vocab_byte_value(p->text, p->n_bytes) >= 0) p->type = PIECE_BYTE;
        else if (!ranked[id] && !one_character(p)) p->type = PIECE_UNUSED;
    }
    free(ranked);
    return status;
}

/* ---- added tokens ---- */

Status refuse_added_flags(const json_t *token, const char *text, const char *path, Error *error)
{
    static const char *const flags[] = { "single_word", "lstrip", "rstrip" };
    for (int i = 0; i < ARRAY_LEN(flags); i++) {
        if (!json_is_true(json_object_get(token, flags[i]))) continue;
        return fail(error, UNSUPPORTED,
                    "%s: added token '%.60s': expected \"%s\": false, found true", path, text,
                    flags[i]);
    }
    return OK;
}

static Status take_added(const json_t *token, size_t index, const char *path, Added *out,
                         Error *error)
{
    const json_t *id = json_object_get(token, "id"), *text = json_object_get(token, "content");
    if (!json_is_integer(id) || !json_is_string(text))
        return fail(error, BAD_FILE,
                    "%s: added_tokens: token %zu: expected an id and content, found %s and %s",
                    path, index, json_kind(id), json_kind(text));
    *out = (Added){ .id = json_integer_value(id), .text = json_string_value(text),
                    .special = json_is_true(json_object_get(token, "special")) };
    return refuse_added_flags(token, out->text, path, error);
}

Status tokenizer_json_added(Build *b, const json_t *root, const char *path, Error *error)
{
    const json_t *list = json_member(root, "added_tokens");
    const size_t n = json_array_size(list);
    if (list && !json_is_array(list))
        return fail(error, BAD_FILE, "%s: added_tokens: expected an array, found %s", path,
                    json_kind(list));
    if (n == 0) return OK;
    Added *added = calloc(n, sizeof *added);
    if (!added) return fail_memory(error, "the added tokens");
    Status status = OK;
    for (size_t i = 0; i < n && status == OK; i++)
        status = take_added(json_array_get(list, i), i, path, &added[i], error);
    if (status == OK) status = vocab_add_tokens(b, added, (int64_t)n, path, error);
    free(added);
    return status;
}

/* ---- the whole ---- */

static Status refuse_text(const Reader *r, const char *key, Error *error)
{
    const char *text = NULL;
    TRY(json_take_text(r->model, key, r->path, &text, error));
    if (!text || !*text) return OK;
    return fail(error, UNSUPPORTED, "%s: model: expected no %s, found '%.60s'", r->path, key, text);
}

/* Finds the parts and refuses what would change the tokens. */
static Status check_model(Reader *r, Error *error)
{
    r->model = json_object_get(r->root, "model");
    if (!json_is_object(r->model))
        return fail(error, BAD_FILE, "%s: model: expected an object, found %s", r->path,
                    json_kind(r->model));
    const char *type = "BPE";               /* files of before 2021 leave it out              */
    TRY(json_take_text(r->model, "type", r->path, &type, error));
    if (strcmp(type, "BPE") != 0)
        return fail(error, UNSUPPORTED, "%s: model: expected type BPE, found '%.60s'", r->path,
                    type);
    TRY(refuse_text(r, "continuing_subword_prefix", error));
    TRY(refuse_text(r, "end_of_word_suffix", error));
    const json_t *dropout = json_member(r->model, "dropout");
    if (dropout && json_number_value(dropout) != 0)
        return fail(error, UNSUPPORTED, "%s: model: expected no dropout, found %g", r->path,
                    json_number_value(dropout));
    r->vocab = json_object_get(r->model, "vocab");
    r->merges = json_object_get(r->model, "merges");
    if (!json_is_object(r->vocab))
        return fail(error, BAD_FILE, "%s: vocab: expected an object, found %s", r->path,
                    json_kind(r->vocab));
    if (!json_is_array(r->merges))
        return fail(error, BAD_FILE, "%s: merges: expected an array, found %s", r->path,
                    json_kind(r->merges));
    if (json_array_size(r->merges) <= VOCAB_MERGES_MAX) return OK;
    return fail(error, BAD_FILE, "%s: merges: expected at most %d, found %zu", r->path,
                VOCAB_MERGES_MAX, json_array_size(r->merges));
}

static Status read_unknown(Reader *r, Error *error)
{
    Vocab *v = &r->build->catalog->vocab;
    const char *text = NULL;
    TRY(json_take_text(r->model, "unk_token", r->path, &text, error));
    if (!text) return OK;
    const json_t *id = json_object_get(r->vocab, text);
    if (!id)
        return fail(error, BAD_FILE, "%s: unk_token: expected a token of the vocab, found '%.60s'",
                    r->path, text);
    v->unknown = (int32_t)json_integer_value(id);
    v->pieces[v->unknown].type = PIECE_UNKNOWN;
    return OK;
}

static Status read_root(Reader *r, Error *error)
{
    Vocab *v = &r->build->catalog->vocab;
    bool byte_fallback = false;
    TRY(check_model(r, error));
    TRY(json_take_flag(r->model, "byte_fallback", r->path, &byte_fallback, error));
    TRY(json_take_flag(r->model, "ignore_merges", r->path, &v->ignore_merges, error));
    const bool byte_level = steps_are_byte_level(r->root);
    if (!byte_level && !byte_fallback)
        return fail(error, UNSUPPORTED,
                    "%s: model: expected ByteLevel steps or byte_fallback, found neither", r->path);
    v->kind = byte_level ? VOCAB_BPE : VOCAB_SPM;
    v->add_space_prefix = false;
    v->escape_whitespaces = !byte_level;
    TRY(read_pieces(r, error));
    TRY(byte_level ? keep_merges(r, error) : score_pieces(r, error));
    TRY(read_unknown(r, error));
    TRY(tokenizer_json_added(r->build, r->root, r->path, error));
    return steps_read(r->build, r->root, r->path, error);
}

Status tokenizer_json_read(Build *b, const char *path, Error *error)
{
    json_t *root;
    TRY(json_file(path, TOKENIZER_BYTES_MAX, &root, error));
    b->catalog->vocab = (Vocab){ .bos = -1, .eos = -1, .unknown = -1 };
    Reader reader = { .build = b, .path = path, .root = root };
    const Status status = read_root(&reader, error);
    json_decref(root);
    return status;
}
