/* SPDX-License-Identifier: Apache-2.0
 * base/rng.h - repeatable random numbers: the same seed gives the same numbers everywhere.
 * Source: Vigna, splitmix64 (public domain reference, 2015). */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

typedef struct Rng { uint64_t state; } Rng;

static inline uint64_t rng_bits(Rng *rng)
{
    uint64_t z = (rng->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* In [0, 1), 53 bits. */
static inline double rng_unit(Rng *rng)
{
    return (double)(rng_bits(rng) >> 11) * 0x1p-53;
}

#endif
