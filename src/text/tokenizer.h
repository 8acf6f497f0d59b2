/* SPDX-License-Identifier: Apache-2.0
 * text/tokenizer.h - bytes to tokens and back.
 *
 * A tokenizer never changes after tokenizer_new and may be used by any number of threads. */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include "text/vocab.h"

typedef struct Tokenizer Tokenizer;

/* Checks the vocabulary (UNSUPPORTED for an unknown pre-tokeniser, BAD_FILE for a broken one).
 * `name` is the file, for messages.  The vocabulary and its strings must outlive the tokenizer. */
Status tokenizer_new(const Vocab *vocab, const char *name, Tokenizer **out, Error *error);
void   tokenizer_free(Tokenizer *tokenizer);
const Vocab *tokenizer_vocab(const Tokenizer *tokenizer);

/* Bytes [begin, end) of a text. */
typedef struct Span { size_t begin, end; } Span;

typedef struct TokenizeOptions {
    bool special;               /* BOS and EOS as the vocabulary wants them                */
    bool parse_control;         /* "</s>" in the text becomes its control token ...        */
    const Span *trusted;        /* ... but only where it lies wholly inside one of these;
                                 * NULL: everywhere.  Ascending, not overlapping.          */
    size_t n_trusted;
} TokenizeOptions;

typedef struct TokenList { int32_t *ids; size_t n, room; } TokenList;      /* { 0 } is empty */
bool token_list_add(TokenList *list, int32_t id);       /* false: no memory                */
void token_list_free(TokenList *list);

/* Appends the tokens of the text.  Any bytes are accepted: invalid UTF-8 goes the way the
 * vocabulary's own library sends it.  User-defined pieces are always matched, control pieces
 * only when allowed above.  After a control token SentencePiece's space prefix is given unless the
 * text brings its own space: "<s>[INST]" and "<s> [INST]" are the same tokens.  Time is linear-ish
 * in n_bytes, stack use constant. */
Status tokenize(const Tokenizer *tokenizer, const char *text, size_t n_bytes, const TokenizeOptions *options,
                TokenList *out, Error *error);

/* The bytes one token stands for, borrowed: spaces instead of U+2581, real bytes for byte
 * pieces; control pieces give "" unless `special`, then their text.  May be part of a character. */
const char *token_bytes(const Tokenizer *tokenizer, int32_t token, bool special, size_t *n_bytes);
bool        token_ends(const Tokenizer *tokenizer, int32_t token);
/* The id of a piece with this text, or -1. */
int32_t     token_find(const Tokenizer *tokenizer, const char *text, size_t n_bytes);

#endif
