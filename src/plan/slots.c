/* SPDX-License-Identifier: Apache-2.0
 * plan/slots.c - see slots.h. */
#include "plan/slots.h"

/* Where all experts are in memory they lie as they are; slots are all as large as the largest. */
static int64_t experts_take(const SlotsAsk *ask, int64_t n_slots)
{
    return n_slots >= ask->n_all ? ask->experts_bytes : n_slots * ask->slot_bytes;
}

Slots plan_slots(const SlotsAsk *ask)
{
    Slots s = { .rest_bytes = ask->dense_bytes + ask->kv_bytes + ask->scratch_bytes + ask->spare_bytes };
    const bool fits = ask->experts_bytes <= ask->budget_bytes - s.rest_bytes;
    const bool wished = ask->n_wish > 0 && ask->n_wish < ask->n_all;
    const int64_t least = wished ? ask->n_wish : ask->n_least < ask->n_all ? ask->n_least : ask->n_all;

    s.all_bytes = s.rest_bytes + ask->experts_bytes;
    if (wished || !fits) s.rest_bytes += ask->reading_bytes;
    const int64_t left = ask->budget_bytes - s.rest_bytes;
    s.room_bytes = left < 0 ? 0 : left < ask->experts_bytes ? left : ask->experts_bytes;
    s.need_bytes = s.rest_bytes + experts_take(ask, least);
    if (s.need_bytes > ask->budget_bytes) {
        s.why = SLOTS_TOO_FEW;
        s.used_bytes = s.rest_bytes;
        return s;
    }
    if (wished) {
        s.n_slots = ask->n_wish;
        s.why = SLOTS_WISHED;
    } else if (fits) {
        s.n_slots = ask->n_all;
        s.why = SLOTS_ALL_FIT;
    } else {
        /* Slots as large as the largest may number n_all though the experts as they are do not fit. */
        s.n_slots = ask->slot_bytes > 0 ? left / ask->slot_bytes : 0;
        if (s.n_slots >= ask->n_all) s.n_slots = ask->n_all - 1;
        s.why = SLOTS_FILL;
    }
    s.used_bytes = s.rest_bytes + experts_take(ask, s.n_slots);
    return s;
}
