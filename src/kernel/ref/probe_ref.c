/* SPDX-License-Identifier: Apache-2.0
 * kernel/ref/probe_ref.c - what the probes of a machine compute. */
#include "kernel/ref/ref.h"

/* The operands are the same in every round: a compiler would multiply once and be done. */
static inline void forget(void)
{
    __asm__ volatile("" ::: "memory");
}

/* Unsigned, because the sum may wrap: products with a sign come out the same modulo 2^32. */
uint32_t probe_int8_ref(const uint8_t a[64], const int8_t b[64], size_t n_rounds)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n_rounds * PROBE_CHAINS; i++, forget())
        for (int k = 0; k < 64; k++) sum += (uint32_t)(a[k] * b[k]);
    return sum;
}

/* Whole numbers whose sums stay below 2^24 add up exactly in any order: every set gives this. */
float probe_f32_ref(const float a[16], const float b[16], size_t n_rounds)
{
    double sum = 0.0;
    for (size_t i = 0; i < n_rounds * PROBE_CHAINS; i++, forget())
        for (int k = 0; k < 16; k++) sum += (double)a[k] * (double)b[k];
    return (float)sum;
}

uint64_t probe_read_ref(const uint64_t *words, size_t n_words)
{
    uint64_t all = 0;
    for (size_t i = 0; i < n_words; i++) all ^= words[i];
    return all;
}
