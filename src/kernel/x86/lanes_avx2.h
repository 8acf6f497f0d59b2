/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/lanes_avx2.h - the vectors of kernel/panel_lanes.h, AVX2: eight rows. */
#ifndef KERNEL_X86_LANES_AVX2_H
#define KERNEL_X86_LANES_AVX2_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 8 };

typedef __m256i Ints;
typedef __m256  Floats;

/* A sum of products, and what of it is still in 16 bits. */
typedef struct Dot { __m256i sum, part; } Dot;

static inline Ints ints_at(const uint32_t *words)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)words);
}

static inline Floats halves_at(const uint16_t *halves)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)halves));
}

static inline Floats floats_at(const float *x)
{
    return _mm256_loadu_ps(x);
}

static inline void put_floats(float *to, Floats x)
{
    _mm256_storeu_ps(to, x);
}

static inline Ints each_int(int32_t value)
{
    return _mm256_set1_epi32(value);
}

static inline Floats each_float(float value)
{
    return _mm256_set1_ps(value);
}

static inline Ints and_ints(Ints a, Ints b)
{
    return _mm256_and_si256(a, b);
}

static inline Ints or_ints(Ints a, Ints b)
{
    return _mm256_or_si256(a, b);
}

static inline Ints add(Ints a, Ints b)
{
    return _mm256_add_epi32(a, b);
}

static inline Ints subtract(Ints a, Ints b)
{
    return _mm256_sub_epi32(a, b);
}

static inline Ints multiply(Ints a, Ints b)
{
    return _mm256_mullo_epi32(a, b);
}

static inline Ints shift_left(Ints a, int bits)
{
    return _mm256_slli_epi32(a, bits);
}

static inline Ints shift_right(Ints a, int bits)
{
    return _mm256_srli_epi32(a, bits);
}

static inline Ints shift_right_signed(Ints a, int bits)
{
    return _mm256_srai_epi32(a, bits);
}

static inline Floats to_floats(Ints a)
{
    return _mm256_cvtepi32_ps(a);
}

static inline Floats multiply_floats(Floats a, Floats b)
{
    return _mm256_mul_ps(a, b);
}

/* sum + a * b and sum - a * b, rounded once. */
static inline Floats multiply_add(Floats a, Floats b, Floats sum)
{
    return _mm256_fmadd_ps(a, b, sum);
}

static inline Floats multiply_subtract(Floats a, Floats b, Floats sum)
{
    return _mm256_fnmadd_ps(a, b, sum);
}

static inline Dot dot_from(Ints sum)
{
    return (Dot){ sum, _mm256_setzero_si256() };
}

static inline Ints dot_sum(Dot dot)
{
    return dot.sum;
}

/* Four bytes of every row times the same four of x.  The instruction wants its first bytes without a sign: where
 * weights have one, it moves over to x, which is never -128, while |-128| is a byte without a sign.
 * First and last say where a sum in 16 bits begins and ends. */
static inline void add_four(Dot *dot, Ints w, const int8_t *x, bool with_sign, bool first, bool last)
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    const __m256i each = _mm256_set1_epi32(four);
    const __m256i pairs = with_sign ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(each, w))
                                    : _mm256_maddubs_epi16(w, each);
    dot->part = first ? pairs : _mm256_add_epi16(dot->part, pairs);
    /* Compilers like to add in a tree, for which sixteen registers are not enough: here is a sum to be kept. */
    __asm__("" : "+x"(dot->part));
    if (last) dot->sum = _mm256_add_epi32(dot->sum, _mm256_madd_epi16(dot->part, _mm256_set1_epi16(1)));
}

#endif
