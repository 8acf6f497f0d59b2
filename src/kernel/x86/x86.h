/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/x86.h - the prototypes of every kernel for AVX2 (with FMA and F16C) and AVX-512.
 *
 * All are declared; fill_avx2.c and fill_avx512.c say which exist. */
#ifndef KERNEL_X86_X86_H
#define KERNEL_X86_X86_H

#include "kernel/kernel.h"

#define KERNEL(name, Signature, text) Signature name##_avx2, name##_avx512;
#include "kernel/kernels.def"
#undef KERNEL

void kernels_fill_avx2(Kernels *table);
void kernels_fill_avx512(Kernels *table);

#endif
