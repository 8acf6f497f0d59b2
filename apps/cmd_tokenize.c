/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_tokenize.c - text on stdin to ids on stdout. */
#include <stdlib.h>

#include "encode.h"
#include "input.h"

Exit cmd_tokenize(const App *app)
{
    Loaded loaded = { 0 };
    Buffer text   = { 0 };
    Ids    ids    = { 0 };
    Exit   code   = load_model(app, app->options->arguments[0], true, &loaded);
    if (code == DONE) code = input_read(app, "-", &text);
    if (code == DONE)
        code = encode_text(app, &loaded, text.data, text.n_bytes,
                           opt_flag(app->options, OPT_SPECIAL), &ids);
    if (code == DONE) {
        for (size_t i = 0; i < ids.n; i++) out_format(i ? " %d" : "%d", ids.ids[i]);
        out_text("\n");
    }
    ids_free(&ids);
    buffer_free(&text);
    load_free(&loaded);
    return code;
}
