/* SPDX-License-Identifier: Apache-2.0
 * file/sentencepiece.c - tokenizer.model: a SentencePiece ModelProto, read from its wire format.
 *
 * Source: sentencepiece_model.proto (google/sentencepiece) for the field numbers below, and the
 * Protocol Buffers encoding guide for the wire.  Unknown fields are passed over, as the wire format
 * wants; what would change tokens is refused. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/utf8.h"
#include "file/vocab_build.h"

enum { MODEL_BYTES_MAX = 64 << 20 };

enum { /* ModelProto                                    */
       MODEL_PIECE = 1,
       MODEL_TRAINER = 2,
       MODEL_NORMALIZER = 3,
       PIECE_TEXT = 1,
       PIECE_SCORE = 2,
       PIECE_TYPE = 3,
       TRAINER_MODEL_TYPE = 3,
       TRAINER_SPACE_SUFFIX = 24,
       TRAINER_UNK = 40,
       TRAINER_BOS = 41,
       TRAINER_EOS = 42,
       NORMALIZER_CHARSMAP = 2,
       NORMALIZER_PREFIX = 3,
       NORMALIZER_EXTRA = 4,
       NORMALIZER_ESCAPE = 5,
       MODEL_TYPE_UNIGRAM = 1,
       MODEL_TYPE_BPE = 2
};

typedef enum Wire { WIRE_VARINT, WIRE_64, WIRE_BYTES, WIRE_GROUP, WIRE_GROUP_END, WIRE_32 } Wire;

typedef struct Field {
    uint32_t    number;
    Wire        wire;
    uint64_t    value;                      /* of a varint                                   */
    const void *bytes;      size_t n_bytes; /* of the others                                 */
} Field;

/* ---- the wire ---- */

static uint64_t varint(Cursor *c)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        const uint8_t byte = cursor_u8(c);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return value;
    }
    c->bad = true;                          /* more than ten bytes                           */
    return 0;
}

/* False at the end and when the bytes make no sense; c->bad tells which. */
static bool next_field(Cursor *c, Field *f)
{
    if (c->bad || cursor_left(c) == 0) return false;
    const uint64_t tag = varint(c);
    *f = (Field){ .number = (uint32_t)(tag >> 3), .wire = (Wire)(tag & 7) };
    if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) c->bad = true;
    switch (f->wire) {
    case WIRE_VARINT: f->value = varint(c); break;
    case WIRE_64:     f->n_bytes = 8; break;
    case WIRE_32:     f->n_bytes = 4; break;
    case WIRE_BYTES: {
        const uint64_t n = varint(c);
        if (n > cursor_left(c)) c->bad = true;
        else f->n_bytes = (size_t)n;
        break;
    }
    default: c->bad = true; break;          /* groups are older than any of these files      */
    }
    if (f->wire != WIRE_VARINT) f->bytes = cursor_take(c, f->n_bytes);
    return !c->bad;
}

bool looks_like_sentencepiece(const uint8_t *head, size_t n)
{
    return n >= 2 && head[0] == (MODEL_PIECE << 3 | WIRE_BYTES);    /* pieces come first     */
}

/* ---- the model ---- */

typedef struct Reader {
    Build        *build;
    const char   *path;
    const uint8_t *begin;                   /* of the file, to name a byte                   */
    int64_t       model_type;
    bool          space_suffix;
} Reader;

static Status damaged(const Reader *r, const Cursor *c, const char *where, Error *error)
{
    return fail(error, BAD_FILE,
                "%s: byte %lld: expected a SentencePiece %s, found something else or the end",
                r->path, (long long)(c->at - r->begin), where);
}

static Status read_piece(Reader *r, const Field *from, Error *error)
{
    Catalog *catalog = r->build->catalog;
    Vocab *v = &catalog->vocab;
    Cursor c = cursor_over(from->bytes, from->n_bytes);
    Piece piece = { .type = PIECE_NORMAL };
    Field f;
    const void *text = "";
    while (next_field(&c, &f)) {
        if (f.number == PIECE_TEXT && f.wire == WIRE_BYTES && f.n_bytes <= VOCAB_PIECE_BYTES_MAX) {
            text = f.bytes;
            piece.n_bytes = (uint32_t)f.n_bytes;
        } else if (f.number == PIECE_SCORE && f.wire == WIRE_32) {
            memcpy(&piece.score, f.bytes, sizeof piece.score);
        } else if (f.number == PIECE_TYPE && f.wire == WIRE_VARINT) {
            piece.type = f.value <= PIECE_BYTE ? (uint8_t)f.value : 0;
        } else if (f.number <= PIECE_TYPE) {
            c.bad = true;
        }
    }
    if (c.bad) return damaged(r, &c, "piece", error);
    if (piece.n_bytes == 0 || memchr(text, 0, piece.n_bytes) || !utf8_valid(text, piece.n_bytes))
        return fail(error, BAD_FILE, "%s: token %d: expected text in UTF-8, found %s", r->path,
                    v->n_pieces, piece.n_bytes ? "other bytes" : "none");
    if (v->n_pieces >= VOCAB_PIECES_MAX)
        return fail(error, BAD_FILE, "%s: vocabulary: expected at most %d tokens, found more",
                    r->path, VOCAB_PIECES_MAX);
    Piece *pieces = build_grow(&catalog->arena, v->pieces, v->n_pieces, sizeof *pieces);
    if (pieces) v->pieces = pieces;
    piece.text = build_text(r->build, text, piece.n_bytes);
    if (!pieces || !piece.text) return fail_memory(error, "the vocabulary");
    pieces[v->n_pieces++] = piece;
    return OK;
}

/* -1 is written as a 64-bit varint, so the low 32 bits are what counts. */
static int32_t id_of(uint64_t value)
{
    const uint32_t low = (uint32_t)value;
    return low > INT32_MAX ? -1 : (int32_t)low;
}

static Status read_trainer(Reader *r, const Field *from, Error *error)
{
    Vocab *v = &r->build->catalog->vocab;
    Cursor c = cursor_over(from->bytes, from->n_bytes);
    Field f;
    while (next_field(&c, &f)) {
        if (f.wire != WIRE_VARINT) continue;
        switch (f.number) {
        case TRAINER_MODEL_TYPE:   r->model_type = f.value > 99 ? 99 : (int64_t)f.value; break;
        case TRAINER_SPACE_SUFFIX: r->space_suffix = f.value != 0; break;
        case TRAINER_UNK:          v->unknown = id_of(f.value); break;
        case TRAINER_BOS:          v->bos = id_of(f.value); break;
        case TRAINER_EOS:          v->eos = id_of(f.value); break;
        default: break;
        }
    }
    return c.bad ? damaged(r, &c, "trainer_spec", error) : OK;
}

static Status read_normalizer(Reader *r, const Field *from, Error *error)
{
    Vocab *v = &r->build->catalog->vocab;
    Cursor c = cursor_over(from->bytes, from->n_bytes);
    Field f;
    while (next_field(&c, &f)) {
        if (f.number == NORMALIZER_CHARSMAP && f.wire == WIRE_BYTES) {
            v->charsmap =
                f.n_bytes ? arena_text(&r->build->catalog->arena, f.bytes, f.n_bytes) : NULL;
            v->charsmap_bytes = f.n_bytes;
            if (f.n_bytes && !v->charsmap) return fail_memory(error, "the charsmap");
        }
        if (f.wire != WIRE_VARINT) continue;
        if (f.number == NORMALIZER_PREFIX) v->add_space_prefix = f.value != 0;
        if (f.number == NORMALIZER_EXTRA) v->remove_extra_whitespaces = f.value != 0;
        if (f.number == NORMALIZER_ESCAPE) v->escape_whitespaces = f.value != 0;
    }
    return c.bad ? damaged(r, &c, "normalizer_spec", error) : OK;
}

static Status read_model(Reader *r, Cursor c, Error *error)
{
    Field f;
    while (next_field(&c, &f)) {
        if (f.number > MODEL_NORMALIZER) continue;          /* self tests, denormaliser     */
        if (f.wire != WIRE_BYTES) return damaged(r, &c, "model", error);
        if (f.number == MODEL_PIECE) TRY(read_piece(r, &f, error));
        if (f.number == MODEL_TRAINER) TRY(read_trainer(r, &f, error));
        if (f.number == MODEL_NORMALIZER) TRY(read_normalizer(r, &f, error));
    }
    if (c.bad) return damaged(r, &c, "model", error);
    if (r->model_type != MODEL_TYPE_BPE) {
        static const char *const types[] = { "none", "unigram", "BPE", "word", "char" };
        return fail(error, UNSUPPORTED, "%s: model_type: expected BPE, found %s", r->path,
                    r->model_type < ARRAY_LEN(types) ? types[r->model_type] : "an unknown one");
    }
    if (r->space_suffix)
        return fail(error, UNSUPPORTED,
                    "%s: treat_whitespace_as_suffix: expected false, found true", r->path);
    return OK;
}

Status sentencepiece_read(Build *b, const char *path, Error *error)
{
    char *text;
    size_t n_bytes;
    TRY(file_slurp(path, MODEL_BYTES_MAX, &text, &n_bytes, error));
    /* The proto's own defaults, for fields that a file leaves out. */
    b->catalog->vocab = (Vocab){.kind = VOCAB_SPM,
                                .unknown = 0,
                                .bos = 1,
                                .eos = 2,
                                .add_bos = true,
                                .add_space_prefix = true,
                                .remove_extra_whitespaces = true,
                                .escape_whitespaces = true};
    Reader reader = {
        .build = b, .path = path, .begin = (const uint8_t *)text, .model_type = MODEL_TYPE_UNIGRAM};
    const Status status = read_model(&reader, cursor_over(text, n_bytes), error);
    free(text);
    return status;
}
