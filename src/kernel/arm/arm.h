/* SPDX-License-Identifier: Apache-2.0
 * kernel/arm/arm.h - the prototypes of kernels for NEON with dot products (ARMv8.2).
 *
 * All are declared; fill_neon.c says which exist. */
#ifndef KERNEL_ARM_ARM_H
#define KERNEL_ARM_ARM_H

#include "kernel/kernel.h"

#define KERNEL(name, Signature, text) Signature name##_neon;
#include "kernel/kernels.def"
#undef KERNEL

void kernels_fill_neon(Kernels *table);

#endif
