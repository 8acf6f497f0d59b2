/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_routes.c - which experts fired for given ids, and how strongly, as NumPy files. */
#include <stdlib.h>

#include <mixt_tools.h>

#include "base/checked.h"
#include "input.h"
#include "load.h"
#include "output.h"

typedef struct Routes {
    int64_t  L, T, U;
    int32_t *experts;           /* [L][T][U] */
    float   *weights;           /* [L][T][U] */
} Routes;

/* The session tells [L][U] for a token; the files are [L][T][U]. */
static void collect(const mixt_session *session, Routes *r)
{
    for (int64_t t = 0; t < r->T; t++) {
        const int32_t *experts = mixt_session_experts(session, (size_t)t);
        const float   *weights = mixt_session_expert_weights(session, (size_t)t);
        for (int64_t layer = 0; layer < r->L; layer++) {
            for (int64_t slot = 0; slot < r->U; slot++) {
                const int64_t to = (layer * r->T + t) * r->U + slot, from = layer * r->U + slot;
                r->experts[to]   = experts ? experts[from] : -1;
                r->weights[to]   = weights ? weights[from] : 0;
            }
        }
    }
}

static mixt_status write_routes(const App *app, const mixt_model *model, const Routes *r,
                                mixt_error *error)
{
    const int64_t            dims[3] = { r->L, r->T, r->U };
    const char *const *const inputs  = mixt_model_files(model);
    const char              *weights = opt_text(app->options, OPT_WEIGHTS);
    mixt_status status = mixt_npy_write(opt_text(app->options, OPT_OUTPUT), MIXT_NPY_I32,
                                        r->experts, dims, 3, inputs, error);
    if (status == MIXT_OK && weights)
        status = mixt_npy_write(weights, MIXT_NPY_F32, r->weights, dims, 3, inputs, error);
    return status;
}

/* As if each token had been a step of its own. */
static mixt_status write_trace(const App *app, const Loaded *loaded, const Routes *r, mixt_error *error)
{
    const char *to = opt_text(app->options, OPT_RECORD);
    mixt_trace *trace;
    if (!to) return MIXT_OK;
    mixt_status status = mixt_trace_new(loaded->model, &trace, error);
    for (int64_t t = 0; t < r->T && status == MIXT_OK; t++)
        status = mixt_trace_add(trace, mixt_session_experts(loaded->session, (size_t)t), 1, error);
    if (status == MIXT_OK) status = mixt_trace_write(trace, to, error);
    mixt_trace_free(trace);
    return status;
}

static Exit trace(const App *app, Loaded *loaded, const Ids *ids)
{
    Routes     r = { .L = loaded->info.n_layers, .T = (int64_t)ids->n, .U = loaded->info.n_used };
    mixt_error error;
    int64_t    n;
    if (!checked_mul(r.L, r.T, &n) || !checked_mul(n, r.U, &n))
        return complain(app, NO_FIT, "out of memory for the routes");
    r.experts = calloc((size_t)n, sizeof *r.experts);
    r.weights = calloc((size_t)n, sizeof *r.weights);
    Exit code = DONE;
    if (!r.experts || !r.weights) {
        code = complain(app, NO_FIT, "out of memory for the routes of %zu ids", ids->n);
    } else {
        mixt_status status = mixt_session_trace(loaded->session, true, &error);
        if (status == MIXT_OK) status = load_read(loaded, ids->ids, ids->n, NULL, &error);
        if (status == MIXT_OK) collect(loaded->session, &r);
        if (status == MIXT_OK) status = write_routes(app, loaded->model, &r, &error);
        if (status == MIXT_OK) status = write_trace(app, loaded, &r, &error);
        if (status != MIXT_OK) code = problem(app, &error, NULL);
    }
    free(r.experts);
    free(r.weights);
    return code;
}

static Exit check_outputs(const App *app, const mixt_model *model)
{
    const char *to = opt_text(app->options, OPT_OUTPUT);
    const char *weights = opt_text(app->options, OPT_WEIGHTS), *record = opt_text(app->options, OPT_RECORD);
    Exit        code = output_check(app, to, model);
    if (code == DONE && weights) code = output_check(app, weights, model);
    if (code == DONE && weights) code = output_differs(app, weights, to);
    if (code == DONE && record) code = output_check(app, record, model);
    if (code == DONE && record) code = output_differs(app, record, to);
    if (code == DONE && record && weights) code = output_differs(app, record, weights);
    return code;
}

Exit cmd_routes(const App *app)
{
    if (!opt_text(app->options, OPT_OUTPUT))
        return complain(app, USAGE, "expected -o FILE, the .npy file to write");
    Loaded loaded = { 0 };
    Ids    ids    = { 0 };
    Exit   code   = load_model(app, app->options->arguments[0], false, &loaded);
    if (code == DONE && loaded.info.n_experts == 0)
        code = complain(app, BAD_DATA, "%s: expected a mixture of experts, found a dense model",
                        app->options->arguments[0]);
    if (code == DONE) code = check_outputs(app, loaded.model);
    if (code == DONE) code = ids_from_option(app, loaded.info.n_vocab, &ids);
    if (code == DONE) code = load_network(app, ids.n, &loaded);
    if (code == DONE) code = trace(app, &loaded, &ids);
    ids_free(&ids);
    load_free(&loaded);
    return code;
}
