/* SPDX-License-Identifier: Apache-2.0
 * base/checksum.h - have these bytes arrived as they left?  XXH3, 64 bits, seed 0.
 *
 * Against disks and cables, not against people: whoever can write the bytes can write the checksum.
 * Source: xxHash 0.8 (the algorithm's results are fixed since then). */
#ifndef BASE_CHECKSUM_H
#define BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Part of file formats: never changes. */
enum { CHECKSUM_PIECE_BYTES = 1 << 20 };

uint64_t checksum(const void *bytes, size_t n_bytes);

/* Of something long: the checksum of the checksums of its pieces, each CHECKSUM_PIECE_BYTES (the last may be
 * shorter), as u64 in their order.  So as many threads as there are may share the work, each while its piece is still
 * in the cache. */
uint64_t checksum_long(const void *bytes, size_t n_bytes);

static inline size_t checksum_n_pieces(size_t n_bytes)
{
    return n_bytes / CHECKSUM_PIECE_BYTES + (n_bytes % CHECKSUM_PIECE_BYTES != 0);
}

/* What checksum_long says of something whose pieces have these checksums. */
static inline uint64_t checksum_of_pieces(const uint64_t *pieces, size_t n_bytes)
{
    return checksum(pieces, checksum_n_pieces(n_bytes) * sizeof *pieces);
}

#endif
