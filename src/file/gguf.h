/* SPDX-License-Identifier: Apache-2.0
 * file/gguf.h - what the three parts of the GGUF reader share.
 *
 * Internal to src/file.  gguf.c reads the frame (header, tensor table, split files), gguf_keys.c
 * the typed values, gguf_vocab.c makes a vocabulary of the tokenizer.* keys.  docs/format/gguf.md
 * describes the format as we read it. */
#ifndef FILE_GGUF_H
#define FILE_GGUF_H

#include "file/build.h"
#include "file/stream.h"

typedef enum GgufType {
    GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL,
    GGUF_TEXT, GGUF_ARRAY, GGUF_U64, GGUF_I64, GGUF_F64, N_GGUF_TYPES
} GgufType;

/* The vocabulary's arrays as they lie in the file, in whatever order they come; counts are -1
 * until the key has been seen. */
typedef struct GgufVocab {
    Piece   *pieces;    int64_t n_pieces;
    float   *scores;    int64_t n_scores;
    int32_t *types;     int64_t n_types;
    Merge   *merges;    int64_t n_merges;
    void    *charsmap;  int64_t charsmap_bytes;
} GgufVocab;

/* One file of the model (split models have several). */
typedef struct Gguf {
    Build    *build;
    Stream    stream;
    int       file;             /* index into catalog->files                               */
    int       part;             /* 0: the first, whose keys are the model's                */
    uint32_t  version;
    uint64_t  n_tensors, n_keys;
    Map       keys;             /* of the later parts, to find repeated ones               */
    int64_t   alignment;
    int64_t   split_no, split_count, split_tensors;     /* -1: not said                     */
    int64_t   numbers_left;     /* how many more array elements are kept                   */
    GgufVocab vocab;
} Gguf;

const char *gguf_value_type_name(uint32_t type);
/* Reads one key and its value.  The caller has set the stream's thing. */
Status gguf_key(Gguf *g, Error *error);
/* n strings, each of at most bytes_max. */
Status gguf_text(Gguf *g, uint64_t bytes_max, char **out, size_t *n_bytes, Error *error);
/* Is this key one of the vocabulary's arrays?  Then reads its elements. */
Status gguf_vocab_array(Gguf *g, const char *key, uint32_t type, uint64_t n, bool *taken,
                        Error *error);
Status gguf_vocab_finish(Gguf *g, Error *error);

#endif
