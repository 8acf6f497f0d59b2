/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_synth.c - a model of a true shape with random weights. */
#include <mixt_tools.h>

#include "output.h"
#include "progress.h"

Exit cmd_synth(const App *app)
{
    const Options *o  = app->options;
    const char    *to = opt_text(o, OPT_OUTPUT);
    if (!to) return complain(app, USAGE, "expected -o FILE, the GGUF file to write");
    const Exit fit = output_check(app, to, NULL);
    if (fit != DONE) return fit;

    Progress           progress = progress_begin("writing", true);
    mixt_synth_options settings = mixt_synth_defaults();
    mixt_error         error;
    settings.like          = opt_text(o, OPT_LIKE);
    settings.n_layers      = opt_whole(o, OPT_LAYERS);
    settings.width         = opt_whole(o, OPT_WIDTH);
    settings.hidden        = opt_whole(o, OPT_HIDDEN);
    settings.n_heads       = opt_whole(o, OPT_HEADS);
    settings.n_kv_heads    = opt_whole(o, OPT_KV_HEADS);
    settings.head_size     = opt_whole(o, OPT_HEAD_SIZE);
    settings.n_experts     = opt_whole(o, OPT_EXPERTS_N);
    settings.n_used        = opt_whole(o, OPT_USED);
    settings.n_vocab       = opt_whole(o, OPT_VOCAB);
    settings.n_context     = opt_whole(o, OPT_TRAINED_CONTEXT);
    settings.window        = opt_whole(o, OPT_WINDOW);
    settings.router_skew   = opt_real(o, OPT_ROUTER_SKEW);
    settings.type          = opt_text(o, OPT_SYNTH_TYPE);
    settings.seed          = (uint64_t)opt_whole(o, OPT_SYNTH_SEED);
    settings.progress      = progress_show;
    settings.progress_user = &progress;
    const mixt_status status = mixt_synth(to, &settings, &error);
    progress_end(&progress);
    return status == MIXT_OK ? DONE : problem(app, &error, NULL);
}
