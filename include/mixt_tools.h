/* SPDX-License-Identifier: Apache-2.0
 * mixt_tools.h - offline jobs on model files.  Same conventions as mixt.h; may still change. */
#ifndef MIXT_TOOLS_H
#define MIXT_TOOLS_H

#include <mixt.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Parse everything in a model file or folder: headers, every tensor's range, sizes, tokenizer, template; of a packed
 * file also compare all checksums, for which it is read from end to end.
 * `line` gets one sentence on success ("mixtral, 8 experts, ...").  A vocabulary alone passes too,
 * whatever options say; NULL means the defaults. */
MIXT_API mixt_status mixt_check(const char *path, const mixt_model_options *options, char *line, size_t line_room,
                                mixt_error *error);

/* Any model mixt_model_open accepts, to one GGUF v3 file: stacked experts, rows of q and k in GGUF order.
 * type: one of mixt_synth_types (norms and routers stay F32; a matrix whose rows are not whole blocks of its format
 * becomes Q8_0 or F32, and log has a line).  The output appears whole or not at all.  What adapters say is added to
 * the weights, which are then stored anew in the same format, or in `type`. */
typedef struct mixt_convert_options {
    size_t           struct_bytes;
    const char      *type;          /* NULL: as stored                                         */
    mixt_log_fn      log;           void *log_user;
    mixt_progress_fn progress;      void *progress_user;
    const mixt_adapter *adapters;   size_t n_adapters;
    const mixt_memory  *memory;     /* a model that is no file; NULL: none                     */
} mixt_convert_options;

MIXT_API mixt_convert_options mixt_convert_defaults(void);
MIXT_API mixt_status mixt_convert(const char *from, const char *to, const mixt_convert_options *options,
                                  mixt_error *error);

/* A GGUF model as a packed file, whose experts lie as the processor wants them, each in one aligned stretch with a
 * checksum; and back to the byte.  mixt_model_open and all else take it for the GGUF.  A model in parts becomes one
 * packed file, and parts again: then `to` names one of them, or what stands before "-00001-of-00005.gguf".
 * The output appears whole or not at all, unless in place: then `from` shrinks while TO.part grows, in the end
 * `from` is gone, and after whatever ended it the same call goes on.  In place is MIXT_BAD_ARGUMENT while anybody, this
 * process too, has `from` open as a model; and so is to open it meanwhile. */
typedef struct mixt_pack_options {
    size_t           struct_bytes;
    bool             in_place;
    int              n_threads;     /* 0: one per core                                         */
    mixt_progress_fn progress;      void *progress_user;
} mixt_pack_options;

MIXT_API mixt_pack_options mixt_pack_defaults(void);
MIXT_API mixt_status mixt_pack(const char *from, const char *to, const mixt_pack_options *options, mixt_error *error);
MIXT_API mixt_status mixt_unpack(const char *from, const char *to, const mixt_pack_options *options,
                                 mixt_error *error);

/* ---- adapters ---- */

typedef struct mixt_adapter_file mixt_adapter_file;

typedef struct mixt_adapter_info {
    size_t      struct_bytes;
    const char *path, *arch;        /* what general.architecture says                          */
    double      alpha;              /* 0: scales are not divided by ranks                      */
    int64_t     n_values, n_bytes;
} mixt_adapter_info;

typedef struct mixt_adapter_pair {
    const char *name;               /* of the matrix, "blk.0.attn_q.weight"                    */
    const char *format_a, *format_b;
    int64_t     rank, rows, cols;
    int64_t     n_experts;          /* of the stack; 0: none                                   */
    int64_t     n_adapted;          /* of them not all zero; without a stack: 1 or 0           */
} mixt_adapter_pair;

/* Every number is read and has to be finite. */
MIXT_API mixt_status mixt_adapter_open(const char *path, mixt_adapter_file **out, mixt_error *error);
MIXT_API void        mixt_adapter_free(mixt_adapter_file *adapter);
MIXT_API mixt_adapter_info        mixt_adapter_read(const mixt_adapter_file *adapter);
MIXT_API const mixt_adapter_pair *mixt_adapter_pairs(const mixt_adapter_file *adapter, size_t *n);

/* A valid model of a true shape with random, well-behaved weights; bounded memory, any size. */
typedef struct mixt_synth_options {
    size_t           struct_bytes;
    const char      *like;          /* "mixtral-8x7b", "mixtral-8x22b", "tiny", ..             */
    int64_t          n_layers, width, hidden, n_heads, n_kv_heads, head_size, n_experts, n_used, n_vocab, n_context,
                     window;        /* 0: as `like` has it; n_experts -1: dense                 */
    double           router_skew;   /* Zipf exponent over experts; 0: uniform                  */
    const char      *type;          /* "Q4_K_M", "Q8_0", "F16", ..                             */
    uint64_t         seed;
    mixt_progress_fn progress;      void *progress_user;
} mixt_synth_options;

MIXT_API mixt_synth_options mixt_synth_defaults(void);
MIXT_API mixt_status mixt_synth(const char *to, const mixt_synth_options *options, mixt_error *error);
/* Names `like` and `type` may have, NULL-ended; a type in either case. */
MIXT_API const char *const *mixt_synth_shapes(void);
MIXT_API const char *const *mixt_synth_types(void);

/* A float32 or int32 array as a NumPy .npy file (version 1.0), through the atomic writer.  A path that is one of
 * `inputs` (NULL-ended, or NULL), also by link, is MIXT_BAD_ARGUMENT. */
typedef enum mixt_npy { MIXT_NPY_F32, MIXT_NPY_I32 } mixt_npy;
MIXT_API mixt_status mixt_npy_write(const char *path, mixt_npy type, const void *values, const int64_t *dims,
                                    size_t n_dims, const char *const *inputs, mixt_error *error);

/* ---- what the machine can do ---- */

enum { MIXT_RATES_MAX = 16, MIXT_DISK_RATES_MAX = 8 };

/* Per second, by n_threads threads together. */
typedef struct mixt_rate { int n_threads; double per_s; } mixt_rate;
typedef struct mixt_disk_rate { int64_t block_bytes; int depth; double bytes_per_s; } mixt_disk_rate;

typedef struct mixt_machine {
    size_t         struct_bytes;
    int64_t        measured_at;         /* seconds since 1970                                   */
    char           cpu[96], instructions[192];
    char           huge_pages[16];      /* transparent ones: "always", "madvise", "never"       */
    char           cpu_set[16];         /* whose instructions the peaks were measured with      */
    int            n_online, n_allowed; /* cores there are, cores this process may use          */
    double         quota_cores;         /* what the control group grants; 0: no limit           */
    int64_t        l1_bytes, l2_bytes, l3_bytes, memory_bytes, free_bytes;      /* 0: unknown   */
    double         load;                /* programs that wanted a core in the minute before     */
    /* By rising n_threads.  A multiply-accumulate is 2 operations. */
    int            n_read, n_int8, n_f32;
    mixt_rate      read[MIXT_RATES_MAX];        /* bytes, from a buffer far larger than caches  */
    mixt_rate      int8[MIXT_RATES_MAX], f32[MIXT_RATES_MAX];
    char           disk_folder[256];    /* "": not measured                                     */
    bool           disk_direct;         /* past the page cache                                  */
    int            n_disk;
    mixt_disk_rate disk[MIXT_DISK_RATES_MAX];   /* one file from end to end                     */
} mixt_machine;

typedef struct mixt_measure_options {
    size_t           struct_bytes;
    const char      *cpu_set;           /* NULL: the best there is                              */
    int              n_threads;         /* with so many alone; 0: with 1, 2, .. all cores       */
    bool             quick;             /* about two seconds                                    */
    const char      *disk_folder;       /* a temporary file is written there; NULL: leave it    */
    mixt_progress_fn progress;          /* counts measurements, not bytes                       */
    void            *progress_user;
} mixt_measure_options;

MIXT_API mixt_measure_options mixt_measure_defaults(void);
/* MIXT_IO, MIXT_NOT_FOUND: nothing can be written in the folder; *out has all but the disk then. */
MIXT_API mixt_status mixt_measure(const mixt_measure_options *options, mixt_machine *out, mixt_error *error);
/* As a file.  Reading refuses what another machine wrote, or a number that no machine has: MIXT_BAD_FILE. */
MIXT_API mixt_status mixt_machine_write(const mixt_machine *machine, const char *path, mixt_error *error);
MIXT_API mixt_status mixt_machine_read(const char *path, mixt_machine *out, mixt_error *error);

/* Bytes of one expert of this layer: gate, up and down.  0: no such layer. */
MIXT_API int64_t mixt_model_expert_bytes(const mixt_model *model, size_t layer);

/* Where the time of an engine's steps went, since it was made or last asked with `reset`: one row for each
 * kind of work ("q, k, v", "experts", ..), the last one for what lies between ("between").  Weights are counted once
 * a step, keys and values once a sequence.  Writes at most `room` rows; *n_rows is how many there are: 0 unless
 * the engine was made with `profile`. */
typedef struct mixt_profile_row {
    const char *name;                   /* static                                               */
    int64_t     n_calls, ns, bytes, operations;     /* a multiply-accumulate is 2 operations    */
} mixt_profile_row;

MIXT_API mixt_status mixt_engine_profile(mixt_engine *engine, bool reset, mixt_profile_row *rows, size_t room,
                                         size_t *n_rows, mixt_error *error);

/* ---- what a model takes and how fast it will be, before it is loaded ---- */

typedef struct mixt_plan mixt_plan;

typedef struct mixt_plan_options {
    size_t      struct_bytes;
    const mixt_machine *machine;        /* measured (mixt_measure, mixt_machine_read); NULL: places, and no speeds */
    const char *type;                   /* one of mixt_synth_types; NULL: as stored, a preset in Q4_K_M */
    int64_t     memory_bytes;           /* of the whole process; 0: what is free now            */
    int64_t     vram_bytes;             /* of a card, if there were one; 0: none                */
    double      disk_per_s;             /* bytes; 0: as measured, or 1e9 where it was not       */
    size_t      n_context;              /* 0: as mixt_session_new                               */
    size_t      n_sessions;             /* each with so much context; 0: 1                      */
    size_t      n_batch;                /* rows of a step at most; 0: as mixt_engine_new        */
    size_t      n_prompt;               /* tokens of the prompt that is timed; 0: 512           */
    size_t      n_together;             /* sequences that write together; 0: 8                  */
    size_t      expert_slots;           /* as in mixt_engine_options                            */
    int         n_threads;              /* 0: one per core                                      */
    mixt_kv     kv;
    double      hit_rate;               /* share of experts found in memory, 0 to 1; negative: as `use` says, else as of
                                         * even routing                                         */
    const char *use;                    /* of this model, as mixt_engine_options has it; NULL: nothing is known */
    bool        brief;                  /* this mix here: no other mixes, places, memory or disks */
} mixt_plan_options;

/* One pass over the network: the sum behind a speed.  With cores = hypot(memory_s, compute_s) + other_s it takes
 * seconds = cores * r + hypot(cores * (1 - r), disk_s), r being the share of the layers in which the disk has
 * nothing to read. */
typedef struct mixt_plan_step {
    int64_t n_rows, n_before;           /* rows, and positions before them                      */
    double  experts;                    /* different ones that a layer touches, expected        */
    double  weight_bytes, kv_bytes, disk_bytes, operations;
    double  resident;                   /* share of the experts' bytes found in memory          */
    double  memory_s, compute_s, other_s, disk_s, seconds, tokens_per_s;
} mixt_plan_step;

typedef enum mixt_plan_why {
    MIXT_PLAN_ALL_FIT,                  /* everything lies in memory                            */
    MIXT_PLAN_FILL,                     /* as many experts as the budget holds                  */
    MIXT_PLAN_WISHED,                   /* as many as expert_slots says                         */
    MIXT_PLAN_TOO_SMALL                 /* does not work with this budget; least_bytes would do */
} mixt_plan_why;

typedef struct mixt_plan_info {
    size_t      struct_bytes;
    const char *name, *type;            /* "Mixtral 8x7B", "Q4_K_M" or "as stored"              */
    bool        preset, runs;           /* runs: Mixt computes this family                      */
    bool        dense;
    int64_t     n_values, n_values_active, n_layers, n_experts, n_used, n_trained;
    /* bytes; a file is weights and a header */
    int64_t     file_bytes, weight_bytes, dense_bytes, experts_bytes, kv_bytes, kv_bytes_per_token, scratch_bytes,
                spare_bytes, budget_bytes, used_bytes, least_bytes, all_bytes;
    bool        budget_given;
    mixt_plan_why why;
    int64_t     n_slots, n_slots_all;   /* experts in memory, and that there are                */
    double      hit_rate;
    int64_t     n_context, n_sessions, n_batch, n_prompt;
    mixt_kv     kv;
    /* per second, with these threads */
    int         n_threads;
    double      read_per_s, int8_per_s, f32_per_s, disk_per_s;
    bool        disk_measured;
    mixt_plan_step first, last, together, prompt;       /* last: at the end of the context; prompt: its first piece */
    int64_t     n_pieces;
    double      prompt_s, prompt_per_s;
    /* writing, if there were */
    double      more_memory_per_s, second_disk_per_s;   /* 32 GiB more; experts on two disks    */
    int         better, smaller;        /* rows of mixt_plan_types; -1: there is none           */
    int64_t     vram_bytes, vram_rest_bytes, vram_slots;        /* what a card would hold: all but experts, experts */
    int64_t     n_use_rows;             /* of earlier runs, which hit rates go by; 0: even routing, or a given rate */
} mixt_plan_info;

typedef struct mixt_plan_class {
    const char *name, *formats;         /* as in mixt_weight_class                              */
    int64_t     n_values, n_bytes;
    double      bytes_per_token;        /* read for one token                                   */
} mixt_plan_class;

typedef struct mixt_plan_type {         /* the same wish with another mix                       */
    const char *name;
    int64_t     file_bytes;
    bool        works, fits, chosen;
    double      resident;               /* share of the experts                                 */
    double      write_per_s, prompt_per_s;
} mixt_plan_type;

typedef struct mixt_plan_place {        /* the same wish elsewhere, by data sheets              */
    const char *name;
    bool        card, works, fits;
    int64_t     memory_bytes;
    double      resident, write_per_s;
} mixt_plan_place;

/* Of a model, or with model NULL of a preset.  MIXT_NOT_FOUND when there is no preset of that name. */
MIXT_API mixt_plan_options mixt_plan_defaults(void);
MIXT_API mixt_status mixt_plan_new(const mixt_model *model, const char *preset, const mixt_plan_options *options,
                                   mixt_plan **out, mixt_error *error);
MIXT_API void        mixt_plan_free(mixt_plan *plan);
MIXT_API mixt_plan_info         mixt_plan_read(const mixt_plan *plan);
MIXT_API const mixt_plan_class *mixt_plan_classes(const mixt_plan *plan, size_t *n);
MIXT_API const mixt_plan_type  *mixt_plan_types(const mixt_plan *plan, size_t *n);
MIXT_API const mixt_plan_place *mixt_plan_places(const mixt_plan *plan, size_t *n);
/* Names that `preset` may have, NULL-ended. */
MIXT_API const char *const *mixt_plan_presets(void);

/* ---- who leaves memory: traces of routing, and policies tried on them ---- */

/* Which experts served how many rows, step by step; docs/format/trace.md. */
typedef struct mixt_trace mixt_trace;

typedef struct mixt_trace_info {
    size_t      struct_bytes;
    const char *model;                  /* its name, or how the trace was invented              */
    int64_t     n_layers, n_experts, n_used;
    int64_t     expert_bytes;           /* the largest; 0: unknown                              */
    int64_t     n_steps, n_rows;
} mixt_trace_info;

MIXT_API mixt_status mixt_trace_open(const char *path, mixt_trace **out, mixt_error *error);
/* Empty, of this model; then one step after the other: experts[n_rows][n_layers][n_used], as mixt_session_experts
 * gives them for a row; -1 where a layer did not answer it. */
MIXT_API mixt_status mixt_trace_new(const mixt_model *model, mixt_trace **out, mixt_error *error);
MIXT_API mixt_status mixt_trace_add(mixt_trace *trace, const int32_t *experts, size_t n_rows, mixt_error *error);
/* The steps of `more` after its own; both of one shape. */
MIXT_API mixt_status mixt_trace_join(mixt_trace *trace, const mixt_trace *more, mixt_error *error);
MIXT_API mixt_status mixt_trace_write(const mixt_trace *trace, const char *path, mixt_error *error);
MIXT_API void        mixt_trace_free(mixt_trace *trace);
MIXT_API mixt_trace_info mixt_trace_read(const mixt_trace *trace);

/* A trace that no model made, one row a step. */
typedef struct mixt_invention {
    size_t   struct_bytes;
    int64_t  n_layers, n_experts, n_used, n_steps;      /* 32, 8, 2, 2000                       */
    double   skew;                      /* Zipf's exponent over a layer's experts; 0: uniform   */
    int64_t  burst_steps;               /* mean length of a topic with an order of its own; 0: one topic */
    int64_t  n_topics;                  /* 8                                                    */
    uint64_t seed;
} mixt_invention;

MIXT_API mixt_invention mixt_invention_defaults(void);
MIXT_API mixt_status    mixt_trace_invent(const mixt_invention *how, mixt_trace **out, mixt_error *error);

enum { MIXT_REPLAY_BUDGETS = 9, MIXT_REPLAY_POLICIES_MAX = 16 };

/* Shares of what was asked for and lay in memory, 0 to 1, with room for 10 %, 20 %, .. 90 % of all experts. */
typedef struct mixt_replay_row {
    const char *policy, *what;          /* static                                               */
    double      first[MIXT_REPLAY_BUDGETS], second[MIXT_REPLAY_BUDGETS];    /* halves of the trace */
} mixt_replay_row;

typedef struct mixt_replay {
    size_t          struct_bytes;
    int64_t         room[MIXT_REPLAY_BUDGETS];          /* experts                              */
    double          asked_per_row;                      /* experts, in the second half          */
    int             n_rows;             /* the last one is the oracle, which knows the future   */
    mixt_replay_row rows[MIXT_REPLAY_POLICIES_MAX];
    int             chosen;             /* best of the first halves, over all budgets           */
} mixt_replay;

/* progress counts replays, not bytes. */
MIXT_API mixt_status mixt_replay_run(const mixt_trace *trace, mixt_progress_fn progress, void *progress_user,
                                     mixt_replay *out, mixt_error *error);

/* What is learned from use and kept beside a model, docs/format/use.md: adds what the trace saw, and that this policy
 * suits (NULL: as before).  A file that is not there, damaged or of another model is begun anew. */
MIXT_API mixt_status mixt_use_learn(const mixt_model *model, const mixt_trace *trace, const char *policy,
                                    const char *path, mixt_error *error);
/* The same from an engine: which experts it used since it was made, or since this was last written.  Nothing where
 * they all lie in memory. */
MIXT_API mixt_status mixt_engine_learn(mixt_engine *engine, const char *path, mixt_error *error);
/* MIXT_NOT_FOUND: there is none; MIXT_BAD_FILE: it is damaged, or of another model. */
MIXT_API mixt_status mixt_use_check(const mixt_model *model, const char *path, mixt_error *error);

/* ---- many prompts ---- */

/* Jobs share every pass over the network: prompts are read in pieces beside the tokens of answers under way, one
 * read of an expert serves all, and who is done makes room for the next.  What a job says does not depend on the
 * others: the same seed gives the text that mixt_generate gives. */
typedef struct mixt_batch mixt_batch;

typedef struct mixt_batch_progress {
    size_t  struct_bytes;
    int64_t n_jobs, n_done, n_failed;
    int     n_running, n_running_max;
    int64_t n_read, n_written;          /* tokens of prompts, and of answers                    */
    int64_t n_steps, n_rows, us;        /* passes over the network, and tokens in them          */
    int64_t n_evicted;                  /* times that memory ran out and a job began anew       */
    int64_t n_holds, hold_us;           /* waits for somebody who might join a sweep            */
    int64_t p50_us, p95_us, p99_us, us_max;     /* from one token of a job to its next          */
} mixt_batch_progress;

typedef struct mixt_batch_options {
    size_t  struct_bytes;
    size_t  n_together;                 /* jobs under way at most; 0: as many as fit, at most 64 */
    size_t  n_context;                  /* tokens of one job at most; 0: as trained, at most 8192 */
    int64_t kv_bytes;                   /* keys and values of all jobs; 0: a share of what there is */
    int64_t stall_us;                   /* prompts may make a step with answers take about so long; 0: any time */
    int   (*progress)(void *user, const mixt_batch_progress *progress);     /* after each step; non-zero stops */
    void   *user;
    mixt_trace *trace;                  /* of this model: the routing of every step is added; NULL: nowhere */
} mixt_batch_options;

typedef struct mixt_job_result {
    size_t         struct_bytes;
    mixt_status    status;              /* MIXT_OK, or what ended this job alone                */
    const char    *error;               /* then a sentence                                      */
    const char    *text;  size_t n_bytes;       /* of the answer, as far as it came             */
    mixt_generated generated;
} mixt_job_result;

/* All it points to must stay until `done` was called or the batch is freed.  generate.speculate is not used. */
typedef struct mixt_job {
    size_t                struct_bytes;
    const mixt_token     *tokens;  size_t n_tokens;     /* the prompt                           */
    mixt_sampler_options  sampler;
    mixt_generate_options generate;
    void                (*done)(void *user, const mixt_job_result *result);     /* from the thread that runs */
    void                 *user;
} mixt_job;

MIXT_API mixt_batch_options mixt_batch_defaults(void);
MIXT_API mixt_job    mixt_job_defaults(void);
MIXT_API mixt_status mixt_batch_new(mixt_engine *engine, const mixt_batch_options *options, mixt_batch **out,
                                    mixt_error *error);
MIXT_API void        mixt_batch_free(mixt_batch *batch);
/* From any thread, also while it runs, and from `done` and `progress`. */
MIXT_API mixt_status mixt_batch_add(mixt_batch *batch, const mixt_job *job, mixt_error *error);
/* By one thread at a time.  Until no job is left: also those are done that `done` and `progress` add.  One that
 * another thread adds as this returns waits for the next call; then n_done is less than n_jobs.  A job that fails says
 * so in its result.  MIXT_CANCELLED when progress, or the engine's cancel, asked to stop: what is not done then waits
 * for the next call. */
MIXT_API mixt_status mixt_batch_run(mixt_batch *batch, mixt_error *error);
/* From any thread, also while it runs: as it was when the last step ended; but n_jobs is all that were added. */
MIXT_API mixt_batch_progress mixt_batch_read(const mixt_batch *batch);

/* ---- training ---- */

typedef enum mixt_train_stage {
    MIXT_TRAIN_PASS,                    /* a part of a step is done, or of reading texts: asks whether to go on */
    MIXT_TRAIN_STEP,                    /* a step is done                                       */
    MIXT_TRAIN_JUDGED,                  /* the held-out text was looked at, the report written  */
    MIXT_TRAIN_SAVED,                   /* a checkpoint was written: `path`                     */
    MIXT_TRAIN_DONE                     /* the model was written: `path`                        */
} mixt_train_stage;

typedef struct mixt_train_held { const char *path; double loss, bits_per_byte; } mixt_train_held;

/* Valid during the call of mixt_train_fn.  Losses are nats per token. */
typedef struct mixt_train_progress {
    size_t           struct_bytes;
    mixt_train_stage stage;
    int64_t          step, n_steps;     /* done, and of the whole run                           */
    int64_t          pass, n_passes;    /* of the step under way                                */
    int64_t          tokens, n_tokens;
    double           loss, rate;        /* of the last step                                     */
    double           gradient;          /* its length before clipping                           */
    double           balance, router_z; /* per layer, before their coefficients                 */
    double           entropy;           /* of the router, nats, all layers                      */
    double           dropped;           /* share of slots over the capacity                     */
    int64_t          n_pairs;           /* preferences of the last step: then losses are per pair .. */
    double           preferred;         /* .. and this share of them goes the right way         */
    double           tokens_per_s, seconds_left, seconds;
    int64_t          n_layers, n_experts;       /* n_experts 1: a dense model                   */
    const double    *uses;              /* [n_layers][n_experts] shares of the last step        */
    const double    *layer_entropy;     /* [n_layers] nats                                      */
    const mixt_train_held *held;  size_t n_held;    /* of the last look                         */
    mixt_train_held  all;               /* all held-out files together; loss 0: not looked yet  */
    const char      *path;
} mixt_train_progress;

/* Return non-zero to stop: the run is saved and ends with MIXT_CANCELLED. */
typedef int (*mixt_train_fn)(void *user, const mixt_train_progress *progress);

typedef struct mixt_train_options {
    size_t        struct_bytes;
    const char   *from;                 /* begin with the weights of this model; NULL: as the configuration says */
    const char   *output;               /* the model written; NULL: as the configuration says   */
    int           n_threads;            /* 0: as the configuration says                         */
    const char   *cpu_set;              /* NULL: the best there is                              */
    bool          fresh;                /* do not go on from the folder's checkpoint            */
    mixt_log_fn   log;                  void *log_user;
    mixt_train_fn progress;             void *progress_user;
    const mixt_memory *memory;          /* what `from` means when it is its name; NULL: none    */
} mixt_train_options;

/* Train as a configuration says (docs/howto/train.md), from its checkpoint where there is one.  The weights depend on
 * the configuration, the texts and the instruction set, never on the number of threads or on interruptions. */
MIXT_API mixt_train_options mixt_train_defaults(void);
MIXT_API mixt_status mixt_train(const char *config, const mixt_train_options *options, mixt_error *error);
/* A configuration with every key there is, what it means and what holds without it; the caller frees it with
 * mixt_text_free.  NULL: no memory. */
MIXT_API char *mixt_train_example(void);
MIXT_API void  mixt_text_free(char *text);

#ifdef __cplusplus
}
#endif
#endif
