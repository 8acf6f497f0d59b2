/* SPDX-License-Identifier: Apache-2.0
 * store/trace.h - which experts served how many rows, step by step: in memory, and as a file (docs/format/trace.md).
 *
 * A trace is all that policies need: they are compared on it without weights (store/replay.h). */
#ifndef STORE_TRACE_H
#define STORE_TRACE_H

#include "base/io.h"

enum {
    TRACE_NAME_MAX    = 255,            /* bytes of a model's name                         */
    TRACE_LAYERS_MAX  = 1024,
    TRACE_EXPERTS_MAX = 1024,
    TRACE_ROWS_MAX    = UINT16_MAX,     /* in a step                                       */
    TRACE_STEPS_MAX   = 1 << 24
};

typedef struct TraceHead {
    char    model[TRACE_NAME_MAX + 1];
    int     n_layers, n_experts, n_used;
    int64_t expert_bytes;               /* the largest expert; 0: unknown                  */
} TraceHead;

/* In a layer of a step: one expert and the rows it served. */
typedef struct TraceUse { uint16_t expert, n_rows; } TraceUse;

typedef struct Trace {
    TraceHead head;
    int64_t   n_steps, n_rows, n_uses;
    int32_t  *step_rows;                /* [n_steps] T of each                             */
    int64_t  *begin;                    /* [n_steps*L + 1] of each layer, into uses        */
    TraceUse *uses;                     /* by rising expert within a layer                 */
    int64_t   room_steps, room_uses;    /* allocated                                       */
} Trace;

/* The uses of one layer of one step. */
static inline const TraceUse *trace_uses(const Trace *t, int64_t step, int layer, int *n)
{
    const int64_t *begin = &t->begin[step * t->head.n_layers + layer];
    *n = (int)(begin[1] - begin[0]);
    return t->uses + begin[0];
}

Status trace_new (const TraceHead *head, Trace *out, Error *error);
void   trace_free(Trace *trace);                                /* { 0 } is fine           */
/* One step: experts[row] is [L][U], -1 where a layer did not answer that row. */
Status trace_add (Trace *trace, const int32_t *const *experts, int n_rows, Error *error);
/* The steps of `more`, which is of a model of the same shape. */
Status trace_join(Trace *trace, const Trace *more, Error *error);
/* Bytes that come from outside; `name` is for messages. */
Status trace_parse(const char *name, const void *bytes, size_t n_bytes, Trace *out, Error *error);
Status trace_read (const char *path, Trace *out, Error *error);
Status trace_write(const Trace *trace, const char *path, Error *error);

/* ---- recording: straight to the file, nothing is allocated once it exists ---- */

typedef struct Recorder Recorder;

Status recorder_new(const TraceHead *head, const char *path, const char *const *inputs /* as writer_open */,
                    Recorder **out, Error *error);
/* As trace_add.  A failure is kept, and told by recorder_end. */
void   recorder_step(Recorder *recorder, const int32_t *const *experts, int n_rows);
/* The file now exists.  Frees, also when it fails. */
Status recorder_end(Recorder *recorder, Error *error);
/* Nothing happened; NULL is fine. */
void   recorder_abandon(Recorder *recorder);

#endif
