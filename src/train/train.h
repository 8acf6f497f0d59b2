/* SPDX-License-Identifier: Apache-2.0
 * train/train.h - the loop: texts in, a model file out, and everything between them kept safe. */
#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H

#include "base/io.h"

typedef enum TrainStage {
    TRAIN_PASS,                 /* one pass of a step is done; asks whether to go on       */
    TRAIN_STEP,                 /* a step is done                                          */
    TRAIN_JUDGED,               /* the held-out text was looked at                         */
    TRAIN_SAVED,                /* a checkpoint was written                                */
    TRAIN_DONE                  /* the model was written                                   */
} TrainStage;

typedef struct TrainHeld { const char *path; double loss, bits_per_byte; } TrainHeld;   /* nats per token */

typedef struct TrainProgress {
    TrainStage    stage;
    int64_t       step, n_steps, pass, n_passes;
    int64_t       tokens, n_tokens;         /* gone through, and of the whole run          */
    double        loss, rate, length;       /* of the last step: nats per target, .., gradient */
    double        balance, router_z, entropy, dropped;
    int64_t       n_pairs;                  /* preferences of the last step: then loss is per pair ..  */
    double        preferred;                /* .. and so many went the right way           */
    double        tokens_per_s, seconds_left, seconds;
    int64_t       n_layers, n_experts;      /* n_experts 1: dense                          */
    const double *uses;                     /* [L][E] shares of the last step              */
    const double *layer_entropy;            /* [L] nats                                    */
    const TrainHeld *held;  int n_held;     /* of the last look                            */
    TrainHeld     all;                      /* all held-out files together                 */
    const char   *path;                     /* SAVED, DONE: what was written               */
} TrainProgress;

typedef struct TrainOptions {
    const char *config;
    const char *from, *output;              /* NULL: as the configuration says             */
    Memory      memory;                     /* what is meant when `from` is its name       */
    int         n_threads;                  /* 0: as the configuration says                */
    const char *cpu_set;                    /* NULL: the best there is                     */
    bool        fresh;                      /* a checkpoint that is there is not continued */
    void      (*log)(void *user, const char *line);                         void *log_user;
    int       (*progress)(void *user, const TrainProgress *progress);       void *progress_user;
} TrainOptions;

/* Goes on from the folder's checkpoint when there is one.  A non-zero answer of progress ends the run: it is saved,
 * and the status is CANCELLED. */
Status train(const TrainOptions *options, Error *error);

#endif
