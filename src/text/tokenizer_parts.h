/* SPDX-License-Identifier: Apache-2.0
 * text/tokenizer_parts.h - what a Tokenizer is made of; only tokenizer, spm and bpe look inside.
 *
 * tokenizer.c cuts a text at control tokens and hands each stretch between them to spm.c or bpe.c. */
#ifndef TEXT_TOKENIZER_PARTS_H
#define TEXT_TOKENIZER_PARTS_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/map.h"
#include "text/bpe_merge.h"
#include "text/charsmap.h"
#include "text/pretokenize.h"
#include "text/tokenizer.h"
#include "text/tokenizer_table.h"

/* Symbols are counted and placed in 32 bits; a space of a text may become three bytes. */
enum { TEXT_BYTES_MAX = 1 << 30 };

#define SPACE_MARK "\xe2\x96\x81"                       /* U+2581, SentencePiece's space    */
#define REPLACEMENT "\xef\xbf\xbd"                      /* U+FFFD                          */

typedef struct Bytes { const char *at; uint32_t n; } Bytes;

typedef struct Spm {
    uint32_t *ranks;            /* [V] 0 for the best score; equal scores, equal ranks     */
    uint32_t  longest;          /* bytes of the longest piece merges can make              */
    bool      by_words;         /* no merge can cross into a space mark from the left      */
    bool      has_unused;
    Charsmap  charsmap;
} Spm;

typedef struct Bpe {
    Pretokenizer *pre;
    bool          ignore_merges;
    Table         merges;       /* left << 32 | right -> rank << 32 | merged               */
    Bytes        *extras;       /* symbols V, V+1...: what merges make that is no piece    */
    size_t        n_extras, extras_room;
    int32_t       bytes[256];   /* the symbol of each byte                                 */
} Bpe;

struct Tokenizer {
    const Vocab *vocab;
    const char  *name;          /* of the file                                             */
    Arena        arena;
    Map          pieces;        /* what ordinary text can become: text (SPM), bytes (BPE)  */
    Map          reserved;      /* control, byte and unknown pieces: their text            */
    Trie         controls, users;
    Bytes       *bytes;         /* [V] what each token stands for                          */
    int32_t      byte_pieces[256];      /* SPM `<0x..>`, or -1                             */
    int32_t      unknown;       /* -1: none                                                */
    Spm          spm;
    Bpe          bpe;
};


Status spm_build(Tokenizer *tokenizer, Error *error);
void   spm_destroy(Tokenizer *tokenizer);
/* `prompted`: the stretch follows a control token (see prefix_wanted in spm.c). */
Status spm_tokenize(const Tokenizer *tokenizer, const char *text, size_t n_bytes, bool prompted,
                    TokenList *out, Error *error);

Status bpe_build(Tokenizer *tokenizer, Error *error);
void   bpe_destroy(Tokenizer *tokenizer);
Status bpe_tokenize(const Tokenizer *tokenizer, const char *text, size_t n_bytes, TokenList *out,
                    Error *error);
/* Byte-level letters back to bytes; anything else stays.  `to` has room for n_bytes. */
size_t bpe_letters_to_bytes(const char *text, size_t n_bytes, char *to);

#endif
