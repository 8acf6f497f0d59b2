/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/file/test_tokenizer_file.c - tokenizer.model and tokenizer.json, honest and hostile.
 */
#include "made.h"

#include <math.h>

#include "base/utf8.h"

/* ---- SentencePiece's wire format ---- */

static void put_varint(Buffer *b, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) put_u8(b, (unsigned)(value & 0x7f) | 0x80);
    put_u8(b, (unsigned)value);
}

static void put_number(Buffer *b, unsigned field, uint64_t value)
{
    put_varint(b, field << 3);
    put_varint(b, value);
}

static void put_bytes(Buffer *b, unsigned field, const void *bytes, size_t n)
{
    put_varint(b, field << 3 | 2);
    put_varint(b, n);
    buffer_append(b, bytes, n);
}

static void put_piece(Buffer *b, const char *text, float score, unsigned type)
{
    Buffer piece = { 0 };
    put_bytes(&piece, 1, text, strlen(text));
    put_varint(&piece, 2 << 3 | 5);
    put_f32(&piece, score);
    if (type != 1) put_number(&piece, 3, type);
    put_bytes(b, 1, piece.data, piece.n_bytes);
    buffer_free(&piece);
}

static void put_pieces(Buffer *b)
{
    put_piece(b, "<unk>", 0, 2);
    put_piece(b, "<s>", 0, 3);
    put_piece(b, "</s>", 0, 3);
    put_piece(b, "<0x0A>", 0, 6);
    put_piece(b, "\xe2\x96\x81""a", -1, 1);
}

static void put_trainer(Buffer *b, uint64_t model_type, int64_t bos)
{
    Buffer trainer = { 0 };
    put_number(&trainer, 3, model_type);
    put_number(&trainer, 41, (uint64_t)bos);
    put_bytes(b, 2, trainer.data, trainer.n_bytes);
    buffer_free(&trainer);
}

static void put_model(Buffer *b)
{
    Buffer normalizer = { 0 };
    put_pieces(b);
    put_trainer(b, 2, -1);
    put_bytes(&normalizer, 1, "identity", 8);
    put_bytes(&normalizer, 2, "map", 3);
    put_number(&normalizer, 3, 0);
    put_number(&normalizer, 4, 0);
    put_bytes(b, 3, normalizer.data, normalizer.n_bytes);
    put_bytes(b, 4, "self test", 9);                    /* unknown to us: passed over        */
    buffer_free(&normalizer);
}

static void a_sentencepiece_model_opens(void **state)
{
    (void)state;
    Buffer b = { 0 };
    Catalog c;
    put_model(&b);
    expect_opened(made_file("small.model", &b), &c);
    const Vocab *v = &c.vocab;
    assert_true(c.source == SOURCE_TOKENIZER && v->kind == VOCAB_SPM && v->n_pieces == 5);
    assert_true(v->bos == -1 && v->eos == 2 && v->unknown == 0 && v->n_ends == 1);
    assert_true(!v->add_space_prefix && !v->remove_extra_whitespaces && v->escape_whitespaces &&
                v->add_bos);
    assert_int_equal(v->charsmap_bytes, 3);
    assert_true(v->pieces[3].type == PIECE_BYTE && v->pieces[4].type == PIECE_NORMAL &&
                v->pieces[4].score == -1);
    assert_string_equal(v->pieces[4].text, "\xe2\x96\x81""a");
    catalog_close(&c);
}

static void unigram(Buffer *b) { put_pieces(b); put_trainer(b, 1, 1); }
static void no_trainer(Buffer *b) { put_pieces(b); }
static void bos_beyond(Buffer *b) { put_pieces(b); put_trainer(b, 2, 5); }
static void byte_negative(Buffer *b)
{
    put_pieces(b);
    put_piece(b, "<0x-1>", 0, 6);
    put_trainer(b, 2, 1);
}
static void score_nan(Buffer *b) { put_pieces(b); put_piece(b, "b", NAN, 1); put_trainer(b, 2, 1); }
static void score_infinite(Buffer *b)
{
    put_pieces(b);
    put_piece(b, "b", INFINITY, 1);
    put_trainer(b, 2, 1);
}
static void type_9(Buffer *b) { put_pieces(b); put_piece(b, "b", 0, 9); put_trainer(b, 2, 1); }
static void piece_empty(Buffer *b) { put_pieces(b); put_piece(b, "", 0, 1); }
static void piece_not_utf8(Buffer *b) { put_pieces(b); put_piece(b, "\xff", 0, 1); }
static void length_wraps(Buffer *b)
{
    put_pieces(b);
    put_varint(b, 1 << 3 | 2);
    put_varint(b, UINT64_MAX);
}
static void group(Buffer *b) { put_pieces(b); put_varint(b, 9 << 3 | 3); }
static void field_0(Buffer *b) { put_pieces(b); put_number(b, 0, 1); }
static void varint_endless(Buffer *b)
{
    put_pieces(b);
    for (int i = 0; i < 20; i++) put_u8(b, 0xff);
}
static void piece_as_number(Buffer *b) { put_pieces(b); put_number(b, 1, 1); }
static void piece_truncated(Buffer *b) { put_pieces(b); put_bytes(b, 1, "\x0a\x05" "ab", 4); }

static void hostile_models_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void (*make)(Buffer *b);
        Status status;
        const char *words;
    } cases[] = {
        { "unigram.model", unigram, UNSUPPORTED, "model_type|expected BPE|unigram" },
        { "no-trainer.model", no_trainer, UNSUPPORTED, "model_type|unigram" },
        { "bos-beyond.model", bos_beyond, BAD_FILE, "bos token|below 5|found 5" },
        { "byte-negative.model", byte_negative, BAD_FILE, "token 5|<0x-1>" },
        { "score-nan.model", score_nan, BAD_FILE, "token 5|finite" },
        { "score-infinite.model", score_infinite, BAD_FILE, "token 5|finite" },
        { "type-9.model", type_9, BAD_FILE, "token 5|type" },
        { "piece-empty.model", piece_empty, BAD_FILE, "token 5|none" },
        { "piece-not-utf8.model", piece_not_utf8, BAD_FILE, "token 5|UTF-8" },
        { "length-wraps.model", length_wraps, BAD_FILE, "byte|SentencePiece" },
        { "group.model", group, BAD_FILE, "byte|SentencePiece" },
        { "field-0.model", field_0, BAD_FILE, "byte|SentencePiece" },
        { "varint-endless.model", varint_endless, BAD_FILE, "byte|SentencePiece" },
        { "piece-as-number.model", piece_as_number, BAD_FILE, "byte|SentencePiece" },
        { "piece-truncated.model", piece_truncated, BAD_FILE, "byte|SentencePiece piece" },
    };
    for (int i = 0; i < ARRAY_LEN(cases); i++) {
        Buffer b = { 0 };
        cases[i].make(&b);
        expect_refused(made_file(cases[i].name, &b), cases[i].status, cases[i].name,
                       cases[i].words);
    }
}

/* A cut between two fields is a shorter model, which the wire format cannot tell; any other is
 * noticed. */
static void every_cut_is_survived(void **state)
{
    (void)state;
    Buffer b = { 0 };
    int n_opened = 0;
    put_model(&b);
    for (size_t n = 0; n < b.n_bytes; n++) {
        Catalog c;
        Error error = { 0 };
        const Status got = catalog_open(made_bytes("cut.model", b.data, n), &c, &error);
        if (got == OK) {
            n_opened++;
            catalog_close(&c);
        } else {
            assert_non_null(strstr(error.text, "cut.model"));
        }
    }
    assert_int_equal(n_opened, 2);                      /* after trainer_spec and normalizer_spec */
    buffer_free(&b);
}

static void real_models_open(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int32_t n_pieces;
    } files[] = {
        { "tokenizers/mistral/tokenizer.model.v1", 32000 },
        { "tokenizers/mistral/mistral_instruct_tokenizer_240323.model.v3", 32768 },
    };
    for (int i = 0; i < ARRAY_LEN(files); i++) {
        const char *path = test_data(files[i].name);
        if (!path) skip();
        Catalog c;
        expect_opened(path, &c);
        const Vocab *v = &c.vocab;
        assert_true(v->kind == VOCAB_SPM && v->n_pieces == files[i].n_pieces && v->bos == 1 &&
                    v->eos == 2);
        assert_true(v->add_space_prefix && !v->remove_extra_whitespaces && v->add_bos &&
                    !v->add_eos);
        int n_bytes = 0;
        for (int32_t id = 0; id < v->n_pieces; id++) n_bytes += v->pieces[id].type == PIECE_BYTE;
        assert_int_equal(n_bytes, 256);
        catalog_close(&c);
    }
}

/* ---- tokenizer.json ---- */

#define BYTE_LEVEL "'pre_tokenizer':{'type':'Sequence','pretokenizers':[" \
    "{'type':'Split','pattern':{'Regex':'\\\\p{L}+'},'behavior':'Isolated','invert':false}," \
    "{'type':'ByteLevel','add_prefix_space':false,'use_regex':false}]}"
#define BPE_MODEL                                                                                  \
    "'model':{'type':'BPE','ignore_merges':true,'vocab':{'a':0,'b':1,'ab':2},'merges':['a b']}"
#define BEGIN_END                                                                                  \
    "'post_processor':{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'<b>'}},"       \
    "{'Sequence':{'id':'A'}},{'SpecialToken':{'id':'<e>'}}]}"
#define ADDED                                                                                      \
    "'added_tokens':[{'id':4,'content':'<b>','special':true},{'id':5,'content':'<e>','special':"   \
    "true},"                                                                                       \
    "{'id':7,'content':'x y','special':false},{'id':8,'content':'<|im_end|>','special':true}]"

static void a_byte_level_json_opens(void **state)
{
    (void)state;
    Catalog c;
    expect_opened(
        made_json("byte-level.json", " {" ADDED "," BYTE_LEVEL "," BEGIN_END "," BPE_MODEL "}"),
        &c);
    const Vocab *v = &c.vocab;
    assert_true(c.source == SOURCE_TOKENIZER && v->kind == VOCAB_BPE && v->n_pieces == 9 &&
                v->n_merges == 1);
    assert_string_equal(v->pre_pattern, "\\p{L}+");
    assert_true(v->ignore_merges && v->add_bos && v->add_eos && v->bos == 4 && v->eos == 5 &&
                !v->add_space_prefix);
    assert_true(v->pieces[3].type == PIECE_UNUSED && v->pieces[4].type == PIECE_CONTROL &&
                v->pieces[6].type == PIECE_UNUSED);
    assert_true(v->pieces[7].type == PIECE_USER && strcmp(v->pieces[7].text, "x y") == 0);
    assert_true(v->merges[0].left[0] == 'a' && v->merges[0].n_left == 1 &&
                v->merges[0].right[0] == 'b');
    assert_true(v->n_ends == 2 && v->ends[0] == 5 && v->ends[1] == 8);
    catalog_close(&c);
}

#define SPM_NORMALIZER                                                                             \
    "'normalizer':{'type':'Sequence','normalizers':[{'type':'Prepend','prepend':'\xe2\x96\x81'},"  \
    "{'type':'Replace','pattern':{'String':' '},'content':'\xe2\x96\x81'}]}"
#define SPM_VOCAB "'vocab':{'<unk>':0,'<s>':1,'<0x0A>':2,'a':3,'b':4,'ab':5,'aab':6,'lost':7}"
#define SPM_MODEL "'model':{'type':'BPE','unk_token':'<unk>','byte_fallback':true," SPM_VOCAB \
    ",'merges':[['a','b'],'a ab',['aa','b']]}"
#define SPM_ADDED                                                                                  \
    "'added_tokens':[{'id':0,'content':'<unk>','special':true},{'id':1,'content':'<s>','special':" \
    "true},"                                                                                       \
    "{'id':8,'content':'x y','special':false}]"

static void a_disguised_sentencepiece_is_one_again(void **state)
{
    (void)state;
    Catalog c;
    expect_opened(made_json("disguised.json", "{" SPM_ADDED "," SPM_NORMALIZER
                                              ",'pre_tokenizer':null," SPM_MODEL "}"),
                  &c);
    const Vocab *v = &c.vocab;
    assert_true(v->kind == VOCAB_SPM && v->n_pieces == 9 && v->n_merges == 0 &&
                v->add_space_prefix && v->escape_whitespaces);
    assert_true(v->unknown == 0 && v->pieces[0].type == PIECE_UNKNOWN &&
                v->pieces[1].type == PIECE_CONTROL);
    assert_true(v->pieces[2].type == PIECE_BYTE && v->pieces[5].score == -1 &&
                v->pieces[6].score == -2);
    assert_true(v->pieces[3].type == PIECE_NORMAL && v->pieces[7].type == PIECE_UNUSED);
    assert_true(v->pieces[8].type == PIECE_USER &&
                strcmp(v->pieces[8].text, "x\xe2\x96\x81y") == 0);
    catalog_close(&c);
}

static void hostile_jsons_are_refused(void **state)
{
    (void)state;
#define MODEL(vocab, merges)                                                                       \
    "{" BYTE_LEVEL ",'model':{'type':'BPE','vocab':" vocab ",'merges':" merges "}}"
    static const struct {
        const char *json;
        Status status;
        const char *words;
    } cases[] = {
        {"{}", BAD_FILE, "model|an object|nothing"},
        {"{'model':{'type':'Unigram'}}", UNSUPPORTED, "model|BPE|Unigram"},
        {"{'model':{'type':7}}", BAD_FILE, "type|text|an integer"},
        {"{'model':{'vocab':{'a':0},'merges':[]}}", UNSUPPORTED, "model|ByteLevel|byte_fallback"},
        {MODEL("{}", "[]"), BAD_FILE, "vocab|none"},
        {MODEL("[]", "[]"), BAD_FILE, "vocab|an object|an array"},
        {MODEL("{'a':-1}", "[]"), BAD_FILE, "token 'a'|id below"},
        {MODEL("{'a':99999999}", "[]"), BAD_FILE, "token 'a'|id below"},
        {MODEL("{'a':'b'}", "[]"), BAD_FILE, "token 'a'|id below|text"},
        {MODEL("{'a':0,'b':0}", "[]"), BAD_FILE, "token 'b'|its own"},
        {MODEL("{'a':0,'a':1}", "[]"), BAD_FILE, "duplicate"},
        {MODEL("{'a':0}", "{}"), BAD_FILE, "merges|an array|an object"},
        {MODEL("{'a':0}", "['ab']"), BAD_FILE, "merge 0|two pieces"},
        {MODEL("{'a':0}", "['a ']"), BAD_FILE, "merge 0|two pieces"},
        {MODEL("{'a':0}", "['']"), BAD_FILE, "merge 0|two pieces"},
        {MODEL("{'a':0}", "[['a','']]"), BAD_FILE, "merge 0|two pieces"},
        {MODEL("{'a':0}", "[['a',1]]"), BAD_FILE, "merge 0|two pieces"},
        {MODEL("{'a':0}", "[7]"), BAD_FILE, "merge 0|two pieces|an integer"},
        {"{" BYTE_LEVEL ",'added_tokens':[{'id':-1,'content':'x'}]," BPE_MODEL "}", BAD_FILE,
         "added token 'x'|found -1"},
        {"{" BYTE_LEVEL ",'added_tokens':[{'id':4194304,'content':'x'}]," BPE_MODEL "}", BAD_FILE,
         "added token 'x'"},
        {"{" BYTE_LEVEL ",'added_tokens':[{'content':'x'}]," BPE_MODEL "}", BAD_FILE,
         "added_tokens|token 0|nothing"},
        {"{" BYTE_LEVEL ",'added_tokens':[{'id':1,'content':'x','lstrip':true}]," BPE_MODEL "}",
         UNSUPPORTED, "'x'|lstrip"},
        {"{" BYTE_LEVEL ",'normalizer':{'type':'Lowercase'}," BPE_MODEL "}", UNSUPPORTED,
         "normalizer|Lowercase"},
        {"{" BYTE_LEVEL ",'normalizer':{}," BPE_MODEL "}", UNSUPPORTED,
         "normalizer|without a type"},
        {"{'decoder':{'type':'ByteLevel'},'pre_tokenizer':{'type':'Digits'}," BPE_MODEL "}",
         UNSUPPORTED, "pre_tokenizer|Digits"},
        {"{'pre_tokenizer':{'type':'ByteLevel'}," BPE_MODEL "}", UNSUPPORTED,
         "pre_tokenizer|add_prefix_space"},
        {"{" BYTE_LEVEL ",'post_processor':{'type':'BertProcessing'}," BPE_MODEL "}", UNSUPPORTED,
         "post_processor|BertProcessing"},
        {"{" BYTE_LEVEL "," BEGIN_END "," BPE_MODEL "}", BAD_FILE, "post_processor|<b>"},
        {"{" SPM_NORMALIZER ",'model':{'byte_fallback':true," SPM_VOCAB ",'merges':['a a']}}",
         BAD_FILE, "merge 0|'aa'"},
        {"{'model':{'byte_fallback':true,'unk_token':'?'," SPM_VOCAB ",'merges':[]}}", BAD_FILE,
         "unk_token|'?'"},
        {"{" BYTE_LEVEL ",'model':{'dropout':0.5,'vocab':{'a':0},'merges':[]}}", UNSUPPORTED,
         "dropout|0.5"},
        {"{'model':", BAD_FILE, "line 1|expected JSON"},
        {"{'a':'\xff'}", BAD_FILE, "line 1|expected JSON"},
    };
#undef MODEL
    for (int i = 0; i < ARRAY_LEN(cases); i++) {
        char name[32];
        snprintf(name, sizeof name, "hostile-%d.json", i);
        expect_refused(made_json(name, cases[i].json), cases[i].status, name, cases[i].words);
    }
}

static void halves_of_surrogates_become_replacements(void **state)
{
    (void)state;
    Catalog c;
    static const char json[] =
        "{" BYTE_LEVEL
        ",'added_tokens':[{'id':3,'content':'\\ud83d'},{'id':4,'content':'\\ude00x'},"
        "{'id':5,'content':'\\ud83d\\ude00'},{'id':6,'content':'\\\\ud83d'},{'id':7,'content':'"
        "\\ud83d\\ud83d\\ude00'}]," BPE_MODEL "}";
    expect_opened(made_json("surrogates.json", json), &c);
    const Piece *p = c.vocab.pieces;
    assert_string_equal(p[3].text, "\xef\xbf\xbd");
    assert_string_equal(p[4].text, "\xef\xbf\xbdx");
    assert_string_equal(p[5].text, "\xf0\x9f\x98\x80");
    assert_string_equal(p[6].text, "\\ud83d");
    assert_string_equal(p[7].text, "\xef\xbf\xbd\xf0\x9f\x98\x80");
    catalog_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sentencepiece_model_opens),
        cmocka_unit_test(hostile_models_are_refused),
        cmocka_unit_test(every_cut_is_survived),
        cmocka_unit_test(real_models_open),
        cmocka_unit_test(a_byte_level_json_opens),
        cmocka_unit_test(a_disguised_sentencepiece_is_one_again),
        cmocka_unit_test(hostile_jsons_are_refused),
        cmocka_unit_test(halves_of_surrogates_become_replacements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
