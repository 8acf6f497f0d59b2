/* SPDX-License-Identifier: Apache-2.0
 * file/vocab_build.c - see vocab_build.h. */
#include "file/vocab_build.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Texts that end a turn in every model that has them as a control or added token. */
static const char *const end_marks[] = {
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|endoftext|>", "<|end_of_text|>", "<end_of_turn>",
    "<|end_of_turn|>", "<|EOT|>", "<EOT>", "<end_of_utterance>",
};

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
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
        if (strlen(end_marks[i]) == p->n_bytes && memcmp(end_marks[i], p->text, p->n_bytes) == 0) return true;
    return false;
}

static Status check_piece(const Vocab *v, int32_t id, const char *path, Error *error)
{
    const Piece *p = &v->pieces[id];
    if (p->type < PIECE_NORMAL || p->type > PIECE_BYTE)
        return fail(error, BAD_FILE, "%s: token %d: expected a type from 1 to 6, found %d", path, id, p->type);
    if (!isfinite(p->score))
        return fail(error, BAD_FILE, "%s: token %d: expected a finite score, found %g", path, id, (double)p->score);
    if (v->kind == VOCAB_SPM && p->type == PIECE_BYTE && vocab_byte_value(p->text, p->n_bytes) < 0)
        return fail(error, BAD_FILE, "%s: token %d: expected a byte from <0x00> to <0xFF>, found '%.100s'", path, id,
                    p->text);
    return OK;
}

static Status check_id(const Vocab *v, const char *what, int64_t id, const char *path, Error *error)
{
    if (id >= -1 && id < v->n_pieces) return OK;
    return fail(error, BAD_FILE, "%s: %s token: expected an id below %d, found %lld", path, what, v->n_pieces,
                (long long)id);
}

Status vocab_check(Vocab *v, const char *path, Error *error)
{
    if (v->n_pieces < 1) return fail(error, BAD_FILE, "%s: vocabulary: expected tokens, found none", path);
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
        return fail(error, BAD_FILE, "%s: vocabulary: expected at most %d tokens, found %lld", path, VOCAB_PIECES_MAX,
                    (long long)n);
    Piece *pieces = arena_new(&b->catalog->arena, (size_t)n, sizeof *pieces);
    if (!pieces) return fail_memory(error, "the vocabulary");
    if (v->n_pieces) memcpy(pieces, v->pieces, (size_t)v->n_pieces * sizeof *pieces);
    for (int64_t id = v->n_pieces; id < n; id++) {
        char name[32];
        const int n_bytes = snprintf(name, sizeof name, "[PAD%lld]", (long long)id);
        pieces[id] = (Piece){ .text = build_text(b, name, (size_t)n_bytes), .n_bytes = (uint32_t)n_bytes,
                              .type = PIECE_UNUSED };
        if (!pieces[id].text) return fail_memory(error, "the vocabulary");
    }
    v->pieces = pieces;
    v->n_pieces = (int32_t)n;
    return OK;
}
