/* SPDX-License-Identifier: Apache-2.0
 * gen/engine.h - a model at work: sessions in, logits out.
 *
 * An engine owns a device, a bound model and scratch.  A session is one sequence of tokens and its
 * key/value pages. Rows of any number of sessions share a step (decision D3); each row's logits are
 * the same bytes as if it had travelled alone (D1).  The engine locks itself; a session is used by
 * one thread at a time. */
#ifndef GEN_ENGINE_H
#define GEN_ENGINE_H

#include "device/profile.h"
#include "gen/budget.h"
#include "model/model.h"

typedef struct EngineOptions {
    const char *device, *cpu_set;       /* see device_open                                 */
    int         n_threads;
    Format      kv;                     /* F16, F32 or Q8_0                                */
    int64_t     n_batch;                /* rows per step at most; 0: 512, more where experts are read for each step */
    int64_t     memory_bytes;           /* what the process may hold at most; 0: what the machine has free */
    int64_t     n_slots;                /* experts in memory; 0: all, or as many as fit    */
    const char *policy;                 /* who leaves memory (store/policy.h); NULL: as `use` says, else the usual */
    const char *use;                    /* file of what earlier runs learned (store/use.h), if it is good, or NULL */
    int         look_ahead;             /* layers at most whose experts are read before they are needed; or ... */
    bool        profile;                /* time every op: see engine_profile               */
    const AdapterUse *adapters;  int n_adapters;    /* beside the weights; files may be closed afterwards */
    int       (*cancel)(void *user);    /* asked before each layer; non-zero ends the step */
    void       *cancel_user;
    int       (*progress)(void *user, int64_t done_bytes, int64_t total_bytes);
    void       *progress_user;
} EngineOptions;

/* ... as far as it pays. */
enum { LOOK_AHEAD_AS_PAYS = -1 };

typedef struct EngineStats {
    int64_t load_us, resident_bytes, n_steps, n_rows, step_us;
    StoreStats store;
    Budget budget;                      /* the ledger                                      */
    int64_t n_batch;                    /* rows per step at most                           */
} EngineStats;

typedef struct Engine Engine;
typedef struct Session Session;

enum { BATCH_MAX = 4096, BATCH_DEFAULT = 512, CONTEXT_DEFAULT = 8192 };

/* The catalog must outlive the engine.  NO_MEMORY when not even a few experts fit; the sentence has
 * the numbers. */
Status engine_new(const Arch *arch, const Catalog *catalog, const Sizes *sizes,
                  const EngineOptions *options, Engine **out, Error *error);
void   engine_free(Engine *engine);
EngineStats engine_stats(Engine *engine);
/* Adds to the file at `path` which experts were used since the engine was made, or since this was last written.
 * Nothing where they all lie in memory. */
Status engine_learn(Engine *engine, const Catalog *catalog, const char *path, Error *error);
/* Where the time of steps went since the engine was made or last asked with `reset`; the last row is the time between
 * ops.  How many rows there are: 0 when the engine was made without a profile. */
int engine_profile(Engine *engine, bool reset, ProfileRow rows[PROFILE_ROWS_MAX]);
const Device *engine_device(const Engine *engine);
const char   *engine_store_name(const Engine *engine);

Status session_new(Engine *engine, int64_t n_context /* 0: default */, Session **out, Error *error);
void   session_free(Session *session);
int64_t        session_n_tokens(const Session *session);
int64_t        session_n_context(const Session *session);
int64_t        session_n_reused(const Session *session);
const int32_t *session_tokens(const Session *session);
const float   *session_logits(const Session *session);         /* [V], or NULL              */

/* Hold exactly these tokens, computing only what differs. */
Status session_sync(Session *session, const int32_t *tokens, int64_t n_tokens, Error *error);
/* Append; all_logits is [n_tokens][V] or NULL. */
Status session_append(Session *session, const int32_t *tokens, int64_t n_tokens, float *all_logits,
                      Error *error);
/* The first n_tokens of what it holds are kept, the others leave no trace.  logits [V]: those after the last one kept,
 * where somebody has them; NULL: session_logits says NULL until more tokens come. */
void   session_rewind(Session *session, int64_t n_tokens, const float *logits);

/* ---- steps ---- */

/* Tokens for one session in one step, beside those of others. */
typedef enum Rows { ROWS_NONE, ROWS_LAST, ROWS_ALL } Rows;
typedef struct Feed {
    Session       *session;
    const int32_t *tokens;
    int            n_tokens;            /* 1 or more                                       */
    Rows           wanted;              /* whose logits                                    */
    float         *logits;              /* ROWS_ALL: [n_tokens][V]                         */
    Status         status;              /* out                                             */
} Feed;

/* One step over all of them: at most engine_rows() tokens, of which logits are wanted for at most engine_wanted().
 * The step fails as a whole, and nobody has changed; or a session whose arithmetic failed says so in its status and
 * keeps what it had, and the others go on. */
Status engine_feed(Engine *engine, Feed *feeds, int n, Error *error);
int    engine_rows(const Engine *engine);
int    engine_wanted(const Engine *engine);
/* One more token for each, in shared steps.  statuses[i] may differ from the answer: see mixt.h. */
Status engine_step(Engine *engine, Session *const *sessions, const int32_t *next,
                   int64_t n_sessions, Status *statuses, Error *error);

/* Which experts fired, per token held: [L][U]; NULL when off. */
Status session_trace(Session *session, bool on, Error *error);
const int32_t *session_experts(const Session *session, int64_t token);
const float   *session_weights(const Session *session, int64_t token);

#endif
