/* SPDX-License-Identifier: Apache-2.0
 * gen/generate.c - see generate.h. */
#include "gen/generate.h"

#include "base/clock.h"
#include "gen/speculate.h"
#include "gen/talk.h"

/* Pick, show, append; the token that ends it is not appended. */
static Status say_all(Talk *t, Error *error)
{
    Session *s = t->session;
    bool done = false;
    while (talk_has_room(t, session_n_tokens(s))) {
        int32_t token;
        TRY(talk_pick(t, session_logits(s), session_n_tokens(s), &token, &done, error));
        if (done) break;
        TRY(session_append(s, &token, 1, NULL, error));
        t->out->n_steps++;
    }
    return OK;
}

Status generate(Session *session, Sampler *sampler, const Tokenizer *tokenizer,
                const GenerateOptions *options, Generated *out, Error *error)
{
    Talk t;
    *out = (Generated){ 0 };
    if (!session_logits(session))
        return fail(error, BAD_ARGUMENT, "generate: expected a session with at least one token");
    if (options->speculate < SPECULATE_AUTO || options->speculate > SPECULATE_MAX)
        return fail(error, BAD_ARGUMENT, "drafts in a step: expected 0 to %d, or %d for as many as pay, found %d",
                    SPECULATE_MAX, SPECULATE_AUTO, options->speculate);
    TRY(talk_begin(&t, session, sampler, tokenizer, options, out, error));
    const int64_t start_us = clock_us();
    Status status = options->speculate ? speculate(&t, error) : say_all(&t, error);
    if (status == OK) status = talk_end(&t, error);
    out->us = clock_us() - start_us;
    talk_free(&t);
    return status;
}
