/* SPDX-License-Identifier: Apache-2.0
 * store/slots.h - one expert on a device. */
#ifndef STORE_SLOTS_H
#define STORE_SLOTS_H

#include "store/load.h"

/* Gate, up and down; slot_new makes room for them. */
typedef struct Slot { Tensor gate, up, down; } Slot;

Status slot_new(Device *device, const ExpertExtents *like, Slot *out, Error *error);
void   slot_free(Device *device, Slot *slot);
enum { SLOT_PARTS = 3 };
/* What fills a slot, for loader_run. */
void   slot_loads(const ExpertExtents *from, Slot *slot, Load out[SLOT_PARTS]);

#endif
