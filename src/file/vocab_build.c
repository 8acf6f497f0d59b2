/* SPDX-License-Identifier: Apache-2.0
 * file/vocab_build.c - see vocab_build.h. */
#include "file/vocab_build.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Texts that end a turn in every model that has them as a control or added token. */
static const char *const end_marks[] = {
    "<|im_end|>",    "<|eot_id|>",      "<|eom_id|>",         "<|end|>",
    "<|endoftext|>", "<|end_of_text|>", "<end_of_turn>",      "<|end_of_turn|>",
    "<|EOT|>",       "<EOT>",           "<end_of_utterance>",
};

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

int vocab_byte_value(const char *text, size_t n_bytes)
{
    if (n_bytes != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
    const int high = hex_digit(text[3]), low = hex_digit(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

void vocab_add_end(Vocab *v, int64_t id)
{
    if (id < 0 || id >= v->n_pieces) return;
    for (int i = 0; i < v->n_ends; i++)
        if (v->ends[i] == id) return;
    if (v->n_ends < VOCAB_ENDS_MAX) v->ends[v->n_ends++] = (int32_t)id;
}

static bool is_end_mark(const Piece *p)
{
    if (p->type != PIECE_CONTROL && p->type != PIECE_USER) return false;
    for (int i = 0; i < ARRAY_LEN(end_marks); i++)
        if (strlen(end_marks[i]) == p->n_bytes && memcmp(end_marks[i], p->text, p->n_bytes) == 0)
            return true;
    return false;
}

static Status check_piece(const Vocab *v, int32_t id, const char *path, Error *error)
{
    const Piece *p = &v->pieces[id];
    if (p->type < PIECE_NORMAL || p->type > PIECE_BYTE)
        return fail(error, BAD_FILE, "%s: token %d: expected a type from 1 to 6, found %d", path,
                    id, p->type);
    if (!isfinite(p->score))
        return fail(error, BAD_FILE, "%s: token %d: expected a finite score, found %g", path, id,
                    (double)p->score);
    if (v->kind == VOCAB_SPM && p->type == PIECE_BYTE && vocab_byte_value(p->text, p->n_bytes) < 0)
        return fail(error, BAD_FILE,
                    "%s: token %d: expected a byte from <0x00> to <0xFF>, found '%.100s'", path, id,
                    p->text);
    return OK;
}

static Status check_id(const Vocab *v, const char *what, int64_t id, const char *path, Error *error)
{
    if (id >= -1 && id < v->n_pieces) return OK;
    return fail(error, BAD_FILE, "%s: %s token: expected an id below %d, found %lld", path, what,
                v->n_pieces, (long long)id);
}

Status vocab_check(Vocab *v, const char *path, Error *error)
{
    if (v->n_pieces < 1)
        return fail(error, BAD_FILE, "%s: vocabulary: expected tokens, found none", path);
    TRY(check_id(v, "bos", v->bos, path, error));
    TRY(check_id(v, "eos", v->eos, path, error));
    TRY(check_id(v, "unknown", v->unknown, path, error));
    vocab_add_end(v, v->eos);
    for (int32_t id = 0; id < v->n_pieces; id++) {
        TRY(check_piece(v, id, path, error));
        if (is_end_mark(&v->pieces[id])) vocab_add_end(v, id);
    }
    return OK;
}

Status vocab_pad(Build *b, int64_t n, const char *path, Error *error)
{
    Vocab *v = &b->catalog->vocab;
    if (n <= v->n_pieces) return OK;
    if (n > VOCAB_PIECES_MAX)
        return fail(error, BAD_FILE, "%s: vocabulary: expected at most %d tokens, found %lld", path,
                    VOCAB_PIECES_MAX, (long long)n);
    Piece *pieces = arena_new(&b->catalog->arena, (size_t)n, sizeof *pieces);
    if (!pieces) return fail_memory(error, "the vocabulary");
    if (v->n_pieces) memcpy(pieces, v->pieces, (size_t)v->n_pieces * sizeof *pieces);
    for (int64_t id = v->n_pieces; id < n; id++) {
        char name[32];
        const int n_bytes = snprintf(name, sizeof name, "[PAD%lld]", (long long)id);
        pieces[id] = (Piece){.text = build_text(b, name, (size_t)n_bytes),
                             .n_bytes = (uint32_t)n_bytes,
                             .type = PIECE_UNUSED};
        if (!pieces[id].text) return fail_memory(error, "the vocabulary");
    }
    v->pieces = pieces;
    v->n_pieces = (int32_t)n;
    return OK;
}

int32_t vocab_find(const Vocab *v, const char *text)
{
    const size_t n = strlen(text);
    for (int32_t id = 0; id < v->n_pieces; id++)
        if (v->pieces[id].n_bytes == n && memcmp(v->pieces[id].text, text, n) == 0) return id;
    return -1;
}

/* Spaces of an added token's text are spaces; in a SentencePiece vocabulary they are U+2581. */
static char *spelled(Build *b, const char *text, bool escape, size_t *n_bytes)
{
    size_t n = 0;
    for (const char *c = text; *c; c++) n += escape && *c == ' ' ? 3 : 1;
    char *copy = build_text(b, NULL, n);
    *n_bytes = n;
    for (char *to = copy; copy && *text; text++) {
        if (escape && *text == ' ') memcpy(to, "\xe2\x96\x81", 3), to += 3;
        else *to++ = *text;
    }
    return copy;
}

static Status add_token(Build *b, const Added *added, const char *path, Error *error)
{
    Vocab *v = &b->catalog->vocab;
    Piece *p = &v->pieces[added->id];
    if (strlen(added->text) > VOCAB_PIECE_BYTES_MAX / 3)
        return fail(error, BAD_FILE, "%s: token %lld: expected text of at most %d bytes, found %zu",
                    path, (long long)added->id, VOCAB_PIECE_BYTES_MAX / 3, strlen(added->text));
    size_t n_bytes;
    const bool escape = v->kind == VOCAB_SPM && !added->special;
    p->text = spelled(b, added->text, escape, &n_bytes);
    if (!p->text) return fail_memory(error, "the vocabulary");
    p->n_bytes = (uint32_t)n_bytes;
    /* <unk> is listed as special too, but it means more than that. */
    if (p->type != PIECE_UNKNOWN) p->type = added->special ? PIECE_CONTROL : PIECE_USER;
    return OK;
}

Status vocab_add_tokens(Build *b, const Added *added, int64_t n, const char *path, Error *error)
{
    int64_t id_max = -1;
    for (int64_t i = 0; i < n; i++) {
        if (added[i].id < 0 || added[i].id >= VOCAB_PIECES_MAX)
            return fail(error, BAD_FILE,
                        "%s: added token '%.60s': expected an id below %d, found %lld", path,
                        added[i].text, VOCAB_PIECES_MAX, (long long)added[i].id);
        if (added[i].id > id_max) id_max = added[i].id;
    }
    TRY(vocab_pad(b, id_max + 1, path, error));
    for (int64_t i = 0; i < n; i++) TRY(add_token(b, &added[i], path, error));
    return OK;
}
