/* SPDX-License-Identifier: Apache-2.0
 * text/charsmap.h - the normalisation a SentencePiece model carries: precompiled_charsmap.
 *
 * Layout, little endian: u32 bytes of a double array; the array (units of 4 bytes, as Darts-clone
 * writes them); strings that end with a 0.  A key's value is the offset of its replacement. */
#ifndef TEXT_CHARSMAP_H
#define TEXT_CHARSMAP_H

#include "base/base.h"

typedef struct Charsmap {
    uint32_t   *units;          /* [n_units] owned; NULL: nothing is replaced              */
    size_t      n_units;
    const char *strings;        /* borrowed; the last byte is 0                            */
    size_t      strings_bytes;
} Charsmap;

Status charsmap_open(const void *bytes, size_t n_bytes, const char *name, Charsmap *out, Error *error);
void   charsmap_close(Charsmap *map);
/* The longest key that `text` begins with: its length, and what stands in its place (0-ended);
 * 0 when there is none. */
size_t charsmap_replace(const Charsmap *map, const char *text, size_t n_bytes, const char **instead);

#endif
