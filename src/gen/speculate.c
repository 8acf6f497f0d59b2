/* SPDX-License-Identifier: Apache-2.0
 * gen/speculate.c - see speculate.h; how deep is decided in pace.c. */
#include "gen/speculate.h"

#include "base/clock.h"
#include "gen/parts.h"

#include <stdlib.h>

/* ---- drafts ---- */

/* How many tokens before `at` equal those before n, the token at `at` being the last one already. */
static int match_at(const int32_t *tokens, int64_t n, int64_t at)
{
    int same = 1;
    while (same < DRAFT_MATCH_MAX && at >= same && tokens[at - same] == tokens[n - same]) same++;
    return same;
}

/* Cost: one look at each token of the text, which stays far below a step's. */
int draft_tokens(const int32_t *tokens, int64_t n, int32_t next, int32_t *out, int most, int *n_matched)
{
    int64_t where = -1;
    int longest = DRAFT_MATCH_MIN - 1;
    for (int64_t at = n - 1; at >= 0 && longest < DRAFT_MATCH_MAX; at--) {
        if (tokens[at] != next) continue;
        const int same = match_at(tokens, n, at);
        if (same > longest) {
            longest = same;
            where = at;
        }
    }
    *n_matched = where < 0 ? 0 : longest;
    if (where < 0) return 0;
    /* Behind the text's end comes `next`, then the draft itself: a text that goes round goes on going round. */
    for (int i = 0; i < most; i++) {
        const int64_t from = where + 1 + i;
        out[i] = from < n ? tokens[from] : from == n ? next : out[from - n - 1];
    }
    return most;
}

/* ---- the loop ---- */

typedef struct Draft {
    int32_t tokens[1 + SPECULATE_MAX];      /* the token that is certain, then guesses         */
    int     n_guessed, n_matched, n_verified;
} Draft;

typedef struct Speculation {
    Talk   *talk;
    Pace    pace;
    Draft   draft;
    int     most;                           /* rows of logits there is room for, less one      */
    int64_t n_vocab;
    float  *logits;                         /* [1 + most][V]                                   */
    int64_t waited_us;                      /* by the engine, when the last step was over      */
} Speculation;

/* Bytes of experts among all that one row reads. */
static double expert_share(const Model *m)
{
    const Sizes *s = &m->sizes;
    const double experts = (double)model_expert_bytes(m) * (double)s->n_used / (double)s->n_experts;
    return experts / (experts + (double)m->dense_bytes);
}

static int least(int64_t a, int64_t b)
{
    return (int)(a < b ? a : b);
}

/* Guesses beyond the answer's or the context's end would be for nothing. */
static void make_draft(Speculation *s, int32_t token)
{
    Talk *t = s->talk;
    Draft *d = &s->draft;
    const Session *session = t->session;
    const int64_t asked = t->options->n_tokens_max;
    int most = least(s->most, session_n_context(session) - session_n_tokens(session) - 1);
    if (asked) most = least(most, asked - t->out->n_tokens);
    d->tokens[0] = token;
    d->n_guessed = draft_tokens(session_tokens(session), session_n_tokens(session), token, d->tokens + 1, most,
                                &d->n_matched);
    d->n_verified = t->options->speculate == SPECULATE_AUTO ? pace_depth(&s->pace, d->n_guessed, d->n_matched)
                                                            : d->n_guessed;
}

static Status feed_rows(Speculation *s, int n_rows, Error *error)
{
    Session *session = s->talk->session;
    Engine *e = session->engine;
    Feed feed = {
        .session = session, .tokens = s->draft.tokens, .n_tokens = n_rows, .wanted = ROWS_ALL, .logits = s->logits,
    };
    const int64_t start_us = clock_us(), before_us = s->waited_us;
    TRY(engine_feed(e, &feed, 1, error));
    TRY(feed.status);
    const double us = (double)(clock_us() - start_us);
    s->waited_us = engine_stats(e).store.wait_us;
    const double wait_us = (double)(s->waited_us - before_us);
    pace_step(&s->pace, n_rows, us, wait_us < us ? wait_us : us);       /* other sessions wait, too */
    return OK;
}

/* A guess may fail where the certain token would not have: an expert that cannot be read, a number that is none. Then
 * the step is made without guesses, and what it says is true. */
static Status compute(Speculation *s, Error *error)
{
    Draft *d = &s->draft;
    Generated *out = s->talk->out;
    Status status = feed_rows(s, 1 + d->n_verified, error);
    if (status != OK && status != CANCELLED && d->n_verified) {
        d->n_verified = 0;
        status = feed_rows(s, 1, error);
    }
    if (status != OK) return status;
    out->n_steps++;
    out->n_drafted += d->n_verified;
    return OK;
}

/* Picks token after token as long as they are what was guessed.  *token: the one that is not held yet. */
static Status verify(Speculation *s, int64_t n_held, int32_t *token, bool *done, Error *error)
{
    Talk *t = s->talk;
    const Draft *d = &s->draft;
    Status status = OK;
    int i = 0;
    for (;; i++) {
        *done = !talk_has_room(t, n_held + 1 + i);
        if (*done) break;
        status = talk_pick(t, s->logits + i * s->n_vocab, n_held + 1 + i, token, done, error);
        if (status != OK || *done) break;
        const bool right = i < d->n_guessed && d->tokens[1 + i] == *token;
        if (i < d->n_guessed) pace_draft(&s->pace, d->n_matched, right);
        if (i == d->n_verified || !right) break;
        t->out->n_accepted++;
    }
    session_rewind(t->session, n_held + 1 + i, s->logits + i * s->n_vocab);
    return status;
}

static Status speak(Speculation *s, Error *error)
{
    Talk *t = s->talk;
    Session *session = t->session;
    int32_t token;
    bool done = !talk_has_room(t, session_n_tokens(session));
    if (!done)
        TRY(talk_pick(t, session_logits(session), session_n_tokens(session), &token, &done, error));
    while (!done) {
        const int64_t n_held = session_n_tokens(session);
        make_draft(s, token);
        TRY(compute(s, error));
        TRY(verify(s, n_held, &token, &done, error));
    }
    return OK;
}

Status speculate(Talk *talk, Error *error)
{
    Engine *e = talk->session->engine;
    const Sizes *sizes = &e->model->sizes;
    const int asked = talk->options->speculate == SPECULATE_AUTO ? SPECULATE_MAX : talk->options->speculate;
    Speculation s = { .talk = talk, .n_vocab = sizes->n_vocab, .most = least(asked, engine_wanted(e) - 1) };
    s.waited_us = engine_stats(e).store.wait_us;
    pace_begin(&s.pace, (int)sizes->n_experts, (int)sizes->n_used, expert_share(e->model));
    s.logits = calloc((size_t)(1 + s.most) * (size_t)s.n_vocab, sizeof *s.logits);
    if (!s.logits) return fail_memory(error, "the logits of drafts");
    const Status status = speak(&s, error);
    free(s.logits);
    return status;
}
