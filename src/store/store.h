/* SPDX-License-Identifier: Apache-2.0
 * store/store.h - where expert weights come from.
 *
 * There are too many experts to keep all of them near the arithmetic, and each token wants only a few.
 * A store answers one question: "give me expert e of layer l, and do not take it away while I use it".
 *
 *     ram     every expert is read once, when the store is opened
 *     disk    a fixed number of slots; an expert that is not in one is read when it is pinned
 *
 * Rules
 *   1. Touch an expert only between pin and unpin.  Unpinned weights may vanish at once.
 *   2. Pins nest and are counted.  A pinned expert is never evicted or moved.
 *   3. hint() never waits, never fails, and may be ignored.  pin() may wait, and may fail.
 *   4. Numbers do not depend on the store: any store gives the same bits for the same expert.
 *   5. A read that fails leaves the store usable; the next pin tries again.
 *   6. At most `pins_max` different experts may be pinned at once.
 *   7. One thread at a time; the engine's lock sees to it. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/io.h"
#include "base/pool.h"
#include "device/device.h"

typedef struct ExpertId { int16_t layer, expert; } ExpertId;

typedef struct Pin {
    Expert  weights;            /* tensors on `device`, valid until unpin                  */
    Device *device;             /* where this copy lives, hence where it should be used    */
    int     slot;               /* the store's own                                         */
} Pin;

typedef struct StoreStats {
    int64_t pins, hits;         /* hits: in memory when asked for                          */
    int64_t read_bytes;
    int64_t wait_us;
    int64_t resident_bytes;
} StoreStats;

typedef struct Store Store;
typedef struct StoreOps {
    const char *name;
    void       (*hint)    (Store *s, const ExpertId *ids, int n);
    bool       (*resident)(const Store *s, ExpertId id);
    Status     (*pin)     (Store *s, ExpertId id, Pin *out, Error *error);
    void       (*unpin)   (Store *s, Pin *pin);
    StoreStats (*stats)   (const Store *s);
    void       (*close)   (Store *s);
} StoreOps;

struct Store {
    const StoreOps *ops;
    int             pins_max;
};

/* One matrix on disk. */
typedef struct Extent { const File *file; int64_t offset, rows, cols; Format format; } Extent;
typedef struct ExpertExtents { Extent gate, up, down; } ExpertExtents;

typedef struct StoreSource {
    const ExpertExtents *experts;       /* [L*E], borrowed as long as the store lives      */
    int                  n_layers, n_experts;
} StoreSource;

typedef struct StoreProgress {
    int   (*tell)(void *user, int64_t done_bytes, int64_t total_bytes);        /* non-zero stops; may be NULL */
    void   *user;
    int64_t done_bytes, total_bytes;    /* counted on from what others have read           */
} StoreProgress;

typedef struct Loader Loader;           /* store/load.h                                    */

/* The loader is needed for the call only. */
Status store_ram_open (Device *device, const StoreSource *source, Loader *loader, StoreProgress *progress,
                       Store **out, Error *error);
/* n_slots >= 1.  The loader is borrowed as long as the store lives. */
Status store_disk_open(Device *device, const StoreSource *source, int n_slots, Loader *loader, Store **out,
                       Error *error);

static inline int64_t extent_bytes(const Extent *e)
{
    return e->rows * format_row_bytes(e->format, e->cols);
}

/* Bytes of an expert's three matrices. */
static inline int64_t expert_bytes(const ExpertExtents *e)
{
    return extent_bytes(&e->gate) + extent_bytes(&e->up) + extent_bytes(&e->down);
}

#endif
