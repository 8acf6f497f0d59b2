/* SPDX-License-Identifier: Apache-2.0
 * apps/record.c - see record.h. */
#include "record.h"

#include <stdlib.h>
#include <string.h>

#include "output.h"

static size_t row_bytes(const Loaded *loaded)
{
    return (size_t)(loaded->info.n_layers * loaded->info.n_used) * sizeof(int32_t);
}

Exit record_open(const App *app, const Loaded *loaded, Recording *out)
{
    *out = (Recording){ .path = opt_text(app->options, OPT_RECORD) };
    if (!out->path) return DONE;
    const Exit checked = output_check(app, out->path, loaded->model);
    if (checked != DONE) return checked;
    mixt_error    error;
    if (mixt_trace_new(loaded->model, &out->trace, &error) != MIXT_OK) return problem(app, &error, NULL);
    if (!loaded->session) return DONE;
    out->n_batch = mixt_engine_read(loaded->engine).n_batch;
    out->step    = malloc(out->n_batch * row_bytes(loaded));
    if (!out->step) return complain(app, NO_FIT, "out of memory for the recording");
    return mixt_session_trace(loaded->session, true, &error) == MIXT_OK ? DONE : problem(app, &error, NULL);
}

static mixt_status add(Recording *r, const Loaded *loaded, size_t first, size_t end, mixt_error *error)
{
    const size_t bytes = row_bytes(loaded);
    size_t       n     = 0;
    for (size_t t = first; t < end; t++) {
        const int32_t *experts = mixt_session_experts(loaded->session, t);
        if (experts) memcpy((char *)r->step + n++ * bytes, experts, bytes);
    }
    return n ? mixt_trace_add(r->trace, r->step, n, error) : MIXT_OK;
}

mixt_status record_turn(Recording *r, const Loaded *loaded, size_t first, size_t n_prompt, mixt_error *error)
{
    const size_t n      = mixt_session_n_tokens(loaded->session);
    mixt_status  status = MIXT_OK;
    for (size_t t = first; r->trace && t < n && status == MIXT_OK;) {
        size_t end = t + 1;
        if (t < n_prompt) end = n_prompt - t > r->n_batch ? t + r->n_batch : n_prompt;
        status = add(r, loaded, t, end < n ? end : n, error);
        t      = end;
    }
    return status;
}

Exit record_close(const App *app, Recording *r)
{
    mixt_error error;
    Exit       code = DONE;
    if (r->trace && mixt_trace_read(r->trace).n_steps && mixt_trace_write(r->trace, r->path, &error) != MIXT_OK)
        code = problem(app, &error, NULL);
    mixt_trace_free(r->trace);
    free(r->step);
    *r = (Recording){ 0 };
    return code;
}
