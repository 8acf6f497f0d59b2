/* SPDX-License-Identifier: Apache-2.0
 * tests/kernel/check.h - compare every fast kernel with its reference.
 *
 * For each instruction set the machine has, from least to most, the checker builds a kernel table
 * and runs each kernel whose pointer changed.  Buffers lie between two unreadable pages, first
 * flush with the one behind and then with the one before, so reading or writing one byte too far is
 * a crash with a name. Verdicts are equality, or bounds derived from rounding; never a number
 * picked to pass. */
#ifndef KERNEL_CHECK_H
#define KERNEL_CHECK_H

#include "kernel/kernel.h"

#include <stdio.h>

typedef enum Fill { FILL_NORMAL, FILL_ZERO, FILL_LARGEST, FILL_SPARSE, N_FILLS } Fill;

typedef struct Check {
    const char *kernel, *set;   /* what is being judged, for messages                      */
    bool        bench;
    bool        at_front;       /* which unreadable page the buffers touch                 */
    int         failed, passed;
    uint64_t    seed;
    Rng         rng;
} Check;

/* n_bytes between unreadable pages, until the next forget_buffers. */
void *buffer(Check *check, size_t n_bytes);
void  forget_buffers(void);
/* n floats of a kind; `largest` is the magnitude of FILL_LARGEST. */
float *floats(Check *check, size_t n, Fill fill, float largest);
float  random_normal(Check *check);

/* Each counts one pass or one failure, and prints a failure with the seed, want and got. */
bool judge(Check *check, double want, double got, double bound, const char *what, size_t n,
           Fill fill);
bool judge_same(Check *check, const float *want, const float *got, size_t n, const char *what,
                Fill fill);
bool judge_bytes(Check *check, const void *want, const void *got, size_t n_bytes, const char *what);

/* Nanoseconds of the fastest of many runs. */
double best_ns(void (*run)(void *arg), void *arg);
void   print_speed(const Check *check, size_t n, double n_bytes, double ns, double ref_ns);

#define KERNEL(name, Signature, text)                                                              \
    void check_##name(Check *check, const Kernels *ref, const Kernels *now);
#include "kernel/kernels.def"
#undef KERNEL

#endif
