/* SPDX-License-Identifier: Apache-2.0
 * number/bf16.c - BF16: the upper 16 bits of a float: 1 sign, 8 exponent, 7 fraction bits. */
#include "number/codec.h"

void decode_bf16(float *to, const void *from, size_t n)
{
    const uint16_t *x = from;
    for (size_t i = 0; i < n; i++) to[i] = bf16_to_f32(x[i]);
}

void encode_bf16(void *to, const float *from, size_t n)
{
    uint16_t *y = to;
    for (size_t i = 0; i < n; i++) y[i] = f32_to_bf16(from[i]);
}

void draw_bf16(void *to, size_t n, float deviation, Rng *rng)
{
    uint16_t *y = to;
    for (size_t i = 0; i < n; i++) y[i] = f32_to_bf16(deviation * draw_normal(rng));
}
