/* SPDX-License-Identifier: Apache-2.0
 * plan/places.h - the same wish on machines that somebody may have: places.def. */
#ifndef PLAN_PLACES_H
#define PLAN_PLACES_H

#include "plan/plan.h"

typedef struct Place {
    const char *name;
    bool        card;                   /* a graphics card: all of it fits, or it does not */
    int64_t     memory_bytes;
    double      read_bytes, disk_bytes; /* per second, by the data sheet                   */
} Place;

typedef struct PlaceAnswer {
    bool   works, fits;                 /* at all; without reading experts from the disk   */
    double resident;                    /* share of the experts                            */
    double tokens_per_s;                /* writing, context empty; an estimate             */
} PlaceAnswer;

extern const Place place_table[];       /* name NULL ends it                               */

/* `here` lends how many products go with a byte: data sheets do not say. */
PlaceAnswer plan_place(const PlanModel *model, const PlanWish *wish, const PlanMachine *here, const Place *place);

#endif
