/* SPDX-License-Identifier: Apache-2.0
 * kernel/cache.h - how the keys and values of one head lie in a page of the cache.
 *
 * A page holds P positions, P % 16 == 0.  Each key head has a *stretch* of its own in it, P times what one
 * position takes, so that a pass over a head reads memory in order; one for keys and one for values.
 *
 * Keys: sixteen positions side by side, because a score is a sum over numbers: sixteen scores grow at once and
 * no lanes are ever added up.  A block of sixteen positions is
 *
 *     F32, F16    number[d][16]                               number i of position j in [i][j]
 *     Q8_0        for every 32 numbers: half scale[16], int8_t q[32][16]
 *
 * Values: sixteen numbers side by side, because an answer is a sum over positions.  A stretch is
 *
 *     F32, F16    for every 16 numbers: number[P][16]; what is left of d: number[P][d % 16]
 *     Q8_0        for every 32 numbers: half scale[P], int8_t q[P][32]
 *
 * A row of Q8_0 has d % 32 == 0. */
#ifndef KERNEL_CACHE_H
#define KERNEL_CACHE_H

#include "number/format.h"

enum {
    CACHE_LANES = 16,           /* positions or numbers side by side                        */
    CACHE_Q8    = 32,           /* numbers of Q8_0 that share a scale                       */
    SCORE_SPAN  = 512,          /* positions whose scores are looked at together, at most   */
    SCORE_ROW   = SCORE_SPAN + CACHE_LANES      /* from one query's scores to the next's: no
                                                 * power of two, which would fall on few lines
                                                 * of the first cache                       */
};

/* Positions [first, first + n) of a page, for one head. */
typedef struct CacheRun {
    const void *head;           /* its stretch                                              */
    const void *next;           /* the stretch that will be read after this one, or `head`: a kernel asks
                                 * for it in time, because no machine guesses where it lies */
    size_t      head_size;      /* d                                                        */
    size_t      page_tokens;    /* P                                                        */
    size_t      first, n;
} CacheRun;

/* Where number i of position j lies, counted in numbers from the start of the stretch; F32 and F16. */
static inline size_t cache_key_at(size_t head_size, size_t j, size_t i)
{
    return (j / CACHE_LANES * head_size + i) * CACHE_LANES + j % CACHE_LANES;
}

static inline size_t cache_value_at(size_t head_size, size_t page_tokens, size_t j, size_t i)
{
    const size_t panel = i / CACHE_LANES * CACHE_LANES, left = head_size - panel,
                 width = left < CACHE_LANES ? left : CACHE_LANES;
    return panel * page_tokens + j * width + i % CACHE_LANES;
}

/* Q8_0: 32 numbers of sixteen keys, and of a page of values. */
static inline size_t cache_q8_keys_bytes(void)
{
    return CACHE_LANES * (CACHE_Q8 + sizeof(uint16_t));
}

static inline size_t cache_q8_values_bytes(size_t page_tokens)
{
    return page_tokens * (CACHE_Q8 + sizeof(uint16_t));
}

#endif
