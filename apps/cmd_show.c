/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_show.c - what a model is made of, on one screen. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "embedded.h"
#include "json.h"
#include "load.h"
#include "show.h"

enum { NUMBER_MAX = 48 };

/* 46702792704 -> "46,702,792,704" */
static const char *grouped(int64_t number, char out[NUMBER_MAX])
{
    char      digits[NUMBER_MAX];
    const int n  = snprintf(digits, sizeof digits, "%" PRId64, number);
    int       to = 0;
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0 && digits[i - 1] != '-') out[to++] = ',';
        out[to++] = digits[i];
    }
    out[to] = 0;
    return out;
}

/* 46702792704 -> "46.70 B"; small ones are told in full. */
enum { ROUNDED_FROM = 1000000 };
static const char *rounded(int64_t number, char out[NUMBER_MAX])
{
    const double x = (double)number;
    if (x >= 1e9) snprintf(out, NUMBER_MAX, "%.2f B", x / 1e9);
    else if (x >= ROUNDED_FROM) snprintf(out, NUMBER_MAX, "%.2f M", x / 1e6);
    else return grouped(number, out);
    return out;
}

/* Both units, because mixing them up is the commonest error in what people write about sizes. */
static const char *sizes(int64_t n_bytes, char out[NUMBER_MAX])
{
    const double x = (double)n_bytes;
    if (x >= 1e9) snprintf(out, NUMBER_MAX, "%.2f GB (%.2f GiB)", x / 1e9, x / (double)GIB);
    else if (x >= 1e6) snprintf(out, NUMBER_MAX, "%.2f MB (%.2f MiB)", x / 1e6, x / (double)MIB);
    else snprintf(out, NUMBER_MAX, "%.2f kB (%.2f KiB)", x / 1e3, x / 1024);
    return out;
}

/* ---- lines of text ---- */

static int64_t bytes_of_class(const mixt_model *model, const char *name)
{
    size_t                   n;
    const mixt_weight_class *classes = mixt_model_classes(model, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(classes[i].name, name) == 0) return classes[i].n_bytes;
    return 0;
}

static void show_experts(const Loaded *loaded)
{
    const mixt_model_info *m = &loaded->info;
    char one[NUMBER_MAX], column[NUMBER_MAX];
    if (m->n_experts <= 0) {
        out_format("experts       none: a dense model, feed-forward width %" PRId64 "\n",
                   m->hidden);
        return;
    }
    /* In mixes such as Q4_K_M some layers have more bits than others. */
    const int64_t all = bytes_of_class(loaded->model, "experts");
    out_format("experts       %" PRId64 " in each layer, %" PRId64
               " used for a token, width %" PRId64 "\n",
               m->n_experts, m->n_used, m->hidden);
    out_format("one expert    %s in a layer%s, %s over all layers\n",
               sizes(all / m->n_experts / m->n_layers, one),
               m->expert_bytes > 0 ? "" : " on average", sizes(all / m->n_experts, column));
}

static void show_network(const Loaded *loaded)
{
    const mixt_model_info *m = &loaded->info;
    char a[NUMBER_MAX], b[NUMBER_MAX], c[NUMBER_MAX];
    out_format("architecture  %s: %" PRId64 " layer%s, width %" PRId64 ", %" PRId64
               " head%s and %" PRId64 " for keys and values, of %" PRId64 "\n",
               m->arch, m->n_layers, m->n_layers == 1 ? "" : "s", m->width, m->n_heads,
               m->n_heads == 1 ? "" : "s", m->n_kv_heads, m->head_size);
    show_experts(loaded);
    out_format("parameters    %s", rounded(m->n_values, a));
    if (m->n_values >= ROUNDED_FROM) out_format(" (%s)", grouped(m->n_values, b));
    if (m->n_values_active < m->n_values)
        out_format(", %s used for a token", rounded(m->n_values_active, c));
    out_text("\n");
    out_format("weights       %s, %.2f bits each\n", sizes(m->weight_bytes, a),
               m->n_values > 0 ? 8.0 * (double)m->weight_bytes / (double)m->n_values : 0.0);
    out_format("context       %" PRId64 " tokens; the cache takes %s a token", m->n_context,
               sizes(m->kv_bytes_per_token, a));
    if (m->n_context >= 8192) out_format(", %s at 8192", sizes(m->kv_bytes_per_token * 8192, b));
    out_format("\nrotary        base %g%s", m->rope_base, m->window ? "" : "; no sliding window\n");
    if (m->window) out_format("; sliding window of %" PRId64 " tokens\n", m->window);
}

static void show_token(const mixt_model *model, const char *label, mixt_token token,
                       const char *before)
{
    size_t      n;
    const char *bytes = token >= 0 ? mixt_token_bytes(model, token, true, &n) : NULL;
    Buffer      text  = { 0 };
    if (!bytes) return;
    buffer_json(&text, bytes, n);                   /* quotes, and nothing a terminal would obey */
    out_format("%s%s %d %s", before, label, token, text.data ? text.data : "");
    buffer_free(&text);
}

static void show_text(const Loaded *loaded)
{
    const mixt_model_info *m = &loaded->info;
    if (m->tokenizer) {
        out_format("tokenizer     %s, %" PRId64 " tokens", m->tokenizer, m->n_vocab);
        show_token(loaded->model, "BOS", m->bos, "; ");
        show_token(loaded->model, "EOS", m->eos, ", ");
        show_token(loaded->model, "unknown", m->unknown, ", ");
        out_text("\nends          ");
        const char *before = "";
        for (mixt_token t = 0; t < m->n_vocab; t++) {
            if (!mixt_token_ends(loaded->model, t)) continue;
            show_token(loaded->model, "token", t, before);
            before = ", ";
        }
        out_text(*before ? "\n" : "no token ends an answer\n");
    } else {
        out_text("tokenizer     none in this file\n");
    }
    out_format("template      %s%s%s\n", m->template_name ? m->template_name : "none",
               m->template_why ? ": " : "", m->template_why ? m->template_why : "");
}

/* The unit of a table: 1e9 and 2^30, or 1e6 and 2^20 for what is small. */
typedef struct Unit { const char *ten, *two; double ten_bytes, two_bytes; } Unit;

static void show_class(const mixt_weight_class *c, const Unit *unit, bool counts,
                       int64_t total_bytes)
{
    char         values[NUMBER_MAX];
    const double x = (double)c->n_bytes;
    out_format("%-12s %9.3f %9.3f %6.1f %%", c->name, x / unit->ten_bytes, x / unit->two_bytes,
               total_bytes > 0 ? 100 * x / (double)total_bytes : 0.0);
    if (counts) out_format(" %7" PRId64 " %17s %6.2f", c->n_tensors, grouped(c->n_values, values),
                           c->n_values > 0 ? 8 * x / (double)c->n_values : 0.0);
    out_format("%s%s\n", *c->formats ? "  " : "", c->formats);
}

static void show_classes(const Loaded *loaded, bool counts)
{
    size_t                   n;
    const mixt_weight_class *classes = mixt_model_classes(loaded->model, &n);
    mixt_weight_class        total   = { .name = "all", .formats = "" };
    for (size_t i = 0; i < n; i++) {
        total.n_tensors += classes[i].n_tensors;
        total.n_values += classes[i].n_values;
        total.n_bytes += classes[i].n_bytes;
    }
    const Unit unit = total.n_bytes >= 1000000000 ? (Unit){"GB", "GiB", 1e9, (double)GIB}
                                                  : (Unit){"MB", "MiB", 1e6, (double)MIB};
    out_format("\n%-12s %9s %9s %8s%s  formats\n", "weights for", unit.ten, unit.two, "share",
               counts ? " tensors        parameters   bits" : "");
    for (size_t i = 0; i < n; i++) show_class(&classes[i], &unit, counts, total.n_bytes);
    show_class(&total, &unit, counts, total.n_bytes);
}

/* ---- JSON ---- */

static void json_network(Json *json, const mixt_model_info *m)
{
    const struct {
        const char *key;
        int64_t     number;
    } wholes[] = {
        {"layers", m->n_layers},
        {"width", m->width},
        {"heads", m->n_heads},
        {"kv_heads", m->n_kv_heads},
        {"head_size", m->head_size},
        {"experts", m->n_experts},
        {"experts_used", m->n_used},
        {"hidden", m->hidden},
        {"context", m->n_context},
        {"window", m->window},
        {"parameters", m->n_values},
        {"parameters_active", m->n_values_active},
        {"weight_bytes", m->weight_bytes},
        {"expert_bytes", m->expert_bytes},
        {"kv_bytes_per_token", m->kv_bytes_per_token},
        {"tensors", m->n_tensors},
    };
    for (int i = 0; i < ARRAY_LEN(wholes); i++)
        json_key_whole(json, wholes[i].key, wholes[i].number);
    json_key_real(json, "rope_base", m->rope_base);
    json_key_real(json, "norm_eps", m->norm_eps);
}

static void json_classes(Json *json, const mixt_model *model)
{
    size_t                   n;
    const mixt_weight_class *classes = mixt_model_classes(model, &n);
    json_key(json, "classes");
    json_open(json, '[');
    for (size_t i = 0; i < n; i++) {
        json_open(json, '{');
        json_key_text(json, "name", classes[i].name);
        json_key_text(json, "formats", classes[i].formats);
        json_key_whole(json, "tensors", classes[i].n_tensors);
        json_key_whole(json, "parameters", classes[i].n_values);
        json_key_whole(json, "parameters_active", classes[i].n_values_active);
        json_key_whole(json, "bytes", classes[i].n_bytes);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void json_vocabulary(Json *json, const Loaded *loaded)
{
    const mixt_model_info *m = &loaded->info;
    json_key_text(json, "tokenizer", m->tokenizer);
    json_key_whole(json, "vocabulary", m->n_vocab);
    json_key_whole(json, "bos", m->bos);
    json_key_whole(json, "eos", m->eos);
    json_key_whole(json, "unknown", m->unknown);
    json_key(json, "ends");
    json_open(json, '[');
    for (mixt_token t = 0; m->tokenizer && t < m->n_vocab; t++)
        if (mixt_token_ends(loaded->model, t)) json_whole(json, t);
    json_close(json, ']');
    json_key_text(json, "template", m->template_name);
    json_key_text(json, "template_why", m->template_why);
}

static Exit show_json(const App *app, const Loaded *loaded)
{
    const mixt_model_info *m = &loaded->info;
    Json json = { 0 };
    json_open(&json, '{');
    json_key_text(&json, "path", m->path);
    json_key_text(&json, "container", m->container);
    json_key_text(&json, "architecture", m->arch);
    if (m->arch) json_network(&json, m);
    if (m->arch) json_classes(&json, loaded->model);
    json_vocabulary(&json, loaded);
    json_close(&json, '}');
    return json_print(app, &json);
}

/* ---- the command, and /show model ---- */

void show_model(const Loaded *loaded, bool counts)
{
    out_format("model         %s (%s)\n", loaded->info.path, loaded->info.container);
    if (loaded->info.arch) show_network(loaded);
    else out_text("architecture  none: a vocabulary alone\n");
    show_text(loaded);
    if (loaded->info.arch) show_classes(loaded, counts);
}

/* A file without weights is a vocabulary and is shown as one; a network that cannot be run is an
 * error. */
static Exit open_either(const App *app, Loaded *out)
{
    const char *path = app->options->arguments[0];
    mixt_error  error, ignored;
    const Exit  code = load_quietly(app, path, false, out, &error);
    if (code == DONE) return DONE;
    Loaded     alone = { 0 };
    const Exit again = code == BAD_DATA ? load_quietly(app, path, true, &alone, &ignored) : code;
    if (again == DONE && alone.info.n_tensors == 0) {
        load_free(out);
        *out = alone;
        return DONE;
    }
    load_free(&alone);
    return error.code ? embedded_problem(app, path, &error) : code;
}

Exit cmd_show(const App *app)
{
    Loaded loaded = { 0 };
    Exit   code   = open_either(app, &loaded);
    if (code == DONE) {
        if (opt_flag(app->options, OPT_JSON)) code = show_json(app, &loaded);
        else show_model(&loaded, opt_flag(app->options, OPT_TENSORS));
    }
    load_free(&loaded);
    return code;
}
