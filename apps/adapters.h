/* SPDX-License-Identifier: Apache-2.0
 * apps/adapters.h - adapters as people name them: FILE, or FILE:SCALE. */
#ifndef APPS_ADAPTERS_H
#define APPS_ADAPTERS_H

#include "app.h"

/* paths: NULL behind the last.  { 0 } is none. */
typedef struct AdapterList { mixt_adapter *all; char **paths; size_t n; } AdapterList;

/* adapters_drop in every case. */
Exit adapters_take(const App *app, const char *const *texts, size_t n, AdapterList *out);
void adapters_drop(AdapterList *list);

#endif
