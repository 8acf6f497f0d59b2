/* SPDX-License-Identifier: Apache-2.0
 * gen/feed.c - steps over the network: rows of any number of sessions in, logits out (decision D3).
 *
 * Everything that gives tokens to a session ends here: a prompt's piece, one token each of several sessions, drafts
 * that are to be verified.  A session takes all rows of its feed or none of them. */
#include "base/clock.h"
#include "gen/parts.h"

#include <string.h>

int engine_rows(const Engine *e)
{
    return (int)e->n_batch;
}

int engine_wanted(const Engine *e)
{
    return e->n_batch < WANTED_MAX ? (int)e->n_batch : WANTED_MAX;
}

/* ---- what was asked for ---- */

static Status check_room(const Session *s, int64_t n_tokens, Error *error)
{
    if (n_tokens <= s->n_context - s->n_tokens) return OK;
    return fail(error, NO_ROOM, "context: %lld tokens were given, the context has room for %lld",
                (long long)(s->n_tokens + n_tokens), (long long)s->n_context);
}

static Status check_feed(const Engine *e, const Feed *feed, Error *error)
{
    const int64_t n_vocab = e->model->sizes.n_vocab;
    if (feed->session->engine != e) return fail(error, BAD_ARGUMENT, "feed: a session belongs to another engine");
    if (feed->n_tokens < 1)
        return fail(error, BAD_ARGUMENT, "feed: expected 1 token or more, found %d", feed->n_tokens);
    TRY(check_room(feed->session, feed->n_tokens, error));
    for (int i = 0; i < feed->n_tokens; i++)
        if (feed->tokens[i] < 0 || feed->tokens[i] >= n_vocab)
            return fail(error, BAD_ARGUMENT, "token %d: expected 0 to %lld, found %d", i, (long long)n_vocab - 1,
                        (int)feed->tokens[i]);
    return OK;
}

static int n_wanted(const Feed *feed)
{
    return feed->wanted == ROWS_ALL ? feed->n_tokens : feed->wanted == ROWS_LAST;
}

static Status check_feeds(const Engine *e, const Feed *feeds, int n, Error *error)
{
    int64_t rows = 0, wanted = 0;
    for (int i = 0; i < n; i++) {
        TRY(check_feed(e, &feeds[i], error));
        rows += feeds[i].n_tokens;
        wanted += n_wanted(&feeds[i]);
        for (int j = 0; j < i; j++)
            if (feeds[j].session == feeds[i].session)
                return fail(error, BAD_ARGUMENT, "session %d is in the step twice", i);
    }
    if (rows > engine_rows(e))
        return fail(error, BAD_ARGUMENT, "rows in a step: expected at most %d, found %lld", engine_rows(e),
                    (long long)rows);
    if (wanted > engine_wanted(e))
        return fail(error, BAD_ARGUMENT, "logits of a step: expected at most %d rows, found %lld", engine_wanted(e),
                    (long long)wanted);
    return OK;
}

/* ---- rows in ---- */

/* `token` of `session` at `position` becomes a row of the step. */
static void put_row(Engine *e, int row, Session *session, int32_t token, int64_t position)
{
    const Sizes *s = &e->model->sizes;
    const int64_t traced = position * s->n_layers * s->n_used;
    e->tokens[row] = token;
    e->positions[row] = (int32_t)position;
    e->pages[row] = session->pages;
    e->broken[row] = false;
    e->experts[row] = session->experts ? session->experts + traced : NULL;
    e->weights[row] = session->weights ? session->weights + traced : NULL;
}

static void put_rows(Engine *e, const Feed *feeds, int n, Step *step)
{
    for (int i = 0; i < n; i++) {
        const Feed *feed = &feeds[i];
        step->goes_on |= n_wanted(feed) == 0;
        for (int t = 0; t < feed->n_tokens; t++) {
            if (feed->wanted == ROWS_ALL || (feed->wanted == ROWS_LAST && t == feed->n_tokens - 1))
                e->wanted[step->n_wanted++] = step->n_tokens;
            put_row(e, step->n_tokens++, feed->session, feed->tokens[t], feed->session->n_tokens + t);
        }
    }
}

static Status run(Engine *e, const Step *step, Error *error)
{
    const int64_t start_us = clock_us();
    profile_step_begins(e->device);
    const Status status = model_forward(e->model, step, &e->work, error);
    profile_step_ends(e->device);
    e->stats.n_steps++;
    e->stats.n_rows += step->n_tokens;
    e->stats.step_us += clock_us() - start_us;
    return status;
}

/* ---- logits out ---- */

static Status take_logits(Engine *e, const Feed *feed, int first_wanted, Error *error)
{
    const int n = n_wanted(feed);
    const size_t n_vocab = (size_t)e->work.logits.cols;
    Session *s = feed->session;
    s->has_logits = false;
    if (n == 0) return OK;
    const Tensor rows = tensor_rows(&e->work.logits, first_wanted, n);
    float *to = feed->wanted == ROWS_ALL ? feed->logits : s->logits;
    const Status status = e->device->ops->download(e->device, to, &rows, (size_t)n * n_vocab * sizeof *to);
    if (status != OK) {
        if (error) *error = e->device->error;
        return status;
    }
    if (feed->wanted == ROWS_ALL) memcpy(s->logits, to + (size_t)(n - 1) * n_vocab, n_vocab * sizeof *to);
    s->has_logits = true;
    return OK;
}

/* One number that is none spoils what comes after it in its sequence, and nothing else. */
static bool any_broken(const Engine *e, int first_row, int n)
{
    for (int i = first_row; i < first_row + n; i++)
        if (e->broken[i]) return true;
    return false;
}

static void give_back(Engine *e, Feed *feeds, int n, Error *error)
{
    int row = 0, wanted = 0;
    for (int i = 0; i < n; i++) {
        Feed *feed = &feeds[i];
        Session *s = feed->session;
        feed->status = any_broken(e, row, feed->n_tokens) ? FAILED : take_logits(e, feed, wanted, error);
        row += feed->n_tokens;
        wanted += n_wanted(feed);
        if (feed->status != OK) continue;
        memcpy(s->tokens + s->n_tokens, feed->tokens, (size_t)feed->n_tokens * sizeof *feed->tokens);
        s->n_tokens += feed->n_tokens;
    }
}

static Status step_over(Engine *e, Feed *feeds, int n, Error *error)
{
    Step step = {
        .tokens = e->tokens,
        .positions = e->positions,
        .pages = e->pages,
        .wanted = e->wanted,
        .broken = e->broken,
        .experts = e->experts,
        .weights = e->weights,
        .cancel = e->cancel,
        .cancel_user = e->cancel_user,
    };
    for (int i = 0; i < n; i++)
        TRY(session_claim(feeds[i].session, feeds[i].session->n_tokens + feeds[i].n_tokens, error));
    budget_yield(&e->budget, e->model->store);
    put_rows(e, feeds, n, &step);
    TRY(run(e, &step, error));
    give_back(e, feeds, n, error);
    return OK;
}

Status engine_feed(Engine *e, Feed *feeds, int n, Error *error)
{
    TRY(check_feeds(e, feeds, n, error));
    if (n == 0) return OK;
    pthread_mutex_lock(&e->lock);
    const Status status = step_over(e, feeds, n, error);
    pthread_mutex_unlock(&e->lock);
    return status;
}

/* ---- one token each ---- */

static Feed one_token(Session *session, const int32_t *token)
{
    return (Feed){ .session = session, .tokens = token, .n_tokens = 1, .wanted = ROWS_LAST };
}

/* Sessions [begin, end), in one step. */
static Status step_some(Engine *e, Session *const *sessions, const int32_t *next, int64_t begin, int64_t end,
                        Status *statuses, Error *error)
{
    Feed feeds[WANTED_MAX];
    for (int64_t i = begin; i < end; i++) feeds[i - begin] = one_token(sessions[i], &next[i]);
    TRY(engine_feed(e, feeds, (int)(end - begin), error));
    for (int64_t i = begin; i < end; i++) statuses[i] = feeds[i - begin].status;
    return OK;
}

Status engine_step(Engine *e, Session *const *sessions, const int32_t *next, int64_t n_sessions, Status *statuses,
                   Error *error)
{
    Status own[BATCH_MAX], answer = OK;
    if (n_sessions < 0 || n_sessions > BATCH_MAX)
        return fail(error, BAD_ARGUMENT, "sessions in a step: expected at most %d, found %lld", BATCH_MAX,
                    (long long)n_sessions);
    for (int64_t i = 0; i < n_sessions; i++) {          /* nobody steps if one of them cannot      */
        const Feed feed = one_token(sessions[i], &next[i]);
        TRY(check_feed(e, &feed, error));
        for (int64_t j = 0; j < i; j++)
            if (sessions[j] == sessions[i])
                return fail(error, BAD_ARGUMENT, "session %lld is in the step twice", (long long)i);
    }
    if (!statuses) statuses = own;
    const int64_t most = engine_wanted(e);
    for (int64_t begin = 0; begin < n_sessions && answer == OK; begin += most) {
        const int64_t end = n_sessions - begin < most ? n_sessions : begin + most;
        answer = step_some(e, sessions, next, begin, end, statuses, error);
    }
    for (int64_t i = 0; i < n_sessions && statuses == own && answer == OK; i++) answer = own[i];
    return answer;
}
