/* SPDX-License-Identifier: Apache-2.0
 * lib/lib.h - what stands behind the opaque names of mixt.h. */
#ifndef LIB_LIB_H
#define LIB_LIB_H

#include <mixt.h>

#include "arch/arch.h"
#include "gen/generate.h"
#include "model/model.h"
#include "store/trace.h"
#include "text/template.h"

enum { N_CLASSES = 6 };

struct mixt_model {
    Catalog           catalog;
    Tokenizer        *tokenizer;        /* NULL: the model has none                         */
    Template         *format;           /* of chats; NULL: none known                       */
    const char       *format_name, *format_why;
    Error             format_error;     /* the model's own template cannot be read          */
    const char *const *files;           /* see catalog_files                                */
    const Arch       *arch;             /* NULL: a vocabulary alone                         */
    Sizes             sizes;
    ModelBytes        bytes;
    mixt_weight_class classes[N_CLASSES];
    size_t            n_classes;
    int64_t           n_values, n_values_active;
    char              container[64], tokenizer_name[96];
};

struct mixt_engine  { const mixt_model *model; Engine *engine; };
struct mixt_session { mixt_engine *engine; Session *session; };
struct mixt_sampler { Sampler *sampler; };
struct mixt_trace   { Trace trace; };

/* Copies a failure to the caller and turns its code into ours. */
mixt_status answer(mixt_error *error, Status status, const Error *inside);

/* An options struct may be older than we are: what it does not have keeps its default. */
void take_options(void *into, size_t our_bytes, const void *given);

SamplerOptions  take_sampler(const mixt_sampler_options *options);              /* engine.c */
GenerateOptions take_generate(const mixt_generate_options *options);
mixt_generated  take_generated(const Generated *said);

/* { 0 } for NULL. */
Memory take_memory(const mixt_memory *given);

/* Adapters as somebody named them, open; adapters_free in every case. */
typedef struct Adapters { AdapterFile *files; AdapterUse *uses; int n; } Adapters;
Status adapters_open(const mixt_adapter *given, size_t n, Adapters *out, Error *error);     /* adapter.c */
void   adapters_free(Adapters *adapters);

Status count_classes(mixt_model *model, Error *error);                          /* classes.c */
Status choose_format(mixt_model *model, const char *wanted, Error *error);      /* format.c  */

#endif
