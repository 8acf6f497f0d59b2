/* SPDX-License-Identifier: Apache-2.0
 * file/tokenizer_steps.c - see tokenizer_steps.h.
 *
 * The library that writes these files lets any steps follow each other.  We know the few chains
 * that models use, and refuse others by name (D5): text would be cut in another way than in
 * training. */
#include "file/tokenizer_steps.h"

#include <string.h>

#define LOWER_ONE_EIGHTH_BLOCK "\xe2\x96\x81"           /* U+2581, SentencePiece's space     */

enum { STEPS_MAX = 16 };

/* A step, or the steps of a Sequence, as one list. */
typedef struct Chain { const json_t *steps[STEPS_MAX]; int n; } Chain;

typedef struct StepsReader {
    Build *build;
    const json_t *root;
    const char *path;
    Vocab *vocab;
} StepsReader;

static const char *type_of(const json_t *step)
{
    const char *type = json_string_value(json_object_get(step, "type"));
    return type ? type : "a step without a type";
}

static bool is(const json_t *step, const char *type)
{
    return strcmp(type_of(step), type) == 0;
}

static Status unsupported(const StepsReader *r, const char *part, const json_t *step, Error *error)
{
    return fail(error, UNSUPPORTED, "%s: %s: expected a step we have, found '%.60s'", r->path, part,
                type_of(step));
}

/* Sequences in sequences do not occur, so one level is unrolled. */
static Status unroll(const StepsReader *r, const char *part, const char *list_key, Chain *chain,
                     Error *error)
{
    const json_t *step = json_member(r->root, part);
    chain->n = 0;
    if (!step) return OK;
    if (!json_is_object(step))
        return fail(error, BAD_FILE, "%s: %s: expected an object, found %s", r->path, part,
                    json_kind(step));
    if (!is(step, "Sequence")) {
        chain->steps[chain->n++] = step;
        return OK;
    }
    const json_t *list = json_object_get(step, list_key);
    if (!json_is_array(list) || json_array_size(list) > STEPS_MAX)
        return fail(error, BAD_FILE, "%s: %s: expected a list of at most %d steps, found %s of %zu",
                    r->path, part, STEPS_MAX, json_kind(list), json_array_size(list));
    for (size_t i = 0; i < json_array_size(list); i++)
        chain->steps[chain->n++] = json_array_get(list, i);
    return OK;
}

static bool mentions(const json_t *step, const char *list_key, const char *type)
{
    if (is(step, type)) return true;
    const json_t *list = json_object_get(step, list_key);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (is(json_array_get(list, i), type)) return true;
    return false;
}

bool steps_are_byte_level(const json_t *root)
{
    return mentions(json_object_get(root, "pre_tokenizer"), "pretokenizers", "ByteLevel") ||
           mentions(json_object_get(root, "decoder"), "decoders", "ByteLevel");
}

/* ---- normalizer ---- */

static const char *pattern_text(const json_t *step, const char *kind)
{
    const char *text = json_string_value(json_object_get(json_object_get(step, "pattern"), kind));
    return text ? text : "";
}

static bool replaces_spaces(const json_t *step)
{
    const char *content = json_string_value(json_object_get(step, "content"));
    return is(step, "Replace") && content && strcmp(pattern_text(step, "String"), " ") == 0 &&
           strcmp(content, LOWER_ONE_EIGHTH_BLOCK) == 0;
}

static bool prepends_space(const json_t *step)
{
    const char *text = json_string_value(json_object_get(step, "prepend"));
    return is(step, "Prepend") && text && strcmp(text, LOWER_ONE_EIGHTH_BLOCK) == 0;
}

static Status read_normalizer(StepsReader *r, Error *error)
{
    Chain chain;
    TRY(unroll(r, "normalizer", "normalizers", &chain, error));
    for (int i = 0; i < chain.n; i++) {
        const json_t *step = chain.steps[i];
        const bool spm = r->vocab->kind == VOCAB_SPM;
        if (spm && prepends_space(step)) r->vocab->add_space_prefix = true;
        else if (!spm && is(step, "NFC")) r->vocab->nfc = true;
        else if (!(spm && replaces_spaces(step)))
            return unsupported(r, "normalizer", step, error);
    }
    return OK;
}

/* ---- pre_tokenizer ---- */

/* Cuts at every match, keeping both: "Isolated", or what older converters wrote for the same when
 * the pattern covers all text: everything that is not a match "Removed". */
static Status read_split(StepsReader *r, const json_t *step, Error *error)
{
    const char *behavior = json_string_value(json_object_get(step, "behavior"));
    const char *regex = pattern_text(step, "Regex");
    const bool invert = json_is_true(json_object_get(step, "invert"));
    const bool isolated = behavior && strcmp(behavior, "Isolated") == 0 && !invert;
    const bool kept = behavior && strcmp(behavior, "Removed") == 0 && invert;
    if (!*regex || r->vocab->pre_pattern || !(isolated || kept))
        return unsupported(r, "pre_tokenizer", step, error);
    r->vocab->pre_pattern = build_text(r->build, regex, strlen(regex));
    return r->vocab->pre_pattern ? OK : fail_memory(error, "the pre-tokeniser");
}

static Status read_byte_level(StepsReader *r, const json_t *step, Error *error)
{
    bool prefix = true, regex = true;                   /* the library's defaults            */
    TRY(json_take_flag(step, "add_prefix_space", r->path, &prefix, error));
    TRY(json_take_flag(step, "use_regex", r->path, &regex, error));
    if (prefix)
        return fail(error, UNSUPPORTED,
                    "%s: pre_tokenizer: expected add_prefix_space false, found true", r->path);
    if (regex && r->vocab->pre_pattern)
        return fail(error, UNSUPPORTED,
                    "%s: pre_tokenizer: expected one pattern, found Split and use_regex", r->path);
    if (regex) r->vocab->pre = "gpt-2";
    return OK;
}

/* Spaces become U+2581, and one is put before the text when the scheme says so. */
static Status read_metaspace(StepsReader *r, const json_t *step, Error *error)
{
    const char *replacement = LOWER_ONE_EIGHTH_BLOCK, *scheme = "always";
    bool split = true, prefix = true;
    TRY(json_take_text(step, "replacement", r->path, &replacement, error));
    TRY(json_take_text(step, "prepend_scheme", r->path, &scheme, error));
    TRY(json_take_flag(step, "add_prefix_space", r->path, &prefix, error));
    TRY(json_take_flag(step, "split", r->path, &split, error));
    if (strcmp(replacement, LOWER_ONE_EIGHTH_BLOCK) != 0)
        return fail(error, UNSUPPORTED,
                    "%s: pre_tokenizer: expected Metaspace with U+2581, found '%.20s'", r->path,
                    replacement);
    if (split && json_object_get(step, "split"))
        return fail(error, UNSUPPORTED,
                    "%s: pre_tokenizer: expected Metaspace with split false, found true", r->path);
    if (prefix && strcmp(scheme, "never") != 0) r->vocab->add_space_prefix = true;
    return OK;
}

static Status read_pre_tokenizer(StepsReader *r, Error *error)
{
    Chain chain;
    TRY(unroll(r, "pre_tokenizer", "pretokenizers", &chain, error));
    for (int i = 0; i < chain.n; i++) {
        const json_t *step = chain.steps[i];
        const bool spm = r->vocab->kind == VOCAB_SPM;
        if (!spm && is(step, "Split")) TRY(read_split(r, step, error));
        else if (!spm && is(step, "ByteLevel")) TRY(read_byte_level(r, step, error));
        else if (spm && is(step, "Metaspace")) TRY(read_metaspace(r, step, error));
        else return unsupported(r, "pre_tokenizer", step, error);
    }
    return OK;
}

/* ---- post_processor ---- */

static Status special_token(StepsReader *r, const json_t *part, int32_t *id, Error *error)
{
    const char *text =
        json_string_value(json_object_get(json_object_get(part, "SpecialToken"), "id"));
    *id = text ? vocab_find(r->vocab, text) : -1;
    if (*id >= 0) return OK;
    return fail(error, BAD_FILE,
                "%s: post_processor: expected a token of the vocabulary, found '%.60s'", r->path,
                text ? text : json_kind(part));
}

/* "single": what is put around one text: [BOS] text [EOS]. */
static Status read_template(StepsReader *r, const json_t *step, Error *error)
{
    const json_t *parts = json_object_get(step, "single");
    Vocab *v = r->vocab;
    bool text_seen = false;
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        int32_t id;
        if (json_object_get(part, "Sequence")) {
            text_seen = true;
            continue;
        }
        TRY(special_token(r, part, &id, error));
        if (text_seen ? v->add_eos : v->add_bos)
            return fail(
                error, UNSUPPORTED,
                "%s: post_processor: expected one token before and one after the text, found more",
                r->path);
        *(text_seen ? &v->add_eos : &v->add_bos) = true;
        *(text_seen ? &v->eos : &v->bos) = id;
    }
    return OK;
}

static Status read_post_processor(StepsReader *r, Error *error)
{
    Chain chain;
    TRY(unroll(r, "post_processor", "processors", &chain, error));
    for (int i = 0; i < chain.n; i++) {
        if (is(chain.steps[i], "TemplateProcessing")) TRY(read_template(r, chain.steps[i], error));
        else if (!is(chain.steps[i], "ByteLevel"))              /* only trims offsets        */
            return unsupported(r, "post_processor", chain.steps[i], error);
    }
    return OK;
}

Status steps_read(Build *b, const json_t *root, const char *path, Error *error)
{
    StepsReader reader = { .build = b, .root = root, .path = path, .vocab = &b->catalog->vocab };
    TRY(read_normalizer(&reader, error));
    TRY(read_pre_tokenizer(&reader, error));
    return read_post_processor(&reader, error);
}
