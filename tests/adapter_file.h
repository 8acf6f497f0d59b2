/* SPDX-License-Identifier: Apache-2.0
 * tests/adapter_file.h - small adapter files with numbers that are known: docs/format/adapter.md. */
#ifndef TESTS_ADAPTER_FILE_H
#define TESTS_ADAPTER_FILE_H

#include "file/gguf_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct MadePair {
    const char *name;
    int64_t     experts, rank, rows, cols;      /* experts 0: no stack                      */
} MadePair;

typedef struct MadeAdapter {
    const char     *type, *arch, *of;           /* NULL: "adapter", "llama", "lora"; "": without the key */
    float           alpha;
    const MadePair *pairs;  int n;
} MadeAdapter;

/* Number i of a half: 1/16 steps around zero, never all alike. */
static inline float made_number(int64_t i)
{
    return (float)((int)(i * 7 % 31) - 15) / 16.0f;
}

static inline Status made_half(GgufWriter *w, const MadePair *p, char which, bool declare, Error *error)
{
    char name[160];
    const int64_t rows = which == 'a' ? p->rank : p->rows, cols = which == 'a' ? p->cols : p->rank;
    const int64_t dims[] = { p->experts, rows, cols }, n = (p->experts ? p->experts : 1) * rows * cols;
    snprintf(name, sizeof name, "%s.lora_%c", p->name, which);
    if (declare) return gguf_declare(w, name, F32, p->experts ? 3 : 2, dims + !p->experts, error);
    float *x = malloc((size_t)n * sizeof *x);
    if (!x) return NO_MEMORY;
    for (int64_t i = 0; i < n; i++) x[i] = made_number(i + which);
    const Status status = gguf_add(w, x, (size_t)n * sizeof *x, error);
    free(x);
    return status;
}

static inline Status put_word(GgufWriter *w, const char *key, const char *given, const char *otherwise, Error *error)
{
    const char *text = given ? given : otherwise;
    return *text ? gguf_put_text(w, key, text, strlen(text), error) : OK;
}

static inline Status made_adapter(const char *path, const MadeAdapter *m, Error *error)
{
    GgufWriter *w;
    TRY(gguf_create(path, NULL, &w, error));
    Status status = put_word(w, "general.type", m->type, "adapter", error);
    if (status == OK) status = put_word(w, "general.architecture", m->arch, "llama", error);
    if (status == OK) status = put_word(w, "adapter.type", m->of, "lora", error);
    if (status == OK) status = gguf_put_f32(w, "adapter.lora.alpha", m->alpha, error);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < m->n; i++) {
            if (status == OK) status = made_half(w, &m->pairs[i], 'a', pass == 0, error);
            if (status == OK) status = made_half(w, &m->pairs[i], 'b', pass == 0, error);
        }
    if (status == OK) return gguf_finish(w, error);
    gguf_abandon(w);
    return status;
}

#endif
