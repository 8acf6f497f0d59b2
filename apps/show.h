/* SPDX-License-Identifier: Apache-2.0
 * apps/show.h - the screen of `mixt show`, which a conversation can print too. */
#ifndef APPS_SHOW_H
#define APPS_SHOW_H

#include "load.h"

void show_model(const Loaded *loaded, bool counts);

#endif
