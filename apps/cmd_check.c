/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_check.c - is this file what it says? */
#include <mixt_tools.h>

#include <string.h>

#include "embedded.h"
#include "json.h"
#include "progress.h"

/* A mixt_log_fn: the warnings of a check, for its JSON. */
static void keep_line(void *warnings, const char *line)
{
    json_text(warnings, line, strlen(line));
}

static Exit check_json(const App *app, const char *path, mixt_model_options *o)
{
    Json       json = { 0 };
    char       line[1024];
    mixt_error error;
    json_open(&json, '{');
    json_key_text(&json, "path", path);
    json_key(&json, "warnings");
    json_open(&json, '[');
    o->log      = keep_line;
    o->log_user = &json;
    const mixt_status status = mixt_check(path, o, line, sizeof line, &error);
    progress_end(o->progress_user);
    json_close(&json, ']');
    json_key_bool(&json, "ok", status == MIXT_OK);
    if (status != MIXT_OK) json_key_text(&json, "status", mixt_status_name(status));
    if (status != MIXT_OK) json_key_text(&json, "error", error.text);
    else json_key_text(&json, "line", line);
    json_close(&json, '}');
    const Exit printed = json_print(app, &json);
    return printed == DONE ? exit_of(status) : printed;
}

Exit cmd_check(const App *app)
{
    const char        *path   = app->options->arguments[0];
    const mixt_memory  inside = embedded_as(app, path);
    mixt_model_options o      = mixt_model_defaults();
    char               line[1024];
    mixt_error         error;
    Progress           progress = progress_begin("checking", true);
    o.memory        = &inside;
    o.log           = remark_line;
    o.log_user      = (void *)(uintptr_t)app;
    o.progress      = progress_show;
    o.progress_user = &progress;
    if (opt_flag(app->options, OPT_JSON)) return check_json(app, path, &o);
    const mixt_status status = mixt_check(path, &o, line, sizeof line, &error);
    progress_end(&progress);
    if (status != MIXT_OK) return embedded_problem(app, path, &error);
    out_format("%s\n", line);
    return DONE;
}
