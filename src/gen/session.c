/* SPDX-License-Identifier: Apache-2.0
 * gen/session.c - one sequence: its tokens, its pages of keys and values, its last logits. */
#include "gen/parts.h"

#include <stdlib.h>
#include <string.h>

/* Pages are made here, all of them in one piece, so that no token allocates; what is never written
 * costs address space only. */
static Status make_pages(Session *s, Error *error)
{
    const Sizes *sizes = &s->engine->model->sizes;
    const int64_t n = (s->n_context + PAGE_TOKENS - 1) / PAGE_TOKENS;
    TRY(budget_context(&s->engine->budget, s->n_context, kv_bytes(sizes, s->engine->kv, s->n_context), error));
    s->pages = calloc((size_t)n, sizeof *s->pages);
    if (!s->pages) return fail_memory(error, "the key/value cache");
    TRY(kv_pages_new(s->engine->device, sizes, s->engine->kv, n, &s->cache, error));
    for (int64_t i = 0; i < n; i++) s->pages[i] = kv_page(&s->cache, sizes, i);
    return OK;
}

/* Memory is taken in huge pages where it is written. */
static int64_t claim_bytes(const Session *s, int64_t n_tokens)
{
    const int64_t bytes = kv_bytes(&s->engine->model->sizes, s->engine->kv, n_tokens);
    return (bytes + ROOM_ALIGN - 1) / ROOM_ALIGN * ROOM_ALIGN;
}

Status session_claim(Session *s, int64_t n_tokens, Error *error)
{
    const int64_t bytes = claim_bytes(s, n_tokens);
    if (bytes <= s->kv_bytes) return OK;                /* what was written once stays taken           */
    TRY(budget_kv(&s->engine->budget, s->engine->model->store, bytes - s->kv_bytes, error));
    s->kv_bytes = bytes;
    return OK;
}

/* A device makes room for the contexts that are opened, not for the one the model was made for: that may be millions
 * of tokens. */
static Status make_room(Session *s, Error *error)
{
    Device *d = s->engine->device;
    TRY(make_pages(s, error));
    const Status status = d->ops->reserve_context(d, s->n_context);
    if (status != OK && error) *error = d->error;
    TRY(status);
    return budget_shares(&s->engine->budget) ? OK : session_claim(s, s->n_context, error);
}

Status session_new(Engine *engine, int64_t n_context, Session **out, Error *error)
{
    *out = NULL;
    const Sizes *sizes = &engine->model->sizes;
    if (n_context == 0)
        n_context = sizes->n_context < CONTEXT_DEFAULT ? sizes->n_context : CONTEXT_DEFAULT;
    if (n_context < 1 || n_context > sizes->n_context)
        return fail(error, BAD_ARGUMENT,
                    "context: expected 1 to %lld tokens, as the model was made for, found %lld",
                    (long long)sizes->n_context, (long long)n_context);
    Session *s = calloc(1, sizeof *s);
    if (!s) return fail_memory(error, "a session");
    *s = (Session){ .engine = engine, .n_context = n_context };
    s->tokens = calloc((size_t)n_context, sizeof *s->tokens);
    s->logits = calloc((size_t)sizes->n_vocab, sizeof *s->logits);
    pthread_mutex_lock(&engine->lock);
    const Status status =
        s->tokens && s->logits ? make_room(s, error) : fail_memory(error, "a session");
    pthread_mutex_unlock(&engine->lock);
    if (status != OK) {
        session_free(s);
        return status;
    }
    *out = s;
    return OK;
}

void session_free(Session *s)
{
    if (!s) return;
    pthread_mutex_lock(&s->engine->lock);
    s->engine->device->ops->free(s->engine->device, &s->cache);
    budget_kv(&s->engine->budget, s->engine->model->store, -s->kv_bytes, NULL);
    pthread_mutex_unlock(&s->engine->lock);
    free(s->pages);
    free(s->tokens);
    free(s->logits);
    free(s->experts);
    free(s->weights);
    free(s);
}

int64_t session_n_tokens(const Session *s)       { return s->n_tokens; }
int64_t session_n_context(const Session *s)      { return s->n_context; }
int64_t session_n_reused(const Session *s)       { return s->n_reused; }
const int32_t *session_tokens(const Session *s)  { return s->tokens; }
const float *session_logits(const Session *s)    { return s->has_logits ? s->logits : NULL; }

/* ---- giving it tokens ---- */

static Status check_tokens(const Session *s, const int32_t *tokens, int64_t n, int64_t held,
                           Error *error)
{
    const int64_t n_vocab = s->engine->model->sizes.n_vocab;
    if (n < 0 || n > s->n_context - held)
        return fail(error, NO_ROOM,
                    "context: %lld tokens were given, the context has room for %lld",
                    (long long)(held + n), (long long)s->n_context);
    for (int64_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= n_vocab)
            return fail(error, BAD_ARGUMENT, "token %lld: expected 0 to %lld, found %d",
                        (long long)i, (long long)n_vocab - 1, (int)tokens[i]);
    return OK;
}

/* In steps of as many rows as the engine takes; between them other sessions may step. */
Status session_append(Session *s, const int32_t *tokens, int64_t n_tokens, float *all_logits, Error *error)
{
    TRY(check_tokens(s, tokens, n_tokens, s->n_tokens, error));
    const int64_t n_vocab = s->engine->model->sizes.n_vocab;
    const int64_t most = all_logits ? engine_wanted(s->engine) : engine_rows(s->engine);
    for (int64_t done = 0; done < n_tokens;) {
        const int64_t n = n_tokens - done < most ? n_tokens - done : most;
        Feed feed = { .session = s, .tokens = tokens + done, .n_tokens = (int)n };
        feed.wanted = all_logits ? ROWS_ALL : done + n == n_tokens ? ROWS_LAST : ROWS_NONE;
        feed.logits = all_logits ? all_logits + done * n_vocab : NULL;
        TRY(engine_feed(s->engine, &feed, 1, error));
        if (feed.status != OK) return feed.status;      /* the router said which layer             */
        done += n;
    }
    return OK;
}

void session_rewind(Session *s, int64_t n_tokens, const float *logits)
{
    s->n_tokens = n_tokens;
    s->has_logits = logits != NULL;
    if (logits) memcpy(s->logits, logits, (size_t)s->engine->model->sizes.n_vocab * sizeof *logits);
}

Status session_sync(Session *s, const int32_t *tokens, int64_t n_tokens, Error *error)
{
    TRY(check_tokens(s, tokens, n_tokens, 0, error));
    int64_t same = 0;
    while (same < n_tokens && same < s->n_tokens && tokens[same] == s->tokens[same]) same++;
    if (same == n_tokens && same == s->n_tokens && (s->has_logits || n_tokens == 0)) {
        s->n_reused = same;
        return OK;
    }
    /* Logits are kept for the last token only: a prefix that ends the wish is computed again from
     * its last token. */
    if (same == n_tokens && same > 0) same--;
    if (same < s->n_tokens) session_rewind(s, same, NULL);
    s->n_reused = same;
    return session_append(s, tokens + same, n_tokens - same, NULL, error);
}

/* ---- which experts fired ---- */

Status session_trace(Session *s, bool on, Error *error)
{
    const Sizes *z = &s->engine->model->sizes;
    free(s->experts);
    free(s->weights);
    s->experts = NULL;
    s->weights = NULL;
    if (!on) return OK;
    const size_t n = (size_t)(s->n_context * z->n_layers * z->n_used);
    s->experts = calloc(n, sizeof *s->experts);
    s->weights = calloc(n, sizeof *s->weights);
    if (s->experts && s->weights) return OK;
    session_trace(s, false, NULL);
    return fail_memory(error, "the trace of experts");
}

const int32_t *session_experts(const Session *s, int64_t token)
{
    const Sizes *z = &s->engine->model->sizes;
    return s->experts && token >= 0 && token < s->n_tokens
               ? s->experts + token * z->n_layers * z->n_used
               : NULL;
}

const float *session_weights(const Session *s, int64_t token)
{
    const Sizes *z = &s->engine->model->sizes;
    return s->weights && token >= 0 && token < s->n_tokens
               ? s->weights + token * z->n_layers * z->n_used
               : NULL;
}
