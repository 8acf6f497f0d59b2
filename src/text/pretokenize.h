/* SPDX-License-Identifier: Apache-2.0
 * text/pretokenize.h - cuts text into the words that byte-level BPE never merges across. */
#ifndef TEXT_PRETOKENIZE_H
#define TEXT_PRETOKENIZE_H

#include "text/vocab.h"

typedef struct Pretokenizer Pretokenizer;

/* By the file's own pattern (vocab->pre_pattern) or else by name (vocab->pre; NULL: "default").
 * UNSUPPORTED lists the names that exist, and refuses patterns PCRE2 cannot compile. */
Status pretokenizer_new(const Vocab *vocab, const char *name, Pretokenizer **out, Error *error);
void   pretokenizer_free(Pretokenizer *pre);
/* The name of the pre-tokeniser that has this one pattern and treats merges so; NULL: none has. */
const char *pretokenizer_name(const char *pattern, bool ignore_merges);
/* Does the named pre-tokeniser take words that are pieces whole? */
bool   pretokenizer_ignores_merges(const Pretokenizer *pre);

/* Called with every word in order; together they are the whole text. */
typedef Status (*WordSink)(void *arg, const char *word, size_t n_bytes, Error *error);
/* `text` is valid UTF-8. */
Status pretokenize(const Pretokenizer *pre, const char *text, size_t n_bytes, WordSink sink, void *arg,
                   Error *error);

#endif
