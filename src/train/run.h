/* SPDX-License-Identifier: Apache-2.0
 * train/run.h - what a run consists of.  Internal to src/train: run.c puts it together, train.c goes through it. */
#ifndef TRAIN_RUN_H
#define TRAIN_RUN_H

#include "train/checkpoint.h"
#include "train/data.h"
#include "train/prefer.h"
#include "train/train.h"
#include "train/vocabulary.h"

typedef struct Run {
    TrainOptions o;
    Config       config;
    Pool        *pool;
    Kernels      kernels;
    Vocabulary   vocabulary;
    const Arch  *arch;
    Sizes        sizes;
    Data         data;
    Net         *net;
    AdapterPlan  adapters;                  /* what learns where the weights do not         */
    bool         adapts, *only;             /* [E] experts that have adapters, or NULL      */
    Param       *params;    int n_params;
    float       *values, *grads;    int64_t n_values;
    Adamw        adamw;
    Schedule     schedule;
    Curves       curves;
    Buffer       binding, defaults, checkpoint;     /* texts: settings that bind; path      */
    const char **inputs;                    /* what no output may overwrite, NULL-ended     */

    int64_t      n_step_sequences;          /* of one step: B * accumulate                  */
    int64_t      step, tokens;              /* done                                         */
    double       seconds;                   /* of earlier sessions                          */
    int64_t      start_us, saved_us;
    double       step_s;                    /* what a step takes, smoothed                  */
    Taken        taken;                     /* [n_step_sequences]: what a step learns       */
    /* Preferences: log probabilities of answers in the model that training began with. */
    double      *references;                /* [data.n_sequences], NULL: none               */
    double     **held_references;           /* [n_held][n_judged]                           */
    double      *step_references, *sums;    /* [n_step_sequences], [B]                      */
    double       preference_loss;           /* of the step                                  */
    int64_t      n_pairs, n_preferred;
    NetReport    report;                    /* of one step; its arrays are ours             */
    double      *uses, *layer_entropy;      /* the same as shares and nats                  */
    TrainHeld   *held;
    double      *held_row;                  /* [n_held + 1][2], see curves_mark             */
    TrainProgress progress;
} Run;

/* run_close in every case. */
Status run_open(const TrainOptions *options, Run *out, Error *error);
void   run_close(Run *run);

void       run_say(const Run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
Checkpoint run_checkpoint(Run *run);

#endif
