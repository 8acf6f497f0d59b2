/* SPDX-License-Identifier: Apache-2.0
 * gen/talk.h - one answer under way: pick a token, give out what is certain of the text, know when to end.
 *
 * Who has the logits computed is none of its business: generate.c alone, speculate.c several tokens at a time, batch.c
 * beside other answers.  All of them say the same tokens, because they ask here. */
#ifndef GEN_TALK_H
#define GEN_TALK_H

#include "gen/engine.h"
#include "gen/generate.h"
#include "gen/latency.h"

typedef struct Talk {
    Session               *session;
    Sampler               *sampler;
    const Tokenizer       *tokenizer;   /* NULL: no text                                   */
    const GenerateOptions *options;
    Detok                 *detok;
    Buffer                 text;        /* what became certain with the last token         */
    Generated             *out;
    int64_t                last_us;     /* when the last token was picked; 0: none yet     */
} Talk;

/* *out is cleared; everything is borrowed until talk_free. */
Status talk_begin(Talk *talk, Session *session, Sampler *sampler, const Tokenizer *tokenizer,
                  const GenerateOptions *options, Generated *out, Error *error);
/* The token after the first n_history tokens that the session holds, from their logits; its text goes out.  *done: the
 * answer ended with it, and the session need not hold it; out->finish says why. */
Status talk_pick(Talk *talk, const float *logits, int64_t n_history, int32_t *token, bool *done, Error *error);
/* There may be one more token after so many that are held. */
bool   talk_has_room(const Talk *talk, int64_t n_held);
/* No more tokens come: what was held back of the text goes out. */
Status talk_end(Talk *talk, Error *error);
void   talk_free(Talk *talk);

#endif
