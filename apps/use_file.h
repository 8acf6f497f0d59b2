/* SPDX-License-Identifier: Apache-2.0
 * apps/use_file.h - where it lies what was learned from the use of a model. */
#ifndef APPS_USE_FILE_H
#define APPS_USE_FILE_H

#include "base/buffer.h"
#include "load.h"

/* Not with --no-learn, and a dense model has nothing to choose from. */
bool   use_learns(const App *app, const mixt_model *model);
/* MODEL.use beside the model; where that cannot be written, NAME.use in the cache folder, which is made.  Empty when
 * there is neither; buffer_free. */
Buffer use_path(const mixt_model *model);
/* The same for a run that begins: a file that cannot be used is remarked on.  Empty with --no-learn, too. */
Buffer use_begin(const App *app, const mixt_model *model);
/* At the end of a run: adds which experts it used, where they do not all fit into memory. */
void   use_keep(const App *app, const Loaded *loaded);

#endif
