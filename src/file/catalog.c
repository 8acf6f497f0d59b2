/* SPDX-License-Identifier: Apache-2.0
 * file/catalog.c - which reader a path needs, and what can be asked of a catalog afterwards. */
#include "file/catalog.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "file/packed_parts.h"

enum { HEAD_BYTES = 512 };

/* The reader for a plain file is chosen by its first bytes, never by its name: names lie. */
static Status open_file(Build *b, const char *path, Error *error)
{
    uint8_t head[HEAD_BYTES];
    File file;
    TRY(build_open(b, path, &file, error));
    const size_t n = file.n_bytes < HEAD_BYTES ? (size_t)file.n_bytes : HEAD_BYTES;
    const Status status = file_read(&file, 0, head, n, error);
    file_close(&file);
    TRY(status);

    if (n >= 4 && memcmp(head, "GGUF", 4) == 0) return gguf_read(b, path, error);
    if (n >= sizeof packed_magic && memcmp(head, packed_magic, sizeof packed_magic) == 0)
        return packed_open(b, path, error);
    const char *kind = foreign_kind(head, n);
    if (kind) return fail(error, BAD_FILE, "%s: expected a model, found %s", path, kind);
    return tokenizer_file_read(b, path, error);
}

/* Of the formats we read, only GGUF is a whole model in one file, packed or not. */
static Status open_memory(Build *b, Error *error)
{
    const Memory *m = b->memory;
    b->catalog->in_memory = true;
    if (m->bytes && m->n_bytes < 4)
        return fail(error, BAD_FILE, "%s: expected a GGUF file in memory, found %zu bytes", m->name, m->n_bytes);
    if (m->bytes && m->n_bytes >= sizeof packed_magic && memcmp(m->bytes, packed_magic, sizeof packed_magic) == 0)
        return packed_open(b, m->name, error);
    if (m->bytes && memcmp(m->bytes, "GGUF", 4) != 0) {
        const char *kind = foreign_kind(m->bytes, m->n_bytes < HEAD_BYTES ? m->n_bytes : HEAD_BYTES);
        return fail(error, BAD_FILE, "%s: expected a GGUF file in memory, found %s", m->name,
                    kind ? kind : "something else");
    }
    return gguf_read(b, m->name, error);
}

static Status open_disk(Build *b, const char *path, Error *error)
{
    struct stat info;
    const bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    return folder ? folder_read(b, path, error) : open_file(b, path, error);
}

Status catalog_open(const char *path, Catalog *out, Error *error)
{
    return catalog_open_with(NULL, path, out, error);
}

static Status open_any(const Memory *memory, const char *path, bool change, Catalog *out, Error *error)
{
    *out = (Catalog){ .vocab = { .bos = -1, .eos = -1, .unknown = -1 } };
    Build build = { .catalog = out, .change = change };
    if (memory && memory->name && strcmp(memory->name, path) == 0) build.memory = memory;
    out->path = build_text(&build, path, strlen(path));
    if (!out->path) {
        catalog_close(out);
        return fail_memory(error, path);
    }
    const Status status = build.memory ? open_memory(&build, error) : open_disk(&build, path, error);
    if (status != OK) catalog_close(out);
    return status;
}

Status catalog_open_with(const Memory *memory, const char *path, Catalog *out, Error *error)
{
    return open_any(memory, path, false, out, error);
}

Status catalog_open_change(const char *path, Catalog *out, Error *error)
{
    return open_any(NULL, path, true, out, error);
}

void catalog_close(Catalog *c)
{
    if (c->packed) file_close(&c->packed->file);
    for (int i = 0; i < c->n_files; i++) file_close(&c->files[i]);
    map_free(&c->tensor_by_name);
    map_free(&c->setting_by_key);
    arena_free(&c->arena);
    *c = (Catalog){ .vocab = { .bos = -1, .eos = -1, .unknown = -1 } };
}

const FileTensor *catalog_tensor(const Catalog *c, const char *name)
{
    const int64_t i = map_get(&c->tensor_by_name, name, strlen(name), -1);
    return i < 0 ? NULL : &c->tensors[i];
}

const Setting *catalog_setting(const Catalog *c, const char *key)
{
    const int64_t i = map_get(&c->setting_by_key, key, strlen(key), -1);
    return i < 0 ? NULL : &c->settings[i];
}

Status catalog_number(const Catalog *c, const char *key, double *out, bool *found, Error *error)
{
    static const char *const kinds[] = {"a boolean", "an integer", "an integer",
                                        "a number",  "text",       "an array"};
    const Setting *s = catalog_setting(c, key);
    *found = s != NULL;
    if (!s) return OK;
    switch (s->kind) {
    case SETTING_INT:   *out = (double)s->integer; return OK;
    case SETTING_UINT:  *out = (double)s->natural; return OK;
    case SETTING_FLOAT:
        if (!isfinite(s->real))
            return fail(error, BAD_FILE, "%s: key '%s': expected a finite number, found %g",
                        c->path, key, s->real);
        *out = s->real;
        return OK;
    default:
        return fail(error, BAD_FILE, "%s: key '%s': expected a number, found %s", c->path, key,
                    kinds[s->kind]);
    }
}

Status catalog_read(const Catalog *c, const FileTensor *t, int64_t begin, void *to, size_t n_bytes,
                    Error *error)
{
    if (begin < 0 || !range_inside((uint64_t)begin, n_bytes, (uint64_t)t->bytes))
        return fail(error, BAD_ARGUMENT,
                    "%s: tensor '%s': expected a range within its %lld bytes, found [%lld, +%llu)",
                    c->files[t->file].path, t->name, (long long)t->bytes, (long long)begin,
                    (unsigned long long)n_bytes);
    return file_read(&c->files[t->file], t->offset + begin, to, n_bytes, error);
}
