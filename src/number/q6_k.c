/* SPDX-License-Identifier: Apache-2.0
 * number/q6_k.c - Q6_K: 256 numbers of six bits in 16 groups.  value = (super_scale * scale) * (q -
 * 32). */
#include "number/codec.h"

#include <math.h>

enum { N_GROUPS = 16, GROUP = 16 };

void decode_q6_k(float *to, const void *from, size_t n)
{
    const BlockQ6_K *block = from;
    for (size_t b = 0; b < n / SUPER_VALUES; b++, block++, to += SUPER_VALUES) {
        const float super_scale = f16_to_f32(block->super_scale);
        for (int j = 0; j < N_GROUPS; j++) {
            const float scale = super_scale * (float)block->group[j];
            /* A half of 128 numbers is four runs of 32; a run is two groups. */
            const int half = j / 8, run = j / 2 % 4, first = GROUP * (j % 2);
            const uint8_t *low = block->low + 64 * half + 32 * (run % 2) + first;
            const uint8_t *high = block->high + 32 * half + first;
            for (int i = 0; i < GROUP; i++) {
                const int q = (low[i] >> (4 * (run / 2)) & 15) | (high[i] >> (2 * run) & 3) << 4;
                to[GROUP * j + i] = scale * (float)(q - 32);
            }
        }
    }
}

static void pack(BlockQ6_K *block, const uint8_t q[SUPER_VALUES])
{
    for (int half = 0; half < 2; half++, q += 128) {
        for (int i = 0; i < 64; i++)
            block->low[64 * half + i] = (uint8_t)((q[i] & 15) | (q[i + 64] & 15) << 4);
        for (int i = 0; i < 32; i++)
            block->high[32 * half + i] = (uint8_t)(q[i] >> 4 | (q[i + 32] >> 4) << 2 |
                                                   (q[i + 64] >> 4) << 4 | (q[i + 96] >> 4) << 6);
    }
}

void encode_q6_k(void *to, const float *from, size_t n)
{
    BlockQ6_K *block = to;
    for (size_t b = 0; b < n / SUPER_VALUES; b++, block++, from += SUPER_VALUES) {
        float   scale[N_GROUPS], weight[GROUP], extreme = 0.0f;
        uint8_t q[SUPER_VALUES];
        for (int j = 0; j < N_GROUPS; j++) {
            for (int i = 0; i < GROUP; i++) weight[i] = from[GROUP * j + i] * from[GROUP * j + i];
            scale[j] = search_scale(GROUP, 32, from + GROUP * j, weight);
            if (fabsf(scale[j]) > fabsf(extreme)) extreme = scale[j];
        }
        /* -128 is the longer side: the largest scale goes there, whatever its sign. */
        block->super_scale = scale_to_f16(-extreme / 128.0f);
        const float super_scale = f16_to_f32(block->super_scale);
        for (int j = 0; j < N_GROUPS; j++) {
            const int small = super_scale != 0.0f ? nearest(scale[j] / super_scale, -128, 127) : 0;
            const float step = super_scale * (float)small;
            block->group[j] = (int8_t)small;
            for (int i = GROUP * j; i < GROUP * (j + 1); i++)
                q[i] = step != 0.0f ? (uint8_t)(nearest(from[i] / step, -32, 31) + 32) : 32;
        }
        pack(block, q);
    }
}

void draw_q6_k(void *to, size_t n, float deviation, Rng *rng)
{
    BlockQ6_K *block = to;
    DrawTable table;
    uint8_t   q[SUPER_VALUES];
    draw_table(&table, 1, 63, 32.0f);
    /* Scales are 16 to 31, all equally likely; their mean square is 573.5. */
    const uint16_t super_scale = scale_to_f16(deviation / (table.deviation * sqrtf(573.5f)));
    for (size_t b = 0; b < n / SUPER_VALUES; b++, block++) {
        const uint64_t bits = rng_bits(rng);
        draw_quants(&table, q, SUPER_VALUES, rng);
        block->super_scale = super_scale;
        for (int j = 0; j < N_GROUPS; j++)
            block->group[j] = (int8_t)(16 + (int)(bits >> (4 * j) & 15));
        pack(block, q);
    }
}
