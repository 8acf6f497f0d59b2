/* SPDX-License-Identifier: Apache-2.0
 * store/store.h - where expert weights come from.
 *
 * There are too many experts to keep all of them near the arithmetic, and each token wants only a few.
 * A store answers one question: "give me expert e of layer l, and do not take it away while I use it".
 *
 *     ram     every expert is read once, when the store is opened
 *     cache   some experts are in memory; one that is not is read when it is needed, or before
 *
 * Rules
 *   1. Touch an expert only between pin and unpin.  Unpinned weights may vanish at once.
 *   2. Pins nest and are counted.  A pinned expert is never evicted or moved.
 *   3. begin() and hint() never wait, never fail, and may be ignored.  first() and pin() may wait; pin() may fail.
 *   4. Numbers do not depend on the store: any store gives the same bits for the same expert.
 *   5. A read that fails fails the pins that needed it; the store stays usable and the next pin tries again.
 *   6. At most `pins_max` different experts may be pinned at once.  resize() may change that number.
 *   7. One thread at a time; the engine's lock sees to it.  Threads of the store's own may read meanwhile. */
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

/* How sure somebody is that an expert will be pinned. */
typedef enum Hint {
    HINT_NEEDED,                /* before any other that is not pinned yet: read it now    */
    HINT_SOON,                  /* in a later layer of this step, or early in the next one: certain, so the disk need
                                 * not rest meanwhile                                      */
    HINT_GUESS                  /* perhaps: worth time of the disk that nobody else wants  */
} Hint;

typedef struct StoreStats {
    int64_t pins, hits;         /* hits: in memory when first asked for, by hint or pin    */
    int64_t waits, wait_us;     /* calls that had to wait, and how long                    */
    int64_t read_bytes, read_us;        /* read_us: the disk had something to do           */
    int64_t guessed_used, guessed_wasted;       /* bytes read for a guess: pinned, or not in time */
    int64_t resident_bytes, room_bytes; /* taken by experts, and what they may take        */
} StoreStats;

typedef struct Store Store;
typedef struct StoreOps {
    const char *name;
    /* A step of the network begins; what was guessed for the last one is forgotten.  sweep: it will use every expert,
     * or as good as. */
    void       (*begin)   (Store *s, bool sweep);
    /* Of one layer a call.  Needed ones replace those that were needed before; of the others, those of the same
     * layer. */
    void       (*hint)    (Store *s, const ExpertId *ids, int n, Hint hint);
    /* Between steps, when none is near: these are likely to be asked for, the likeliest first.  They are read into room
     * that nobody uses, while the disk has nothing else to do, until the next step begins.  NULL: all are there. */
    void       (*warm)    (Store *s, const ExpertId *ids, int n);
    bool       (*resident)(const Store *s, ExpertId id);        /* a pin would not wait    */
    /* Waits until one of these, which were hinted as needed, can be pinned, or cannot be had, as pin will say.
     * Which: an index below n. */
    int        (*first)   (Store *s, const ExpertId *ids, int n);
    /* n_rows: of the step, that it will serve. */
    Status     (*pin)     (Store *s, ExpertId id, int n_rows, Pin *out, Error *error);
    void       (*unpin)   (Store *s, Pin *pin);
    /* Between steps: what experts may take from now on.  BAD_ARGUMENT when not one fits in that, or more than the
     * room the store was made for; a store that holds everything refuses. */
    Status     (*resize)  (Store *s, int64_t room_bytes, Error *error);
    StoreStats (*stats)   (const Store *s);
    /* [L*E] rows that each expert served; NULL: a store that keeps no account. */
    const int64_t *(*uses)(const Store *s);
    void       (*close)   (Store *s);
} StoreOps;

struct Store {
    const StoreOps *ops;
    int             pins_max;
    bool            streams;    /* hints are worth something: experts are read while tokens flow */
};

/* One matrix on disk. */
typedef struct Extent { const File *file; int64_t offset, rows, cols; Format format; } Extent;

/* An expert as one contiguous range of a packed file: gate, up and down as the cpu device keeps weights
 * (number/panel.h), each from a multiple of SLAB_PART_ALIGN on, the whole from a multiple of SLAB_ALIGN and padded to
 * one.  So it goes from the disk to its place without a copy. */
enum { SLAB_ALIGN = 4096, SLAB_PART_ALIGN = 64 };
typedef struct Slab {
    const File *file;           /* NULL: not packed                                        */
    int64_t     offset, n_bytes;        /* padding included                                */
    uint64_t    hash;           /* checksum_long (base/checksum.h) of those bytes, if `hashed` */
    bool        hashed;
    int         layer, expert;  /* for messages                                            */
} Slab;

/* Where an expert lies.  In a packed file the extents say shapes and formats only. */
typedef struct ExpertExtents { Extent gate, up, down; Slab packed; } ExpertExtents;

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

typedef struct CacheOptions {
    int64_t     room_bytes;     /* that experts may take; at least store_expert_room()     */
    int64_t     room_bytes_max; /* resize() may go up to here; 0: room_bytes               */
    const char *policy;         /* who leaves (store/policy.h); NULL: the usual one        */
    const float *shares;        /* what earlier runs learned, as policy_prime; NULL: nothing */
    int64_t     shares_rows;
    bool        buffered;       /* read through the system's page cache even where it is not necessary */
} CacheOptions;

Status store_cache_open(Device *device, const StoreSource *source, const CacheOptions *options, Store **out,
                        Error *error);
/* What the largest expert takes in a cache: n of these hold any n of them. */
int64_t store_expert_room(Device *device, const StoreSource *source);
/* No less than that, before there is a device: the largest expert has so many bytes in its file. */
int64_t store_room_at_most(int64_t expert_bytes);
/* What a cache takes besides, for blocks on their way. */
int64_t store_reading_bytes(int64_t expert_bytes);

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
