/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/train/texts.h - a made-up vocabulary with a chat format, and small files of text. */
#ifndef TESTS_TRAIN_TEXTS_H
#define TESTS_TRAIN_TEXTS_H

#include "base/io.h"
#include "quantize/words.h"
#include "train/corpus.h"

#include "support.h"

typedef struct Words {
    Arena        arena;
    Vocab        vocab;
    Tokenizer   *tokenizer;
    Template    *format;
    Pool        *pool;
    CorpusReader reader;
} Words;

static inline void words_open(Words *w, int n_threads, const char *folder)
{
    Error error = { 0 };
    *w = (Words){ 0 };
    if (words_make(512, &w->arena, &w->vocab, &error) != OK ||
        tokenizer_new(&w->vocab, "made", &w->tokenizer, &error) != OK ||
        template_new(words_template, strlen(words_template), "made", &w->format, &error) != OK ||
        pool_new(n_threads, &w->pool, &error) != OK)
        fail_msg("%s", error.text);
    w->reader = (CorpusReader){
        .chat = { .tokenizer = w->tokenizer, .format = w->format, .bos = "<s>", .eos = "</s>" },
        .format_digest = corpus_format_digest(&w->vocab, words_template, strlen(words_template)),
        .marker = "<|endoftext|>",
        .folder = folder,
        .pool = w->pool,
    };
}

static inline void words_close(Words *w)
{
    pool_free(w->pool);
    template_free(w->format);
    tokenizer_free(w->tokenizer);
    arena_free(&w->arena);
}

/* A file in the scratch folder; static memory, eight calls deep. */
static inline const char *text_file(const char *name, const char *text)
{
    static char paths[8][512];
    static int  turn;
    char       *path = paths[turn++ & 7];
    Error       error = { 0 };
    snprintf(path, sizeof paths[0], "%s/%s", test_scratch(), name);
    if (write_file(path, text, strlen(text), &error) != OK) fail_msg("%s", error.text);
    return path;
}

/* The text of tokens [begin, end), control pieces by name; only those that are learned, or only the others. */
static inline void spell(const Words *w, const Corpus *c, int64_t begin, int64_t end, bool learned, Buffer *out)
{
    buffer_clear(out);
    buffer_text(out, "");
    for (int64_t i = begin; i < end; i++) {
        size_t n;
        if ((c->tokens[i] >= 0) != learned) continue;
        const char *bytes = token_bytes(w->tokenizer, c->tokens[i] < 0 ? ~c->tokens[i] : c->tokens[i], true, &n);
        buffer_append(out, bytes, n);
    }
}

#endif
