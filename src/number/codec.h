/* SPDX-License-Identifier: Apache-2.0
 * number/codec.h - what the files of the formats share: the search for scales, drawing, rounding.
 *
 * For this folder only.  Each format's file gives the three functions of its row in the table. */
#ifndef NUMBER_CODEC_H
#define NUMBER_CODEC_H

#include "number/blocks.h"
#include "number/format.h"

#define CODEC(format)                                                                              \
    void decode_##format(float *to, const void *from, size_t n);                                   \
    void encode_##format(void *to, const float *from, size_t n);                                   \
    void draw_##format(void *to, size_t n, float deviation, Rng *rng);
CODEC(f32)
CODEC(f16)
CODEC(bf16)
CODEC(q4_0)
CODEC(q4_1)
CODEC(q5_0)
CODEC(q5_1)
CODEC(q8_0)
CODEC(q2_k)
CODEC(q3_k)
CODEC(q4_k)
CODEC(q5_k)
CODEC(q6_k)
#undef CODEC

/* ---- rounding ---- */

/* The nearest integer in [low, high], ties to even; NaN gives low.  Adding 1.5 * 2^23 leaves a
 * float no room for a fraction, so the addition itself rounds; |low|, |high| < 2^22. */
static inline int nearest(float value, int low, int high)
{
    if (!(value > (float)low)) return low;
    if (value > (float)high) return high;
    return (int)((value + 0x1.8p23f) - 0x1.8p23f);
}

/* A scale as a half.  What is too large for a half becomes the largest one: blocks that we write
 * always decode to finite numbers when the input was finite. */
static inline uint16_t scale_to_f16(float scale)
{
    const float largest = 65504.0f;
    return f32_to_f16(scale > largest ? largest : scale < -largest ? -largest : scale);
}

/* ---- search (search.c): scales that make the weighted squared error of a group small ---- */

enum { GROUP_MAX = 32 };

/* value ~ scale * q, q in [-steps, steps - 1].  The scale may be negative; 0 when all x are. */
float search_scale(int n, int steps, const float *x, const float *weight);
/* value ~ scale * q - *minimum, q in [0, steps], *minimum >= 0 and scale >= 0. */
float search_scale_minimum(int n, int steps, const float *x, const float *weight, float *minimum);

/* ---- groups of Q4_K and Q5_K (k_groups.c) ---- */

typedef struct KGroups {
    uint16_t super_scale, super_minimum;
    uint8_t  group[12];
} KGroups;

/* Choose scales for 8 groups of 32 with q in [0, steps], and the quants. */
KGroups k_groups_encode(const float x[SUPER_VALUES], int steps, uint8_t q[SUPER_VALUES]);
/* Scales for quants that were drawn around steps / 2 with the deviation `quant_deviation`. */
KGroups k_groups_draw(int steps, float quant_deviation, float deviation, Rng *rng);

/* ---- drawing (draw.c) ---- */

/* Quants that are about normal around `centre`, two at a time: twelve random bits choose a pair. */
typedef struct DrawTable {
    uint8_t pair[4096][2];
    float   deviation;          /* of the quants, exactly                                  */
} DrawTable;

void draw_table(DrawTable *table, int low, int high, float centre);
void draw_quants(const DrawTable *table, uint8_t *q, int n, Rng *rng);
/* About normal, deviation 1, mean 0, |value| < 3.5: four random 16-bit numbers added up. */
float draw_normal(Rng *rng);
/* The k-th of 256 equally likely values of a normal distribution. */
float normal_quantile(int k);

#endif
