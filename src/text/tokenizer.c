/* SPDX-License-Identifier: Apache-2.0
 * text/tokenizer.c - checks a vocabulary, cuts texts at control tokens, and turns ids into bytes.
 *
 * Read text/vocab.h first.  The work between two control tokens is in spm.c and bpe.c. */
#include "text/tokenizer_parts.h"

#include <stdlib.h>
#include <string.h>

/* What an unknown piece reads as: U+2047 between spaces, as SentencePiece decodes it. */
#define UNKNOWN_TEXT " \xe2\x81\x87 "

/* ---- checking ---- */

static Status check_id(const Tokenizer *t, const char *what, int32_t id, Error *error)
{
    if (id >= -1 && id < t->vocab->n_pieces) return OK;
    return fail(error, BAD_FILE, "%s: the %s token is %d, the vocabulary has %d", t->name, what, id,
                t->vocab->n_pieces);
}

static Status check_vocab(const Tokenizer *t, Error *error)
{
    const Vocab *v = t->vocab;
    if (v->kind != VOCAB_SPM && v->kind != VOCAB_BPE) {
        return fail(error, UNSUPPORTED, "%s: it has no tokenizer", t->name);
    }
    if (v->n_pieces < 1 || v->n_pieces > VOCAB_PIECES_MAX) {
        return fail(error, BAD_FILE, "%s: a vocabulary of %d pieces, expected 1 to %d", t->name,
                    v->n_pieces, VOCAB_PIECES_MAX);
    }
    if (v->n_ends < 0 || v->n_ends > VOCAB_ENDS_MAX) {
        return fail(error, BAD_FILE, "%s: %d end tokens, at most %d", t->name, v->n_ends,
                    VOCAB_ENDS_MAX);
    }
    TRY(check_id(t, "bos", v->bos, error));
    TRY(check_id(t, "eos", v->eos, error));
    TRY(check_id(t, "unknown", v->unknown, error));
    for (int i = 0; i < v->n_ends; i++) TRY(check_id(t, "end", v->ends[i], error));
    for (int32_t i = 0; i < v->n_pieces; i++) {
        const Piece *piece = &v->pieces[i];
        if (piece->n_bytes > VOCAB_PIECE_BYTES_MAX) {
            return fail(error, BAD_FILE, "%s: piece %d has %u bytes, the most is %d", t->name, i,
                        piece->n_bytes, VOCAB_PIECE_BYTES_MAX);
        }
        if (piece->type < PIECE_NORMAL || piece->type > PIECE_BYTE) {
            return fail(error, BAD_FILE, "%s: piece %d has type %d, expected 1 to 6", t->name, i,
                        piece->type);
        }
    }
    return OK;
}

/* ---- what tokens stand for ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

/* The byte of "<0x41>"; -1 for anything else. */
static int byte_of(const Piece *piece)
{
    if (piece->n_bytes != 6 || memcmp(piece->text, "<0x", 3) != 0 || piece->text[5] != '>')
        return -1;
    const int high = hex_digit(piece->text[3]), low = hex_digit(piece->text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static size_t marks_to_spaces(const char *text, size_t n_bytes, char *to)
{
    size_t n = 0;
    for (size_t i = 0; i < n_bytes;) {
        if (n_bytes - i >= 3 && memcmp(text + i, SPACE_MARK, 3) == 0) {
            to[n++] = ' ';
            i += 3;
        } else {
            to[n++] = text[i++];
        }
    }
    return n;
}

/* The bytes of one piece, written to `to` unless they can be borrowed. */
static Status piece_bytes(Tokenizer *t, int32_t id, char *to, Bytes *out, Error *error)
{
    const Vocab *v = t->vocab;
    const Piece *piece = &v->pieces[id];
    *out = (Bytes){ piece->text, piece->n_bytes };
    switch ((PieceType)piece->type) {
    case PIECE_CONTROL:
        break;                                  /* token_bytes decides whether it shows */
    case PIECE_UNKNOWN:
        *out = v->kind == VOCAB_SPM ? (Bytes){ UNKNOWN_TEXT, sizeof UNKNOWN_TEXT - 1 }
                                    : (Bytes){ "", 0 };
        break;
    case PIECE_BYTE: {
        const int byte = byte_of(piece);
        if (byte < 0) {
            return fail(error, BAD_FILE, "%s: byte piece %d is '%.32s', expected <0x00> to <0xFF>",
                        t->name, id, piece->text);
        }
        if (t->byte_pieces[byte] < 0) t->byte_pieces[byte] = id;
        to[0] = (char)byte;
        *out = (Bytes){ to, 1 };
        break;
    }
    case PIECE_USER:
        if (v->kind == VOCAB_BPE) break;        /* stored as it is read */
        /* fall through */
    case PIECE_NORMAL:
    case PIECE_UNUSED:
        *out =
            (Bytes){ to, (uint32_t)(v->kind == VOCAB_SPM
                                        ? marks_to_spaces(piece->text, piece->n_bytes, to)
                                        : bpe_letters_to_bytes(piece->text, piece->n_bytes, to)) };
        break;
    }
    return OK;
}

static Status fill_bytes(Tokenizer *t, Error *error)
{
    const Vocab *v = t->vocab;
    size_t total = 1;
    for (int32_t i = 0; i < v->n_pieces; i++) total += v->pieces[i].n_bytes;
    char *to = arena_new(&t->arena, total, 1);
    t->bytes = arena_new(&t->arena, (size_t)v->n_pieces, sizeof *t->bytes);
    if (!to || !t->bytes) return fail_memory(error, "a vocabulary");
    for (int32_t i = 0; i < v->n_pieces; i++) {
        TRY(piece_bytes(t, i, to, &t->bytes[i], error));
        to += v->pieces[i].n_bytes;             /* bytes are never more than the letters were */
    }
    return OK;
}

/* Puts every piece where texts will look for it.  Of pieces with equal texts the first wins. */
static Status index_pieces(Tokenizer *t, Error *error)
{
    const Vocab *v = t->vocab;
    for (int32_t i = 0; i < v->n_pieces; i++) {
        const Piece *piece = &v->pieces[i];
        const Bytes text =
            v->kind == VOCAB_BPE ? t->bytes[i] : (Bytes){ piece->text, piece->n_bytes };
        const bool user = piece->type == PIECE_USER;
        /* BPE never makes unused or user-defined pieces by merging; SentencePiece may meet both. */
        const bool made = piece->type == PIECE_NORMAL
                       || (v->kind == VOCAB_SPM && (user || piece->type == PIECE_UNUSED));
        bool good = true;
        if (piece->n_bytes == 0) continue;      /* nothing can match it */
        if (made) good &= map_put(&t->pieces, text.at, text.n, i, NULL);
        else good &= map_put(&t->reserved, piece->text, piece->n_bytes, i, NULL);
        if (user) good &= trie_add(&t->users, piece->text, piece->n_bytes, i);
        if (piece->type == PIECE_CONTROL)
            good &= trie_add(&t->controls, piece->text, piece->n_bytes, i);
        if (!good) return fail_memory(error, "a vocabulary");
        if (t->unknown < 0 && piece->type == PIECE_UNKNOWN) t->unknown = i;
    }
    return OK;
}

/* ---- life ---- */

static Status build(Tokenizer *t, Error *error)
{
    TRY(check_vocab(t, error));
    t->unknown = t->vocab->unknown;
    for (int i = 0; i < 256; i++) t->byte_pieces[i] = -1;
    TRY(fill_bytes(t, error));
    TRY(index_pieces(t, error));
    return t->vocab->kind == VOCAB_SPM ? spm_build(t, error) : bpe_build(t, error);
}

Status tokenizer_new(const Vocab *vocab, const char *name, Tokenizer **out, Error *error)
{
    *out = NULL;
    Tokenizer *t = calloc(1, sizeof *t);
    if (!t) return fail_memory(error, "a tokenizer");
    t->vocab = vocab;
    t->name = arena_text(&t->arena, name, strlen(name));
    const Status status = t->name ? build(t, error) : fail_memory(error, "a tokenizer");
    if (status != OK) {
        tokenizer_free(t);
        return status;
    }
    *out = t;
    return OK;
}

void tokenizer_free(Tokenizer *t)
{
    if (!t) return;
    spm_destroy(t);
    bpe_destroy(t);
    map_free(&t->pieces);
    map_free(&t->reserved);
    trie_free(&t->controls);
    trie_free(&t->users);
    arena_free(&t->arena);
    free(t);
}

const Vocab *tokenizer_vocab(const Tokenizer *t)
{
    return t->vocab;
}

bool token_list_add(TokenList *list, int32_t id)
{
    if (list->n == list->room) {
        const size_t room = list->room ? list->room * 2 : 64;
        int32_t *ids = realloc(list->ids, room * sizeof *ids);
        if (!ids) return false;
        list->ids = ids;
        list->room = room;
    }
    list->ids[list->n++] = id;
    return true;
}

void token_list_free(TokenList *list)
{
    free(list->ids);
    *list = (TokenList){ 0 };
}

/* ---- text to tokens ---- */

typedef struct Scan {
    const Tokenizer       *t;
    const char            *text;
    size_t                 n_bytes;
    const TokenizeOptions *options;
    size_t                 span;        /* the trusted span we are in or before */
} Scan;

/* How many bytes from here a control piece may take. */
static size_t control_room(Scan *scan, size_t at)
{
    const TokenizeOptions *o = scan->options;
    if (!o->parse_control) return 0;
    if (!o->trusted) return scan->n_bytes - at;
    while (scan->span < o->n_trusted && o->trusted[scan->span].end <= at) scan->span++;
    if (scan->span == o->n_trusted || o->trusted[scan->span].begin > at) return 0;
    const size_t end = o->trusted[scan->span].end;
    return (end < scan->n_bytes ? end : scan->n_bytes) - at;
}

/* The piece that is taken whole at this place, the longest that may be; -1: ordinary text.
 * SentencePiece finds user-defined pieces itself, after normalising. */
static int32_t whole_piece(Scan *scan, size_t at, size_t *length)
{
    const Tokenizer *t = scan->t;
    const uint8_t first = (uint8_t)scan->text[at];
    int32_t found = -1;
    *length = 0;
    if (t->controls.begins[first]) {
        found = trie_longest(&t->controls, scan->text + at, control_room(scan, at), length);
    }
    if (t->vocab->kind == VOCAB_BPE && t->users.begins[first]) {
        size_t user_length = 0;
        const int32_t user =
            trie_longest(&t->users, scan->text + at, scan->n_bytes - at, &user_length);
        if (user >= 0 && user_length > *length) {
            *length = user_length;
            return user;
        }
    }
    return found;
}

static Status tokenize_stretch(const Scan *scan, size_t begin, size_t end, bool prompted,
                               TokenList *out, Error *error)
{
    if (begin == end) return OK;
    const char *text = scan->text + begin;
    return scan->t->vocab->kind == VOCAB_SPM
               ? spm_tokenize(scan->t, text, end - begin, prompted, out, error)
               : bpe_tokenize(scan->t, text, end - begin, out, error);
}

static Status tokenize_all(Scan *scan, TokenList *out, Error *error)
{
    const Vocab *v = scan->t->vocab;
    const bool begin = scan->options->special && v->add_bos && v->bos >= 0;
    if (begin && !token_list_add(out, v->bos)) return fail_memory(error, "the tokens of a text");
    /* A text without control tokens is SentencePiece's own business, BOS or not. */
    bool prompted = begin && scan->options->parse_control;
    size_t done = 0;
    for (size_t at = 0, length; at < scan->n_bytes;) {
        const int32_t id = whole_piece(scan, at, &length);
        if (id < 0) {
            at++;
            continue;
        }
        TRY(tokenize_stretch(scan, done, at, prompted, out, error));
        if (!token_list_add(out, id)) return fail_memory(error, "the tokens of a text");
        prompted = true;
        done = at += length;
    }
    TRY(tokenize_stretch(scan, done, scan->n_bytes, prompted, out, error));
    const bool end = scan->options->special && v->add_eos && v->eos >= 0;
    if (end && !token_list_add(out, v->eos)) return fail_memory(error, "the tokens of a text");
    return OK;
}

Status tokenize(const Tokenizer *t, const char *text, size_t n_bytes,
                const TokenizeOptions *options, TokenList *out, Error *error)
{
    if (n_bytes > TEXT_BYTES_MAX) {
        return fail(error, BAD_ARGUMENT, "a text of %zu bytes, the most is %d", n_bytes,
                    TEXT_BYTES_MAX);
    }
    static const TokenizeOptions plain;
    Scan scan = { .t = t, .text = text, .n_bytes = n_bytes, .options = options ? options : &plain };
    const size_t n_before = out->n;
    const Status status = tokenize_all(&scan, out, error);
    if (status != OK) out->n = n_before;
    return status;
}

/* ---- tokens to bytes ---- */

const char *token_bytes(const Tokenizer *t, int32_t token, bool special, size_t *n_bytes)
{
    *n_bytes = 0;
    if (token < 0 || token >= t->vocab->n_pieces) return "";
    const Piece *piece = &t->vocab->pieces[token];
    Bytes bytes = t->bytes[token];
    if (piece->type == PIECE_CONTROL && !special) return "";
    if (piece->type == PIECE_UNKNOWN && special) bytes = (Bytes){ piece->text, piece->n_bytes };
    *n_bytes = bytes.n;
    return bytes.at;
}

bool token_ends(const Tokenizer *t, int32_t token)
{
    for (int i = 0; i < t->vocab->n_ends; i++) {
        if (t->vocab->ends[i] == token) return token >= 0;
    }
    return false;
}

int32_t token_find(const Tokenizer *t, const char *text, size_t n_bytes)
{
    const int32_t n_pieces = t->vocab->n_pieces;
    const int64_t reserved = map_get(&t->reserved, text, n_bytes, -1);
    if (reserved >= 0 || n_bytes > VOCAB_PIECE_BYTES_MAX) return (int32_t)reserved;
    const int64_t made = map_get(&t->pieces, text, n_bytes, -1);
    if (made >= 0 && made < n_pieces) return (int32_t)made;
    if (t->vocab->kind == VOCAB_SPM) return -1;
    char *bytes = malloc(n_bytes + 1);          /* BPE pieces are known by their bytes */
    if (!bytes) return -1;
    const size_t n = bpe_letters_to_bytes(text, n_bytes, bytes);
    const int64_t spelled = map_get(&t->pieces, bytes, n, -1);
    free(bytes);
    return spelled < n_pieces ? (int32_t)spelled : -1;
}
