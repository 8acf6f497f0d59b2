/* SPDX-License-Identifier: Apache-2.0
 * apps/rewrite.h - a model into a GGUF file of its own, with a line of progress: convert and lora merge. */
#ifndef APPS_REWRITE_H
#define APPS_REWRITE_H

#include "adapters.h"

/* `doing` is for people: "merging".  type NULL: as stored; adapters NULL: none. */
Exit rewrite(const App *app, const char *doing, const char *from, const char *to, const char *type,
             const AdapterList *adapters);

#endif
