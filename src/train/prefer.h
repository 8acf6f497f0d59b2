/* SPDX-License-Identifier: Apache-2.0
 * train/prefer.h - learning to prefer one answer to another: direct preference optimisation.
 *
 * Source: Rafailov et al. 2023, "Direct Preference Optimization", arXiv 2305.18290, equation 7.
 *
 * Sequences come in pairs, the preferred answer first.  With s the log probability of an answer now and r what it was
 * in the model that training began with, a pair's loss is
 *
 *     -log sigmoid(m)     m = beta * ((s - r) of the preferred - (s - r) of the other)
 *
 * so d/ds is -beta * sigmoid(-m) of the first and the opposite of the second. */
#ifndef TRAIN_PREFER_H
#define TRAIN_PREFER_H

#include "train/net.h"

typedef struct Prefer {
    double         beta;
    const Batch   *batch;
    const double  *reference;           /* [B] r of every sequence                          */
    double         share;               /* 1 / pairs of the step                            */
    /* What a pass saw, added up. */
    double         loss;
    int64_t        n_pairs, n_preferred;        /* pairs with m > 0                         */
} Prefer;

/* A WeighFn; `user` is the Prefer. */
Status prefer_weigh(void *user, const float *logprobs, float *weights, Error *error);
/* Log probabilities of the B answers of a batch. */
Status prefer_sums(Net *net, const Batch *batch, double *sums, Error *error);
/* Counts pairs whose sums are known, without learning. */
void   prefer_count(Prefer *prefer, const double *sums);

#endif
