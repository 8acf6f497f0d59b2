/* SPDX-License-Identifier: Apache-2.0
 * store/room.h - the memory of experts that come and go: one range of addresses, cut into places.
 *
 * A place is large enough for the largest expert.  One of whole huge pages takes memory only for the expert in it, so
 * that layers with smaller experts leave more of them in the same room; what a larger one before it left behind goes to
 * the next who is short of memory.  Who is in which place is for the cache to know (cache.c). */
#ifndef STORE_ROOM_H
#define STORE_ROOM_H

#include "store/store.h"
#include "store/slots.h"

/* What experts take: the least, the most, and a multiple of what. */
typedef struct Sizes { int64_t least, most, page; } Sizes;

Sizes room_sizes(Device *device, const StoreSource *source);

typedef struct Room {
    Device  *device;                    /* borrowed                                         */
    char    *addresses;
    int      n_places;
    int64_t  place_bytes, page_bytes;
    int64_t  may_bytes;                 /* take; the caller lowers it with room_shrink      */
    int64_t  held_bytes;                /* taken                                            */
    int64_t  needed_bytes;              /* by what is in the places: the rest is to be had  */
    int64_t *held, *needed;             /* [n_places] likewise                              */
} Room;

/* It may take `may_bytes` at first, and has places for `most_bytes` or for every expert.  Their shapes are tried, so
 * that none is refused later. */
Status room_open(Device *device, const StoreSource *source, int64_t may_bytes, int64_t most_bytes, Room *out,
                 Error *error);
void   room_close(Room *room);

/* Memory that this expert takes. */
int64_t room_of_expert(const Room *room, const ExpertExtents *expert);
/* The empty place that suits so much memory best; -1: all are taken, or nobody's memory is to be had for it. */
int     room_find(const Room *room, int64_t n_bytes);
void    room_take(Room *room, int place, int64_t n_bytes);
void    room_leave(Room *room, int place);
/* Gives back what is nobody's, down to may_bytes. */
void    room_shrink(Room *room);

char   *room_at(const Room *room, int place);
/* A place's memory, seen as this expert. */
Slot    room_view(const Room *room, int place, const ExpertExtents *expert);

#endif
