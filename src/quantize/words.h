/* SPDX-License-Identifier: Apache-2.0
 * quantize/words.h - a SentencePiece vocabulary of any size, made up. */
#ifndef QUANTIZE_WORDS_H
#define QUANTIZE_WORDS_H

#include "base/arena.h"
#include "text/vocab.h"

enum {
    WORDS_BYTES = 3,                    /* the byte tokens begin here: <0x00>               */
    WORDS_TEXT  = WORDS_BYTES + 256,    /* and here what can be read                        */
    WORDS_MIN   = WORDS_TEXT + 95,      /* the mark and all of printable ASCII              */
    WORDS_MAX   = 1 << 20
};

/* Any text can be written with it (bytes at worst), and every piece can be reached by merging two
 * shorter ones.  Memory is the arena's. */
Status words_make(int64_t n_pieces, Arena *arena, Vocab *out, Error *error);

extern const char words_template[];     /* a chat template to go with it                    */

#endif
