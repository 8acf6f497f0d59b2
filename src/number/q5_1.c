/* SPDX-License-Identifier: Apache-2.0
 * number/q5_1.c - Q5_1: 32 numbers of five bits, a scale and a minimum.  value = scale * q +
 * minimum. */
#include "number/codec.h"

static uint32_t high_bits(const uint8_t high[4])
{
    return (uint32_t)high[0] | (uint32_t)high[1] << 8 | (uint32_t)high[2] << 16 |
           (uint32_t)high[3] << 24;
}

void decode_q5_1(float *to, const void *from, size_t n)
{
    const BlockQ5_1 *block = from;
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++, to += SMALL_VALUES) {
        const float scale = f16_to_f32(block->scale), minimum = f16_to_f32(block->minimum);
        const uint32_t high = high_bits(block->high);
        for (int i = 0; i < 16; i++) {
            const int near = (int)(block->low[i] & 15) | (int)(high >> i & 1) << 4;
            const int far  = (int)(block->low[i] >> 4) | (int)(high >> (i + 16) & 1) << 4;
            to[i]      = (float)near * scale + minimum;
            to[i + 16] = (float)far * scale + minimum;
        }
    }
}

static void pack(BlockQ5_1 *block, const uint8_t q[SMALL_VALUES])
{
    uint32_t high = 0;
    for (int i = 0; i < 16; i++) {
        block->low[i] = (uint8_t)((q[i] & 15) | (q[i + 16] & 15) << 4);
        high |= (uint32_t)(q[i] >> 4) << i | (uint32_t)(q[i + 16] >> 4) << (i + 16);
    }
    for (int i = 0; i < 4; i++) block->high[i] = (uint8_t)(high >> (8 * i));
}

/* The minimum may have either sign here, so the line runs from the smallest number to the largest.
 */
void encode_q5_1(void *to, const float *from, size_t n)
{
    BlockQ5_1 *block = to;
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++, from += SMALL_VALUES) {
        uint8_t q[SMALL_VALUES];
        float   low = from[0], high = from[0];
        for (int i = 1; i < SMALL_VALUES; i++) {
            if (from[i] < low) low = from[i];
            if (from[i] > high) high = from[i];
        }
        block->scale = scale_to_f16((high - low) / 31.0f);
        block->minimum = scale_to_f16(low);
        const float scale = f16_to_f32(block->scale), minimum = f16_to_f32(block->minimum);
        const float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
        for (int i = 0; i < SMALL_VALUES; i++)
            q[i] = (uint8_t)nearest((from[i] - minimum) * inverse, 0, 31);
        pack(block, q);
    }
}

void draw_q5_1(void *to, size_t n, float deviation, Rng *rng)
{
    BlockQ5_1 *block = to;
    DrawTable table;
    uint8_t   q[SMALL_VALUES];
    draw_table(&table, 0, 31, 15.5f);
    const uint16_t scale = scale_to_f16(deviation / table.deviation);
    const uint16_t minimum = scale_to_f16(-15.5f * f16_to_f32(scale));
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++) {
        draw_quants(&table, q, SMALL_VALUES, rng);
        block->scale = scale;
        block->minimum = minimum;
        pack(block, q);
    }
}
