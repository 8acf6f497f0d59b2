/* SPDX-License-Identifier: Apache-2.0
 * apps/bench_report.c - what mixt bench found, as a table people know and as JSON. */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "json.h"
#include "ledger.h"
#include "machine_file.h"

/* ---- numbers ---- */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of n > 0 numbers, which are sorted. */
static double median_of(double *x, size_t n)
{
    qsort(x, n, sizeof *x, by_value);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

Rate test_rate(const Bench *b, const Test *t)
{
    double *rates = malloc(b->n_repeat * sizeof *rates);
    Rate    rate  = { 0 };
    if (!rates) return rate;
    for (size_t i = 0; i < b->n_repeat; i++) rates[i] = (double)(t->n * t->rows) / t->seconds[i];
    rate.median = median_of(rates, b->n_repeat);
    rate.spread = (rates[b->n_repeat - 1] - rates[0]) / 2;
    free(rates);
    return rate;
}

/* Steps per second times bytes of a step. */
double test_bytes_per_s(const Bench *b, const Test *t)
{
    if (t->prompt) return 0;
    return test_rate(b, t).median / (double)t->rows * (t->weight_bytes + t->kv_bytes);
}

double test_operations_per_s(const Bench *b, const Test *t)
{
    return test_rate(b, t).median / (double)(t->n * t->rows) * t->operations;
}

const char *test_name(const Test *t, char out[TEST_NAME_MAX])
{
    size_t n = (size_t)snprintf(out, TEST_NAME_MAX, "%s%zu", t->prompt ? "pp" : "tg", t->n);
    if (t->rows > 1) n += (size_t)snprintf(out + n, TEST_NAME_MAX - n, " x%zu", t->rows);
    if (t->depth) snprintf(out + n, TEST_NAME_MAX - n, " @ d%zu", t->depth);
    return out;
}

double limit_read(const Bench *b)
{
    return machine_rate(b->machine.read, b->machine.n_read, b->n_threads);
}

/* Weights with blocks meet activations of eight bits, others meet floats; experts have the say,
 * being the most. */
static bool in_blocks(const Bench *b)
{
    size_t                   n;
    const mixt_weight_class *classes = mixt_model_classes(b->loaded.model, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(classes[i].name, "experts") == 0 || strcmp(classes[i].name, "feed-forward") == 0)
            return strchr(classes[i].formats, 'Q') != NULL;
    return false;
}

const char *limit_peak_name(const Bench *b)
{
    return in_blocks(b) ? "int8" : "f32";
}

double limit_peak(const Bench *b)
{
    return in_blocks(b) ? machine_rate(b->machine.int8, b->machine.n_int8, b->n_threads)
                        : machine_rate(b->machine.f32, b->machine.n_f32, b->n_threads);
}

/* ---- the table ---- */

static void table_profile(const Bench *b, const Test *t)
{
    char          name[TEST_NAME_MAX];
    const double  steps = (double)(t->prompt ? b->n_repeat : t->n * b->n_repeat);
    double        all_ns = 0;
    for (size_t i = 0; i < t->n_profile; i++) all_ns += (double)t->profile[i].ns;
    out_format("\n%-22s %10s %7s %10s %9s %9s\n", test_name(t, name), t->prompt ? "ms" : "ms/step",
               "share", "MB", "GB/s", "Gop/s");
    for (size_t i = 0; i < t->n_profile; i++) {
        const mixt_profile_row *r  = &t->profile[i];
        const double            ns = r->ns > 0 ? (double)r->ns : 1;
        out_format("  %-20s %10.3f %5.1f %%", r->name, (double)r->ns / 1e6 / steps,
                   100 * (double)r->ns / (all_ns > 0 ? all_ns : 1));
        if (r->bytes)
            out_format(" %10.2f %9.2f", (double)r->bytes / 1e6 / steps, (double)r->bytes / ns);
        else if (r->operations) out_format(" %10s %9s", "", "");
        if (r->operations) out_format(" %9.1f", (double)r->operations / ns);
        out_text("\n");
    }
    out_format("  %-20s %10.3f\n", "all", all_ns / 1e6 / steps);
}

/* "7.25 GiB", "13.9 M": three digits and a unit. */
static void in_units(double x, double large, const char *large_name, double small,
                     const char *small_name, char out[16])
{
    if (x >= large) snprintf(out, 16, "%.2f %s", x / large, large_name);
    else snprintf(out, 16, "%.2f %s", x / small, small_name);
}

/* "15.03 +- 0.10", fewer places for larger numbers: a column keeps its width. */
static void speed_text(Rate rate, char out[48])
{
    const int places = rate.median >= 1000 ? 0 : rate.median >= 100 ? 1 : 2;
    snprintf(out, 48, "%.*f %s %.*f", places, rate.median, term_utf8() ? "\u00b1" : "+-", places,
             rate.spread);
}

static void table_line(const Bench *b, const Test *t)
{
    const mixt_model_info *m = &b->loaded.info;
    const double bytes = test_bytes_per_s(b, t), operations = test_operations_per_s(b, t);
    char        *copy = strdup(m->path);
    char         name[TEST_NAME_MAX], speed[48], size[16], params[16], work[32], share[32];
    in_units((double)m->weight_bytes, (double)GIB, "GiB", (double)MIB, "MiB", size);
    in_units((double)m->n_values, 1e9, "B", 1e6, "M", params);
    speed_text(test_rate(b, t), speed);
    if (t->prompt) {
        snprintf(work, sizeof work, "%.1f Gop/s", operations / 1e9);
        snprintf(share, sizeof share, "%.0f %% of %s", 100 * operations / limit_peak(b),
                 limit_peak_name(b));
    } else {
        snprintf(work, sizeof work, "%.2f GB/s", bytes / 1e9);
        snprintf(share, sizeof share, "%.0f %% of reading", 100 * bytes / limit_read(b));
    }
    out_format("| %-28.28s | %11s | %9s | %7d | %15s | %*s | %12s | %16s |\n",
               copy ? basename(copy) : "", size, params, b->n_threads, test_name(t, name),
               term_utf8() ? 17 : 16 /* the sign has two bytes */, speed, work, share);
    free(copy);
}

Exit bench_table(const Bench *b)
{
    const mixt_engine_stats s = mixt_engine_read(b->loaded.engine);
    out_format("%s, %d thread%s, %s: reads %.1f GB/s, multiplies %.0f Gop/s of int8 and %.0f of "
               "f32 (%s)\n\n",
               b->machine.cpu, b->n_threads, b->n_threads == 1 ? "" : "s", s.cpu_set,
               limit_read(b) / 1e9,
               machine_rate(b->machine.int8, b->machine.n_int8, b->n_threads) / 1e9,
               machine_rate(b->machine.f32, b->machine.n_f32, b->n_threads) / 1e9,
               b->stored ? "measured by mixt doctor" : "measured now");
    out_format("| %-28s | %11s | %9s | %7s | %15s | %16s | %12s | %16s |\n", "model", "size",
               "params", "threads", "test", "t/s", "work", "of the limit");
    out_text("| ---------------------------- | ----------: | --------: | ------: | --------------: "
             "| ---------------: | "
             "-----------: | ---------------: |\n");
    for (size_t i = 0; i < b->n_tests; i++) table_line(b, &b->tests[i]);
    for (size_t i = 0; i < b->n_tests && opt_flag(b->app->options, OPT_PROFILE); i++)
        table_profile(b, &b->tests[i]);
    return DONE;
}

/* ---- JSON ---- */

static void json_model(Json *json, const Bench *b)
{
    const mixt_model_info   *m = &b->loaded.info;
    size_t                   n;
    const mixt_weight_class *classes = mixt_model_classes(b->loaded.model, &n);
    const char              *formats = NULL;
    for (size_t i = 0; i < n; i++)
        if (strcmp(classes[i].name, "experts") == 0 || strcmp(classes[i].name, "feed-forward") == 0)
            formats = classes[i].formats;
    json_key(json, "model");
    json_open(json, '{');
    json_key_text(json, "path", m->path);
    json_key_text(json, "architecture", m->arch);
    json_key_text(json, "expert_formats", formats);
    json_key_whole(json, "weight_bytes", m->weight_bytes);
    json_key_whole(json, "parameters", m->n_values);
    json_key_whole(json, "parameters_active", m->n_values_active);
    json_key_whole(json, "layers", m->n_layers);
    json_key_whole(json, "experts", m->n_experts);
    json_key_whole(json, "experts_used", m->n_used);
    json_close(json, '}');
}

static void json_machine(Json *json, const Bench *b)
{
    json_key(json, "machine");
    json_open(json, '{');
    json_key_text(json, "cpu", b->machine.cpu);
    json_key_whole(json, "cores", b->machine.n_allowed);
    json_key_real(json, "load", b->machine.load);
    json_key_text(json, "limits", b->stored ? "stored" : "measured");
    json_key_real(json, "read_bytes_per_s", limit_read(b));
    json_key_real(json, "int8_ops_per_s",
                  machine_rate(b->machine.int8, b->machine.n_int8, b->n_threads));
    json_key_real(json, "f32_ops_per_s",
                  machine_rate(b->machine.f32, b->machine.n_f32, b->n_threads));
    json_close(json, '}');
}

static void json_engine(Json *json, const Bench *b)
{
    const mixt_engine_stats s = mixt_engine_read(b->loaded.engine);
    json_key(json, "engine");
    json_open(json, '{');
    json_key_text(json, "device", s.device);
    json_key_text(json, "cpu_set", s.cpu_set);
    json_key_whole(json, "threads", s.n_threads);
    json_key_text(json, "kv", opt_text(b->app->options, OPT_KV));
    json_key_whole(json, "batch", opt_whole(b->app->options, OPT_BATCH));
    json_key_text(json, "store", s.store);
    json_key_whole(json, "repetitions", (int64_t)b->n_repeat);
    json_key_real(json, "load_seconds", (double)s.load_us * 1e-6);
    json_key_whole(json, "resident_bytes", s.resident_bytes);
    json_key_whole(json, "resident_peak_bytes", b->resident_peak_bytes);
    ledger_json(&s, json);
    json_close(json, '}');
}

static void json_list(Json *json, const char *key, const double *x, size_t n)
{
    json_key(json, key);
    json_open(json, '[');
    for (size_t i = 0; i < n; i++) json_real(json, x[i]);
    json_close(json, ']');
}

static void json_profile(Json *json, const Test *t)
{
    json_key(json, "profile");
    json_open(json, '[');
    for (size_t i = 0; i < t->n_profile; i++) {
        const mixt_profile_row *r = &t->profile[i];
        json_open(json, '{');
        json_key_text(json, "name", r->name);
        json_key_whole(json, "calls", r->n_calls);
        json_key_real(json, "seconds", (double)r->ns * 1e-9);
        json_key_whole(json, "bytes", r->bytes);
        json_key_whole(json, "ops", r->operations);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void json_test(Json *json, const Bench *b, const Test *t)
{
    char       name[TEST_NAME_MAX];
    const Rate rate = test_rate(b, t);
    json_open(json, '{');
    json_key_text(json, "test", test_name(t, name));
    json_key_text(json, "kind", t->prompt ? "prompt" : "generate");
    json_key_whole(json, "depth", (int64_t)t->depth);
    json_key_whole(json, "tokens", (int64_t)t->n);
    json_key_whole(json, "rows", (int64_t)t->rows);
    json_key_real(json, "tokens_per_s", rate.median);
    json_key_real(json, "spread", rate.spread);
    json_list(json, "seconds", t->seconds, b->n_repeat);
    if (!t->prompt) {
        json_list(json, "step_seconds", t->step_seconds, b->n_repeat * t->n);
        json_key_real(json, "weight_bytes_per_step", t->weight_bytes);
        json_key_real(json, "kv_bytes_per_step", t->kv_bytes);
        json_key_real(json, "experts_per_layer", t->experts);
        json_key_real(json, "bytes_per_s", test_bytes_per_s(b, t));
        json_key_real(json, "share_of_read", test_bytes_per_s(b, t) / limit_read(b));
    }
    json_key_real(json, "ops", t->operations);
    json_key_real(json, "ops_per_s", test_operations_per_s(b, t));
    json_key_text(json, "peak", limit_peak_name(b));
    json_key_real(json, "share_of_peak", test_operations_per_s(b, t) / limit_peak(b));
    json_key_whole(json, "disk_bytes", t->disk_bytes);
    if (opt_flag(b->app->options, OPT_PROFILE)) json_profile(json, t);
    json_close(json, '}');
}

Exit bench_json(const Bench *b)
{
    Json json = { 0 };
    json_open(&json, '{');
    json_key_text(&json, "version", mixt_version());
    json_model(&json, b);
    json_machine(&json, b);
    json_engine(&json, b);
    json_key(&json, "tests");
    json_open(&json, '[');
    for (size_t i = 0; i < b->n_tests; i++) json_test(&json, b, &b->tests[i]);
    json_close(&json, ']');
    json_close(&json, '}');
    return json_print(b->app, &json);
}
