/* SPDX-License-Identifier: Apache-2.0
 * Published pairs of text and ids for eight vocabularies, both kinds, every named pre-tokeniser. */
#include "support.h"

#include "file/catalog.h"
#include "text/detok.h"

#define SEPARATOR "\n__ggml_vocab_test__\n"

/* The vocabulary is a GGUF file beside the vectors, or a packed tokenizer.json; `pre` replaces the
 * pattern of the latter by our named one. */
typedef struct Row { const char *name, *json, *pre; } Row;

static const Row rows[] = {
    { "llama-spm", NULL, NULL },      { "phi-3", NULL, NULL },  { "gpt-2", NULL, NULL },
    { "deepseek-llm", NULL, NULL },   { "falcon", NULL, NULL }, { "deepseek-coder", NULL, NULL },
    { "llama-bpe", "llama3", NULL },  { "llama-bpe", "llama3", "llama-bpe" },
    { "qwen2", "qwen3", NULL },       { "qwen2", "qwen3", "qwen2" },
};

static void open_vocabulary(const Row *row, Catalog *catalog)
{
    Error error = { 0 };
    char name[256], path[300], command[5000];
    snprintf(name, sizeof name,
             row->json ? "tokenizers/json/%s.tokenizer.json.gz"
                       : "tokenizers/vectors/ggml-vocab-%s.gguf",
             row->json ? row->json : row->name);
    const char *file = test_data(name);
    if (!file) skip();
    if (row->json) {                                    /* packed: unpack it beside ourselves */
        snprintf(path, sizeof path, "%s/tokenizer.json", test_scratch());
        snprintf(command, sizeof command, "gzip -dc '%s' > '%s'", file, path);
        assert_int_equal(system(command), 0);
        file = path;
    }
    if (catalog_open(file, catalog, &error) != OK) fail_msg("%s", error.text);
    if (row->pre) {
        catalog->vocab.pre = row->pre;
        catalog->vocab.pre_pattern = NULL;
        catalog->vocab.ignore_merges = false;           /* the name itself brings it back */
    }
}

static char *slurp_vectors(const char *name, const char *end)
{
    char path[256], *bytes;
    size_t n_bytes;
    Error error = { 0 };
    snprintf(path, sizeof path, "tokenizers/vectors/ggml-vocab-%s.gguf.%s", name, end);
    const char *file = test_data(path);
    if (!file) skip();
    if (file_slurp(file, MIB, &bytes, &n_bytes, &error) != OK) fail_msg("%s", error.text);
    return bytes;
}

static void expect_ids(const Row *row, const Tokenizer *t, const char *text, size_t n_bytes,
                       const char *want)
{
    Error error = { 0 };
    TokenList ids = { 0 };
    Buffer got = { 0 };
    assert_int_equal(tokenize(t, text, n_bytes, NULL, &ids, &error), OK);
    for (size_t i = 0; i < ids.n; i++) buffer_format(&got, " %d", ids.ids[i]);
    const size_t n_want = strcspn(want, "\n");
    if (got.n_bytes != n_want || (n_want && memcmp(got.data, want, n_want) != 0)) {
        fail_msg("%s: '%.*s'\nwant%.*s\ngot %s", row->name, (int)n_bytes, text, (int)n_want, want,
                 got.data ? got.data : "");
    }
    buffer_free(&got);
    token_list_free(&ids);
}

/* The vectors have no invalid text, so every one comes back as it was. */
static void expect_text(const Tokenizer *t, const char *text, size_t n_bytes)
{
    Error error = { 0 };
    TokenList ids = { 0 };
    Buffer got = { 0 };
    Detok *detok;
    bool stopped;
    assert_int_equal(tokenize(t, text, n_bytes, NULL, &ids, &error), OK);
    assert_int_equal(detok_new(t, NULL, 0, true, false, &detok, &error), OK);
    for (size_t i = 0; i < ids.n; i++)
        assert_int_equal(detok_push(detok, ids.ids[i], &got, &stopped, &error), OK);
    assert_int_equal(detok_finish(detok, &got, &error), OK);
    if (got.n_bytes != n_bytes || (n_bytes && memcmp(got.data, text, n_bytes) != 0)) {
        fail_msg("want '%.*s'\ngot  '%s'", (int)n_bytes, text, got.data ? got.data : "");
    }
    detok_free(detok);
    buffer_free(&got);
    token_list_free(&ids);
}

static void expect_vectors(const Row *row)
{
    Error error = { 0 };
    Catalog catalog;
    Tokenizer *t;
    open_vocabulary(row, &catalog);
    if (tokenizer_new(&catalog.vocab, row->name, &t, &error) != OK) fail_msg("%s", error.text);
    char *texts = slurp_vectors(row->name, "inp"), *ids = slurp_vectors(row->name, "out");
    const char *text = texts, *want = ids;
    int n = 0;
    for (const char *end; (end = strstr(text, SEPARATOR)); n++) {
        expect_ids(row, t, text, (size_t)(end - text), want);
        expect_text(t, text, (size_t)(end - text));
        text = end + strlen(SEPARATOR);
        want += strcspn(want, "\n") + 1;
    }
    assert_int_equal(n, 46);
    print_message("%s%s%s: %d of %d\n", row->name, row->pre ? " by name" : "",
                  row->json ? " from json" : "", n, n);
    free(texts);
    free(ids);
    tokenizer_free(t);
    catalog_close(&catalog);
}

static void all_vectors_agree(void **state)
{
    (void)state;
    for (int i = 0; i < ARRAY_LEN(rows); i++) expect_vectors(&rows[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(all_vectors_agree) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
