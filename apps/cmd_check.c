/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_check.c - is this file what it says? */
#include <mixt_tools.h>

#include "json.h"

static Exit report(const App *app, const char *path, const char *line, const mixt_error *error)
{
    Json json = { 0 };
    json_open(&json, '{');
    json_key_text(&json, "path", path);
    json_key_bool(&json, "ok", error == NULL);
    if (error) json_key_text(&json, "status", mixt_status_name(error->code));
    json_key_text(&json, error ? "error" : "line", error ? error->text : line);
    json_close(&json, '}');
    return json_print(app, &json);
}

Exit cmd_check(const App *app)
{
    const char       *path = app->options->arguments[0];
    const bool        json = opt_flag(app->options, OPT_JSON);
    char              line[1024];
    mixt_error        error;
    const mixt_status status = mixt_check(path, line, sizeof line, &error);
    if (json) {
        const Exit printed = report(app, path, line, status == MIXT_OK ? NULL : &error);
        return printed == DONE ? exit_of(status) : printed;
    }
    if (status != MIXT_OK) return problem(app, &error, NULL);
    out_format("%s\n", line);
    return DONE;
}
