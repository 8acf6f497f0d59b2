/* SPDX-License-Identifier: Apache-2.0
 * gen/sampler.h - one row of logits to one token.
 *
 * ORDER sampler: logit bias; repeat, presence and frequency penalties over the last tokens; with
 * temperature 0 the largest logit, the lower id on a tie; else top-k, typical-p, top-p, min-p,
 * temperature, draw. The same seed and logits give the same token whatever the thread count. */
#ifndef GEN_SAMPLER_H
#define GEN_SAMPLER_H

#include "base/base.h"

typedef struct LogitBias { int32_t token; float add; } LogitBias;

typedef struct SamplerOptions {
    float            temperature;           /* 0: greedy                                    */
    int              top_k;                 /* 0: all                                       */
    float            top_p, min_p, typical_p;   /* 1, 0, 1: all                             */
    float            repeat_penalty;        /* 1: none.  A logit above 0 is divided, below multiplied */
    float            presence_penalty, frequency_penalty;   /* 0: none                      */
    int              penalty_last_n;        /* -1: all, 0: none                             */
    uint64_t         seed;
    const LogitBias *bias;  size_t n_bias;
} SamplerOptions;

typedef struct Sampler Sampler;

/* Checks the options (BAD_ARGUMENT names the one out of range); scratch for n_vocab. */
Status sampler_new(int64_t n_vocab, const SamplerOptions *options, Sampler **out, Error *error);
void   sampler_free(Sampler *sampler);
/* history: the tokens so far, oldest first.  FAILED when a logit is NaN or all are -inf. No allocation. */
Status sampler_pick(Sampler *sampler, const float *logits, const int32_t *history, size_t n_history,
                    int32_t *out, Error *error);

#endif
