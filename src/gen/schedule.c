/* SPDX-License-Identifier: Apache-2.0
 * gen/schedule.c - see schedule.h. */
#include "gen/schedule.h"

/* The lane that came first among those that still read and have no rows yet; -1: none. */
static int next_reader(const LaneNeed *lanes, int n_lanes, const int *rows)
{
    int first = -1;
    for (int i = 0; i < n_lanes; i++) {
        if (lanes[i].n_prompt_left == 0 || rows[i]) continue;
        if (first < 0 || lanes[i].order < lanes[first].order) first = i;
    }
    return first;
}

int schedule_rows(const LaneNeed *lanes, int n_lanes, const ScheduleRules *rules, int *rows)
{
    int n_rows = 0;
    for (int i = 0; i < n_lanes; i++) {
        rows[i] = lanes[i].n_prompt_left == 0;
        n_rows += rows[i];
    }
    int room = rules->n_rows_max - n_rows;
    if (n_rows && !rules->sweeps && rules->piece_rows_max && room > rules->piece_rows_max)
        room = rules->piece_rows_max;
    for (int i; room > 0 && (i = next_reader(lanes, n_lanes, rows)) >= 0;) {
        rows[i] = lanes[i].n_prompt_left < room ? (int)lanes[i].n_prompt_left : room;
        room -= rows[i];
        n_rows += rows[i];
    }
    return n_rows;
}

int schedule_piece(int64_t stall_us, double step_us, double us_per_row)
{
    if (stall_us <= 0 || us_per_row <= 0) return 0;
    const double rows = ((double)stall_us - step_us) / us_per_row;
    if (rows < PIECE_ROWS_MIN) return PIECE_ROWS_MIN;
    return rows < (1 << 20) ? (int)rows : 1 << 20;
}

int64_t schedule_hold_us(bool sweeps, bool somebody_came, int n_lanes_free, double step_us)
{
    if (!sweeps || !somebody_came || n_lanes_free == 0) return 0;
    const double share = step_us / HOLD_SHARE;
    return share < HOLD_US_MAX ? (int64_t)share : HOLD_US_MAX;
}
