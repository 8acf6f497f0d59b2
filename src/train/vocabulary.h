/* SPDX-License-Identifier: Apache-2.0
 * train/vocabulary.h - the vocabulary and the chat format that texts are read with and the model is written with. */
#ifndef TRAIN_VOCABULARY_H
#define TRAIN_VOCABULARY_H

#include "file/catalog.h"
#include "train/config.h"
#include "train/corpus.h"

typedef struct Vocabulary {
    Catalog     catalog;                /* of the file it came from                         */
    Tokenizer  *tokenizer;
    Template   *format;                 /* NULL: none                                       */
    const char *source;  size_t source_bytes;   /* its Jinja source                         */
    char       *read, *bos, *eos;       /* owned: a template file; texts of two tokens      */
} Vocabulary;

/* `path` is a model or a bare vocabulary; `chat_template` a built-in name or a file beside the configuration, NULL:
 * what the file brings.  `memory` as in catalog_open_with. */
Status vocabulary_open(const Memory *memory, const char *path, const Config *config, Vocabulary *out, Error *error);
void   vocabulary_free(Vocabulary *vocabulary);

ChatReader vocabulary_reader(const Vocabulary *vocabulary);

#endif
