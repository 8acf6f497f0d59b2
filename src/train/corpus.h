/* SPDX-License-Identifier: Apache-2.0
 * train/corpus.h - one file of text as tokens, document by document.
 *
 * Tokens are kept beside the checkpoint (tokens-NAME-DIGEST.bin) and found again by a digest of everything they
 * depend on: the file's bytes, the vocabulary, the chat format, the marker.  Nothing else decides, no time stamps. */
#ifndef TRAIN_CORPUS_H
#define TRAIN_CORPUS_H

#include "base/pool.h"
#include "train/chat.h"

enum { CORPUS_DOCUMENTS_MAX = 1 << 28 };
#define CORPUS_BYTES_MAX ((int64_t)16 << 30)

typedef struct Corpus {
    char    *path;
    int32_t *tokens;            /* of all documents, one after the other; ~id: given, not learned */
    int64_t *begins;            /* [n_documents + 1]                                       */
    int64_t  n_documents, n_tokens;
    int64_t  n_bytes;           /* of the file                                             */
    bool     whole;             /* documents stay in one sequence: chats                   */
    bool     pairs;             /* documents 2i and 2i+1: preferred and not                */
    bool     from_cache;
    uint64_t digest;
} Corpus;

typedef struct CorpusReader {
    ChatReader  chat;
    uint64_t    format_digest;  /* of vocabulary and chat format: see corpus_format_digest */
    const char *marker;         /* a line that parts documents                             */
    bool        pairs;          /* lines of JSONL are preferences                          */
    const char *folder;         /* where tokens are kept; NULL: nowhere                    */
    Pool       *pool;
    int       (*cancel)(void *user);  void *cancel_user;
} CorpusReader;

uint64_t corpus_format_digest(const Vocab *vocab, const char *template_source, size_t template_bytes);
/* BAD_FILE names file and line. */
Status corpus_open(const CorpusReader *reader, const char *path, Corpus *out, Error *error);
void   corpus_free(Corpus *corpus);

#endif
