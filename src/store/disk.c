/* SPDX-License-Identifier: Apache-2.0
 * store/disk.c - the store of a model that does not fit: a fixed number of slots over the file.
 *
 * Reachable, not resident.  An expert that is asked for and not in a slot is read into the slot that was
 * used least recently and is not pinned.  The bytes are those of the file, so the numbers are the same. */
#include "base/clock.h"
#include "store/slots.h"

#include <stdlib.h>

typedef struct Room {
    Slot    slot;
    int     expert;             /* layer * E + expert; -1: empty                           */
    int     pins;
    int64_t last_used;          /* value of DiskStore.now                                  */
} Room;

typedef struct DiskStore {
    Store                base;
    Device              *device;
    Loader              *loader;        /* borrowed                                        */
    const ExpertExtents *experts;       /* [L*E]                                           */
    int                  n_layers, n_experts, n_rooms;
    Room                *rooms;         /* [n_rooms]                                       */
    int                 *where;         /* [L*E] its room, or -1                           */
    int64_t              now;           /* counts pins                                     */
    StoreStats           stats;
} DiskStore;

static void disk_begin(Store *s, int n_rows)
{
    (void)s, (void)n_rows;
}

static void disk_hint(Store *s, const ExpertId *ids, int n, Hint hint)
{
    (void)s, (void)ids, (void)n, (void)hint;
}

static int disk_first(Store *s, const ExpertId *ids, int n)
{
    (void)s, (void)ids, (void)n;
    return 0;
}

static Status disk_resize(Store *s, int64_t room_bytes, Error *error)
{
    (void)s, (void)room_bytes;
    return fail(error, BAD_ARGUMENT, "experts: the number of slots is fixed");
}

static bool disk_resident(const Store *s, ExpertId id)
{
    const DiskStore *d = (const DiskStore *)s;
    return d->where[id.layer * d->n_experts + id.expert] >= 0;
}

static Room *room_to_use(DiskStore *d)
{
    Room *oldest = NULL;
    for (int i = 0; i < d->n_rooms; i++) {
        Room *room = &d->rooms[i];
        if (room->pins == 0 && (!oldest || room->last_used < oldest->last_used)) oldest = room;
    }
    return oldest;
}

/* The room's tensors, seen as the expert that lies in it. */
static Slot slot_as(const Slot *slot, const ExpertExtents *e)
{
    const Extent *extents[3] = { &e->gate, &e->up, &e->down };
    Slot view = *slot;
    Tensor *tensors[3] = { &view.gate, &view.up, &view.down };
    for (int i = 0; i < 3; i++) {
        tensors[i]->format = extents[i]->format;
        tensors[i]->rows = extents[i]->rows;
        tensors[i]->cols = extents[i]->cols;
        tensors[i]->row_bytes = format_row_bytes(extents[i]->format, extents[i]->cols);
    }
    return view;
}

/* A room is empty while it is being filled, so that a failed read leaves nothing half-true behind. */
static Status bring(DiskStore *d, int expert, Room **out, Error *error)
{
    Room *room = room_to_use(d);
    if (!room) return fail(error, NO_ROOM, "experts: all %d slots are pinned", d->n_rooms);
    if (room->expert >= 0) d->where[room->expert] = -1;
    room->expert = -1;

    Slot view = slot_as(&room->slot, &d->experts[expert]);
    const int64_t start_us = clock_us();
    Load loads[SLOT_PARTS];
    slot_loads(&d->experts[expert], &view, loads);
    const Status status = loader_run(d->loader, loads, SLOT_PARTS, NULL, error);
    d->stats.wait_us += clock_us() - start_us;
    TRY(status);
    d->stats.read_bytes += expert_bytes(&d->experts[expert]);
    room->expert = expert;
    d->where[expert] = (int)(room - d->rooms);
    *out = room;
    return OK;
}

static Status disk_pin(Store *s, ExpertId id, int n_rows, Pin *out, Error *error)
{
    (void)n_rows;
    DiskStore *d = (DiskStore *)s;
    const int expert = id.layer * d->n_experts + id.expert;
    Room *room = d->where[expert] >= 0 ? &d->rooms[d->where[expert]] : NULL;
    d->stats.pins++;
    if (room) d->stats.hits++;
    else TRY(bring(d, expert, &room, error));
    room->pins++;
    room->last_used = ++d->now;
    const Slot view = slot_as(&room->slot, &d->experts[expert]);
    *out = (Pin){ .weights = { .gate = view.gate, .up = view.up, .down = view.down },
                  .device = d->device,
                  .slot = (int)(room - d->rooms) };
    return OK;
}

static void disk_unpin(Store *s, Pin *pin)
{
    DiskStore *d = (DiskStore *)s;
    if (pin->slot >= 0) d->rooms[pin->slot].pins--;
    *pin = (Pin){ .slot = -1 };
}

static StoreStats disk_stats(const Store *s)
{
    return ((const DiskStore *)s)->stats;
}

static void disk_close(Store *s)
{
    DiskStore *d = (DiskStore *)s;
    if (d->rooms)
        for (int i = 0; i < d->n_rooms; i++) slot_free(d->device, &d->rooms[i].slot);
    free(d->rooms);
    free(d->where);
    free(d);
}

static const StoreOps disk_ops = {
    .name = "disk",
    .begin = disk_begin,
    .hint = disk_hint,
    .resident = disk_resident,
    .first = disk_first,
    .pin = disk_pin,
    .unpin = disk_unpin,
    .resize = disk_resize,
    .stats = disk_stats,
    .close = disk_close,
};

/* For each of the three matrices the largest among all experts: layers of one file may differ in format. */
static ExpertExtents largest(const StoreSource *source)
{
    ExpertExtents most = source->experts[0];
    for (int i = 1; i < source->n_layers * source->n_experts; i++) {
        const ExpertExtents *e = &source->experts[i];
        if (extent_bytes(&e->gate) > extent_bytes(&most.gate)) most.gate = e->gate;
        if (extent_bytes(&e->up) > extent_bytes(&most.up)) most.up = e->up;
        if (extent_bytes(&e->down) > extent_bytes(&most.down)) most.down = e->down;
    }
    return most;
}

static Status disk_make_rooms(DiskStore *d, const StoreSource *source, Error *error)
{
    const ExpertExtents size = largest(source);
    const int n_all = source->n_layers * source->n_experts;
    d->rooms = calloc((size_t)d->n_rooms, sizeof *d->rooms);
    d->where = calloc((size_t)n_all, sizeof *d->where);
    if (!d->rooms || !d->where) return fail_memory(error, "the expert store");
    for (int i = 0; i < n_all; i++) d->where[i] = -1;
    for (int i = 0; i < d->n_rooms; i++) {
        d->rooms[i].expert = -1;
        TRY(slot_new(d->device, &size, &d->rooms[i].slot, error));
        d->stats.resident_bytes += expert_bytes(&size);
    }
    return OK;
}

Status store_disk_open(Device *device, const StoreSource *source, int n_slots, Loader *loader,
                       Store **out, Error *error)
{
    *out = NULL;
    if (n_slots < 1)
        return fail(error, BAD_ARGUMENT, "expert slots: expected at least 1, found %d", n_slots);
    DiskStore *d = calloc(1, sizeof *d);
    if (!d) return fail_memory(error, "the expert store");
    *d = (DiskStore){ .base = { .ops = &disk_ops, .pins_max = n_slots },
                      .device = device,
                      .loader = loader,
                      .experts = source->experts,
                      .n_layers = source->n_layers,
                      .n_experts = source->n_experts,
                      .n_rooms = n_slots };
    const Status status = disk_make_rooms(d, source, error);
    if (status != OK) {
        disk_close(&d->base);
        return status;
    }
    *out = &d->base;
    return OK;
}
