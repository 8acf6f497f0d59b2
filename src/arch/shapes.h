/* SPDX-License-Identifier: Apache-2.0
 * arch/shapes.h - sizes of models that were published, by name, and of a tiny one for tests. */
#ifndef ARCH_SHAPES_H
#define ARCH_SHAPES_H

#include "arch/arch.h"

extern const char *const arch_shape_names[];        /* NULL-ended                           */
/* Everything but n_turned, which is the whole head.  False when there is no such name. */
bool arch_shape(const char *name, Sizes *out);

#endif
