/* SPDX-License-Identifier: Apache-2.0
 * measure/profile.c - a machine's profile as a JSON file, and back with every number checked.
 *
 * What a plan is made of must be true: a profile of another version, of another machine, or with a
 * number that no machine has is refused, and whoever asked measures again. */
#include "measure/measure.h"

#include "base/buffer.h"
#include "base/io.h"
#include "base/pool.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char kind[] = "mixt machine profile";

/* No memory is slower or faster than this, and no machine of our time multiplies less or more. */
static const double rate_min = 1e5, rate_max = 1e16;

/* ---- writing ---- */

static void put_text(Buffer *b, const char *key, const char *text)
{
    buffer_format(b, "  \"%s\": ", key);
    buffer_json(b, text, strlen(text));
    buffer_text(b, ",\n");
}

static void put_whole(Buffer *b, const char *key, int64_t n)
{
    buffer_format(b, "  \"%s\": %lld,\n", key, (long long)n);
}

static void put_rates(Buffer *b, const char *key, const Rates *rates)
{
    buffer_format(b, "  \"%s\": [", key);
    for (int i = 0; i < rates->n; i++)
        buffer_format(b, "%s{\"threads\": %d, \"per_second\": %.6g}", i ? ", " : "",
                      rates->rate[i].n_threads, rates->rate[i].per_s);
    buffer_text(b, "],\n");
}

static void put_disk(Buffer *b, const Machine *m)
{
    put_text(b, "disk_folder", m->disk_folder);
    buffer_format(b, "  \"disk_direct\": %s,\n  \"disk\": [", m->disk_direct ? "true" : "false");
    for (int i = 0; i < m->n_disk; i++)
        buffer_format(b, "%s{\"block_bytes\": %lld, \"depth\": %d, \"per_second\": %.6g}",
                      i ? ", " : "", (long long)m->disk[i].block_bytes, m->disk[i].depth,
                      m->disk[i].bytes_per_s);
    buffer_text(b, "]\n}\n");
}

Status profile_write(const Machine *m, const char *path, Error *error)
{
    Buffer b = { 0 };
    buffer_text(&b, "{\n");
    put_text(&b, "kind", kind);
    put_whole(&b, "version", PROFILE_VERSION);
    put_whole(&b, "measured_at", m->measured_at);
    put_text(&b, "cpu", m->facts.cpu);
    put_text(&b, "instructions", m->facts.instructions);
    put_text(&b, "cpu_set", m->cpu_set);
    put_text(&b, "huge_pages", m->facts.huge_pages);
    put_whole(&b, "cores_online", m->facts.n_online);
    put_whole(&b, "cores_allowed", m->facts.n_allowed);
    buffer_format(&b, "  \"quota_cores\": %.6g,\n", m->facts.quota_cores);
    put_whole(&b, "l1_bytes", m->facts.l1_bytes);
    put_whole(&b, "l2_bytes", m->facts.l2_bytes);
    put_whole(&b, "l3_bytes", m->facts.l3_bytes);
    put_whole(&b, "memory_bytes", m->facts.memory_bytes);
    put_whole(&b, "free_bytes", m->facts.free_bytes);
    buffer_format(&b, "  \"load\": %.6g,\n", m->facts.load);
    put_rates(&b, "read", &m->read);
    put_rates(&b, "int8", &m->int8);
    put_rates(&b, "f32", &m->f32);
    put_disk(&b, m);
    const Status status =
        b.failed ? fail_memory(error, path) : write_file(path, b.data, b.n_bytes, error);
    buffer_free(&b);
    return status;
}

/* ---- reading ---- */

typedef struct Reader { const char *path; const json_t *root; Error *error; } Reader;

static Status missing(const Reader *r, const char *key, const char *expected)
{
    return fail(r->error, BAD_FILE, "%s: '%s': expected %s", r->path, key, expected);
}

static Status take_text(const Reader *r, const char *key, char *out, size_t room)
{
    const json_t *value = json_object_get(r->root, key);
    if (!json_is_string(value) || json_string_length(value) >= room)
        return missing(r, key, "a short text");
    memcpy(out, json_string_value(value), json_string_length(value) + 1);
    return OK;
}

static Status take_whole(const Reader *r, const json_t *from, const char *key, int64_t min,
                         int64_t max, int64_t *out)
{
    const json_t *value = json_object_get(from, key);
    if (json_is_integer(value) && json_integer_value(value) >= min &&
        json_integer_value(value) <= max) {
        *out = json_integer_value(value);
        return OK;
    }
    return fail(r->error, BAD_FILE, "%s: '%s': expected a whole number from %lld to %lld", r->path,
                key, (long long)min, (long long)max);
}

static Status take_count(const Reader *r, const json_t *from, const char *key, int min, int max,
                         int *out)
{
    int64_t n;
    TRY(take_whole(r, from, key, min, max, &n));
    *out = (int)n;
    return OK;
}

static Status take_real(const Reader *r, const json_t *from, const char *key, double min,
                        double max, double *out)
{
    const json_t *value = json_object_get(from, key);
    const double x = json_is_number(value) ? json_number_value(value) : NAN;
    if (!(x >= min && x <= max))
        return fail(r->error, BAD_FILE, "%s: '%s': expected a number from %g to %g", r->path, key,
                    min, max);
    *out = x;
    return OK;
}

static Status take_list(const Reader *r, const char *key, size_t max, const json_t **out)
{
    *out = json_object_get(r->root, key);
    if (json_is_array(*out) && json_array_size(*out) <= max) return OK;
    return fail(r->error, BAD_FILE, "%s: '%s': expected a list of at most %zu", r->path, key, max);
}

static Status take_rates(const Reader *r, const char *key, Rates *out)
{
    const json_t *list;
    int before = 0;
    TRY(take_list(r, key, RATES_MAX, &list));
    if (json_array_size(list) == 0) return missing(r, key, "at least one rate");
    for (size_t i = 0; i < json_array_size(list); i++) {
        Rate *rate = &out->rate[i];
        TRY(take_count(r, json_array_get(list, i), "threads", before + 1, POOL_THREADS_MAX,
                       &rate->n_threads));
        TRY(take_real(r, json_array_get(list, i), "per_second", rate_min, rate_max, &rate->per_s));
        before = rate->n_threads;
    }
    out->n = (int)json_array_size(list);
    return OK;
}

static Status take_disk(const Reader *r, Machine *out)
{
    const json_t *list;
    TRY(take_text(r, "disk_folder", out->disk_folder, sizeof out->disk_folder));
    const json_t *direct = json_object_get(r->root, "disk_direct");
    if (!json_is_boolean(direct)) return missing(r, "disk_direct", "true or false");
    out->disk_direct = json_is_true(direct);
    TRY(take_list(r, "disk", DISK_RATES_MAX, &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        TRY(take_whole(r, one, "block_bytes", 512, GIB, &out->disk[i].block_bytes));
        TRY(take_count(r, one, "depth", 1, POOL_THREADS_MAX, &out->disk[i].depth));
        TRY(take_real(r, one, "per_second", rate_min, rate_max, &out->disk[i].bytes_per_s));
    }
    out->n_disk = (int)json_array_size(list);
    return OK;
}

static Status take_facts(const Reader *r, Facts *f)
{
    enum { CORES_MAX = 1 << 20 };
    const int64_t bytes_max = (int64_t)1 << 50;
    TRY(take_text(r, "cpu", f->cpu, sizeof f->cpu));
    TRY(take_text(r, "instructions", f->instructions, sizeof f->instructions));
    TRY(take_text(r, "huge_pages", f->huge_pages, sizeof f->huge_pages));
    TRY(take_count(r, r->root, "cores_online", 0, CORES_MAX, &f->n_online));
    TRY(take_count(r, r->root, "cores_allowed", 1, CORES_MAX, &f->n_allowed));
    TRY(take_real(r, r->root, "quota_cores", 0, CORES_MAX, &f->quota_cores));
    TRY(take_whole(r, r->root, "l1_bytes", 0, bytes_max, &f->l1_bytes));
    TRY(take_whole(r, r->root, "l2_bytes", 0, bytes_max, &f->l2_bytes));
    TRY(take_whole(r, r->root, "l3_bytes", 0, bytes_max, &f->l3_bytes));
    TRY(take_whole(r, r->root, "memory_bytes", 0, bytes_max, &f->memory_bytes));
    TRY(take_whole(r, r->root, "free_bytes", 0, bytes_max, &f->free_bytes));
    return take_real(r, r->root, "load", 0, 1e6, &f->load);
}

/* A home folder may be shared by machines, and a virtual machine may have moved. */
static Status check_here(const Reader *r, const Facts *f)
{
    char cpu[CPU_NAME_MAX];
    const int n_cores = pool_cores();
    measure_cpu_name(cpu);
    if (!strcmp(cpu, f->cpu) && n_cores == f->n_allowed) return OK;
    return fail(r->error, BAD_FILE,
                "%s: measured on another machine: expected %d cores of '%s', found %d of '%s'",
                r->path, n_cores, cpu, f->n_allowed, f->cpu);
}

static Status take_all(const Reader *r, Machine *out)
{
    char what[64];
    int version;
    TRY(take_text(r, "kind", what, sizeof what));
    if (strcmp(what, kind))
        return fail(r->error, BAD_FILE, "%s: expected a %s, found '%s'", r->path, kind, what);
    TRY(take_count(r, r->root, "version", PROFILE_VERSION, PROFILE_VERSION, &version));
    TRY(take_whole(r, r->root, "measured_at", 0, (int64_t)1 << 40, &out->measured_at));
    TRY(take_facts(r, &out->facts));
    TRY(check_here(r, &out->facts));
    TRY(take_text(r, "cpu_set", out->cpu_set, sizeof out->cpu_set));
    TRY(take_rates(r, "read", &out->read));
    TRY(take_rates(r, "int8", &out->int8));
    TRY(take_rates(r, "f32", &out->f32));
    return take_disk(r, out);
}

Status profile_read(const char *path, Machine *out, Error *error)
{
    char *text;
    size_t n_bytes;
    json_error_t why;
    *out = (Machine){ 0 };
    TRY(file_slurp(path, PROFILE_MAX_BYTES, &text, &n_bytes, error));
    json_t *root = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, &why);
    free(text);
    /* Where jansson has no words, it had no memory. */
    if (!root && (!why.text[0] || json_error_code(&why) == json_error_out_of_memory))
        return fail_memory(error, path);
    if (!root)
        return fail(error, BAD_FILE, "%s: line %d: expected JSON, found: %s", path, why.line,
                    why.text);
    const Reader reader = { path, root, error };
    const Status status = take_all(&reader, out);
    json_decref(root);
    if (status != OK) *out = (Machine){ 0 };
    return status;
}
