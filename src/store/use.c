/* SPDX-License-Identifier: Apache-2.0
 * store/use.c - see use.h, and docs/format/use.md for the file. */
#include "store/use.h"

#include "base/checked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEAD_BYTES   = 48,
    DIGEST_BYTES = 8,
    FILE_MAX     = HEAD_BYTES + 4 * USE_LAYERS_MAX * USE_EXPERTS_MAX + DIGEST_BYTES,
    N_SAMPLES    = 16,                  /* tensors looked into                             */
    SAMPLE_BYTES = 64
};

static const char magic[8] = { 'M', 'I', 'X', 'T', 'U', 'S', 'E', '1' };
static const double sum_off = 1e-3;     /* a layer's shares: E <= 1024 roundings of 2^-24  */

static const uint64_t mix_start = 0xcbf29ce484222325u;

/* Source: Fowler, Noll, Vo; FNV-1a, 64 bits. */
static uint64_t mix(uint64_t h, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < n; i++) h = (h ^ at[i]) * 0x100000001b3u;
    return h;
}

/* ---- whose it is ---- */

Status use_mark(const Catalog *catalog, uint64_t *out, Error *error)
{
    uint64_t h = mix_start;
    const int64_t n = catalog->n_tensors, stride = n / N_SAMPLES + 1;
    for (int64_t i = 0; i < n; i++) {
        const FileTensor *t = &catalog->tensors[i];
        const int64_t format = (int64_t)t->format;
        h = mix(h, t->name, strlen(t->name) + 1);
        h = mix(h, &format, sizeof format);
        h = mix(h, t->dims, sizeof t->dims);
        if (i % stride || t->bytes < SAMPLE_BYTES) continue;
        uint8_t sample[SAMPLE_BYTES];
        TRY(catalog_read(catalog, t, t->bytes / 2 - SAMPLE_BYTES / 2, sample, sizeof sample, error));
        h = mix(h, sample, sizeof sample);
    }
    *out = h;
    return OK;
}

/* ---- in memory ---- */

Status use_new(uint64_t model, int n_layers, int n_experts, Use *out, Error *error)
{
    *out = (Use){ .model = model, .n_layers = n_layers, .n_experts = n_experts };
    if (n_layers < 1 || n_layers > USE_LAYERS_MAX || n_experts < 1 || n_experts > USE_EXPERTS_MAX)
        return fail(error, BAD_ARGUMENT, "use: expected at most %d layers of %d experts, found %d of %d",
                    USE_LAYERS_MAX, USE_EXPERTS_MAX, n_layers, n_experts);
    const size_t n = (size_t)n_layers * (size_t)n_experts;
    out->shares = calloc(n, sizeof *out->shares);
    if (!out->shares) return fail_memory(error, "the use of experts");
    for (size_t i = 0; i < n; i++) out->shares[i] = 1.0f / (float)n_experts;
    return OK;
}

void use_free(Use *use)
{
    free(use->shares);
    *use = (Use){ 0 };
}

void use_learn(Use *use, const int64_t *rows, int n_used)
{
    int64_t most = 0;
    for (int layer = 0; layer < use->n_layers; layer++) {
        const int64_t *here = rows + (size_t)layer * (size_t)use->n_experts;
        float *shares = use->shares + (size_t)layer * (size_t)use->n_experts;
        int64_t answers = 0;
        for (int e = 0; e < use->n_experts; e++) answers += here[e];
        if (answers == 0) continue;
        const double n_new = (double)answers / (n_used > 0 ? n_used : 1);
        const double weight = n_new / (n_new + (double)use->n_rows);
        for (int e = 0; e < use->n_experts; e++) {
            const double share = (double)here[e] / (double)answers;
            shares[e] = (float)((double)shares[e] + weight * (share - (double)shares[e]));
        }
        if ((int64_t)n_new > most) most = (int64_t)n_new;
    }
    use->n_rows = use->n_rows + most < USE_ROWS_MAX ? use->n_rows + most : USE_ROWS_MAX;
}

typedef struct Ranked { float share; int32_t key; } Ranked;

static int by_share(const void *a, const void *b)
{
    const Ranked *x = a, *y = b;
    if (x->share != y->share) return x->share < y->share ? 1 : -1;
    return x->key < y->key ? -1 : x->key > y->key;
}

Status use_hottest(const Use *use, int32_t *keys, int n, Error *error)
{
    const int n_keys = use->n_layers * use->n_experts;
    Ranked *all = malloc((size_t)n_keys * sizeof *all);
    if (!all) return fail_memory(error, "the use of experts");
    for (int32_t key = 0; key < n_keys; key++) all[key] = (Ranked){ use->shares[key], key };
    qsort(all, (size_t)n_keys, sizeof *all, by_share);
    for (int i = 0; i < n && i < n_keys; i++) keys[i] = all[i].key;
    free(all);
    return OK;
}

/* ---- from a file ---- */

static Status check_shares(const char *name, const Use *use, Error *error)
{
    for (int layer = 0; layer < use->n_layers; layer++) {
        double sum = 0;
        for (int e = 0; e < use->n_experts; e++) {
            const float share = use->shares[(size_t)layer * (size_t)use->n_experts + (size_t)e];
            if (!(share >= 0 && share <= 1))
                return fail(error, BAD_FILE, "%s: layer %d, expert %d: expected a share, found %g", name, layer, e,
                            (double)share);
            sum += (double)share;
        }
        if (fabs(sum - 1) > sum_off)
            return fail(error, BAD_FILE, "%s: layer %d: expected shares that sum to 1, found %g", name, layer, sum);
    }
    return OK;
}

static Status check_name(const char *name, const Use *use, Error *error)
{
    if (memchr(use->policy, 0, sizeof use->policy) && (!use->policy[0] || policy_kind(use->policy))) return OK;
    return fail(error, BAD_FILE, "%s: no policy is called '%.*s'", name, USE_POLICY_MAX, use->policy);
}

static Status parse(const char *name, Cursor *c, Use *out, Error *error)
{
    const void *mark = cursor_take(c, sizeof magic);
    if (!mark || memcmp(mark, magic, sizeof magic) != 0)
        return fail(error, BAD_FILE, "%s: expected the use of a model, which begins with MIXTUSE1", name);
    const uint64_t model = cursor_u64(c);
    const uint32_t n_layers = cursor_u32(c), n_experts = cursor_u32(c);
    const uint64_t n_rows = cursor_u64(c);
    const void *policy = cursor_take(c, USE_POLICY_MAX + 1);
    if (c->bad || n_layers < 1 || n_layers > USE_LAYERS_MAX || n_experts < 1 || n_experts > USE_EXPERTS_MAX ||
        n_rows > USE_ROWS_MAX)
        return fail(error, BAD_FILE, "%s: its head promises %u layers of %u experts, known from %llu rows", name,
                    n_layers, n_experts, (unsigned long long)n_rows);
    const size_t n_bytes = (size_t)n_layers * n_experts * sizeof *out->shares;
    const void *shares = cursor_take(c, n_bytes);
    if (c->bad || cursor_left(c))
        return fail(error, BAD_FILE, "%s: expected shares of %u layers of %u experts and no more", name, n_layers,
                    n_experts);
    TRY(use_new(model, (int)n_layers, (int)n_experts, out, error));
    memcpy(out->shares, shares, n_bytes);
    memcpy(out->policy, policy, sizeof out->policy);
    out->n_rows = (int64_t)n_rows;
    TRY(check_name(name, out, error));
    return check_shares(name, out, error);
}

Status use_parse(const char *name, const void *bytes, size_t n_bytes, Use *out, Error *error)
{
    *out = (Use){ 0 };
    if (n_bytes < HEAD_BYTES + DIGEST_BYTES)
        return fail(error, BAD_FILE, "%s: expected at least %d bytes, found %zu", name, HEAD_BYTES + DIGEST_BYTES,
                    n_bytes);
    const size_t n = n_bytes - DIGEST_BYTES;
    Cursor digest = cursor_over((const uint8_t *)bytes + n, DIGEST_BYTES), c = cursor_over(bytes, n);
    if (cursor_u64(&digest) != mix(mix_start, bytes, n))
        return fail(error, BAD_FILE, "%s: damaged, its bytes are not those that were written", name);
    const Status status = parse(name, &c, out, error);
    if (status != OK) use_free(out);
    return status;
}

Status use_read(const char *path, uint64_t model, int n_layers, int n_experts, Use *out, Error *error)
{
    char *bytes;
    size_t n;
    *out = (Use){ 0 };
    TRY(file_slurp(path, FILE_MAX, &bytes, &n, error));
    Status status = use_parse(path, bytes, n, out, error);
    free(bytes);
    if (status == OK && (out->model != model || out->n_layers != n_layers || out->n_experts != n_experts)) {
        status = fail(error, BAD_FILE, "%s: was learned from another model", path);
        use_free(out);
    }
    return status;
}

/* ---- to a file ---- */

static uint8_t *put(uint8_t *at, uint64_t value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++) at[i] = (uint8_t)(value >> (8 * i));
    return at + n_bytes;
}

Status use_write(const Use *use, const char *path, Error *error)
{
    const size_t n_shares = (size_t)use->n_layers * (size_t)use->n_experts * sizeof *use->shares;
    const size_t n = HEAD_BYTES + n_shares;
    uint8_t *bytes = malloc(n + DIGEST_BYTES), *at = bytes;
    if (!bytes) return fail_memory(error, "the use of experts");
    memcpy(at, magic, sizeof magic);
    at = put(at + sizeof magic, use->model, 8);
    at = put(at, (uint64_t)use->n_layers, 4);
    at = put(at, (uint64_t)use->n_experts, 4);
    at = put(at, (uint64_t)use->n_rows, 8);
    memcpy(at, use->policy, sizeof use->policy);
    memcpy(at + sizeof use->policy, use->shares, n_shares);
    put(bytes + n, mix(mix_start, bytes, n), DIGEST_BYTES);
    const Status status = write_file(path, bytes, n + DIGEST_BYTES, error);
    free(bytes);
    return status;
}
