/* SPDX-License-Identifier: Apache-2.0
 * apps/ledger.h - who holds the memory, for people and for machines. */
#ifndef APPS_LEDGER_H
#define APPS_LEDGER_H

#include <mixt.h>

#include "json.h"

void ledger_show(const mixt_engine_stats *stats);                   /* one line on stderr     */
void ledger_json(const mixt_engine_stats *stats, Json *json);       /* "memory": {..}         */

#endif
