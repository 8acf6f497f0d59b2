/* SPDX-License-Identifier: Apache-2.0
 * What the oracles do not cover: control tokens and who may write them, broken vocabularies,
 * hostile texts, and time. */
#include "support.h"

#include <pthread.h>

#include "base/buffer.h"
#include "base/rng.h"
#include "text/detok.h"
#include "unit/text/small_vocab.h"

/* AddressSanitizer and ThreadSanitizer take ten times the time and the stack. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOW 1
#endif
#endif
#ifdef SLOW
enum { LONG_BYTES = 1 << 20, STACK_BYTES = 1 << 20 };
#else
enum { LONG_BYTES = 16 << 20, STACK_BYTES = 1 << 17 };
#endif
enum { SECONDS_MAX = 20 };              /* on any machine; quadratic time would take hours */

static SmallVocab spm, bpe;

static Tokenizer *open_small(const SmallVocab *small)
{
    Error error = { 0 };
    Tokenizer *t;
    if (tokenizer_new(&small->vocab, "small", &t, &error) != OK) fail_msg("%s", error.text);
    return t;
}

/* "<id> <id> ...", static. */
static const char *ids_of(const Tokenizer *t, const char *text, size_t n_bytes,
                          const TokenizeOptions *options)
{
    static Buffer line;
    TokenList ids = { 0 };
    Error error = { 0 };
    buffer_clear(&line);
    buffer_text(&line, "");
    if (tokenize(t, text, n_bytes, options, &ids, &error) != OK) fail_msg("%s", error.text);
    for (size_t i = 0; i < ids.n; i++) buffer_format(&line, i ? " %d" : "%d", ids.ids[i]);
    token_list_free(&ids);
    return line.data;
}

/* The text of the pieces joined with "|", control pieces shown; static. */
static const char *pieces_of(const Tokenizer *t, const char *text, const TokenizeOptions *options)
{
    static Buffer line;
    TokenList ids = { 0 };
    Error error = { 0 };
    buffer_clear(&line);
    buffer_text(&line, "");
    if (tokenize(t, text, strlen(text), options, &ids, &error) != OK) fail_msg("%s", error.text);
    for (size_t i = 0; i < ids.n; i++) {
        size_t n;
        const char *bytes = token_bytes(t, ids.ids[i], true, &n);
        if (i) buffer_char(&line, '|');
        buffer_append(&line, bytes, n);
    }
    token_list_free(&ids);
    return line.data;
}

/* ---- control and user-defined pieces ---- */

static void control_pieces_need_leave(void **state)
{
    (void)state;
    Tokenizer *t = open_small(&spm);
    const TokenizeOptions parse = { .parse_control = true };
    assert_null(strstr(pieces_of(t, "<s>the</s>", NULL), "<s>"));
    assert_string_equal(pieces_of(t, "<s>the</s>the", &parse), "<s>| the|</s>| the");
    assert_string_equal(pieces_of(t, "<s>[INST] the[/INST]", &parse), "<s>|[INST]| the|[/INST]");
    tokenizer_free(t);
    t = open_small(&bpe);
    assert_null(strstr(pieces_of(t, "<|bos|> the", NULL), "<|bos|>"));
    assert_string_equal(pieces_of(t, "<|bos|> the<|end|>", &parse), "<|bos|>| the|<|end|>");
    tokenizer_free(t);
}

static void control_pieces_only_inside_one_trusted_span(void **state)
{
    (void)state;
    Tokenizer *t = open_small(&spm);
    const char *text = "<s>the<s>the<s>";               /* control pieces at 0, 6 and 12 */
    const Span some[] = { { 0, 3 }, { 12, 15 } };
    const Span split[] = { { 0, 7 }, { 7, 15 } };       /* the middle one belongs to neither */
    const Span wide[] = { { 2, 12 } };
    TokenizeOptions options = { .parse_control = true, .trusted = some, .n_trusted = 2 };
    const char *got = pieces_of(t, text, &options);
    assert_memory_equal(got, "<s>| the|", 9);
    assert_string_equal(got + strlen(got) - 4, "|<s>");
    assert_null(strstr(got + 3, "|<s>|"));
    options = (TokenizeOptions){ .parse_control = true, .trusted = split, .n_trusted = 2 };
    assert_null(strstr(pieces_of(t, text, &options), "|<s>|"));
    options = (TokenizeOptions){ .parse_control = true, .trusted = wide, .n_trusted = 1 };
    assert_non_null(strstr(pieces_of(t, text, &options), "|<s>|"));
    options.n_trusted = 0;                              /* nothing is trusted */
    assert_null(strstr(pieces_of(t, text, &options), "|<s>|"));
    options = (TokenizeOptions){ .parse_control = false, .trusted = wide, .n_trusted = 1 };
    assert_null(strstr(pieces_of(t, text, &options), "|<s>|"));
    tokenizer_free(t);
}

static void user_pieces_are_always_whole(void **state)
{
    (void)state;
    Tokenizer *t = open_small(&spm);
    const TokenizeOptions parse = { .parse_control = true };
    assert_string_equal(pieces_of(t, "the<tool>the", NULL), " the|<tool>|t|he");
    assert_string_equal(pieces_of(t, "<tool>", NULL), " |<tool>");          /* as sentencepiece does */
    assert_string_equal(pieces_of(t, "<s><tool>the", &parse), "<s>|<tool>|t|he");
    tokenizer_free(t);
    t = open_small(&bpe);
    assert_string_equal(pieces_of(t, " the<tool> the", NULL), " the|<tool>| the");
    tokenizer_free(t);
}

static void one_space_after_a_control_token(void **state)
{
    (void)state;
    Tokenizer *t = open_small(&spm);
    const TokenizeOptions parse = { .special = true, .parse_control = true },
                          plain = { .special = true };
    assert_string_equal(pieces_of(t, "the", &parse), "<s>| the");
    assert_string_equal(pieces_of(t, " the", &parse), "<s>| the");
    assert_string_equal(pieces_of(t, "  the", &parse), "<s>| | the");
    assert_string_equal(pieces_of(t, " the", &plain), "<s>| | the");        /* sentencepiece's own */
    assert_string_equal(pieces_of(t, "", &plain), "<s>");
    tokenizer_free(t);
}

static void tokens_are_found_by_text(void **state)
{
    (void)state;
    Tokenizer *t = open_small(&spm);
    assert_int_equal(token_find(t, "<s>", 3), 1);
    assert_int_equal(token_find(t, "<tool>", 6), 5);
    assert_int_equal(token_find(t, "<0x41>", 6), 6 + 0x41);
    assert_int_equal(token_find(t, "nowhere", 7), -1);
    assert_true(token_ends(t, 2));
    assert_false(token_ends(t, 1));
    size_t n;
    token_bytes(t, -1, true, &n);
    assert_int_equal(n, 0);
    token_bytes(t, spm.vocab.n_pieces, true, &n);
    assert_int_equal(n, 0);
    tokenizer_free(t);
    t = open_small(&bpe);
    assert_int_equal(token_find(t, " the", 4), token_find(t, "\xc4\xa0the", 5));
    assert_int_equal(token_find(t, " the", 4), 258);
    assert_int_equal(token_find(t, "<|end|>", 7), bpe.vocab.eos);
    assert_int_equal(token_find(t, "<|no|>", 6), -1);
    tokenizer_free(t);
}

/* ---- there and back ---- */

/* Each byte that is no UTF-8 becomes U+FFFD; SentencePiece reads its own mark as a space. */
static void expected_text(const char *text, size_t n_bytes, bool marks, Buffer *out)
{
    buffer_clear(out);
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

static void expect_round_trip(const Tokenizer *t, const char *text, size_t n_bytes, uint64_t seed)
{
    static Buffer want, got;
    Error error = { 0 };
    TokenList ids = { 0 };
    Detok *detok;
    bool stopped;
    expected_text(text, n_bytes, tokenizer_vocab(t)->kind == VOCAB_SPM, &want);
    buffer_clear(&got);
    buffer_text(&got, "");
    if (tokenize(t, text, n_bytes, NULL, &ids, &error) != OK) fail_msg("%s", error.text);
    assert_int_equal(detok_new(t, NULL, 0, true, true, &detok, &error), OK);
    for (size_t i = 0; i < ids.n; i++)
        assert_int_equal(detok_push(detok, ids.ids[i], &got, &stopped, &error), OK);
    assert_int_equal(detok_finish(detok, &got, &error), OK);
    if (got.n_bytes != want.n_bytes || memcmp(got.data, want.data, want.n_bytes) != 0) {
        fail_msg("seed %llu: '%.*s'\nwant '%s'\ngot  '%s'", (unsigned long long)seed, (int)n_bytes,
                 text, want.data, got.data);
    }
    detok_free(detok);
    token_list_free(&ids);
}

static size_t random_text(Rng *rng, char *text, size_t room)
{
    static const char *const some[] = {
        " the",     "the",      "  ",       "\xe2\x96\x81", "<s>",
        "<tool>",   "<|end|>",  "\xc3\xa9", "aaaa",         "\xf0\x9f\x98\x80",
        "\xe2\x82", "\xf0\x9f", "\x80",     "\xed\xa0\x80", "\n",
        "'s",       "12"};
    size_t n = 0;
    const int parts = (int)(rng_bits(rng) % 12);
    for (int i = 0; i < parts && n + 8 < room; i++) {
        const uint64_t pick = rng_bits(rng) % (ARRAY_LEN(some) + 4);
        if (pick < ARRAY_LEN(some)) {
            memcpy(text + n, some[pick], strlen(some[pick]));
            n += strlen(some[pick]);
        } else {
            text[n++] = (char)rng_bits(rng);
        }
    }
    return n;
}

static void texts_come_back(void **state)
{
    (void)state;
    Tokenizer *tokenizers[] = { open_small(&spm), open_small(&bpe) };
    for (int k = 0; k < 2; k++) {
        for (uint64_t seed = 1; seed <= 20000; seed++) {
            Rng rng = { seed };
            char text[256];
            const size_t n = random_text(&rng, text, sizeof text);
            expect_round_trip(tokenizers[k], text, n, seed);
        }
        tokenizer_free(tokenizers[k]);
    }
}

/* Every sequence of up to three bytes from the places where UTF-8 can go wrong, and all prefixes. */
static void invalid_utf8_never_breaks(void **state)
{
    (void)state;
    static const uint8_t edge[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                   0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
                                   0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    Tokenizer *tokenizers[] = { open_small(&spm), open_small(&bpe) };
    const int n = ARRAY_LEN(edge);
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < n * n * n; i++) {
            const char text[4] = { (char)edge[i % n], (char)edge[i / n % n], (char)edge[i / n / n],
                                   'a' };
            for (size_t length = 1; length <= sizeof text; length++) {
                expect_round_trip(tokenizers[k], text, length, (uint64_t)i);
            }
        }
        tokenizer_free(tokenizers[k]);
    }
}

/* ---- time and stack ---- */

typedef struct LongText {
    const Tokenizer *t;
    const char *text;
    size_t n_bytes, n_ids;
    Status status;
} LongText;

static void *tokenize_long(void *arg)
{
    LongText *job = arg;
    TokenList ids = { 0 };
    job->status = tokenize(job->t, job->text, job->n_bytes, NULL, &ids, NULL);
    job->n_ids = ids.n;
    token_list_free(&ids);
    return NULL;
}

static size_t long_run(const Tokenizer *t, size_t n_bytes, const char *pattern, const char *last)
{
    char *text = malloc(n_bytes);
    assert_non_null(text);
    for (size_t i = 0, n = strlen(pattern); i < n_bytes; i++) text[i] = pattern[i % n];
    memcpy(text + n_bytes - strlen(last), last, strlen(last));
    LongText job = { t, text, n_bytes, 0, FAILED };
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    assert_int_equal(pthread_attr_setstacksize(&attr, STACK_BYTES), 0);
    const clock_t began = clock();      /* of this process: others may be busy */
    assert_int_equal(pthread_create(&thread, &attr, tokenize_long, &job), 0);
    pthread_join(thread, NULL);
    const double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
    print_message("%zu bytes of '%s': %zu tokens, %.2f s\n", n_bytes, pattern, job.n_ids, seconds);
    pthread_attr_destroy(&attr);
    free(text);
    assert_int_equal(job.status, OK);
    assert_true(seconds < SECONDS_MAX);
    return job.n_ids;
}

static void long_runs_take_linear_time_and_little_stack(void **state)
{
    (void)state;
    static const char *const pres[] = {"gpt-2",          "llama-bpe", "qwen2",  "deepseek-llm",
                                       "deepseek-coder", "falcon",    "default"};
    Tokenizer *t = open_small(&spm);
    assert_int_equal(long_run(t, LONG_BYTES, "a", ""), LONG_BYTES / 8 + 1);     /* and the prefix */
    assert_int_equal(long_run(t, LONG_BYTES, " ", ""), LONG_BYTES / 4 + 1);
    long_run(t, LONG_BYTES / 4, "<s", "");                              /* never quite a control piece */
    tokenizer_free(t);
    for (int i = 0; i < ARRAY_LEN(pres); i++) {
        SmallVocab named = bpe;
        named.vocab.pre = pres[i];
        t = open_small(&named);
        if (i == 0) {
            assert_int_equal(long_run(t, LONG_BYTES, "a", ""), LONG_BYTES / 8);
            long_run(t, LONG_BYTES / 4, "<|bos|", "");
        }
        long_run(t, LONG_BYTES / 8, " ", "5"); /* trailing spaces that do not trail */
        tokenizer_free(t);
    }
}

/* ---- broken vocabularies ---- */

static void expect_refusal(const Vocab *vocab, Status code, const char *why)
{
    Error error = { 0 };
    Tokenizer *t;
    const Status status = tokenizer_new(vocab, "broken.gguf", &t, &error);
    assert_null(t);
    if (status != code || !strstr(error.text, why) || !strstr(error.text, "broken.gguf")) {
        fail_msg("want %d '%s', got %d '%s'", code, why, status, error.text);
    }
}

static void broken_vocabularies_are_refused(void **state)
{
    (void)state;
    static SmallVocab s;
    Vocab *v = &s.vocab;
    expect_refusal(&(Vocab){ .kind = VOCAB_NONE }, UNSUPPORTED, "no tokenizer");
    small_spm(&s); v->n_pieces = 0;              expect_refusal(v, BAD_FILE, "0 pieces");
    small_spm(&s); v->n_pieces = -5;             expect_refusal(v, BAD_FILE, "-5 pieces");
    small_spm(&s); v->bos = v->n_pieces;         expect_refusal(v, BAD_FILE, "bos");
    small_spm(&s); v->unknown = -7;              expect_refusal(v, BAD_FILE, "unknown");
    small_spm(&s); v->ends[0] = 1 << 30;         expect_refusal(v, BAD_FILE, "end token");
    small_spm(&s); v->n_ends = 99;               expect_refusal(v, BAD_FILE, "99 end tokens");
    small_spm(&s); s.pieces[9].type = 0;         expect_refusal(v, BAD_FILE, "piece 9 has type 0");
    small_spm(&s); s.pieces[9].type = 7;         expect_refusal(v, BAD_FILE, "piece 9 has type 7");
    small_spm(&s); s.pieces[9].text = "<0x-1>";  expect_refusal(v, BAD_FILE, "<0x-1>");
    small_spm(&s); s.pieces[9].n_bytes = 1 << 30; expect_refusal(v, BAD_FILE, "piece 9");
    small_spm(&s); s.pieces[300].score = (float)(0.0 / (0.0 * (double)s.pieces[0].score));
    expect_refusal(v, BAD_FILE, "not a number");
    small_spm(&s);
    v->unknown = -1;
    s.pieces[0].type = PIECE_CONTROL;
    s.pieces[20].type = PIECE_UNUSED;
    expect_refusal(v, BAD_FILE, "neither");
    small_spm(&s); v->charsmap = "\xff\xff\xff\xff"; v->charsmap_bytes = 4;
    expect_refusal(v, BAD_FILE, "precompiled_charsmap");
    small_spm(&s); v->charsmap = "\4\0\0\0\0\0\0\0a"; v->charsmap_bytes = 9;
    expect_refusal(v, BAD_FILE, "no end");
    small_bpe(&s); v->pre = "no-such-words";     expect_refusal(v, UNSUPPORTED, "llama-bpe");
    small_bpe(&s); v->pre_pattern = "(unclosed"; expect_refusal(v, UNSUPPORTED, "(unclosed");
    small_bpe(&s); v->pre_pattern = "[a-z&&[b]]"; expect_refusal(v, UNSUPPORTED, "&&");
    small_bpe(&s); s.merges[2].n_left = 0;       expect_refusal(v, BAD_FILE, "merge 2");
}

/* A charsmap whose links lead anywhere must stay inside its bytes (AddressSanitizer watches). */
static void random_charsmaps_stay_inside(void **state)
{
    (void)state;
    SmallVocab s;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        Rng rng = { seed };
        const uint32_t units = 1 + (uint32_t)(rng_bits(&rng) % 600);
        const size_t strings = 1 + rng_bits(&rng) % 50, n = 4 + units * 4u + strings;
        uint8_t *map = malloc(n);
        memcpy(map, &(uint32_t){ units * 4 }, 4);
        for (uint32_t i = 0; i < units; i++) {
            /* A plausible label, a random short link, sometimes an end: else nothing is walked. */
            uint32_t unit = (uint32_t)(rng_bits(&rng) % 128) | (uint32_t)(rng_bits(&rng) % 700)
                                                                   << 10;
            if (rng_bits(&rng) % 2) unit |= 1u << 8;
            if (rng_bits(&rng) % 8 == 0) unit = (uint32_t)rng_bits(&rng);
            memcpy(map + 4 + i * 4u, &unit, 4);
        }
        for (size_t i = 0; i < strings; i++) map[4 + units * 4u + i] = (uint8_t)rng_bits(&rng);
        map[n - 1] = 0;
        small_spm(&s);
        s.vocab.charsmap = map;
        s.vocab.charsmap_bytes = n;
        s.vocab.remove_extra_whitespaces = seed % 2;
        Tokenizer *t = open_small(&s);
        char text[200];
        for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(rng_bits(&rng) % 128);
        ids_of(t, text, sizeof text, NULL);
        tokenizer_free(t);
        free(map);
    }
}

/* A pattern that explodes ends with an error, not with a hang. */
static void patterns_that_explode_give_up(void **state)
{
    (void)state;
    SmallVocab s;
    small_bpe(&s);
    s.vocab.pre_pattern = "(a+)+[bc]";
    Tokenizer *t = open_small(&s);
    TokenList ids = { 0 };
    Error error = { 0 };
    char text[4000];
    memset(text, 'a', sizeof text);
    assert_int_equal(tokenize(t, text, sizeof text, NULL, &ids, &error), FAILED);
    assert_non_null(strstr(error.text, "gave up"));
    assert_int_equal(ids.n, 0);
    token_list_free(&ids);
    tokenizer_free(t);
}

/* U+180E is a space to PCRE2 and to nobody else. */
static void spaces_are_those_of_unicode(void **state)
{
    (void)state;
    SmallVocab s;
    small_bpe(&s);
    s.vocab.pre_pattern = "\\s+|[^\\s]+";
    s.vocab.ignore_merges = true;
    s.pieces[256].text = "x\xc3\xa1\xc5\x82\xc4\xb0x";          /* the letters of x, E1 A0 8E, x */
    s.pieces[256].n_bytes = (uint32_t)strlen(s.pieces[256].text);
    Tokenizer *t = open_small(&s);
    size_t n;
    const char *bytes = token_bytes(t, 256, false, &n);
    assert_int_equal(n, 5);
    assert_memory_equal(bytes, "x\xe1\xa0\x8ex", 5);
    assert_string_equal(ids_of(t, "x\xe1\xa0\x8ex", 5, NULL), "256");
    tokenizer_free(t);
}

/* "e" and a combining accent are one letter to a vocabulary that asks for composed text. */
static void text_is_composed_when_the_vocabulary_asks(void **state)
{
    (void)state;
    static const char apart[] = "e\xcc\x81t", together[] = "\xc3\xa9t";
    char want[256], plain[256];
    SmallVocab s;
    small_bpe(&s);
    Tokenizer *t = open_small(&s);
    snprintf(want, sizeof want, "%s", ids_of(t, together, strlen(together), NULL));
    snprintf(plain, sizeof plain, "%s", ids_of(t, apart, strlen(apart), NULL));
    assert_string_not_equal(plain, want);
    tokenizer_free(t);
    s.vocab.nfc = true;
    t = open_small(&s);
    assert_string_equal(ids_of(t, apart, strlen(apart), NULL), want);
    assert_string_equal(ids_of(t, together, strlen(together), NULL), want);
    tokenizer_free(t);
}

int main(void)
{
    small_spm(&spm);
    small_bpe(&bpe);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_pieces_need_leave),
        cmocka_unit_test(control_pieces_only_inside_one_trusted_span),
        cmocka_unit_test(user_pieces_are_always_whole),
        cmocka_unit_test(one_space_after_a_control_token),
        cmocka_unit_test(tokens_are_found_by_text),
        cmocka_unit_test(texts_come_back),
        cmocka_unit_test(invalid_utf8_never_breaks),
        cmocka_unit_test(long_runs_take_linear_time_and_little_stack),
        cmocka_unit_test(broken_vocabularies_are_refused),
        cmocka_unit_test(random_charsmaps_stay_inside),
        cmocka_unit_test(patterns_that_explode_give_up),
        cmocka_unit_test(spaces_are_those_of_unicode),
        cmocka_unit_test(text_is_composed_when_the_vocabulary_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
