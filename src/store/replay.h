/* SPDX-License-Identifier: Apache-2.0
 * store/replay.h - what a store with this policy and so much room would have had in memory.
 *
 * Runs policies over a trace as model/moe.c runs a store: a layer's experts at once, those in memory first, as many
 * at a time as there is room for.  The first half of the steps chooses, the second half judges. */
#ifndef STORE_REPLAY_H
#define STORE_REPLAY_H

#include "store/policy.h"
#include "store/trace.h"

/* The policy that knows the future: who is asked for last leaves.  No policy without foresight hits more.
 * Source: Belady, "A study of replacement algorithms", IBM Systems Journal 5(2), 1966; here for sets of experts
 * that are asked for together. */
#define REPLAY_ORACLE "oracle"

typedef struct ReplayScore { int64_t n_uses, n_hits; } ReplayScore;

typedef struct Replay {
    ReplayScore first, second;          /* halves of the trace                             */
} Replay;

/* `room`: experts in memory, at least 1.  `shares`, `n_rows`: what earlier runs learned, as policy_prime; then those
 * used most lie in memory at the beginning.  NULL: nothing is known and nothing there. */
Status replay(const Trace *trace, const char *policy, int room, const float *shares, int64_t n_rows, Replay *out,
              Error *error);

/* Share of hits; 0 where nothing was asked. */
static inline double score_rate(ReplayScore s)
{
    return s.n_uses ? (double)s.n_hits / (double)s.n_uses : 0;
}

/* ---- every policy, several budgets ---- */

enum { REPLAY_BUDGETS = 9, REPLAY_POLICIES_MAX = 16 };

typedef struct ReplayTable {
    int         n_policies;             /* the oracle is the last                          */
    const char *policies[REPLAY_POLICIES_MAX];
    int         room[REPLAY_BUDGETS];   /* 10 %, 20 % .. 90 % of all experts, rounded; at least 1 */
    Replay      cell[REPLAY_POLICIES_MAX][REPLAY_BUDGETS];
    int         chosen;                 /* best of the first halves, over all budgets together */
} ReplayTable;

/* tell: asked before each cell with how many are done; non-zero ends with CANCELLED.  May be NULL. */
Status replay_table(const Trace *trace, int (*tell)(void *user, int64_t done, int64_t total), void *user,
                    ReplayTable *out, Error *error);

#endif
