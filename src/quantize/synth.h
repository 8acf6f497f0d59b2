/* SPDX-License-Identifier: Apache-2.0
 * quantize/synth.h - a valid model of any true shape with random, well-behaved weights. */
#ifndef QUANTIZE_SYNTH_H
#define QUANTIZE_SYNTH_H

#include "base/base.h"

typedef int (*ProgressFn)(void *user, int64_t done_bytes, int64_t total_bytes);     /* non-zero stops */

typedef struct SynthOptions {
    const char *like;                   /* a row of synth_shapes                            */
    int64_t     n_layers, width, hidden, n_heads, n_kv_heads, head_size, n_experts, n_used, n_vocab, n_context, window;
                                        /* 0: as `like` has it; n_experts -1: dense; window -1: none */
    double      router_skew;            /* Zipf exponent over experts, up to 4; 0: uniform  */
    const char *type;                   /* one of recipe_names                              */
    uint64_t    seed;
    ProgressFn  progress;  void *progress_user;
} SynthOptions;

extern const char *const *const synth_shapes;           /* NULL-ended                       */
/* Bytes of all tensors of such a model; writes nothing. */
Status synth_bytes(const SynthOptions *options, int64_t *out, Error *error);
Status synth(const char *to, const SynthOptions *options, Error *error);

#endif
