/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/file/test_gguf.c - GGUF headers, honest and hostile. */
#include "made.h"

#include <fcntl.h>
#include <math.h>

#include <time.h>

enum { U8, I8, U16, I16, U32, I32, F_32, BOOL, TEXT, ARRAY, U64, I64, F_64 };

/* ---- hostile files: each makes one, the table says what must be said ---- */

static void version_1(Buffer *b) { put_head(b, 1, 0, 0); }
static void version_4(Buffer *b) { put_head(b, 4, 0, 0); }
static void big_endian(Buffer *b) { put_head(b, 0x03000000, 0, 0); }
static void count_of_tensors(Buffer *b) { put_head(b, 3, UINT64_MAX, 0); }
static void count_of_keys(Buffer *b) { put_head(b, 3, 0, UINT64_MAX - 1); }
static void keys_beyond_file(Buffer *b) { put_head(b, 3, 0, 1000); }
static void tensors_beyond_file(Buffer *b) { put_head(b, 3, 1000, 0); put_zeros(b, 100); }

static void key_length_wraps(Buffer *b)
{
    put_head(b, 3, 0, 1);
    put_u64(b, UINT64_MAX);
    put_zeros(b, 64);
}

static void key_empty(Buffer *b)
{
    put_head(b, 3, 0, 1);
    put_key(b, "", U32);
    put_u32(b, 1);
}

static void key_not_utf8(Buffer *b)
{
    put_head(b, 3, 0, 1);
    put_key(b, "a\xff", U32);
    put_u32(b, 1);
}

static void key_with_zero(Buffer *b)
{
    put_head(b, 3, 0, 1);
    put_u64(b, 3);
    buffer_append(b, "a\0b", 3);
    put_u32(b, U32);
    put_u32(b, 1);
}

static void key_twice(Buffer *b)
{
    put_head(b, 3, 0, 2);
    for (int i = 0; i < 2; i++) {
        put_key(b, "some.key", U32);
        put_u32(b, 1);
    }
}

static void value_type_unknown(Buffer *b)
{
    put_head(b, 3, 0, 1);
    put_key(b, "some.key", 13);
    put_zeros(b, 32);
}

static void bool_of_2(Buffer *b)
{
    put_head(b, 3, 0, 1);
    put_key(b, "some.key", BOOL);
    put_u8(b, 2);
}

static void text_too_long(Buffer *b)
{
    put_head(b, 3, 0, 1);
    put_key(b, "some.key", TEXT);
    put_u64(b, (uint64_t)1 << 63);
    put_zeros(b, 64);
}

static void array_type_unknown(Buffer *b)
{
    put_head(b, 3, 0, 1);
    put_array(b, "some.key", 77, 1);
    put_zeros(b, 32);
}

static void array_length_wraps(Buffer *b)
{
    put_head(b, 3, 0, 1);
    put_array(b, "some.key", U64, ((uint64_t)1 << 61) + 1);
    put_zeros(b, 64);
}

static void array_too_deep(Buffer *b)
{
    put_head(b, 3, 0, 1);
    put_array(b, "some.key", ARRAY, 1);
    for (int i = 0; i < 1000; i++) {
        put_u32(b, ARRAY);
        put_u64(b, 1);
    }
    put_zeros(b, 64);
}

static void alignment_of(Buffer *b, uint32_t type, uint32_t value)
{
    put_head(b, 3, 0, 1);
    put_key(b, "general.alignment", type);
    put_u32(b, value);
    put_zeros(b, 32);
}

static void alignment_0(Buffer *b) { alignment_of(b, U32, 0); }
static void alignment_24(Buffer *b) { alignment_of(b, U32, 24); }
static void alignment_huge(Buffer *b) { alignment_of(b, U32, 1u << 31); }
static void alignment_text(Buffer *b) { alignment_of(b, TEXT, 0); }
static void alignment_float(Buffer *b) { alignment_of(b, F_32, 0x42000000); }

static void one_tensor(Buffer *b, const char *name, uint64_t ne0, uint64_t ne1, uint32_t type,
                       uint64_t offset, size_t data)
{
    put_head(b, 3, 1, 0);
    put_tensor(b, name, ne0, ne1, type, offset);
    put_data(b, data);
}

static void dims_0(Buffer *b) { one_tensor(b, "t", 0, 4, 0, 0, 64); }
static void dims_wrap(Buffer *b)
{
    one_tensor(b, "t", (uint64_t)1 << 32, (uint64_t)1 << 32, 0, 0, 64);
}
static void dims_wrap_bytes(Buffer *b)
{
    one_tensor(b, "t", (uint64_t)1 << 31, (uint64_t)1 << 31, 0, 0, 64);
}
static void dims_negative(Buffer *b) { one_tensor(b, "t", UINT64_MAX, 1, 0, 0, 64); }
static void type_unknown(Buffer *b) { one_tensor(b, "t", 4, 4, 999, 0, 64); }
static void type_foreign(Buffer *b) { one_tensor(b, "t", 256, 4, 16, 0, 640); }     /* IQ2_XXS */
static void type_removed(Buffer *b) { one_tensor(b, "t", 32, 4, 4, 0, 640); }       /* Q4_2 */
static void half_a_block(Buffer *b) { one_tensor(b, "t", 48, 4, 2, 0, 640); }
static void offset_unaligned(Buffer *b) { one_tensor(b, "t", 4, 4, 0, 4, 128); }
static void offset_beyond(Buffer *b) { one_tensor(b, "t", 4, 4, 0, 4096, 64); }
static void offset_huge(Buffer *b) { one_tensor(b, "t", 4, 4, 0, UINT64_MAX - 31, 64); }
static void data_short(Buffer *b) { one_tensor(b, "t", 4, 4, 0, 0, 63); }
static void name_empty(Buffer *b) { one_tensor(b, "", 4, 4, 0, 0, 64); }
static void name_not_utf8(Buffer *b) { one_tensor(b, "\xc3(", 4, 4, 0, 0, 64); }

static void dims_5(Buffer *b)
{
    put_head(b, 3, 1, 0);
    put_text(b, "t");
    put_u32(b, 5);
    put_zeros(b, 200);
}

static void dims_none(Buffer *b)
{
    put_head(b, 3, 1, 0);
    put_text(b, "t");
    put_u32(b, 0);
    put_zeros(b, 200);
}

static void tensor_twice(Buffer *b)
{
    put_head(b, 3, 2, 0);
    put_tensor(b, "t", 8, 1, 0, 0);
    put_tensor(b, "t", 8, 1, 0, 32);
    put_data(b, 64);
}

static void tensors_overlap(Buffer *b)
{
    put_head(b, 3, 2, 0);
    put_tensor(b, "one", 8, 2, 0, 0);
    put_tensor(b, "two", 8, 2, 0, 32);
    put_data(b, 128);
}

static void split_alone(Buffer *b)
{
    put_head(b, 3, 0, 1);
    put_key(b, "split.count", U16);
    buffer_append(b, "\3\0", 2);
}

/* ---- vocabularies ---- */

/* A vocabulary of `n` tokens "<unk>", "<s>", "</s>", "a", "a"...; more keys may follow. */
static void put_vocab(Buffer *b, const char *model, int n, int n_more)
{
    static const char *const first[] = { "<unk>", "<s>", "</s>" };
    put_head(b, 3, 0, 2 + (uint64_t)n_more);
    put_key(b, "tokenizer.ggml.model", TEXT);
    put_text(b, model);
    put_array(b, "tokenizer.ggml.tokens", TEXT, (uint64_t)n);
    for (int i = 0; i < n; i++) put_text(b, i < 3 ? first[i] : "a");
}

static void scores_as_u8(Buffer *b)
{
    put_vocab(b, "llama", 4, 1);
    put_array(b, "tokenizer.ggml.scores", U8, 4);
    put_zeros(b, 4);
}

static void scores_too_few(Buffer *b)
{
    put_vocab(b, "llama", 4, 1);
    put_array(b, "tokenizer.ggml.scores", F_32, 3);
    put_zeros(b, 12);
}

static void score_nan(Buffer *b)
{
    put_vocab(b, "llama", 4, 1);
    put_array(b, "tokenizer.ggml.scores", F_32, 4);
    put_zeros(b, 12);
    put_f32(b, NAN);
}

static void types_as_f32(Buffer *b)
{
    put_vocab(b, "llama", 4, 1);
    put_array(b, "tokenizer.ggml.token_type", F_32, 4);
    put_zeros(b, 16);
}

static void put_types(Buffer *b, uint32_t last)
{
    put_array(b, "tokenizer.ggml.token_type", I32, 4);
    put_u32(b, 2);
    put_u32(b, 3);
    put_u32(b, 3);
    put_u32(b, last);
}

static void type_7(Buffer *b)
{
    put_vocab(b, "llama", 4, 1);
    put_types(b, 7);
}

static void byte_token(Buffer *b, const char *text)
{
    put_head(b, 3, 0, 3);
    put_key(b, "tokenizer.ggml.model", TEXT);
    put_text(b, "llama");
    put_array(b, "tokenizer.ggml.tokens", TEXT, 4);
    put_text(b, "<unk>");
    put_text(b, "<s>");
    put_text(b, "</s>");
    put_text(b, text);
    put_types(b, 6);
}

static void byte_negative(Buffer *b) { byte_token(b, "<0x-1>"); }
static void byte_of_256(Buffer *b) { byte_token(b, "<0x100>"); }

static void bos_beyond(Buffer *b)
{
    put_vocab(b, "llama", 4, 1);
    put_key(b, "tokenizer.ggml.bos_token_id", U32);
    put_u32(b, 4);
}

static void eos_negative(Buffer *b)
{
    put_vocab(b, "gpt2", 4, 1);
    put_key(b, "tokenizer.ggml.eos_token_id", I32);
    put_u32(b, UINT32_MAX);
}

static void eot_as_text(Buffer *b)
{
    put_vocab(b, "gpt2", 4, 1);
    put_key(b, "tokenizer.ggml.eot_token_id", TEXT);
    put_text(b, "</s>");
}

static void add_bos_as_u32(Buffer *b)
{
    put_vocab(b, "llama", 4, 1);
    put_key(b, "tokenizer.ggml.add_bos_token", U32);
    put_u32(b, 1);
}

static void no_tokens(Buffer *b) { put_vocab(b, "llama", 0, 0); }
static void kind_bert(Buffer *b) { put_vocab(b, "bert", 4, 0); }

static void tokens_without_kind(Buffer *b)
{
    put_head(b, 3, 0, 1);
    put_array(b, "tokenizer.ggml.tokens", TEXT, 1);
    put_text(b, "a");
}

static void kind_without_tokens(Buffer *b)
{
    put_head(b, 3, 0, 1);
    put_key(b, "tokenizer.ggml.model", TEXT);
    put_text(b, "llama");
}

static void merge_of_one(Buffer *b)
{
    put_vocab(b, "gpt2", 4, 1);
    put_array(b, "tokenizer.ggml.merges", TEXT, 1);
    put_text(b, "ab");
}

static void token_of_a_gigabyte(Buffer *b)
{
    put_head(b, 3, 0, 2);
    put_key(b, "tokenizer.ggml.model", TEXT);
    put_text(b, "llama");
    put_array(b, "tokenizer.ggml.tokens", TEXT, 1);
    put_u64(b, (uint64_t)1 << 30);
    put_zeros(b, 1 << 17);
}

static void token_of_100_kb(Buffer *b)
{
    put_head(b, 3, 0, 2);
    put_key(b, "tokenizer.ggml.model", TEXT);
    put_text(b, "llama");
    put_array(b, "tokenizer.ggml.tokens", TEXT, 1);
    put_u64(b, 100000);
    put_zeros(b, 100000 + 20);
}

static void template_as_u32(Buffer *b)
{
    put_head(b, 3, 0, 1);
    put_key(b, "tokenizer.chat_template", U32);
    put_u32(b, 1);
}

static const struct {
    const char *name;
    void (*make)(Buffer *b);
    Status status;
    const char *words;
} hostile[] = {
    {"version-1", version_1, UNSUPPORTED, "header|expected GGUF version 2 or 3|found version 1"},
    {"version-4", version_4, UNSUPPORTED, "found version 4"},
    {"big-endian", big_endian, UNSUPPORTED, "big-endian"},
    {"count-of-tensors", count_of_tensors, BAD_FILE, "header|18446744073709551615"},
    {"count-of-keys", count_of_keys, BAD_FILE, "header|18446744073709551614"},
    {"keys-beyond-file", keys_beyond_file, BAD_FILE, "header|1000|found"},
    {"tensors-beyond-file", tensors_beyond_file, BAD_FILE, "header|1000|found"},
    {"key-length-wraps", key_length_wraps, BAD_FILE, "key 0|18446744073709551615"},
    {"key-empty", key_empty, BAD_FILE, "key 0|empty"},
    {"key-not-utf8", key_not_utf8, BAD_FILE, "key 0|UTF-8"},
    {"key-with-zero", key_with_zero, BAD_FILE, "key 0|zero byte"},
    {"key-twice", key_twice, BAD_FILE, "key 'some.key'|second"},
    {"value-type-unknown", value_type_unknown, BAD_FILE, "key 'some.key'|found 13"},
    {"bool-of-2", bool_of_2, BAD_FILE, "key 'some.key'|found 2"},
    {"text-too-long", text_too_long, BAD_FILE, "key 'some.key'|9223372036854775808"},
    {"array-type-unknown", array_type_unknown, BAD_FILE, "key 'some.key'|found type 77"},
    {"array-length-wraps", array_length_wraps, BAD_FILE, "key 'some.key'|2305843009213693953"},
    {"array-too-deep", array_too_deep, BAD_FILE, "key 'some.key'|4 deep"},
    {"alignment-0", alignment_0, BAD_FILE, "general.alignment|found 0"},
    {"alignment-24", alignment_24, BAD_FILE, "general.alignment|power of two|found 24"},
    {"alignment-huge", alignment_huge, BAD_FILE, "general.alignment|to 2147483647|found 2147483648"},
    {"alignment-text", alignment_text, BAD_FILE, "general.alignment|found string"},
    {"alignment-float", alignment_float, BAD_FILE, "general.alignment|expected a u32|found f32"},
    {"dims-0", dims_0, BAD_FILE, "tensor 't'|found 0"},
    {"dims-5", dims_5, BAD_FILE, "tensor 't'|1 to 4|found 5"},
    {"dims-none", dims_none, BAD_FILE, "tensor 't'|1 to 4|found 0"},
    {"dims-wrap", dims_wrap, BAD_FILE, "tensor 't'|63 bits"},
    {"dims-wrap-bytes", dims_wrap_bytes, BAD_FILE, "tensor 't'|63 bits"},
    {"dims-negative", dims_negative, BAD_FILE, "tensor 't'|18446744073709551615"},
    {"type-unknown", type_unknown, BAD_FILE, "tensor 't'|type 999"},
    {"type-foreign", type_foreign, UNSUPPORTED, "tensor 't'|IQ2_XXS"},
    {"type-removed", type_removed, UNSUPPORTED, "tensor 't'|Q4_2"},
    {"half-a-block", half_a_block, BAD_FILE, "tensor 't'|Q4_0|found rows of 48"},
    {"offset-unaligned", offset_unaligned, BAD_FILE, "tensor 't'|multiple of 32|found 4"},
    {"offset-beyond", offset_beyond, BAD_FILE, "tensor 't'|found offset 4096"},
    {"offset-huge", offset_huge, BAD_FILE, "tensor 't'|18446744073709551584"},
    {"data-short", data_short, BAD_FILE,
     "tensor 't'|expected 64 bytes at byte 96|found a file of 159"},
    {"name-empty", name_empty, BAD_FILE, "tensor 0|empty"},
    {"name-not-utf8", name_not_utf8, BAD_FILE, "tensor 0|UTF-8"},
    {"tensor-twice", tensor_twice, BAD_FILE, "tensor 't'|second"},
    {"tensors-overlap", tensors_overlap, BAD_FILE, "tensor 'two'|overlap 'one'"},
    {"split-alone", split_alone, BAD_FILE, "split.count|-00001-of-00003.gguf|found 3"},
    {"scores-as-u8", scores_as_u8, BAD_FILE, "tokenizer.ggml.scores|array of f32|one of u8"},
    {"scores-too-few", scores_too_few, BAD_FILE, "tokenizer.ggml.scores|expected 4|found 3"},
    {"score-nan", score_nan, BAD_FILE, "token 3|finite"},
    {"types-as-f32", types_as_f32, BAD_FILE, "tokenizer.ggml.token_type|array of i32|one of f32"},
    {"type-7", type_7, BAD_FILE, "tokenizer.ggml.token_type|found 7 for token 3"},
    {"byte-negative", byte_negative, BAD_FILE, "token 3|<0x-1>"},
    {"byte-of-256", byte_of_256, BAD_FILE, "token 3|<0x100>"},
    {"bos-beyond", bos_beyond, BAD_FILE, "tokenizer.ggml.bos_token_id|below 4|found 4"},
    {"eos-negative", eos_negative, BAD_FILE, "tokenizer.ggml.eos_token_id|below 4|found -1"},
    {"eot-as-text", eot_as_text, BAD_FILE, "tokenizer.ggml.eot_token_id|found string"},
    {"add-bos-as-u32", add_bos_as_u32, BAD_FILE,
     "tokenizer.ggml.add_bos_token|expected a bool|found u32"},
    {"no-tokens", no_tokens, BAD_FILE, "vocabulary|found none"},
    {"kind-bert", kind_bert, UNSUPPORTED, "tokenizer.ggml.model|found 'bert'"},
    {"tokens-without-kind", tokens_without_kind, BAD_FILE, "tokenizer.ggml.model"},
    {"kind-without-tokens", kind_without_tokens, BAD_FILE, "tokenizer.ggml.tokens"},
    {"merge-of-one", merge_of_one, BAD_FILE, "tokenizer.ggml.merges|two pieces"},
    {"token-of-a-gigabyte", token_of_a_gigabyte, BAD_FILE, "tokenizer.ggml.tokens|1073741824"},
    {"token-of-100-kb", token_of_100_kb, BAD_FILE, "tokenizer.ggml.tokens|65536|found 100000"},
    {"template-as-u32", template_as_u32, BAD_FILE, "tokenizer.chat_template|found u32"},
};

static void hostile_files_are_refused_by_name(void **state)
{
    (void)state;
    for (int i = 0; i < ARRAY_LEN(hostile); i++) {
        Buffer b = { 0 };
        hostile[i].make(&b);
        expect_refused(made_file(hostile[i].name, &b), hostile[i].status, hostile[i].name,
                       hostile[i].words);
    }
}

/* ---- what people have instead of a model ---- */

static void foreign_files_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *name, *bytes;
        size_t n;
        const char *words;
    } files[] = {
        {"pointer.gguf", "version https://git-lfs.github.com/spec/v1\noid sha256:00", 57,
         "Git LFS pointer"},
        {"page.gguf", "\n <!DOCTYPE html><html>", 23, "an HTML page"},
        {"page2.gguf", "<HTML>no</HTML>", 15, "an HTML page"},
        {"model.pt", "PK\3\4abcd", 8, "zip"},
        {"model.pkl", "\x80\2}q", 4, "pickle"},
        {"model.gz", "\x1f\x8b\x08", 3, "gzip"},
        {"model.bin", "tjgg\3\0\0\0", 8, "old GGJT"},
        {"old.bin", "lmgg\3\0\0\0", 8, "old GGML"},
        {"other-order.gguf", "FUGG\0\0\0\3", 8, "other order"},
        {"one.safetensors", "\2\0\0\0\0\0\0\0{}", 10, "one safetensors file"},
        {"empty.gguf", "", 0, "an empty file"},
        {"zeros.gguf", "\0\0\0\0\0\0\0\0\0\0\0\0", 12, "zeros"},
        {"noise.gguf", "what is this", 12, "found something else"},
    };
    for (int i = 0; i < ARRAY_LEN(files); i++)
        expect_refused(made_bytes(files[i].name, files[i].bytes, files[i].n), BAD_FILE,
                       files[i].name, files[i].words);
    expect_refused(made_path("nothing-here.gguf"), NOT_FOUND, "nothing-here.gguf", "cannot open");
    expect_refused("/dev/null", NOT_FOUND, "/dev/null", "device");
}

/* ---- an honest file with every type of value ---- */

static void put_everything(Buffer *b, uint32_t version)
{
    put_head(b, version, 2, 16);
    put_key(b, "u8", U8), put_u8(b, 200);
    put_key(b, "i8", I8), put_u8(b, 0xff);
    put_key(b, "u16", U16), buffer_append(b, "\x34\x12", 2);
    put_key(b, "i16", I16), buffer_append(b, "\xfe\xff", 2);
    put_key(b, "u32", U32), put_u32(b, 4000000000u);
    put_key(b, "i32", I32), put_u32(b, (uint32_t)-5);
    put_key(b, "f32", F_32), put_f32(b, 0.5f);
    put_key(b, "bool", BOOL), put_u8(b, 1);
    put_key(b, "text", TEXT), put_text(b, "h\xc3\xa9llo");
    put_key(b, "u64", U64), put_u64(b, UINT64_MAX);
    put_key(b, "i64", I64), put_u64(b, (uint64_t)INT64_MIN);
    put_key(b, "f64", F_64), buffer_append(b, &(double){ 1e300 }, 8);
    put_key(b, "nan", F_32), put_f32(b, NAN);
    put_array(b, "numbers", I16, 3), buffer_append(b, "\1\0\2\0\xff\xff", 6);
    put_array(b, "texts", TEXT, 2), put_text(b, "one"), put_text(b, "two");
    put_array(b, "arrays", ARRAY, 2);
    for (int i = 0; i < 2; i++) put_u32(b, U8), put_u64(b, 2), put_u8(b, 7), put_u8(b, 8);
    put_tensor(b, "first", 8, 3, 0, 0);
    put_tensor(b, "second", 64, 2, 8, 96);
    put_data(b, 96 + 2 * 68);
}

static void every_value_arrives(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        Buffer b = { 0 };
        Catalog c;
        put_everything(&b, version);
        expect_opened(made_file("everything.gguf", &b), &c);
        assert_int_equal(c.source, SOURCE_GGUF);
        assert_int_equal(c.gguf_version, version);
        assert_int_equal(c.n_settings, 16);
        static const struct {
            const char *key;
            double want;
        } numbers[] = {
            {"u8", 200}, {"i8", -1},   {"u16", 0x1234}, {"i16", -2},      {"u32", 4e9},
            {"i32", -5}, {"f32", 0.5}, {"u64", 0x1p64}, {"i64", -0x1p63}, {"f64", 1e300},
        };
        for (int i = 0; i < ARRAY_LEN(numbers); i++) {
            double got;
            bool found;
            assert_int_equal(catalog_number(&c, numbers[i].key, &got, &found, NULL), OK);
            assert_true(found && got == numbers[i].want);
        }
        assert_true(catalog_setting(&c, "bool")->flag);
        assert_memory_equal(catalog_setting(&c, "text")->text.bytes, "h\xc3\xa9llo", 7);
        const Setting *array = catalog_setting(&c, "numbers");
        assert_true(array->array.n == 3 && array->array.numbers[1] == 2 &&
                    array->array.numbers[2] == -1);
        assert_true(catalog_setting(&c, "texts")->array.n == 2 &&
                    !catalog_setting(&c, "texts")->array.numbers);
        assert_true(catalog_setting(&c, "arrays")->array.n == 2);
        catalog_close(&c);
    }
}

static void numbers_are_asked_for_by_kind(void **state)
{
    (void)state;
    Buffer b = { 0 };
    Catalog c;
    Error error;
    double got;
    bool found;
    put_everything(&b, 3);
    expect_opened(made_file("kinds.gguf", &b), &c);
    static const char *const bad[] = { "bool", "text", "numbers", "nan" };
    for (int i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(catalog_number(&c, bad[i], &got, &found, &error), BAD_FILE);
        assert_non_null(strstr(error.text, bad[i]));
    }
    assert_int_equal(catalog_number(&c, "absent", &got, &found, &error), OK);
    assert_false(found);
    catalog_close(&c);
}

static void tensors_turn_outermost_first(void **state)
{
    (void)state;
    Buffer b = { 0 };
    Catalog c;
    put_everything(&b, 3);
    expect_opened(made_file("tensors.gguf", &b), &c);
    assert_int_equal(c.n_tensors, 2);
    const FileTensor *t = catalog_tensor(&c, "second");
    assert_non_null(t);
    assert_int_equal(t->format, Q8_0);
    assert_int_equal(t->n_dims, 2);
    assert_true(t->dims[0] == 2 && t->dims[1] == 64 && t->dims[2] == 1 && t->dims[3] == 1);
    assert_int_equal(t->bytes, 2 * 68);
    assert_int_equal(t->offset % 32, 0);
    char bytes[136];
    Error error;
    assert_int_equal(catalog_read(&c, t, 0, bytes, sizeof bytes, &error), OK);
    assert_int_equal(catalog_read(&c, t, 1, bytes, sizeof bytes, &error), BAD_ARGUMENT);
    assert_int_equal(catalog_read(&c, t, -1, bytes, 1, &error), BAD_ARGUMENT);
    assert_null(catalog_tensor(&c, "third"));
    catalog_close(&c);
}

/* ---- cut at every byte ---- */

static void every_cut_is_noticed(void **state)
{
    (void)state;
    Buffer b = { 0 };
    put_everything(&b, 3);
    for (size_t n = 0; n < b.n_bytes; n++) {
        const char *path = made_bytes("cut.gguf", b.data, n);
        expect_refused(path, BAD_FILE, "cut.gguf", "expected");
    }
    buffer_free(&b);
}

/* Every byte of the header set to 0, 1, 0x7f and 0xff: it opens or is refused in a sentence. */
static void every_changed_byte_is_survived(void **state)
{
    (void)state;
    Buffer b = { 0 };
    put_everything(&b, 3);
    static const unsigned char values[] = { 0, 1, 0x7f, 0xff };
    for (size_t i = 0; i < b.n_bytes; i++) {
        const char was = b.data[i];
        for (int k = 0; k < ARRAY_LEN(values); k++) {
            Catalog c;
            Error error = { 0 };
            b.data[i] = (char)values[k];
            const Status got =
                catalog_open(made_bytes("changed.gguf", b.data, b.n_bytes), &c, &error);
            if (got == OK) catalog_close(&c);
            else assert_true(strstr(error.text, "changed.gguf") != NULL);
        }
        b.data[i] = was;
    }
    buffer_free(&b);
}

/* ---- sizes ---- */

enum { MANY = 200000 };

static void many_tensors_in_two_seconds(void **state)
{
    (void)state;
    Buffer b = { 0 };
    Catalog c;
    put_head(&b, 3, MANY, 0);
    for (int i = 0; i < MANY; i++) {
        char name[32];
        snprintf(name, sizeof name, "tensor.%d", i);
        put_tensor(&b, name, 8, 1, 0, (uint64_t)i * 32);
    }
    put_data(&b, (size_t)MANY * 32);
    const char *path = made_file("many-tensors.gguf", &b);
    const clock_t begin = clock();          /* of this process: others may be busy */
    expect_opened(path, &c);
    const int64_t took_us = (int64_t)((double)(clock() - begin) * 1e6 / CLOCKS_PER_SEC);
    print_message("%d tensors: %lld ms\n", MANY, (long long)took_us / 1000);
    assert_int_equal(c.n_tensors, MANY);
    for (int i = 0; i < MANY; i += 997) {
        char name[32];
        snprintf(name, sizeof name, "tensor.%d", i);
        assert_ptr_equal(catalog_tensor(&c, name), &c.tensors[i]);
    }
    catalog_close(&c);
    assert_true(took_us < MANY_US_MAX);
}

static void many_keys_in_two_seconds(void **state)
{
    (void)state;
    Buffer b = { 0 };
    Catalog c;
    put_head(&b, 3, 0, MANY);
    for (int i = 0; i < MANY; i++) {
        char name[32];
        snprintf(name, sizeof name, "key.%d", i);
        put_key(&b, name, U32);
        put_u32(&b, (uint32_t)i);
    }
    const char *path = made_file("many-keys.gguf", &b);
    const clock_t begin = clock();          /* of this process: others may be busy */
    expect_opened(path, &c);
    const int64_t took_us = (int64_t)((double)(clock() - begin) * 1e6 / CLOCKS_PER_SEC);
    print_message("%d keys: %lld ms\n", MANY, (long long)took_us / 1000);
    assert_int_equal(catalog_setting(&c, "key.199999")->natural, 199999);
    catalog_close(&c);
    assert_true(took_us < MANY_US_MAX);
}

static void a_sparse_terabyte_opens(void **state)
{
    (void)state;
    const int64_t terabyte = (int64_t)1 << 40;
    Buffer b = { 0 };
    put_head(&b, 3, 1, 0);
    put_tensor(&b, "large", (uint64_t)1 << 19, (uint64_t)1 << 19, 0, 0);
    put_data(&b, 0);
    const int64_t data_begin = (int64_t)b.n_bytes;
    const char *path = made_file("terabyte.gguf", &b);
    if (truncate(path, data_begin + terabyte)) {
        print_message("skipped: no sparse files here\n");
        skip();
    }
    Catalog c;
    float last = 1;
    expect_opened(path, &c);
    assert_int_equal(c.tensors[0].bytes, terabyte);
    assert_int_equal(catalog_read(&c, &c.tensors[0], terabyte - 4, &last, 4, NULL), OK);
    assert_true(last == 0);
    catalog_close(&c);

    /* An array that claims all of it is walked no further than a header may reach. */
    put_head(&b, 3, 0, 1);
    put_array(&b, "long", TEXT, (uint64_t)1 << 36);
    path = made_file("terabyte2.gguf", &b);
    assert_int_equal(truncate(path, terabyte), 0);
    expect_refused(path, BAD_FILE, "terabyte2.gguf", "key 'long'|expected");
    unlink(path);
    unlink(made_path("terabyte.gguf"));
}

/* ---- split files ---- */

static void put_part(const char *name, int no, int count, int promised, int n_tensors)
{
    Buffer b = { 0 };
    put_head(&b, 3, (uint64_t)n_tensors, 4);
    put_key(&b, "split.no", U16), buffer_append(&b, &(uint16_t){ (uint16_t)no }, 2);
    put_key(&b, "split.count", U16), buffer_append(&b, &(uint16_t){ (uint16_t)count }, 2);
    put_key(&b, "split.tensors.count", I32), put_u32(&b, (uint32_t)promised);
    put_key(&b, "part.text", TEXT), put_text(&b, no ? "later" : "first");
    for (int i = 0; i < n_tensors; i++) {
        char tensor[32];
        snprintf(tensor, sizeof tensor, "part%d.%d", no, i);
        put_tensor(&b, tensor, 8, 1, 0, (uint64_t)i * 32);
    }
    put_data(&b, (size_t)n_tensors * 32);
    made_file(name, &b);
}

static void parts_become_one_model(void **state)
{
    (void)state;
    put_part("s-00001-of-00003.gguf", 0, 3, 5, 0);
    put_part("s-00002-of-00003.gguf", 1, 3, 5, 2);
    put_part("s-00003-of-00003.gguf", 2, 3, 5, 3);
    for (int part = 1; part <= 3; part++) {             /* whichever part was named */
        char name[64];
        Catalog c;
        snprintf(name, sizeof name, "s-%05d-of-00003.gguf", part);
        expect_opened(made_path(name), &c);
        assert_int_equal(c.n_files, 3);
        assert_int_equal(c.n_tensors, 5);
        assert_string_equal(catalog_setting(&c, "part.text")->text.bytes, "first");
        assert_int_equal(catalog_tensor(&c, "part2.2")->file, 2);
        catalog_close(&c);
    }
}

static void wrong_parts_are_refused(void **state)
{
    (void)state;
    put_part("m-00001-of-00002.gguf", 0, 2, 1, 1);
    expect_refused(made_path("m-00001-of-00002.gguf"), NOT_FOUND, "m-00002-of-00002.gguf",
                   "cannot open");
    put_part("n-00002-of-00002.gguf", 1, 2, 1, 1);
    expect_refused(made_path("n-00002-of-00002.gguf"), NOT_FOUND, "n-00001-of-00002.gguf",
                   "cannot open");
    put_part("o-00001-of-00002.gguf", 0, 2, 2, 1);
    put_part("o-00002-of-00002.gguf", 0, 2, 2, 1);      /* the first part again */
    expect_refused(made_path("o-00001-of-00002.gguf"), BAD_FILE, "o-00002-of-00002.gguf", "second");
    put_part("p-00001-of-00002.gguf", 0, 2, 7, 1);
    put_part("p-00002-of-00002.gguf", 1, 2, 7, 1);
    expect_refused(made_path("p-00002-of-00002.gguf"), BAD_FILE, "p-0000",
                   "split.tensors.count|expected 7|found 2");
    put_part("q-00001-of-00002.gguf", 0, 3, 1, 1);
    expect_refused(made_path("q-00001-of-00002.gguf"), BAD_FILE, "q-00001",
                   "split.count|expected 2|found 3");
    put_part("r-00001-of-00002.gguf", 1, 2, 1, 1);
    expect_refused(made_path("r-00001-of-00002.gguf"), BAD_FILE, "r-00001",
                   "split.no|expected 0|found 1");
}

/* ---- vocabularies ---- */

static void a_small_vocabulary_has_its_defaults(void **state)
{
    (void)state;
    Buffer b = { 0 };
    Catalog c;
    put_vocab(&b, "llama", 5, 0);
    expect_opened(made_file("spm.gguf", &b), &c);
    const Vocab *v = &c.vocab;
    assert_int_equal(v->kind, VOCAB_SPM);
    assert_true(v->unknown == 0 && v->bos == 1 && v->eos == 2 && v->n_ends == 1 && v->ends[0] == 2);
    assert_true(v->add_bos && !v->add_eos && v->add_space_prefix && !v->remove_extra_whitespaces &&
                v->escape_whitespaces);
    assert_true(v->pieces[0].type == PIECE_UNKNOWN && v->pieces[2].type == PIECE_CONTROL &&
                v->pieces[3].type == PIECE_NORMAL);
    catalog_close(&c);

    put_vocab(&b, "gpt2", 4, 4);
    put_key(&b, "tokenizer.ggml.pre", TEXT), put_text(&b, "llama-bpe");
    put_key(&b, "tokenizer.ggml.eot_token_id", U32), put_u32(&b, 3);
    put_key(&b, "tokenizer.ggml.eos_token_id", U32), put_u32(&b, 2);
    put_array(&b, "tokenizer.ggml.merges", TEXT, 2), put_text(&b, "a b"), put_text(&b, "  c");
    expect_opened(made_file("bpe.gguf", &b), &c);
    assert_int_equal(v->kind, VOCAB_BPE);
    assert_true(v->add_bos && v->ignore_merges && v->bos == -1 && v->eos == 2 && v->unknown == -1);
    assert_true(v->n_ends == 2 && v->ends[0] == 2 && v->ends[1] == 3);
    assert_true(v->n_merges == 2 && v->merges[0].n_left == 1 && v->merges[0].right[0] == 'b');
    assert_true(v->merges[1].n_left == 1 && v->merges[1].left[0] == ' ' &&
                v->merges[1].right[0] == 'c');
    catalog_close(&c);

    put_vocab(&b, "no_vocab", 3, 0);
    expect_opened(made_file("none.gguf", &b), &c);
    assert_int_equal(v->kind, VOCAB_NONE);
    catalog_close(&c);
}

static void real_files_open(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t n_tensors;
        VocabKind kind;
        int32_t n_pieces, n_merges;
    } files[] = {
        {"weights/stories260K.gguf", 48, VOCAB_SPM, 512, 0},
        {"weights/stories260K-moe8x2-jitter.gguf", 53, VOCAB_SPM, 512, 0},
        {"weights/stories260K-moe8x2-jitter-wide256-f16.gguf", 53, VOCAB_SPM, 512, 0},
        {"tokenizers/vectors/ggml-vocab-llama-spm.gguf", 0, VOCAB_SPM, 32000, 0},
        {"tokenizers/vectors/ggml-vocab-phi-3.gguf", 0, VOCAB_SPM, 32064, 0},
        {"tokenizers/vectors/ggml-vocab-gpt-2.gguf", 0, VOCAB_BPE, 50257, 50000},
        {"tokenizers/vectors/ggml-vocab-falcon.gguf", 0, VOCAB_BPE, 65024, 64784},
        {"tokenizers/vectors/ggml-vocab-deepseek-llm.gguf", 0, VOCAB_BPE, 102400, 99757},
        {"tokenizers/vectors/ggml-vocab-deepseek-coder.gguf", 0, VOCAB_BPE, 32256, 31757},
    };
    for (int i = 0; i < ARRAY_LEN(files); i++) {
        const char *path = test_data(files[i].name);
        if (!path) skip();
        Catalog c;
        expect_opened(path, &c);
        assert_int_equal(c.n_tensors, files[i].n_tensors);
        assert_int_equal(c.vocab.kind, files[i].kind);
        assert_int_equal(c.vocab.n_pieces, files[i].n_pieces);
        assert_int_equal(c.vocab.n_merges, files[i].n_merges);
        assert_int_equal(catalog_setting(&c, "tokenizer.ggml.tokens")->array.n, files[i].n_pieces);
        catalog_close(&c);
    }
}

/* ---- a disk that says no ---- */

static int calls_until_fault;
static int fault_at(IoCall call)
{
    return call == IO_READ && --calls_until_fault == 0 ? 5 /* EIO */ : 0;
}

static void every_read_may_fail(void **state)
{
    (void)state;
    Buffer b = { 0 };
    put_everything(&b, 3);
    const char *path = made_file("faulty.gguf", &b);
    Status got = IO_FAILED;
    int n = 0;
    while (got == IO_FAILED && n < 10000) {
        Catalog c;
        Error error = { 0 };
        calls_until_fault = ++n;
        io_fault = fault_at;
        got = catalog_open(path, &c, &error);
        io_fault = NULL;
        if (got == OK) catalog_close(&c);
        else assert_non_null(strstr(error.text, "faulty.gguf"));
    }
    assert_int_equal(got, OK);
    assert_true(n > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_files_are_refused_by_name),
        cmocka_unit_test(foreign_files_are_named),
        cmocka_unit_test(every_value_arrives),
        cmocka_unit_test(numbers_are_asked_for_by_kind),
        cmocka_unit_test(tensors_turn_outermost_first),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(every_changed_byte_is_survived),
        cmocka_unit_test(many_tensors_in_two_seconds),
        cmocka_unit_test(many_keys_in_two_seconds),
        cmocka_unit_test(a_sparse_terabyte_opens),
        cmocka_unit_test(parts_become_one_model),
        cmocka_unit_test(wrong_parts_are_refused),
        cmocka_unit_test(a_small_vocabulary_has_its_defaults),
        cmocka_unit_test(real_files_open),
        cmocka_unit_test(every_read_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
