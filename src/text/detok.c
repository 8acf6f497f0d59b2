/* SPDX-License-Identifier: Apache-2.0
 * text/detok.c - three small machines in a row: bytes, whole characters, stop strings.
 *
 * What comes out never depends on how the text was cut into tokens: bytes become characters one at
 * a time, and after each character it is decided whether a stop string has just ended.  When two
 * end together the longer one, which began first, cuts the text. */
#include "text/detok.h"
#include "base/arena.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

#define SPACE_MARK  "\xe2\x96\x81"
#define REPLACEMENT "\xef\xbf\xbd"

/* A stop string and how much of it the text now ends with (Knuth, Morris, Pratt 1977). */
typedef struct Stop {
    const char *text;
    uint32_t    n_bytes, matched;
    uint32_t   *shorter;        /* [n_bytes] after i+1 matched bytes, the next best number */
} Stop;

struct Detok {
    const Tokenizer *tokenizer;
    Arena  arena;
    Stop   stops[STOPS_MAX];
    int    n_stops;
    bool   special;
    bool   at_start;            /* a leading space would be the tokenizer's own            */
    bool   stopped;
    Buffer bytes;               /* not yet a whole character                               */
    Buffer held;                /* whole characters, perhaps the beginning of a stop       */
};

/* ---- stop strings ---- */

static void fill_shorter(Stop *stop)
{
    uint32_t k = 0;
    for (uint32_t i = 1; i < stop->n_bytes; i++) {
        while (k && stop->text[i] != stop->text[k]) k = stop->shorter[k - 1];
        if (stop->text[i] == stop->text[k]) k++;
        stop->shorter[i] = k;
    }
}

/* One more byte of text.  Nothing comes after a whole match: it ended the stream. */
static void advance(Stop *stop, char byte)
{
    uint32_t k = stop->matched;
    while (k && stop->text[k] != byte) k = stop->shorter[k - 1];
    if (stop->text[k] == byte) k++;
    stop->matched = k;
}

static Status add_stop(Detok *d, const char *text, Error *error)
{
    const size_t n = strlen(text);
    if (n == 0 || n > STOP_BYTES_MAX || !utf8_valid(text, n)) {
        return fail(error, BAD_ARGUMENT,
                    "stop string %d has %zu bytes, expected 1 to %d of valid UTF-8", d->n_stops + 1,
                    n, STOP_BYTES_MAX);
    }
    Stop *stop = &d->stops[d->n_stops];
    *stop = (Stop){ .text = arena_text(&d->arena, text, n), .n_bytes = (uint32_t)n,
                    .shorter = arena_new(&d->arena, n, sizeof *stop->shorter) };
    if (!stop->text || !stop->shorter) return fail_memory(error, "a stop string");
    fill_shorter(stop);
    d->n_stops++;
    return OK;
}

/* ---- life ---- */

Status detok_new(const Tokenizer *tokenizer, const char *const *stops, int n_stops, bool at_start,
                 bool special, Detok **out, Error *error)
{
    *out = NULL;
    if (n_stops < 0 || n_stops > STOPS_MAX) {
        return fail(error, BAD_ARGUMENT, "%d stop strings, the most is %d", n_stops, STOPS_MAX);
    }
    Detok *d = calloc(1, sizeof *d);
    if (!d) return fail_memory(error, "a detokenizer");
    d->tokenizer = tokenizer;
    d->special = special;
    for (int i = 0; i < n_stops; i++) {
        const Status status = add_stop(d, stops[i], error);
        if (status != OK) {
            detok_free(d);
            return status;
        }
    }
    detok_reset(d, at_start);
    *out = d;
    return OK;
}

void detok_free(Detok *d)
{
    if (!d) return;
    arena_free(&d->arena);
    buffer_free(&d->bytes);
    buffer_free(&d->held);
    free(d);
}

void detok_reset(Detok *d, bool at_start)
{
    d->at_start = at_start;
    d->stopped = false;
    buffer_clear(&d->bytes);
    buffer_clear(&d->held);
    for (int i = 0; i < d->n_stops; i++) d->stops[i].matched = 0;
}

/* ---- the machines ---- */

/* Takes one whole character; true when a stop string ends with it, which is then cut off. */
static bool take_character(Detok *d, const char *text, size_t n_bytes)
{
    uint32_t longest = 0;
    buffer_append(&d->held, text, n_bytes);
    for (int i = 0; i < d->n_stops; i++) {
        Stop *stop = &d->stops[i];
        for (size_t k = 0; k < n_bytes; k++) advance(stop, text[k]);
        if (stop->matched == stop->n_bytes && stop->n_bytes > longest) longest = stop->n_bytes;
    }
    if (longest && !d->held.failed) d->held.n_bytes -= longest;
    return longest > 0;
}

/* Makes characters of the waiting bytes, up to `end`, and removes these bytes. */
static void take_bytes(Detok *d, size_t end)
{
    Buffer *b = &d->bytes;
    size_t at = 0;
    while (at < end && !d->stopped) {
        uint32_t point;
        const size_t n = utf8_decode(b->data + at, end - at, &point);
        d->stopped = n ? take_character(d, b->data + at, n)
                       : take_character(d, REPLACEMENT, strlen(REPLACEMENT));
        at += n ? n : 1;
    }
    b->n_bytes = d->stopped ? 0 : b->n_bytes - at;
    if (b->n_bytes) memmove(b->data, b->data + at, b->n_bytes);
}

/* Gives out the held text but for the longest end of it that may become a stop string. */
static Status give_out(Detok *d, bool everything, Buffer *text, Error *error)
{
    uint32_t keep = 0;
    for (int i = 0; i < d->n_stops && !everything; i++) {
        if (d->stops[i].matched > keep) keep = d->stops[i].matched;
    }
    const size_t n = d->held.n_bytes - keep;
    if (n) buffer_append(text, d->held.data, n);
    if (d->bytes.failed || d->held.failed || text->failed)
        return fail_memory(error, "the text of an answer");
    if (keep && n) memmove(d->held.data, d->held.data + n, keep);
    d->held.n_bytes = keep;
    return OK;
}

/* Takes away the space that the tokenizer put in front of a text.  Where the vocabulary tidies
 * spaces, every piece before the first text loses one, as SentencePiece decodes. */
static void strip_start(Detok *d, const Piece *piece, const char **bytes, size_t *n_bytes)
{
    const Vocab *v = tokenizer_vocab(d->tokenizer);
    const bool strips =
        v->kind == VOCAB_SPM && (v->add_space_prefix || v->remove_extra_whitespaces);
    const bool text =
        piece->type == PIECE_NORMAL || piece->type == PIECE_USER || piece->type == PIECE_UNUSED;
    if (d->at_start && strips && text && *n_bytes && **bytes == ' ') {
        (*bytes)++;
        (*n_bytes)--;
        d->at_start = v->remove_extra_whitespaces;
    }
    if (*n_bytes) d->at_start = false;
}

Status detok_push(Detok *d, int32_t token, Buffer *text, bool *stopped, Error *error)
{
    const Vocab *v = tokenizer_vocab(d->tokenizer);
    *stopped = d->stopped;
    if (token < 0 || token >= v->n_pieces) {
        return fail(error, BAD_ARGUMENT, "token %d, the vocabulary has %d", token, v->n_pieces);
    }
    if (d->stopped) return OK;
    size_t n_bytes;
    const char *bytes = token_bytes(d->tokenizer, token, d->special, &n_bytes);
    strip_start(d, &v->pieces[token], &bytes, &n_bytes);
    buffer_append(&d->bytes, bytes, n_bytes);
    if (!d->bytes.failed)
        take_bytes(d, d->bytes.n_bytes - utf8_unfinished(d->bytes.data, d->bytes.n_bytes));
    *stopped = d->stopped;
    return give_out(d, d->stopped, text, error);
}

Status detok_finish(Detok *d, Buffer *text, Error *error)
{
    if (!d->stopped) take_bytes(d, d->bytes.n_bytes);
    return give_out(d, true, text, error);
}
