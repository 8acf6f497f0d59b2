/* SPDX-License-Identifier: Apache-2.0
 * kernel/ref/vector_ref.c - what the kernels over whole vectors mean: sums in double, functions
 * from libm in double, one rounding to float at the end. */
#include "kernel/ref/ref.h"

#include <math.h>

void rms_norm_ref(float *y, const float *x, const float *g, size_t n, float eps)
{
    double squares = 0.0;
    for (size_t i = 0; i < n; i++) squares += (double)x[i] * (double)x[i];
    const float scale = (float)(1.0 / sqrt(squares / (double)n + (double)eps));
    for (size_t i = 0; i < n; i++) y[i] = x[i] * scale * g[i];
}

void add_ref(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] += x[i];
}

void axpy_ref(float *y, float a, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = fmaf(a, x[i], y[i]);     /* rounded once */
}

void scale_ref(float *y, float a, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] *= a;
}

void silu_mul_ref(float *y, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double g = (double)gate[i];
        y[i] = (float)(g / (1.0 + exp(-g)) * (double)up[i]);
    }
}

float max_f32_ref(const float *x, size_t n)
{
    float max = x[0];
    for (size_t i = 1; i < n; i++)
        if (x[i] > max || isnan(x[i])) max = x[i];      /* nothing is larger than a NaN: it stays */
    return max;
}

float exp_sum_ref(float *x, float max, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)exp((double)x[i] - (double)max);
        sum += (double)x[i];
    }
    return (float)sum;
}
