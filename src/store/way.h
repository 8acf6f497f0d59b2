/* SPDX-License-Identifier: Apache-2.0
 * store/way.h - straight to its place, or through a buffer that the caches' own lines have left: which is faster here?
 *
 * A block of a packed expert needs no arranging, so the disk may write it straight to its place.  That is the best way
 * where a disk writes to all memory alike.  In some virtual machines it does not: the program that plays the disk looks
 * up each page that it has not written to for some seconds, and fills twenty gigabytes of places at 2.6 GB/s where it
 * fills the same few buffers at 7.6; a core copies at twelve.  So both ways are tried now and then, some blocks each,
 * and blocks go through buffers while that is a quarter faster.  The bytes are the same. */
#ifndef STORE_WAY_H
#define STORE_WAY_H

#include <stdbool.h>
#include <stdint.h>

enum { WAY_STRAIGHT, WAY_THROUGH, N_WAYS };

enum {
    WAY_TRIAL_BLOCKS = 64,      /* of each way in a trial                                  */
    WAY_LEAD_BLOCKS  = 24,      /* the first of them do not count: others are in flight    */
    WAY_REST_MAX     = 32       /* trials that would go between two, at most; at first one, then twice as many */
};

typedef struct Way {
    int     chosen;             /* between trials                                          */
    int     n_taken;            /* blocks since the trial began                            */
    int     rest;               /* see WAY_REST_MAX                                        */
    int64_t from_bytes, from_us;
    double  speed[N_WAYS];      /* bytes per microsecond, as last tried                    */
} Way;

/* The way of the next block.  What the disk has given so far, and how long it was busy: since any moment, the same
 * every time. */
int way_of_next(Way *way, int64_t read_bytes, int64_t busy_us);

#endif
