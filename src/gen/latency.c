/* SPDX-License-Identifier: Apache-2.0
 * gen/latency.c - see latency.h. */
#include "gen/latency.h"

/* Below STEPS the bucket is the time.  Above, octave o >= 1 holds times from STEPS << (o-1) on, in STEPS buckets
 * that are 1 << (o-1) wide. */
static int bucket_of(int64_t us)
{
    if (us < LATENCY_STEPS) return us < 0 ? 0 : (int)us;
    int octave = 1;
    while (octave < LATENCY_OCTAVES && us >> octave >= LATENCY_STEPS) octave++;
    const int64_t step = (us >> (octave - 1)) - LATENCY_STEPS;
    return LATENCY_STEPS * octave + (int)(step < LATENCY_STEPS ? step : LATENCY_STEPS - 1);
}

/* The last time that belongs to a bucket; the last bucket has no end. */
static int64_t end_of(int bucket)
{
    if (bucket == LATENCY_BUCKETS - 1) return INT64_MAX;
    if (bucket < LATENCY_STEPS) return bucket;
    const int octave = bucket / LATENCY_STEPS, step = bucket % LATENCY_STEPS;
    return ((int64_t)(LATENCY_STEPS + step + 1) << (octave - 1)) - 1;
}

void latency_add(Latency *l, int64_t us)
{
    l->count[bucket_of(us)]++;
    l->n++;
    l->sum_us += us;
    if (us > l->us_max) l->us_max = us;
}

void latency_merge(Latency *into, const Latency *from)
{
    for (int i = 0; i < LATENCY_BUCKETS; i++) into->count[i] += from->count[i];
    into->n += from->n;
    into->sum_us += from->sum_us;
    if (from->us_max > into->us_max) into->us_max = from->us_max;
}

int64_t latency_at(const Latency *l, double share)
{
    int64_t passed = 0;
    for (int i = 0; i < LATENCY_BUCKETS && l->n; i++) {
        passed += l->count[i];
        if ((double)passed >= share * (double)l->n && passed > 0) return end_of(i) < l->us_max ? end_of(i) : l->us_max;
    }
    return l->us_max;
}
