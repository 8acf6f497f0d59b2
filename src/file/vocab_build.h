/* SPDX-License-Identifier: Apache-2.0
 * file/vocab_build.h - what every source of a vocabulary has in common.  Internal to src/file. */
#ifndef FILE_VOCAB_BUILD_H
#define FILE_VOCAB_BUILD_H

#include "file/build.h"

enum { VOCAB_MERGES_MAX = 1 << 22 };

/* "<0x0A>" -> 10; -1 when it is not exactly that. */
int  vocab_byte_value(const char *text, size_t n_bytes);
/* Remembers a token that ends an answer, once; ids below 0 are nothing. */
void vocab_add_end(Vocab *vocab, int64_t id);
/* The last word on a vocabulary: ids in range, types known, scores finite, byte pieces true;
 * collects the ends.  `path` is for the message. */
Status vocab_check(Vocab *vocab, const char *path, Error *error);
/* Appends UNUSED pieces "[PAD id]" until there are n. */
Status vocab_pad(Build *build, int64_t n, const char *path, Error *error);

/* ---- sources of a vocabulary; each fills catalog->vocab but for vocab_check ---- */

/* tokenizer.model: a SentencePiece model.  tokenizer.json: of Hugging Face's tokenizers. */
Status sentencepiece_read(Build *build, const char *path, Error *error);
Status tokenizer_json_read(Build *build, const char *path, Error *error);
bool   looks_like_sentencepiece(const uint8_t *head, size_t n_bytes);

/* A token that was added to a vocabulary after training. */
typedef struct Added {
    int64_t     id;
    const char *text;                       /* plain, not in the vocabulary's own spelling   */
    bool        special;                    /* a control token, else a user-defined one      */
} Added;

/* Puts them in their places; the vocabulary grows as far as the largest id. */
Status vocab_add_tokens(Build *build, const Added *added, int64_t n, const char *path,
                        Error *error);
/* The id of the piece with this text, or -1.  Looks at every piece: for a few questions only. */
int32_t vocab_find(const Vocab *vocab, const char *text);

/* The list "added_tokens" of a tokenizer.json. */
struct json_t;
Status tokenizer_json_added(Build *build, const struct json_t *root, const char *path,
                            Error *error);
/* Some flags of an added token would change how text is cut, and we have no such thing (D5). */
Status refuse_added_flags(const struct json_t *token, const char *text, const char *path,
                          Error *error);
/* tokenizer_config.json, special_tokens_map.json, added_tokens.json, generation_config.json and the
 * chat template of a folder, after its vocabulary (if any) was read. */
Status hf_tokenizer_config(Build *build, const char *folder, Error *error);
/* Is there something of this name? */
bool   folder_has(const char *folder, const char *name);

#endif
