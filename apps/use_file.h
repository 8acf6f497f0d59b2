/* SPDX-License-Identifier: Apache-2.0
 * apps/use_file.h - where it lies what was learned from the use of a model. */
#ifndef APPS_USE_FILE_H
#define APPS_USE_FILE_H

#include "app.h"
#include "base/buffer.h"

/* MODEL.use beside the model; where that cannot be written, NAME.use in the cache folder, which is made.  Empty when
 * there is neither; buffer_free. */
Buffer use_path(const mixt_model *model);

#endif
