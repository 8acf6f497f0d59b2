/* SPDX-License-Identifier: Apache-2.0
 * gen/latency.h - how long things took, as a histogram that never allocates.
 *
 * Buckets grow by a sixteenth of an octave or less, so that a percentile is at most 6.25 % above the truth; below
 * 16 us every microsecond has its own. */
#ifndef GEN_LATENCY_H
#define GEN_LATENCY_H

#include <stdint.h>

enum { LATENCY_STEPS = 16, LATENCY_OCTAVES = 36, LATENCY_BUCKETS = LATENCY_STEPS * (LATENCY_OCTAVES + 1) };

typedef struct Latency {
    int64_t  n, sum_us, us_max;
    uint32_t count[LATENCY_BUCKETS];
} Latency;                              /* { 0 } is empty                                  */

void    latency_add(Latency *latency, int64_t us);
void    latency_merge(Latency *into, const Latency *from);
/* The least time that a share of them (0 to 1) did not exceed, rounded up to its bucket's end; 0: there are none. */
int64_t latency_at(const Latency *latency, double share);

#endif
