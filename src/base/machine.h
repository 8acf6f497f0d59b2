/* SPDX-License-Identifier: Apache-2.0
 * base/machine.h - what the machine has left, and what this process has taken. */
#ifndef BASE_MACHINE_H
#define BASE_MACHINE_H

#include <stdint.h>

/* Bytes a process may still take without swapping: the system's estimate, less where a control group (of
 * version 1 or 2, this process's or one above it) is tighter.  INT64_MAX when nothing says. */
int64_t machine_free_bytes(void);
/* Bytes of memory that this process holds now; 0 when nothing says. */
int64_t machine_resident_bytes(void);

#endif
