/* SPDX-License-Identifier: Apache-2.0
 * base/machine.h - what the machine has left. */
#ifndef BASE_MACHINE_H
#define BASE_MACHINE_H

#include <stdint.h>

/* Bytes a process may still take without swapping: the system's estimate, less where a control group is
 * tighter.  INT64_MAX when nothing says. */
int64_t machine_free_bytes(void);

#endif
