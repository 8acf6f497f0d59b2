/* SPDX-License-Identifier: Apache-2.0
 * apps/experts.h - which experts fired: a heat map, or a line per token. */
#ifndef APPS_EXPERTS_H
#define APPS_EXPERTS_H

#include "json.h"
#include "load.h"

/* Tokens [first, end) of the session. */
typedef struct Fired { const Loaded *loaded; size_t first, end; } Fired;

/* On stderr.  MIXT_NO_MEMORY is the only failure, and then nothing is drawn. */
void experts_draw(const App *app, const Fired *fired);
void experts_list(const Fired *fired);
/* "experts": {...}; `tokens` adds an entry for each token. */
void experts_json(const Fired *fired, bool tokens, Json *json);

#endif
