/* SPDX-License-Identifier: Apache-2.0 */
#include "store/slots.h"

static Status slot_part(Device *device, const Extent *e, Tensor *out, Error *error)
{
    const Status status = device->ops->alloc_weight(device, e->format, e->rows, e->cols, out);
    if (status != OK && error) *error = device->error;
    return status;
}

Status slot_new(Device *device, const ExpertExtents *like, Slot *out, Error *error)
{
    *out = (Slot){ 0 };
    Status status = slot_part(device, &like->gate, &out->gate, error);
    if (status == OK) status = slot_part(device, &like->up, &out->up, error);
    if (status == OK) status = slot_part(device, &like->down, &out->down, error);
    if (status != OK) slot_free(device, out);
    return status;
}

void slot_free(Device *device, Slot *slot)
{
    device->ops->free(device, &slot->gate);
    device->ops->free(device, &slot->up);
    device->ops->free(device, &slot->down);
    *slot = (Slot){ 0 };
}

void slot_loads(const ExpertExtents *from, Slot *slot, Load out[SLOT_PARTS])
{
    out[0] = (Load){ .from = from->gate, .to = &slot->gate };
    out[1] = (Load){ .from = from->up, .to = &slot->up };
    out[2] = (Load){ .from = from->down, .to = &slot->down };
}
