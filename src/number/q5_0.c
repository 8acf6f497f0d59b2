/* SPDX-License-Identifier: Apache-2.0
 * number/q5_0.c - Q5_0: 32 numbers of five bits and one scale.  value = scale * (q - 16). */
#include "number/codec.h"

static uint32_t high_bits(const uint8_t high[4])
{
    return (uint32_t)high[0] | (uint32_t)high[1] << 8 | (uint32_t)high[2] << 16 |
           (uint32_t)high[3] << 24;
}

void decode_q5_0(float *to, const void *from, size_t n)
{
    const BlockQ5_0 *block = from;
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++, to += SMALL_VALUES) {
        const float scale = f16_to_f32(block->scale);
        const uint32_t high = high_bits(block->high);
        for (int i = 0; i < 16; i++) {
            const int near = (int)(block->low[i] & 15) | (int)(high >> i & 1) << 4;
            const int far  = (int)(block->low[i] >> 4) | (int)(high >> (i + 16) & 1) << 4;
            to[i]      = (float)(near - 16) * scale;
            to[i + 16] = (float)(far - 16) * scale;
        }
    }
}

static void pack(BlockQ5_0 *block, const uint8_t q[SMALL_VALUES])
{
    uint32_t high = 0;
    for (int i = 0; i < 16; i++) {
        block->low[i] = (uint8_t)((q[i] & 15) | (q[i + 16] & 15) << 4);
        high |= (uint32_t)(q[i] >> 4) << i | (uint32_t)(q[i + 16] >> 4) << (i + 16);
    }
    for (int i = 0; i < 4; i++) block->high[i] = (uint8_t)(high >> (8 * i));
}

void encode_q5_0(void *to, const float *from, size_t n)
{
    BlockQ5_0 *block = to;
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++, from += SMALL_VALUES) {
        float   weight[SMALL_VALUES];
        uint8_t q[SMALL_VALUES];
        for (int i = 0; i < SMALL_VALUES; i++) weight[i] = from[i] * from[i];
        block->scale = scale_to_f16(search_scale(SMALL_VALUES, 16, from, weight));
        const float scale = f16_to_f32(block->scale), inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
        for (int i = 0; i < SMALL_VALUES; i++)
            q[i] = (uint8_t)(nearest(from[i] * inverse, -16, 15) + 16);
        pack(block, q);
    }
}

void draw_q5_0(void *to, size_t n, float deviation, Rng *rng)
{
    BlockQ5_0 *block = to;
    DrawTable table;
    uint8_t   q[SMALL_VALUES];
    draw_table(&table, 1, 31, 16.0f);
    const uint16_t scale = scale_to_f16(deviation / table.deviation);
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++) {
        draw_quants(&table, q, SMALL_VALUES, rng);
        block->scale = scale;
        pack(block, q);
    }
}
