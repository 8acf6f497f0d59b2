/* SPDX-License-Identifier: Apache-2.0
 * gen/generate.h - the loop: pick a token, append it, give out what is certain of the text. */
#ifndef GEN_GENERATE_H
#define GEN_GENERATE_H

#include "gen/engine.h"
#include "gen/latency.h"
#include "gen/sampler.h"
#include "text/detok.h"

typedef enum Finish { FINISH_LENGTH, FINISH_END, FINISH_STOP, FINISH_CALLER } Finish;

enum { SPECULATE_MAX = 15, SPECULATE_AUTO = -1 };

typedef struct GenerateOptions {
    int64_t            n_tokens_max;            /* 0: until the context is full             */
    const char *const *stops;  int n_stops;
    bool               ignore_end, special;
    int (*on_text)(void *user, const char *bytes, size_t n_bytes); /* non-zero stops; may be NULL */
    void              *user;
    int                speculate;               /* drafts in a step at most; SPECULATE_AUTO: as many as pay */
} GenerateOptions;

typedef struct Generated {
    Finish  finish;
    int64_t n_tokens, us;
    int64_t n_steps;                            /* that computed what was appended          */
    int64_t n_drafted, n_accepted;              /* tokens guessed and verified, and right   */
    Latency latency;                            /* from one token to the next               */
} Generated;

/* tokenizer NULL: tokens without text; then no stops and no on_text. */
Status generate(Session *session, Sampler *sampler, const Tokenizer *tokenizer,
                const GenerateOptions *options, Generated *out, Error *error);

#endif
