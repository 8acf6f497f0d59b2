/* SPDX-License-Identifier: Apache-2.0
 * train/checkpoint.h - everything a run needs to go on as if nothing had been.  docs/format/checkpoint.md is the
 * format, byte by byte. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include "train/adamw.h"
#include "train/curves.h"

typedef struct Checkpoint {
    /* What must be the same: see config_binding, config_defaults, data_digest, corpus_format_digest. */
    const char  *binding, *defaults;
    uint64_t     data, format;
    const Param *params;                /* names and shapes of what learns                  */
    int          n_params;
    /* What is kept. */
    int64_t      step, tokens;          /* done so far                                      */
    double       seconds;
    float       *values;                /* [adamw->n_values]                                */
    Adamw       *adamw;
    Curves      *curves;
} Checkpoint;

Status checkpoint_write(const char *path, const Checkpoint *checkpoint, Error *error);
/* Into a checkpoint whose first group is filled in and whose arrays are there.  NOT_FOUND when there is no file;
 * BAD_FILE when it is broken, BAD_ARGUMENT when it belongs to another run, which the sentence explains: then the
 * arrays hold anything.  *curves_lost: the held-out files have changed, so the marks before are not shown. */
Status checkpoint_read(const char *path, Checkpoint *checkpoint, bool *curves_lost, Error *error);

#endif
