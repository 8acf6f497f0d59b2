/* SPDX-License-Identifier: Apache-2.0
 * apps/load.h - a model, its engine and a session, opened as the options say. */
#ifndef APPS_LOAD_H
#define APPS_LOAD_H

#include "app.h"

typedef struct Loaded {
    mixt_model     *model;
    mixt_engine    *engine;
    mixt_session   *session;
    mixt_model_info info;
    char           *template_source;    /* what --chat-template named, when it was a file   */
    size_t          piece, n_batch;     /* tokens given at a time: whole steps, of so many rows */
    struct Reading *reading;            /* the bar, while a prompt is read; NULL: none is   */
} Loaded;                               /* { 0 } is nothing                                 */

/* The model alone: headers.  `vocab_only` accepts what has no network. */
Exit load_model(const App *app, const char *path, bool vocab_only, Loaded *out);
/* The same; when the library refuses the file, *error says why and nothing is printed. */
Exit load_quietly(const App *app, const char *path, bool vocab_only, Loaded *out,
                  mixt_error *error);
/* Its weights, and a session of n_context tokens (0: as the model was trained). */
Exit load_network(const App *app, size_t n_context, Loaded *out);
void load_free(Loaded *loaded);
/* What --kv says. */
mixt_kv load_kv(const char *name);

/* The session holds exactly these tokens; the prefix it has is kept.  With a bar that moves from layer to layer.
 * n_reused may be NULL. */
mixt_status load_read(Loaded *loaded, const mixt_token *tokens, size_t n_tokens, size_t *n_reused,
                      mixt_error *error);

#endif
