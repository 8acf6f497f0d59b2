/* SPDX-License-Identifier: Apache-2.0
 * store/room.c - see room.h. */
#include "store/room.h"

#include <stdlib.h>

enum {
    HUGE_ROOM  = 16 << 20,      /* places from this size on are whole huge pages           */
    SMALL_PAGE = 4096
};

/* ---- sizes ---- */

static int64_t round_up(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* Gate, up and down one after another: where each begins, and where the last ends. */
static int64_t layout(const DeviceOps *ops, const ExpertExtents *e, int64_t at[SLOT_PARTS])
{
    const Extent *parts[SLOT_PARTS] = { &e->gate, &e->up, &e->down };
    int64_t end = 0;
    for (int p = 0; p < SLOT_PARTS; p++) {
        at[p] = end;
        end += round_up(ops->weight_bytes(parts[p]->format, parts[p]->rows, parts[p]->cols), SLAB_PART_ALIGN);
    }
    return end > e->packed.n_bytes ? end : e->packed.n_bytes;
}

static int64_t taken_by(const DeviceOps *ops, const ExpertExtents *e, int64_t page)
{
    int64_t at[SLOT_PARTS];
    return round_up(layout(ops, e, at), page);
}

/* Memory comes in huge pages.  A place that is not made of them shares its last one with the next, so what is left over
 * in it cannot be another's: then every expert takes a whole place. */
Sizes room_sizes(Device *device, const StoreSource *source)
{
    Sizes s = { .page = SMALL_PAGE };
    for (int again = 0; again < 2; again++) {
        s.least = INT64_MAX, s.most = 0;
        for (int i = 0; i < source->n_layers * source->n_experts; i++) {
            const int64_t bytes = taken_by(device->ops, &source->experts[i], s.page);
            if (bytes < s.least) s.least = bytes;
            if (bytes > s.most) s.most = bytes;
        }
        if (s.most < HUGE_ROOM) break;
        s.page = ROOM_ALIGN;
    }
    if (s.page == SMALL_PAGE) s.least = s.most;
    return s;
}

int64_t store_expert_room(Device *device, const StoreSource *source)
{
    return room_sizes(device, source).most;
}

/* The device keeps a 256th more at most, each matrix begins where a line does, the whole where a page does. */
int64_t store_room_at_most(int64_t expert_bytes)
{
    const int64_t bytes = expert_bytes + expert_bytes / 256 + SLOT_PARTS * SLAB_PART_ALIGN;
    const int64_t page = bytes < HUGE_ROOM ? SMALL_PAGE : ROOM_ALIGN;
    return (bytes / page + 2) * page;
}

int64_t room_of_expert(const Room *room, const ExpertExtents *expert)
{
    return room->page_bytes == SMALL_PAGE ? room->place_bytes
                                          : taken_by(room->device->ops, expert, room->page_bytes);
}

/* ---- memory ---- */

/* What is in the place does not need it. */
static int64_t spare_in(const Room *room, int place)
{
    return room->held[place] - room->needed[place];
}

/* First what others have and do not need, then new. */
static void take_memory(Room *room, int place, int64_t need)
{
    int64_t *held = &room->held[place];
    for (int i = 0; i < room->n_places && *held < need; i++) {
        const int64_t spare = i == place ? 0 : spare_in(room, i), missing = need - *held;
        const int64_t moves = spare < missing ? spare : missing;
        if (moves <= 0) continue;
        room->held[i] -= moves;
        room->device->ops->move_room(room->device, room_at(room, i) + room->held[i],
                                     room_at(room, place) + *held, moves);
        *held += moves;
    }
    if (*held >= need) return;
    room->held_bytes += need - *held;
    *held = need;
}

int room_find(const Room *room, int64_t n_bytes)
{
    int best = -1;
    if (room->may_bytes - room->needed_bytes < n_bytes) return -1;
    for (int i = 0; i < room->n_places; i++) {
        if (room->needed[i]) continue;
        if (best < 0 || llabs(room->held[i] - n_bytes) < llabs(room->held[best] - n_bytes)) best = i;
    }
    return best;
}

void room_take(Room *room, int place, int64_t n_bytes)
{
    take_memory(room, place, n_bytes);
    room->needed[place] = n_bytes;
    room->needed_bytes += n_bytes;
}

void room_leave(Room *room, int place)
{
    room->needed_bytes -= room->needed[place];
    room->needed[place] = 0;
}

void room_shrink(Room *room)
{
    for (int i = 0; i < room->n_places && room->held_bytes > room->may_bytes; i++) {
        const int64_t spare = spare_in(room, i);
        if (spare <= 0) continue;
        room->held[i] -= spare;
        room->held_bytes -= spare;
        room->device->ops->clear_room(room->device, room_at(room, i) + room->held[i], spare);
    }
}

char *room_at(const Room *room, int place)
{
    return room->addresses + place * room->place_bytes;
}

/* ---- experts in it ---- */

static Status place_matrices(const Room *room, int place, const ExpertExtents *e, Slot *out)
{
    const Extent *parts[SLOT_PARTS] = { &e->gate, &e->up, &e->down };
    Tensor *tensors[SLOT_PARTS] = { &out->gate, &out->up, &out->down };
    int64_t at[SLOT_PARTS];
    layout(room->device->ops, e, at);
    for (int i = 0; i < SLOT_PARTS; i++)
        TRY(room->device->ops->place_weight(room->device, parts[i]->format, parts[i]->rows, parts[i]->cols,
                                            room_at(room, place) + at[i], tensors[i]));
    return OK;
}

Slot room_view(const Room *room, int place, const ExpertExtents *expert)
{
    Slot slot = { 0 };
    place_matrices(room, place, expert, &slot);         /* shapes were tried when the room was opened */
    return slot;
}

/* ---- making one ---- */

static Status of_device(const Room *room, Status status, Error *error)
{
    if (status != OK && error) *error = room->device->error;
    return status;
}

static Status make(Room *room, const StoreSource *source, Error *error)
{
    const int64_t n_bytes = room->n_places * room->place_bytes;
    void *addresses;
    Slot tried;
    room->held = calloc((size_t)room->n_places, sizeof *room->held);
    room->needed = calloc((size_t)room->n_places, sizeof *room->needed);
    if (!room->held || !room->needed) return fail_memory(error, "the room for experts");
    TRY(of_device(room, room->device->ops->alloc_room(room->device, n_bytes, &addresses), error));
    room->addresses = addresses;
    for (int i = 0; i < source->n_layers * source->n_experts; i++)
        TRY(of_device(room, place_matrices(room, 0, &source->experts[i], &tried), error));
    return OK;
}

Status room_open(Device *device, const StoreSource *source, int64_t may_bytes, int64_t most_bytes, Room *out,
                 Error *error)
{
    const Sizes sizes = room_sizes(device, source);
    const int64_t n_all = source->n_layers * source->n_experts, n_fit = most_bytes / sizes.least;
    *out = (Room){ .device = device,
                   .n_places = (int)(n_fit < n_all ? n_fit : n_all),
                   .place_bytes = sizes.most,
                   .page_bytes = sizes.page,
                   .may_bytes = may_bytes };
    if (may_bytes < sizes.most)
        return fail(error, BAD_ARGUMENT, "room for experts: expected at least %lld bytes, which the largest takes, "
                    "found %lld", (long long)sizes.most, (long long)may_bytes);
    const Status status = make(out, source, error);
    if (status != OK) room_close(out);
    return status;
}

void room_close(Room *room)
{
    if (room->addresses)
        room->device->ops->free_room(room->device, room->addresses, room->n_places * room->place_bytes);
    free(room->held);
    free(room->needed);
    *room = (Room){ 0 };
}
