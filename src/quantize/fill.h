/* SPDX-License-Identifier: Apache-2.0
 * quantize/fill.h - the random weights of a synthetic model, tensor by tensor.  Why they are drawn
 * as they are is told in fill.c. */
#ifndef QUANTIZE_FILL_H
#define QUANTIZE_FILL_H

#include "arch/outline.h"
#include "quantize/synth.h"

typedef struct Fill Fill;

/* skew: see SynthOptions.  Memory does not depend on the size of the tensors. */
Status fill_new(const Sizes *sizes, double skew, uint64_t seed, Fill **out, Error *error);
void   fill_free(Fill *fill);

/* Bytes written so far go to progress, with the total; a non-zero answer is CANCELLED. */
typedef struct Meter { ProgressFn progress; void *user; int64_t done, total; } Meter;
Status meter_add(Meter *meter, int64_t n_bytes, Error *error);

/* All of one tensor.  `index` counts the file's tensors: with the seed it decides the numbers, so that
 * the same options give the same file on any number of threads.  The embedding comes first. */
Status fill_tensor(Fill *fill, const OutTensor *tensor, int index, GgufWriter *w, Meter *meter, Error *error);

#endif
