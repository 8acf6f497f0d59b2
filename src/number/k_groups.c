/* SPDX-License-Identifier: Apache-2.0
 * number/k_groups.c - scales of Q4_K and Q5_K: eight groups of 32, six bits for each scale and
 * minimum. */
#include "number/codec.h"

#include <math.h>

enum { N_GROUPS = 8, GROUP = 32, MOST = 63 };           /* MOST: the largest six-bit scale   */

/* The inverse of k_group in blocks.h. */
static void put_groups(uint8_t group[12], const int scale[N_GROUPS], const int minimum[N_GROUPS])
{
    for (int j = 0; j < 4; j++) {
        group[j]     = (uint8_t)(scale[j] | (scale[j + 4] >> 4) << 6);
        group[j + 4] = (uint8_t)(minimum[j] | (minimum[j + 4] >> 4) << 6);
        group[j + 8] = (uint8_t)((scale[j + 4] & 15) | (minimum[j + 4] & 15) << 4);
    }
}

/* Large weights matter more, small ones still count: |x| + the group's root mean square. */
static void weigh(const float x[GROUP], float weight[GROUP])
{
    float squares = 0.0f;
    for (int i = 0; i < GROUP; i++) squares += x[i] * x[i];
    const float typical = sqrtf(squares / GROUP);
    for (int i = 0; i < GROUP; i++) weight[i] = typical + fabsf(x[i]);
}

KGroups k_groups_encode(const float x[SUPER_VALUES], int steps, uint8_t q[SUPER_VALUES])
{
    KGroups groups;
    float scale[N_GROUPS], minimum[N_GROUPS], weight[GROUP], most_scale = 0.0f, most_minimum = 0.0f;
    int   small_scale[N_GROUPS], small_minimum[N_GROUPS];
    for (int j = 0; j < N_GROUPS; j++) {
        weigh(x + GROUP * j, weight);
        scale[j] = search_scale_minimum(GROUP, steps, x + GROUP * j, weight, &minimum[j]);
        if (scale[j] > most_scale) most_scale = scale[j];
        if (minimum[j] > most_minimum) most_minimum = minimum[j];
    }
    groups.super_scale = scale_to_f16(most_scale / MOST);
    groups.super_minimum = scale_to_f16(most_minimum / MOST);

    /* From here on with the scales as a reader will see them: rounded twice. */
    const float super_scale = f16_to_f32(groups.super_scale),
                super_minimum = f16_to_f32(groups.super_minimum);
    for (int j = 0; j < N_GROUPS; j++) {
        small_scale[j] = super_scale > 0.0f ? nearest(scale[j] / super_scale, 0, MOST) : 0;
        small_minimum[j] = super_minimum > 0.0f ? nearest(minimum[j] / super_minimum, 0, MOST) : 0;
        const float step = super_scale * (float)small_scale[j],
                    least = super_minimum * (float)small_minimum[j];
        for (int i = GROUP * j; i < GROUP * (j + 1); i++)
            q[i] = step > 0.0f ? (uint8_t)nearest((x[i] + least) / step, 0, steps) : 0;
    }
    put_groups(groups.group, small_scale, small_minimum);
    return groups;
}

KGroups k_groups_draw(int steps, float quant_deviation, float deviation, Rng *rng)
{
    /* Small scales are 32 to 63, all equally likely; their mean square is 2341.5. */
    const float typical = sqrtf(2341.5f);
    int small[N_GROUPS];
    KGroups groups;
    const uint64_t bits = rng_bits(rng);
    for (int j = 0; j < N_GROUPS; j++) small[j] = 32 + (int)(bits >> (5 * j) & 31);
    /* minimum = steps/2 * scale in every group moves the middle of the quants to zero. */
    groups.super_scale = scale_to_f16(deviation / (quant_deviation * typical));
    groups.super_minimum = scale_to_f16(0.5f * (float)steps * f16_to_f32(groups.super_scale));
    put_groups(groups.group, small, small);
    return groups;
}
