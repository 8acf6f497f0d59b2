/* SPDX-License-Identifier: Apache-2.0
 * number/search.c - scales for a group of numbers that are about to lose bits.
 *
 * A scale that reaches the largest number exactly is rarely the best one.  Both searches try about
 * twenty step widths around it, round, fit the scale to the rounded numbers by weighted least
 * squares, and keep the fit with the smallest error. */
#include "number/codec.h"

#include <math.h>

/* Below this a group counts as zero: a half could not hold its scale, and 1 / scale may overflow.
 */
static const float tiny = 1e-30f;

float search_scale(int n, int steps, const float *x, const float *weight)
{
    float extreme = 0.0f;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(extreme)) extreme = x[i];
    if (fabsf(extreme) < tiny) return 0.0f;

    /* The longer side (-steps) takes the extreme, hence the sign.  For quants q the best scale is
     * sum(wxq) / sum(wqq), and it lowers the error by sum(wxq)^2 / sum(wqq). */
    float best_scale = 0.0f, best_gain = 0.0f;
    for (int attempt = -9; attempt <= 9; attempt++) {
        const float inverse = -((float)steps + 0.1f * (float)attempt) / extreme;
        float xq = 0.0f, qq = 0.0f;
        for (int i = 0; i < n; i++) {
            const float q = (float)nearest(inverse * x[i], -steps, steps - 1);
            xq += weight[i] * x[i] * q;
            qq += weight[i] * q * q;
        }
        if (qq > 0.0f && xq * xq > best_gain * qq) {
            best_gain = xq * xq / qq;
            best_scale = xq / qq;
        }
    }
    /* Weights of squares may underflow where the numbers themselves do not. */
    return best_scale != 0.0f ? best_scale : -extreme / (float)steps;
}

/* Scale and offset of the weighted line through (q, x); false when all q are equal. */
static bool fit_line(int n, const float *x, const float *weight, const float *q, float *scale,
                     float *offset)
{
    float w = 0, wx = 0, wq = 0, wqq = 0, wxq = 0;
    for (int i = 0; i < n; i++) {
        w += weight[i];
        wx += weight[i] * x[i];
        wq += weight[i] * q[i];
        wqq += weight[i] * q[i] * q[i];
        wxq += weight[i] * x[i] * q[i];
    }
    const float determinant = w * wqq - wq * wq;
    if (!(determinant > 0.0f)) return false;
    *scale = (w * wxq - wx * wq) / determinant;
    *offset = (wqq * wx - wq * wxq) / determinant;
    if (*offset > 0.0f) {               /* a block can only subtract                        */
        *offset = 0.0f;
        *scale = wxq / wqq;
    }
    return *scale > 0.0f;
}

float search_scale_minimum(int n, int steps, const float *x, const float *weight, float *minimum)
{
    float low = 0.0f, high = x[0];
    for (int i = 0; i < n; i++) {
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
    }
    *minimum = -low;
    if (!(high - low > tiny)) return 0.0f;

    float best_scale = (high - low) / (float)steps, best_error = INFINITY;
    for (int attempt = 0; attempt <= 20; attempt++) {
        const float inverse = ((float)steps - 1.0f + 0.1f * (float)attempt) / (high - low);
        float q[GROUP_MAX], scale, offset, error = 0.0f;
        for (int i = 0; i < n; i++) q[i] = (float)nearest(inverse * (x[i] - low), 0, steps);
        if (!fit_line(n, x, weight, q, &scale, &offset)) continue;
        for (int i = 0; i < n; i++) {
            const float off = scale * q[i] + offset - x[i];
            error += weight[i] * off * off;
        }
        if (!(error < best_error)) continue;
        best_error = error;
        best_scale = scale;
        *minimum = -offset;
    }
    return best_scale;
}
