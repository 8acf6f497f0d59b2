/* SPDX-License-Identifier: Apache-2.0
 * file/adapter.c - see adapter.h. */
#include "file/adapter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char suffix_a[] = ".lora_a", suffix_b[] = ".lora_b";

enum { SUFFIX_BYTES = sizeof suffix_a - 1 };

/* ---- settings ---- */

static bool is_text(const Setting *s, const char *text)
{
    return s && s->kind == SETTING_TEXT && s->text.n_bytes == strlen(text) &&
           !memcmp(s->text.bytes, text, s->text.n_bytes);
}

/* Text without a zero in it, or NULL. */
static const char *plain_text(const Setting *s)
{
    return s && s->kind == SETTING_TEXT && strlen(s->text.bytes) == s->text.n_bytes ? s->text.bytes : NULL;
}

static Status check_kind(const AdapterFile *f, Error *error)
{
    const Catalog *c = &f->catalog;
    const Setting *type = catalog_setting(c, "general.type"), *of = catalog_setting(c, "adapter.type");
    if (c->source != SOURCE_GGUF || !is_text(type, "adapter"))
        return fail(error, BAD_FILE, "%s: expected an adapter, a GGUF file with general.type 'adapter', found %s",
                    c->path,
                    c->source != SOURCE_GGUF ? "no GGUF file" : plain_text(type) ? plain_text(type) : "a model");
    if (!is_text(of, "lora"))
        return fail(error, UNSUPPORTED, "%s: adapter.type: expected 'lora', found '%s'", c->path,
                    plain_text(of) ? plain_text(of) : "nothing");
    for (int64_t i = 0; i < c->n_settings; i++)
        if (!strncmp(c->settings[i].key, "adapter.alora.", 14))
            return fail(error, UNSUPPORTED, "%s: key '%s': adapters that wait for certain tokens are not supported",
                        c->path, c->settings[i].key);
    return OK;
}

static Status read_settings(AdapterFile *f, Error *error)
{
    bool found;
    TRY(check_kind(f, error));
    f->arch = plain_text(catalog_setting(&f->catalog, "general.architecture"));
    if (!f->arch)
        return fail(error, BAD_FILE, "%s: general.architecture: expected a text, found none", f->catalog.path);
    return catalog_number(&f->catalog, "adapter.lora.alpha", &f->alpha, &found, error);
}

/* ---- pairs ---- */

static bool ends(const char *name, const char *suffix)
{
    const size_t n = strlen(name);
    return n > SUFFIX_BYTES && !strcmp(name + n - SUFFIX_BYTES, suffix);
}

/* The tensor that has the other suffix. */
static Status other_half(const AdapterFile *f, const FileTensor *half, const char *suffix, const FileTensor **out,
                         Error *error)
{
    const size_t n = strlen(half->name);
    char *name = malloc(n + 1);
    if (!name) return fail_memory(error, "an adapter");
    memcpy(name, half->name, n - SUFFIX_BYTES);
    memcpy(name + n - SUFFIX_BYTES, suffix, SUFFIX_BYTES + 1);
    *out = catalog_tensor(&f->catalog, name);
    const Status status = *out ? OK
                               : fail(error, BAD_FILE, "%s: tensor '%s': expected '%s' beside it, found none",
                                      f->catalog.path, half->name, name);
    free(name);
    return status;
}

static Status check_halves(const AdapterFile *f, const FileTensor *a, const FileTensor *b, Error *error)
{
    const char *path = f->catalog.path;
    if ((a->n_dims != 2 && a->n_dims != 3) || a->n_dims != b->n_dims)
        return fail(error, BAD_FILE,
                    "%s: tensors '%s' and its other half: expected 2 or 3 dimensions of both, found %d and %d", path,
                    a->name, a->n_dims, b->n_dims);
    const int last = a->n_dims - 1;
    if (a->dims[last - 1] != b->dims[last])
        return fail(error, BAD_FILE, "%s: tensor '%s': expected rank %lld as its other half has it, found %lld", path,
                    a->name, (long long)b->dims[last], (long long)a->dims[last - 1]);
    if (a->dims[last - 1] < 1 || a->dims[last - 1] > ADAPTER_RANK_MAX)
        return fail(error, BAD_FILE, "%s: tensor '%s': expected a rank of 1 to %d, found %lld", path, a->name,
                    ADAPTER_RANK_MAX, (long long)a->dims[last - 1]);
    if (last == 2 && a->dims[0] != b->dims[0])
        return fail(error, BAD_FILE, "%s: tensor '%s': expected %lld experts as in its other half, found %lld", path,
                    a->name, (long long)b->dims[0], (long long)a->dims[0]);
    return OK;
}

static Status add_pair(AdapterFile *f, const FileTensor *a, Error *error)
{
    const FileTensor *b;
    TRY(other_half(f, a, suffix_b, &b, error));
    TRY(check_halves(f, a, b, error));
    const char *name = arena_text(&f->arena, a->name, strlen(a->name) - SUFFIX_BYTES);
    if (!name) return fail_memory(error, "an adapter");
    const int last = a->n_dims - 1;
    f->pairs[f->n++] = (AdapterPair){
        .name = name,
        .a = a,
        .b = b,
        .n_experts = last == 2 ? a->dims[0] : 0,
        .rows = b->dims[last - 1],
        .cols = a->dims[last],
        .rank = a->dims[last - 1],
    };
    return OK;
}

static Status read_pairs(AdapterFile *f, Error *error)
{
    const Catalog *c = &f->catalog;
    f->pairs = arena_new(&f->arena, (size_t)c->n_tensors / 2 + 1, sizeof *f->pairs);
    if (!f->pairs) return fail_memory(error, "an adapter");
    for (int64_t i = 0; i < c->n_tensors; i++) {
        const FileTensor *t = &c->tensors[i], *a;
        if (ends(t->name, suffix_a)) {
            TRY(add_pair(f, t, error));
        } else if (ends(t->name, suffix_b)) {
            TRY(other_half(f, t, suffix_a, &a, error));
        } else {
            return fail(error, UNSUPPORTED, "%s: tensor '%s': expected a name that ends in %s or %s", c->path, t->name,
                        suffix_a, suffix_b);
        }
    }
    return f->n ? OK : fail(error, BAD_FILE, "%s: expected at least one pair of tensors, found none", c->path);
}

Status adapter_open(const char *path, AdapterFile *out, Error *error)
{
    *out = (AdapterFile){ .n = 0 };
    TRY(catalog_open(path, &out->catalog, error));
    TRY(read_settings(out, error));
    return read_pairs(out, error);
}

void adapter_close(AdapterFile *f)
{
    catalog_close(&f->catalog);
    arena_free(&f->arena);
    *f = (AdapterFile){ .n = 0 };
}

/* ---- numbers ---- */

double adapter_scale(const AdapterFile *f, const AdapterPair *pair, double given)
{
    return f->alpha == 0.0 ? given : given * f->alpha / (double)pair->rank;
}

Status adapter_read(const AdapterFile *f, const AdapterPair *pair, const FileTensor *half, int64_t expert, float *to,
                    Error *error)
{
    const int64_t rows = half == pair->a ? pair->rank : pair->rows, cols = half == pair->a ? pair->cols : pair->rank;
    const int64_t n = rows * cols, bytes = rows * format_row_bytes(half->format, cols);
    void *stored = malloc((size_t)bytes);
    if (!stored) return fail_memory(error, half->name);
    Status status = catalog_read(&f->catalog, half, pair->n_experts ? expert * bytes : 0, stored, (size_t)bytes, error);
    if (status == OK) format_info[half->format].decode(to, stored, (size_t)n);
    for (int64_t i = 0; i < n && status == OK; i++)
        if (!isfinite(to[i]))
            status = fail(error, BAD_FILE, "%s: tensor '%s': expected finite numbers, found %g", f->catalog.path,
                          half->name, (double)to[i]);
    free(stored);
    return status;
}
