/* SPDX-License-Identifier: Apache-2.0
 * train/data.c - see data.h. */
#include "train/data.h"

#include "base/rng.h"
#include "train/digest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHUFFLE_DOCUMENTS = 1, SHUFFLE_SEQUENCES = 2 };

/* Numbers for one purpose: the same for the same seed, whatever was drawn for others. */
static Rng rng_for(uint64_t seed, uint64_t purpose, uint64_t phase, uint64_t cycle)
{
    Digest d = { seed };
    digest_word(&d, purpose);
    digest_word(&d, phase);
    digest_word(&d, cycle);
    return (Rng){ d.state };
}

/* In [0, n); the bias of a remainder is below 2^-30 for any n that fits a memory. */
static int64_t below(Rng *rng, int64_t n)
{
    return (int64_t)(rng_bits(rng) % (uint64_t)n);
}

/* ---- files ---- */

static int find_corpus(const Data *d, const char *path)
{
    for (int i = 0; i < d->n_corpora; i++)
        if (!strcmp(d->corpora[i].path, path)) return i;
    return -1;
}

static void say_corpus(const Corpus *c, DataLog log, void *user)
{
    Error line;                         /* borrowed for its cleaning of names               */
    if (!log) return;
    fail(&line, OK, "%s: %lld document%s, %.2f million tokens, %.2f bytes each%s", c->path,
         (long long)c->n_documents, c->n_documents == 1 ? "" : "s", (double)c->n_tokens / 1e6,
         (double)c->n_bytes / (double)(c->n_tokens ? c->n_tokens : 1),
         c->from_cache ? " (tokens kept from before)" : "");
    log(user, line.text);
}

static Status open_files(Data *d, const CorpusReader *reader, const DataFiles *files, DataLog log, void *user,
                         Error *error)
{
    for (int i = 0; i < files->n; i++) {
        if (find_corpus(d, files->files[i].path) >= 0) continue;
        Corpus *all = reallocarray(d->corpora, (size_t)d->n_corpora + 1, sizeof *all);
        if (!all) return fail_memory(error, "texts");
        d->corpora = all;
        TRY(corpus_open(reader, files->files[i].path, &all[d->n_corpora], error));
        d->n_corpora++;
        say_corpus(&all[d->n_corpora - 1], log, user);
    }
    return OK;
}

/* ---- phases ---- */

/* repeat 2.5 is every document twice, and about half of them once more. */
static int64_t copies(double repeat, Rng *rng)
{
    const double whole = floor(repeat);
    return (int64_t)whole + (rng_unit(rng) < repeat - whole);
}

static Status list_documents(const Data *d, const DataFiles *files, Rng *rng, DocumentId **out, int64_t *n_out,
                             Error *error)
{
    int64_t room = 1;
    for (int i = 0; i < files->n; i++) {
        const Corpus *c = &d->corpora[find_corpus(d, files->files[i].path)];
        room += c->n_documents * (int64_t)ceil(files->files[i].repeat + 1);
    }
    DocumentId *list = calloc((size_t)room, sizeof *list);
    if (!list) return fail_memory(error, "the order of documents");
    int64_t n = 0;
    for (int i = 0; i < files->n; i++) {
        const int corpus = find_corpus(d, files->files[i].path);
        for (int64_t k = 0; k < d->corpora[corpus].n_documents; k += d->unit)
            for (int64_t left = copies(files->files[i].repeat, rng); left > 0; left--)
                list[n++] = (DocumentId){ corpus, (int32_t)k };
    }
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = below(rng, i + 1);
        const DocumentId one = list[i];
        list[i] = list[j];
        list[j] = one;
    }
    *out = list;
    *n_out = n;
    return OK;
}

static Status make_phase(Data *d, int phase, const DataFiles *files, Error *error)
{
    DataPhase *p = &d->phases[phase];
    DocumentId *documents = NULL;
    int64_t n;
    Rng rng = rng_for(d->seed, SHUFFLE_DOCUMENTS, (uint64_t)phase, 0);
    TRY(list_documents(d, files, &rng, &documents, &n, error));
    Status status = pack(d->corpora, documents, n, d->T, &p->packing, error);
    free(documents);
    p->cycle = -1;
    if (status == OK && p->packing.n_sequences == 0)
        status = fail(error, BAD_FILE, "%s: phase %d: expected text, found none (repeat takes less than a document)",
                      files->files[0].path, phase + 1);
    if (status == OK && !(p->order = malloc((size_t)p->packing.n_sequences * sizeof *p->order)))
        status = fail_memory(error, "the order of sequences");
    p->offset = d->n_sequences;
    d->n_sequences += p->packing.n_sequences;
    return status;
}

static Status make_held(Data *d, DataHeld *held, const DataFile *file, int64_t n_tokens, Error *error)
{
    const int corpus = find_corpus(d, file->path);
    const Corpus *c = &d->corpora[corpus];
    DocumentId *documents = malloc((size_t)c->n_documents * sizeof *documents);
    if (!documents) return fail_memory(error, "held-out text");
    int64_t n = 0;
    for (int64_t i = 0; i < c->n_documents; i += d->unit) documents[n++] = (DocumentId){ corpus, (int32_t)i };
    const Status status = pack(d->corpora, documents, n, d->T, &held->packing, error);
    free(documents);
    held->path = c->path;
    held->n_judged = held->packing.n_sequences;
    const int64_t most = (n_tokens + d->T * d->unit - 1) / (d->T * d->unit) * d->unit;
    if (n_tokens && held->n_judged > most) held->n_judged = most;
    return status;
}

static Status check_held(const Data *d, const Config *c, Error *error)
{
    for (int p = 0; p < c->n_phases; p++)
        for (int i = 0; i < c->phases[p].n; i++)
            for (int h = 0; h < c->held.n; h++) {
                const int a = find_corpus(d, c->phases[p].files[i].path), b = find_corpus(d, c->held.files[h].path);
                if (a >= 0 && b >= 0 && (a == b || d->corpora[a].digest == d->corpora[b].digest))
                    return fail(error, BAD_FILE, "%s:%d: held_out: expected text that is not learned, found '%s', "
                                "which line %d learns", c->path, c->held.files[h].line, c->held.files[h].path,
                                c->phases[p].files[i].line);
            }
    return OK;
}

static Status open_all(Data *d, const CorpusReader *reader, const Config *c, DataLog log, void *user, Error *error)
{
    for (int i = 0; i < c->n_phases; i++) TRY(open_files(d, reader, &c->phases[i], log, user, error));
    TRY(open_files(d, reader, &c->held, log, user, error));
    TRY(check_held(d, c, error));
    d->phases = calloc(CONFIG_PHASES_MAX, sizeof *d->phases);
    d->held = calloc(CONFIG_FILES_MAX, sizeof *d->held);
    if (!d->phases || !d->held) return fail_memory(error, "texts");
    d->n_phases = c->n_phases;
    d->n_held = c->held.n;
    for (int i = 0; i < c->n_phases; i++) TRY(make_phase(d, i, &c->phases[i], error));
    for (int i = 0; i < c->held.n; i++) TRY(make_held(d, &d->held[i], &c->held.files[i], c->held_tokens, error));
    return OK;
}

Status data_open(const CorpusReader *reader, const Config *c, DataLog log, void *user, Data *out, Error *error)
{
    *out = (Data){ .tokenizer = reader->chat.tokenizer, .T = c->n_tokens, .unit = reader->pairs ? 2 : 1,
                   .seed = (uint64_t)c->seed };
    const Status status = open_all(out, reader, c, log, user, error);
    if (status != OK) data_free(out);
    else data_plan(out, out->n_sequences);
    return status;
}

void data_free(Data *d)
{
    for (int i = 0; d->phases && i < d->n_phases; i++) {
        pack_free(&d->phases[i].packing);
        free(d->phases[i].order);
    }
    for (int i = 0; d->held && i < d->n_held; i++) pack_free(&d->held[i].packing);
    for (int i = 0; i < d->n_corpora; i++) corpus_free(&d->corpora[i]);
    free(d->phases);
    free(d->held);
    free(d->corpora);
    *d = (Data){ 0 };
}

/* ---- the run ---- */

void data_plan(Data *d, int64_t n)
{
    int64_t before = 0, begin = 0;
    for (int i = 0; i < d->n_phases; i++) {
        before += d->phases[i].packing.n_sequences;
        d->phases[i].begin = begin;
        begin = (int64_t)((__int128)n * before / d->n_sequences) / d->unit * d->unit;
        d->phases[i].end = begin;
    }
    d->n_run = n;
}

static void shuffle(const Data *d, int phase, int64_t cycle)
{
    DataPhase *p = &d->phases[phase];
    const int64_t n = p->packing.n_sequences / d->unit;
    Rng rng = rng_for(d->seed, SHUFFLE_SEQUENCES, (uint64_t)phase, (uint64_t)cycle);
    for (int64_t i = 0; i < n; i++) p->order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = below(&rng, i + 1), one = p->order[i];
        p->order[i] = p->order[j];
        p->order[j] = one;
    }
    p->cycle = cycle;
}

Status data_take(Data *d, int64_t position, int64_t n, Taken *out, Error *error)
{
    if (position < 0 || position > d->n_run - n)
        return fail(error, BAD_ARGUMENT, "data: expected a position below %lld, found %lld", (long long)d->n_run,
                    (long long)(position + n - 1));
    int phase = 0;
    out->n_targets = 0;
    for (int64_t i = 0; i < n; i++) {
        while (position + i >= d->phases[phase].end) phase++;
        const DataPhase *p = &d->phases[phase];
        const int64_t at = position + i - p->begin, n_here = p->packing.n_sequences;
        if (p->cycle != at / n_here) shuffle(d, phase, at / n_here);
        const int64_t turn = at % n_here, sequence = p->order[turn / d->unit] * d->unit + turn % d->unit;
        out->n_targets += pack_fill(&p->packing, d->corpora, sequence, d->T, out->tokens + i * d->T,
                                    out->targets + i * d->T, out->starts + i * d->T);
        out->numbers[i] = p->offset + sequence;
    }
    return OK;
}

int64_t data_sequence(const Data *d, int64_t number, int32_t *tokens, int32_t *targets, int32_t *starts)
{
    int phase = 0;
    while (phase + 1 < d->n_phases && number >= d->phases[phase + 1].offset) phase++;
    const DataPhase *p = &d->phases[phase];
    return pack_fill(&p->packing, d->corpora, number - p->offset, d->T, tokens, targets, starts);
}

int64_t data_judged(const Data *d, int held, int64_t i, int32_t *tokens, int32_t *targets, int32_t *starts)
{
    const DataHeld *h = &d->held[held];
    const int64_t n = h->packing.n_sequences / d->unit, n_judged = h->n_judged / d->unit;
    const int64_t sequence = i / d->unit * n / n_judged * d->unit + i % d->unit;
    return pack_fill(&h->packing, d->corpora, sequence, d->T, tokens, targets, starts);
}

int64_t data_bytes(const Data *d, int64_t n, const int32_t *tokens, const int32_t *targets)
{
    const Vocab *v = tokenizer_vocab(d->tokenizer);
    int64_t n_bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        size_t n_here = 0;
        if (targets[i] < 0) continue;
        const char *bytes = token_bytes(d->tokenizer, targets[i], false, &n_here);
        /* The space that the tokenizer itself puts in front of a text is nobody's. */
        const bool put = v->kind == VOCAB_SPM && v->add_space_prefix && tokens[i] == v->bos && n_here && *bytes == ' ';
        n_bytes += (int64_t)n_here - put;
    }
    return n_bytes;
}

uint64_t data_digest(const Data *d, const Config *c)
{
    Digest digest = { (uint64_t)d->T };
    for (int p = 0; p < c->n_phases; p++) {
        digest_word(&digest, (uint64_t)c->phases[p].n);
        for (int i = 0; i < c->phases[p].n; i++) {
            uint64_t repeat;
            memcpy(&repeat, &c->phases[p].files[i].repeat, sizeof repeat);
            digest_word(&digest, d->corpora[find_corpus(d, c->phases[p].files[i].path)].digest);
            digest_word(&digest, repeat);
        }
    }
    return digest.state;
}
