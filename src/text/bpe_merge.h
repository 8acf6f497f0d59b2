/* SPDX-License-Identifier: Apache-2.0
 * text/bpe_merge.h - byte pair encoding itself: join the best pair, again and again.
 *
 * Both kinds of tokenizer come down to this: a row of symbols, and a rule that says which
 * neighbours may become one and how good that would be (rank 0 is best; among equals the leftmost
 * goes first).  Time is O(n log n), the stack constant; the memory is reused from word to word. */
#ifndef TEXT_BPE_MERGE_H
#define TEXT_BPE_MERGE_H

#include "base/base.h"

#define MERGE_NONE UINT32_MAX

typedef struct MergeSymbol {
    uint32_t begin;             /* byte where it starts; it ends where its next begins     */
    uint32_t prev, next;        /* neighbours still there; MERGE_NONE at the ends          */
    int32_t  id;                /* its piece; -1 when it is none yet                       */
    uint32_t rank;              /* of joining it with its next; MERGE_NONE: they never join */
    int32_t  merged;            /* the piece that would make                               */
} MergeSymbol;

typedef struct MergeRule {
    const void *self;
    void       *scratch;        /* the rule's own, for this text                           */
    /* May the two become one?  `end` is where `right` ends. */
    bool (*join)(const struct MergeRule *rule, const MergeSymbol *left, const MergeSymbol *right,
                 uint32_t end, uint32_t *rank, int32_t *merged);
} MergeRule;

/* Entries in rising order, taken from the front. */
typedef struct MergeRun { uint64_t *entries; size_t head, n, room; } MergeRun;

enum { MERGE_RUNS = 6 };

typedef struct MergeWork {      /* { 0 } is ready                                          */
    MergeSymbol *symbols;       /* symbols[0] always survives: walk from it along `next`   */
    size_t       n, room;
    uint32_t     end;           /* where the last symbol ends                              */
    MergeRun     runs[MERGE_RUNS];      /* pairs worth joining: see bpe_merge.c            */
    uint64_t    *heap;
    size_t       n_heap, heap_room;
} MergeWork;

void merge_clear(MergeWork *work);                  /* no symbols; keeps the memory        */
/* Appends a symbol [begin, end).  False when there is no memory. */
bool merge_add(MergeWork *work, uint32_t begin, uint32_t end, int32_t id);
bool merge_run(MergeWork *work, const MergeRule *rule);
void merge_free(MergeWork *work);

#endif
