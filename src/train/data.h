/* SPDX-License-Identifier: Apache-2.0
 * train/data.h - what is learned when: the sequences of a run, in their order, and those that are only judged.
 *
 * A phase has some texts; its documents are shuffled and packed, then its sequences are shuffled anew for each time it
 * is gone through.  Phases follow each other, each with a share of the run by its size, so a run always ends on the
 * last one.  Everything follows from the seed and a position: a run that goes on needs nothing but one number. */
#ifndef TRAIN_DATA_H
#define TRAIN_DATA_H

#include "train/config.h"
#include "train/pack.h"

typedef struct DataPhase {
    Packing  packing;
    int64_t  begin, end;                /* sequences of the run                             */
    int64_t  offset;                    /* sequences of the phases before                   */
    int64_t *order;                     /* [n_sequences / unit] of the pass that is gone through */
    int64_t  cycle;                     /* which pass that is; -1: none yet                 */
} DataPhase;

/* Of one held-out file, the sequences that are judged. */
typedef struct DataHeld {
    const char *path;
    Packing     packing;
    int64_t     n_judged;               /* of packing.n_sequences, evenly spread            */
} DataHeld;

typedef struct Data {
    const Tokenizer *tokenizer;
    int64_t    T, unit;                     /* sequences that stay together: 2 of pairs     */
    uint64_t   seed;
    Corpus    *corpora;   int n_corpora;    /* each file once, however often it is named   */
    DataPhase *phases;    int n_phases;
    DataHeld  *held;      int n_held;
    int64_t    n_sequences;                 /* of one pass over all phases                  */
    int64_t    n_run;                       /* of the run: see data_plan                    */
} Data;

typedef void (*DataLog)(void *user, const char *line);

Status data_open(const CorpusReader *reader, const Config *config, DataLog log, void *log_user, Data *out,
                 Error *error);
void   data_free(Data *data);

/* The run has n sequences: phases share them out. */
void data_plan(Data *data, int64_t n_sequences);

/* Room for n sequences: arrays are [n][T]. */
typedef struct Taken {
    int32_t *tokens, *targets, *starts;
    int64_t *numbers;                   /* [n] which of the n_sequences of a pass each is   */
    int64_t  n_targets;                 /* what is learned, in all                          */
} Taken;

/* Sequences [position, position + n) of the run. */
Status data_take(Data *data, int64_t position, int64_t n, Taken *out, Error *error);
/* Sequence number `number` of the n_sequences of a pass, in the order of phases. */
int64_t data_sequence(const Data *data, int64_t number, int32_t *tokens, int32_t *targets, int32_t *starts);
/* Judged sequence i of a held-out file. */
int64_t data_judged(const Data *data, int held, int64_t i, int32_t *tokens, int32_t *targets, int32_t *starts);
/* Bytes of text that the targets stand for: what a loss is divided by to become bits per byte. */
int64_t data_bytes(const Data *data, int64_t n, const int32_t *tokens, const int32_t *targets);

/* What the data are, for a checkpoint: a digest of the contents of all files, their order and how often. */
uint64_t data_digest(const Data *data, const Config *config);

#endif
