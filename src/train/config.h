/* SPDX-License-Identifier: Apache-2.0
 * train/config.h - a training configuration: what is learned, from which texts, how, and where it is kept.
 *
 * Every key is a row of config.def.  Whatever stands in the file is honoured or is an error that names the line (D5);
 * paths in it begin at its folder. */
#ifndef TRAIN_CONFIG_H
#define TRAIN_CONFIG_H

#include "arch/arch.h"
#include "base/buffer.h"

enum {
    CONFIG_FILES_MAX = 1024, CONFIG_PHASES_MAX = 64,
    CONFIG_STEP_TOKENS_MAX = 1 << 28    /* of all passes together; they are held at once      */
};

typedef struct DataFile { const char *path; double repeat; int line; } DataFile;
typedef struct DataFiles { DataFile *files; int n; } DataFiles;

/* Classes of matrices that adapters may stand beside. */
typedef enum Adapts { ADAPTS_ATTENTION, ADAPTS_ROUTER, ADAPTS_EXPERTS, ADAPTS_OUTPUT, N_ADAPTS } Adapts;

typedef struct Config {
    const char *path;                   /* of the configuration, for messages               */
    const char *from, *name;            /* NULL: not given, also below                      */
    Sizes       sizes;                  /* n_vocab is the vocabulary's; 0 with `from`: its  */
    const char *vocabulary, *chat_template, *marker;
    DataFiles   phases[CONFIG_PHASES_MAX];
    int         n_phases;
    DataFiles   held;
    int64_t     held_tokens;
    int64_t     steps, tokens;          /* 0: not given                                     */
    int64_t     n_tokens, n_sequences, accumulate;      /* T, B, and passes of a step       */
    double      rate, final_rate, beta1, beta2, epsilon, weight_decay, clip;
    int64_t     warm_up, seed;
    double      balance, router_z, capacity;
    bool        tied;
    int64_t     ranks[N_ADAPTS];        /* all 0: the weights themselves learn              */
    double      alphas[N_ADAPTS];       /* 0: as the rank                                   */
    const char *experts;                /* "3,5"                                            */
    double      beta;                   /* of a preference loss; 0: none                    */
    const char *folder, *report, *output, *type, *precision;
    double      checkpoint_minutes;
    int64_t     checkpoint_steps, eval_steps, n_threads;
    bool        recompute;
    Arena       arena;
} Config;

/* `from`: a model that the caller wants to begin with, NULL: as the file says; it is kept as it is, and sizes that
 * the file gives all the same must then be its.  config_free in every case. */
Status config_open(const char *path, const char *from, Config *out, Error *error);
/* The same from memory; `path` says what it is called and where its folder is.  `text` is changed. */
Status config_parse(char *text, size_t n_bytes, const char *path, const char *from, Config *out, Error *error);
void   config_free(Config *config);

/* Do adapters learn, beside weights that do not? */
bool config_adapts(const Config *config);

/* What a checkpoint must have in common with the configuration that continues it: "key = value" lines.  Files of
 * text are left out: their contents count, not their names. */
void config_binding(const Config *config, Buffer *out);
/* The same lines for keys that nobody set: a checkpoint from before there was a key has its default. */
void config_defaults(Buffer *out);
/* A configuration with every key, what it means, and what holds without it. */
void config_example(Buffer *out);

#endif
