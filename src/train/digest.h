/* SPDX-License-Identifier: Apache-2.0
 * train/digest.h - 64 bits that tell whether something is still what it was: cached tokens, checkpoints.
 *
 * Against accidents, not against adversaries: whoever can write the cache can write the text.  The same bytes give
 * the same digest on every machine and in whatever pieces they come, as long as pieces are whole words of 8 bytes. */
#ifndef TRAIN_DIGEST_H
#define TRAIN_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct Digest { uint64_t state; } Digest;

static inline void digest_word(Digest *d, uint64_t word)
{
    /* The two halves of a product, folded: every bit of the word reaches every bit of the state. */
    const unsigned __int128 product =
        (unsigned __int128)(d->state ^ word ^ 0x9e3779b97f4a7c15u) * 0xd6e8feb86659fd93u;
    d->state = (uint64_t)product ^ (uint64_t)(product >> 64) ^ (d->state << 23 | d->state >> 41);
}

static inline void digest_bytes(Digest *d, const void *bytes, size_t n_bytes)
{
    const char *at = bytes;
    uint64_t word;
    for (; n_bytes >= sizeof word; at += sizeof word, n_bytes -= sizeof word) {
        memcpy(&word, at, sizeof word);
        digest_word(d, word);
    }
    if (!n_bytes) return;
    word = 0;
    memcpy(&word, at, n_bytes);
    digest_word(d, word | (uint64_t)n_bytes << 56);
}

/* Also where it ends: "ab" and "c" are not "a" and "bc". */
static inline void digest_text(Digest *d, const char *text, size_t n_bytes)
{
    digest_word(d, n_bytes);
    digest_bytes(d, text, n_bytes);
}

#endif
