/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_version.c - which mixt this is. */
#include "app.h"
#include "json.h"

Exit cmd_version(const App *app)
{
    if (!opt_flag(app->options, OPT_JSON)) {
        out_format("mixt %s\n", mixt_version());
        return DONE;
    }
    Json json = { 0 };
    json_open(&json, '{');
    json_key_text(&json, "version", mixt_version());
    json_key_whole(&json, "api", MIXT_API_VERSION);
    json_close(&json, '}');
    return json_print(app, &json);
}
