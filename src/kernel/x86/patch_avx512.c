/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/patch_avx512.c - patches of floats, AVX-512: the bits of AVX2. */
#include "kernel/x86/patch_avx512.h"

INLINE __m512 add_word(__m512 sum, const int32_t *a, __m512i b)
{
    return _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_set1_epi32(*a)), _mm512_castsi512_ps(b), sum);
}
PATCH(patch_f32_avx512, add_word)
