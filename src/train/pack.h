/* SPDX-License-Identifier: Apache-2.0
 * train/pack.h - documents to sequences of T tokens.
 *
 * Texts run on: where one ends the next begins, and what does not fit goes on in the next sequence (its tokens then
 * see only what lies in their own).  Chats stay whole: one that does not fit waits until a sequence has room, so that
 * no answer is learned without its question; only what is longer than a sequence is cut.  Pairs of answers are two
 * sequences, one after the other. */
#ifndef TRAIN_PACK_H
#define TRAIN_PACK_H

#include "train/corpus.h"

typedef struct DocumentId { int32_t corpus, document; } DocumentId;
/* Tokens [begin, begin + n) of a document. */
typedef struct Segment { DocumentId id; int32_t n; int64_t begin; } Segment;

typedef struct Packing {
    Segment *segments;
    int64_t  n_segments, segments_room;
    int64_t *first;                     /* [n_sequences + 1] segments                      */
    int64_t  n_sequences, sequences_room;
    int64_t  n_cut;                     /* chats that were longer than a sequence          */
} Packing;

Status pack(const Corpus *corpora, const DocumentId *documents, int64_t n_documents, int64_t T, Packing *out,
            Error *error);
void   pack_free(Packing *packing);

/* One sequence: tokens, targets and starts are [T], as net.h has them; what is left over is token 0 without
 * a target.  Answers how many targets there are. */
int64_t pack_fill(const Packing *packing, const Corpus *corpora, int64_t sequence, int64_t T, int32_t *tokens,
                  int32_t *targets, int32_t *starts);

#endif
