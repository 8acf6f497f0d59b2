/* SPDX-License-Identifier: Apache-2.0
 * base/checksum.c - see checksum.h.  The algorithm comes whole with its header: nothing is linked. */
#include "base/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t checksum(const void *bytes, size_t n_bytes)
{
    return XXH3_64bits(bytes, n_bytes);
}

/* Not inlined: gcc 12 warns of the paths for long inputs when it sees how short this one is. */
static __attribute__((noinline)) void add(XXH3_state_t *state, const void *bytes, size_t n_bytes)
{
    XXH3_64bits_update(state, bytes, n_bytes);
}

uint64_t checksum_long(const void *bytes, size_t n_bytes)
{
    XXH3_state_t pieces;
    XXH3_64bits_reset(&pieces);
    for (size_t at = 0; at < n_bytes; at += CHECKSUM_PIECE_BYTES) {
        const size_t left = n_bytes - at, n = left < CHECKSUM_PIECE_BYTES ? left : CHECKSUM_PIECE_BYTES;
        const uint64_t piece = checksum((const char *)bytes + at, n);
        add(&pieces, &piece, sizeof piece);
    }
    return XXH3_64bits_digest(&pieces);
}
