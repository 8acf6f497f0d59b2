/* SPDX-License-Identifier: Apache-2.0
 * device/profile.h - where the time of a step goes: ops counted and timed by what they are for.
 *
 * A profiled device has its table of ops exchanged for one of wrappers that look at the clock
 * before and after the real op (two looks, some 50 ns).  Others pay nothing. */
#ifndef DEVICE_PROFILE_H
#define DEVICE_PROFILE_H

#include "device/device.h"

enum { PROFILE_ROWS_MAX = 32 };

typedef struct ProfileRow {
    const char *name;           /* the weight's role, or the op: "router", "rope"          */
    int64_t     n_calls, ns;
    int64_t     bytes;          /* weights once an op; keys and values once a sequence     */
    int64_t     operations;     /* of products; 2 per multiply-accumulate                  */
} ProfileRow;

Status profile_attach(Device *device, Error *error);
void   profile_detach(Device *device);          /* fine without one                        */
void   profile_reset(Device *device);
/* The time of steps that is in no op becomes the last row, "between".  0 rows without a profile. */
int    profile_read_rows(const Device *device, ProfileRow rows[PROFILE_ROWS_MAX]);
void   profile_step_begins(Device *device);
void   profile_step_ends(Device *device);

#endif
