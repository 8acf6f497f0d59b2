/* SPDX-License-Identifier: Apache-2.0
 * kernel/ref/fill_ref.c - the table of references.  A kernel without one does not compile. */
#include "kernel/ref/ref.h"

void kernels_fill_ref(Kernels *table)
{
#define KERNEL(name, Signature, text) table->name = name##_ref;
#include "kernel/kernels.def"
#undef KERNEL
}
