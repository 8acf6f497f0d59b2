/* SPDX-License-Identifier: Apache-2.0
 * train/sums.h - sums over the numbers of a row, in double.
 *
 * ORDER dot, dot3: number i goes to lane i % LANES, then lane after lane, then what is left over. */
#ifndef TRAIN_SUMS_H
#define TRAIN_SUMS_H

#include <stdint.h>

enum { SUM_LANES = 8 };                 /* that do not wait for each other                  */

static inline double sum_lanes(const double lane[SUM_LANES])
{
    double sum = 0;
    for (int k = 0; k < SUM_LANES; k++) sum += lane[k];
    return sum;
}

static inline double dot(const float *a, const float *b, int64_t n)
{
    double lane[SUM_LANES] = { 0 };
    int64_t i = 0;
    for (; i + SUM_LANES <= n; i += SUM_LANES)
        for (int64_t k = 0; k < SUM_LANES; k++) lane[k] += (double)a[i + k] * (double)b[i + k];
    double sum = sum_lanes(lane);
    for (; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* The sum of a[i] b[i] c[i]. */
static inline double dot3(const float *a, const float *b, const float *c, int64_t n)
{
    double lane[SUM_LANES] = { 0 };
    int64_t i = 0;
    for (; i + SUM_LANES <= n; i += SUM_LANES)
        for (int64_t k = 0; k < SUM_LANES; k++)
            lane[k] += (double)a[i + k] * (double)b[i + k] * (double)c[i + k];
    double sum = sum_lanes(lane);
    for (; i < n; i++) sum += (double)a[i] * (double)b[i] * (double)c[i];
    return sum;
}

#endif
