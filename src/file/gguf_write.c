/* SPDX-License-Identifier: Apache-2.0
 * file/gguf_write.c - see gguf_write.h.
 *
 * The header is gathered in memory (a few megabytes, mostly vocabulary) and written with the first
 * data, because it begins with the two counts; the data itself only passes through. */
#include "file/gguf_write.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/checked.h"
#include "base/map.h"
#include "base/utf8.h"
#include "file/gguf.h"

enum {
    WRITE_VERSION   = 3,
    WRITE_ALIGNMENT = 32,           /* the default, so no general.alignment is needed         */
    TENSOR_NAME_MAX = 63            /* what other readers of the format have room for         */
};

typedef struct Declared { const char *name; int64_t bytes; } Declared;

struct GgufWriter {
    Writer    out;
    Arena     arena;                /* path, names                                          */
    char     *path;
    Buffer    settings, table;      /* as they will stand in the file                       */
    uint64_t  n_settings;
    Map       keys, names;
    Declared *tensors;  int64_t n_tensors, tensors_room;
    int64_t   data_bytes;           /* declared so far, padding included                    */
    bool      begun;                /* the header is written: only data may follow          */
    int64_t   current, left;        /* the tensor that data goes to, and what it still wants */
};

void gguf_abandon(GgufWriter *w)
{
    if (!w) return;
    writer_abandon(&w->out);
    buffer_free(&w->settings);
    buffer_free(&w->table);
    map_free(&w->keys);
    map_free(&w->names);
    arena_free(&w->arena);
    free(w->tensors);
    free(w);
}

Status gguf_create(const char *path, const char *const *inputs, GgufWriter **out, Error *error)
{
    GgufWriter *w = calloc(1, sizeof *w);
    if (!w) return fail_memory(error, path);
    w->out.fd = -1;
    w->current = -1;
    w->path = arena_text(&w->arena, path, strlen(path));
    const Status status =
        w->path ? writer_open(path, inputs, &w->out, error) : fail_memory(error, path);
    if (status != OK) {
        gguf_abandon(w);
        return status;
    }
    *out = w;
    return OK;
}

/* ---- settings ---- */

static void put_u32(Buffer *b, uint32_t value)
{
    buffer_append(b, &value, sizeof value);
}

static void put_u64(Buffer *b, uint64_t value)
{
    buffer_append(b, &value, sizeof value);
}

static void put_text(Buffer *b, const char *bytes, size_t n_bytes)
{
    put_u64(b, n_bytes);
    buffer_append(b, bytes, n_bytes);
}

/* A name that was not there before, kept in the arena. */
static Status take_name(GgufWriter *w, Map *map, const char *what, const char *name, int64_t value,
                        const char **kept, Error *error)
{
    const size_t n = strlen(name);
    bool existed = false;
    if (w->begun)
        return fail(error, BAD_ARGUMENT, "%s: %s '%s' comes after the data has begun", w->path,
                    what, name);
    if (n == 0 || n > NAME_BYTES_MAX || !utf8_valid(name, n))
        return fail(error, BAD_ARGUMENT,
                    "%s: %s '%.100s': expected a name of 1 to 65535 bytes of UTF-8", w->path, what,
                    name);
    *kept = arena_text(&w->arena, name, n);
    if (!*kept || !map_put(map, *kept, n, value, &existed)) return fail_memory(error, w->path);
    if (existed)
        return fail(error, BAD_ARGUMENT, "%s: %s '%.100s' is given twice", w->path, what, name);
    return OK;
}

/* Key and type; the caller appends the value, then asks put_done. */
static Status put_key(GgufWriter *w, const char *key, GgufType type, Error *error)
{
    const char *kept;
    TRY(take_name(w, &w->keys, "key", key, 0, &kept, error));
    put_text(&w->settings, key, strlen(key));
    put_u32(&w->settings, type);
    w->n_settings++;
    return OK;
}

static Status put_array(GgufWriter *w, const char *key, GgufType element, size_t n, Error *error)
{
    TRY(put_key(w, key, GGUF_ARRAY, error));
    put_u32(&w->settings, element);
    put_u64(&w->settings, n);
    return OK;
}

static Status put_done(const GgufWriter *w, Error *error)
{
    return w->settings.failed || w->table.failed ? fail_memory(error, w->path) : OK;
}

Status gguf_put_u32(GgufWriter *w, const char *key, uint32_t value, Error *error)
{
    TRY(put_key(w, key, GGUF_U32, error));
    put_u32(&w->settings, value);
    return put_done(w, error);
}

Status gguf_put_f32(GgufWriter *w, const char *key, float value, Error *error)
{
    TRY(put_key(w, key, GGUF_F32, error));
    buffer_append(&w->settings, &value, sizeof value);
    return put_done(w, error);
}

Status gguf_put_bool(GgufWriter *w, const char *key, bool value, Error *error)
{
    TRY(put_key(w, key, GGUF_BOOL, error));
    buffer_char(&w->settings, value ? 1 : 0);
    return put_done(w, error);
}

Status gguf_put_text(GgufWriter *w, const char *key, const char *bytes, size_t n_bytes,
                     Error *error)
{
    TRY(put_key(w, key, GGUF_TEXT, error));
    put_text(&w->settings, bytes, n_bytes);
    return put_done(w, error);
}

Status gguf_put_u8s(GgufWriter *w, const char *key, const void *bytes, size_t n_bytes, Error *error)
{
    TRY(put_array(w, key, GGUF_U8, n_bytes, error));
    buffer_append(&w->settings, bytes, n_bytes);
    return put_done(w, error);
}

Status gguf_put_i32s(GgufWriter *w, const char *key, const int32_t *values, size_t n, Error *error)
{
    TRY(put_array(w, key, GGUF_I32, n, error));
    buffer_append(&w->settings, values, n * sizeof *values);
    return put_done(w, error);
}

Status gguf_put_f32s(GgufWriter *w, const char *key, const float *values, size_t n, Error *error)
{
    TRY(put_array(w, key, GGUF_F32, n, error));
    buffer_append(&w->settings, values, n * sizeof *values);
    return put_done(w, error);
}

Status gguf_put_texts(GgufWriter *w, const char *key, const char *const *texts,
                      const size_t *n_bytes, size_t n, Error *error)
{
    TRY(put_array(w, key, GGUF_TEXT, n, error));
    for (size_t i = 0; i < n; i++) put_text(&w->settings, texts[i], n_bytes[i]);
    return put_done(w, error);
}

Status gguf_put_value(GgufWriter *w, const char *key, uint32_t type, const void *bytes,
                      size_t n_bytes, Error *error)
{
    if (type >= N_GGUF_TYPES)
        return fail(error, BAD_ARGUMENT, "%s: key '%.100s': expected a type from 0 to %d, found %u",
                    w->path, key, N_GGUF_TYPES - 1, type);
    TRY(put_key(w, key, (GgufType)type, error));
    buffer_append(&w->settings, bytes, n_bytes);
    return put_done(w, error);
}

bool gguf_has_key(const GgufWriter *w, const char *key)
{
    return map_get(&w->keys, key, strlen(key), -1) >= 0;
}

/* ---- the table ---- */

static Status whole_bytes(const GgufWriter *w, const char *name, Format format, int n_dims,
                          const int64_t *dims, int64_t *bytes, Error *error)
{
    const FormatInfo *info = &format_info[format];
    bool fits = n_dims >= 1 && n_dims <= CATALOG_DIMS_MAX;
    for (int i = 0; fits && i < n_dims; i++) fits = dims[i] >= 1;
    if (!fits || dims[n_dims - 1] % info->block_values)
        return fail(error, BAD_ARGUMENT,
                    "%s: tensor '%s': expected 1 to %d dimensions and rows of whole %s blocks",
                    w->path, name, CATALOG_DIMS_MAX, info->name);
    *bytes = info->block_bytes;
    fits = checked_mul(*bytes, dims[n_dims - 1] / info->block_values, bytes);
    for (int i = 0; fits && i + 1 < n_dims; i++) fits = checked_mul(*bytes, dims[i], bytes);
    if (fits && *bytes <= INT64_MAX / 2) return OK;
    return fail(error, BAD_ARGUMENT, "%s: tensor '%s': expected a shape of less than 2^62 bytes",
                w->path, name);
}

static bool grow_tensors(GgufWriter *w)
{
    if (w->n_tensors < w->tensors_room) return true;
    const int64_t room = w->tensors_room ? w->tensors_room * 2 : 256;
    Declared *bigger = realloc(w->tensors, (size_t)room * sizeof *bigger);
    if (!bigger) return false;
    w->tensors = bigger;
    w->tensors_room = room;
    return true;
}

Status gguf_declare(GgufWriter *w, const char *name, Format format, int n_dims, const int64_t *dims,
                    Error *error)
{
    const char *kept;
    int64_t bytes = 0, padded;
    TRY(take_name(w, &w->names, "tensor", name, w->n_tensors, &kept, error));
    if (strlen(name) > TENSOR_NAME_MAX)
        return fail(error, BAD_ARGUMENT, "%s: tensor '%s': expected a name of at most %d bytes",
                    w->path, name, TENSOR_NAME_MAX);
    TRY(whole_bytes(w, name, format, n_dims, dims, &bytes, error));
    if (!grow_tensors(w)) return fail_memory(error, w->path);

    put_text(&w->table, name, strlen(name));
    put_u32(&w->table, (uint32_t)n_dims);
    for (int i = n_dims - 1; i >= 0; i--)
        put_u64(&w->table, (uint64_t)dims[i]); /* innermost first */
    put_u32(&w->table, (uint32_t)format_info[format].gguf_id);
    put_u64(&w->table, (uint64_t)w->data_bytes);
    padded = (bytes + WRITE_ALIGNMENT - 1) / WRITE_ALIGNMENT * WRITE_ALIGNMENT;
    if (!checked_add(w->data_bytes, padded, &w->data_bytes))
        return fail(error, BAD_ARGUMENT, "%s: tensor '%s': expected less than 2^63 bytes in all",
                    w->path, name);
    w->tensors[w->n_tensors++] = (Declared){ .name = kept, .bytes = bytes };
    return put_done(w, error);
}

/* ---- data ---- */

static Status expect_room(GgufWriter *w, Error *error)
{
    const size_t n_header = w->settings.n_bytes + w->table.n_bytes;
    int64_t bytes;
    if (!checked_add(w->data_bytes, (int64_t)n_header, &bytes)) bytes = INT64_MAX;
    return writer_expect(&w->out, bytes, error);
}

static Status begin(GgufWriter *w, Error *error)
{
    Buffer head = { 0 };
    TRY(expect_room(w, error));
    buffer_append(&head, "GGUF", 4);
    put_u32(&head, WRITE_VERSION);
    put_u64(&head, (uint64_t)w->n_tensors);
    put_u64(&head, w->n_settings);
    Status status = head.failed ? fail_memory(error, w->path)
                                : writer_add(&w->out, head.data, head.n_bytes, error);
    buffer_free(&head);
    TRY(status);
    TRY(writer_add(&w->out, w->settings.data, w->settings.n_bytes, error));
    TRY(writer_add(&w->out, w->table.data, w->table.n_bytes, error));
    buffer_free(&w->settings);
    buffer_free(&w->table);
    w->begun = true;
    return writer_pad(&w->out, WRITE_ALIGNMENT, error);
}

Status gguf_add(GgufWriter *w, const void *bytes, size_t n_bytes, Error *error)
{
    if (!w->begun) TRY(begin(w, error));
    if (n_bytes == 0) return OK;
    if (w->left == 0) {
        if (w->current + 1 >= w->n_tensors)
            return fail(error, BAD_ARGUMENT,
                        "%s: data of %zu bytes comes after the last declared tensor", w->path,
                        n_bytes);
        w->left = w->tensors[++w->current].bytes;
    }
    if (n_bytes > (uint64_t)w->left)
        return fail(error, BAD_ARGUMENT,
                    "%s: tensor '%s': expected at most %lld more bytes, found %zu", w->path,
                    w->tensors[w->current].name, (long long)w->left, n_bytes);
    TRY(writer_add(&w->out, bytes, n_bytes, error));
    w->left -= (int64_t)n_bytes;
    return w->left ? OK : writer_pad(&w->out, WRITE_ALIGNMENT, error);
}

static Status finish(GgufWriter *w, Error *error)
{
    if (!w->begun) TRY(begin(w, error));
    if (w->left || w->current + 1 < w->n_tensors) {
        const int64_t i = w->left ? w->current : w->current + 1;
        return fail(error, BAD_ARGUMENT, "%s: tensor '%s': expected %lld more bytes before the end",
                    w->path, w->tensors[i].name,
                    (long long)(w->left ? w->left : w->tensors[i].bytes));
    }
    return writer_commit(&w->out, error);
}

Status gguf_finish(GgufWriter *w, Error *error)
{
    const Status status = finish(w, error);
    gguf_abandon(w);
    return status;
}
