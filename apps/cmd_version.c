/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_version.c - which mixt this is. */
#include "app.h"
#include "base/base.h"
#include "embedded.h"
#include "json.h"

Exit cmd_version(const App *app)
{
    const mixt_memory inside = embedded_model();
    if (!opt_flag(app->options, OPT_JSON)) {
        out_format("mixt %s\n", mixt_version());
        if (inside.name)
            out_format("with the model %s, %.2f MB (%.2f MiB)\n", inside.name, (double)inside.n_bytes / 1e6,
                       (double)inside.n_bytes / (double)MIB);
        return DONE;
    }
    Json json = { 0 };
    json_open(&json, '{');
    json_key_text(&json, "version", mixt_version());
    json_key_whole(&json, "api", MIXT_API_VERSION);
    json_key_text(&json, "model", inside.name);
    json_key_whole(&json, "model_bytes", (int64_t)inside.n_bytes);
    json_close(&json, '}');
    return json_print(app, &json);
}
