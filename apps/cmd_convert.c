/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_convert.c - any model as one GGUF file. */
#include <mixt_tools.h>

#include "app.h"
#include "progress.h"

Exit cmd_convert(const App *app)
{
    const char *to = opt_text(app->options, OPT_OUTPUT);
    if (!to) return complain(app, USAGE, "expected -o FILE, the GGUF file to write");

    Progress             progress = progress_begin("converting", true);
    mixt_convert_options settings = mixt_convert_defaults();
    mixt_error           error;
    settings.type          = opt_text(app->options, OPT_CONVERT_TYPE);
    settings.log           = remark_line;
    settings.log_user      = (void *)(uintptr_t)app;
    settings.progress      = progress_show;
    settings.progress_user = &progress;
    const mixt_status status = mixt_convert(app->options->arguments[0], to, &settings, &error);
    progress_end(&progress);
    return status == MIXT_OK ? DONE : problem(app, &error, NULL);
}
