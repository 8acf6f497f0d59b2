/* SPDX-License-Identifier: Apache-2.0
 * quantize/mover.h - small pieces of work on all threads, each with a buffer of its own, any of which may fail. */
#ifndef QUANTIZE_MOVER_H
#define QUANTIZE_MOVER_H

#include "base/base.h"

typedef struct Mover Mover;
typedef Status (*MoveTask)(void *arg, int64_t i, char *room, Error *error);

/* n_threads 0: one per core.  Buffers are aligned to 4096 bytes. */
Status mover_new(int n_threads, int64_t room_bytes, Mover **out, Error *error);
void   mover_free(Mover *mover);                /* NULL is fine                            */
/* task(arg, i, ..) for every i below n, unless one has failed; its failure is told. */
Status mover_run(Mover *mover, MoveTask task, void *arg, int64_t n, Error *error);

#endif
