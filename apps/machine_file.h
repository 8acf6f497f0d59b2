/* SPDX-License-Identifier: Apache-2.0
 * apps/machine_file.h - where the profile of this machine lies. */
#ifndef APPS_MACHINE_FILE_H
#define APPS_MACHINE_FILE_H

#include <mixt_tools.h>

#include "app.h"
#include "base/buffer.h"

/* $XDG_CACHE_HOME/mixt/machine.json, by default ~/.cache/mixt/machine.json; with `make`, the
 * folders are made.  Empty when there is no home; the caller frees. */
Buffer machine_path(bool make);
/* What the last mixt doctor found.  When that cannot be used, one remark says why: false. */
bool   machine_stored(const App *app, mixt_machine *out);
/* The same without a word. */
bool   machine_known(mixt_machine *out);
/* The rate of exactly so many threads; 0: not measured. */
double machine_rate(const mixt_rate *rates, int n, int n_threads);

#endif
