/* SPDX-License-Identifier: Apache-2.0
 * file/gguf_write.h - a GGUF v3 file as a stream: settings, tensor table, then data in order.
 *
 * The table is written before the data, so every tensor's shape is declared first; memory use does
 * not depend on the size of the tensors.  The file appears, complete, at gguf_finish (atomic
 * writer). */
#ifndef FILE_GGUF_WRITE_H
#define FILE_GGUF_WRITE_H

#include "base/io.h"
#include "number/format.h"
#include "text/vocab.h"

typedef struct GgufWriter GgufWriter;

Status gguf_create(const char *path, const char *const *inputs /* see writer_open */,
                   GgufWriter **out, Error *error);

/* 1. settings, in any order */
Status gguf_put_u32(GgufWriter *w, const char *key, uint32_t value, Error *error);
Status gguf_put_f32(GgufWriter *w, const char *key, float value, Error *error);
Status gguf_put_bool(GgufWriter *w, const char *key, bool value, Error *error);
Status gguf_put_text(GgufWriter *w, const char *key, const char *bytes, size_t n_bytes,
                     Error *error);
Status gguf_put_u8s(GgufWriter *w, const char *key, const void *bytes, size_t n_bytes,
                    Error *error);
Status gguf_put_i32s(GgufWriter *w, const char *key, const int32_t *values, size_t n, Error *error);
Status gguf_put_f32s(GgufWriter *w, const char *key, const float *values, size_t n, Error *error);
Status gguf_put_texts(GgufWriter *w, const char *key, const char *const *texts,
                      const size_t *n_bytes, size_t n, Error *error);
/* A value as another file has it: `type` is GGUF's number for its type, `bytes` follow it there. */
Status gguf_put_value(GgufWriter *w, const char *key, uint32_t type, const void *bytes,
                      size_t n_bytes, Error *error);
/* All tokenizer.* keys but the chat template.  UNSUPPORTED when GGUF cannot say what it says. */
Status gguf_put_vocab(GgufWriter *w, const Vocab *vocab, Error *error);
bool   gguf_has_key(const GgufWriter *w, const char *key);
/* 2. the table: dims outermost first */
Status gguf_declare(GgufWriter *w, const char *name, Format format, int n_dims, const int64_t *dims,
                    Error *error);
/* 3. data, tensors in declared order, each in as many pieces as you like.  The first piece asks
 * whether the disk has room for all that was declared. */
Status gguf_add(GgufWriter *w, const void *bytes, size_t n_bytes, Error *error);
/* 4. checks that all declared bytes came */
Status gguf_finish(GgufWriter *w, Error *error);        /* frees w in every case */
void   gguf_abandon(GgufWriter *w);

#endif
