/* SPDX-License-Identifier: Apache-2.0
 * file/gguf_keys.c - the typed values of a GGUF header. */
#include <stdio.h>
#include <string.h>

#include "file/gguf.h"

enum {
    TEXT_BYTES_MAX   = 16 << 20,        /* of one value; the longest template is 20 KB       */
    ARRAY_DEPTH_MAX  = 4                /* arrays of arrays: nobody writes them, the format may */
};

typedef struct ValueType { const char *name; uint8_t n_bytes; } ValueType;

static const ValueType value_types[N_GGUF_TYPES] = {
    [GGUF_U8]   = { "u8", 1 },    [GGUF_I8]   = { "i8", 1 },    [GGUF_U16]   = { "u16", 2 },
    [GGUF_I16]  = { "i16", 2 },   [GGUF_U32]  = { "u32", 4 },   [GGUF_I32]   = { "i32", 4 },
    [GGUF_F32]  = { "f32", 4 },   [GGUF_BOOL] = { "bool", 1 },  [GGUF_TEXT]  = { "string", 0 },
    [GGUF_ARRAY] = { "array", 0 }, [GGUF_U64] = { "u64", 8 },   [GGUF_I64]   = { "i64", 8 },
    [GGUF_F64]  = { "f64", 8 },
};

const char *gguf_value_type_name(uint32_t type)
{
    return type < N_GGUF_TYPES ? value_types[type].name : "an unknown type";
}

/* The least that one element takes in the file: a string has its length, an array its type too. */
static uint64_t least_bytes(uint32_t type)
{
    return type == GGUF_TEXT ? 8 : type == GGUF_ARRAY ? 12 : value_types[type].n_bytes;
}

/* ---- numbers ---- */

/* bytes -> the setting's kind and value.  Copies through the exact type: no cast of pointers. */
static void decode_number(uint32_t type, const uint8_t *bytes, Setting *out)
{
    union {
        uint8_t u8; int8_t i8; uint16_t u16; int16_t i16; uint32_t u32; int32_t i32; float f32;
        uint64_t u64; int64_t i64; double f64;
    } value = { 0 };
    memcpy(&value, bytes, value_types[type].n_bytes);
    out->kind = SETTING_UINT;
    switch (type) {
    case GGUF_U8:   out->natural = value.u8; return;
    case GGUF_U16:  out->natural = value.u16; return;
    case GGUF_U32:  out->natural = value.u32; return;
    case GGUF_U64:  out->natural = value.u64; return;
    case GGUF_BOOL: out->kind = SETTING_BOOL, out->flag = value.u8 != 0; return;
    case GGUF_F32:  out->kind = SETTING_FLOAT, out->real = value.f32; return;
    case GGUF_F64:  out->kind = SETTING_FLOAT, out->real = value.f64; return;
    default: break;
    }
    out->kind = SETTING_INT;
    out->integer = type == GGUF_I8    ? value.i8
                   : type == GGUF_I16 ? value.i16
                   : type == GGUF_I32 ? value.i32
                                      : value.i64;
}

static double as_double(const Setting *s)
{
    switch (s->kind) {
    case SETTING_BOOL: return s->flag;
    case SETTING_INT:  return (double)s->integer;
    case SETTING_UINT: return (double)s->natural;
    default:           return s->real;
    }
}

static Status read_number(Gguf *g, uint32_t type, Setting *out, Error *error)
{
    uint8_t bytes[8];
    TRY(stream_take(&g->stream, bytes, value_types[type].n_bytes, error));
    if (type == GGUF_BOOL && bytes[0] > 1)
        return stream_fail(&g->stream, BAD_FILE, error, "expected a boolean of 0 or 1, found %d",
                           bytes[0]);
    decode_number(type, bytes, out);
    return OK;
}

/* ---- text ---- */

Status gguf_text(Gguf *g, uint64_t bytes_max, char **out, size_t *n_bytes, Error *error)
{
    uint64_t n;
    TRY(stream_u64(&g->stream, &n, error));
    TRY(stream_fits(&g->stream, n, 1, error));
    if (n > bytes_max)
        return stream_fail(&g->stream, BAD_FILE, error,
                           "expected text of at most %llu bytes, found %llu",
                           (unsigned long long)bytes_max, (unsigned long long)n);
    *out = build_text(g->build, NULL, (size_t)n);
    if (!*out) return fail_memory(error, "the strings of a GGUF header");
    *n_bytes = (size_t)n;
    return stream_take(&g->stream, *out, (size_t)n, error);
}

static Status skip_text(Gguf *g, Error *error)
{
    uint64_t n;
    TRY(stream_u64(&g->stream, &n, error));
    return stream_skip(&g->stream, n, error);
}

/* ---- arrays ---- */

static Status array_head(Gguf *g, uint32_t *type, uint64_t *n, Error *error)
{
    TRY(stream_u32(&g->stream, type, error));
    if (*type >= N_GGUF_TYPES)
        return stream_fail(&g->stream, BAD_FILE, error,
                           "expected an array of a type from 0 to %d, found type %u",
                           N_GGUF_TYPES - 1, *type);
    TRY(stream_u64(&g->stream, n, error));
    return stream_fits(&g->stream, *n, least_bytes(*type), error);
}

/* Walks over the elements.  Recursion ends at ARRAY_DEPTH_MAX, whatever the file says. */
static Status skip_elements(Gguf *g, uint32_t type, uint64_t n, int depth, Error *error)
{
    if (type != GGUF_TEXT && type != GGUF_ARRAY)
        return stream_skip(&g->stream, n * value_types[type].n_bytes, error);
    if (depth >= ARRAY_DEPTH_MAX)
        return stream_fail(&g->stream, BAD_FILE, error,
                           "expected arrays at most %d deep, found more", ARRAY_DEPTH_MAX);
    for (uint64_t i = 0; i < n; i++) {
        uint32_t inner_type;
        uint64_t inner_n;
        if (type == GGUF_TEXT) {
            TRY(skip_text(g, error));
        } else {
            TRY(array_head(g, &inner_type, &inner_n, error));
            TRY(skip_elements(g, inner_type, inner_n, depth + 1, error));
        }
    }
    return OK;
}

static Status keep_numbers(Gguf *g, uint32_t type, uint64_t n, Setting *out, Error *error)
{
    double *numbers = arena_new(&g->build->catalog->arena, (size_t)n, sizeof *numbers);
    if (!numbers) return fail_memory(error, "the arrays of a GGUF header");
    for (uint64_t i = 0; i < n; i++) {
        Setting element;
        TRY(read_number(g, type, &element, error));
        numbers[i] = as_double(&element);
    }
    g->numbers_left -= (int64_t)n;
    out->array.numbers = numbers;
    return OK;
}

static Status read_array(Gguf *g, Setting *out, Error *error)
{
    uint32_t type;
    uint64_t n;
    TRY(array_head(g, &type, &n, error));
    out->kind = SETTING_ARRAY;
    out->gguf_type = (int)type;
    out->array.n = (int64_t)n;
    out->array.numbers = NULL;
    bool taken = false;
    if (g->part == 0) TRY(gguf_vocab_array(g, out->key, type, n, &taken, error));
    if (taken) return OK;
    const bool numbers = type != GGUF_TEXT && type != GGUF_ARRAY;
    if (numbers && n <= (uint64_t)g->numbers_left) return keep_numbers(g, type, n, out, error);
    return skip_elements(g, type, n, 1, error);
}

/* ---- one key ---- */

static Status read_value(Gguf *g, uint32_t type, Setting *out, Error *error)
{
    out->gguf_type = (int)type;
    if (type == GGUF_ARRAY) return read_array(g, out, error);
    if (type != GGUF_TEXT) return read_number(g, type, out, error);
    char *text;
    out->kind = SETTING_TEXT;
    TRY(gguf_text(g, TEXT_BYTES_MAX, &text, &out->text.n_bytes, error));
    out->text.bytes = text;
    return OK;
}

static Status fail_natural(const Gguf *g, const Setting *s, Error *error)
{
    char found[32];
    if (s->kind == SETTING_UINT)
        snprintf(found, sizeof found, "%llu", (unsigned long long)s->natural);
    else if (s->kind == SETTING_INT)
        snprintf(found, sizeof found, "%lld", (long long)s->integer);
    else
        snprintf(found, sizeof found, "%s", gguf_value_type_name((uint32_t)s->gguf_type));
    return stream_fail(&g->stream, BAD_FILE, error,
                       "expected an integer from 0 to 2147483647, found %s", found);
}

/* The keys of the frame itself, which every part has of its own. */
static Status note_frame_key(Gguf *g, const Setting *s, Error *error)
{
    const struct { const char *key; int64_t *to; } frame[] = {
        { "general.alignment", &g->alignment },
        { "split.no", &g->split_no },
        { "split.count", &g->split_count },
        { "split.tensors.count", &g->split_tensors },
    };
    for (int i = 0; i < ARRAY_LEN(frame); i++) {
        if (strcmp(s->key, frame[i].key) != 0) continue;
        const bool natural = s->kind == SETTING_UINT && s->natural <= INT32_MAX;
        const bool integer = s->kind == SETTING_INT && s->integer >= 0 && s->integer <= INT32_MAX;
        if (i == 0 && s->gguf_type != GGUF_U32)
            return stream_fail(&g->stream, BAD_FILE, error, "expected a u32, found %s",
                               gguf_value_type_name((uint32_t)s->gguf_type));
        if (!natural && !integer) return fail_natural(g, s, error);
        *frame[i].to = natural ? (int64_t)s->natural : s->integer;
    }
    return OK;
}

/* Later parts repeat nothing: what they say beyond the frame is checked and let go. */
static Status note_key(Gguf *g, const Setting *s, Error *error)
{
    if (g->part == 0) return build_setting(g->build, s, g->stream.file->path, error);
    bool existed = false;
    if (!map_put(&g->keys, s->key, strlen(s->key), 0, &existed))
        return fail_memory(error, "the keys");
    if (existed)
        return stream_fail(&g->stream, BAD_FILE, error,
                           "expected one of this name, found a second");
    return OK;
}

Status gguf_key(Gguf *g, Error *error)
{
    char *key;
    size_t n_bytes;
    const char *why;
    uint32_t type;
    TRY(gguf_text(g, NAME_BYTES_MAX, &key, &n_bytes, error));
    if (!build_name_ok(key, n_bytes, &why))
        return stream_fail(&g->stream, BAD_FILE, error, "expected a name, found %s", why);
    stream_thing(&g->stream, "key", key, 0);
    TRY(stream_u32(&g->stream, &type, error));
    if (type >= N_GGUF_TYPES)
        return stream_fail(&g->stream, BAD_FILE, error,
                           "expected a value type from 0 to %d, found %u", N_GGUF_TYPES - 1, type);
    Setting setting = { .key = key, .offset = g->stream.at };
    TRY(read_value(g, type, &setting, error));
    setting.bytes = g->stream.at - setting.offset;
    TRY(note_frame_key(g, &setting, error));
    return note_key(g, &setting, error);
}
