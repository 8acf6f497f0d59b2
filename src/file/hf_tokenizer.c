/* SPDX-License-Identifier: Apache-2.0
 * file/hf_tokenizer.c - the small JSON files beside a tokenizer in a Hugging Face folder.
 *
 * They say which tokens were added, which one begins and ends a text, and how a chat is written.
 * Later files overrule earlier ones, in the order in which the library itself does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/json.h"
#include "file/vocab_build.h"

enum { SMALL_JSON_MAX = 16 << 20, TOKENIZER_JSON_MAX = 128 << 20, TEMPLATE_BYTES_MAX = 1 << 20 };

/* A JSON file that need not be there: *out is NULL then. */
static Status optional(Build *b, const char *folder, const char *name, int64_t max,
                       const char **path, json_t **out, Error *error)
{
    *out = NULL;
    if (!folder_has(folder, name)) return OK;
    *path = build_path(b, folder, name);
    return *path ? json_file(*path, max, out, error) : fail_memory(error, name);
}

/* ---- added tokens ---- */

/* added_tokens.json: { text: id }.  It does not say which are control tokens; that comes later. */
static Status added_by_text(Build *b, const json_t *root, const char *path, Error *error)
{
    const size_t n = json_object_size(root);
    Added *added = calloc(n + 1, sizeof *added);
    if (!added) return fail_memory(error, "the added tokens");
    Status status = OK;
    int64_t i = 0;
    const char *text;
    json_t *id;
    json_object_foreach((json_t *)root, text, id) {
        if (!json_is_integer(id)) {
            status = fail(error, BAD_FILE, "%s: added token '%.60s': expected an id, found %s",
                          path, text, json_kind(id));
            break;
        }
        added[i++] = (Added){ .id = json_integer_value(id), .text = text };
    }
    if (status == OK) status = vocab_add_tokens(b, added, i, path, error);
    free(added);
    return status;
}

/* tokenizer_config.json: "added_tokens_decoder": { "32000": { "content": .., "special": .. } }. */
static Status take_decoded(const char *key, const json_t *token, const char *path, Added *out,
                           Error *error)
{
    char *end;
    const long long id = strtoll(key, &end, 10);
    const char *text = json_string_value(json_object_get(token, "content"));
    if (!*key || *end || !text)
        return fail(error, BAD_FILE,
                    "%s: added_tokens_decoder: expected an id and content, found '%.60s' and %s",
                    path, key, json_kind(json_object_get(token, "content")));
    *out =
        (Added){.id = id, .text = text, .special = json_is_true(json_object_get(token, "special"))};
    return refuse_added_flags(token, text, path, error);
}

static Status added_by_id(Build *b, const json_t *decoder, const char *path, Error *error)
{
    Added *added = calloc(json_object_size(decoder) + 1, sizeof *added);
    if (!added) return fail_memory(error, "the added tokens");
    Status status = OK;
    int64_t n = 0;
    const char *id;
    json_t *token;
    json_object_foreach((json_t *)decoder, id, token) {
        status = take_decoded(id, token, path, &added[n++], error);
        if (status != OK) break;
    }
    if (status == OK) status = vocab_add_tokens(b, added, n, path, error);
    free(added);
    return status;
}

static Status read_added_json(Build *b, const char *folder, Error *error)
{
    const char *path;
    json_t *root;
    TRY(optional(b, folder, "added_tokens.json", SMALL_JSON_MAX, &path, &root, error));
    if (!root) return OK;
    const Status status = added_by_text(b, root, path, error);
    json_decref(root);
    return status;
}

/* A tokenizer.model knows no added tokens, but the tokenizer.json beside it does. */
static Status read_json_added(Build *b, const char *folder, Error *error)
{
    const char *path;
    json_t *root;
    TRY(optional(b, folder, "tokenizer.json", TOKENIZER_JSON_MAX, &path, &root, error));
    if (!root) return OK;
    const Status status = tokenizer_json_added(b, root, path, error);
    json_decref(root);
    return status;
}

/* ---- special tokens ---- */

/* "</s>", or { "content": "</s>", .. }. */
static const char *token_text(const json_t *value)
{
    return json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
}

static Status take_special(Vocab *v, const json_t *root, const char *key, const char *path,
                           int32_t *id, Error *error)
{
    const json_t *value = json_member(root, key);
    if (!value) return OK;
    const char *text = token_text(value);
    const int32_t found = text ? vocab_find(v, text) : -1;
    if (found < 0)
        return fail(error, BAD_FILE, "%s: %s: expected a token of the vocabulary, found '%.60s'",
                    path, key, text ? text : json_kind(value));
    *id = found;
    if (v->pieces[found].type != PIECE_UNKNOWN) v->pieces[found].type = PIECE_CONTROL;
    return OK;
}

static Status take_specials(Vocab *v, const json_t *root, const char *path, Error *error)
{
    TRY(take_special(v, root, "bos_token", path, &v->bos, error));
    TRY(take_special(v, root, "eos_token", path, &v->eos, error));
    const json_t *more = json_member(root, "additional_special_tokens");
    for (size_t i = 0; i < json_array_size(more); i++) {
        const char *text = token_text(json_array_get(more, i));
        const int32_t id = text ? vocab_find(v, text) : -1;
        if (id >= 0) v->pieces[id].type = PIECE_CONTROL;
    }
    return OK;
}

static Status read_special_map(Build *b, const char *folder, Error *error)
{
    const char *path;
    json_t *root;
    TRY(optional(b, folder, "special_tokens_map.json", SMALL_JSON_MAX, &path, &root, error));
    if (!root) return OK;
    const Status status = take_specials(&b->catalog->vocab, root, path, error);
    json_decref(root);
    return status;
}

/* "eos_token_id": 2, or [128001, 128009]. */
static Status take_ends(Vocab *v, const json_t *root, const char *path, Error *error)
{
    const json_t *ids = json_member(root, "eos_token_id");
    const size_t n = json_is_array(ids) ? json_array_size(ids) : ids ? 1 : 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_is_array(ids) ? json_array_get(ids, i) : ids;
        const json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value >= v->n_pieces)
            return fail(error, BAD_FILE, "%s: eos_token_id: expected ids below %d, found %lld",
                        path, v->n_pieces, (long long)value);
        if (v->eos < 0) v->eos = (int32_t)value;
        vocab_add_end(v, value);
    }
    return OK;
}

static Status read_ends(Build *b, const char *folder, const char *name, Error *error)
{
    Vocab *v = &b->catalog->vocab;
    const char *path;
    json_t *root;
    TRY(optional(b, folder, name, SMALL_JSON_MAX, &path, &root, error));
    if (!root) return OK;
    Status status = take_ends(v, root, path, error);
    int64_t bos = -1;
    if (status == OK && v->bos < 0) status = json_take_int(root, "bos_token_id", path, &bos, error);
    if (status == OK && bos >= v->n_pieces)
        status = fail(error, BAD_FILE, "%s: bos_token_id: expected an id below %d, found %lld",
                      path, v->n_pieces, (long long)bos);
    if (status == OK && bos >= 0) v->bos = (int32_t)bos;
    json_decref(root);
    return status;
}

/* ---- the chat template ---- */

static Status keep_template(Build *b, const char *text, size_t n_bytes, const char *from,
                            Error *error)
{
    Catalog *c = b->catalog;
    c->chat_template = build_text(b, text, n_bytes);
    if (!c->chat_template) return fail_memory(error, "the chat template");
    c->chat_template_bytes = n_bytes;
    c->chat_template_from = from;
    return OK;
}

/* A text, or [{ "name": "default", "template": text }, ..]: the one named default, or the only one.
 */
static Status take_template(Build *b, const json_t *root, const char *path, Error *error)
{
    const json_t *value = json_member(root, "chat_template");
    if (!value) return OK;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *entry = json_array_get(value, i);
        const char *name = json_string_value(json_object_get(entry, "name"));
        if ((!name || strcmp(name, "default") != 0) && json_array_size(value) > 1) continue;
        value = json_object_get(entry, "template");
        break;
    }
    if (!json_is_string(value))
        return fail(error, BAD_FILE,
                    "%s: chat_template: expected text or a list with one named 'default', found %s",
                    path, json_kind(value));
    return keep_template(b, json_string_value(value), json_string_length(value),
                         "tokenizer_config.json", error);
}

/* A file of its own overrules the one in tokenizer_config.json. */
static Status read_template_file(Build *b, const char *folder, Error *error)
{
    static const char name[] = "chat_template.jinja";
    if (!folder_has(folder, name)) return OK;
    const char *path = build_path(b, folder, name);
    char *text;
    size_t n_bytes;
    if (!path) return fail_memory(error, name);
    TRY(file_slurp(path, TEMPLATE_BYTES_MAX, &text, &n_bytes, error));
    const Status status = keep_template(b, text, n_bytes, name, error);
    free(text);
    return status;
}

/* ---- all of it ---- */

static Status take_config(Build *b, const json_t *root, const char *path, Error *error)
{
    Vocab *v = &b->catalog->vocab;
    TRY(take_template(b, root, path, error));
    if (v->kind == VOCAB_NONE) return OK;
    const json_t *decoder = json_member(root, "added_tokens_decoder");
    if (decoder) TRY(added_by_id(b, decoder, path, error));
    TRY(take_specials(v, root, path, error));
    TRY(json_take_flag(root, "add_bos_token", path, &v->add_bos, error));
    return json_take_flag(root, "add_eos_token", path, &v->add_eos, error);
}

Status hf_tokenizer_config(Build *b, const char *folder, Error *error)
{
    const Vocab *v = &b->catalog->vocab;
    const char *path;
    json_t *config;
    if (v->kind == VOCAB_SPM) TRY(read_json_added(b, folder, error));
    if (v->kind != VOCAB_NONE) {
        TRY(read_added_json(b, folder, error));
        TRY(read_special_map(b, folder, error));
    }
    TRY(optional(b, folder, "tokenizer_config.json", SMALL_JSON_MAX, &path, &config, error));
    if (config) {
        const Status status = take_config(b, config, path, error);
        json_decref(config);
        TRY(status);
    }
    TRY(read_template_file(b, folder, error));
    if (v->kind == VOCAB_NONE) return OK;
    TRY(read_ends(b, folder, "config.json", error));
    return read_ends(b, folder, "generation_config.json", error);
}
