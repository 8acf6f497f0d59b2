/* SPDX-License-Identifier: Apache-2.0
 * text/bpe_merge.c - a linked list of symbols and a queue of pairs worth joining.
 *
 * A pair in the queue is a number, rank << 32 | index of its left symbol, so the order of numbers is
 * the order of merging.  Entries are never removed from the middle: one that no longer agrees with
 * the rank its symbol has now is stale and dropped when it comes up.  An old entry that happens to
 * agree stands for the same number, so it may serve for the new one.
 *
 * Merging goes from left to right within a rank, so numbers arrive mostly in rising order.  The
 * queue therefore keeps a few rising runs, each as cheap as an array, and a heap only for what fits
 * none of them.  Cost: a run of one letter takes a third of the time it takes with a heap alone. */
#include "text/bpe_merge.h"

#include <stdlib.h>
#include <string.h>

/* Four children to a node: half the levels of a binary heap, and the four share a cache line. */
enum { HEAP_CHILDREN = 4 };

void merge_clear(MergeWork *work)
{
    work->n = 0;
    work->end = 0;
}

void merge_free(MergeWork *work)
{
    for (int i = 0; i < MERGE_RUNS; i++) free(work->runs[i].entries);
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

static bool heap_push(MergeWork *work, uint64_t entry)
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

static void heap_pop(MergeWork *work)
{
    uint64_t *heap = work->heap;
    const uint64_t last = heap[--work->n_heap];
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
}

static bool run_push(MergeRun *run, uint64_t entry)
{
    if (run->head == run->n) run->head = run->n = 0;
    if (run->n == run->room && run->head >= run->room / 2 && run->head) {
        run->n -= run->head;                    /* half is spent: move the rest to the front */
        memmove(run->entries, run->entries + run->head, run->n * sizeof *run->entries);
        run->head = 0;
    }
    if (run->n == run->room) {
        const size_t room = run->room ? run->room * 2 : 64;
        uint64_t *entries = realloc(run->entries, room * sizeof *entries);
        if (!entries) return false;
        run->entries = entries;
        run->room = room;
    }
    run->entries[run->n++] = entry;
    return true;
}

/* Appends to the run whose end is closest below, else begins a run, else uses the heap. */
static bool push(MergeWork *work, uint64_t entry)
{
    MergeRun *best = NULL, *empty = NULL;
    for (int i = 0; i < MERGE_RUNS; i++) {
        MergeRun *run = &work->runs[i];
        if (run->head == run->n) {
            if (!empty) empty = run;
        } else if (run->entries[run->n - 1] <= entry
                   && (!best || run->entries[run->n - 1] > best->entries[best->n - 1])) {
            best = run;
        }
    }
    if (!best) best = empty;
    return best ? run_push(best, entry) : heap_push(work, entry);
}

/* The smallest of all; false when there is none. */
static bool pop(MergeWork *work, uint64_t *entry)
{
    MergeRun *best = NULL;
    for (int i = 0; i < MERGE_RUNS; i++) {
        MergeRun *run = &work->runs[i];
        if (run->head == run->n) continue;
        if (!best || run->entries[run->head] < best->entries[best->head]) best = run;
    }
    if (work->n_heap && (!best || work->heap[0] < best->entries[best->head])) {
        *entry = work->heap[0];
        heap_pop(work);
        return true;
    }
    if (best) *entry = best->entries[best->head++];
    return best != NULL;
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
    for (uint32_t i = 0; i + 1 < work->n; i++) {
        if (!consider(work, rule, i)) return false;
    }
    for (uint64_t entry; pop(work, &entry);) {      /* leaves the queue empty */
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
