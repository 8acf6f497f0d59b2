/* SPDX-License-Identifier: Apache-2.0
 * train/weights.h - weights of a model file, as a net wants them: heads pair neighbours, whatever the file does. */
#ifndef TRAIN_WEIGHTS_H
#define TRAIN_WEIGHTS_H

#include "arch/arch.h"
#include "base/arena.h"

typedef struct WeightSource {
    const Arch    *arch;
    const Catalog *catalog;
    const Sizes   *sizes;
    Error         *error;
} WeightSource;

/* Does the embedding serve as output matrix? */
Status weights_tied(const WeightSource *from, bool *out);
/* All numbers of a matrix or a vector, [rows][cols]. */
Status weights_decode(const WeightSource *from, Role role, int layer, int expert, float *to);
/* Its rows as the file has them, in `arena`. */
Status weights_keep(const WeightSource *from, Role role, int layer, int expert, Arena *arena, Format *format,
                    const void **out);

#endif
