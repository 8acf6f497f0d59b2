/* SPDX-License-Identifier: Apache-2.0
 * number/f16.c - F16: IEEE half precision: 1 sign, 5 exponent, 10 fraction bits. */
#include "number/codec.h"

void decode_f16(float *to, const void *from, size_t n)
{
    const uint16_t *x = from;
    for (size_t i = 0; i < n; i++) to[i] = f16_to_f32(x[i]);
}

void encode_f16(void *to, const float *from, size_t n)
{
    uint16_t *y = to;
    for (size_t i = 0; i < n; i++) y[i] = f32_to_f16(from[i]);
}

void draw_f16(void *to, size_t n, float deviation, Rng *rng)
{
    uint16_t *y = to;
    for (size_t i = 0; i < n; i++) y[i] = f32_to_f16(deviation * draw_normal(rng));
}
