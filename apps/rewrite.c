/* SPDX-License-Identifier: Apache-2.0
 * apps/rewrite.c - a model into a GGUF file of its own. */
#include "rewrite.h"

#include <mixt_tools.h>

#include "embedded.h"
#include "output.h"
#include "progress.h"

/* The output is none of the files that are read.  Opens the model without a word (the conversion says the warnings) to
 * learn which files it is. */
static Exit check_output(const App *app, const char *from, const mixt_memory *inside, const char *to)
{
    mixt_model_options silent = mixt_model_defaults();
    mixt_model        *model;
    mixt_error         error;
    silent.memory = inside;
    if (mixt_model_open(from, &silent, &model, &error) != MIXT_OK) return embedded_problem(app, from, &error);
    const Exit code = output_check(app, to, model);
    mixt_model_free(model);
    return code;
}

Exit rewrite(const App *app, const char *doing, const char *from, const char *to, const char *type,
             const AdapterList *adapters)
{
    const mixt_memory inside = embedded_as(app, from);
    const Exit        fit    = check_output(app, from, &inside, to);
    if (fit != DONE) return fit;
    Progress             progress = progress_begin(doing, true);
    mixt_convert_options settings = mixt_convert_defaults();
    mixt_error           error;
    settings.type          = type;
    settings.log           = remark_line;
    settings.log_user      = (void *)(uintptr_t)app;
    settings.progress      = progress_show;
    settings.progress_user = &progress;
    settings.memory        = &inside;
    settings.adapters      = adapters ? adapters->all : NULL;
    settings.n_adapters    = adapters ? adapters->n : 0;
    const mixt_status status = mixt_convert(from, to, &settings, &error);
    progress_end(&progress);
    return status == MIXT_OK ? DONE : problem(app, &error, NULL);
}
