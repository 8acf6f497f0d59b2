/* SPDX-License-Identifier: Apache-2.0
 * store/reader.h - many reads in flight: experts from disk to their places, by threads that sleep when idle.
 *
 * An expert is cut into blocks of a few MiB.  Who needs it soonest goes first, block by block; so a read that is
 * needed waits for the few blocks that are in flight and for nothing else.  A block of a packed expert is checked,
 * and goes from the disk straight to its place or, where that is faster (way.h), through a buffer; others go through
 * a buffer, and the device arranges them.  Files are read past the system's page cache where they can be.  Nothing
 * is allocated once a reader exists.
 *
 * One thread asks (the engine's, which holds its lock); `done` may be asked at any time and waits for nobody. */
#ifndef STORE_READER_H
#define STORE_READER_H

#include "store/slots.h"

#include <stdatomic.h>

typedef struct Reader Reader;

/* One expert on its way: the asker's memory, which must stay until it is done. */
typedef struct Reading {
    Load            parts[SLOT_PARTS];
    Slab            slab;               /* file NULL: the parts are read                   */
    char           *to;                 /* a slab's place                                  */
    uint64_t       *sums;               /* [checksum_n_pieces] for those of a slab's pieces */
    atomic_bool     done;
    Status          status;             /* when done; CANCELLED: it was dropped            */
    Error           error;
    int64_t         read_bytes;         /* likewise: that came from the disk               */
    /* the reader's own, under its lock */
    Hint            hint;
    bool            queued;             /* blocks are left to begin                        */
    int             n_blocks, next_block, n_in_flight, failed_block;
    struct Reading *before, *after;     /* in its queue                                    */
} Reading;

/* For experts of this source.  buffered: not past the page cache. */
Status reader_new(Device *device, const StoreSource *source, bool buffered, Reader **out, Error *error);
/* Waits for blocks in flight, drops the rest. */
void   reader_free(Reader *reader);                     /* NULL is fine                    */

/* `at`: the place's first byte, `to` the views in it. */
void reader_begin(Reader *reader, Reading *reading, const ExpertExtents *from, Slot *to, char *at, Hint hint);
/* It is more, or less, urgent than it was. */
void reader_urge(Reader *reader, Reading *reading, Hint hint);
/* No block of it is begun any more.  It is done when those in flight are, perhaps at once. */
void reader_drop(Reader *reader, Reading *reading);
/* The same for a guess of which no block was begun yet; others stay as they are. */
void reader_forget(Reader *reader, Reading *reading);
static inline bool reader_done(const Reading *reading) { return atomic_load(&reading->done); }

/* Until one of these is done, or, if `or_idle`, no block is left to begin for anything needed.  Which is done: an
 * index, or -1. */
int  reader_wait(Reader *reader, Reading *const *readings, int n, bool or_idle);
/* Is there a block to begin for anything so urgent? */
bool reader_has(Reader *reader, Hint hint);

typedef struct ReaderStats { int64_t read_bytes, busy_us; } ReaderStats;
ReaderStats reader_stats(Reader *reader);
/* Bytes in a block at most, and blocks in flight at most: what a measurement of the disk must do likewise. */
enum {
#ifdef MIXT_HOSTILE
    READER_BLOCK_BYTES = 4 << 10,
#else
    READER_BLOCK_BYTES = 2 << 20,
#endif
    READER_THREADS     = 16
};

#endif
