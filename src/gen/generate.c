/* SPDX-License-Identifier: Apache-2.0
 * gen/generate.c - see generate.h. */
#include "gen/generate.h"

#include "base/clock.h"

typedef struct Talk {
    Session               *session;
    Sampler               *sampler;
    const Tokenizer       *tokenizer;
    const GenerateOptions *options;
    Detok                 *detok;
    Buffer                 text;        /* what became certain with this token              */
    Generated             *out;
} Talk;

/* Hands on what is certain; *stop when the listener has had enough. */
static Status give_out(Talk *t, bool *stop, Error *error)
{
    if (t->text.failed) return fail_memory(error, "the answer");
    if (t->text.n_bytes && t->options->on_text &&
        t->options->on_text(t->options->user, t->text.data, t->text.n_bytes)) {
        t->out->finish = FINISH_CALLER;
        *stop = true;
    }
    buffer_clear(&t->text);
    return OK;
}

/* One token: pick, show, append.  The end token is counted and not shown or appended. */
static Status say_one(Talk *t, bool *done, Error *error)
{
    int32_t token;
    Session *s = t->session;
    TRY(sampler_pick(t->sampler, session_logits(s), session_tokens(s), (size_t)session_n_tokens(s),
                     &token, error));
    t->out->n_tokens++;
    if (t->tokenizer && !t->options->ignore_end && token_ends(t->tokenizer, token)) {
        t->out->finish = FINISH_END;
        *done = true;
        return OK;
    }
    bool stopped = false;
    if (t->detok) TRY(detok_push(t->detok, token, &t->text, &stopped, error));
    TRY(give_out(t, done, error));
    if (stopped) {
        t->out->finish = FINISH_STOP;
        *done = true;
    }
    return *done ? OK : session_append(s, &token, 1, NULL, error);
}

static Status say_all(Talk *t, Error *error)
{
    const int64_t most = t->options->n_tokens_max;
    bool done = false;
    t->out->finish = FINISH_LENGTH;
    while (!done && (most == 0 || t->out->n_tokens < most) &&
           session_n_tokens(t->session) < session_n_context(t->session))
        TRY(say_one(t, &done, error));
    if (!t->detok || t->out->finish == FINISH_STOP || t->out->finish == FINISH_CALLER) return OK;
    TRY(detok_finish(t->detok, &t->text, error));
    return give_out(t, &done, error);
}

static bool at_start_of_text(const Session *s, const Tokenizer *tokenizer)
{
    return session_n_tokens(s) == 1 && session_tokens(s)[0] == tokenizer_vocab(tokenizer)->bos;
}

Status generate(Session *session, Sampler *sampler, const Tokenizer *tokenizer,
                const GenerateOptions *options, Generated *out, Error *error)
{
    Talk t = { .session = session,
               .sampler = sampler,
               .tokenizer = tokenizer,
               .options = options,
               .out = out };
    *out = (Generated){ 0 };
    if (!session_logits(session))
        return fail(error, BAD_ARGUMENT, "generate: expected a session with at least one token");
    if (tokenizer)
        TRY(detok_new(tokenizer, options->stops, options->n_stops,
                      at_start_of_text(session, tokenizer), options->special, &t.detok, error));
    const int64_t start_us = clock_us();
    const Status status = say_all(&t, error);
    out->us = clock_us() - start_us;
    detok_free(t.detok);
    buffer_free(&t.text);
    return status;
}
