/* SPDX-License-Identifier: Apache-2.0
 * file/safetensors.c - tensors of a .safetensors file, and of many that share an index.
 *
 * A file is 8 bytes of header length, a JSON header, and data that the tensors cover without holes
 * or overlaps.  Source: the safetensors format description (huggingface/safetensors, README). */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "file/build.h"
#include "file/json.h"

enum {
    HEADER_BYTES_MAX = 100000000,           /* the reference library's own limit             */
    INDEX_BYTES_MAX  = 128 << 20
};

typedef struct Place { const char *path; int file; int64_t data_begin; } Place;

/* ---- one file ---- */

static Status bad_entry(const Place *at, const char *name, const char *expected,
                        const json_t *found, Error *error)
{
    return fail(error, BAD_FILE, "%s: tensor '%.100s': expected %s, found %s", at->path, name,
                expected, json_kind(found));
}

static Status take_dtype(const Place *at, const char *name, const json_t *entry, Format *format,
                         Error *error)
{
    static const struct {
        const char *dtype;
        Format format;
    } rows[] = {{"F32", F32}, {"F16", F16}, {"BF16", BF16}};
    const json_t *dtype = json_object_get(entry, "dtype");
    if (!json_is_string(dtype)) return bad_entry(at, name, "a dtype", dtype, error);
    for (int i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(json_string_value(dtype), rows[i].dtype) != 0) continue;
        *format = rows[i].format;
        return OK;
    }
    return fail(error, UNSUPPORTED,
                "%s: tensor '%.100s': expected dtype F32, F16 or BF16, found '%.30s'", at->path,
                name, json_string_value(dtype));
}

static Status take_shape(const Place *at, const char *name, const json_t *entry, FileTensor *t,
                         Error *error)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape)) return bad_entry(at, name, "a shape", shape, error);
    const size_t n = json_array_size(shape);
    if (n > CATALOG_DIMS_MAX)
        return fail(error, BAD_FILE,
                    "%s: tensor '%.100s': expected at most %d dimensions, found %zu", at->path,
                    name, CATALOG_DIMS_MAX, n);
    t->n_dims = n ? (int)n : 1;             /* a scalar is a row of one */
    t->dims[0] = 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim))
            return bad_entry(at, name, "dimensions that are integers", dim, error);
        t->dims[i] = json_integer_value(dim);
    }
    return OK;
}

static Status take_offsets(const Place *at, const char *name, const json_t *entry, int64_t *begin,
                           int64_t *end, Error *error)
{
    const json_t *pair = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(pair, 0), *second = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_integer(first) || !json_is_integer(second))
        return bad_entry(at, name, "data_offsets of two integers", pair, error);
    *begin = json_integer_value(first);
    *end = json_integer_value(second);
    if (*begin >= 0 && *end >= *begin) return OK;
    return fail(error, BAD_FILE,
                "%s: tensor '%.100s': expected data_offsets that rise from 0, found [%lld, %lld]",
                at->path, name, (long long)*begin, (long long)*end);
}

static Status add_entry(Build *b, const Place *at, const char *name, const json_t *entry,
                        Error *error)
{
    FileTensor t = { .file = at->file };
    int64_t begin = 0, end = 0;
    const char *why;
    if (!build_name_ok(name, strlen(name), &why))
        return fail(error, BAD_FILE, "%s: tensor names: expected a name, found %s", at->path, why);
    if (!json_is_object(entry)) return bad_entry(at, name, "an object", entry, error);
    TRY(take_dtype(at, name, entry, &t.format, error));
    TRY(take_shape(at, name, entry, &t, error));
    TRY(take_offsets(at, name, entry, &begin, &end, error));
    if (!checked_add(at->data_begin, begin, &t.offset))
        return fail(error, BAD_FILE,
                    "%s: tensor '%.100s': expected data within the file, found offset %lld",
                    at->path, name, (long long)begin);
    t.name = build_text(b, name, strlen(name));
    if (!t.name) return fail_memory(error, at->path);
    TRY(build_tensor(b, &t, error));
    if (end - begin == t.bytes) return OK;
    return fail(error, BAD_FILE,
                "%s: tensor '%.100s': expected %lld bytes for its shape and dtype, found %lld",
                at->path, name, (long long)t.bytes, (long long)(end - begin));
}

static Status add_header(Build *b, const Place *at, const json_t *root, Error *error)
{
    const int64_t first = b->catalog->n_tensors;
    const char *name;
    json_t *entry;
    json_object_foreach((json_t *)root, name, entry) {
        if (strcmp(name, "__metadata__") != 0) TRY(add_entry(b, at, name, entry, error));
        else if (!json_is_object(entry)) return bad_entry(at, name, "an object", entry, error);
    }
    return build_check_layout(b, first, at->file, true, at->data_begin, error);
}

/* The header's text, freed by the caller; its length was compared with the file before. */
static Status read_header(const File *file, char **text, size_t *n_bytes, Error *error)
{
    uint64_t n;
    if (file->n_bytes < (int64_t)sizeof n)
        return fail(error, BAD_FILE, "%s: header: expected 8 bytes of length, found a file of %lld",
                    file->path, (long long)file->n_bytes);
    TRY(file_read(file, 0, &n, sizeof n, error));
    if (n > HEADER_BYTES_MAX || n > (uint64_t)file->n_bytes - sizeof n)
        return fail(error, BAD_FILE, "%s: header: expected a length of at most %lld, found %llu",
                    file->path,
                    file->n_bytes - 8 < HEADER_BYTES_MAX ? (long long)file->n_bytes - 8
                                                         : (long long)HEADER_BYTES_MAX,
                    (unsigned long long)n);
    if (!(*text = malloc((size_t)n + 1))) return fail_memory(error, file->path);
    *n_bytes = (size_t)n;
    const Status status = file_read(file, sizeof n, *text, (size_t)n, error);
    if (status == OK && n && **text == '{') return OK;
    free(*text);
    if (status != OK) return status;
    return fail(error, BAD_FILE, "%s: header: expected '{' at byte 8, found something else",
                file->path);
}

/* A pointer, a page, a pickle under the name of a weight file. */
static Status refuse_foreign(const File *file, Error *error)
{
    uint8_t head[512];
    const size_t n = file->n_bytes < (int64_t)sizeof head ? (size_t)file->n_bytes : sizeof head;
    TRY(file_read(file, 0, head, n, error));
    const char *kind = n >= 9 && head[8] == '{' ? NULL : foreign_kind(head, n);
    return kind ? fail(error, BAD_FILE, "%s: expected safetensors, found %s", file->path, kind)
                : OK;
}

Status safetensors_read(Build *b, const char *path, Error *error)
{
    Place at = { .path = path };
    TRY(build_file(b, path, &at.file, error));
    const File *file = &b->catalog->files[at.file];
    char *text = NULL;
    size_t n_bytes = 0;
    json_t *root;
    TRY(refuse_foreign(file, error));
    TRY(read_header(file, &text, &n_bytes, error));
    at.data_begin = 8 + (int64_t)n_bytes;
    Status status = json_text(text, n_bytes, path, &root, error);
    free(text);
    TRY(status);
    status = add_header(b, &at, root, error);
    json_decref(root);
    return status;
}

/* ---- many files ---- */

/* Only a plain name: an index must not lead out of its folder. */
static bool plain_name(const char *name)
{
    return *name && *name != '.' && !strchr(name, '/') && !strchr(name, '\\');
}

static Status read_shard_once(Build *b, const char *folder, const char *index, const char *shard,
                              Map *seen, Error *error)
{
    bool existed = false;
    if (!plain_name(shard))
        return fail(
            error, BAD_FILE,
            "%s: weight_map: expected the name of a file in the same folder, found '%.100s'", index,
            shard);
    if (!map_put(seen, shard, strlen(shard), b->catalog->n_files, &existed))
        return fail_memory(error, index);
    if (existed) return OK;
    const char *path = build_path(b, folder, shard);
    if (!path) return fail_memory(error, index);
    return safetensors_read(b, path, error);
}

static Status read_shards(Build *b, const char *folder, const char *index, const json_t *weights,
                          Map *seen, Error *error)
{
    const char *name;
    json_t *shard;
    json_object_foreach((json_t *)weights, name, shard) {
        if (!json_is_string(shard))
            return fail(error, BAD_FILE, "%s: tensor '%.100s': expected a file name, found %s",
                        index, name, json_kind(shard));
        TRY(read_shard_once(b, folder, index, json_string_value(shard), seen, error));
    }
    json_object_foreach((json_t *)weights, name, shard) {
        const char *file = json_string_value(shard);
        const FileTensor *t = catalog_tensor(b->catalog, name);
        if (!t || t->file != map_get(seen, file, strlen(file), -1))
            return fail(error, BAD_FILE,
                        "%s: tensor '%.100s': expected it in '%.100s', found it %s", index, name,
                        file, t ? "elsewhere" : "nowhere");
    }
    return OK;
}

Status safetensors_index_read(Build *b, const char *folder, const char *index_name, Error *error)
{
    const char *index = build_path(b, folder, index_name);
    json_t *root;
    if (!index) return fail_memory(error, index_name);
    TRY(json_file(index, INDEX_BYTES_MAX, &root, error));
    const json_t *weights = json_object_get(root, "weight_map");
    Map seen = { 0 };
    const Status status =
        json_is_object(weights)
            ? read_shards(b, folder, index, weights, &seen, error)
            : fail(error, BAD_FILE, "%s: weight_map: expected an object, found %s", index,
                   json_kind(weights));
    map_free(&seen);
    json_decref(root);
    return status;
}
