/* SPDX-License-Identifier: Apache-2.0
 * number/q2_k.c - Q2_K: 256 numbers of two bits in 16 groups.  value = (super_scale * scale) * q -
 * (super_minimum * minimum), both products rounded before they meet. */
#include "number/codec.h"

#include <math.h>

enum { N_GROUPS = 16, GROUP = 16, MOST = 15 };          /* MOST: the largest four-bit scale  */

void decode_q2_k(float *to, const void *from, size_t n)
{
    const BlockQ2_K *block = from;
    for (size_t b = 0; b < n / SUPER_VALUES; b++, block++, to += SUPER_VALUES) {
        const float super_scale = f16_to_f32(block->super_scale);
        const float super_minimum = f16_to_f32(block->super_minimum);
        for (int j = 0; j < N_GROUPS; j++) {
            const float scale = super_scale * (float)(block->group[j] & 15);
            const float minimum = super_minimum * (float)(block->group[j] >> 4);
            /* Eight groups to a half of 32 bytes; two groups share a bit position. */
            const uint8_t *low = block->low + 32 * (j / 8) + GROUP * (j % 2);
            const int shift = 2 * (j / 2 % 4);
            for (int i = 0; i < GROUP; i++)
                to[GROUP * j + i] = scale * (float)(low[i] >> shift & 3) - minimum;
        }
    }
}

static void pack(BlockQ2_K *block, const uint8_t q[SUPER_VALUES])
{
    for (int half = 0; half < 2; half++, q += 128)
        for (int i = 0; i < 32; i++)
            block->low[32 * half + i] =
                (uint8_t)(q[i] | q[i + 32] << 2 | q[i + 64] << 4 | q[i + 96] << 6);
}

void encode_q2_k(void *to, const float *from, size_t n)
{
    BlockQ2_K *block = to;
    for (size_t b = 0; b < n / SUPER_VALUES; b++, block++, from += SUPER_VALUES) {
        float scale[N_GROUPS], minimum[N_GROUPS], weight[GROUP], most_scale = 0.0f,
                                                                 most_minimum = 0.0f;
        uint8_t q[SUPER_VALUES];
        for (int j = 0; j < N_GROUPS; j++) {
            /* With four steps the large numbers decide: weigh by magnitude. */
            for (int i = 0; i < GROUP; i++) weight[i] = fabsf(from[GROUP * j + i]);
            scale[j] = search_scale_minimum(GROUP, 3, from + GROUP * j, weight, &minimum[j]);
            if (scale[j] > most_scale) most_scale = scale[j];
            if (minimum[j] > most_minimum) most_minimum = minimum[j];
        }
        block->super_scale = scale_to_f16(most_scale / MOST);
        block->super_minimum = scale_to_f16(most_minimum / MOST);
        const float super_scale = f16_to_f32(block->super_scale);
        const float super_minimum = f16_to_f32(block->super_minimum);
        for (int j = 0; j < N_GROUPS; j++) {
            const int small = super_scale > 0.0f ? nearest(scale[j] / super_scale, 0, MOST) : 0;
            const int least =
                super_minimum > 0.0f ? nearest(minimum[j] / super_minimum, 0, MOST) : 0;
            const float step = super_scale * (float)small;
            block->group[j] = (uint8_t)(small | least << 4);
            for (int i = GROUP * j; i < GROUP * (j + 1); i++)
                q[i] = step > 0.0f
                           ? (uint8_t)nearest((from[i] + super_minimum * (float)least) / step, 0, 3)
                           : 0;
        }
        pack(block, q);
    }
}

void draw_q2_k(void *to, size_t n, float deviation, Rng *rng)
{
    BlockQ2_K *block = to;
    DrawTable table;
    uint8_t   q[SUPER_VALUES];
    draw_table(&table, 0, 3, 1.5f);
    /* Scales are 8 to 15, all equally likely; their mean square is 137.5. */
    const uint16_t super_scale = scale_to_f16(deviation / (table.deviation * sqrtf(137.5f)));
    const uint16_t super_minimum = scale_to_f16(1.5f * f16_to_f32(super_scale));
    for (size_t b = 0; b < n / SUPER_VALUES; b++, block++) {
        const uint64_t bits = rng_bits(rng);
        draw_quants(&table, q, SUPER_VALUES, rng);
        block->super_scale = super_scale;
        block->super_minimum = super_minimum;
        for (int j = 0; j < N_GROUPS; j++)
            block->group[j] = (uint8_t)(0x11 * (8 + (int)(bits >> (3 * j) & 7)));
        pack(block, q);
    }
}
