/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_logits.c - logits of given ids as a NumPy file. */
#include <stdlib.h>

#include <mixt_tools.h>

#include "base/checked.h"
#include "input.h"
#include "load.h"
#include "output.h"
#include "progress.h"

/* The rows of every id, with a bar. */
static mixt_status score(const Loaded *loaded, const Ids *ids, float *logits, mixt_error *error)
{
    Progress    progress = progress_begin("computing", false);
    mixt_status status   = MIXT_OK;
    for (size_t done = 0; done < ids->n && status == MIXT_OK;) {
        progress_show(&progress, (int64_t)done, (int64_t)ids->n);
        const size_t n = ids->n - done < loaded->piece ? ids->n - done : loaded->piece;
        status         = mixt_session_score(loaded->session, ids->ids + done, n,
                                            logits + done * (size_t)loaded->info.n_vocab, error);
        done += n;
    }
    progress_end(&progress);
    return status;
}

static Exit write_all(const App *app, Loaded *loaded, const Ids *ids)
{
    const int64_t dims[2] = { (int64_t)ids->n, loaded->info.n_vocab };
    int64_t       n_bytes;
    mixt_error    error;
    float *logits = NULL;           /* [T][V] */
    if (checked_mul(dims[0], dims[1], &n_bytes) &&
        checked_mul(n_bytes, (int64_t)sizeof *logits, &n_bytes))
        logits = malloc((size_t)n_bytes);
    if (!logits)
        return complain(app, NO_FIT,
                        "out of memory for %lld x %lld logits; try fewer ids, or without --all",
                        (long long)dims[0], (long long)dims[1]);
    mixt_status status = score(loaded, ids, logits, &error);
    if (status == MIXT_OK)
        status = mixt_npy_write(opt_text(app->options, OPT_OUTPUT), MIXT_NPY_F32, logits, dims, 2,
                                mixt_model_files(loaded->model), &error);
    free(logits);
    return status == MIXT_OK ? DONE : problem(app, &error, NULL);
}

static Exit write_last(const App *app, Loaded *loaded, const Ids *ids)
{
    mixt_error  error;
    mixt_status status = load_read(loaded, ids->ids, ids->n, NULL, &error);
    if (status == MIXT_OK)
        status =
            mixt_npy_write(opt_text(app->options, OPT_OUTPUT), MIXT_NPY_F32,
                           mixt_session_logits(loaded->session), &loaded->info.n_vocab, 1,
                           mixt_model_files(loaded->model), &error);
    return status == MIXT_OK ? DONE : problem(app, &error, NULL);
}

Exit cmd_logits(const App *app)
{
    const char *to = opt_text(app->options, OPT_OUTPUT);
    if (!to) return complain(app, USAGE, "expected -o FILE, the .npy file to write");
    Loaded loaded = { 0 };
    Ids    ids    = { 0 };
    Exit   code   = load_model(app, app->options->arguments[0], false, &loaded);
    if (code == DONE) code = output_check(app, to, loaded.model);
    if (code == DONE) code = ids_from_option(app, loaded.info.n_vocab, &ids);
    if (code == DONE) code = load_network(app, ids.n, &loaded);
    if (code == DONE)
        code = opt_flag(app->options, OPT_ALL) ? write_all(app, &loaded, &ids)
                                               : write_last(app, &loaded, &ids);
    ids_free(&ids);
    load_free(&loaded);
    return code;
}
