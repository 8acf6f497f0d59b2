/* SPDX-License-Identifier: Apache-2.0
 * number/half.c - two-byte floats: IEEE half (F16) and the upper half of a float (BF16). */
#include "number/format.h"

#include <string.h>

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Exact: every half is a float.  A signalling NaN becomes quiet, as the processors' own conversion
 * does, so that scalar and vector decoders agree on every pattern. */
float f16_to_f32(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    const uint32_t exponent = (half >> 10) & 31u, fraction = half & 1023u;
    if (exponent == 0) {                                /* zero or subnormal: fraction * 2^-24 */
        return float_of(sign | bits_of((float)fraction * 0x1p-24f));
    }
    if (exponent == 31) {
        const uint32_t quiet = fraction ? 0x400000u : 0;
        return float_of(sign | 0x7f800000u | quiet | fraction << 13);
    }
    return float_of(sign | (exponent + 112) << 23 | fraction << 13);
}

uint16_t f32_to_f16(float value)
{
    const uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
    if (size > 0x7f800000u) {                           /* NaN: keep the top of its payload  */
        return (uint16_t)(sign | 0x7e00u | (size >> 13 & 0x3ffu));
    }
    if (size >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* >= 65520 rounds to infinity */
    if (size < 0x38800000u) {
        /* Below 2^-14 halves are multiples of 2^-24.  Adding 0.5 puts that unit at the last place
         * of a float, so the addition rounds, ties to even; the fraction left is the half's bits.
         */
        return (uint16_t)(sign | (bits_of(float_of(size) + 0.5f) - 0x3f000000u));
    }
    /* Just under half of the dropped part, plus one when the kept part is odd: ties to even.  A
     * carry into the exponent is the right answer. */
    const uint32_t rounded = size + 0xfffu + (size >> 13 & 1u);
    return (uint16_t)(sign | (rounded - 0x38000000u) >> 13);
}

float bf16_to_f32(uint16_t half)
{
    return float_of((uint32_t)half << 16);
}

uint16_t f32_to_bf16(float value)
{
    const uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);  /* quiet NaN */
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
