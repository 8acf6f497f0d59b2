/* SPDX-License-Identifier: Apache-2.0
 * kernel/ref/rope_ref.c - a turn of pairs.  Both products are rounded before they meet, so that
 * every instruction set can do exactly the same. */
#include "kernel/ref/ref.h"

static void turn(float *a, float *b, float cosine, float sine)
{
    const float a0 = *a, b0 = *b;
    *a = a0 * cosine - b0 * sine;
    *b = a0 * sine + b0 * cosine;
}

void rope_adjacent_ref(float *x, const float *cosine, const float *sine, size_t n_pairs)
{
    for (size_t i = 0; i < n_pairs; i++) turn(&x[2 * i], &x[2 * i + 1], cosine[i], sine[i]);
}

void rope_halves_ref(float *x, const float *cosine, const float *sine, size_t n_pairs)
{
    for (size_t i = 0; i < n_pairs; i++) turn(&x[i], &x[i + n_pairs], cosine[i], sine[i]);
}
