/* SPDX-License-Identifier: Apache-2.0
 * text/bpe.c - byte-level BPE: words from the pre-tokeniser, merged by the ranks of the file.
 *
 * Files write bytes as letters ("Ġthe" is " the") so that a vocabulary can be read as text.  Here
 * everything is turned back into bytes once, when the tokenizer is built. */
#include "base/utf8.h"
#include "text/tokenizer_parts.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* ---- the alphabet of bytes ----
 *
 * A byte that prints in Latin-1 is its own letter; the 68 others are U+0100.. in order.
 * Source: Radford et al., gpt-2 encoder.py, bytes_to_unicode. */

/* The byte a letter stands for, or -1. */
static int byte_of_letter(uint32_t point)
{
    if (point >= 0x21 && point <= 0x7e) return (int)point;
    if (point >= 0xa1 && point <= 0xff && point != 0xad) return (int)point;
    if (point < 0x100 || point > 0x143) return -1;
    const int k = (int)point - 0x100;
    if (k < 33) return k;                       /* 0x00 to 0x20                            */
    if (k == 33) return 0x7f;
    if (k < 67) return 0x80 + k - 34;           /* 0x80 to 0xa0                            */
    return 0xad;
}

size_t bpe_letters_to_bytes(const char *text, size_t n_bytes, char *to)
{
    size_t n = 0;
    for (size_t i = 0; i < n_bytes;) {
        uint32_t point = UINT32_MAX;
        size_t step = utf8_decode(text + i, n_bytes - i, &point);
        const int byte = step ? byte_of_letter(point) : -1;
        if (!step) step = 1;
        if (byte >= 0) {
            to[n++] = (char)byte;
        } else {
            memmove(to + n, text + i, step);
            n += step;
        }
        i += step;
    }
    return n;
}

/* ---- building ---- */

/* The symbol with these bytes, a new one when no piece has them; -1 without memory. */
static int32_t intern(Tokenizer *t, const char *bytes, size_t n_bytes)
{
    Bpe *b = &t->bpe;
    const int64_t known = map_get(&t->pieces, bytes, n_bytes, -1);
    if (known >= 0) return (int32_t)known;
    if (b->n_extras == b->extras_room) {
        const size_t room = b->extras_room ? b->extras_room * 2 : 64;
        Bytes *extras = realloc(b->extras, room * sizeof *extras);
        if (!extras) return -1;
        b->extras = extras;
        b->extras_room = room;
    }
    const int64_t id = t->vocab->n_pieces + (int64_t)b->n_extras;
    char *copy = arena_text(&t->arena, bytes, n_bytes);
    if (!copy || id > INT32_MAX || !map_put(&t->pieces, copy, n_bytes, id, NULL)) return -1;
    b->extras[b->n_extras++] = (Bytes){ copy, (uint32_t)n_bytes };
    return (int32_t)id;
}

static Status add_merge(Tokenizer *t, int32_t rank, char *scratch, Error *error)
{
    const Merge *m = &t->vocab->merges[rank];
    const size_t n_left = bpe_letters_to_bytes(m->left, m->n_left, scratch);
    const size_t n_right = bpe_letters_to_bytes(m->right, m->n_right, scratch + n_left);
    const int32_t left = intern(t, scratch, n_left);
    const int32_t right = intern(t, scratch + n_left, n_right);
    const int32_t merged = intern(t, scratch, n_left + n_right);
    if (left < 0 || right < 0 || merged < 0
        || !table_put(&t->bpe.merges, (uint64_t)left << 32 | (uint32_t)right,
                      (uint64_t)rank << 32 | (uint32_t)merged)) {
        return fail_memory(error, "the merges of a vocabulary");
    }
    return OK;
}

static Status add_merges(Tokenizer *t, Error *error)
{
    const Vocab *v = t->vocab;
    size_t room = 0;
    for (int32_t i = 0; i < v->n_merges; i++) {
        const Merge *m = &v->merges[i];
        if (m->n_left == 0 || m->n_right == 0 || m->n_left > VOCAB_PIECE_BYTES_MAX
            || m->n_right > VOCAB_PIECE_BYTES_MAX) {
            return fail(error, BAD_FILE, "%s: merge %d joins %u and %u bytes, each must be 1 to %d",
                        t->name, i, m->n_left, m->n_right, VOCAB_PIECE_BYTES_MAX);
        }
        const size_t both = (size_t)m->n_left + m->n_right;
        if (both > room) room = both;
    }
    char *scratch = malloc(room + 1);
    if (!scratch) return fail_memory(error, "the merges of a vocabulary");
    Status status = OK;
    for (int32_t i = 0; i < v->n_merges && status == OK; i++)
        status = add_merge(t, i, scratch, error);
    free(scratch);
    return status;
}

Status bpe_build(Tokenizer *t, Error *error)
{
    for (int i = 0; i < 256; i++) {
        const char byte = (char)i;
        t->bpe.bytes[i] = intern(t, &byte, 1);
        if (t->bpe.bytes[i] < 0) return fail_memory(error, "a vocabulary");
    }
    TRY(add_merges(t, error));
    TRY(pretokenizer_new(t->vocab, t->name, &t->bpe.pre, error));
    t->bpe.ignore_merges = t->vocab->ignore_merges || pretokenizer_ignores_merges(t->bpe.pre);
    return OK;
}

void bpe_destroy(Tokenizer *t)
{
    pretokenizer_free(t->bpe.pre);
    table_free(&t->bpe.merges);
    free(t->bpe.extras);
}

/* ---- tokenising ---- */

typedef struct Sentence {
    const Tokenizer *t;
    MergeWork        work;
    TokenList       *out;
} Sentence;

static bool join(const MergeRule *rule, const MergeSymbol *left, const MergeSymbol *right,
                 uint32_t end, uint32_t *rank, int32_t *merged)
{
    (void)end;
    const Tokenizer *t = rule->self;
    const uint64_t *found =
        table_get(&t->bpe.merges, (uint64_t)left->id << 32 | (uint32_t)right->id);
    if (!found) return false;
    *rank = (uint32_t)(*found >> 32);
    *merged = (int32_t)(uint32_t)*found;
    return true;
}

/* A symbol that is no piece goes byte by byte; a byte without a piece as the unknown one, or, as
 * the libraries of such vocabularies do, not at all. */
static bool emit(const Sentence *s, int32_t id)
{
    const Tokenizer *t = s->t;
    const int32_t n_pieces = t->vocab->n_pieces;
    if (id < n_pieces) return token_list_add(s->out, id);
    const Bytes extra = t->bpe.extras[id - n_pieces];
    for (uint32_t i = 0; i < extra.n; i++) {
        int32_t byte = t->bpe.bytes[(uint8_t)extra.at[i]];
        if (byte >= n_pieces) byte = t->unknown;
        if (byte >= 0 && !token_list_add(s->out, byte)) return false;
    }
    return true;
}

static bool tokenize_word(Sentence *s, const char *word, size_t n_bytes)
{
    const Tokenizer *t = s->t;
    if (t->bpe.ignore_merges) {
        const int64_t whole = map_get(&t->pieces, word, n_bytes, INT64_MAX);
        if (whole < t->vocab->n_pieces) return token_list_add(s->out, (int32_t)whole);
    }
    MergeWork *work = &s->work;
    merge_clear(work);
    for (size_t i = 0; i < n_bytes; i++) {
        if (!merge_add(work, (uint32_t)i, (uint32_t)i + 1, t->bpe.bytes[(uint8_t)word[i]]))
            return false;
    }
    const MergeRule rule = { .self = t, .join = join };
    if (!merge_run(work, &rule)) return false;
    for (uint32_t i = 0; i != MERGE_NONE; i = work->symbols[i].next) {
        if (!emit(s, work->symbols[i].id)) return false;
    }
    return true;
}

static Status take_word(void *arg, const char *word, size_t n_bytes, Error *error)
{
    return tokenize_word(arg, word, n_bytes) ? OK : fail_memory(error, "the tokens of a text");
}

/* The libraries of these vocabularies take text, not bytes: each byte that is no UTF-8 has become
 * U+FFFD before they see it. */
static void replace_invalid(const char *text, size_t n_bytes, Buffer *out)
{
    for (size_t i = 0; i < n_bytes;) {
        uint32_t point;
        const size_t step = utf8_decode(text + i, n_bytes - i, &point);
        if (step) buffer_append(out, text + i, step);
        else buffer_text(out, REPLACEMENT);
        i += step ? step : 1;
    }
}

/* Canonical composition; the text is valid by now.  The caller frees *out. */
static Status compose(const char *text, size_t n_bytes, char **out, size_t *n_out, Error *error)
{
    utf8proc_uint8_t *composed = NULL;
    const utf8proc_ssize_t n =
        utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n_bytes, &composed,
                     UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (n == UTF8PROC_ERROR_NOMEM) return fail_memory(error, "the tokens of a text");
    if (n < 0)
        return fail(error, BAD_ARGUMENT, "a text cannot be normalised: %s", utf8proc_errmsg(n));
    *out = (char *)composed;
    *n_out = (size_t)n;
    return OK;
}

Status bpe_tokenize(const Tokenizer *t, const char *text, size_t n_bytes, TokenList *out,
                    Error *error)
{
    Buffer valid = { 0 };
    char *composed = NULL;
    Status status = OK;
    if (!utf8_valid(text, n_bytes)) {
        replace_invalid(text, n_bytes, &valid);
        if (valid.failed) status = fail_memory(error, "the tokens of a text");
        text = valid.data;
        n_bytes = valid.n_bytes;
    }
    if (status == OK && t->vocab->nfc) status = compose(text, n_bytes, &composed, &n_bytes, error);
    if (composed) text = composed;
    Sentence s = { .t = t, .out = out };
    if (status == OK) status = pretokenize(t->bpe.pre, text, n_bytes, take_word, &s, error);
    merge_free(&s.work);
    buffer_free(&valid);
    free(composed);
    return status;
}
