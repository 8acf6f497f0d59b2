/* SPDX-License-Identifier: Apache-2.0
 * store/ram.c - the store of a model that fits: every expert is read when the store is opened.
 *
 * Read, not mapped: a file that is truncated or replaced under us later cannot hurt (no SIGBUS). */
#include "store/slots.h"

#include <limits.h>
#include <stdlib.h>

typedef struct RamStore {
    Store       base;
    Device     *device;
    Slot       *slots;          /* [L*E]                                                   */
    int         n_layers, n_experts, n_slots;
    StoreStats  stats;
} RamStore;

static void ram_begin(Store *s, bool sweep)
{
    (void)s, (void)sweep;
}

static void ram_hint(Store *s, const ExpertId *ids, int n, Hint hint)
{
    (void)s, (void)ids, (void)n, (void)hint;            /* everything is already here           */
}

static int ram_first(Store *s, const ExpertId *ids, int n)
{
    (void)s, (void)ids, (void)n;
    return 0;
}

static Status ram_resize(Store *s, int64_t room_bytes, Error *error)
{
    (void)room_bytes;
    return fail(error, BAD_ARGUMENT, "experts: all %d are in memory, and stay there", ((RamStore *)s)->n_slots);
}

static bool ram_resident(const Store *s, ExpertId id)
{
    (void)s, (void)id;
    return true;
}

static Status ram_pin(Store *s, ExpertId id, int n_rows, Pin *out, Error *error)
{
    RamStore *r = (RamStore *)s;
    (void)error, (void)n_rows;
    const int slot = id.layer * r->n_experts + id.expert;
    const Slot *e = &r->slots[slot];
    *out = (Pin){ .weights = { .gate = e->gate, .up = e->up, .down = e->down },
                  .device = r->device,
                  .slot = slot };
    r->stats.pins++;
    r->stats.hits++;
    return OK;
}

static void ram_unpin(Store *s, Pin *pin)
{
    (void)s;
    *pin = (Pin){ .slot = -1 };
}

static StoreStats ram_stats(const Store *s)
{
    return ((const RamStore *)s)->stats;
}

static void ram_close(Store *s)
{
    RamStore *r = (RamStore *)s;
    for (int i = 0; i < r->n_slots; i++) slot_free(r->device, &r->slots[i]);
    free(r->slots);
    free(r);
}

static const StoreOps ram_ops = {
    .name = "ram",
    .begin = ram_begin,
    .hint = ram_hint,
    .resident = ram_resident,
    .first = ram_first,
    .pin = ram_pin,
    .unpin = ram_unpin,
    .resize = ram_resize,
    .stats = ram_stats,
    .close = ram_close,
};

/* Room for everybody first, then one long read, so that no thread waits for another in between. */
static Status ram_read_all(RamStore *r, const StoreSource *source, Loader *loader,
                           StoreProgress *progress, Error *error)
{
    const int n = source->n_layers * source->n_experts;
    Load *loads = malloc((size_t)n * SLOT_PARTS * sizeof *loads);
    Status status = loads ? OK : fail_memory(error, "the expert store");
    for (int i = 0; i < n && status == OK; i++) {
        status = slot_new(r->device, &source->experts[i], &r->slots[i], error);
        if (status != OK) break;
        r->n_slots = i + 1;
        slot_loads(&source->experts[i], &r->slots[i], &loads[i * SLOT_PARTS]);
        r->stats.resident_bytes += expert_bytes(&source->experts[i]);
    }
    if (status == OK) status = loader_run(loader, loads, n * SLOT_PARTS, progress, error);
    if (status == OK) r->stats.read_bytes = r->stats.room_bytes = r->stats.resident_bytes;
    free(loads);
    return status;
}

Status store_ram_open(Device *device, const StoreSource *source, Loader *loader,
                      StoreProgress *progress, Store **out, Error *error)
{
    *out = NULL;
    RamStore *r = calloc(1, sizeof *r);
    if (!r) return fail_memory(error, "the expert store");
    *r = (RamStore){ .base = { .ops = &ram_ops, .pins_max = INT_MAX },
                     .device = device,
                     .n_layers = source->n_layers,
                     .n_experts = source->n_experts };
    r->slots = calloc((size_t)source->n_layers * (size_t)source->n_experts, sizeof *r->slots);
    const Status status = r->slots ? ram_read_all(r, source, loader, progress, error)
                                   : fail_memory(error, "the expert store");
    if (status != OK) {
        ram_close(&r->base);
        return status;
    }
    *out = &r->base;
    return OK;
}
