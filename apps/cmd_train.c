/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_train.c - teach a model from texts. */
#include <mixt_tools.h>

#include "embedded.h"
#include "output.h"
#include "train_view.h"

static Exit print_example(const App *app)
{
    char *text = mixt_train_example();
    if (!text) return complain(app, NO_FIT, "out of memory for the example");
    out_text(text);
    mixt_text_free(text);
    return DONE;
}

Exit cmd_train(const App *app)
{
    const Options *o  = app->options;
    const char    *to = opt_text(o, OPT_TRAIN_OUTPUT);
    if (opt_flag(o, OPT_EXAMPLE)) return print_example(app);
    if (o->n_arguments == 0)
        return complain(app, USAGE, "expected CONFIG.ini; mixt train --example prints one to begin with");
    if (to && output_check(app, to, NULL) != DONE) return USAGE;

    TrainView          view     = train_view(app);
    mixt_train_options settings = mixt_train_defaults();
    mixt_error         error;
    const char        *from     = opt_text(o, OPT_FROM);
    const mixt_memory  inside   = embedded_as(app, from);
    settings.from          = from;
    settings.memory        = &inside;
    settings.output        = to;
    settings.n_threads     = (int)opt_whole(o, OPT_THREADS);
    settings.cpu_set       = opt_text(o, OPT_CPU);
    settings.fresh         = opt_flag(o, OPT_FRESH);
    settings.log           = train_view_log;
    settings.log_user      = &view;
    settings.progress      = train_view_show;
    settings.progress_user = &view;
    const mixt_status status = mixt_train(o->arguments[0], &settings, &error);
    train_view_end(&view);
    if (status == MIXT_CANCELLED) remark(app, "%s", error.text);    /* that it is saved is good to know */
    return status == MIXT_OK ? DONE : problem(app, &error, NULL);
}
