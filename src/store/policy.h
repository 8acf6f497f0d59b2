/* SPDX-License-Identifier: Apache-2.0
 * store/policy.h - which expert leaves when room is needed.
 *
 * A policy sees which experts each step uses and, when a store has no room left, names the one that goes.  It
 * knows no weights, so that policies can be compared on recorded routing alone (store/replay.h).
 *
 * A key is layer * n_experts + expert.  Layers come 0, 1, .. L-1 in each step, again and again: an expert of a
 * later layer may be asked for at once, one of a layer just passed in a whole step at the earliest. */
#ifndef STORE_POLICY_H
#define STORE_POLICY_H

#include "base/base.h"

typedef struct Policy Policy;

typedef struct PolicyKind {
    const char *name;
    const char *what;           /* in a line, for people                                   */
    float     (*wait)(const Policy *p, int32_t key, int layer);     /* the longest one goes; policy.c */
} PolicyKind;

#define POLICY_DEFAULT "next"

/* All there are, the default first. */
extern const PolicyKind policy_kinds[];
extern const int        n_policy_kinds;
/* NULL: there is none of that name. */
const PolicyKind *policy_kind(const char *name);

/* `name` NULL: the default.  Nothing is allocated afterwards. */
Status policy_new (const char *name, int n_layers, int n_experts, Policy **out, Error *error);
void   policy_free(Policy *policy);                     /* NULL is fine                    */
const char *policy_name(const Policy *policy);

/* What earlier runs learned: shares[key] is the share of its layer's answers that came from this expert (a layer's sum
 * to 1), known from n_rows rows.  Before the first step. */
void policy_prime(Policy *policy, const float *shares, int64_t n_rows);

/* A step of the network begins. */
void policy_step(Policy *policy);
/* An expert serves n_rows rows of this step, wherever it lay; in the order of layers, once per step and expert. */
void policy_used(Policy *policy, int32_t key, int n_rows);
/* Which of these resident experts that nobody holds leaves, as an index into candidates[n], n >= 1; the step
 * stands at `layer`.  Cost: one look at each. */
int  policy_victim(Policy *policy, const int32_t *candidates, int n, int layer);

/* [L*E] how many rows each expert has served since the policy was made: what is learned from use. */
const int64_t *policy_uses(const Policy *policy);

#endif
