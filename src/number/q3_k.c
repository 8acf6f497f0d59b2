/* SPDX-License-Identifier: Apache-2.0
 * number/q3_k.c - Q3_K: 256 numbers of three bits in 16 groups.  value = (super_scale * scale) * (q
 * - 4). */
#include "number/codec.h"

#include <math.h>
#include <string.h>

enum { N_GROUPS = 16, GROUP = 16 };

void decode_q3_k(float *to, const void *from, size_t n)
{
    const BlockQ3_K *block = from;
    for (size_t b = 0; b < n / SUPER_VALUES; b++, block++, to += SUPER_VALUES) {
        const float super_scale = f16_to_f32(block->super_scale);
        int small[N_GROUPS];
        q3_k_scales(block->group, small);
        for (int j = 0; j < N_GROUPS; j++) {
            const float scale = super_scale * (float)small[j];
            const uint8_t *low = block->low + 32 * (j / 8) + GROUP * (j % 2);
            const uint8_t *high = block->high + GROUP * (j % 2);
            for (int i = 0; i < GROUP; i++) {
                const int q = (low[i] >> (2 * (j / 2 % 4)) & 3) | (high[i] >> (j / 2) & 1) << 2;
                to[GROUP * j + i] = scale * (float)(q - 4);
            }
        }
    }
}

static void pack(BlockQ3_K *block, const uint8_t q[SUPER_VALUES])
{
    memset(block->high, 0, sizeof block->high);
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < 32; i++) {
            const uint8_t *p = q + 128 * half + i;
            block->low[32 * half + i] =
                (uint8_t)((p[0] & 3) | (p[32] & 3) << 2 | (p[64] & 3) << 4 | (p[96] & 3) << 6);
            const int high = p[0] >> 2 | (p[32] >> 2) << 1 | (p[64] >> 2) << 2 | (p[96] >> 2) << 3;
            block->high[i] = (uint8_t)(block->high[i] | high << (4 * half));
        }
}

/* The inverse of q3_k_scales in blocks.h. */
static void put_scales(uint8_t group[12], const int scale[N_GROUPS])
{
    memset(group, 0, 12);
    for (int j = 0; j < N_GROUPS; j++) {
        const int raw = scale[j] + 32;
        group[j % 8] = (uint8_t)(group[j % 8] | (raw & 15) << (j < 8 ? 0 : 4));
        group[8 + j % 4] = (uint8_t)(group[8 + j % 4] | (raw >> 4) << (2 * (j / 4)));
    }
}

void encode_q3_k(void *to, const float *from, size_t n)
{
    BlockQ3_K *block = to;
    for (size_t b = 0; b < n / SUPER_VALUES; b++, block++, from += SUPER_VALUES) {
        float   scale[N_GROUPS], weight[GROUP], extreme = 0.0f;
        int     small[N_GROUPS];
        uint8_t q[SUPER_VALUES];
        for (int j = 0; j < N_GROUPS; j++) {
            for (int i = 0; i < GROUP; i++) weight[i] = from[GROUP * j + i] * from[GROUP * j + i];
            scale[j] = search_scale(GROUP, 4, from + GROUP * j, weight);
            if (fabsf(scale[j]) > fabsf(extreme)) extreme = scale[j];
        }
        /* -32 is the longer side: the largest scale goes there, whatever its sign. */
        block->super_scale = scale_to_f16(-extreme / 32.0f);
        const float super_scale = f16_to_f32(block->super_scale);
        for (int j = 0; j < N_GROUPS; j++) {
            small[j] = super_scale != 0.0f ? nearest(scale[j] / super_scale, -32, 31) : 0;
            const float step = super_scale * (float)small[j];
            for (int i = GROUP * j; i < GROUP * (j + 1); i++)
                q[i] = step != 0.0f ? (uint8_t)(nearest(from[i] / step, -4, 3) + 4) : 4;
        }
        put_scales(block->group, small);
        pack(block, q);
    }
}

void draw_q3_k(void *to, size_t n, float deviation, Rng *rng)
{
    BlockQ3_K *block = to;
    DrawTable table;
    uint8_t   q[SUPER_VALUES];
    draw_table(&table, 1, 7, 4.0f);
    /* Scales are 16 to 31, all equally likely; their mean square is 573.5. */
    const uint16_t super_scale = scale_to_f16(deviation / (table.deviation * sqrtf(573.5f)));
    for (size_t b = 0; b < n / SUPER_VALUES; b++, block++) {
        const uint64_t bits = rng_bits(rng);
        int small[N_GROUPS];
        for (int j = 0; j < N_GROUPS; j++) small[j] = 16 + (int)(bits >> (4 * j) & 15);
        draw_quants(&table, q, SUPER_VALUES, rng);
        block->super_scale = super_scale;
        put_scales(block->group, small);
        pack(block, q);
    }
}
