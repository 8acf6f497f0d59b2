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
    int         n_layers, n_experts, n_filled;
    StoreStats  stats;
} RamStore;

static void ram_hint(Store *s, const ExpertId *ids, int n)
{
    (void)s, (void)ids, (void)n;            /* everything is already here                       */
}

static bool ram_resident(const Store *s, ExpertId id)
{
    (void)s, (void)id;
    return true;
}

static Status ram_pin(Store *s, ExpertId id, Pin *out, Error *error)
{
    RamStore *r = (RamStore *)s;
    (void)error;
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
    for (int i = 0; i < r->n_filled; i++) slot_free(r->device, &r->slots[i]);
    free(r->slots);
    free(r);
}

static const StoreOps ram_ops = {
    .name = "ram",
    .hint = ram_hint,
    .resident = ram_resident,
    .pin = ram_pin,
    .unpin = ram_unpin,
    .stats = ram_stats,
    .close = ram_close,
};

static Status ram_read_all(RamStore *r, const StoreSource *source, StoreProgress *progress,
                           Error *error)
{
    for (int i = 0; i < source->n_layers * source->n_experts; i++) {
        TRY(slot_new(r->device, &source->experts[i], &r->slots[i], error));
        r->n_filled = i + 1;
        TRY(slot_fill(r->device, &source->experts[i], &r->slots[i], error));
        const int64_t bytes = expert_bytes(&source->experts[i]);
        r->stats.read_bytes += bytes;
        r->stats.resident_bytes += bytes;
        progress->done_bytes += bytes;
        if (progress->tell &&
            progress->tell(progress->user, progress->done_bytes, progress->total_bytes))
            return fail(error, CANCELLED, "loading was stopped");
    }
    return OK;
}

Status store_ram_open(Device *device, const StoreSource *source, StoreProgress *progress,
                      Store **out, Error *error)
{
    *out = NULL;
    RamStore *r = calloc(1, sizeof *r);
    if (!r) return fail_memory(error, "the expert store");
    *r = (RamStore){ .base = { .ops = &ram_ops, .pins_max = INT_MAX },
                     .device = device,
                     .n_layers = source->n_layers,
                     .n_experts = source->n_experts };
    r->slots = calloc((size_t)source->n_layers * (size_t)source->n_experts, sizeof *r->slots);
    const Status status = r->slots ? ram_read_all(r, source, progress, error)
                                   : fail_memory(error, "the expert store");
    if (status != OK) {
        ram_close(&r->base);
        return status;
    }
    *out = &r->base;
    return OK;
}
