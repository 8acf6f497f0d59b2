/* SPDX-License-Identifier: Apache-2.0
 * gen/speculate.h - several tokens in one step, where the text repeats itself.
 *
 * What followed the last time the text ended as it ends now is drafted, and all of it goes through the network in one
 * step. Token after token is then picked as it would have been without drafts, from the same logits (D1), with the
 * same sampler; the first that is not the draft's ends it, and the session forgets the rows behind it.  So the answer
 * is the same bytes, whatever was drafted.
 *
 * An extra row is not free: N rows touch about E (1 - (1 - U/E)^N) of a layer's E experts, which are read from memory,
 * or from the disk.  How many drafts pay follows from that, from what steps took, and from how often drafts were
 * right.  Source: Saxena 2023, "Prompt Lookup Decoding". */
#ifndef GEN_SPECULATE_H
#define GEN_SPECULATE_H

#include "gen/talk.h"

enum { DRAFT_MATCH_MIN = 2, DRAFT_MATCH_MAX = 24 };

/* The text is tokens[0..n) and then `next`.  Finds where its longest end (up to DRAFT_MATCH_MAX tokens) stood before,
 * the last such place, and drafts what followed there: at most `most` tokens.  *n_matched: how long that end is.  How
 * many were drafted: 0 when no end of DRAFT_MATCH_MIN tokens came twice. */
int draft_tokens(const int32_t *tokens, int64_t n, int32_t next, int32_t *out, int most, int *n_matched);

/* Experts of a layer that n rows touch when each chooses n_used of n_experts by chance. */
double experts_touched(int n_experts, int n_used, int n_rows);

/* ---- how many drafts pay ---- */

enum { DRAFT_KINDS = 3 };                   /* short, middling and long matches                */

typedef struct Pace {
    int    n_experts, n_used;
    double expert_share;                    /* of the bytes that one row reads                 */
    double wait_share;                      /* of the time of a step of one row: for the disk  */
    /* steps of so many rows: what they took, and how many steps ago that was; us 0: never */
    double us[SPECULATE_MAX + 2];
    int    age[SPECULATE_MAX + 2];
    double tried[DRAFT_KINDS], right[DRAFT_KINDS];      /* drafts, the old ones fading             */
} Pace;

void   pace_begin(Pace *pace, int n_experts, int n_used, double expert_share);
/* A step of n_rows took `us`, of which the disk was waited for wait_us. */
void   pace_step(Pace *pace, int n_rows, double us, double wait_us);
/* A draft after a match of n_matched tokens was right, or not. */
void   pace_draft(Pace *pace, int n_matched, bool right);
double pace_step_us(const Pace *pace, int n_rows);      /* expected; 0: nothing was measured   */
/* How many of n_drafted to verify, for the most tokens per second. */
int    pace_depth(const Pace *pace, int n_drafted, int n_matched);

/* ---- the loop ---- */

/* Until the answer ends; like generate() without drafts. */
Status speculate(Talk *talk, Error *error);

#endif
