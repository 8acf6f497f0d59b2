/* SPDX-License-Identifier: Apache-2.0
 * train/pack.c - see pack.h. */
#include "train/pack.h"

#include <stdlib.h>
#include <string.h>

/* Chats that wait for room.  With so many to choose from, sequences are full but for a few tokens. */
enum { WAITING_MAX = 64 };

typedef struct Packer {
    const Corpus *corpora;
    int64_t       T, room;              /* of a sequence; what the open one has left        */
    Packing      *out;
    DocumentId    waiting[WAITING_MAX];
    int           n_waiting;
} Packer;

static int64_t tokens_of(const Corpus *corpora, DocumentId id)
{
    const int64_t *begins = corpora[id.corpus].begins;
    return begins[id.document + 1] - begins[id.document];
}

static bool grow(void **array, int64_t *room, int64_t n, size_t each)
{
    if (n < *room) return true;
    const int64_t more = *room ? 2 * *room : 256;
    void *all = reallocarray(*array, (size_t)more, each);
    if (!all) return false;
    *array = all;
    *room = more;
    return true;
}

static bool add(Packer *p, DocumentId id, int64_t begin, int64_t n)
{
    Packing *o = p->out;
    if (!grow((void **)&o->segments, &o->segments_room, o->n_segments, sizeof *o->segments)) return false;
    o->segments[o->n_segments++] = (Segment){ .id = id, .begin = begin, .n = (int32_t)n };
    p->room -= n;
    return true;
}

/* The open sequence is done, the next one begins. */
static bool turn(Packer *p)
{
    Packing *o = p->out;
    if (p->room == p->T) return true;                   /* nothing in it                    */
    if (!grow((void **)&o->first, &o->sequences_room, o->n_sequences + 1, sizeof *o->first)) return false;
    o->first[++o->n_sequences] = o->n_segments;
    p->room = p->T;
    return true;
}

static int64_t taken_by(const Packer *p, int waiting)
{
    const int64_t n = tokens_of(p->corpora, p->waiting[waiting]);
    return n < p->T ? n : p->T;
}

/* One of those that wait, the longest that fits (the first of equals); an empty sequence has room for any. */
static bool add_waiting(Packer *p)
{
    int best = -1;
    for (int i = 0; i < p->n_waiting; i++)
        if (taken_by(p, i) <= p->room && (best < 0 || taken_by(p, i) > taken_by(p, best))) best = i;
    if (best < 0) return turn(p);
    if (!add(p, p->waiting[best], 0, taken_by(p, best))) return false;
    memmove(p->waiting + best, p->waiting + best + 1, (size_t)(--p->n_waiting - best) * sizeof *p->waiting);
    return true;
}

static bool add_text(Packer *p, DocumentId id)
{
    const int64_t n = tokens_of(p->corpora, id);
    for (int64_t begin = 0; begin < n;) {
        const int64_t step = n - begin < p->room ? n - begin : p->room;
        if (!add(p, id, begin, step)) return false;
        begin += step;
        if (p->room == 0 && !turn(p)) return false;
    }
    return true;
}

static bool add_chat(Packer *p, DocumentId id)
{
    if (tokens_of(p->corpora, id) > p->T) p->out->n_cut++;
    while (p->n_waiting == WAITING_MAX)
        if (!add_waiting(p)) return false;
    p->waiting[p->n_waiting++] = id;
    return true;
}

/* Documents 2i and 2i + 1, a sequence each. */
static bool add_pair(Packer *p, DocumentId id)
{
    for (int i = 0; i < 2; i++, id.document++) {
        const int64_t n = tokens_of(p->corpora, id);
        p->out->n_cut += n > p->T;
        if (n == 0 || !add(p, id, 0, n < p->T ? n : p->T) || !turn(p)) return false;
    }
    return true;
}

static bool pack_all(Packer *p, const DocumentId *documents, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const Corpus *c = &p->corpora[documents[i].corpus];
        const bool fine = c->pairs   ? add_pair(p, documents[i])
                          : c->whole ? add_chat(p, documents[i])
                                     : add_text(p, documents[i]);
        if (!fine) return false;
    }
    while (p->n_waiting)
        if (!add_waiting(p)) return false;
    return turn(p);
}

Status pack(const Corpus *corpora, const DocumentId *documents, int64_t n, int64_t T, Packing *out, Error *error)
{
    Packer p = { .corpora = corpora, .T = T, .room = T, .out = out };
    *out = (Packing){ 0 };
    if (grow((void **)&out->first, &out->sequences_room, 0, sizeof *out->first)) {
        out->first[0] = 0;
        if (pack_all(&p, documents, n)) return OK;
    }
    pack_free(out);
    return fail_memory(error, "the order of documents");
}

void pack_free(Packing *p)
{
    free(p->segments);
    free(p->first);
    *p = (Packing){ 0 };
}

/* ---- one sequence ---- */

static int64_t fill_segment(const Segment *s, const Corpus *corpora, int64_t at, int32_t *tokens, int32_t *targets,
                            int32_t *starts)
{
    const Corpus *c = &corpora[s->id.corpus];
    const int64_t begin = c->begins[s->id.document] + s->begin, end = c->begins[s->id.document + 1];
    int64_t n_targets = 0;
    for (int64_t i = 0; i < s->n; i++) {
        const int32_t here = c->tokens[begin + i], next = begin + i + 1 < end ? c->tokens[begin + i + 1] : -1;
        tokens[at + i] = here < 0 ? ~here : here;
        targets[at + i] = next < 0 ? -1 : next;         /* ~id: given, not learned          */
        starts[at + i] = (int32_t)at;
        n_targets += next >= 0;
    }
    return n_targets;
}

int64_t pack_fill(const Packing *p, const Corpus *corpora, int64_t sequence, int64_t T, int32_t *tokens,
                  int32_t *targets, int32_t *starts)
{
    int64_t at = 0, n_targets = 0;
    for (int64_t i = p->first[sequence]; i < p->first[sequence + 1]; i++) {
        n_targets += fill_segment(&p->segments[i], corpora, at, tokens, targets, starts);
        at += p->segments[i].n;
    }
    for (; at < T; at++) {
        tokens[at] = 0;
        targets[at] = -1;
        starts[at] = (int32_t)at;
    }
    return n_targets;
}
