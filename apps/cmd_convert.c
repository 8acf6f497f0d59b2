/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_convert.c - any model as one GGUF file. */
#include <mixt_tools.h>

#include "embedded.h"
#include "output.h"
#include "progress.h"

/* Opens the model without a word (the conversion says the warnings) to learn which files it is. */
static Exit check_output(const App *app, const char *from, const mixt_memory *inside, const char *to)
{
    mixt_model_options silent = mixt_model_defaults();
    mixt_model        *model;
    mixt_error         error;
    silent.memory = inside;
    if (mixt_model_open(from, &silent, &model, &error) != MIXT_OK)
        return embedded_problem(app, from, &error);
    const Exit code = output_check(app, to, model);
    mixt_model_free(model);
    return code;
}

Exit cmd_convert(const App *app)
{
    const char *from = app->options->arguments[0];
    const char *to   = opt_text(app->options, OPT_OUTPUT);
    if (!to) return complain(app, USAGE, "expected -o FILE, the GGUF file to write");
    const mixt_memory inside = embedded_as(app, from);
    const Exit        fit    = check_output(app, from, &inside, to);
    if (fit != DONE) return fit;

    Progress             progress = progress_begin("converting", true);
    mixt_convert_options settings = mixt_convert_defaults();
    mixt_error           error;
    settings.type          = opt_text(app->options, OPT_CONVERT_TYPE);
    settings.log           = remark_line;
    settings.log_user      = (void *)(uintptr_t)app;
    settings.progress      = progress_show;
    settings.progress_user = &progress;
    settings.memory        = &inside;
    const mixt_status status = mixt_convert(from, to, &settings, &error);
    progress_end(&progress);
    return status == MIXT_OK ? DONE : problem(app, &error, NULL);
}
