/* SPDX-License-Identifier: Apache-2.0
 * store/cache.c - the store of a model that does not fit: as many experts in memory as there is room for, the others
 * read when they are needed, or before.
 *
 * Reachable, not resident.  An expert travels: it is hinted (or pinned), gets a place (room.h), perhaps that of another
 * which the policy gives up (policy.h), is read (reader.h), and is here.  Everything below is done by the thread that
 * asks; only blocks are read by others.
 *
 * Who may take whose place
 *     needed      anybody's who is not pinned and not needed now
 *     soon        of those whose next turn comes later: layers that this step has passed
 *     a guess     what the policy would give up anyway, and never what is expected in a layer ahead
 * A guess that was wrong is the first to go.  In a sweep (a step that uses every expert) who was used
 * last waits longest for his next turn, so places of the layers just passed go round and the others stay. */
#include "base/checksum.h"
#include "base/clock.h"
#include "store/policy.h"
#include "store/reader.h"
#include "store/room.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { GUESS_SHARE = 4 };       /* guesses take at most a place in four                    */

typedef enum PlaceState {
    PLACE_FREE,
    PLACE_READING,
    PLACE_HERE,
    PLACE_FAILED                /* its read failed, and the pin that needed it is to hear why */
} PlaceState;

typedef struct Place {
    Reading    reading;
    Slot       slot;            /* what is in it, as tensors                               */
    PlaceState state;
    int32_t    key;             /* layer * E + expert; -1: none                            */
    int        pins;
    bool       ahead;           /* read for a hint that was not sure, and not pinned since */
    bool       stale;           /* its read was begun in an earlier step: that it failed says nothing of now */
    bool       late;            /* was not here when it was asked for: the pin is no hit   */
} Place;

typedef struct Coming { int32_t key; Hint hint; } Coming;

typedef struct Cache {
    Store                base;
    Device              *device;
    const ExpertExtents *experts;       /* [N]                                             */
    int                  n_layers, n_experts, n_all;
    Policy              *policy;
    Reader              *reader;
    Room                 room;
    int64_t              room_bytes_max;
    int64_t             *needs;         /* [N] memory that an expert takes                 */
    Place               *places;        /* [n_places] of the room                          */
    int                  n_places;
    int32_t             *where;         /* [N] place, or -1                                */
    int                  layer;         /* where the step stands                           */
    bool                 sweep;         /* it uses every expert                            */
    int32_t             *needed;        /* [N] of this layer, not pinned yet               */
    bool                *is_needed;     /* [N]                                             */
    bool                *expected;      /* [N] in a layer ahead                            */
    Coming              *coming;        /* [N] hinted, not begun                           */
    int                  n_needed, n_coming;
    int32_t             *travelling;    /* [n_places] places that are being read           */
    int                  n_travelling;
    int32_t             *candidates, *candidate_places;         /* [n_places]              */
    Reading            **awaited;       /* [n_places]                                      */
    uint64_t            *sums;          /* [n_places][sums_of_place] what readings check slabs by */
    size_t               sums_of_place;
    StoreStats           stats;
} Cache;

/* ---- where a step stands ---- */

static int layer_of(const Cache *c, int32_t key)
{
    return key / c->n_experts;
}

/* Layers until this one has its turn: 1 is the next, L the present one. */
static int turns_until(const Cache *c, int layer)
{
    const int n = c->n_layers, ahead = (layer - c->layer + n) % n;
    return ahead ? ahead : n;
}

static Place *place_of(const Cache *c, int32_t key)
{
    return c->where[key] >= 0 ? &c->places[c->where[key]] : NULL;
}

/* ---- places ---- */

static void leave(Cache *c, Place *p)
{
    if (p->ahead) c->stats.guessed_wasted += p->reading.read_bytes;
    room_leave(&c->room, c->where[p->key]);
    c->where[p->key] = -1;
    p->key = -1;
    p->state = PLACE_FREE;
    p->ahead = p->late = p->stale = false;
}

/* What has been read since anybody looked. */
static void harvest(Cache *c)
{
    int n = 0;
    for (int i = 0; i < c->n_travelling; i++) {
        Place *p = &c->places[c->travelling[i]];
        if (!reader_done(&p->reading)) {
            c->travelling[n++] = c->travelling[i];
            continue;
        }
        if (p->reading.status == OK) {
            p->state = PLACE_HERE;
        } else if (p->reading.status != CANCELLED && c->is_needed[p->key] && !p->stale) {
            p->state = PLACE_FAILED;
            p->ahead = false;
        } else {
            leave(c, p);
        }
    }
    c->n_travelling = n;
}

static bool may_leave(const Cache *c, const Place *p, int32_t for_key, Hint hint)
{
    if (p->state != PLACE_HERE || p->pins || c->is_needed[p->key]) return false;
    if (hint == HINT_NEEDED) return true;
    const int layer = layer_of(c, p->key);
    if (c->expected[p->key]) return false;
    if (hint == HINT_GUESS) return true;
    return layer <= c->layer && turns_until(c, layer) > turns_until(c, layer_of(c, for_key));
}

/* Lower goes first: wrong guesses, then in a sweep who waits longest, then those nobody expects. */
static int rank(const Cache *c, const Place *p)
{
    if (p->ahead && !c->expected[p->key]) return 0;
    if (c->sweep) return 1 + c->n_layers - turns_until(c, layer_of(c, p->key));
    return c->expected[p->key] ? 2 : 1;
}

/* Among those of the lowest rank the policy chooses. */
static Place *victim(Cache *c, int32_t for_key, Hint hint)
{
    int n = 0, lowest = INT_MAX;
    for (int i = 0; i < c->n_places; i++) {
        const Place *p = &c->places[i];
        if (!may_leave(c, p, for_key, hint)) continue;
        const int r = rank(c, p);
        if (r > lowest) continue;
        if (r < lowest) n = 0;
        lowest = r;
        c->candidates[n] = p->key;
        c->candidate_places[n++] = i;
    }
    if (n == 0) return NULL;
    return &c->places[c->candidate_places[policy_victim(c->policy, c->candidates, n, c->layer)]];
}

static void begin_reading(Cache *c, int place, int32_t key, Hint hint)
{
    Place *p = &c->places[place];
    room_take(&c->room, place, c->needs[key]);
    p->key = key;
    p->state = PLACE_READING;
    c->where[key] = place;
    c->travelling[c->n_travelling++] = place;
    p->slot = room_view(&c->room, place, &c->experts[key]);
    reader_begin(c->reader, &p->reading, &c->experts[key], &p->slot, room_at(&c->room, place), hint);
}

/* As experts differ in size, perhaps two leave for one.  False: nobody may leave now. */
static bool bring(Cache *c, int32_t key, Hint hint)
{
    int place;
    while ((place = room_find(&c->room, c->needs[key])) < 0) {
        Place *leaves = victim(c, key, hint);
        if (!leaves) return false;
        leave(c, leaves);
    }
    c->places[place].ahead = hint != HINT_NEEDED;
    c->places[place].late = hint == HINT_NEEDED;
    begin_reading(c, place, key, hint);
    return true;
}

/* ---- what to read next ---- */

static int n_ahead(const Cache *c)
{
    int n = 0;
    for (int i = 0; i < c->n_places; i++) n += c->places[i].state != PLACE_FREE && c->places[i].ahead;
    return n;
}

/* The disk gets work ahead only when nothing needed is waiting for a place or to be begun: a guess that turns out
 * wrong has then cost nobody a read. */
static void feed(Cache *c)
{
    for (int i = 0; i < c->n_needed; i++)
        if (c->where[c->needed[i]] < 0 && !bring(c, c->needed[i], HINT_NEEDED)) return;
    int n = 0;
    bool room = true;
    for (int i = 0; i < c->n_coming; i++) {
        const Coming next = c->coming[i];
        if (c->where[next.key] >= 0) continue;
        const bool guess = next.hint == HINT_GUESS;
        const bool now = room && !(guess && (reader_has(c->reader, HINT_NEEDED) ||
                                             n_ahead(c) >= c->base.pins_max / GUESS_SHARE));
        if (now && bring(c, next.key, next.hint)) continue;
        room = false;
        c->coming[n++] = next;
    }
    c->n_coming = n;
}

/* A read that nobody wants any more: what is not begun yet is left. */
static void drop(Cache *c, Place *p)
{
    if (p->state == PLACE_READING) reader_drop(c->reader, &p->reading);
}

static void forget_coming(Cache *c, int layer, Hint least)
{
    int n = 0;
    for (int i = 0; i < c->n_coming; i++) {
        const Coming next = c->coming[i];
        if ((layer < 0 || layer_of(c, next.key) == layer) && next.hint >= least) continue;
        c->coming[n++] = next;
    }
    c->n_coming = n;
}

static void forget_needed(Cache *c)
{
    for (int i = 0; i < c->n_needed; i++) {
        Place *p = place_of(c, c->needed[i]);
        c->is_needed[c->needed[i]] = false;
        if (p && p->state == PLACE_FAILED) leave(c, p);
    }
    c->n_needed = 0;
}

/* ---- the store ---- */

static int32_t key_of(const Cache *c, ExpertId id)
{
    return id.layer * c->n_experts + id.expert;
}

static void cache_begin(Store *s, bool sweep)
{
    Cache *c = (Cache *)s;
    harvest(c);
    for (int i = 0; i < c->n_travelling; i++) {
        Place *p = &c->places[c->travelling[i]];
        p->stale = true;
        reader_forget(c->reader, &p->reading);          /* of warm(): the step needs the place      */
    }
    harvest(c);
    forget_needed(c);
    forget_coming(c, -1, HINT_GUESS);
    c->sweep = sweep;
    c->layer = -1;
    policy_step(c->policy);
    feed(c);
}

static void hint_needed(Cache *c, const ExpertId *ids, int n)
{
    const int layer = n ? ids[0].layer : c->layer;
    forget_needed(c);
    forget_coming(c, layer, HINT_SOON);
    c->layer = layer;
    for (int i = 0; i < n; i++) {
        const int32_t key = key_of(c, ids[i]);
        c->needed[c->n_needed++] = key;
        c->is_needed[key] = true;
    }
    for (int e = 0; e < c->n_experts; e++) {            /* those of this layer that were expected   */
        const int32_t key = layer * c->n_experts + e;
        Place *p = place_of(c, key);
        c->expected[key] = false;
        if (!p || p->state != PLACE_READING) continue;
        if (!c->is_needed[key]) drop(c, p);
        else p->late = true, reader_urge(c->reader, &p->reading, HINT_NEEDED);
    }
}

static void hint_ahead(Cache *c, const ExpertId *ids, int n, Hint hint)
{
    if (n == 0) return;
    const int layer = ids[0].layer;
    forget_coming(c, layer, HINT_SOON);
    for (int e = 0; e < c->n_experts; e++) c->expected[layer * c->n_experts + e] = false;
    for (int i = 0; i < n; i++) {
        const int32_t key = key_of(c, ids[i]);
        c->expected[key] = true;
        if (c->where[key] < 0) c->coming[c->n_coming++] = (Coming){ key, hint };
    }
    for (int e = 0; e < c->n_experts; e++) {            /* begun on an older guess                  */
        Place *p = place_of(c, layer * c->n_experts + e);
        if (p && p->ahead && !c->expected[p->key] && p->key != -1) drop(c, p);
    }
}

static void cache_hint(Store *s, const ExpertId *ids, int n, Hint hint)
{
    Cache *c = (Cache *)s;
    harvest(c);
    if (hint == HINT_NEEDED) hint_needed(c, ids, n);
    else hint_ahead(c, ids, n, hint);
    feed(c);
}

/* Nobody leaves for it, and it counts as no guess: right or wrong, it took nothing from anybody. */
static void cache_warm(Store *s, const ExpertId *ids, int n)
{
    Cache *c = (Cache *)s;
    harvest(c);
    for (int i = 0; i < n; i++) {
        const int32_t key = key_of(c, ids[i]);
        if (c->where[key] >= 0) continue;
        const int place = room_find(&c->room, c->needs[key]);
        if (place < 0) return;
        begin_reading(c, place, key, HINT_GUESS);
    }
}

static bool here(const Cache *c, int32_t key)
{
    const Place *p = place_of(c, key);
    return p && (p->state == PLACE_HERE || (p->state == PLACE_READING && reader_done(&p->reading) &&
                                            p->reading.status == OK));
}

static bool cache_resident(const Store *s, ExpertId id)
{
    const Cache *c = (const Cache *)s;
    return here(c, key_of(c, id));
}

/* Until one of these reads is done, guesses begun as soon as nothing needed is left to begin. */
static void wait_for(Cache *c, int n_awaited)
{
    const int64_t start_us = clock_us();
    bool or_idle = c->n_coming > 0;
    while (reader_wait(c->reader, c->awaited, n_awaited, or_idle) < 0) {
        feed(c);
        or_idle = false;
    }
    c->stats.waits++;
    c->stats.wait_us += clock_us() - start_us;
}

/* All that is being read, when a place is what we wait for. */
static int await_places(Cache *c)
{
    for (int i = 0; i < c->n_travelling; i++) c->awaited[i] = &c->places[c->travelling[i]].reading;
    return c->n_travelling;
}

static int cache_first(Store *s, const ExpertId *ids, int n)
{
    Cache *c = (Cache *)s;
    for (;;) {
        harvest(c);
        feed(c);
        int n_awaited = 0;
        for (int i = 0; i < n; i++) {
            Place *p = place_of(c, key_of(c, ids[i]));
            if (p && p->state != PLACE_READING) return i;       /* here, or failed              */
            if (p) c->awaited[n_awaited++] = &p->reading;
        }
        if (n_awaited == 0) n_awaited = await_places(c);
        if (n_awaited == 0) return 0;                           /* pin() will say               */
        wait_for(c, n_awaited);
    }
}

/* The place of an expert, once it is settled: here or failed. */
static Status settle(Cache *c, int32_t key, Place **out, Error *error)
{
    for (;;) {
        harvest(c);
        Place *p = *out = place_of(c, key);
        if (p && p->state != PLACE_READING) return OK;
        if (p) {
            if (!p->late) p->late = true, reader_urge(c->reader, &p->reading, HINT_NEEDED);
            c->awaited[0] = &p->reading;
            wait_for(c, 1);
        } else if (!bring(c, key, HINT_NEEDED)) {
            const int n = await_places(c);
            if (n == 0) return fail(error, NO_ROOM, "experts: all %d slots are pinned", c->base.pins_max);
            wait_for(c, n);
        }
    }
}

static void no_longer_needed(Cache *c, int32_t key)
{
    if (!c->is_needed[key]) return;
    c->is_needed[key] = false;
    for (int i = 0; i < c->n_needed; i++)
        if (c->needed[i] == key) {
            memmove(&c->needed[i], &c->needed[i + 1], (size_t)(c->n_needed - i - 1) * sizeof *c->needed);
            c->n_needed--;
            return;
        }
}

static Status cache_pin(Store *s, ExpertId id, int n_rows, Pin *out, Error *error)
{
    Cache *c = (Cache *)s;
    const int32_t key = key_of(c, id);
    Place *p;
    c->stats.pins++;
    if (!c->is_needed[key]) c->needed[c->n_needed++] = key, c->is_needed[key] = true;
    const Status status = settle(c, key, &p, error);
    no_longer_needed(c, key);
    TRY(status);
    if (p->state == PLACE_FAILED) {
        const Status why = p->reading.status;
        if (error) *error = p->reading.error;
        leave(c, p);
        return why;
    }
    if (!p->late) c->stats.hits++;
    if (p->ahead) c->stats.guessed_used += p->reading.read_bytes;
    p->late = p->ahead = false;
    p->pins++;
    policy_used(c->policy, key, n_rows);
    *out = (Pin){ .weights = { .gate = p->slot.gate, .up = p->slot.up, .down = p->slot.down },
                  .device = c->device,
                  .slot = (int)(p - c->places) };
    return OK;
}

static void cache_unpin(Store *s, Pin *pin)
{
    Cache *c = (Cache *)s;
    if (pin->slot >= 0 && --c->places[pin->slot].pins == 0 && (c->n_needed || c->n_coming)) {
        harvest(c);
        feed(c);
    }
    *pin = (Pin){ .slot = -1 };
}

/* ---- room ---- */

static void set_pins(Cache *c)
{
    const int64_t n = c->room.may_bytes / c->room.place_bytes;
    c->base.pins_max = n < c->n_all ? (int)n : c->n_all;
}

/* What is being read is dropped first, then the policy says who leaves. */
static Status cache_resize(Store *s, int64_t room_bytes, Error *error)
{
    Cache *c = (Cache *)s;
    if (room_bytes < c->room.place_bytes || room_bytes > c->room_bytes_max)
        return fail(error, BAD_ARGUMENT, "room for experts: expected %lld to %lld bytes, found %lld",
                    (long long)c->room.place_bytes, (long long)c->room_bytes_max, (long long)room_bytes);
    forget_needed(c);
    forget_coming(c, -1, HINT_SOON);
    for (int n; room_bytes < c->room.needed_bytes && (harvest(c), n = await_places(c)) > 0;) {
        for (int i = 0; i < n; i++) drop(c, &c->places[c->travelling[i]]);
        reader_wait(c->reader, c->awaited, n, false);
    }
    c->room.may_bytes = room_bytes;
    set_pins(c);
    while (c->room.needed_bytes > room_bytes) {
        Place *p = victim(c, 0, HINT_NEEDED);
        if (!p) return fail(error, BAD_ARGUMENT, "room for experts: what is pinned needs more than %lld bytes",
                            (long long)room_bytes);
        leave(c, p);
    }
    room_shrink(&c->room);
    return OK;
}

static StoreStats cache_stats(const Store *s)
{
    const Cache *c = (const Cache *)s;
    const ReaderStats r = reader_stats(c->reader);
    StoreStats stats = c->stats;
    stats.read_bytes = r.read_bytes;
    stats.read_us = r.busy_us;
    stats.resident_bytes = c->room.held_bytes;
    stats.room_bytes = c->room.may_bytes;
    return stats;
}

static const int64_t *cache_uses(const Store *s)
{
    return policy_uses(((const Cache *)s)->policy);
}

static void cache_close(Store *s)
{
    Cache *c = (Cache *)s;
    reader_free(c->reader);
    room_close(&c->room);
    policy_free(c->policy);
    free(c->places);
    free(c->needs);
    free(c->where);
    free(c->needed);
    free(c->is_needed);
    free(c->expected);
    free(c->coming);
    free(c->travelling);
    free(c->candidates);
    free(c->candidate_places);
    free(c->awaited);
    free(c->sums);
    free(c);
}

static const StoreOps cache_ops = {
    .name = "cache",
    .begin = cache_begin,
    .hint = cache_hint,
    .warm = cache_warm,
    .resident = cache_resident,
    .first = cache_first,
    .pin = cache_pin,
    .unpin = cache_unpin,
    .resize = cache_resize,
    .stats = cache_stats,
    .uses = cache_uses,
    .close = cache_close,
};

/* ---- making one ---- */

static bool make_tables(Cache *c)
{
    const size_t n = (size_t)c->n_all, places = (size_t)c->n_places;
    c->sums_of_place = checksum_n_pieces((size_t)c->room.place_bytes);
    return (c->places           = calloc(places, sizeof *c->places)) &&
           (c->needs            = calloc(n, sizeof *c->needs)) &&
           (c->where            = calloc(n, sizeof *c->where)) &&
           (c->needed           = calloc(n, sizeof *c->needed)) &&
           (c->is_needed        = calloc(n, sizeof *c->is_needed)) &&
           (c->expected         = calloc(n, sizeof *c->expected)) &&
           (c->coming           = calloc(n, sizeof *c->coming)) &&
           (c->travelling       = calloc(places, sizeof *c->travelling)) &&
           (c->candidates       = calloc(places, sizeof *c->candidates)) &&
           (c->candidate_places = calloc(places, sizeof *c->candidate_places)) &&
           (c->awaited          = calloc(places, sizeof *c->awaited)) &&
           (c->sums             = calloc(places * c->sums_of_place, sizeof *c->sums));
}

static void clear_tables(Cache *c)
{
    for (int i = 0; i < c->n_places; i++) {
        c->places[i].key = -1;
        c->places[i].reading.sums = c->sums + (size_t)i * c->sums_of_place;
    }
    for (int i = 0; i < c->n_all; i++) {
        c->where[i] = -1;
        c->needs[i] = room_of_expert(&c->room, &c->experts[i]);
    }
}

static Status cache_make(Cache *c, const StoreSource *source, const CacheOptions *o, Error *error)
{
    TRY(room_open(c->device, source, o->room_bytes, c->room_bytes_max, &c->room, error));
    c->n_places = c->room.n_places;
    set_pins(c);
    if (!make_tables(c)) return fail_memory(error, "the expert store");
    clear_tables(c);
    TRY(policy_new(o->policy, c->n_layers, c->n_experts, &c->policy, error));
    if (o->shares) policy_prime(c->policy, o->shares, o->shares_rows);
    return reader_new(c->device, source, o->buffered, &c->reader, error);
}

Status store_cache_open(Device *device, const StoreSource *source, const CacheOptions *o, Store **out, Error *error)
{
    *out = NULL;
    Cache *c = calloc(1, sizeof *c);
    if (!c) return fail_memory(error, "the expert store");
    *c = (Cache){ .base = { .ops = &cache_ops, .streams = true },
                  .device = device,
                  .experts = source->experts,
                  .n_layers = source->n_layers,
                  .n_experts = source->n_experts,
                  .n_all = source->n_layers * source->n_experts,
                  .room_bytes_max = o->room_bytes_max > o->room_bytes ? o->room_bytes_max : o->room_bytes };
    const Status status = cache_make(c, source, o, error);
    if (status != OK) {
        cache_close(&c->base);
        return status;
    }
    *out = &c->base;
    return OK;
}
