/* SPDX-License-Identifier: Apache-2.0
 * number/q4_1.c - Q4_1: 32 numbers of four bits, a scale and a minimum.  value = scale * q +
 * minimum. */
#include "number/codec.h"

void decode_q4_1(float *to, const void *from, size_t n)
{
    const BlockQ4_1 *block = from;
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++, to += SMALL_VALUES) {
        const float scale = f16_to_f32(block->scale), minimum = f16_to_f32(block->minimum);
        for (int i = 0; i < 16; i++) {
            to[i]      = (float)(block->low[i] & 15) * scale + minimum;
            to[i + 16] = (float)(block->low[i] >> 4) * scale + minimum;
        }
    }
}

static void pack(BlockQ4_1 *block, const uint8_t q[SMALL_VALUES])
{
    for (int i = 0; i < 16; i++) block->low[i] = (uint8_t)(q[i] | q[i + 16] << 4);
}

/* The minimum may have either sign here, so the line runs from the smallest number to the largest.
 */
void encode_q4_1(void *to, const float *from, size_t n)
{
    BlockQ4_1 *block = to;
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++, from += SMALL_VALUES) {
        uint8_t q[SMALL_VALUES];
        float   low = from[0], high = from[0];
        for (int i = 1; i < SMALL_VALUES; i++) {
            if (from[i] < low) low = from[i];
            if (from[i] > high) high = from[i];
        }
        block->scale = scale_to_f16((high - low) / 15.0f);
        block->minimum = scale_to_f16(low);
        const float scale = f16_to_f32(block->scale), minimum = f16_to_f32(block->minimum);
        const float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
        for (int i = 0; i < SMALL_VALUES; i++)
            q[i] = (uint8_t)nearest((from[i] - minimum) * inverse, 0, 15);
        pack(block, q);
    }
}

void draw_q4_1(void *to, size_t n, float deviation, Rng *rng)
{
    BlockQ4_1 *block = to;
    DrawTable table;
    uint8_t   q[SMALL_VALUES];
    draw_table(&table, 0, 15, 7.5f);
    const uint16_t scale = scale_to_f16(deviation / table.deviation);
    const uint16_t minimum = scale_to_f16(-7.5f * f16_to_f32(scale));
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++) {
        draw_quants(&table, q, SMALL_VALUES, rng);
        block->scale = scale;
        block->minimum = minimum;
        pack(block, q);
    }
}
