/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/patch_bf16_avx512.c - patches of BF16, AVX-512 with AVX512_BF16.
 *
 * That set has a bit of its own, which the machine may lack though it has all of CPU_AVX512: then the table keeps
 * the patch of AVX2 (fill_avx512.c).  The instruction adds both products of a word, rounds to nearest and takes
 * subnormal numbers for zero, so its bits are not those of AVX2.
 * Source: Intel, Architecture Instruction Set Extensions, VDPBF16PS. */
#include "kernel/x86/patch_avx512.h"

INLINE __m512 add_word(__m512 sum, const int32_t *a, __m512i b)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(*a), (__m512bh)b);
}
PATCH(patch_bf16_avx512, add_word)
