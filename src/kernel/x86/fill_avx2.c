/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/fill_avx2.c - AVX2 has a twin for every kernel. */
#include "kernel/x86/x86.h"

void kernels_fill_avx2(Kernels *table)
{
#define KERNEL(name, Signature, text) table->name = name##_avx2;
#include "kernel/kernels.def"
#undef KERNEL
}
