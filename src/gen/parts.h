/* SPDX-License-Identifier: Apache-2.0
 * gen/parts.h - what engine.c, feed.c and session.c know of each other, and nobody else. */
#ifndef GEN_PARTS_H
#define GEN_PARTS_H

#include "gen/engine.h"
#include "store/use.h"

#include <pthread.h>

struct Engine {
    pthread_mutex_t lock;               /* held for a step, and to read stats              */
    Device         *device;
    Model          *model;
    Work            work;
    Budget          budget;
    Format          kv;
    int64_t         n_batch;
    int           (*cancel)(void *user);
    void           *cancel_user;
    EngineStats     stats;
    int64_t        *uses_told;          /* [L*E] what engine_learn wrote down; NULL: nothing yet */
    /* one step's rows, [n_batch] each */
    Arena           arena;
    int32_t        *tokens, *positions, *wanted, **experts;
    const Tensor  **pages;
    float         **weights;
    bool           *broken;
};

struct Session {
    Engine  *engine;
    int64_t  n_context, n_tokens, n_reused;
    int32_t *tokens;                    /* [n_context]                                     */
    float   *logits;                    /* [V] after the last token                        */
    bool     has_logits;
    Tensor   cache;                     /* all pages of keys and values                    */
    int64_t  kv_bytes;                  /* of them, in the engine's ledger                 */
    Tensor  *pages;                     /* views of it, in order of position               */
    int32_t *experts;                   /* [n_context][L][U], or NULL                      */
    float   *weights;
};

/* The ledger counts what the session's first n_tokens positions take; where experts share the room, they give it.
 * The lock is held. */
Status session_claim(Session *session, int64_t n_tokens, Error *error);

/* What the file at `path` knows of this model; nothing where there is no such file. */
void engine_learned(const Catalog *catalog, const Sizes *sizes, const char *path, Use *out);

/* What was used most before is read while nothing else is: whoever thinks about his first words finds it there. */
Status engine_warm(Engine *engine, const Use *use, Error *error);

/* Attaches a profile to the device; the model is bound. */
Status engine_watch(Engine *engine, Error *error);

#endif
