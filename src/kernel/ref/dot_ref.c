/* SPDX-License-Identifier: Apache-2.0
 * kernel/ref/dot_ref.c - what a dot product means. */
#include "kernel/ref/ref.h"

/* A product of two floats is exact in double; with n < 2^29 additions of relative error 2^-53 the
 * one rounding at the end is all that remains visible, unless terms cancel almost completely. */
float dot_f32_ref(const float *w, const float *x, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += (double)w[i] * (double)x[i];
    return (float)sum;
}

void dot4_f32_ref(float y[4], const float *w, const float *const x[4], size_t n)
{
    for (int r = 0; r < 4; r++) y[r] = dot_f32_ref(w, x[r], n);
}
