/* SPDX-License-Identifier: Apache-2.0
 * number/f32.c - F32: the numbers themselves. */
#include "number/codec.h"

#include <string.h>

void decode_f32(float *to, const void *from, size_t n)
{
    memcpy(to, from, n * sizeof *to);
}

void encode_f32(void *to, const float *from, size_t n)
{
    memcpy(to, from, n * sizeof *from);
}

void draw_f32(void *to, size_t n, float deviation, Rng *rng)
{
    float *y = to;
    for (size_t i = 0; i < n; i++) y[i] = deviation * draw_normal(rng);
}
