/* SPDX-License-Identifier: Apache-2.0
 * mixt.h - run sparse mixture-of-experts language models.
 *
 * The public face of libmixt (offline jobs - convert, synthesise, check - are in mixt_tools.h).
 * Four nouns, in the order data meets them:
 *
 *   mixt_model     tokenizer, template and tensor table opened from files; never changes afterwards
 *   mixt_engine    its weights placed on a device; owns threads, experts and scratch
 *   mixt_session   one sequence of tokens and its key/value cache
 *   mixt_sampler   turns one row of logits into one token
 *
 * Errors   A call that can fail returns mixt_status: 0 is success, negative is failure.  Its last argument
 *          may point to a mixt_error, which then holds a sentence for people; pass NULL when the
 *          code is enough.  The library never prints, never exits and keeps no global state.
 * Owning   X_open and X_new give; X_free takes back and accepts NULL.  Every other pointer is borrowed
 *          until the object it came from is next changed or freed.  Free sessions before their engine,
 *          engines before their model.
 * Threads  mixt_model: any number of threads.  mixt_engine: locks itself.  mixt_session and
 *          mixt_sampler: one thread at a time.
 * Bits     On the CPU the logits of a token are the same bytes whatever the number of threads, the
 *          sessions that share a step, and the way the prompt was cut.
 * Units    n_ counts things, _bytes counts bytes, _us counts microseconds.
 */
#ifndef MIXT_H
#define MIXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef MIXT_API
#  if defined __GNUC__
#    define MIXT_API __attribute__((visibility("default")))     /* all else is hidden */
#  else
#    define MIXT_API
#  endif
#endif

#define MIXT_API_VERSION 1
MIXT_API const char *mixt_version(void);                /* "0.1.0" */

/* ---- errors ---- */

typedef enum mixt_status {
    MIXT_OK            =  0,
    MIXT_BAD_ARGUMENT  = -1,    /* the caller's mistake                                    */
    MIXT_NO_MEMORY     = -2,    /* an allocation failed, or the model does not fit         */
    MIXT_NO_ROOM       = -3,    /* buffer or context too small; the needed size is given   */
    MIXT_BAD_FILE      = -4,    /* readable, but not what its header promises              */
    MIXT_UNSUPPORTED   = -5,    /* well formed, but an architecture or format we lack      */
    MIXT_IO            = -6,    /* the disk said no                                        */
    MIXT_DEVICE        = -7,    /* an accelerator said no                                  */
    MIXT_CANCELLED     = -8,    /* a callback asked to stop                                */
    MIXT_NOT_FOUND     = -9,    /* a file that cannot be opened                            */
    MIXT_FAILED        = -10    /* anything else: arithmetic that is no longer a number    */
} mixt_status;

typedef struct mixt_error {
    mixt_status code;
    char        text[504];      /* one sentence, no newline; names file, thing, expected, found */
} mixt_error;

MIXT_API const char *mixt_status_name(mixt_status status);

/* ---- model: files in ---- */

typedef struct mixt_model   mixt_model;
typedef struct mixt_engine  mixt_engine;
typedef struct mixt_session mixt_session;
typedef struct mixt_sampler mixt_sampler;

typedef int32_t mixt_token;

/* Warnings (an unknown tensor, say), one line each, during the call that was given it. */
typedef void (*mixt_log_fn)(void *user, const char *line);
/* Long work: done and total in bytes.  Return non-zero to stop: the call ends with MIXT_CANCELLED. */
typedef int (*mixt_progress_fn)(void *user, int64_t done_bytes, int64_t total_bytes);

/* A GGUF file that already lies in memory, where a program carries its model inside itself.  Given in
 * options, it is what `name` means there, whatever the disk has of that name; other paths are files.
 * The bytes are not copied: they stay the caller's and must not change before the model is freed, or before
 * mixt_check, mixt_convert or mixt_train return.  The struct is read during the call only. */
typedef struct mixt_memory {
    const char *name;               /* NULL: nothing                                           */
    const void *bytes;  size_t n_bytes;
} mixt_memory;

/* Every options struct starts with its own size, so that old callers and new libraries can
 * meet; get one from its _defaults function and change what you need. */
typedef struct mixt_model_options {
    size_t      struct_bytes;
    bool        vocab_only;         /* do not ask for a network: a bare tokenizer will do      */
    const char *chat_template;      /* name of a built-in format, or Jinja source; NULL: the model's own */
    mixt_log_fn log;                /* NULL: silence                                           */
    void       *log_user;
    const mixt_memory *memory;      /* a model that is no file; NULL: none                     */
    mixt_progress_fn progress;      /* of mixt_check, which reads all of a packed file         */
    void       *progress_user;
} mixt_model_options;

/* GGUF file (any part of a split one), Hugging Face folder, Mistral folder, tokenizer.model, tokenizer.json.
 * Reads headers only.  Until it is freed nobody packs its file in place (mixt_pack). */
MIXT_API mixt_model_options mixt_model_defaults(void);
MIXT_API mixt_status mixt_model_open(const char *path, const mixt_model_options *options, mixt_model **out,
                                     mixt_error *error);
MIXT_API void        mixt_model_free(mixt_model *model);

typedef struct mixt_model_info {
    size_t      struct_bytes;
    const char *path, *container;   /* "GGUF v3", "GGUF v3 in memory", "Hugging Face folder", .. */
    const char *arch;               /* true architecture: "mixtral", "llama", ..; NULL: vocabulary only */
    const char *tokenizer;          /* "SentencePiece BPE", "byte-level BPE (llama-bpe)"; NULL: none */
    const char *template_name;      /* chat format in use; NULL: none known                     */
    const char *template_why;       /* "tokenizer.chat_template in the file", ..                */
    int64_t     n_layers, n_context, width, n_heads, n_kv_heads, head_size, n_experts, n_used, hidden, n_vocab;
    int64_t     window;             /* sliding attention window, 0: none                        */
    double      rope_base, norm_eps;
    int64_t     n_values;           /* parameters                                               */
    int64_t     n_values_active;    /* of them used for one token                               */
    int64_t     weight_bytes;
    int64_t     expert_bytes;       /* one expert in one layer: gate, up and down; 0 when they differ in size */
    int64_t     kv_bytes_per_token; /* F16                                                      */
    int64_t     n_tensors;
    mixt_token  bos, eos, unknown;  /* -1: none                                                 */
} mixt_model_info;

MIXT_API mixt_model_info mixt_model_read(const mixt_model *model);
/* Every file the model was opened from, NULL-ended: what no output may overwrite. */
MIXT_API const char *const *mixt_model_files(const mixt_model *model);

/* Weights by what they are for: "embedding", "attention", "router", "experts" ("feed-forward" in a
 * dense model), "norms", "output". */
typedef struct mixt_weight_class {
    const char *name;
    const char *formats;            /* "Q4_K, Q6_K"                                             */
    int64_t     n_tensors, n_values, n_bytes;
    int64_t     n_values_active;    /* used for one token                                       */
} mixt_weight_class;

MIXT_API const mixt_weight_class *mixt_model_classes(const mixt_model *model, size_t *n);

/* ---- text <-> tokens ---- */

/* Text written by somebody: control tokens in it stay text.  special: add BOS and EOS as the
 * model wants them.  Writes at most `room` tokens; *n_out is the number the text needs, so a first
 * call with room 0 measures.  MIXT_NO_ROOM when it did not fit. */
MIXT_API mixt_status mixt_tokenize(const mixt_model *model, const char *text, size_t text_bytes, bool special,
                                   mixt_token *out, size_t room, size_t *n_out, mixt_error *error);
MIXT_API bool        mixt_token_ends(const mixt_model *model, mixt_token token);
/* Bytes of one token, borrowed; may be a fragment of a UTF-8 character.  Control tokens: "" unless special. */
MIXT_API const char *mixt_token_bytes(const mixt_model *model, mixt_token token, bool special, size_t *n_bytes);
/* Tokens to the exact bytes they stand for, without the space the tokenizer itself puts in front of a
 * text.  Measures like mixt_tokenize. */
MIXT_API mixt_status mixt_detokenize(const mixt_model *model, const mixt_token *tokens, size_t n_tokens, bool special,
                                     char *out, size_t room, size_t *n_bytes, mixt_error *error);

/* ---- chat: messages to prompt ---- */

typedef struct mixt_chat {
    size_t      struct_bytes;
    const char *messages_json;      /* [{"role":"user","content":".."}, ..]                     */
    const char *tools_json;         /* an array, or NULL                                        */
    const char *variables_json;     /* further template variables, an object, or NULL           */
    bool        add_generation_prompt;
    int64_t     now;                /* seconds since 1970, for templates that ask; 0: the clock */
} mixt_chat;

/* Renders with the model's format.  Text and tokens each measure like mixt_tokenize; either room may
 * be 0.  What the messages say never becomes a control token. */
MIXT_API mixt_chat   mixt_chat_defaults(void);
MIXT_API mixt_status mixt_chat_render(const mixt_model *model, const mixt_chat *chat, char *text, size_t text_room,
                                      size_t *text_bytes, mixt_token *tokens, size_t token_room, size_t *n_tokens,
                                      mixt_error *error);

/* ---- engine and sessions ---- */

typedef enum mixt_kv { MIXT_KV_F16, MIXT_KV_F32, MIXT_KV_Q8_0 } mixt_kv;

/* An adapter (LoRA) beside the model's weights, docs/format/adapter.md; scale 1 takes it as it was trained. */
typedef struct mixt_adapter { const char *path; double scale; } mixt_adapter;

typedef struct mixt_engine_options {
    size_t           struct_bytes;
    const char      *device;        /* "cpu", "ref"                                             */
    const char      *cpu_set;       /* "ref", "avx2", "avx512"; NULL: the best there is         */
    int              n_threads;     /* 0: one per core                                          */
    mixt_kv          kv;
    size_t           n_batch;       /* rows per step at most; 0: 512, and where experts are read for each step up to
                                     * 2048, as the memory allows */
    size_t           expert_slots;  /* experts kept in memory, the others read when needed; 0: all that fit */
    mixt_progress_fn progress;      /* while weights are read                                   */
    void            *progress_user;
    int            (*cancel)(void *user);   /* asked before each layer, from the calling thread (so it can show how far
                                             * a long step is); non-zero ends the call with MIXT_CANCELLED, sessions
                                             * keep what they had */
    void            *cancel_user;
    bool             profile;       /* time every op: mixt_engine_profile in mixt_tools.h        */
    const mixt_adapter *adapters;  size_t n_adapters;   /* honoured whole, or an error that names the tensor */
    int64_t          memory_bytes;  /* the whole process holds no more, keys, values and scratch included; 0: what is
                                     * free when the engine is made */
    const char      *policy;        /* who leaves memory where not all experts fit: a name that mixt_replay_run knows;
                                     * NULL: what `use` says, else the usual one                */
    const char      *use;           /* what earlier runs learned (mixt_engine_learn in mixt_tools.h); a file that is
                                     * not there, or no good, counts for nothing.  NULL: nothing */
    int              look_ahead;    /* layers at most, 0 to 16, whose experts are read before they are needed, where not
                                     * all are in memory; -1: as far as it pays                 */
} mixt_engine_options;

MIXT_API mixt_engine_options mixt_engine_defaults(void);
MIXT_API mixt_status mixt_engine_new(const mixt_model *model, const mixt_engine_options *options, mixt_engine **out,
                                     mixt_error *error);
MIXT_API void        mixt_engine_free(mixt_engine *engine);

typedef struct mixt_engine_stats {
    size_t      struct_bytes;
    const char *device, *cpu_set, *store;   /* "cpu", "avx2", "ram"                             */
    int         n_threads;
    int64_t     load_us;
    int64_t     resident_bytes;             /* weights, experts in slots, scratch               */
    int64_t     expert_pins, expert_hits, expert_read_bytes, expert_wait_us;
    int64_t     n_steps, n_rows, step_us;
    /* The ledger of memory: what the process may hold, and who holds it.  Keys and values count where they are
     * written; the room is what experts may take beside them. */
    int64_t     memory_bytes, program_bytes, dense_bytes, scratch_bytes, kv_bytes, expert_room_bytes;
    int64_t     expert_waits;               /* calls that took expert_wait_us together          */
    int64_t     expert_read_us;             /* the disk had something to do for experts         */
    int64_t     expert_guessed_used, expert_guessed_wasted; /* bytes read ahead: for what was used, and what was not */
    size_t      n_batch;                    /* rows per step at most                            */
} mixt_engine_stats;

MIXT_API mixt_engine_stats mixt_engine_read(const mixt_engine *engine);

/* A sequence of at most n_context tokens; 0: what the model was trained for, at most 8192. */
MIXT_API mixt_status mixt_session_new(mixt_engine *engine, size_t n_context, mixt_session **out, mixt_error *error);
MIXT_API void        mixt_session_free(mixt_session *session);
MIXT_API size_t      mixt_session_n_tokens(const mixt_session *session);
MIXT_API size_t      mixt_session_n_context(const mixt_session *session);
MIXT_API const mixt_token *mixt_session_tokens(const mixt_session *session);
/* How many of the tokens of the last sync were already there. */
MIXT_API size_t      mixt_session_n_reused(const mixt_session *session);

/* Make the session hold exactly these tokens.  The prefix it already holds is kept; only what
 * differs is computed.  MIXT_NO_ROOM when they are more than the context; on failure the session
 * holds the prefix that was finished. */
MIXT_API mixt_status mixt_session_sync(mixt_session *session, const mixt_token *tokens, size_t n_tokens,
                                       mixt_error *error);
/* The same, appending, and giving out the logits of every one of them, [n_tokens][n_vocab]. */
MIXT_API mixt_status mixt_session_score(mixt_session *session, const mixt_token *tokens, size_t n_tokens,
                                        float *logits, mixt_error *error);
/* Give each session one more token, all in one pass over the weights.  A session whose arithmetic
 * failed gets its code in statuses[i] (may be NULL) and keeps what it had; the others go on. */
MIXT_API mixt_status mixt_engine_step(mixt_engine *engine, mixt_session *const *sessions, const mixt_token *next,
                                      size_t n_sessions, mixt_status *statuses, mixt_error *error);

/* Logits after the last token, [n_vocab], unnormalised; NULL while the session is empty. */
MIXT_API const float *mixt_session_logits(const mixt_session *session);

/* Which experts fired.  Turn on before tokens are given; then for each token held: experts and weights
 * [n_layers][n_used], by falling weight.  NULL when it is off or the token is not held. */
MIXT_API mixt_status    mixt_session_trace(mixt_session *session, bool on, mixt_error *error);
MIXT_API const int32_t *mixt_session_experts(const mixt_session *session, size_t token);
MIXT_API const float   *mixt_session_expert_weights(const mixt_session *session, size_t token);

/* ---- sampling ---- */

typedef struct mixt_bias { mixt_token token; float add; } mixt_bias;

/* Applied in this order: logit bias; repeat, presence and frequency penalties; temperature 0 takes the
 * largest logit here (the lower id on a tie); top_k; typical_p; top_p; min_p; temperature; draw. */
typedef struct mixt_sampler_options {
    size_t           struct_bytes;
    float            temperature;       /* 0 takes the most likely token                        */
    int              top_k;             /* 0 keeps all                                          */
    float            top_p, min_p;      /* 1 and 0 keep all                                     */
    float            typical_p;         /* 1 keeps all                                          */
    float            repeat_penalty;    /* 1 does nothing                                       */
    float            presence_penalty, frequency_penalty;       /* 0 does nothing               */
    int              penalty_last_n;    /* tokens looked back over; -1: all, 0: none            */
    uint64_t         seed;
    const mixt_bias *bias;  size_t n_bias;      /* copied                                       */
} mixt_sampler_options;

MIXT_API mixt_sampler_options mixt_sampler_defaults(void);     /* 0.8, 40, 0.95, 0.05, 1, 1, 0, 0, 64 */
MIXT_API mixt_status mixt_sampler_new(const mixt_model *model, const mixt_sampler_options *options,
                                      mixt_sampler **out, mixt_error *error);
MIXT_API void        mixt_sampler_free(mixt_sampler *sampler);
/* The next token after what the session holds.  MIXT_FAILED when the logits are not numbers. */
MIXT_API mixt_status mixt_sampler_pick(mixt_sampler *sampler, const mixt_session *session, mixt_token *out,
                                       mixt_error *error);

/* ---- the whole road in one call ---- */

typedef enum mixt_finish { MIXT_FINISH_LENGTH, MIXT_FINISH_END, MIXT_FINISH_STOP, MIXT_FINISH_CALLER } mixt_finish;

/* Return non-zero to stop. `bytes` is always whole UTF-8 characters. */
typedef int (*mixt_text_fn)(void *user, const char *bytes, size_t n_bytes);

typedef struct mixt_generate_options {
    size_t             struct_bytes;
    size_t             n_tokens_max;    /* 0: until the context is full                         */
    const char *const *stops;  size_t n_stops;  /* texts that end it; not given out             */
    bool               ignore_end;      /* go on after an end token                             */
    bool               special;         /* give out control tokens as text                      */
    mixt_text_fn       on_text;         /* may be NULL                                          */
    void              *user;
    int                speculate;       /* tokens guessed from the text so far and verified in one step, at most 15;
                                         * -1: as many as pay; 0: none.  The answer is the same bytes */
} mixt_generate_options;

typedef struct mixt_generated {
    mixt_finish finish;
    size_t      n_tokens;               /* picked, the end token included                       */
    int64_t     us;
    int64_t     p50_us, p95_us, p99_us, us_max;     /* from one token to the next; within 6.25 % */
    size_t      n_steps;                /* passes over the network                              */
    size_t      n_drafted, n_accepted;  /* tokens that were guessed, and rightly                */
} mixt_generated;

/* Continue a session that holds at least one token.  *out may be NULL. */
MIXT_API mixt_generate_options mixt_generate_defaults(void);
MIXT_API mixt_status mixt_generate(mixt_session *session, mixt_sampler *sampler, const mixt_generate_options *options,
                                   mixt_generated *out, mixt_error *error);

#ifdef __cplusplus
}
#endif
#endif
