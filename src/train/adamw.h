/* SPDX-License-Identifier: Apache-2.0
 * train/adamw.h - from gradients to weights: AdamW, and the rate it goes at.
 *
 * Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", arXiv 1711.05101.
 *
 * Bits     Threads share out chunks of fixed size, and the length of the gradient is added up chunk by chunk in order:
 *          the weights after a step are the same bytes on any number of threads. */
#ifndef TRAIN_ADAMW_H
#define TRAIN_ADAMW_H

#include "base/pool.h"
#include "train/net.h"

typedef struct AdamwOptions { double beta1, beta2, epsilon, weight_decay, clip; } AdamwOptions;

typedef struct Adamw {
    AdamwOptions options;
    int64_t      n_values, n_chunks;
    float       *mean, *square;         /* [n_values] moving means of gradients and of their squares */
    float       *decays;                /* [n_chunks] 1 where weights decay                 */
    int64_t     *begins;                /* [n_chunks + 1]                                   */
    double      *sums;                  /* [n_chunks] of squares                            */
} Adamw;

/* params lie one after the other in values; chunks never cross from one into the next. */
Status adamw_new(const AdamwOptions *options, const Param *params, int n_params, int64_t n_values, Adamw *out,
                 Error *error);
void   adamw_free(Adamw *adamw);
/* One step, the first is 1.  Answers the length of the gradient before it was clipped. */
double adamw_step(Adamw *adamw, Pool *pool, float *values, const float *grads, int64_t step, double rate);

/* Rate of a step from 1 to n_steps: rises in a line, then falls as half a cosine. */
typedef struct Schedule { double rate, final_rate; int64_t warm_up, n_steps; } Schedule;
double schedule_rate(const Schedule *schedule, int64_t step);

#endif
