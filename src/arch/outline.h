/* SPDX-License-Identifier: Apache-2.0
 * arch/outline.h - what every model file that we write begins with: the family's sizes and
 * the list of tensors, all named by the family's table. */
#ifndef ARCH_OUTLINE_H
#define ARCH_OUTLINE_H

#include "arch/arch.h"
#include "file/gguf_write.h"

enum { OUT_NAME_BYTES = 96 };

typedef struct OutTensor {
    Role    role;
    int     layer;                  /* 0 where the role has none                            */
    char    name[OUT_NAME_BYTES];
    int     n_dims;
    int64_t dims[3];                /* outermost first; [0] is the experts where there are three */
    Format  format;                 /* F32 until somebody decides                           */
    bool    vector;
} OutTensor;

typedef struct OutList { OutTensor *tensors; int n; } OutList;     /* free(tensors)         */

/* All tensors of such a model, as they shall lie in the file: embedding, layers, output. */
Status out_list(const Arch *arch, const Sizes *sizes, bool with_output, OutList *out, Error *error);
int64_t out_rows(const OutTensor *tensor);                  /* of all experts               */
int64_t out_cols(const OutTensor *tensor);
int64_t out_bytes(const OutTensor *tensor);

/* The name that one expert's matrix has in files whose experts are not stacked: "blk.0.ffn_up.5.weight".  Of any other
 * tensor its own. */
void out_slice_name(const Arch *arch, const OutTensor *tensor, int expert, char name[OUT_NAME_BYTES]);

/* Numbers per row must be whole blocks; BAD_ARGUMENT says which tensor is in the way. */
Status out_check(const OutTensor *tensor, Error *error);

Status put_sizes(GgufWriter *w, const Arch *arch, const Sizes *sizes, Error *error);
Status put_words(GgufWriter *w, const char *key, const char *words, Error *error);

#endif
