/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_pack.c - a GGUF model to a packed file, and back. */
#include <mixt_tools.h>

#include <string.h>

#include "app.h"
#include "progress.h"

typedef mixt_status (*Packer)(const char *from, const char *to, const mixt_pack_options *options, mixt_error *error);

static Exit pack_with(const App *app, Packer packer, const char *doing)
{
    const Options *o    = app->options;
    const char    *from = o->arguments[0], *to = o->arguments[1];
    if (strcmp(to, "-") == 0)
        return complain(app, USAGE, "-: expected the name of a file, found the sign for standard output; ./- is a file "
                                    "of that name");
    Progress          progress = progress_begin(doing, true);
    mixt_pack_options settings = mixt_pack_defaults();
    mixt_error        error;
    settings.in_place      = opt_flag(o, OPT_IN_PLACE);
    settings.n_threads     = (int)opt_whole(o, OPT_THREADS);
    settings.progress      = progress_show;
    settings.progress_user = &progress;
    const mixt_status status = packer(from, to, &settings, &error);
    progress_end(&progress);
    if (status == MIXT_OK) return DONE;
    return problem(app, &error, settings.in_place && status == MIXT_CANCELLED ? "the same command goes on" : NULL);
}

Exit cmd_pack(const App *app)
{
    return pack_with(app, mixt_pack, "packing");
}

Exit cmd_unpack(const App *app)
{
    return pack_with(app, mixt_unpack, "unpacking");
}
