/* SPDX-License-Identifier: Apache-2.0
 * train/prefer.c - see prefer.h. */
#include "train/prefer.h"

#include <math.h>

/* ORDER: tokens upwards, in double. */
static double sum_of(const Batch *b, const float *logprobs, int64_t sequence)
{
    double sum = 0;
    for (int64_t i = sequence * b->n_tokens; i < (sequence + 1) * b->n_tokens; i++)
        if (b->targets[i] >= 0) sum += (double)logprobs[i];
    return sum;
}

static double margin(const Prefer *p, int64_t pair, double preferred, double other)
{
    const double *r = p->reference + 2 * pair;
    return p->beta * ((preferred - r[0]) - (other - r[1]));
}

/* log(1 + exp(-m)) without overflow. */
static void count(Prefer *p, double m)
{
    p->loss += m > 0 ? log1p(exp(-m)) : log1p(exp(m)) - m;
    p->n_preferred += m > 0;
    p->n_pairs++;
}

static void weigh_sequence(const Batch *b, int64_t sequence, double weight, float *weights)
{
    for (int64_t i = sequence * b->n_tokens; i < (sequence + 1) * b->n_tokens; i++)
        weights[i] = b->targets[i] >= 0 ? (float)weight : 0;
}

Status prefer_weigh(void *user, const float *logprobs, float *weights, Error *error)
{
    Prefer *p = user;
    const Batch *b = p->batch;
    for (int64_t pair = 0; pair < b->n_sequences / 2; pair++) {
        const double m = margin(p, pair, sum_of(b, logprobs, 2 * pair), sum_of(b, logprobs, 2 * pair + 1));
        if (!isfinite(m)) return fail(error, FAILED, "the margin of a preference is no number");
        const double pull = p->share * p->beta / (1 + exp(m));
        count(p, m);
        weigh_sequence(b, 2 * pair, -pull, weights);
        weigh_sequence(b, 2 * pair + 1, pull, weights);
    }
    return OK;
}

void prefer_count(Prefer *p, const double *sums)
{
    for (int64_t pair = 0; pair < p->batch->n_sequences / 2; pair++)
        count(p, margin(p, pair, sums[2 * pair], sums[2 * pair + 1]));
}

/* ---- log probabilities alone ---- */

typedef struct Sums { const Batch *batch; double *sums; } Sums;

/* A loss that is asked for once and then gives up: what was wanted has been seen, and nothing goes back. */
static Status take_sums(void *user, const float *logprobs, float *weights, Error *error)
{
    const Sums *s = user;
    (void)weights;
    for (int64_t i = 0; i < s->batch->n_sequences; i++) s->sums[i] = sum_of(s->batch, logprobs, i);
    return fail(error, CANCELLED, "seen");
}

Status prefer_sums(Net *net, const Batch *batch, double *sums, Error *error)
{
    Sums wanted = { batch, sums };
    NetReport report = { 0 };
    const Status status = net_learn_weighed(net, batch, take_sums, &wanted, 0, &report, error);
    return status == CANCELLED ? OK : status;
}
