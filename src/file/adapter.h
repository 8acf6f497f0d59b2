/* SPDX-License-Identifier: Apache-2.0
 * file/adapter.h - a GGUF file of low-rank pairs beside a model's matrices: docs/format/adapter.md.
 *
 * What leaves here is true of the file: pairs are whole, their shapes agree with each other, nothing else is in it.
 * Whether a model has such matrices is for model/lora.c. */
#ifndef FILE_ADAPTER_H
#define FILE_ADAPTER_H

#include "file/catalog.h"

enum { ADAPTER_RANK_MAX = 1024 };

/* y += scale * (x * a^T) * b^T beside the matrix `name` */
typedef struct AdapterPair {
    const char       *name;             /* "blk.0.attn_q.weight"                            */
    const FileTensor *a, *b;            /* [rank][cols], [rows][rank]; stacked: [E] before  */
    int64_t           n_experts;        /* of the stack; 0: none                            */
    int64_t           rows, cols, rank;
} AdapterPair;

typedef struct AdapterFile {
    Catalog      catalog;
    const char  *arch;                  /* general.architecture                             */
    double       alpha;                 /* 0: scales are not divided by ranks               */
    AdapterPair *pairs;  int64_t n;     /* in the order of the file                         */
    Arena        arena;
} AdapterFile;

/* adapter_close in every case.  BAD_FILE, UNSUPPORTED and what catalog_open says. */
Status adapter_open(const char *path, AdapterFile *out, Error *error);
void   adapter_close(AdapterFile *file);

/* What the answer of a pair is multiplied by when `given` was asked for. */
double adapter_scale(const AdapterFile *file, const AdapterPair *pair, double given);
/* One half of a pair (pair->a or pair->b) as floats; of a stack, the half of one expert.  BAD_FILE when one of them is
 * not a finite number. */
Status adapter_read(const AdapterFile *file, const AdapterPair *pair, const FileTensor *half, int64_t expert,
                    float *to, Error *error);

#endif
