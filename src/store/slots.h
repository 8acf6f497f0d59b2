/* SPDX-License-Identifier: Apache-2.0
 * store/slots.h - room for one expert on a device; what both stores are made of. */
#ifndef STORE_SLOTS_H
#define STORE_SLOTS_H

#include "store/load.h"

/* Room for gate, up and down.  Formats and sizes may differ between experts, so a slot of the disk
 * store is three tensors of the largest size, seen as whatever the expert in it needs. */
typedef struct Slot { Tensor gate, up, down; } Slot;

Status slot_new(Device *device, const ExpertExtents *like, Slot *out, Error *error);
void   slot_free(Device *device, Slot *slot);
enum { SLOT_PARTS = 3 };
/* What fills a slot, for loader_run. */
void   slot_loads(const ExpertExtents *from, Slot *slot, Load out[SLOT_PARTS]);

#endif
