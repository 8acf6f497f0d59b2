/* SPDX-License-Identifier: Apache-2.0
 * quantize/pack.h - a GGUF model to a packed file (file/packed.h), and back to the byte. */
#ifndef QUANTIZE_PACK_H
#define QUANTIZE_PACK_H

#include "base/base.h"

typedef struct PackOptions {
    /* Layer by layer, giving back the room that was read: never two copies.  The same call goes on where it was
     * stopped, and in the end `from` is gone. */
    bool   in_place;
    int    n_threads;                   /* 0: one per core                                  */
    int  (*progress)(void *user, int64_t done_bytes, int64_t total_bytes);  void *progress_user;
} PackOptions;

Status pack_model(const char *from, const char *to, const PackOptions *options, Error *error);
/* A model that was split becomes its parts again: TO is then the name of one of them, or what stands before
 * "-00001-of-00005.gguf". */
Status unpack_model(const char *from, const char *to, const PackOptions *options, Error *error);

#endif
