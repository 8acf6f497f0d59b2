/* SPDX-License-Identifier: Apache-2.0
 * kernel/ref/attend_ref.c - scores of keys and sums of values: what the layout of the cache means.
 *
 * ORDER score: q[0]*k[0] first, then every further product is added with one rounding, i ascending.  Q8_0: the
 * same over the 32 quants that share a scale; that sum times the scale is added to the score with one rounding.
 * ORDER gather: positions ascending, every product added with one rounding; Q8_0: the weight is multiplied with
 * the scale first.
 *
 * One chain per answer is what vectors of any width can follow, so every set gives these bits, whatever the
 * queries beside: a prompt in steps of many rows and a token alone agree (D1). */
#include "kernel/ref/ref.h"

#include <math.h>

static float number_at(Format format, const void *x, size_t at)
{
    return format == F16 ? f16_to_f32(((const uint16_t *)x)[at]) : ((const float *)x)[at];
}

static void score(Format format, float *scores, const float *q, size_t n, const CacheRun *keys)
{
    for (size_t m = 0; m < n; m++)
        for (size_t j = 0; j < (keys->n + CACHE_LANES - 1) / CACHE_LANES * CACHE_LANES; j++) {
            float sum = 0.0f;
            for (size_t i = 0; i < keys->head_size; i++) {
                const size_t at = cache_key_at(keys->head_size, keys->first + j, i);
                sum = fmaf(q[i * n + m], number_at(format, keys->head, at), sum);
            }
            scores[m * SCORE_ROW + j] = sum;
        }
}

static void gather(Format format, float *y, const float *weights, size_t n, const CacheRun *values)
{
    const size_t d = values->head_size;
    for (size_t m = 0; m < n; m++)
        for (size_t i = 0; i < d; i++)
            for (size_t j = 0; j < values->n; j++) {
                const size_t at = cache_value_at(d, values->page_tokens, values->first + j, i);
                y[m * d + i] = fmaf(weights[m * SCORE_ROW + j],
                                    number_at(format, values->head, at), y[m * d + i]);
            }
}

void score_f32_ref(float *scores, const float *q, size_t n, const CacheRun *keys)
{
    score(F32, scores, q, n, keys);
}

void score_f16_ref(float *scores, const float *q, size_t n, const CacheRun *keys)
{
    score(F16, scores, q, n, keys);
}

void gather_f32_ref(float *y, const float *weights, size_t n, const CacheRun *values)
{
    gather(F32, y, weights, n, values);
}

void gather_f16_ref(float *y, const float *weights, size_t n, const CacheRun *values)
{
    gather(F16, y, weights, n, values);
}

/* Key j, for a query whose number i is q[i * n]. */
static float score_q8(const float *q, size_t n, const CacheRun *keys, size_t j)
{
    const size_t groups = keys->head_size / CACHE_Q8, lane = j % CACHE_LANES;
    const char *block = (const char *)keys->head + j / CACHE_LANES * groups * cache_q8_keys_bytes();
    float sum = 0.0f;
    for (size_t g = 0; g < groups; g++, block += cache_q8_keys_bytes()) {
        const uint16_t *scale = (const uint16_t *)(const void *)block;
        const int8_t *quant = (const int8_t *)(scale + CACHE_LANES);
        float part = 0.0f;
        for (size_t i = 0; i < CACHE_Q8; i++)
            part = fmaf(q[(g * CACHE_Q8 + i) * n], (float)quant[i * CACHE_LANES + lane], part);
        sum = fmaf(part, f16_to_f32(scale[lane]), sum);
    }
    return sum;
}

void score_q8_0_ref(float *scores, const float *q, size_t n, const CacheRun *keys)
{
    for (size_t m = 0; m < n; m++)
        for (size_t j = 0; j < (keys->n + CACHE_LANES - 1) / CACHE_LANES * CACHE_LANES; j++)
            scores[m * SCORE_ROW + j] = score_q8(q + m, n, keys, keys->first + j);
}

void gather_q8_0_ref(float *y, const float *weights, size_t n, const CacheRun *values)
{
    const size_t d = values->head_size, page = values->page_tokens;
    for (size_t m = 0; m < n; m++)
        for (size_t i = 0; i < d; i++) {
            const char *group = (const char *)values->head + i / CACHE_Q8 * cache_q8_values_bytes(page);
            const uint16_t *scale = (const uint16_t *)(const void *)group;
            const int8_t *quant = (const int8_t *)(scale + page);
            for (size_t j = 0; j < values->n; j++) {
                const size_t at = values->first + j;
                y[m * d + i] = fmaf(weights[m * SCORE_ROW + j] * f16_to_f32(scale[at]),
                                    (float)quant[at * CACHE_Q8 + i % CACHE_Q8], y[m * d + i]);
            }
        }
}
