/* SPDX-License-Identifier: Apache-2.0
 * Any bytes to tokens and back.  The first byte chooses vocabulary and options, the second the
 * trusted part, the rest is the text.  What must hold:
 *   - every id lies in the vocabulary; control tokens only where they were allowed;
 *   - a vocabulary with all bytes gives the text back, with U+FFFD for each byte that is no UTF-8;
 *   - a stream with a stop string is the beginning of the stream without. */
#include <stdlib.h>

#include "text/detok.h"
#include "unit/text/small_vocab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

enum {
    BPE = 1, PARSE_CONTROL = 2, SPECIAL = 4, TRUSTED = 8,
    TIDY = 16, NO_PREFIX = 32,                  /* SentencePiece only                      */
    PRE_SHIFT = 4, PRE_MASK = 7                 /* BPE: these bits name the pre-tokeniser  */
};

static void must(bool holds)
{
    if (!holds) abort();
}

/* Built once for each choice; the fuzzer would do little else. */
static const Tokenizer *tokenizer_for(uint8_t choice)
{
    static const char *const pres[8] = { "gpt-2",          "llama-bpe", "qwen2",   "deepseek-llm",
                                         "deepseek-coder", "falcon",    "default", "dbrx" };
    static SmallVocab vocabs[256];
    static Tokenizer *built[256];
    const uint8_t slot =
        choice & BPE ? choice & (BPE | PRE_MASK << PRE_SHIFT) : choice & (TIDY | NO_PREFIX);
    if (!built[slot]) {
        SmallVocab *s = &vocabs[slot];
        if (slot & BPE) {
            small_bpe(s);
            s->vocab.pre = pres[slot >> PRE_SHIFT & PRE_MASK];
        } else {
            small_spm(s);
            s->vocab.remove_extra_whitespaces = slot & TIDY;
            s->vocab.add_space_prefix = !(slot & NO_PREFIX);
        }
        s->vocab.add_eos = true;
        must(tokenizer_new(&s->vocab, "fuzz", &built[slot], NULL) == OK);
    }
    return built[slot];
}

static void detokenize(const Tokenizer *t, const TokenList *ids, const char *stop, bool special,
                       Buffer *text)
{
    Detok *detok;
    bool stopped = false;
    buffer_text(text, "");
    must(detok_new(t, &stop, stop ? 1 : 0, true, special, &detok, NULL) == OK);
    for (size_t i = 0; i < ids->n && !stopped; i++) {
        const size_t before = text->n_bytes;
        must(detok_push(detok, ids->ids[i], text, &stopped, NULL) == OK);
        must(utf8_valid(text->data + before, text->n_bytes - before));
    }
    must(detok_finish(detok, text, NULL) == OK);
    must(utf8_valid(text->data, text->n_bytes));
    detok_free(detok);
}

static void expected_text(const char *text, size_t n_bytes, bool marks, Buffer *out)
{
    buffer_text(out, "");
    for (size_t i = 0; i < n_bytes;) {
        uint32_t point;
        const size_t n = utf8_decode(text + i, n_bytes - i, &point);
        if (!n) buffer_text(out, "\xef\xbf\xbd");
        else if (marks && point == 0x2581) buffer_char(out, ' ');
        else buffer_append(out, text + i, n);
        i += n ? n : 1;
    }
}

static void check_ids(const Vocab *v, const TokenList *ids, const TokenizeOptions *o)
{
    for (size_t i = 0; i < ids->n; i++) {
        must(ids->ids[i] >= 0 && ids->ids[i] < v->n_pieces);
        const bool edge = o->special && (i == 0 || i + 1 == ids->n);
        if (v->pieces[ids->ids[i]].type == PIECE_CONTROL) must(edge || o->parse_control);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    if (n_bytes < 2) return 0;
    const uint8_t choice = data[0];
    const char *text = (const char *)data + 2;
    n_bytes -= 2;
    const Span trusted[2] = { { 0, n_bytes * (data[1] & 15) / 32 },
                              { n_bytes - n_bytes * (data[1] >> 4) / 32, n_bytes } };
    const TokenizeOptions options = {
        .special = choice & SPECIAL, .parse_control = choice & PARSE_CONTROL,
        .trusted = choice & TRUSTED ? trusted : NULL, .n_trusted = choice & TRUSTED ? 2 : 0 };
    const Tokenizer *t = tokenizer_for(choice);
    const Vocab *v = tokenizer_vocab(t);
    TokenList ids = { 0 };
    must(tokenize(t, text, n_bytes, &options, &ids, NULL) == OK);
    check_ids(v, &ids, &options);

    /* A prefix given after a control token in the middle is not the text's own. */
    const bool spm = v->kind == VOCAB_SPM;
    const bool exact =
        !(spm && (v->remove_extra_whitespaces || (options.parse_control && v->add_space_prefix))) &&
        !(options.parse_control && options.special);
    Buffer want = { 0 }, all = { 0 }, until = { 0 };
    detokenize(t, &ids, NULL, options.parse_control, &all);
    if (exact) {
        expected_text(text, n_bytes, spm, &want);
        must(all.n_bytes == want.n_bytes && memcmp(all.data, want.data, want.n_bytes) == 0);
    }
    detokenize(t, &ids, "the", options.parse_control, &until);
    const char *stop = memmem(all.data, all.n_bytes, "the", 3);
    must(until.n_bytes == (stop ? (size_t)(stop - all.data) : all.n_bytes));
    must(memcmp(until.data, all.data, until.n_bytes) == 0);
    buffer_free(&want);
    buffer_free(&all);
    buffer_free(&until);
    token_list_free(&ids);
    return 0;
}
