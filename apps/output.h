/* SPDX-License-Identifier: Apache-2.0
 * apps/output.h - the file a command will write, looked at before the work begins. */
#ifndef APPS_OUTPUT_H
#define APPS_OUTPUT_H

#include "app.h"

/* Can `path` be written, and is it none of the files that are read: those of the model (NULL: there
 * is none), and those that options name?  Hours of work must not end with the answer. */
Exit output_check(const App *app, const char *path, const mixt_model *model);
/* Nor one of these, NULL at the end. */
Exit output_check_inputs(const App *app, const char *path, const char *const *inputs);
/* Two outputs of one command that would be one file. */
Exit output_differs(const App *app, const char *path, const char *other);
/* Standard output was sent into a file of the model: mixt run m.gguf >>m.gguf. */
Exit output_spares(const App *app, const mixt_model *model);

#endif
