/* SPDX-License-Identifier: Apache-2.0
 * apps/input.h - texts and token ids that people hand in. */
#ifndef APPS_INPUT_H
#define APPS_INPUT_H

#include "app.h"
#include "base/buffer.h"

/* Appends a whole file, or stdin when the path is "-".  Pipes and devices are fine. */
Exit input_read(const App *app, const char *path, Buffer *out);

typedef struct Ids { mixt_token *ids; size_t n, room; } Ids;       /* { 0 } is empty        */

/* Token ids with blanks or one comma behind each, whole numbers in [0, n_vocab).  `where` and
 * `code` are for the complaint, which names the first id that is wrong. */
Exit ids_add(const App *app, const char *text, const char *where, Exit code, int64_t n_vocab,
             Ids *out);
/* The value of --ids: the ids themselves, or @FILE. */
Exit ids_from_option(const App *app, int64_t n_vocab, Ids *out);
void ids_free(Ids *ids);

#endif
