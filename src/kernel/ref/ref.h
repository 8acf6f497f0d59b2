/* SPDX-License-Identifier: Apache-2.0
 * kernel/ref/ref.h - the references: what each kernel means, in the plainest loop that is right. */
#ifndef KERNEL_REF_REF_H
#define KERNEL_REF_REF_H

#include "kernel/kernel.h"

#define KERNEL(name, Signature, text) Signature name##_ref;
#include "kernel/kernels.def"
#undef KERNEL

void kernels_fill_ref(Kernels *table);

#endif
