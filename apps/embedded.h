/* SPDX-License-Identifier: Apache-2.0
 * apps/embedded.h - the model that was built into the program (MIXT_MODEL of the build), and its name.
 *
 * The name is that of the file without .gguf, and good wherever a model is expected.  It wins over a file of
 * the same name in the folder one stands in, so that a command means the same everywhere; ./NAME is the file. */
#ifndef APPS_EMBEDDED_H
#define APPS_EMBEDDED_H

#include "app.h"

/* .name is NULL when there is none. */
mixt_memory embedded_model(void);
bool        embedded_is(const char *path);
/* For options.memory of a command that was given `path` (NULL: none): the model when that is its name.  Says so
 * where a file of that name could have been meant. */
mixt_memory embedded_as(const App *app, const char *path);
/* problem(), and what to type when `path` is no file and looks like a prompt or a mistyped name. */
Exit        embedded_problem(const App *app, const char *path, const mixt_error *error);

#endif
