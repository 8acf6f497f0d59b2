/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/avx512.h - steps that several AVX-512 kernels share.  For *_avx512.c only. */
#ifndef KERNEL_X86_AVX512_H
#define KERNEL_X86_AVX512_H

#include "kernel/x86/avx2.h"

/* The lanes added up: upper half to lower, then as AVX2 does. */
static inline float sum_lanes_16(__m512 v)
{
    return sum_lanes(_mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)));
}

/* The first n < 16 lanes. */
static inline __mmask16 first_lanes_16(size_t n)
{
    return (__mmask16)((1u << n) - 1);
}

#endif
