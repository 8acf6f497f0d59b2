/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/text/small_vocab.h - two vocabularies small enough to reason about, one of each kind.
 *
 * Both have every byte, so any valid text can be written and read back.  Used by unit tests and by
 * the fuzz target. */
#ifndef TESTS_SMALL_VOCAB_H
#define TESTS_SMALL_VOCAB_H

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "text/tokenizer.h"

enum { SMALL_MAX = 512, SMALL_TEXT_MAX = 16 };

typedef struct SmallVocab {
    Vocab vocab;
    Piece pieces[SMALL_MAX];
    Merge merges[SMALL_MAX];
    char  texts[SMALL_MAX][SMALL_TEXT_MAX];
} SmallVocab;

static inline int32_t small_add(SmallVocab *s, const char *text, PieceType type, float score)
{
    const int32_t id = s->vocab.n_pieces++;
    snprintf(s->texts[id], SMALL_TEXT_MAX, "%s", text);
    s->pieces[id] = (Piece){ .text = s->texts[id], .n_bytes = (uint32_t)strlen(s->texts[id]),
                             .score = score, .type = (uint8_t)type };
    return id;
}

/* Ids: <unk> 0, <s> 1, </s> 2, [INST] 3, [/INST] 4, <tool> 5, bytes 6 to 261, then the rest. */
static inline void small_spm(SmallVocab *s)
{
    static const char *const made[] = {
        "\xe2\x96\x81t",
        "he",
        "\xe2\x96\x81the",
        "in",
        "er",
        "\xe2\x96\x81\xe2\x96\x81",
        "aa",
        "aaaa",
        "aaaaaaaa",
        "\xe2\x96\x81\xe2\x96\x81\xe2\x96\x81\xe2\x96\x81",
        "\xe2\x96\x81[",
        "IN",
        "ST",
        "INST",
        "\xc3\xa9t",
    };
    memset(s, 0, sizeof *s);
    small_add(s, "<unk>", PIECE_UNKNOWN, 0);
    small_add(s, "<s>", PIECE_CONTROL, 0);
    small_add(s, "</s>", PIECE_CONTROL, 0);
    small_add(s, "[INST]", PIECE_CONTROL, 0);
    small_add(s, "[/INST]", PIECE_CONTROL, 0);
    small_add(s, "<tool>", PIECE_USER, 0);
    for (int i = 0; i < 256; i++) {
        char text[SMALL_TEXT_MAX];
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)i);
        small_add(s, text, PIECE_BYTE, 0);
    }
    for (int i = 0; i < ARRAY_LEN(made); i++) small_add(s, made[i], PIECE_NORMAL, (float)-i);
    for (const char *c = "abcdefghijklmnopqrstuvwxyzINST[]/"; *c; c++) {
        small_add(s, (const char[]){ *c, 0 }, PIECE_NORMAL, -100);
    }
    small_add(s, "\xe2\x96\x81", PIECE_NORMAL, -100);
    small_add(s, "\xc3\xa9", PIECE_NORMAL, -100);
    Vocab *v = &s->vocab;
    v->kind = VOCAB_SPM;
    v->pieces = s->pieces;
    v->bos = 1;
    v->eos = 2;
    v->ends[0] = 2;
    v->n_ends = 1;
    v->add_bos = v->add_space_prefix = v->escape_whitespaces = true;
}

static inline void small_letter(int byte, char out[4])
{
    const bool prints = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
    int point = byte;
    if (!prints) {
        point = 0x100;
        for (int i = 0; i < byte; i++)
            point += !((i >= 0x21 && i <= 0x7e) || (i >= 0xa1 && i != 0xad));
    }
    out[utf8_encode((uint32_t)point, out)] = 0;
}

/* Ids: bytes 0 to 255, then the merges in order, then <|bos|>, <|end|> and <tool>. */
static inline void small_bpe(SmallVocab *s)
{
    static const char *const made[][2] = {
        { "\xc4\xa0", "t" }, { "h", "e" }, { "\xc4\xa0t", "he" }, { "i", "n" }, { "e", "r" },
        { "\xc4\xa0", "\xc4\xa0" }, { "a", "a" }, { "aa", "aa" }, { "aaaa", "aaaa" },
        { "\xc4\xa0\xc4\xa0", "\xc4\xa0\xc4\xa0" }, { "\xc3\x83", "\xc2\xa9" },
    };
    memset(s, 0, sizeof *s);
    for (int i = 0; i < 256; i++) {
        char letter[5];
        small_letter(i, letter);
        small_add(s, letter, PIECE_NORMAL, 0);
    }
    Vocab *v = &s->vocab;
    for (int i = 0; i < ARRAY_LEN(made); i++) {
        char both[SMALL_TEXT_MAX];
        snprintf(both, sizeof both, "%s%s", made[i][0], made[i][1]);
        small_add(s, both, PIECE_NORMAL, 0);
        s->merges[v->n_merges++] = (Merge){ made[i][0], made[i][1], (uint32_t)strlen(made[i][0]),
                                            (uint32_t)strlen(made[i][1]) };
    }
    v->kind = VOCAB_BPE;
    v->pieces = s->pieces;
    v->merges = s->merges;
    v->pre = "gpt-2";
    v->bos = small_add(s, "<|bos|>", PIECE_CONTROL, 0);
    v->eos = small_add(s, "<|end|>", PIECE_CONTROL, 0);
    small_add(s, "<tool>", PIECE_USER, 0);
    v->unknown = -1;
    v->ends[0] = v->eos;
    v->n_ends = 1;
    v->add_bos = true;
}

#endif
