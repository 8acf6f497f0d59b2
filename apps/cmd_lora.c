/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_lora.c - adapters into a model for good, and what an adapter is made of. */
#include <mixt_tools.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "rewrite.h"

/* ---- show ---- */

static void show_pair(const mixt_adapter_pair *p)
{
    char formats[48] = "", experts[64] = "";
    if (strcmp(p->format_a, p->format_b) == 0) snprintf(formats, sizeof formats, "%s", p->format_a);
    else snprintf(formats, sizeof formats, "%s and %s", p->format_a, p->format_b);
    if (p->n_experts)
        snprintf(experts, sizeof experts, "  %" PRId64 " of %" PRId64 " experts", p->n_adapted, p->n_experts);
    else if (!p->n_adapted) snprintf(experts, sizeof experts, "  only zeros");
    out_format("  %-32s rank %-4" PRId64 " %" PRId64 " x %" PRId64 "  %s%s\n", p->name, p->rank, p->rows, p->cols,
               formats, experts);
}

static Exit show_json(const App *app, const mixt_adapter_info *info, const mixt_adapter_pair *pairs, size_t n)
{
    Json json = { 0 };
    json_open(&json, '{');
    json_key_text(&json, "path", info->path);
    json_key_text(&json, "architecture", info->arch);
    json_key_real(&json, "alpha", info->alpha);
    json_key_whole(&json, "parameters", info->n_values);
    json_key_whole(&json, "bytes", info->n_bytes);
    json_key(&json, "pairs");
    json_open(&json, '[');
    for (size_t i = 0; i < n; i++) {
        json_open(&json, '{');
        json_key_text(&json, "name", pairs[i].name);
        json_key_whole(&json, "rank", pairs[i].rank);
        json_key_whole(&json, "rows", pairs[i].rows);
        json_key_whole(&json, "cols", pairs[i].cols);
        json_key_text(&json, "format_a", pairs[i].format_a);
        json_key_text(&json, "format_b", pairs[i].format_b);
        json_key_whole(&json, "experts", pairs[i].n_experts);
        json_key_whole(&json, "adapted", pairs[i].n_adapted);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    return json_print(app, &json);
}

static Exit show(const App *app)
{
    const char        *path = app->options->arguments[1];
    mixt_adapter_file *file;
    mixt_error         error;
    size_t             n;
    if (app->options->n_arguments != 2) return complain(app, USAGE, "lora show: expected one adapter");
    if (mixt_adapter_open(path, &file, &error) != MIXT_OK) return problem(app, &error, NULL);
    const mixt_adapter_info  info  = mixt_adapter_read(file);
    const mixt_adapter_pair *pairs = mixt_adapter_pairs(file, &n);
    Exit code = DONE;
    if (opt_flag(app->options, OPT_JSON)) {
        code = show_json(app, &info, pairs, n);
    } else {
        out_format("%s: LoRA for %s, alpha %g, %" PRId64 " parameters, %.2f MB (%.2f MiB)\n", info.path, info.arch,
                   info.alpha, info.n_values, (double)info.n_bytes / 1e6, (double)info.n_bytes / (double)MIB);
        for (size_t i = 0; i < n; i++) show_pair(&pairs[i]);
    }
    mixt_adapter_free(file);
    return code;
}

/* ---- merge ---- */

static Exit merge(const App *app)
{
    const Options *o  = app->options;
    const char    *to = opt_text(o, OPT_OUTPUT);
    AdapterList    list;
    if (o->n_arguments < 3) return complain(app, USAGE, "lora merge: expected a model and at least one adapter");
    if (!to) return complain(app, USAGE, "expected -o FILE, the GGUF file to write");
    Exit code = adapters_take(app, o->arguments + 2, (size_t)o->n_arguments - 2, &list);
    if (code == DONE) code = rewrite(app, "merging", o->arguments[1], to, opt_text(o, OPT_MERGE_TYPE), &list);
    adapters_drop(&list);
    return code;
}

Exit cmd_lora(const App *app)
{
    const char *what = app->options->arguments[0];
    if (strcmp(what, "show") == 0) return show(app);
    if (strcmp(what, "merge") == 0) return merge(app);
    return complain(app, USAGE, "lora %s: expected merge or show", what);
}
