/* SPDX-License-Identifier: Apache-2.0
 * gen/generate.h - the loop: pick a token, append it, give out what is certain of the text. */
#ifndef GEN_GENERATE_H
#define GEN_GENERATE_H

#include "gen/engine.h"
#include "gen/sampler.h"
#include "text/detok.h"

typedef enum Finish { FINISH_LENGTH, FINISH_END, FINISH_STOP, FINISH_CALLER } Finish;

typedef struct GenerateOptions {
    int64_t            n_tokens_max;            /* 0: until the context is full             */
    const char *const *stops;  int n_stops;
    bool               ignore_end, special;
    int (*on_text)(void *user, const char *bytes, size_t n_bytes); /* non-zero stops; may be NULL */
    void              *user;
} GenerateOptions;

typedef struct Generated { Finish finish; int64_t n_tokens, us; } Generated;

/* tokenizer NULL: tokens without text; then no stops and no on_text. */
Status generate(Session *session, Sampler *sampler, const Tokenizer *tokenizer,
                const GenerateOptions *options, Generated *out, Error *error);

#endif
