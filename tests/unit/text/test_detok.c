/* SPDX-License-Identifier: Apache-2.0
 * The streaming detokeniser: whole characters, stop strings across tokens, and the same text however
 * it was cut. */
#include "support.h"

#include "base/rng.h"
#include "text/detok.h"
#include "unit/text/small_vocab.h"

static SmallVocab spm, bpe;

typedef struct Answer { Buffer text; bool stopped; } Answer;

static Tokenizer *open_small(const SmallVocab *small)
{
    Error error = { 0 };
    Tokenizer *t;
    if (tokenizer_new(&small->vocab, "small", &t, &error) != OK) fail_msg("%s", error.text);
    return t;
}

/* What a reader of the stream saw: every piece given out must be valid by itself. */
static Answer stream(const Tokenizer *t, const int32_t *ids, size_t n, const char *const *stops,
                     int n_stops, bool at_start)
{
    Error error = { 0 };
    Answer answer = { 0 };
    Detok *detok;
    assert_int_equal(detok_new(t, stops, n_stops, at_start, false, &detok, &error), OK);
    buffer_text(&answer.text, "");
    for (size_t i = 0; i < n && !answer.stopped; i++) {
        const size_t before = answer.text.n_bytes;
        assert_int_equal(detok_push(detok, ids[i], &answer.text, &answer.stopped, &error), OK);
        assert_true(utf8_valid(answer.text.data + before, answer.text.n_bytes - before));
    }
    assert_int_equal(detok_finish(detok, &answer.text, &error), OK);
    detok_free(detok);
    return answer;
}

/* The bytes of a text as BPE byte tokens: the finest cut there is. */
static size_t bytes_as_ids(const char *text, int32_t *ids)
{
    const size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) ids[i] = (uint8_t)text[i];
    return n;
}

static void expect_stream(const char *text, const char *const *stops, int n_stops, const char *want,
                          bool stopped)
{
    Tokenizer *t = open_small(&bpe);
    int32_t ids[256];
    Answer got = stream(t, ids, bytes_as_ids(text, ids), stops, n_stops, false);
    if (strcmp(got.text.data, want) != 0 || got.stopped != stopped) {
        fail_msg("'%s': want '%s' (%d), got '%s' (%d)", text, want, stopped, got.text.data,
                 got.stopped);
    }
    buffer_free(&got.text);
    tokenizer_free(t);
}

static void stop_strings_cut(void **state)
{
    (void)state;
    const char *const one[] = { "STOP" }, *const self[] = { "aab" },
                      *const two[] = { "abcd", "bc" }, *const tie[] = { "b", "ab", "cab" },
                      *const letter[] = { "\xc3\xa9!" };
    expect_stream("go on STOP and more", one, 1, "go on ", true);
    expect_stream("go on STO", one, 1, "go on STO", false);             /* held, then given back */
    expect_stream("STSTOP", one, 1, "ST", true);
    expect_stream("aaab", self, 1, "a", true);
    expect_stream("xabcd", two, 2, "xa", true);                         /* the first to end wins */
    expect_stream("xcabx", tie, 3, "x", true);                          /* of those, the longest */
    expect_stream("caf\xc3\xa9!", letter, 1, "caf", true);
    expect_stream("caf\xc3\xa8!", letter, 1, "caf\xc3\xa8!", false);
    expect_stream("STOP", one, 1, "", true);
    expect_stream("", one, 1, "", false);
}

static void text_is_held_only_while_it_must(void **state)
{
    (void)state;
    Tokenizer *t = open_small(&bpe);
    Error error = { 0 };
    Buffer text = { 0 };
    Detok *detok;
    bool stopped;
    const char *const stops[] = { "<|end" };
    static const char *const seen[] = { "a", "a", "a", "a<|x", "a<|x", "a<|x", "a<|x", "a<|x<|e!" };
    const char *input = "a<|x<|e!";             /* and what is out after each letter */
    assert_int_equal(detok_new(t, stops, 1, false, false, &detok, &error), OK);
    for (size_t i = 0; i < strlen(input); i++) {
        assert_int_equal(detok_push(detok, (uint8_t)input[i], &text, &stopped, &error), OK);
        assert_string_equal(text.data, seen[i]);
    }
    detok_reset(detok, false);
    buffer_clear(&text);
    assert_int_equal(detok_push(detok, '<', &text, &stopped, &error), OK);
    assert_int_equal(text.n_bytes, 0);
    assert_int_equal(detok_finish(detok, &text, &error), OK);
    assert_string_equal(text.data, "<");
    detok_free(detok);
    buffer_free(&text);
    tokenizer_free(t);
}

static void broken_bytes_become_replacement_characters(void **state)
{
    (void)state;
    expect_stream("\xf0\x9f\x98\x80", NULL, 0, "\xf0\x9f\x98\x80", false);
    expect_stream("a\xe2\x82", NULL, 0, "a\xef\xbf\xbd\xef\xbf\xbd", false);
    expect_stream("\xe2\x82z", NULL, 0, "\xef\xbf\xbd\xef\xbf\xbdz", false);
    expect_stream("\xff\xc3\xa9", NULL, 0, "\xef\xbf\xbd\xc3\xa9", false);
    expect_stream("\xed\xa0\x80", NULL, 0, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", false);
}

/* The slow twin of the stop machine: at every character's end, does any stop end here? */
static bool slow_stop(const char *text, const char *const *stops, int n_stops, size_t *cut)
{
    const size_t n = strlen(text);
    for (size_t end = 1; end <= n; end++) {
        size_t longest = 0;
        for (int i = 0; i < n_stops; i++) {
            const size_t length = strlen(stops[i]);
            if (length <= end && length > longest &&
                memcmp(text + end - length, stops[i], length) == 0)
                longest = length;
        }
        *cut = end - longest;
        if (longest) return true;
    }
    *cut = n;
    return false;
}

/* Random texts over few letters, random stops, cut into tokens in random ways: always one answer. */
static void any_cut_gives_the_same_text(void **state)
{
    (void)state;
    Tokenizer *t = open_small(&bpe);
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        Rng rng = { seed };
        char text[64], stop_texts[3][8];
        const char *stops[3];
        const size_t n = rng_bits(&rng) % 40;
        for (size_t i = 0; i < n; i++) text[i] = "ahe n"[rng_bits(&rng) % 5];
        text[n] = 0;
        const int n_stops = (int)(rng_bits(&rng) % 4);
        for (int i = 0; i < n_stops; i++) {
            const size_t length = 1 + rng_bits(&rng) % 6;
            for (size_t k = 0; k < length; k++) stop_texts[i][k] = "ahe n"[rng_bits(&rng) % 5];
            stop_texts[i][length] = 0;
            stops[i] = stop_texts[i];
        }
        int32_t ids[64];
        TokenList merged = { 0 };
        assert_int_equal(tokenize(t, text, n, NULL, &merged, NULL), OK);
        Answer coarse = stream(t, merged.ids, merged.n, stops, n_stops, false);
        Answer fine = stream(t, ids, bytes_as_ids(text, ids), stops, n_stops, false);
        size_t cut;
        const bool stopped = slow_stop(text, stops, n_stops, &cut);
        text[cut] = 0;
        if (strcmp(coarse.text.data, text) != 0 || strcmp(fine.text.data, text) != 0 ||
            coarse.stopped != stopped || fine.stopped != stopped) {
            fail_msg("seed %llu: want '%s', got '%s' by words, '%s' by bytes",
                     (unsigned long long)seed, text, coarse.text.data, fine.text.data);
        }
        buffer_free(&coarse.text);
        buffer_free(&fine.text);
        token_list_free(&merged);
    }
    tokenizer_free(t);
}

static void expect_start(const Tokenizer *t, const char *pieces, bool at_start, const char *want)
{
    int32_t ids[16];
    size_t n = 0;
    char copy[128];
    snprintf(copy, sizeof copy, "%s", pieces);
    for (char *piece = strtok(copy, ","); piece; piece = strtok(NULL, ",")) {
        ids[n] = token_find(t, piece, strlen(piece));
        assert_true(ids[n] >= 0);
        n++;
    }
    Answer got = stream(t, ids, n, NULL, 0, at_start);
    assert_string_equal(got.text.data, want);
    buffer_free(&got.text);
}

static void the_tokenizers_own_space_goes(void **state)
{
    (void)state;
    Tokenizer *t = open_small(&spm);
    expect_start(t, "\xe2\x96\x81the,in", true, "thein");
    expect_start(t, "\xe2\x96\x81the,in", false, " thein");
    expect_start(t, "\xe2\x96\x81\xe2\x96\x81,\xe2\x96\x81the", true, "  the");
    expect_start(t, "<s>,\xe2\x96\x81the", true, "the");
    expect_start(t, "in,\xe2\x96\x81the", true, "in the");
    expect_start(t, "<0x20>,in", true, " in");           /* a byte is never the prefix */
    tokenizer_free(t);
    SmallVocab bare = spm;
    bare.vocab.add_space_prefix = false;
    t = open_small(&bare);
    expect_start(t, "\xe2\x96\x81the", true, " the");
    tokenizer_free(t);
    t = open_small(&bpe);
    expect_start(t, " the", true, " the");
    tokenizer_free(t);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    Tokenizer *t = open_small(&bpe);
    Error error = { 0 };
    Detok *detok;
    bool stopped;
    Buffer text = { 0 };
    const char *const empty[] = { "" }, *const broken[] = { "\xff" };
    assert_int_equal(detok_new(t, empty, 1, true, false, &detok, &error), BAD_ARGUMENT);
    assert_int_equal(detok_new(t, broken, 1, true, false, &detok, &error), BAD_ARGUMENT);
    assert_int_equal(detok_new(t, empty, STOPS_MAX + 1, true, false, &detok, &error), BAD_ARGUMENT);
    char *large = calloc(1, STOP_BYTES_MAX + 2);
    memset(large, 'x', STOP_BYTES_MAX + 1);
    assert_int_equal(detok_new(t, (const char *const[]){large}, 1, true, false, &detok, &error),
                     BAD_ARGUMENT);
    free(large);
    assert_int_equal(detok_new(t, NULL, 0, true, false, &detok, &error), OK);
    assert_int_equal(detok_push(detok, -1, &text, &stopped, &error), BAD_ARGUMENT);
    assert_int_equal(detok_push(detok, bpe.vocab.n_pieces, &text, &stopped, &error), BAD_ARGUMENT);
    detok_free(detok);
    tokenizer_free(t);
}

int main(void)
{
    small_spm(&spm);
    small_bpe(&bpe);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_strings_cut),
        cmocka_unit_test(text_is_held_only_while_it_must),
        cmocka_unit_test(broken_bytes_become_replacement_characters),
        cmocka_unit_test(any_cut_gives_the_same_text),
        cmocka_unit_test(the_tokenizers_own_space_goes),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
