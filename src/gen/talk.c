/* SPDX-License-Identifier: Apache-2.0
 * gen/talk.c - see talk.h. */
#include "gen/talk.h"

#include "base/clock.h"

static bool at_start_of_text(const Session *s, const Tokenizer *tokenizer)
{
    return session_n_tokens(s) == 1 && session_tokens(s)[0] == tokenizer_vocab(tokenizer)->bos;
}

Status talk_begin(Talk *t, Session *session, Sampler *sampler, const Tokenizer *tokenizer,
                  const GenerateOptions *options, Generated *out, Error *error)
{
    *t = (Talk){ .session = session, .sampler = sampler, .tokenizer = tokenizer, .options = options, .out = out };
    *out = (Generated){ .finish = FINISH_LENGTH };
    if (!tokenizer) return OK;
    return detok_new(tokenizer, options->stops, options->n_stops, at_start_of_text(session, tokenizer),
                     options->special, &t->detok, error);
}

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

/* From one token to the next, as a listener feels it. */
static void note_time(Talk *t)
{
    const int64_t now_us = clock_us();
    if (t->last_us) latency_add(&t->out->latency, now_us - t->last_us);
    t->last_us = now_us;
}

Status talk_pick(Talk *t, const float *logits, int64_t n_history, int32_t *token, bool *done, Error *error)
{
    *done = false;
    TRY(sampler_pick(t->sampler, logits, session_tokens(t->session), (size_t)n_history, token, error));
    t->out->n_tokens++;
    note_time(t);
    if (t->tokenizer && !t->options->ignore_end && token_ends(t->tokenizer, *token)) {
        t->out->finish = FINISH_END;        /* counted, and not shown                          */
        *done = true;
        return OK;
    }
    bool stopped = false;
    if (t->detok) TRY(detok_push(t->detok, *token, &t->text, &stopped, error));
    TRY(give_out(t, done, error));
    if (stopped) {
        t->out->finish = FINISH_STOP;
        *done = true;
    }
    return OK;
}

bool talk_has_room(const Talk *t, int64_t n_held)
{
    const int64_t most = t->options->n_tokens_max;
    return (most == 0 || t->out->n_tokens < most) && n_held < session_n_context(t->session);
}

Status talk_end(Talk *t, Error *error)
{
    bool enough = false;
    if (!t->detok || t->out->finish == FINISH_STOP || t->out->finish == FINISH_CALLER) return OK;
    TRY(detok_finish(t->detok, &t->text, error));
    return give_out(t, &enough, error);
}

void talk_free(Talk *t)
{
    detok_free(t->detok);
    buffer_free(&t->text);
    *t = (Talk){ 0 };
}
