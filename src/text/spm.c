/* SPDX-License-Identifier: Apache-2.0
 * text/spm.c - SentencePiece BPE, id for id as the library does it.
 *
 * A text is normalised (spaces become U+2581, the model's charsmap replaces), cut into characters
 * and user-defined pieces, and neighbours are joined by score until nothing more joins.  What is
 * then no piece goes as bytes, or as the unknown piece.
 * Source: github.com/google/sentencepiece, behaviour of version 0.1.97; tests compare with it. */
#include "base/utf8.h"
#include "text/tokenizer_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MARK_BYTES = 3 };                        /* of SPACE_MARK                           */

static bool is_mark(const char *text, size_t n_bytes)
{
    return n_bytes >= MARK_BYTES && memcmp(text, SPACE_MARK, MARK_BYTES) == 0;
}

/* ---- building ---- */

typedef struct Scored { float score; int32_t piece; } Scored;

static int by_falling_score(const void *a, const void *b)
{
    const float x = ((const Scored *)a)->score, y = ((const Scored *)b)->score;
    return (x < y) - (x > y);
}

/* Merges compare ranks instead of scores, so that a candidate is one number (see bpe_merge.c). */
static Status rank_scores(Tokenizer *t, Error *error)
{
    const Vocab *v = t->vocab;
    t->spm.ranks = arena_new(&t->arena, (size_t)v->n_pieces, sizeof *t->spm.ranks);
    Scored *sorted = malloc((size_t)v->n_pieces * sizeof *sorted);
    if (!t->spm.ranks || !sorted) {
        free(sorted);
        return fail_memory(error, "the scores of a vocabulary");
    }
    Status status = OK;
    for (int32_t i = 0; i < v->n_pieces; i++) {
        sorted[i] = (Scored){ v->pieces[i].score, i };
        if (isnan(v->pieces[i].score)) {
            status = fail(error, BAD_FILE, "%s: the score of piece %d is not a number", t->name, i);
            break;
        }
    }
    if (status == OK) {
        qsort(sorted, (size_t)v->n_pieces, sizeof *sorted, by_falling_score);
        uint32_t rank = 0;
        for (int32_t i = 0; i < v->n_pieces; i++) {
            if (i && sorted[i].score < sorted[i - 1].score) rank++;
            t->spm.ranks[sorted[i].piece] = rank;
        }
    }
    free(sorted);
    return status;
}

/* Does a space mark follow something else inside the piece? */
static bool has_inner_mark(const Piece *piece)
{
    for (uint32_t i = 1; i + MARK_BYTES <= piece->n_bytes; i++) {
        if (!is_mark(piece->text + i, piece->n_bytes - i)) continue;
        if (i < MARK_BYTES || !is_mark(piece->text + i - MARK_BYTES, MARK_BYTES)) return true;
    }
    return false;
}

Status spm_build(Tokenizer *t, Error *error)
{
    const Vocab *v = t->vocab;
    TRY(rank_scores(t, error));
    t->spm.by_words = true;
    for (int32_t i = 0; i < v->n_pieces; i++) {
        const Piece *piece = &v->pieces[i];
        if (piece->type == PIECE_UNUSED) t->spm.has_unused = true;
        if (piece->type != PIECE_NORMAL && piece->type != PIECE_UNUSED) continue;
        if (piece->n_bytes > t->spm.longest) t->spm.longest = piece->n_bytes;
        if (has_inner_mark(piece)) t->spm.by_words = false;
    }
    if (t->spm.has_unused) t->spm.by_words = false;         /* see `splits` below */
    bool all_bytes = true;
    for (int i = 0; i < 256; i++) all_bytes &= t->byte_pieces[i] >= 0;
    if (!all_bytes && t->unknown < 0) {
        return fail(error, BAD_FILE,
                    "%s: vocabulary with neither an unknown piece nor all 256 byte pieces",
                    t->name);
    }
    if (!v->charsmap) return OK;
    return charsmap_open(v->charsmap, v->charsmap_bytes, t->name, &t->spm.charsmap, error);
}

void spm_destroy(Tokenizer *t)
{
    charsmap_close(&t->spm.charsmap);
}

/* ---- normalising ---- */

/* How many bytes go as one, and what stands for them: a user-defined piece as it is, a rule of the
 * charsmap, a character, or U+FFFD for one byte that is not UTF-8. */
static size_t next_unit(const Tokenizer *t, const char *text, size_t n_bytes, const char **as,
                        size_t *as_bytes)
{
    size_t n;
    *as = text;
    if (trie_longest(&t->users, text, n_bytes, &n) >= 0) {
        *as_bytes = n;
        return n;
    }
    n = charsmap_replace(&t->spm.charsmap, text, n_bytes, as);
    if (n) {
        *as_bytes = strlen(*as);
        return n;
    }
    uint32_t point;
    n = utf8_decode(text, n_bytes, &point);
    *as_bytes = n;
    if (n) return n;
    *as = REPLACEMENT;
    *as_bytes = strlen(REPLACEMENT);
    return 1;
}

/* SentencePiece puts a space in front of a text, so that its first word looks like all others.
 *
 * It never sees control tokens, so what happens after one is for us to say.  Models were trained
 * on stretches encoded one by one: each stretch got its prefix.  A prompt written out as text
 * often shows that same space ("<s> [INST]"); it must not become two.  So after a control token
 * the prefix is given unless the stretch brings its own space: "<s>[INST]" and "<s> [INST]" are
 * the same tokens.  A user-defined piece there is a marker such as <|im_start|>, which no model
 * saw a space in front of. */
static bool prefix_wanted(const Tokenizer *t, const char *text, size_t n_bytes, bool prompted)
{
    if (!t->vocab->add_space_prefix) return false;
    size_t length;
    if (!prompted) return true;
    if (trie_longest(&t->users, text, n_bytes, &length) >= 0) return false;
    return t->vocab->remove_extra_whitespaces || text[0] != ' ';
}

static void add_escaped(const Tokenizer *t, const char *text, size_t n_bytes, Buffer *out)
{
    if (!t->vocab->escape_whitespaces) {
        buffer_append(out, text, n_bytes);
        return;
    }
    size_t done = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        if (text[i] != ' ') continue;
        buffer_append(out, text + done, i - done);
        buffer_append(out, SPACE_MARK, MARK_BYTES);
        done = i + 1;
    }
    buffer_append(out, text + done, n_bytes - done);
}

static void normalise(const Tokenizer *t, const char *text, size_t n_bytes, bool prompted,
                      Buffer *out)
{
    const bool tidy = t->vocab->remove_extra_whitespaces;
    const char *as;
    size_t as_bytes, at = 0;
    while (tidy && at < n_bytes) {                          /* spaces in front */
        const size_t n = next_unit(t, text + at, n_bytes - at, &as, &as_bytes);
        if (as_bytes != 1 || as[0] != ' ') break;
        at += n;
    }
    if (at == n_bytes) return;
    if (prefix_wanted(t, text + at, n_bytes - at, prompted)) add_escaped(t, " ", 1, out);

    bool after_space = tidy;
    while (at < n_bytes) {
        at += next_unit(t, text + at, n_bytes - at, &as, &as_bytes);
        for (; after_space && as_bytes && as[0] == ' '; as++) as_bytes--;
        if (!as_bytes) continue;
        add_escaped(t, as, as_bytes, out);
        after_space = tidy && as[as_bytes - 1] == ' ';
    }

    const char *space = t->vocab->escape_whitespaces ? SPACE_MARK : " ";
    const size_t space_bytes = strlen(space);
    while (tidy && out->n_bytes >= space_bytes
           && memcmp(out->data + out->n_bytes - space_bytes, space, space_bytes) == 0) {
        out->n_bytes -= space_bytes;                        /* and behind */
    }
}

/* ---- merging ---- */

typedef struct Segment { uint32_t begin, end; int32_t id; } Segment;

/* One stretch on its way to tokens. */
typedef struct Stretch {
    const Tokenizer *t;
    const char      *text;          /* normalised                                          */
    MergeWork        work;
    bool             after_unknown;
    /* Unused pieces take part in merging but may not come out: they fall apart into the last pair
     * that was seen to make them, anywhere in the text.  So with them the text is one word.
     * splits[piece]: bytes of the left half; NULL when the vocabulary has none. */
    uint32_t        *splits;
    Segment         *stack;         /* pieces still to fall apart                          */
    size_t           stack_room;
    TokenList       *out;
} Stretch;

static bool join(const MergeRule *rule, const MergeSymbol *left, const MergeSymbol *right,
                 uint32_t end, uint32_t *rank, int32_t *merged)
{
    const Tokenizer *t = rule->self;
    const Stretch *s = rule->scratch;
    const Piece *pieces = t->vocab->pieces;
    const uint32_t n_bytes = end - left->begin;
    if (n_bytes > t->spm.longest) return false;
    /* User-defined pieces stay whole.  Merging cannot make one: it would have been matched first. */
    if (left->id >= 0 && pieces[left->id].type == PIECE_USER) return false;
    if (right->id >= 0 && pieces[right->id].type == PIECE_USER) return false;
    const int32_t id = (int32_t)map_get(&t->pieces, s->text + left->begin, n_bytes, -1);
    if (id < 0) return false;
    *rank = t->spm.ranks[id];
    *merged = id;
    if (s->splits && pieces[id].type == PIECE_UNUSED) s->splits[id] = right->begin - left->begin;
    return true;
}

/* A character that is no piece: its bytes if the vocabulary has them, else one unknown piece for a
 * whole run of such characters. */
static bool emit_unknown(Stretch *s, uint32_t begin, uint32_t end)
{
    const Tokenizer *t = s->t;
    bool as_bytes = true;
    for (uint32_t i = begin; i < end; i++) as_bytes &= t->byte_pieces[(uint8_t)s->text[i]] >= 0;
    if (!as_bytes) {
        const bool again = s->after_unknown;
        s->after_unknown = true;
        return again || token_list_add(s->out, t->unknown);
    }
    for (uint32_t i = begin; i < end; i++) {
        if (!token_list_add(s->out, t->byte_pieces[(uint8_t)s->text[i]])) return false;
    }
    return true;
}

static bool emit_piece(Stretch *s, Segment piece)
{
    if (piece.id < 0) {
        piece.id =
            (int32_t)map_get(&s->t->pieces, s->text + piece.begin, piece.end - piece.begin, -1);
    }
    if (piece.id < 0) return emit_unknown(s, piece.begin, piece.end);
    s->after_unknown = false;
    return token_list_add(s->out, piece.id);
}

static bool stack_room_for(Stretch *s, size_t n)
{
    if (n <= s->stack_room) return true;
    const size_t room = s->stack_room ? s->stack_room * 2 : 64;
    Segment *stack = realloc(s->stack, room * sizeof *stack);
    if (!stack) return false;
    s->stack = stack;
    s->stack_room = room;
    return true;
}

/* Gives out a merged symbol; unused pieces fall apart, left half first.  Halves are shorter than
 * their whole, so this ends. */
static bool emit(Stretch *s, uint32_t begin, uint32_t end, int32_t id)
{
    if (!s->splits) return emit_piece(s, (Segment){ begin, end, id });
    size_t n = 0;
    if (!stack_room_for(s, 2)) return false;
    s->stack[n++] = (Segment){ begin, end, id };
    while (n) {
        Segment whole = s->stack[--n];
        if (whole.id < 0) {
            whole.id =
                (int32_t)map_get(&s->t->pieces, s->text + whole.begin, whole.end - whole.begin, -1);
        }
        const uint32_t left = whole.id >= 0 ? s->splits[whole.id] : 0;
        if (!left) {
            if (!emit_piece(s, whole)) return false;
            continue;
        }
        if (!stack_room_for(s, n + 2)) return false;
        s->stack[n++] = (Segment){ whole.begin + left, whole.end, -1 };
        s->stack[n++] = (Segment){ whole.begin, whole.begin + left, -1 };
    }
    return true;
}

/* Merges the symbols gathered so far and gives them out. */
static bool finish_word(Stretch *s)
{
    MergeWork *work = &s->work;
    if (work->n == 0) return true;
    const MergeRule rule = { .self = s->t, .scratch = s, .join = join };
    if (!merge_run(work, &rule)) return false;
    for (uint32_t i = 0; i != MERGE_NONE; i = work->symbols[i].next) {
        const uint32_t next = work->symbols[i].next;
        const uint32_t end = next == MERGE_NONE ? work->end : work->symbols[next].begin;
        if (!emit(s, work->symbols[i].begin, end, work->symbols[i].id)) return false;
    }
    merge_clear(work);
    return true;
}

/* Bytes of the character a first byte announces, valid or not. */
static size_t announced(char first)
{
    static const uint8_t by_half[16] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4 };
    return by_half[(uint8_t)first >> 4];
}

/* Cuts the normalised text into symbols.  A word ends where no merge can cross: that keeps heaps
 * small, and changes no id, because what happens on one side never depends on the other. */
static bool tokenize_normal(Stretch *s, size_t n_bytes)
{
    const Tokenizer *t = s->t;
    bool after_mark = false;
    for (size_t at = 0, n; at < n_bytes; at += n) {
        const int32_t user = trie_longest(&t->users, s->text + at, n_bytes - at, &n);
        if (user < 0) {
            n = announced(s->text[at]);
            if (n > n_bytes - at) n = n_bytes - at;
        }
        const bool mark = user < 0 && is_mark(s->text + at, n);
        const bool cut = t->spm.by_words && (user >= 0 || (mark && !after_mark));
        if (cut && !finish_word(s)) return false;
        if (!merge_add(&s->work, (uint32_t)at, (uint32_t)(at + n), user)) return false;
        if (t->spm.by_words && user >= 0 && !finish_word(s)) return false;
        after_mark = mark;
    }
    return finish_word(s);
}

Status spm_tokenize(const Tokenizer *t, const char *text, size_t n_bytes, bool prompted,
                    TokenList *out, Error *error)
{
    Buffer normal = { 0 };
    normalise(t, text, n_bytes, prompted, &normal);
    Stretch s = { .t = t, .text = normal.data, .out = out };
    if (t->spm.has_unused) s.splits = calloc((size_t)t->vocab->n_pieces, sizeof *s.splits);
    Status status = OK;
    if (normal.failed || (t->spm.has_unused && !s.splits)) {
        status = fail_memory(error, "the normalised text");
    } else if (normal.n_bytes >= UINT32_MAX) {
        status = fail(error, BAD_ARGUMENT,
                      "a text of %zu bytes becomes %zu when normalised, the most is %u", n_bytes,
                      normal.n_bytes, UINT32_MAX - 1);
    } else if (!tokenize_normal(&s, normal.n_bytes)) {
        status = fail_memory(error, "the tokens of a text");
    }
    merge_free(&s.work);
    free(s.stack);
    free(s.splits);
    buffer_free(&normal);
    return status;
}
