/* SPDX-License-Identifier: Apache-2.0
 * text/bpe_merge.c - a linked list of symbols and a heap of pairs worth joining.
 *
 * A pair in the heap is a number, rank << 32 | index of its left symbol, so the order of numbers is
 * the order of merging.  Entries are never removed from the middle: one that no longer agrees with
 * the rank its symbol has now is stale and dropped when it comes up.  An old entry that happens to
 * agree stands for the same number, so it may serve for the new one. */
#include "text/bpe_merge.h"

#include <stdlib.h>

/* Four children to a node: half the levels of a binary heap, and the four share a cache line. */
enum { HEAP_CHILDREN = 4 };

void merge_clear(MergeWork *work)
{
    work->n = 0;
    work->n_heap = 0;
    work->end = 0;
}

void merge_free(MergeWork *work)
{
    free(work->symbols);
    free(work->heap);
    *work = (MergeWork){ 0 };
}

bool merge_add(MergeWork *work, uint32_t begin, uint32_t end, int32_t id)
{
    if (work->n == work->room) {
        const size_t room = work->room ? work->room * 2 : 64;
        MergeSymbol *symbols = realloc(work->symbols, room * sizeof *symbols);
        if (!symbols) return false;
        work->symbols = symbols;
        work->room = room;
    }
    const uint32_t here = (uint32_t)work->n;
    work->symbols[work->n++] = (MergeSymbol){
        .begin = begin, .prev = here ? here - 1 : MERGE_NONE, .next = MERGE_NONE,
        .id = id, .rank = MERGE_NONE, .merged = -1 };
    if (here) work->symbols[here - 1].next = here;
    work->end = end;
    return true;
}

static bool push(MergeWork *work, uint64_t entry)
{
    if (work->n_heap == work->heap_room) {
        const size_t room = work->heap_room ? work->heap_room * 2 : 64;
        uint64_t *heap = realloc(work->heap, room * sizeof *heap);
        if (!heap) return false;
        work->heap = heap;
        work->heap_room = room;
    }
    size_t hole = work->n_heap++;
    while (hole > 0) {
        const size_t parent = (hole - 1) / HEAP_CHILDREN;
        if (work->heap[parent] <= entry) break;
        work->heap[hole] = work->heap[parent];
        hole = parent;
    }
    work->heap[hole] = entry;
    return true;
}

static uint64_t pop(MergeWork *work)
{
    uint64_t *heap = work->heap;
    const uint64_t best = heap[0], last = heap[--work->n_heap];
    const size_t n = work->n_heap;
    size_t hole = 0;
    for (size_t child; (child = hole * HEAP_CHILDREN + 1) < n; hole = child) {
        const size_t end = child + HEAP_CHILDREN < n ? child + HEAP_CHILDREN : n;
        for (size_t other = child + 1; other < end; other++) {
            if (heap[other] < heap[child]) child = other;
        }
        if (last <= heap[child]) break;
        heap[hole] = heap[child];
    }
    heap[hole] = last;
    return best;
}

/* Looks at a symbol and its next: how good would joining them be? */
static bool consider(MergeWork *work, const MergeRule *rule, uint32_t left)
{
    MergeSymbol *a = &work->symbols[left];
    a->rank = MERGE_NONE;
    if (a->next == MERGE_NONE) return true;
    const MergeSymbol *b = &work->symbols[a->next];
    const uint32_t end = b->next == MERGE_NONE ? work->end : work->symbols[b->next].begin;
    if (!rule->join(rule, a, b, end, &a->rank, &a->merged)) {
        a->rank = MERGE_NONE;
        return true;
    }
    return push(work, (uint64_t)a->rank << 32 | left);
}

bool merge_run(MergeWork *work, const MergeRule *rule)
{
    work->n_heap = 0;
    for (uint32_t i = 0; i + 1 < work->n; i++) {
        if (!consider(work, rule, i)) return false;
    }
    while (work->n_heap) {
        const uint64_t entry = pop(work);
        const uint32_t left = (uint32_t)entry;
        MergeSymbol *a = &work->symbols[left];
        if (a->rank != (uint32_t)(entry >> 32)) continue;           /* stale */
        MergeSymbol *b = &work->symbols[a->next];
        a->id = a->merged;
        a->next = b->next;
        if (b->next != MERGE_NONE) work->symbols[b->next].prev = left;
        b->rank = MERGE_NONE;
        if (a->prev != MERGE_NONE && !consider(work, rule, a->prev)) return false;
        if (!consider(work, rule, left)) return false;
    }
    return true;
}
