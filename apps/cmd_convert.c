/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_convert.c - any model as one GGUF file. */
#include "rewrite.h"

Exit cmd_convert(const App *app)
{
    const char *to = opt_text(app->options, OPT_OUTPUT);
    if (!to) return complain(app, USAGE, "expected -o FILE, the GGUF file to write");
    return rewrite(app, "converting", app->options->arguments[0], to, opt_text(app->options, OPT_CONVERT_TYPE), NULL);
}
