/* SPDX-License-Identifier: Apache-2.0
 * file/vocab_build.h - what every source of a vocabulary has in common.  Internal to src/file. */
#ifndef FILE_VOCAB_BUILD_H
#define FILE_VOCAB_BUILD_H

#include "file/build.h"

enum { VOCAB_MERGES_MAX = 1 << 22 };

/* "<0x0A>" -> 10; -1 when it is not exactly that. */
int  vocab_byte_value(const char *text, size_t n_bytes);
/* Remembers a token that ends an answer, once; ids below 0 are nothing. */
void vocab_add_end(Vocab *vocab, int64_t id);
/* The last word on a vocabulary: ids in range, types known, scores finite, byte pieces true;
 * collects the ends.  `path` is for the message. */
Status vocab_check(Vocab *vocab, const char *path, Error *error);
/* Appends UNUSED pieces "[PAD id]" until there are n. */
Status vocab_pad(Build *build, int64_t n, const char *path, Error *error);

#endif
