/* SPDX-License-Identifier: Apache-2.0
 * apps/record.h - the routing of what a model reads and writes, as a trace that mixt replay reads. */
#ifndef APPS_RECORD_H
#define APPS_RECORD_H

#include <mixt_tools.h>

#include "load.h"

typedef struct Recording {
    const char  *path;              /* NULL: nothing is recorded                               */
    mixt_trace  *trace;
    int32_t     *step;              /* [n_batch][n_layers][n_used]                             */
    size_t       n_batch;
} Recording;                        /* { 0 } is nothing                                        */

/* As --record says; the model is loaded, and its session traced from now on.  Where it has none, somebody else adds to
 * the trace: mixt_batch_run. */
Exit record_open(const App *app, const Loaded *loaded, Recording *out);
/* Tokens [first, n_prompt) that the session read, in steps as the engine made them; then one by one those it wrote. */
mixt_status record_turn(Recording *r, const Loaded *loaded, size_t first, size_t n_prompt, mixt_error *error);
/* The file now exists; frees. */
Exit record_close(const App *app, Recording *r);

#endif
