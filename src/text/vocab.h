/* SPDX-License-Identifier: Apache-2.0
 * text/vocab.h - what a tokenizer is made of, whichever file it came from.
 *
 * file/ fills one from GGUF keys, a SentencePiece model or a tokenizer.json; tokenizer_new()
 * checks it and builds the tokenizer.  Plain data: strings are borrowed from the catalog's arena. */
#ifndef TEXT_VOCAB_H
#define TEXT_VOCAB_H

#include "base/base.h"

typedef enum VocabKind {
    VOCAB_NONE,                     /* the model has no tokenizer (ids only)               */
    VOCAB_SPM,                      /* SentencePiece BPE: scores decide merges             */
    VOCAB_BPE                       /* byte-level BPE: ranked merges after a pre-tokeniser */
} VocabKind;

typedef enum PieceType {            /* values as SentencePiece and GGUF write them         */
    PIECE_NORMAL = 1, PIECE_UNKNOWN = 2, PIECE_CONTROL = 3,
    PIECE_USER = 4, PIECE_UNUSED = 5, PIECE_BYTE = 6
} PieceType;

typedef struct Piece {
    const char *text;               /* as stored: with U+2581 (SPM) or byte-level letters (BPE) */
    uint32_t    n_bytes;
    float       score;              /* SPM only                                            */
    uint8_t     type;               /* a PieceType                                         */
} Piece;

typedef struct Merge { const char *left, *right; uint32_t n_left, n_right; } Merge;

enum { VOCAB_PIECES_MAX = 1 << 22, VOCAB_PIECE_BYTES_MAX = 1 << 16, VOCAB_ENDS_MAX = 16 };

typedef struct Vocab {
    VocabKind    kind;
    Piece       *pieces;            /* [V]; the id is the index                            */
    int32_t      n_pieces;
    Merge       *merges;            /* BPE, best first                                     */
    int32_t      n_merges;
    const char  *pre;               /* BPE: name of the pre-tokeniser ("llama-bpe"), or NULL */
    const char  *pre_pattern;       /* BPE: the file's own pattern (tokenizer.json), or NULL */
    bool         ignore_merges;     /* BPE: a word that is a piece is taken whole          */
    bool         nfc;               /* BPE: text is brought to Unicode's form NFC first    */
    const void  *charsmap;          /* SPM: precompiled_charsmap, or NULL                  */
    size_t       charsmap_bytes;
    int32_t      bos, eos, unknown; /* -1: none                                            */
    int32_t      ends[VOCAB_ENDS_MAX];  /* every token that ends an answer: eos, eot, <|im_end|>.. */
    int          n_ends;
    bool         add_bos, add_eos;
    bool         add_space_prefix;  /* SPM: add_dummy_prefix                               */
    bool         remove_extra_whitespaces;  /* SPM                                         */
    bool         escape_whitespaces;        /* SPM: space is U+2581                        */
} Vocab;

#endif
