/* SPDX-License-Identifier: Apache-2.0
 * number/q4_0.c - Q4_0: 32 numbers of four bits and one scale.  value = scale * (q - 8). */
#include "number/codec.h"

void decode_q4_0(float *to, const void *from, size_t n)
{
    const BlockQ4_0 *block = from;
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++, to += SMALL_VALUES) {
        const float scale = f16_to_f32(block->scale);
        for (int i = 0; i < 16; i++) {
            to[i]      = (float)((block->low[i] & 15) - 8) * scale;
            to[i + 16] = (float)((block->low[i] >> 4) - 8) * scale;
        }
    }
}

static void pack(BlockQ4_0 *block, const uint8_t q[SMALL_VALUES])
{
    for (int i = 0; i < 16; i++) block->low[i] = (uint8_t)(q[i] | q[i + 16] << 4);
}

void encode_q4_0(void *to, const float *from, size_t n)
{
    BlockQ4_0 *block = to;
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++, from += SMALL_VALUES) {
        float   weight[SMALL_VALUES];
        uint8_t q[SMALL_VALUES];
        for (int i = 0; i < SMALL_VALUES; i++) weight[i] = from[i] * from[i];
        block->scale = scale_to_f16(search_scale(SMALL_VALUES, 8, from, weight));
        const float scale = f16_to_f32(block->scale), inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
        for (int i = 0; i < SMALL_VALUES; i++)
            q[i] = (uint8_t)(nearest(from[i] * inverse, -8, 7) + 8);
        pack(block, q);
    }
}

void draw_q4_0(void *to, size_t n, float deviation, Rng *rng)
{
    BlockQ4_0 *block = to;
    DrawTable table;
    uint8_t   q[SMALL_VALUES];
    draw_table(&table, 1, 15, 8.0f);
    const uint16_t scale = scale_to_f16(deviation / table.deviation);
    for (size_t b = 0; b < n / SMALL_VALUES; b++, block++) {
        draw_quants(&table, q, SMALL_VALUES, rng);
        block->scale = scale;
        pack(block, q);
    }
}
