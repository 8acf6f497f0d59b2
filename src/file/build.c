/* SPDX-License-Identifier: Apache-2.0
 * file/build.c - see build.h. */
#include "file/build.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/utf8.h"

enum { TEXT_CHUNK_BYTES = 60 << 10, LIST_ROOM_MIN = 64 };

char *build_text(Build *b, const char *bytes, size_t n_bytes)
{
    if (n_bytes >= SIZE_MAX / 2) return NULL;
    const size_t whole = n_bytes + 1;
    if (whole > TEXT_CHUNK_BYTES / 8) {             /* large ones on their own */
        char *text = arena_new(&b->catalog->arena, whole, 1);
        if (text && bytes && n_bytes) memcpy(text, bytes, n_bytes);
        return text;
    }
    if (b->text_left < whole) {
        char *chunk = arena_new(&b->catalog->arena, TEXT_CHUNK_BYTES, 1);
        if (!chunk) return NULL;
        b->text_at = chunk;
        b->text_left = TEXT_CHUNK_BYTES;
    }
    char *text = b->text_at;
    b->text_at += whole;
    b->text_left -= whole;
    if (bytes && n_bytes) memcpy(text, bytes, n_bytes);
    return text;
}

void *build_grow(Arena *arena, void *list, int64_t n, size_t each)
{
    if (n != 0 && (n < LIST_ROOM_MIN || (n & (n - 1)) != 0)) return list;
    void *bigger = arena_new(arena, n ? (size_t)n * 2 : LIST_ROOM_MIN, each);
    if (bigger && n) memcpy(bigger, list, (size_t)n * each);
    return bigger;
}

char *build_path(Build *b, const char *folder, const char *name)
{
    const size_t n = strlen(folder), n_name = strlen(name);
    char *path = build_text(b, NULL, n + 1 + n_name);
    if (!path) return NULL;
    memcpy(path, folder, n);
    path[n] = '/';
    memcpy(path + n + 1, name, n_name);
    return path;
}

Status build_open(const Build *b, const char *path, File *out, Error *error)
{
    if (b->memory) return file_open_memory(b->memory, out, error);
    return b->change ? file_open(path, out, error) : file_open_shared(path, out, error);
}

Status build_file(Build *b, const char *path, int *file, Error *error)
{
    Catalog *c = b->catalog;
    if (c->n_files >= CATALOG_FILES_MAX)
        return fail(error, UNSUPPORTED, "%s: expected at most %d files, found more", c->path,
                    CATALOG_FILES_MAX);
    File *files = build_grow(&c->arena, c->files, c->n_files, sizeof *files);
    if (!files) return fail_memory(error, path);
    c->files = files;
    File *next = &files[c->n_files];
    TRY(build_open(b, path, next, error));
    *file = c->n_files++;
    return OK;
}

bool build_name_ok(const char *name, size_t n_bytes, const char **why)
{
    *why = n_bytes == 0                   ? "an empty one"
           : n_bytes > NAME_BYTES_MAX     ? "one longer than 65535 bytes"
           : memchr(name, 0, n_bytes)     ? "one with a zero byte inside"
           : !utf8_valid(name, n_bytes)   ? "one that is not UTF-8"
                                          : NULL;
    return *why == NULL;
}

/* ---- tensors ---- */

static Status tensor_fail(const Build *b, const FileTensor *t, Error *error, const char *expected,
                          int64_t found)
{
    return fail(error, BAD_FILE, "%s: tensor '%.100s': expected %s, found %lld",
                b->catalog->files[t->file].path, t->name, expected, (long long)found);
}

/* Bytes of the whole tensor, from its shape and format. */
static Status measure(const Build *b, FileTensor *t, Error *error)
{
    const FormatInfo *info = &format_info[t->format];
    if (t->n_dims < 1 || t->n_dims > CATALOG_DIMS_MAX)
        return tensor_fail(b, t, error, "1 to 4 dimensions", t->n_dims);
    for (int i = t->n_dims; i < CATALOG_DIMS_MAX; i++) t->dims[i] = 1;
    int64_t rows = 1;
    for (int i = 0; i < t->n_dims; i++)
        if (t->dims[i] < 1) return tensor_fail(b, t, error, "dimensions of 1 or more", t->dims[i]);
    for (int i = 0; i + 1 < t->n_dims; i++)
        if (!checked_mul(rows, t->dims[i], &rows))
            return tensor_fail(b, t, error, "a shape whose product fits 63 bits; dimension",
                               t->dims[i]);
    const int64_t cols = t->dims[t->n_dims - 1];
    if (cols % info->block_values)
        return fail(
            error, BAD_FILE,
            "%s: tensor '%.100s': expected rows of whole %s blocks of %d, found rows of %lld",
            b->catalog->files[t->file].path, t->name, info->name, info->block_values,
            (long long)cols);
    int64_t row_bytes, values;          /* the count of values must fit too, not only the bytes */
    if (!checked_mul(cols / info->block_values, info->block_bytes, &row_bytes) ||
        !checked_mul(rows, row_bytes, &t->bytes) || !checked_mul(rows, cols, &values))
        return tensor_fail(b, t, error, "a shape whose product fits 63 bits; row length", cols);
    return OK;
}

/* The same name in two of Mistral's parts means that each has a slice for one of several
 * accelerators, and only the program that wrote them knows which way it was cut. */
static Status repeated(const Catalog *c, const FileTensor *t, Error *error)
{
    const FileTensor *other = catalog_tensor(c, t->name);
    if (c->source == SOURCE_MISTRAL && other && other->file != t->file)
        return fail(
            error, UNSUPPORTED,
            "%s: tensor '%.100s': expected all of it in one file, found a slice here and one in %s",
            c->files[t->file].path, t->name, c->files[other->file].path);
    return fail(error, BAD_FILE, "%s: tensor '%.100s': expected one of this name, found a second",
                c->files[t->file].path, t->name);
}

Status build_tensor(Build *b, FileTensor *t, Error *error)
{
    Catalog *c = b->catalog;
    const File *file = &c->files[t->file];
    TRY(measure(b, t, error));
    if (t->offset < 0 ||
        !range_inside((uint64_t)t->offset, (uint64_t)t->bytes, (uint64_t)file->n_bytes))
        return fail(
            error, BAD_FILE,
            "%s: tensor '%.100s': expected %lld bytes at byte %lld, found a file of %lld bytes",
            file->path, t->name, (long long)t->bytes, (long long)t->offset,
            (long long)file->n_bytes);
    if (c->n_tensors >= CATALOG_TENSORS_MAX)
        return fail(error, UNSUPPORTED, "%s: tensors: expected at most %d, found more", file->path,
                    CATALOG_TENSORS_MAX);

    bool existed = false;
    if (!map_put(&c->tensor_by_name, t->name, strlen(t->name), c->n_tensors, &existed))
        return fail_memory(error, "the tensor names");
    if (existed) return repeated(c, t, error);
    FileTensor *tensors = build_grow(&c->arena, c->tensors, c->n_tensors, sizeof *tensors);
    if (!tensors) return fail_memory(error, "the tensor table");
    c->tensors = tensors;
    tensors[c->n_tensors++] = *t;
    return OK;
}

static int by_offset(const void *a, const void *b)
{
    const FileTensor *l = *(const FileTensor *const *)a, *r = *(const FileTensor *const *)b;
    return (l->offset > r->offset) - (l->offset < r->offset);
}

static Status check_neighbours(const Build *b, const FileTensor *const *sorted, int64_t n,
                               bool tight, int64_t data_begin, int file, Error *error)
{
    int64_t end = data_begin;
    for (int64_t i = 0; i < n; i++) {
        const FileTensor *t = sorted[i];
        if (t->offset < end) {
            const char *other = i ? sorted[i - 1]->name : "the header";
            return fail(
                error, BAD_FILE,
                "%s: tensor '%.100s': expected bytes of its own, found them to overlap '%.100s'",
                b->catalog->files[t->file].path, t->name, other);
        }
        if (tight && t->offset != end)
            return tensor_fail(b, t, error, "no hole before its data, one ends at byte", end);
        end = t->offset + t->bytes;
    }
    if (tight && end != b->catalog->files[file].n_bytes)
        return fail(error, BAD_FILE,
                    "%s: data: expected tensors to end with the file at byte %lld, found %lld",
                    b->catalog->files[file].path, (long long)b->catalog->files[file].n_bytes,
                    (long long)end);
    return OK;
}

Status build_check_layout(const Build *b, int64_t first, int file, bool tight, int64_t data_begin,
                          Error *error)
{
    const Catalog *c = b->catalog;
    const int64_t n = c->n_tensors - first;
    const FileTensor **sorted = malloc((size_t)(n + 1) * sizeof *sorted);
    if (!sorted) return fail_memory(error, "the tensor table");
    for (int64_t i = 0; i < n; i++) sorted[i] = &c->tensors[first + i];
    qsort(sorted, (size_t)n, sizeof *sorted, by_offset);
    const Status status = check_neighbours(b, sorted, n, tight, data_begin, file, error);
    free(sorted);
    return status;
}

/* ---- settings ---- */

Status build_setting(Build *b, const Setting *setting, const char *path, Error *error)
{
    Catalog *c = b->catalog;
    if (c->n_settings >= CATALOG_SETTINGS_MAX)
        return fail(error, UNSUPPORTED, "%s: keys: expected at most %d, found more", path,
                    CATALOG_SETTINGS_MAX);
    bool existed = false;
    if (!map_put(&c->setting_by_key, setting->key, strlen(setting->key), c->n_settings, &existed))
        return fail_memory(error, "the keys");
    if (existed)
        return fail(error, BAD_FILE, "%s: key '%.100s': expected one of this name, found a second",
                    path, setting->key);
    Setting *settings = build_grow(&c->arena, c->settings, c->n_settings, sizeof *settings);
    if (!settings) return fail_memory(error, "the keys");
    c->settings = settings;
    settings[c->n_settings++] = *setting;
    return OK;
}
