/* SPDX-License-Identifier: Apache-2.0
 * SentencePiece BPE against the library itself: vocabularies that spm_cases.py trains, one of each
 * kind, and the models in the data folder; random Unicode and random bytes; ids and decoded text. */
#include "support.h"

#include <sys/wait.h>

#include "base/checked.h"
#include "file/catalog.h"
#include "text/detok.h"

#define MODEL_V1 "tokenizers/mistral/tokenizer.model.v1"
#define MODEL_V3 "tokenizers/mistral/mistral_instruct_tokenizer_240323.model.v3"

enum { CASES = 10000, SEED = 20261122 };

static void print_ids(const char *what, const int32_t *ids, size_t n)
{
    print_error("%s", what);
    for (size_t i = 0; i < n && i < 64; i++) print_error(" %d", ids[i]);
    print_error("\n");
}

static bool decodes_to(const Tokenizer *t, const TokenList *ids, const char *want, size_t n_bytes)
{
    Error error = { 0 };
    Detok *detok;
    Buffer got = { 0 };
    bool stopped;
    assert_int_equal(detok_new(t, NULL, 0, true, false, &detok, &error), OK);
    for (size_t i = 0; i < ids->n; i++) {
        assert_int_equal(detok_push(detok, ids->ids[i], &got, &stopped, &error), OK);
    }
    assert_int_equal(detok_finish(detok, &got, &error), OK);
    const bool same =
        got.n_bytes == n_bytes && memcmp(got.data ? got.data : "", want, n_bytes) == 0;
    if (!same)
        print_error("decoded: want '%.*s', got '%s'\n", (int)n_bytes, want,
                    got.data ? got.data : "");
    buffer_free(&got);
    detok_free(detok);
    return same;
}

/* One case: u32 bytes, bytes, u32 ids, ids, u32 bytes, decoded. */
static bool case_agrees(const Tokenizer *t, Cursor *c, TokenList *got)
{
    Error error = { 0 };
    const uint32_t n_text = cursor_u32(c);
    const char *text = cursor_take(c, n_text);
    const uint32_t n_want = cursor_u32(c);
    int32_t *want = calloc(n_want + 1u, sizeof *want);
    const void *ids = cursor_take(c, n_want * sizeof *want);
    const uint32_t n_decoded = cursor_u32(c);
    const char *decoded = cursor_take(c, n_decoded);
    assert_false(c->bad);
    memcpy(want, ids, n_want * sizeof *want);
    got->n = 0;
    assert_int_equal(tokenize(t, text, n_text, NULL, got, &error), OK);
    const bool same =
        got->n == n_want && (!n_want || memcmp(got->ids, want, n_want * sizeof *want) == 0);
    if (!same) {
        print_error("text '%.*s'\n", (int)n_text, text);
        print_ids("want", want, n_want);
        print_ids("got ", got->ids, got->n);
    }
    free(want);
    return decodes_to(t, got, decoded, n_decoded) && same;
}

static void compare_model(const char *model, const char *cases)
{
    Error error = { 0 };
    Catalog catalog;
    Tokenizer *t;
    char *bytes;
    size_t n_bytes;
    if (catalog_open(model, &catalog, &error) != OK) fail_msg("%s", error.text);
    if (tokenizer_new(&catalog.vocab, model, &t, &error) != OK) fail_msg("%s", error.text);
    assert_int_equal(file_slurp(cases, (int64_t)1 << 30, &bytes, &n_bytes, &error), OK);
    Cursor c = cursor_over(bytes, n_bytes);
    TokenList got = { 0 };
    int n = 0, n_bad = 0;
    while (cursor_left(&c) && n_bad < 5) {
        n_bad += !case_agrees(t, &c, &got);
        n++;
    }
    print_message("%s: %d strings, %d differ (seed %d)\n", strrchr(model, '/') + 1, n, n_bad, SEED);
    assert_int_equal(n_bad, 0);
    assert_int_equal(n, CASES);
    token_list_free(&got);
    free(bytes);
    tokenizer_free(t);
    catalog_close(&catalog);
}

static void ids_equal_those_of_sentencepiece(void **state)
{
    (void)state;
    const char *v1 = test_data(MODEL_V1), *v3 = test_data(MODEL_V3);
    char command[8192], model[1024], cases[1024];
    snprintf(command, sizeof command,
             "PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 '%s/tests/unit/text/spm_cases.py' '%s' "
             "'%s/STYLE.md' "
             "%d %d '%s' '%s' 2>/dev/null",
             MIXT_SOURCE_DIR, test_scratch(), MIXT_SOURCE_DIR, CASES, SEED, v1 ? v1 : "",
             v3 ? v3 : "");
    FILE *script = popen(command, "r");
    assert_non_null(script);
    int n_models = 0;
    while (fscanf(script, "%1023s %1023s", model, cases) == 2) {
        compare_model(model, cases);
        n_models++;
    }
    const int rc = pclose(script);
    if (WIFEXITED(rc) && WEXITSTATUS(rc) == 77) {
        print_message("skipped: /usr/bin/python3 has no sentencepiece\n");
        skip();
    }
    assert_int_equal(rc, 0);
    assert_int_equal(n_models, 13 + (v1 != NULL) + (v3 != NULL));
}

/* ---- prompts: what sentencepiece never sees ---- */

typedef struct Prompt { const char *text; size_t n_want; int32_t want[8]; } Prompt;

static void expect_prompts(const char *model, const Prompt *prompts, int n)
{
    Error error = { 0 };
    Catalog catalog;
    Tokenizer *t;
    if (catalog_open(model, &catalog, &error) != OK) fail_msg("%s", error.text);
    if (tokenizer_new(&catalog.vocab, model, &t, &error) != OK) fail_msg("%s", error.text);
    const TokenizeOptions options = { .parse_control = true };
    for (int i = 0; i < n; i++) {
        TokenList got = { 0 };
        assert_int_equal(
            tokenize(t, prompts[i].text, strlen(prompts[i].text), &options, &got, &error), OK);
        if (got.n < prompts[i].n_want ||
            memcmp(got.ids, prompts[i].want, prompts[i].n_want * sizeof(int32_t)) != 0) {
            print_ids("want", prompts[i].want, prompts[i].n_want);
            print_ids("got ", got.ids, got.n);
            fail_msg("%s", prompts[i].text);
        }
        token_list_free(&got);
    }
    tokenizer_free(t);
    catalog_close(&catalog);
}

static void the_prefix_after_a_control_token_is_one_space(void **state)
{
    (void)state;
    const char *v1 = test_data(MODEL_V1), *v3 = test_data(MODEL_V3);
    if (!v1 || !v3) skip();
    const Prompt first[] = {
        { "<s> [INST] Hi [/INST]", 4, { 1, 733, 16289, 28793 } },
        { "<s>[INST] Hi [/INST]", 4, { 1, 733, 16289, 28793 } },
        { "</s>[INST] Hi", 4, { 2, 733, 16289, 28793 } },
        { "</s> [INST] Hi", 4, { 2, 733, 16289, 28793 } },
        { "[INST]", 3, { 733, 16289, 28793 } },
    };
    const Prompt third[] = {
        { "<s>[INST] Hi[/INST]", 4, { 1, 3, 16127, 4 } },
        { "<s>[INST]Hi[/INST] Hi</s>", 6, { 1, 3, 16127, 4, 16127, 2 } },
    };
    expect_prompts(v1, first, ARRAY_LEN(first));
    expect_prompts(v3, third, ARRAY_LEN(third));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_equal_those_of_sentencepiece),
        cmocka_unit_test(the_prefix_after_a_control_token_is_one_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
