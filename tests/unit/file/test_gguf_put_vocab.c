/* SPDX-License-Identifier: Apache-2.0
 * Vocabularies of every kind, written as GGUF keys and read again: the same tokenizer. */
#include "file/catalog.h"
#include "file/gguf_write.h"

#include "support.h"

static Catalog opened(const char *path)
{
    Catalog c;
    Error error = { 0 };
    if (catalog_open(path, &c, &error) != OK) fail_msg("%s", error.text);
    return c;
}

static Status written(const Vocab *v, const char *path, Error *error)
{
    GgufWriter *w;
    Status status = gguf_create(path, NULL, &w, error);
    if (status != OK) return status;
    gguf_put_text(w, "general.architecture", "llama", 5, error);
    status = gguf_put_vocab(w, v, error);
    if (status == OK) return gguf_finish(w, error);
    gguf_abandon(w);
    return status;
}

static void expect_text(const char *what, int i, const char *want, size_t n_want, const char *got,
                        size_t n_got)
{
    if (n_want != n_got || memcmp(want, got, n_want))
        fail_msg("%s %d: want '%.*s', got '%.*s'", what, i, (int)n_want, want, (int)n_got, got);
}

static void expect_same(const Vocab *a, const Vocab *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->n_pieces, b->n_pieces);
    for (int i = 0; i < a->n_pieces; i++) {
        const Piece *x = &a->pieces[i], *y = &b->pieces[i];
        expect_text("piece", i, x->text, x->n_bytes, y->text, y->n_bytes);
        assert_int_equal(x->type, y->type);
        if (a->kind == VOCAB_SPM) assert_true(x->score == y->score);
    }
    assert_int_equal(a->n_merges, b->n_merges);
    for (int i = 0; i < a->n_merges; i++) {
        const Merge *x = &a->merges[i], *y = &b->merges[i];
        expect_text("merge", i, x->left, x->n_left, y->left, y->n_left);
        expect_text("merge", i, x->right, x->n_right, y->right, y->n_right);
    }
    assert_int_equal(a->pre != NULL, b->pre != NULL);
    if (a->pre) assert_string_equal(a->pre, b->pre);
    assert_int_equal(a->charsmap_bytes, b->charsmap_bytes);
    if (a->charsmap) assert_memory_equal(a->charsmap, b->charsmap, a->charsmap_bytes);
    assert_int_equal(a->bos, b->bos);
    assert_int_equal(a->eos, b->eos);
    assert_int_equal(a->unknown, b->unknown);
    assert_int_equal(a->n_ends, b->n_ends);
    for (int i = 0; i < a->n_ends; i++) assert_int_equal(a->ends[i], b->ends[i]);
    assert_int_equal(a->add_bos, b->add_bos);
    assert_int_equal(a->nfc, b->nfc);
    assert_int_equal(a->add_eos, b->add_eos);
    if (a->kind != VOCAB_SPM) return;
    assert_int_equal(a->add_space_prefix, b->add_space_prefix);
    assert_int_equal(a->remove_extra_whitespaces, b->remove_extra_whitespaces);
}

static void round_trip(const char *name)
{
    char path[512];
    Error error = { 0 };
    const char *from = test_data(name);
    if (!from) skip();
    snprintf(path, sizeof path, "%s/vocab.gguf", test_scratch());
    Catalog a = opened(from);
    if (written(&a.vocab, path, &error) != OK) fail_msg("%s: %s", name, error.text);
    Catalog b = opened(path);
    expect_same(&a.vocab, &b.vocab);
    catalog_close(&a);
    catalog_close(&b);
}

static void test_llama_spm(void **state)   { (void)state; round_trip("tokenizers/vectors/ggml-vocab-llama-spm.gguf"); }
static void test_mistral(void **state)    { (void)state; round_trip("tokenizers/mistral/tokenizer.model.v1"); }
static void test_gpt_2(void **state)       { (void)state; round_trip("tokenizers/vectors/ggml-vocab-gpt-2.gguf"); }
static void test_falcon(void **state)      { (void)state; round_trip("tokenizers/vectors/ggml-vocab-falcon.gguf"); }

static void test_not_sayable(void **state)
{
    (void)state;
    char path[512];
    Error error = { 0 };
    Piece piece = { "a", 1, 0, PIECE_NORMAL };
    Vocab v = { .kind = VOCAB_BPE,
                .pieces = &piece,
                .n_pieces = 1,
                .pre_pattern = "[a-z]+",
                .bos = -1,
                .eos = -1,
                .unknown = -1 };
    snprintf(path, sizeof path, "%s/unsayable.gguf", test_scratch());
    assert_int_equal(written(&v, path, &error), UNSUPPORTED);
    v = (Vocab){
        .kind = VOCAB_SPM, .pieces = &piece, .n_pieces = 1, .bos = -1, .eos = -1, .unknown = -1
    };
    assert_int_equal(written(&v, path, &error), UNSUPPORTED);
    assert_int_not_equal(access(path, F_OK), 0);
}

/* A pattern that has a name is written by name; how merges are treated is part of the name. */
static void test_pattern_by_name(void **state)
{
    (void)state;
    static const char pattern[] =
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
        "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    char path[512];
    Error error = { 0 };
    Piece piece = { "a", 1, 0, PIECE_NORMAL };
    Vocab v = { .kind = VOCAB_BPE,
                .pieces = &piece,
                .n_pieces = 1,
                .pre_pattern = pattern,
                .ignore_merges = true,
                .bos = -1,
                .eos = -1,
                .unknown = -1 };
    snprintf(path, sizeof path, "%s/named.gguf", test_scratch());
    for (int i = 0; i < 2; i++, v.ignore_merges = false) {
        if (written(&v, path, &error) != OK) fail_msg("%s", error.text);
        Catalog b = opened(path);
        assert_string_equal(b.vocab.pre, i ? "dbrx" : "llama-bpe");
        assert_int_equal(b.vocab.ignore_merges, v.ignore_merges);
        catalog_close(&b);
    }
}

static void test_charsmap(void **state)
{
    (void)state;
    char path[512];
    Error error = { 0 };
    Piece pieces[4] = { { "<unk>", 5, 0, PIECE_UNKNOWN },
                        { "<s>", 3, 0, PIECE_CONTROL },
                        { "</s>", 4, 0, PIECE_CONTROL },
                        { "a", 1, -1, PIECE_NORMAL } };
    const Vocab v = { .kind = VOCAB_SPM,
                      .pieces = pieces,
                      .n_pieces = 4,
                      .charsmap = "\4\0\0\0abcdxyz",
                      .charsmap_bytes = 11,
                      .bos = 1,
                      .eos = 2,
                      .unknown = 0,
                      .ends = { 2, 3 },
                      .n_ends = 2,
                      .add_eos = true,
                      .remove_extra_whitespaces = true,
                      .escape_whitespaces = true };
    snprintf(path, sizeof path, "%s/charsmap.gguf", test_scratch());
    if (written(&v, path, &error) != OK) fail_msg("%s", error.text);
    Catalog b = opened(path);
    expect_same(&v, &b.vocab);
    catalog_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama_spm),   cmocka_unit_test(test_mistral),
        cmocka_unit_test(test_gpt_2),       cmocka_unit_test(test_falcon),
        cmocka_unit_test(test_not_sayable), cmocka_unit_test(test_pattern_by_name),
        cmocka_unit_test(test_charsmap)
    };
    return cmocka_run_group_tests_name("file.gguf_put_vocab", tests, NULL, NULL);
}
