/* SPDX-License-Identifier: Apache-2.0
 * kernel/kernel.h - the arithmetic of one CPU core.
 *
 * A kernel is a leaf: no allocation, no threads, no errors, no globals.  It gets pointers and
 * counts, and it does arithmetic.  For each kernel there is one scalar reference (ref/) that says
 * what is right, and any number of faster twins (x86/).  Nothing needs alignment beyond that of its
 * type, and nothing is read or written outside the n values.
 *
 * Bits     What a kernel computes depends on its arguments only, never on addresses (decision D1).
 *          Instruction sets may differ from each other within the bounds that tests/kernel derives;
 *          decoders and rotations may not differ at all. */
#ifndef KERNEL_KERNEL_H
#define KERNEL_KERNEL_H

#include "number/format.h"

typedef void  DecodeFn (float *to, const void *from, size_t n);
typedef void  EncodeFn (void *to, const float *from, size_t n);
typedef float DotFn    (const float *w, const float *x, size_t n);
typedef void  Dot4Fn   (float y[4], const float *w, const float *const x[4], size_t n);
typedef void  NormFn   (float *y, const float *x, const float *g, size_t n, float eps);
typedef void  AddFn    (float *y, const float *x, size_t n);
typedef void  AxpyFn   (float *y, float a, const float *x, size_t n);
typedef void  ScaleFn  (float *y, float a, size_t n);
typedef void  SiluMulFn(float *y, const float *gate, const float *up, size_t n);
typedef float MaxFn    (const float *x, size_t n);
typedef float ExpSumFn (float *x, float max, size_t n);
typedef void  RopeFn   (float *x, const float *cosine, const float *sine, size_t n_pairs);

typedef struct Kernels {
#define KERNEL(name, Signature, text) Signature *name;
#include "kernel/kernels.def"
#undef KERNEL
} Kernels;

/* Instruction sets, each implying those before it. */
typedef enum CpuSet { CPU_REF, CPU_AVX2, CPU_AVX512, N_CPU_SETS } CpuSet;

extern const char *const cpu_set_name[N_CPU_SETS];          /* "ref", "avx2", "avx512"     */

bool   cpu_set_from_name(const char *name, CpuSet *out);
CpuSet cpu_detect(void);                                    /* the best this machine has   */

/* Fill the whole table with references, then let every set up to `set` overwrite what it does
 * better. `set` is at most cpu_detect(). */
void kernels_select(Kernels *table, CpuSet set);

/* The decoder of a format; NULL for F32, which needs none. */
DecodeFn *kernels_decoder(const Kernels *table, Format format);

#endif
