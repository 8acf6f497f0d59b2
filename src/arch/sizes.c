/* SPDX-License-Identifier: Apache-2.0
 * arch/sizes.c - which family is this, and how large: settings read through the family's table,
 * then checked against each other, once, so that everything above may trust them (D7). */
#include "arch/arch.h"
#include "base/buffer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- which family ---- */

static bool text_is(const Setting *s, const char *word)
{
    return s && s->kind == SETTING_TEXT && s->text.n_bytes == strlen(word) &&
           memcmp(s->text.bytes, word, s->text.n_bytes) == 0;
}

/* The setting behind the first key of "a|b" that exists. */
static const Setting *find_setting(const Catalog *c, const char *keys, char found_key[static 128])
{
    while (keys && *keys) {
        const size_t n = strcspn(keys, "|");
        snprintf(found_key, 128, "%.*s", (int)n, keys);
        const Setting *s = catalog_setting(c, found_key);
        if (s) return s;
        keys += n + (keys[n] == '|');
    }
    return NULL;
}

static bool name_matches(const Arch *arch, const Catalog *c)
{
    if (c->source == SOURCE_MISTRAL) return true;       /* params.json names no family          */
    const char *key = c->source == SOURCE_GGUF ? "general.architecture" : "architectures.0";
    const Setting *s = catalog_setting(c, key);
    for (int i = 0; arch->names[c->source][i]; i++)
        if (text_is(s, arch->names[c->source][i])) return true;
    return false;
}

static Status count_experts(const Arch *arch, const Catalog *c, double *out, Error *error)
{
    *out = 0;
    for (int i = 0; i < arch->n_sizes; i++) {
        char key[128];
        bool found;
        if (arch->sizes[i].size == SIZE_EXPERTS &&
            find_setting(c, arch->sizes[i].key[c->source], key))
            return catalog_number(c, key, out, &found, error);
    }
    return OK;
}

Status arch_find(const Catalog *c, const Arch **out, Error *error)
{
    if (c->source == SOURCE_TOKENIZER)
        return fail(error, UNSUPPORTED, "%s: expected a model, found a tokenizer alone", c->path);
    if (c->n_tensors == 0) return fail(error, BAD_FILE, "%s: expected weights%s, found none", c->path,
                    c->source == SOURCE_HF ? " (model.safetensors, or its index and shards)" : "");
    const Setting *type = catalog_setting(c, "general.type");
    if (type && type->kind == SETTING_TEXT && !strcmp(type->text.bytes, "adapter"))
        return fail(error, UNSUPPORTED, "%s: expected a model, found an adapter, which belongs beside one", c->path);
    double n_experts = 0;
    for (int i = 0; arch_table[i]; i++) {               /* the family that counts experts says how many */
        if (!name_matches(arch_table[i], c)) continue;
        double n;
        TRY(count_experts(arch_table[i], c, &n, error));
        if (n > n_experts) n_experts = n;
    }
    const Arch *named = NULL;
    for (int i = 0; arch_table[i]; i++) {
        if (!name_matches(arch_table[i], c)) continue;
        named = arch_table[i];
        if (named->has_experts != (n_experts > 0)) continue;
        *out = named;
        return OK;
    }
    if (named)
        return fail(error, BAD_FILE, "%s: experts: expected %s for architecture '%s', found %g",
                    c->path, named->has_experts ? "at least 1" : "none", named->name, n_experts);
    const char *key = c->source == SOURCE_GGUF ? "general.architecture" : "architectures.0";
    const Setting *s = catalog_setting(c, key);
    if (!s || s->kind != SETTING_TEXT)
        return fail(error, BAD_FILE, "%s: %s: expected the name of an architecture, found none",
                    c->path, key);
    return fail(
        error, UNSUPPORTED,
        "%s: architecture: expected one of llama (Llama 2, Mistral, Mixtral), found '%.*s'",
        c->path, (int)s->text.n_bytes, s->text.bytes);
}

/* ---- settings that would change the arithmetic ---- */

static bool number_is(const Catalog *c, const char *key, const char *word)
{
    double want, got;
    bool found;
    return sscanf(word, "%lf", &want) == 1 && catalog_number(c, key, &got, &found, NULL) == OK &&
           found && want == got;
}

static bool setting_allowed(const Catalog *c, const Setting *s, const char *must_be)
{
    while (*must_be) {
        char word[32];
        const size_t n = strcspn(must_be, "|");
        snprintf(word, sizeof word, "%.*s", (int)n, must_be);
        if (s->kind == SETTING_BOOL && !strcmp(word, s->flag ? "true" : "false")) return true;
        if (text_is(s, word)) return true;
        if (s->kind != SETTING_BOOL && s->kind != SETTING_TEXT && number_is(c, s->key, word))
            return true;
        must_be += n + (must_be[n] == '|');
    }
    return false;
}

static void describe(const Setting *s, Buffer *out)
{
    switch (s->kind) {
    case SETTING_BOOL:  buffer_text(out, s->flag ? "true" : "false"); break;
    case SETTING_INT:   buffer_format(out, "%lld", (long long)s->integer); break;
    case SETTING_UINT:  buffer_format(out, "%llu", (unsigned long long)s->natural); break;
    case SETTING_FLOAT: buffer_format(out, "%g", s->real); break;
    case SETTING_TEXT:
        buffer_format(out, "'%.*s'", s->text.n_bytes < 64 ? (int)s->text.n_bytes : 64,
                      s->text.bytes);
        break;
    case SETTING_ARRAY: buffer_format(out, "an array of %lld", (long long)s->array.n); break;
    }
}

static Status check_settings(const Arch *arch, const Catalog *c, Error *error)
{
    for (int i = 0; i < arch->n_settings; i++) {
        const SettingRule *rule = &arch->settings[i];
        const Setting *s = rule->key[c->source] ? catalog_setting(c, rule->key[c->source]) : NULL;
        if (!s || setting_allowed(c, s, rule->must_be)) continue;
        Buffer found = { 0 };
        describe(s, &found);
        const Status status =
            fail(error, UNSUPPORTED, "%s: %s: expected %s, found %s", c->path, s->key,
                 *rule->must_be ? rule->must_be : "nothing", found.data ? found.data : "?");
        buffer_free(&found);
        return status;
    }
    return OK;
}

/* ---- sizes ---- */

typedef struct Numbers { double at[N_SIZES]; const char *key[N_SIZES]; } Numbers;

static Status read_numbers(const Arch *arch, const Catalog *c, Numbers *out, Error *error)
{
    for (int i = 0; i < arch->n_sizes; i++) {
        const SizeRule *rule = &arch->sizes[i];
        char key[128] = "";
        bool found = false;
        double value = rule->otherwise[c->source];
        if (find_setting(c, rule->key[c->source], key))
            TRY(catalog_number(c, key, &value, &found, error));
        if (!found && value == REQUIRED)
            return fail(error, BAD_FILE, "%s: %s: expected a number, found nothing", c->path,
                        rule->key[c->source]);
        if (rule->size == SIZE_VOCAB && value == -1)            /* some params.json: not said here */
            value = rule->otherwise[c->source];
        else if (found && value < 0)
            return fail(error, BAD_FILE, "%s: %s: expected no negative number, found %g", c->path,
                        key, value);
        out->at[rule->size] = value;
        out->key[rule->size] = rule->key[c->source];
    }
    return OK;
}

static Status whole(const Catalog *c, const Numbers *n, Size size, int64_t least, int64_t most,
                    int64_t *out, Error *error)
{
    const double value = n->at[size];
    if (value != floor(value) || value < (double)least || value > (double)most)
        return fail(error, BAD_FILE, "%s: %s: expected %lld to %lld, found %.17g", c->path,
                    n->key[size] ? n->key[size] : "a derived size", (long long)least,
                    (long long)most, value);
    *out = (int64_t)value;
    return OK;
}

enum { WIDTH_MAX = 1 << 20, CONTEXT_MAX = 1 << 28, HEADS_MAX = 1 << 14 };

static Status check_heads(const Catalog *c, Numbers *n, Sizes *s, Error *error)
{
    TRY(whole(c, n, SIZE_HEADS, 1, HEADS_MAX, &s->n_heads, error));
    if (n->at[SIZE_KV_HEADS] == DERIVED) n->at[SIZE_KV_HEADS] = (double)s->n_heads;
    TRY(whole(c, n, SIZE_KV_HEADS, 1, s->n_heads, &s->n_kv_heads, error));
    if (s->n_heads % s->n_kv_heads)
        return fail(error, BAD_FILE, "%s: heads: expected a multiple of %lld kv heads, found %lld",
                    c->path, (long long)s->n_kv_heads, (long long)s->n_heads);
    if (n->at[SIZE_HEAD] == DERIVED) {
        if (s->width % s->n_heads)
            return fail(error, BAD_FILE, "%s: width: expected a multiple of %lld heads, found %lld",
                        c->path, (long long)s->n_heads, (long long)s->width);
        n->at[SIZE_HEAD] = (double)(s->width / s->n_heads);
    }
    TRY(whole(c, n, SIZE_HEAD, 2, WIDTH_MAX / s->n_heads > 2 ? WIDTH_MAX / s->n_heads : 2,
              &s->head_size, error));
    if (n->at[SIZE_TURNED] == DERIVED) n->at[SIZE_TURNED] = (double)s->head_size;
    TRY(whole(c, n, SIZE_TURNED, 2, s->head_size, &s->n_turned, error));
    if (s->n_turned % 2 || s->head_size % 2)
        return fail(error, BAD_FILE,
                    "%s: rotary size: expected an even number, found %lld of head size %lld",
                    c->path, (long long)s->n_turned, (long long)s->head_size);
    return OK;
}

/* A window that config.json itself switches off is none. */
static bool window_is_off(const Catalog *c)
{
    const Setting *s = c->source == SOURCE_HF ? catalog_setting(c, "use_sliding_window") : NULL;
    return s && s->kind == SETTING_BOOL && !s->flag;
}

static Status check_sizes(const Catalog *c, Numbers *n, Sizes *s, Error *error)
{
    TRY(whole(c, n, SIZE_LAYERS, 1, LAYERS_MAX, &s->n_layers, error));
    TRY(whole(c, n, SIZE_CONTEXT, 1, CONTEXT_MAX, &s->n_context, error));
    TRY(whole(c, n, SIZE_MODEL_WIDTH, 1, WIDTH_MAX, &s->width, error));
    TRY(whole(c, n, SIZE_HIDDEN, 1, WIDTH_MAX, &s->hidden, error));
    TRY(whole(c, n, SIZE_WINDOW, 0, CONTEXT_MAX, &s->window, error));
    TRY(check_heads(c, n, s, error));
    if (window_is_off(c)) s->window = 0;
    s->norm_eps = n->at[SIZE_NORM_EPS];
    s->rope_base = n->at[SIZE_ROPE_BASE];
    if (!(s->norm_eps >= 0 && s->norm_eps < 1))
        return fail(error, BAD_FILE, "%s: norm epsilon: expected 0 to 1, found %g", c->path,
                    s->norm_eps);
    if (!(s->rope_base > 0 && s->rope_base < 1e15))
        return fail(error, BAD_FILE, "%s: rope base: expected above 0, found %g", c->path,
                    s->rope_base);
    return OK;
}

static Status check_experts(const Arch *arch, const Catalog *c, const Numbers *n, Sizes *s,
                            Error *error)
{
    s->dense = !arch->has_experts;
    s->n_experts = s->n_used = 1;
    if (s->dense) return OK;
    TRY(whole(c, n, SIZE_EXPERTS, 1, EXPERTS_MAX, &s->n_experts, error));
    TRY(whole(c, n, SIZE_USED, 1, USED_MAX, &s->n_used, error));
    if (s->n_used > s->n_experts)
        return fail(error, BAD_FILE, "%s: %s: expected at most %lld experts, found %lld", c->path,
                    n->key[SIZE_USED], (long long)s->n_experts, (long long)s->n_used);
    return OK;
}

/* GGUF may give value heads another size than key heads; nothing we run does. */
static Status check_value_length(const Catalog *c, const Sizes *s, Error *error)
{
    double length = (double)s->head_size;
    bool found;
    TRY(catalog_number(c, "llama.attention.value_length", &length, &found, error));
    if (length != (double)s->head_size)
        return fail(error, UNSUPPORTED,
                    "%s: value heads: expected size %lld as the key heads, found %g", c->path,
                    (long long)s->head_size, length);
    return OK;
}

/* The embedding's rows are the vocabulary; what else speaks of its size must agree. */
static Status check_vocab(const Arch *arch, const Catalog *c, const Numbers *n, Sizes *out, Error *error)
{
    Weight embed;
    TRY(arch_weight(arch, c, out, ROLE_EMBED, 0, 0, &embed, error));
    out->n_vocab = embed.rows;
    if (out->n_vocab > VOCAB_PIECES_MAX)
        return fail(error, BAD_FILE, "%s: vocabulary: expected at most %d rows, found %lld",
                    c->path, VOCAB_PIECES_MAX, (long long)out->n_vocab);
    if (n->at[SIZE_VOCAB] != DERIVED && n->at[SIZE_VOCAB] != (double)out->n_vocab)
        return fail(error, BAD_FILE, "%s: %s: expected %lld, the rows of the embedding, found %.17g",
                    c->path, n->key[SIZE_VOCAB], (long long)out->n_vocab, n->at[SIZE_VOCAB]);
    if (c->vocab.kind != VOCAB_NONE && c->vocab.n_pieces > out->n_vocab)
        return fail(error, BAD_FILE,
                    "%s: tokenizer: expected at most %lld pieces, one per embedding row, found %d",
                    c->path, (long long)out->n_vocab, (int)c->vocab.n_pieces);
    return OK;
}

Status arch_sizes(const Arch *arch, const Catalog *c, Sizes *out, Error *error)
{
    Numbers numbers = { 0 };
    *out = (Sizes){ 0 };
    TRY(check_settings(arch, c, error));
    TRY(read_numbers(arch, c, &numbers, error));
    TRY(check_sizes(c, &numbers, out, error));
    TRY(check_experts(arch, c, &numbers, out, error));
    TRY(check_value_length(c, out, error));
    return check_vocab(arch, c, &numbers, out, error);
}
