/* SPDX-License-Identifier: Apache-2.0
 * gen/pace.c - how many drafts pay; see speculate.h. */
#include <math.h>

#include "gen/speculate.h"

/* A measurement that is older than so many steps says nothing any more, and its size is tried again. */
enum { FORGET_STEPS = 200 };
/* What is believed of drafts before any was tried, and how many tries that belief is worth.  Longer matches go on
 * more often. */
static const double believed[DRAFT_KINDS] = { 0.4, 0.6, 0.8 };
enum { BELIEF = 4 };
static const double NEW_SHARE = 0.25;       /* of a new step in the running mean               */
static const double FADE = 0.97;            /* of old tries with each new one                  */

double experts_touched(int n_experts, int n_used, int n_rows)
{
    return n_experts * (1 - pow(1 - (double)n_used / n_experts, n_rows));
}

static int kind_of(int n_matched)
{
    return n_matched < 4 ? 0 : n_matched < 10 ? 1 : 2;
}

void pace_begin(Pace *p, int n_experts, int n_used, double expert_share)
{
    *p = (Pace){ .n_experts = n_experts, .n_used = n_used, .expert_share = expert_share };
    for (int i = 0; i < DRAFT_KINDS; i++) {
        p->tried[i] = BELIEF;
        p->right[i] = BELIEF * believed[i];
    }
}

void pace_step(Pace *p, int n_rows, double us, double wait_us)
{
    const double old = p->us[n_rows];
    p->us[n_rows] = old > 0 ? old + NEW_SHARE * (us - old) : us;
    for (int n = 1; n < SPECULATE_MAX + 2; n++) {
        if (p->us[n] > 0 && ++p->age[n] > FORGET_STEPS) p->us[n] = 0;
    }
    p->age[n_rows] = 0;
    if (n_rows == 1 && us > 0) p->wait_share += (old > 0 ? NEW_SHARE : 1) * (wait_us / us - p->wait_share);
}

void pace_draft(Pace *p, int n_matched, bool right)
{
    const int kind = kind_of(n_matched);
    p->tried[kind] = FADE * p->tried[kind] + 1;
    p->right[kind] = FADE * p->right[kind] + right;
}

/* What n rows cost in units of one: waiting for the disk grows as the experts touched do, and so does the experts'
 * share of the rest; the other weights are read once for all rows. */
static double relative(const Pace *p, int n_rows)
{
    const double more = experts_touched(p->n_experts, p->n_used, n_rows) / p->n_used;
    return p->wait_share * more + (1 - p->wait_share) * (1 - p->expert_share + p->expert_share * more);
}

/* What was measured; else the nearest smaller step that was, scaled. */
double pace_step_us(const Pace *p, int n_rows)
{
    for (int n = n_rows; n >= 1; n--)
        if (p->us[n] > 0) return p->us[n] * relative(p, n_rows) / relative(p, n);
    for (int n = n_rows + 1; n < SPECULATE_MAX + 2; n++)
        if (p->us[n] > 0) return p->us[n] * relative(p, n_rows) / relative(p, n);
    return 0;
}

/* k drafts of which each is right with probability q give 1 + q + .. + q^k tokens. */
int pace_depth(const Pace *p, int n_drafted, int n_matched)
{
    const int kind = kind_of(n_matched);
    const double q = p->right[kind] / p->tried[kind];
    double tokens = 1, chance = 1, best_rate = 0;
    int best = 0;
    for (int k = 0; k <= n_drafted; k++) {
        const double us = pace_step_us(p, k + 1);
        if (us <= 0) return 0;              /* one row is measured first                       */
        if (tokens / us > best_rate) {
            best_rate = tokens / us;
            best = k;
        }
        chance *= q;
        tokens += chance;
    }
    return best;
}
