/* SPDX-License-Identifier: Apache-2.0
 * number/q8_0.c - Q8_0: 32 signed bytes that share one scale.  value = scale * q. */
#include "number/codec.h"

#include <math.h>

void decode_q8_0(float *to, const void *from, size_t n)
{
    const BlockQ8_0 *block = from;
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++, to += SMALL_VALUES) {
        const float scale = f16_to_f32(block->scale);
        for (int i = 0; i < SMALL_VALUES; i++) to[i] = (float)block->q[i] * scale;
    }
}

/* The largest magnitude becomes 127.  Quants are rounded (halves away from zero) with the scale as
 * it was before it became a half, which is how every other writer of this format does it: files
 * agree. */
void encode_q8_0(void *to, const float *from, size_t n)
{
    BlockQ8_0 *block = to;
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++, from += SMALL_VALUES) {
        float largest = 0.0f;
        for (int i = 0; i < SMALL_VALUES; i++)
            if (fabsf(from[i]) > largest) largest = fabsf(from[i]);
        const float scale = largest / 127.0f;
        const float inverse = scale > 0x1p-126f ? 1.0f / scale : 0.0f; /* 1 / subnormal overflows */
        block->scale = scale_to_f16(scale);
        for (int i = 0; i < SMALL_VALUES; i++)
            block->q[i] = (int8_t)nearest(roundf(from[i] * inverse), -127, 127);
    }
}

void draw_q8_0(void *to, size_t n, float deviation, Rng *rng)
{
    BlockQ8_0 *block = to;
    int8_t  q_of[256];          /* equally likely quants, the last at 2.9 deviations        */
    int     squares = 0;
    for (int k = 0; k < 256; k++) {
        q_of[k] = (int8_t)nearest(normal_quantile(k) * 43.0f, -127, 127);
        squares += q_of[k] * q_of[k];
    }
    const uint16_t scale = scale_to_f16(deviation / sqrtf((float)squares / 256.0f));
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++) {
        block->scale = scale;
        for (int i = 0; i < SMALL_VALUES; i += 8) {
            const uint64_t bits = rng_bits(rng);
            for (int k = 0; k < 8; k++) block->q[i + k] = q_of[bits >> (8 * k) & 255];
        }
    }
}
