/* SPDX-License-Identifier: Apache-2.0
 * train/corpus.c - see corpus.h.
 *
 * Documents are shared out to the threads in groups, every group into lists of its own; the groups are then joined
 * in order, so the tokens do not depend on the number of threads. */
#include "train/corpus.h"

#include "base/buffer.h"
#include "base/io.h"
#include "train/digest.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { GROUP_BYTES = 256 << 10, TOKENS_VERSION = 1 };

/* ---- where documents begin and end ---- */

typedef struct Document { const char *text; size_t n_bytes; int64_t line; } Document;
typedef struct Documents { Document *all; int64_t n, room; } Documents;

static bool add_document(Documents *list, const char *begin, const char *end, int64_t line)
{
    while (begin < end && (*begin == '\n' || *begin == '\r')) begin++;
    while (end > begin && strchr("\n\r \t", end[-1])) end--;
    if (begin == end) return true;
    if (list->n == list->room) {
        const int64_t room = list->room ? 2 * list->room : 1024;
        Document *all = room > CORPUS_DOCUMENTS_MAX ? NULL : reallocarray(list->all, (size_t)room, sizeof *all);
        if (!all) return false;
        list->all = all;
        list->room = room;
    }
    list->all[list->n++] = (Document){ begin, (size_t)(end - begin), line };
    return true;
}

static bool is_marker(const char *line, const char *end, const char *marker, size_t n_marker)
{
    while (end > line && (end[-1] == '\r' || end[-1] == ' ')) end--;
    return n_marker && (size_t)(end - line) == n_marker && !memcmp(line, marker, n_marker);
}

/* A line of JSONL is a document; in a text, whatever lies between two lines that are the marker. */
static Status split(const char *text, size_t n_bytes, bool by_lines, const char *marker, Documents *out, Error *error)
{
    const size_t n_marker = strlen(marker);
    const char *begin = text, *end = text + n_bytes;
    int64_t number = 1, first = 1;
    bool fine = true;
    for (const char *line = text; fine && line < end; number++) {
        const char *newline = memchr(line, '\n', (size_t)(end - line)), *stop = newline ? newline : end;
        const char *next = newline ? newline + 1 : end;
        if (by_lines || is_marker(line, stop, marker, n_marker)) {
            fine = add_document(out, by_lines ? line : begin, by_lines ? stop : line, by_lines ? number : first);
            begin = next;
            first = number + 1;
        }
        line = next;
    }
    if (fine && !by_lines) fine = add_document(out, begin, end, first);
    return fine ? OK : fail_memory(error, "documents");
}

/* ---- tokens ---- */

typedef struct Group {
    int64_t   first, n;         /* documents                                               */
    TokenList tokens;
    size_t   *ends;             /* [n], or [2n] of pairs: tokens of the group up to there   */
    Status    status;
    Error     error;
} Group;

typedef struct Job {
    const CorpusReader *reader;
    const char         *path;
    const Documents    *documents;
    bool                by_lines;
    Group              *groups;
    atomic_bool         stop;   /* somebody failed, or was asked to stop                    */
} Job;

static Status read_document(const Job *job, const Document *d, Group *g, int64_t i, Error *error)
{
    const CorpusReader *r = job->reader;
    char where[600];
    snprintf(where, sizeof where, "%.500s:%lld", job->path, (long long)d->line);
    if (!job->by_lines) TRY(text_tokens(r->chat.tokenizer, d->text, d->n_bytes, &g->tokens, error));
    else if (!r->pairs) TRY(chat_tokens(&r->chat, d->text, d->n_bytes, where, &g->tokens, error));
    else {
        TokenList other = { 0 };
        Status status = chat_pair(&r->chat, d->text, d->n_bytes, where, &g->tokens, &other, error);
        g->ends[2 * i] = g->tokens.n;
        if (status == OK) {
            int32_t *ids = reallocarray(g->tokens.ids, g->tokens.n + other.n + 1, sizeof *ids);
            if (ids) {
                if (other.n) memcpy(ids + g->tokens.n, other.ids, other.n * sizeof *ids);
                g->tokens = (TokenList){ ids, g->tokens.n + other.n, g->tokens.n + other.n + 1 };
            } else {
                status = fail_memory(error, "tokens");
            }
        }
        token_list_free(&other);
        g->ends[2 * i + 1] = g->tokens.n;
        return status;
    }
    g->ends[i] = g->tokens.n;
    return OK;
}

static void read_group(void *arg, int64_t task, int worker)
{
    Job *job = arg;
    Group *g = &job->groups[task];
    const CorpusReader *r = job->reader;
    (void)worker;
    for (int64_t i = 0; i < g->n && g->status == OK && !job->stop; i++)
        g->status = read_document(job, &job->documents->all[g->first + i], g, i, &g->error);
    if (g->status == OK && worker == 0 && r->cancel && r->cancel(r->cancel_user))
        g->status = fail(&g->error, CANCELLED, "%s: stopped", job->path);
    if (g->status != OK) job->stop = true;
}

/* Documents to groups of about the same size: at least one document each. */
static Status make_groups(const Documents *list, bool pairs, Group **out, int64_t *n_groups, Error *error)
{
    Group *groups = calloc((size_t)list->n + 1, sizeof *groups);
    if (!groups) return fail_memory(error, "documents");
    int64_t n = 0;
    for (int64_t i = 0; i < list->n; n++) {
        size_t n_bytes = 0;
        groups[n].first = i;
        while (i < list->n && n_bytes < GROUP_BYTES) n_bytes += list->all[i++].n_bytes;
        groups[n].n = i - groups[n].first;
        groups[n].ends = calloc((size_t)groups[n].n * (pairs ? 2 : 1), sizeof *groups[n].ends);
        if (!groups[n].ends) n_bytes = 0;
    }
    *out = groups;
    *n_groups = n;
    for (int64_t i = 0; i < n; i++)
        if (!groups[i].ends) return fail_memory(error, "documents");
    return OK;
}

/* The failure of the earliest group that has one, so that the same file gives the same sentence. */
static Status first_failure(const Group *groups, int64_t n, Error *error)
{
    for (int64_t i = 0; i < n; i++)
        if (groups[i].status != OK) {
            if (error) *error = groups[i].error;
            return groups[i].status;
        }
    return OK;
}

static Status join(const Group *groups, int64_t n_groups, int64_t n_documents, Corpus *c, Error *error)
{
    for (int64_t i = 0; i < n_groups; i++) c->n_tokens += (int64_t)groups[i].tokens.n;
    c->tokens = malloc(((size_t)c->n_tokens + 1) * sizeof *c->tokens);
    c->begins = malloc(((size_t)n_documents + 1) * sizeof *c->begins);
    if (!c->tokens || !c->begins) return fail_memory(error, "tokens");
    c->begins[0] = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < n_groups; i++) {
        const Group *g = &groups[i];
        if (g->tokens.n) memcpy(c->tokens + at, g->tokens.ids, g->tokens.n * sizeof *c->tokens);
        for (int64_t d = 0; d < g->n * (c->pairs ? 2 : 1); d++)
            c->begins[++c->n_documents] = at + (int64_t)g->ends[d];
        at += (int64_t)g->tokens.n;
    }
    return OK;
}

static Status tokens_of(const CorpusReader *r, const char *text, size_t n_bytes, Corpus *c, Error *error)
{
    Documents documents = { 0 };
    Group *groups = NULL;
    int64_t n = 0;
    Status status = split(text, n_bytes, c->whole, r->marker, &documents, error);
    if (status == OK) status = make_groups(&documents, c->pairs, &groups, &n, error);
    if (status == OK) {
        Job job = { r, c->path, &documents, c->whole, groups, false };
        pool_run(r->pool, read_group, &job, n);
        status = first_failure(groups, n, error);
    }
    if (status == OK) status = join(groups, n, documents.n * (c->pairs ? 2 : 1), c, error);
    for (int64_t i = 0; i < n; i++) {
        token_list_free(&groups[i].tokens);
        free(groups[i].ends);
    }
    free(groups);
    free(documents.all);
    return status;
}

/* ---- kept tokens ---- */

typedef struct TokenFile {              /* what such a file begins with                     */
    char     magic[8];                  /* "MIXTTOK1"                                       */
    uint64_t digest;                    /* of all that the tokens depend on                 */
    int64_t  n_documents, n_tokens;
    uint64_t content;                   /* digest of what follows                           */
} TokenFile;

static const char token_magic[8] = "MIXTTOK1";

static uint64_t content_digest(const Corpus *c)
{
    Digest d = { 0 };
    digest_bytes(&d, c->begins, (size_t)(c->n_documents + 1) * sizeof *c->begins);
    digest_bytes(&d, c->tokens, (size_t)c->n_tokens * sizeof *c->tokens);
    return d.state;
}

static char *kept_path(const CorpusReader *r, const Corpus *c)
{
    const char *name = strrchr(c->path, '/');
    Buffer path = { 0 };
    if (!r->folder) return NULL;
    buffer_format(&path, "%s/tokens-%.64s-%016llx.bin", r->folder, name ? name + 1 : c->path,
                  (unsigned long long)c->digest);
    return path.data;
}

/* Is what was read a corpus at all?  The digest says so; the two arrays must also agree with each other. */
static bool sane(const Corpus *c)
{
    if (c->begins[0] != 0 || c->begins[c->n_documents] != c->n_tokens) return false;
    for (int64_t i = 0; i < c->n_documents; i++)
        if (c->begins[i] > c->begins[i + 1]) return false;
    return true;
}

/* False: not there, or not to be believed; then it is made again. */
static bool read_kept(const File *file, int32_t n_vocab, Corpus *c)
{
    TokenFile head;
    if (file->n_bytes < (int64_t)sizeof head || file_read(file, 0, &head, sizeof head, NULL) != OK) return false;
    const int64_t room = file->n_bytes / 4;
    if (memcmp(head.magic, token_magic, sizeof head.magic) || head.digest != c->digest || head.n_documents < 0 ||
        head.n_documents > CORPUS_DOCUMENTS_MAX || head.n_tokens < 0 || head.n_tokens > room ||
        (int64_t)sizeof head + (head.n_documents + 1) * 8 + head.n_tokens * 4 != file->n_bytes)
        return false;
    const size_t begins_bytes = (size_t)(head.n_documents + 1) * sizeof *c->begins,
                 tokens_bytes = (size_t)head.n_tokens * sizeof *c->tokens;
    c->begins = malloc(begins_bytes);
    c->tokens = malloc(tokens_bytes + sizeof *c->tokens);
    c->n_documents = head.n_documents;
    c->n_tokens = head.n_tokens;
    bool fine = c->begins && c->tokens && file_read(file, sizeof head, c->begins, begins_bytes, NULL) == OK &&
                file_read(file, (int64_t)(sizeof head + begins_bytes), c->tokens, tokens_bytes, NULL) == OK &&
                content_digest(c) == head.content && sane(c);
    for (int64_t i = 0; fine && i < c->n_tokens; i++) {
        const int32_t id = c->tokens[i] < 0 ? ~c->tokens[i] : c->tokens[i];
        fine = id < n_vocab;
    }
    return fine;
}

static bool find_kept(const char *path, int32_t n_vocab, Corpus *c)
{
    File file;
    if (!path || file_open(path, &file, NULL) != OK) return false;
    const bool found = read_kept(&file, n_vocab, c);
    file_close(&file);
    if (found) return true;
    free(c->begins);
    free(c->tokens);
    c->begins = NULL;
    c->tokens = NULL;
    c->n_documents = c->n_tokens = 0;
    return false;
}

static Status keep(const char *path, const Corpus *c, Error *error)
{
    TokenFile head = { .digest = c->digest, .n_documents = c->n_documents, .n_tokens = c->n_tokens,
                       .content = content_digest(c) };
    memcpy(head.magic, token_magic, sizeof head.magic);
    Writer w;
    TRY(writer_open(path, NULL, &w, error));
    Status status = writer_add(&w, &head, sizeof head, error);
    if (status == OK)
        status = writer_add(&w, c->begins, (size_t)(c->n_documents + 1) * sizeof *c->begins, error);
    if (status == OK) status = writer_add(&w, c->tokens, (size_t)c->n_tokens * sizeof *c->tokens, error);
    if (status == OK) return writer_commit(&w, error);
    writer_abandon(&w);
    return status;
}

/* ---- */

uint64_t corpus_format_digest(const Vocab *v, const char *source, size_t source_bytes)
{
    Digest d = { TOKENS_VERSION };
    const int64_t numbers[] = { v->kind, v->n_pieces, v->n_merges, v->ignore_merges, v->nfc, v->bos, v->eos, v->unknown,
                                v->add_bos, v->add_eos, v->add_space_prefix, v->remove_extra_whitespaces,
                                v->escape_whitespaces };
    digest_bytes(&d, numbers, sizeof numbers);
    for (int32_t i = 0; i < v->n_pieces; i++) {
        uint32_t score;
        memcpy(&score, &v->pieces[i].score, sizeof score);
        digest_text(&d, v->pieces[i].text, v->pieces[i].n_bytes);
        digest_word(&d, (uint64_t)score << 8 | v->pieces[i].type);
    }
    for (int32_t i = 0; i < v->n_merges; i++) {
        digest_text(&d, v->merges[i].left, v->merges[i].n_left);
        digest_text(&d, v->merges[i].right, v->merges[i].n_right);
    }
    for (int i = 0; i < v->n_ends; i++) digest_word(&d, (uint64_t)v->ends[i]);
    if (v->pre) digest_text(&d, v->pre, strlen(v->pre));
    if (v->pre_pattern) digest_text(&d, v->pre_pattern, strlen(v->pre_pattern));
    if (v->charsmap) digest_text(&d, v->charsmap, v->charsmap_bytes);
    digest_text(&d, source ? source : "", source ? source_bytes : 0);
    return d.state;
}

static bool ends_with(const char *path, const char *end)
{
    const size_t n = strlen(path), m = strlen(end);
    return n >= m && !strcasecmp(path + n - m, end);
}

/* Compressed files are not read: unpacking is one command, and then the bytes can be looked at. */
static Status check_name(const char *path, Error *error)
{
    static const char *const packed[][2] = { { ".gz", "gzip -dk" }, { ".zst", "zstd -d" }, { ".xz", "xz -dk" },
                                             { ".bz2", "bzip2 -dk" }, { ".zip", "unzip" } };
    for (int i = 0; i < ARRAY_LEN(packed); i++)
        if (ends_with(path, packed[i][0]))
            return fail(error, UNSUPPORTED, "%s: expected plain text or JSONL, found a packed file; unpack it first: "
                        "%s %s", path, packed[i][1], path);
    return OK;
}

static Status fill(const CorpusReader *r, Corpus *c, Error *error)
{
    char *text;
    size_t n_bytes;
    TRY(file_slurp(c->path, CORPUS_BYTES_MAX, &text, &n_bytes, error));
    Digest d = { r->format_digest };
    digest_word(&d, (uint64_t)(c->whole + 2 * c->pairs));
    digest_text(&d, r->marker, c->whole ? 0 : strlen(r->marker));
    digest_text(&d, text, n_bytes);
    c->digest = d.state;
    c->n_bytes = (int64_t)n_bytes;

    char *kept = kept_path(r, c);
    Status status = OK;
    c->from_cache = find_kept(kept, tokenizer_vocab(r->chat.tokenizer)->n_pieces, c);
    if (!c->from_cache) {
        status = tokens_of(r, text, n_bytes, c, error);
        if (status == OK && kept) status = keep(kept, c, error);
    }
    free(kept);
    free(text);
    if (status == OK && c->n_documents == 0)
        status = fail(error, BAD_FILE, "%s: expected documents, found an empty file", c->path);
    return status;
}

Status corpus_open(const CorpusReader *r, const char *path, Corpus *out, Error *error)
{
    *out = (Corpus){ 0 };
    TRY(check_name(path, error));
    out->whole = ends_with(path, ".jsonl");
    out->pairs = r->pairs;
    out->path = strdup(path);
    Status status = out->path ? OK : fail_memory(error, path);
    if (status == OK && r->pairs && !out->whole)
        status = fail(error, BAD_FILE, "%s: expected JSONL with prompt, chosen and rejected, found a text", path);
    if (status == OK) status = fill(r, out, error);
    if (status != OK) corpus_free(out);
    return status;
}

void corpus_free(Corpus *c)
{
    free(c->path);
    free(c->tokens);
    free(c->begins);
    *c = (Corpus){ 0 };
}
