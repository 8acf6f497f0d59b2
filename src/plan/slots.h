/* SPDX-License-Identifier: Apache-2.0
 * plan/slots.h - how many experts stay in memory, and why: the one rule that the planner predicts
 * with and the engine acts on. */
#ifndef PLAN_SLOTS_H
#define PLAN_SLOTS_H

#include "base/base.h"

typedef struct SlotsAsk {
    int64_t budget_bytes;               /* of the whole process                            */
    int64_t dense_bytes;                /* weights that every token reads                  */
    int64_t kv_bytes, scratch_bytes, spare_bytes;
    int64_t reading_bytes;              /* scratch of a model whose experts are read while tokens flow */
    int64_t experts_bytes;              /* all of them                                     */
    int64_t slot_bytes;                 /* what one takes: the largest where slots are alike, else the average */
    int64_t n_all;                      /* experts times layers                            */
    int64_t n_least;                    /* fewer than one token uses in a layer cannot work */
    int64_t n_wish;                     /* what somebody asked for; 0: as many as fit      */
} SlotsAsk;

typedef enum SlotsWhy {
    SLOTS_ALL_FIT,                      /* n_slots == n_all: nothing is read while tokens flow */
    SLOTS_FILL,                         /* as many as the budget holds                     */
    SLOTS_WISHED,                       /* as many as were asked for                       */
    SLOTS_TOO_FEW                       /* not even n_least, or fewer than asked for: need_bytes says */
} SlotsWhy;

typedef struct Slots {
    int64_t  n_slots;                   /* 0 with SLOTS_TOO_FEW                            */
    int64_t  rest_bytes;                /* what has to be there beside experts             */
    int64_t  room_bytes;                /* what is left for experts, never more than all take */
    int64_t  used_bytes;                /* with the slots                                  */
    int64_t  need_bytes;                /* the least with which this works                 */
    int64_t  all_bytes;                 /* with which nothing would be read                */
    SlotsWhy why;
} Slots;

Slots plan_slots(const SlotsAsk *ask);

#endif
