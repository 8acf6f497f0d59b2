/* SPDX-License-Identifier: Apache-2.0
 * store/way.c - see way.h. */
#include "store/way.h"

static void begin_to_count(Way *w, int64_t read_bytes, int64_t busy_us)
{
    w->from_bytes = read_bytes;
    w->from_us = busy_us;
}

static void count(Way *w, int way, int64_t read_bytes, int64_t busy_us)
{
    const int64_t us = busy_us - w->from_us;
    w->speed[way] = (double)(read_bytes - w->from_bytes) / (double)(us > 0 ? us : 1);
}

static void choose(Way *w)
{
    w->chosen = w->speed[WAY_THROUGH] > 1.25 * w->speed[WAY_STRAIGHT] ? WAY_THROUGH : WAY_STRAIGHT;
    w->rest = w->rest == 0 ? 1 : w->rest < WAY_REST_MAX ? 2 * w->rest : WAY_REST_MAX;
}

int way_of_next(Way *w, int64_t read_bytes, int64_t busy_us)
{
    const int at = w->n_taken++;
    if (at == WAY_LEAD_BLOCKS || at == WAY_TRIAL_BLOCKS + WAY_LEAD_BLOCKS) begin_to_count(w, read_bytes, busy_us);
    if (at == WAY_TRIAL_BLOCKS) count(w, WAY_STRAIGHT, read_bytes, busy_us);
    if (at == 2 * WAY_TRIAL_BLOCKS) {
        count(w, WAY_THROUGH, read_bytes, busy_us);
        choose(w);
    }
    if (at < WAY_TRIAL_BLOCKS) return WAY_STRAIGHT;
    if (at < 2 * WAY_TRIAL_BLOCKS) return WAY_THROUGH;
    if (at + 1 >= (2 + w->rest) * WAY_TRIAL_BLOCKS) w->n_taken = 0;
    return w->chosen;
}
