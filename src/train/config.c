/* SPDX-License-Identifier: Apache-2.0
 * train/config.c - see config.h: rows of config.def to fields, then the checks that need several of them. */
#include "train/config.h"

#include "base/io.h"
#include "train/ini.h"
#include "train/net.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum KeyKind { WHOLE, REAL, FLAG, WORD, PATH, CHOICE, TRAIN, HELD, REPEAT } KeyKind;

typedef struct Key {
    const char *section, *name;
    KeyKind     kind;
    size_t      field;                  /* offset in Config                                 */
    double      least, most;
    const char *fallback;
    bool        binding;
    const char *help;                   /* of a CHOICE: its words, "a|b"                    */
} Key;

static const Key keys[] = {
#define KEY(section, name, kind, field, least, most, fallback, binding, help)                                         \
    { #section, #name, kind, offsetof(Config, field), least, most, fallback, binding, help },
#include "train/config.def"
#undef KEY
};
enum { N_KEYS = sizeof keys / sizeof keys[0] };

typedef struct Reader {
    Config    *config;
    int        seen[N_KEYS];            /* line of each key, 0: not yet                     */
    DataFile  *last;                    /* what `repeat` speaks of                          */
    bool       begins;                  /* the next file is the first of a phase            */
    int        empty;                   /* line of a [phase] that has no file yet; 0: none  */
} Reader;

static void *field_of(const Config *c, const Key *key)
{
    return (char *)(uintptr_t)c + key->field;
}

/* ---- values ---- */

static Status bad_value(const Config *c, const Key *key, int line, const char *expected, const char *found,
                        Error *error)
{
    return fail(error, BAD_FILE, "%s:%d: [%s] %s: expected %s, found '%.80s'", c->path, line, key->section, key->name,
                expected, found);
}

static Status out_of_range(const Config *c, const Key *key, int line, const char *found, Error *error)
{
    char range[96];
    snprintf(range, sizeof range, "a %s from %.10g to %.10g", key->kind == WHOLE ? "whole number" : "number",
             key->least, key->most);
    return bad_value(c, key, line, range, found, error);
}

static Status set_number(Config *c, const Key *key, int line, const char *text, Error *error)
{
    char *end;
    errno = 0;
    const double value = strtod(text, &end);
    const bool plain = *text && !*end && !errno && text[strspn(text, "+-.0123456789eE")] == 0;
    if (!plain || !(value >= key->least && value <= key->most)) return out_of_range(c, key, line, text, error);
    if (key->kind == REAL) {
        *(double *)field_of(c, key) = value;
        return OK;
    }
    if (value != floor(value)) return out_of_range(c, key, line, text, error);
    *(int64_t *)field_of(c, key) = (int64_t)value;      /* below 2^53: see config.def        */
    return OK;
}

static Status set_flag(Config *c, const Key *key, int line, const char *text, Error *error)
{
    static const char *const words[] = { "no", "yes", "off", "on", "false", "true", "0", "1" };
    for (int i = 0; i < ARRAY_LEN(words); i++)
        if (!strcmp(text, words[i])) {
            *(bool *)field_of(c, key) = i % 2;
            return OK;
        }
    return bad_value(c, key, line, "yes or no", text, error);
}

static bool is_word_of(const char *words, const char *text)
{
    const size_t n = strlen(text);
    for (const char *at = words; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (n && !strncmp(at, text, n) && (at[n] == '|' || !at[n])) return true;
    return false;
}

static Status set_text(Config *c, const Key *key, const char *text, Error *error)
{
    const char *copy = arena_text(&c->arena, text, strlen(text));
    if (!copy) return fail_memory(error, c->path);
    *(const char **)field_of(c, key) = copy;
    return OK;
}

/* A path in the configuration begins at its folder. */
static Status set_path(Config *c, const char *text, const char **out, Error *error)
{
    const char *slash = strrchr(c->path, '/');
    Buffer whole = { 0 };
    if (*text != '/' && slash) buffer_append(&whole, c->path, (size_t)(slash + 1 - c->path));
    buffer_text(&whole, text);
    *out = whole.failed ? NULL : arena_text(&c->arena, whole.data, whole.n_bytes);
    buffer_free(&whole);
    return *out ? OK : fail_memory(error, c->path);
}

/* ---- files ---- */

static Status add_file(Reader *r, DataFiles *list, const IniLine *line, Error *error)
{
    Config *c = r->config;
    if (!list->files) list->files = arena_new(&c->arena, CONFIG_FILES_MAX, sizeof *list->files);
    if (!list->files) return fail_memory(error, c->path);
    if (list->n == CONFIG_FILES_MAX)
        return fail(error, BAD_FILE, "%s:%d: expected at most %d files, found one more", c->path, line->number,
                    CONFIG_FILES_MAX);
    r->last = &list->files[list->n++];
    *r->last = (DataFile){ .repeat = 1, .line = line->number };
    return set_path(c, line->value, &r->last->path, error);
}

static Status set_repeat(Reader *r, const Key *key, const IniLine *line, Error *error)
{
    const Config *c = r->config;
    char *end;
    const double repeat = strtod(line->value, &end);
    if (!r->last || r->last->repeat != 1)
        return fail(error, BAD_FILE, "%s:%d: [%s] repeat: expected 'train = FILE' just above it", c->path, line->number,
                    line->section);
    if (!*line->value || *end || !(repeat >= 0.001 && repeat <= 1000))
        return bad_value(c, key, line->number, "a number from 0.001 to 1000", line->value, error);
    r->last->repeat = repeat;
    return OK;
}

/* The first file after [data] or [phase] begins a phase. */
static Status add_train(Reader *r, const IniLine *line, Error *error)
{
    Config *c = r->config;
    if (r->begins && c->n_phases == CONFIG_PHASES_MAX)
        return fail(error, BAD_FILE, "%s:%d: expected at most %d phases, found one more", c->path, line->number,
                    CONFIG_PHASES_MAX);
    c->n_phases += r->begins;
    r->begins = false;
    r->empty = 0;
    return add_file(r, &c->phases[c->n_phases - 1], line, error);
}

static Status check_phase(const Reader *r, Error *error)
{
    if (!r->empty) return OK;
    return fail(error, BAD_FILE, "%s:%d: [phase] expected 'train = FILE' in it, found none", r->config->path, r->empty);
}

/* ---- lines ---- */

static Status set(Reader *r, const Key *key, const IniLine *line, Error *error)
{
    Config *c = r->config;
    switch (key->kind) {
    case WHOLE:
    case REAL:   return set_number(c, key, line->number, line->value, error);
    case FLAG:   return set_flag(c, key, line->number, line->value, error);
    case PATH:   return set_path(c, line->value, field_of(c, key), error);
    case CHOICE:
        if (!is_word_of(key->help, line->value))
            return bad_value(c, key, line->number, key->help, line->value, error);
        return set_text(c, key, line->value, error);
    case TRAIN:  return add_train(r, line, error);
    case REPEAT: return set_repeat(r, key, line, error);
    case HELD: {
        const Status status = add_file(r, &c->held, line, error);
        r->last = NULL;                 /* what is judged is not repeated                   */
        return status;
    }
    case WORD:   break;
    }
    return set_text(c, key, line->value, error);
}

/* "..: expected one of a, b, c": of a section's keys, or of the sections. */
static Status unknown(const Config *c, const IniLine *line, Error *error)
{
    Buffer known = { 0 };
    const char *last = "";
    for (int i = 0; i < N_KEYS; i++) {
        const char *name = line->key ? keys[i].name : keys[i].section;
        if ((line->key && strcmp(keys[i].section, line->section)) || !strcmp(name, last)) continue;
        buffer_format(&known, "%s%s", known.n_bytes ? ", " : "", name);
        last = name;
    }
    const Status status =
        line->key ? fail(error, BAD_FILE, "%s:%d: [%s] expected one of %s, found '%.60s'", c->path, line->number,
                         line->section, known.data ? known.data : "-", line->key)
                  : fail(error, BAD_FILE, "%s:%d: expected one of the sections %s, found [%.60s]", c->path,
                         line->number, known.data ? known.data : "-", line->section);
    buffer_free(&known);
    return status;
}

static Status take_section(Reader *r, const IniLine *line, Error *error)
{
    const bool phase = !strcmp(line->section, "phase");
    TRY(check_phase(r, error));
    r->last = NULL;
    r->begins = phase || !strcmp(line->section, "data");
    r->empty = phase ? line->number : 0;
    for (int i = 0; i < N_KEYS; i++)
        if (!strcmp(keys[i].section, line->section)) return OK;
    return unknown(r->config, line, error);
}

static Status take_line(void *user, const IniLine *line, Error *error)
{
    Reader *r = user;
    if (!line->key) return take_section(r, line, error);
    for (int i = 0; i < N_KEYS; i++) {
        const Key *key = &keys[i];
        if (strcmp(key->section, line->section) || strcmp(key->name, line->key)) continue;
        const bool repeatable = key->kind == TRAIN || key->kind == HELD || key->kind == REPEAT;
        if (r->seen[i] && !repeatable)
            return fail(error, BAD_FILE, "%s:%d: [%s] %s: expected once, found before in line %d", r->config->path,
                        line->number, key->section, key->name, r->seen[i]);
        r->seen[i] = line->number;
        if (!*line->value && strcmp(key->name, "marker"))
            return fail(error, BAD_FILE, "%s:%d: [%s] %s: expected a value, found nothing", r->config->path,
                        line->number, key->section, key->name);
        return set(r, key, line, error);
    }
    return unknown(r->config, line, error);
}

/* ---- checks that need several values ---- */

static bool is_size(const Key *key)
{
    return key->field == offsetof(Config, tied) ||
           (key->field >= offsetof(Config, sizes) && key->field < offsetof(Config, sizes) + sizeof(Sizes));
}

static Status check_sizes(Config *c, const Reader *r, const char *from, Error *error)
{
    Sizes *s = &c->sizes;
    if (from) {
        c->from = from;
        return OK;
    }
    for (int i = 0; i < N_KEYS && c->from; i++)
        if (r->seen[i] && is_size(&keys[i]))
            return fail(error, BAD_FILE, "%s:%d: [model] %s: expected no sizes, they come from '%s'", c->path,
                        r->seen[i], keys[i].name, c->from);
    if (c->from) {
        *s = (Sizes){ 0 };
        return OK;
    }
    const struct { const char *name; int64_t value; } needed[] = {
        { "layers", s->n_layers }, { "width", s->width }, { "heads", s->n_heads }, { "experts", s->n_experts },
        { "hidden", s->hidden },
    };
    for (int i = 0; i < ARRAY_LEN(needed); i++)
        if (!needed[i].value)
            return fail(error, BAD_FILE, "%s: [model] %s: expected, not found (or `from`, a model to begin with)",
                        c->path, needed[i].name);
    s->dense = s->n_experts == 1;
    if (!s->n_used) s->n_used = s->dense ? 1 : 2;
    if (!s->n_kv_heads) s->n_kv_heads = s->n_heads;
    if (!s->head_size) s->head_size = s->width / s->n_heads;
    if (!s->n_context) s->n_context = c->n_tokens;
    s->n_turned = s->head_size;
    if (s->n_used > s->n_experts)
        return fail(error, BAD_FILE, "%s: [model] used: expected at most %lld, as there are experts, found %lld",
                    c->path, (long long)s->n_experts, (long long)s->n_used);
    if (s->n_heads % s->n_kv_heads)
        return fail(error, BAD_FILE, "%s: [model] kv_heads: expected a divisor of %lld heads, found %lld", c->path,
                    (long long)s->n_heads, (long long)s->n_kv_heads);
    if (s->head_size < 2 || s->head_size % 2)
        return fail(error, BAD_FILE, "%s: [model] head_size: expected an even number, found %lld", c->path,
                    (long long)s->head_size);
    return OK;
}

static Status check_rest(const Config *c, Error *error)
{
    static const char *const class_names[N_ADAPTS] = {
        [ADAPTS_ATTENTION] = "attention", [ADAPTS_ROUTER] = "router", [ADAPTS_EXPERTS] = "expert",
        [ADAPTS_OUTPUT] = "output",
    };
    if (!c->from && !c->vocabulary)
        return fail(error, BAD_FILE, "%s: [vocabulary] model: expected, not found", c->path);
    if (!c->n_phases)
        return fail(error, BAD_FILE, "%s: [data] train: expected a text to learn from, found none", c->path);
    if (c->steps && c->tokens)
        return fail(error, BAD_FILE, "%s: [optimizer] expected steps or tokens, found both", c->path);
    if (c->steps && c->warm_up > c->steps)
        return fail(error, BAD_FILE, "%s: [optimizer] warm_up: expected at most %lld steps, found %lld", c->path,
                    (long long)c->steps, (long long)c->warm_up);
    if (c->final_rate > c->rate)
        return fail(error, BAD_FILE, "%s: [optimizer] final_rate: expected at most the rate %g, found %g", c->path,
                    c->rate, c->final_rate);
    if (config_adapts(c) && !c->from)
        return fail(error, BAD_FILE, "%s: [adapter] needs a model to stand beside: [model] from, or --from", c->path);
    for (int i = 0; i < N_ADAPTS; i++)
        if (c->alphas[i] > 0 && !c->ranks[i])
            return fail(error, BAD_FILE, "%s: [adapter] %s_alpha: expected %s_rank beside it, found none", c->path,
                        class_names[i], class_names[i]);
    if (c->experts && !c->ranks[ADAPTS_EXPERTS])
        return fail(error, BAD_FILE, "%s: [adapter] experts: expected an expert_rank beside it, found none", c->path);
    if (config_adapts(c) && c->tied)
        return fail(error, BAD_FILE, "%s: [model] tied: expected no sizes, they come from '%s'", c->path, c->from);
    if (c->beta > 0 && c->n_sequences % 2)
        return fail(error, BAD_FILE, "%s: [optimizer] batch: expected an even number, for preferences come in pairs, "
                    "found %lld", c->path, (long long)c->n_sequences);
    if (c->n_sequences * c->n_tokens > NET_TOKENS_MAX)
        return fail(error, BAD_FILE, "%s: [optimizer] batch times sequence: expected at most %d tokens, found %lld",
                    c->path, NET_TOKENS_MAX, (long long)(c->n_sequences * c->n_tokens));
    if (c->n_sequences * c->n_tokens * c->accumulate > CONFIG_STEP_TOKENS_MAX)
        return fail(error, BAD_FILE, "%s: [optimizer] batch times sequence times accumulate: expected at most %d "
                    "tokens, found %lld", c->path, CONFIG_STEP_TOKENS_MAX,
                    (long long)(c->n_sequences * c->n_tokens * c->accumulate));
    return OK;
}

/* Where things go when nobody says: runs/tales.ini keeps them in runs/tales.run. */
static Status place(Config *c, Error *error)
{
    Buffer path = { 0 };
    const size_t n = strlen(c->path), stem = n > 4 && !strcmp(c->path + n - 4, ".ini") ? n - 4 : n;
    if (!c->folder) {
        buffer_append(&path, c->path, stem);
        buffer_text(&path, ".run");
        c->folder = path.failed ? NULL : arena_text(&c->arena, path.data, path.n_bytes);
    }
    const struct { const char *file, **field; } places[] = {
        { "report.html", &c->report }, { config_adapts(c) ? "adapter.gguf" : "model.gguf", &c->output },
    };
    for (int i = 0; c->folder && i < ARRAY_LEN(places); i++) {
        if (*places[i].field) continue;
        buffer_clear(&path);
        buffer_format(&path, "%s/%s", c->folder, places[i].file);
        *places[i].field = path.failed ? NULL : arena_text(&c->arena, path.data, path.n_bytes);
        if (!*places[i].field) c->folder = NULL;
    }
    buffer_free(&path);
    return c->folder ? OK : fail_memory(error, c->path);
}

/* ---- */

static Status set_fallbacks(Reader *r, Error *error)
{
    for (int i = 0; i < N_KEYS; i++)
        if (*keys[i].fallback) {
            const IniLine line = { keys[i].section, keys[i].name, keys[i].fallback, 0 };
            TRY(set(r, &keys[i], &line, error));
        }
    return OK;
}

static Status read_all(Config *c, char *text, size_t n_bytes, const char *from, Error *error)
{
    Reader r = { .config = c };
    TRY(set_fallbacks(&r, error));
    TRY(ini_read(text, n_bytes, c->path, take_line, &r, error));
    TRY(check_phase(&r, error));
    TRY(check_sizes(c, &r, from, error));
    TRY(check_rest(c, error));
    return place(c, error);
}

Status config_parse(char *text, size_t n_bytes, const char *path, const char *from, Config *out, Error *error)
{
    *out = (Config){ 0 };
    out->path = arena_text(&out->arena, path, strlen(path));
    return out->path ? read_all(out, text, n_bytes, from, error) : fail_memory(error, path);
}

Status config_open(const char *path, const char *from, Config *out, Error *error)
{
    char *text;
    size_t n_bytes;
    *out = (Config){ 0 };
    TRY(file_slurp(path, INI_BYTES_MAX, &text, &n_bytes, error));
    const Status status = config_parse(text, n_bytes, path, from, out, error);
    free(text);
    return status;
}

bool config_adapts(const Config *c)
{
    for (int i = 0; i < N_ADAPTS; i++)
        if (c->ranks[i]) return true;
    return false;
}

void config_free(Config *c)
{
    arena_free(&c->arena);
    *c = (Config){ 0 };
}

/* ---- writing ---- */

static bool of_files(const Key *key)
{
    return key->kind == TRAIN || key->kind == HELD || key->kind == REPEAT || key->kind == PATH;
}

/* As short as brings the same number back. */
static void put_real(Buffer *out, double value)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    buffer_text(out, text);
}

void config_binding(const Config *c, Buffer *out)
{
    for (int i = 0; i < N_KEYS; i++) {
        const Key *key = &keys[i];
        if (!key->binding || of_files(key)) continue;
        const void *at = field_of(c, key);
        buffer_format(out, "[%s] %s = ", key->section, key->name);
        if (key->kind == WHOLE) buffer_format(out, "%" PRId64, *(const int64_t *)at);
        else if (key->kind == REAL) put_real(out, *(const double *)at);
        else if (key->kind == FLAG) buffer_text(out, *(const bool *)at ? "yes" : "no");
        else buffer_text(out, *(const char *const *)at ? *(const char *const *)at : "");
        buffer_char(out, '\n');
    }
}

void config_defaults(Buffer *out)
{
    Config c = { .path = "" };
    Reader r = { .config = &c };
    if (set_fallbacks(&r, NULL) == OK) config_binding(&c, out);
    else out->failed = true;
    config_free(&c);
}

void config_example(Buffer *out)
{
    const char *section = "";
    for (int i = 0; i < N_KEYS; i++) {
        const Key *key = &keys[i];
        const bool optional = !strcmp(key->section, "phase");       /* an empty one is an error */
        if (strcmp(section, key->section))
            buffer_format(out, "%s%s[%s]\n", i ? "\n" : "", optional ? "#" : "", key->section);
        section = key->section;
        buffer_format(out, "# %s%s\n", key->kind == CHOICE ? "one of " : "", key->help);
        buffer_format(out, "%s%s = %s\n", *key->fallback ? "" : "#", key->name, key->fallback);
    }
}
