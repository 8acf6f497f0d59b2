/* SPDX-License-Identifier: Apache-2.0
 * gen/schedule.h - which rows go into the next step: a pure function, so that its promises can be tested without a
 * model.
 *
 * A lane is a sequence under way.  It reads its prompt, in pieces of any size, or writes, one row a step.  Promises:
 *
 *   1. Every lane that writes has its row in every step: however long a prompt is, nobody skips a step for it.
 *   2. Where experts are in memory, prompts add at most piece_rows_max rows to a step that has rows of writers, so that
 *      a writer's step takes no longer than somebody wished.
 *   3. Where experts come from the disk a step is a sweep over the file, whose time hardly depends on its rows: then
 *      prompts fill it to the brim.
 *   4. Prompts are read in the order in which they came, and a step with room for a prompt's rows has some. */
#ifndef GEN_SCHEDULE_H
#define GEN_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct LaneNeed {
    int64_t order;              /* who came first has the least                            */
    int64_t n_prompt_left;      /* tokens of the prompt not yet given; 0: it writes        */
} LaneNeed;

typedef struct ScheduleRules {
    int  n_rows_max;            /* of a step; at least the number of lanes                 */
    int  piece_rows_max;        /* see promise 2; 0: no limit                              */
    bool sweeps;                /* experts come from the disk                              */
} ScheduleRules;

/* rows[i]: how many lane i has in the next step.  Their sum. */
int schedule_rows(const LaneNeed *lanes, int n_lanes, const ScheduleRules *rules, int *rows);

/* Rows that may be read beside writers so that a step takes about stall_us; at least PIECE_ROWS_MIN, or reading would
 * never end. */
enum { PIECE_ROWS_MIN = 16 };
int schedule_piece(int64_t stall_us, double step_us, double us_per_row);

/* How long to wait for somebody who may come before a sweep begins, since one who comes a moment late waits for all of
 * it.  Only when somebody came during the last step (others may follow) and lanes are free; never longer than
 * HOLD_US_MAX, and never more than a fiftieth of what a step takes. */
enum { HOLD_US_MAX = 5000, HOLD_SHARE = 50 };
int64_t schedule_hold_us(bool sweeps, bool somebody_came, int n_lanes_free, double step_us);

#endif
