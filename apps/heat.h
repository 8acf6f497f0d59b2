/* SPDX-License-Identifier: Apache-2.0
 * apps/heat.h - shades from night to noon on stderr: how much an expert is used. */
#ifndef APPS_HEAT_H
#define APPS_HEAT_H

#include "app.h"

/* Background and ink for a warmth of 0 to 1; nothing where there are no colours. */
void heat_begin(Colour colour, double warmth);
void heat_end(Colour colour);
/* The share from which a cell is as bright as it gets: twice an even load, unless that cannot happen. */
double heat_full(int64_t n_experts, int64_t n_used);

#endif
