/* SPDX-License-Identifier: Apache-2.0
 * text/detok.h - tokens to text as a stream: whole characters only, stop strings held back.
 *
 * Bytes that cannot become valid UTF-8 come out as U+FFFD.  A stop string may span tokens: text
 * that may still turn out to be the beginning of one is held until it is decided.  The stop string that
 * ends first cuts the text, the longest if several end together: how the text was cut into tokens
 * never matters. */
#ifndef TEXT_DETOK_H
#define TEXT_DETOK_H

#include "base/buffer.h"
#include "text/tokenizer.h"

enum { STOPS_MAX = 64, STOP_BYTES_MAX = 4096 };

typedef struct Detok Detok;

/* stops: copied.  at_start: these are the first tokens of a text, so that the space which the
 * tokenizer itself put in front (add_space_prefix) is taken away again. */
Status detok_new(const Tokenizer *tokenizer, const char *const *stops, int n_stops, bool at_start, bool special,
                 Detok **out, Error *error);
void   detok_free(Detok *detok);
void   detok_reset(Detok *detok, bool at_start);
/* Appends to *text what is certain now.  *stopped: a stop string was met; it and all after it is
 * not given out. */
Status detok_push(Detok *detok, int32_t token, Buffer *text, bool *stopped, Error *error);
/* Appends what was held back: no more tokens come. */
Status detok_finish(Detok *detok, Buffer *text, Error *error);

#endif
