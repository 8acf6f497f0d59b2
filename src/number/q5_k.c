/* SPDX-License-Identifier: Apache-2.0
 * number/q5_k.c - Q5_K: 256 numbers of five bits in 8 groups.  value = (super_scale * scale) * q -
 * (super_minimum * minimum), both products rounded before they meet. */
#include "number/codec.h"

#include <string.h>

void decode_q5_k(float *to, const void *from, size_t n)
{
    const BlockQ5_K *block = from;
    for (size_t b = 0; b < n / SUPER_VALUES; b++, block++, to += SUPER_VALUES) {
        const float super_scale = f16_to_f32(block->super_scale);
        const float super_minimum = f16_to_f32(block->super_minimum);
        for (int j = 0; j < 8; j++) {
            int small_scale, small_minimum;
            k_group(block->group, j, &small_scale, &small_minimum);
            const float scale = super_scale * (float)small_scale;
            const float minimum = super_minimum * (float)small_minimum;
            const uint8_t *low = block->low + 32 * (j / 2);
            for (int i = 0; i < 32; i++) {
                const int q = (low[i] >> (4 * (j % 2)) & 15) | (block->high[i] >> j & 1) << 4;
                to[32 * j + i] = scale * (float)q - minimum;
            }
        }
    }
}

static void pack(BlockQ5_K *block, const KGroups *groups, const uint8_t q[SUPER_VALUES])
{
    block->super_scale = groups->super_scale;
    block->super_minimum = groups->super_minimum;
    memcpy(block->group, groups->group, sizeof block->group);
    memset(block->high, 0, sizeof block->high);
    for (int j = 0; j < 8; j += 2, q += 64)
        for (int i = 0; i < 32; i++) {
            block->low[16 * j + i] = (uint8_t)((q[i] & 15) | (q[i + 32] & 15) << 4);
            block->high[i] =
                (uint8_t)(block->high[i] | (q[i] >> 4) << j | (q[i + 32] >> 4) << (j + 1));
        }
}

void encode_q5_k(void *to, const float *from, size_t n)
{
    BlockQ5_K *block = to;
    for (size_t b = 0; b < n / SUPER_VALUES; b++, block++, from += SUPER_VALUES) {
        uint8_t q[SUPER_VALUES];
        const KGroups groups = k_groups_encode(from, 31, q);
        pack(block, &groups, q);
    }
}

void draw_q5_k(void *to, size_t n, float deviation, Rng *rng)
{
    BlockQ5_K *block = to;
    DrawTable table;
    uint8_t   q[SUPER_VALUES];
    draw_table(&table, 0, 31, 15.5f);
    for (size_t b = 0; b < n / SUPER_VALUES; b++, block++) {
        const KGroups groups = k_groups_draw(31, table.deviation, deviation, rng);
        draw_quants(&table, q, SUPER_VALUES, rng);
        pack(block, &groups, q);
    }
}
