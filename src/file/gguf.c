/* SPDX-License-Identifier: Apache-2.0
 * file/gguf.c - the frame of a GGUF file: header, tensor table, and files split in parts.
 *
 * Source: the GGUF specification (ggml, docs/gguf.md), versions 2 and 3; see docs/format/gguf.md.
 * Nothing is mapped and no tensor data is read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/gguf.h"

enum {
    HEADER_BYTES_MAX    = 512 << 20,        /* a sparse terabyte must not be walked          */
    ALIGNMENT_DEFAULT   = 32,
    ALIGNMENT_MAX       = 1 << 20,
    NUMBERS_KEPT_MAX    = 1 << 20,          /* array elements per model, 8 MB                */
    KEY_BYTES_MIN       = 8 + 1 + 4 + 1,
    TENSOR_BYTES_MIN    = 8 + 1 + 4 + 8 + 4 + 8,
    SPLIT_SUFFIX_BYTES  = sizeof "-00001-of-00002.gguf" - 1
};

/* ---- header ---- */

static Status read_version(Gguf *g, Error *error)
{
    uint32_t version;
    TRY(stream_u32(&g->stream, &version, error));
    if (version == 2 || version == 3) {
        g->version = version;
        return OK;
    }
    const uint32_t swapped = __builtin_bswap32(version);
    if (swapped >= 1 && swapped <= 3)
        return stream_fail(&g->stream, UNSUPPORTED, error,
                           "expected a little-endian GGUF file, found a big-endian one");
    return stream_fail(&g->stream, UNSUPPORTED, error,
                       "expected GGUF version 2 or 3, found version %u", version);
}

static Status read_header(Gguf *g, Error *error)
{
    Stream *s = &g->stream;
    char magic[4];
    TRY(stream_take(s, magic, sizeof magic, error));
    if (memcmp(magic, "GGUF", sizeof magic) != 0)
        return stream_fail(s, BAD_FILE, error, "expected 'GGUF' at byte 0, found something else");
    TRY(read_version(g, error));
    TRY(stream_u64(s, &g->n_tensors, error));
    TRY(stream_u64(s, &g->n_keys, error));
    if (g->n_keys > CATALOG_SETTINGS_MAX)
        return stream_fail(s, BAD_FILE, error, "expected at most %d keys, found %llu",
                           CATALOG_SETTINGS_MAX, (unsigned long long)g->n_keys);
    if (g->n_tensors > CATALOG_TENSORS_MAX)
        return stream_fail(s, BAD_FILE, error, "expected at most %d tensors, found %llu",
                           CATALOG_TENSORS_MAX, (unsigned long long)g->n_tensors);
    TRY(stream_fits(s, g->n_keys, KEY_BYTES_MIN, error));
    return stream_fits(s, g->n_tensors, TENSOR_BYTES_MIN, error);
}

static Status read_keys(Gguf *g, Error *error)
{
    for (uint64_t i = 0; i < g->n_keys; i++) {
        stream_thing(&g->stream, "key", NULL, (int64_t)i);
        TRY(gguf_key(g, error));
    }
    const int64_t a = g->alignment;
    if (a >= 1 && a <= ALIGNMENT_MAX && (a & (a - 1)) == 0) return OK;
    stream_thing(&g->stream, "key", "general.alignment", 0);
    return stream_fail(&g->stream, BAD_FILE, error, "expected a power of two up to %d, found %lld",
                       ALIGNMENT_MAX, (long long)a);
}

/* ---- tensor table ---- */

static Status read_format(Gguf *g, Format *format, Error *error)
{
    uint32_t id;
    TRY(stream_u32(&g->stream, &id, error));
    if (format_from_gguf(id, format)) return OK;
    const char *name = gguf_type_name(id);
    if (name)
        return stream_fail(&g->stream, UNSUPPORTED, error,
                           "expected F32, F16, BF16, Q4_0 to Q8_0 or Q2_K to Q6_K, found type %s",
                           name);
    return stream_fail(&g->stream, BAD_FILE, error, "expected a known tensor type, found type %u",
                       id);
}

/* GGUF writes the innermost dimension first, the catalog keeps the outermost first. */
static Status read_shape(Gguf *g, FileTensor *t, Error *error)
{
    uint32_t n_dims;
    TRY(stream_u32(&g->stream, &n_dims, error));
    if (n_dims < 1 || n_dims > CATALOG_DIMS_MAX)
        return stream_fail(&g->stream, BAD_FILE, error, "expected 1 to %d dimensions, found %u",
                           CATALOG_DIMS_MAX, n_dims);
    t->n_dims = (int)n_dims;
    for (int i = t->n_dims - 1; i >= 0; i--) {
        uint64_t n;
        TRY(stream_u64(&g->stream, &n, error));
        if (n < 1 || n > INT64_MAX)
            return stream_fail(&g->stream, BAD_FILE, error,
                               "expected dimensions of 1 or more, found %llu",
                               (unsigned long long)n);
        t->dims[i] = (int64_t)n;
    }
    return OK;
}

/* The offset is still relative to the data, whose begin is known only after the last entry. */
static Status read_tensor(Gguf *g, FileTensor *t, Error *error)
{
    char *name;
    size_t n_bytes;
    const char *why;
    uint64_t offset;
    TRY(gguf_text(g, NAME_BYTES_MAX, &name, &n_bytes, error));
    if (!build_name_ok(name, n_bytes, &why))
        return stream_fail(&g->stream, BAD_FILE, error, "expected a name, found %s", why);
    t->name = name;
    t->file = g->file;
    stream_thing(&g->stream, "tensor", name, 0);
    TRY(read_shape(g, t, error));
    TRY(read_format(g, &t->format, error));
    TRY(stream_u64(&g->stream, &offset, error));
    if (offset % (uint64_t)g->alignment)
        return stream_fail(&g->stream, BAD_FILE, error,
                           "expected an offset that is a multiple of %lld, found %llu",
                           (long long)g->alignment, (unsigned long long)offset);
    if (offset > (uint64_t)g->stream.file->n_bytes)
        return stream_fail(&g->stream, BAD_FILE, error,
                           "expected data within the file's %lld bytes, found offset %llu",
                           (long long)g->stream.file->n_bytes, (unsigned long long)offset);
    t->offset = (int64_t)offset;
    return OK;
}

static Status read_table(Gguf *g, FileTensor *table, Error *error)
{
    const int64_t n = (int64_t)g->n_tensors, first = g->build->catalog->n_tensors;
    for (int64_t i = 0; i < n; i++) {
        stream_thing(&g->stream, "tensor", NULL, i);
        TRY(read_tensor(g, &table[i], error));
    }
    const int64_t data_begin = (g->stream.at + g->alignment - 1) / g->alignment * g->alignment;
    for (int64_t i = 0; i < n; i++) {
        table[i].offset += data_begin;
        TRY(build_tensor(g->build, &table[i], error));
    }
    return build_check_layout(g->build, first, g->file, false, data_begin, error);
}

static Status read_tensors(Gguf *g, Error *error)
{
    /* The count was compared with the bytes of the file and with CATALOG_TENSORS_MAX. */
    FileTensor *table = calloc((size_t)g->n_tensors + 1, sizeof *table);
    if (!table) return fail_memory(error, "the tensor table");
    const Status status = read_table(g, table, error);
    free(table);
    return status;
}

/* ---- parts ---- */

static Status read_part(Gguf *g, const char *path, Error *error)
{
    if (g->build->catalog->packed) g->file = g->part;
    else TRY(build_file(g->build, path, &g->file, error));
    stream_begin(&g->stream, &g->build->catalog->files[g->file], HEADER_BYTES_MAX);
    TRY(read_header(g, error));
    TRY(read_keys(g, error));
    TRY(read_tensors(g, error));
    return g->part == 0 ? gguf_vocab_finish(g, error) : OK;
}

static bool five_digits(const char *text, int *out)
{
    *out = 0;
    for (int i = 0; i < 5; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        *out = *out * 10 + (text[i] - '0');
    }
    return true;
}

/* "prefix-00002-of-00005.gguf": which part of how many?  Counts from 1. */
static bool split_name(const char *path, size_t *prefix_bytes, int *no, int *count)
{
    const size_t n = strlen(path);
    if (n <= SPLIT_SUFFIX_BYTES) return false;
    const char *suffix = path + n - SPLIT_SUFFIX_BYTES;
    *prefix_bytes = n - SPLIT_SUFFIX_BYTES;
    return suffix[0] == '-' && five_digits(suffix + 1, no) && strncmp(suffix + 6, "-of-", 4) == 0 &&
           five_digits(suffix + 10, count) && strcmp(suffix + 15, ".gguf") == 0 && *no >= 1 &&
           *no <= *count;
}

/* `from`: what says which part of how many it is. */
static Status check_part(const Gguf *g, const char *path, const char *from, int part, int count, Error *error)
{
    if (g->split_count != count)
        return fail(error, BAD_FILE, "%s: key 'split.count': expected %d as in %s, found %lld", path, count, from,
                    (long long)g->split_count);
    if (g->split_no != part)
        return fail(error, BAD_FILE, "%s: key 'split.no': expected %d as in %s, found %lld", path, part, from,
                    (long long)g->split_no);
    return OK;
}

/* Reads part `part` into *g, which is reused: keys of the part before are gone. */
static Status next_part(Gguf *g, Build *b, const char *path, int part, int64_t numbers_left,
                        Error *error)
{
    *g = (Gguf){
        .build = b,
        .part = part,
        .alignment = ALIGNMENT_DEFAULT,
        .split_no = -1,
        .split_count = -1,
        .split_tensors = -1,
        .numbers_left = numbers_left,
        .vocab = {
            .n_pieces = -1, .n_scores = -1, .n_types = -1, .n_merges = -1, .charsmap_bytes = -1}};
    const Status status = read_part(g, path, error);
    map_free(&g->keys);
    return status;
}

static void name_part(char *name, size_t prefix_bytes, int part, int count)
{
    snprintf(name + prefix_bytes, SPLIT_SUFFIX_BYTES + 1, "-%05u-of-%05u.gguf", (unsigned)(part + 1) % 100000u,
             (unsigned)count % 100000u);
}

char *gguf_part_path(const char *path, int part, int *count)
{
    size_t prefix_bytes = 0;
    int no;
    char *name = strdup(path);
    if (!split_name(path, &prefix_bytes, &no, count)) *count = 1;
    else if (name) name_part(name, prefix_bytes, part, *count);
    return name;
}

/* prefix_bytes 0: the files are open, and not called so. */
static Status read_split(Gguf *g, Build *b, const char *path, size_t prefix_bytes, int count,
                         Error *error)
{
    Catalog *c = b->catalog;
    char *name = build_text(b, path, strlen(path));
    if (!name) return fail_memory(error, path);
    int64_t n_promised = -1;
    for (int part = 0; part < count; part++) {
        if (prefix_bytes) name_part(name, prefix_bytes, part, count);
        TRY(next_part(g, b, name, part, part ? 0 : NUMBERS_KEPT_MAX, error));
        TRY(check_part(g, name, prefix_bytes ? "the file's name" : "the packed file", part, count, error));
        if (part == 0) c->gguf_version = (int)g->version;
        if (part == 0) n_promised = g->split_tensors;
    }
    if (n_promised >= 0 && n_promised != c->n_tensors)
        return fail(error, BAD_FILE,
                    "%s: key 'split.tensors.count': expected %lld tensors in all parts, found %lld",
                    c->path, (long long)n_promised, (long long)c->n_tensors);
    return OK;
}

static Status read_one(Gguf *g, Build *b, const char *path, Error *error)
{
    TRY(next_part(g, b, path, 0, NUMBERS_KEPT_MAX, error));
    b->catalog->gguf_version = (int)g->version;
    if (g->split_count > 1)
        return fail(error, BAD_FILE,
                    "%s: key 'split.count': expected 1 or a file name like "
                    "model-00001-of-%05lld.gguf, found %lld",
                    path, (long long)g->split_count % 100000, (long long)g->split_count);
    return OK;
}

static Status read_any(Gguf *g, Build *b, const char *path, Error *error)
{
    size_t prefix_bytes;
    int no, count;
    if (!b->memory && split_name(path, &prefix_bytes, &no, &count) && count > 1)
        return read_split(g, b, path, prefix_bytes, count, error);
    return read_one(g, b, path, error);
}

static Status read_parts(Gguf *g, Build *b, const char *path, Error *error)
{
    const int count = b->catalog->n_files;
    return count > 1 ? read_split(g, b, path, 0, count, error) : read_one(g, b, path, error);
}

typedef Status (*Reader)(Gguf *g, Build *b, const char *path, Error *error);

static Status read_with(Reader reader, Build *b, const char *path, Error *error)
{
    Gguf *g = malloc(sizeof *g);            /* its buffer is large for a stack */
    if (!g) return fail_memory(error, path);
    b->catalog->source = SOURCE_GGUF;
    const Status status = reader(g, b, path, error);
    free(g);
    return status;
}

Status gguf_read(Build *b, const char *path, Error *error)
{
    return read_with(read_any, b, path, error);
}

Status gguf_read_parts(Build *b, const char *path, Error *error)
{
    return read_with(read_parts, b, path, error);
}
