/* SPDX-License-Identifier: Apache-2.0
 * The made-up vocabulary: every size, every piece reachable, every text comes back. */
#include "base/map.h"
#include "quantize/words.h"
#include "text/detok.h"
#include "text/template.h"

#include "support.h"

static Vocab made(int64_t n, Arena *arena)
{
    Vocab vocab;
    Error error = { 0 };
    if (words_make(n, arena, &vocab, &error) != OK) fail_msg("%s", error.text);
    assert_int_equal(vocab.n_pieces, n);
    return vocab;
}

static int letters(const Piece *p)
{
    int n = 0;
    for (uint32_t i = 0; i < p->n_bytes; i++) n += ((unsigned char)p->text[i] & 0xC0) != 0x80;
    return n;
}

/* SentencePiece only ever joins two neighbours: a piece that is not two pieces can never appear. */
static bool reachable(const Map *known, const Piece *p)
{
    for (uint32_t i = 1; i < p->n_bytes; i++)
        if (map_get(known, p->text, i, -1) >= 0 &&
            map_get(known, p->text + i, p->n_bytes - i, -1) >= 0)
            return true;
    return letters(p) == 1;
}

static void test_pieces(void **state)
{
    (void)state;
    static const int64_t sizes[] = { WORDS_MIN, 512, 1024, 32000, 40000 };
    for (int s = 0; s < 5; s++) {
        Arena arena = { 0 };
        Map known = { 0 };
        const Vocab v = made(sizes[s], &arena);
        for (int i = 0; i < v.n_pieces; i++) {
            bool existed;
            assert_true(map_put(&known, v.pieces[i].text, v.pieces[i].n_bytes, i, &existed));
            if (existed)
                fail_msg("%lld tokens: '%s' is there twice", (long long)sizes[s], v.pieces[i].text);
        }
        for (int i = WORDS_TEXT; i < v.n_pieces; i++) {
            if (!reachable(&known, &v.pieces[i]))
                fail_msg("'%s' cannot be reached", v.pieces[i].text);
            if (i > WORDS_TEXT) assert_true(v.pieces[i].score < v.pieces[i - 1].score);
        }
        assert_int_equal(v.pieces[0].type, PIECE_UNKNOWN);
        assert_int_equal(v.pieces[v.eos].type, PIECE_CONTROL);
        assert_string_equal(v.pieces[WORDS_BYTES + 255].text, "<0xFF>");
        map_free(&known);
        arena_free(&arena);
    }
}

static void round_trip(const Tokenizer *t, const char *text, size_t most_tokens)
{
    TokenList list = { 0 };
    Buffer back = { 0 };
    Detok *detok;
    bool stopped;
    assert_int_equal(tokenize(t, text, strlen(text), &(TokenizeOptions){ 0 }, &list, NULL), OK);
    assert_int_equal(detok_new(t, NULL, 0, true, false, &detok, NULL), OK);
    for (size_t i = 0; i < list.n; i++) {
        assert_int_not_equal(list.ids[i], 0);           /* never unknown                        */
        assert_int_equal(detok_push(detok, list.ids[i], &back, &stopped, NULL), OK);
    }
    assert_int_equal(detok_finish(detok, &back, NULL), OK);
    assert_string_equal(back.data, text);
    if (list.n > most_tokens)
        fail_msg("'%s': want at most %zu tokens, got %zu", text, most_tokens, list.n);
    detok_free(detok);
    buffer_free(&back);
    token_list_free(&list);
}

static void test_text(void **state)
{
    (void)state;
    Arena arena = { 0 };
    const Vocab v = made(1024, &arena);
    Tokenizer *t;
    Error error = { 0 };
    if (tokenizer_new(&v, "made up", &t, &error) != OK) fail_msg("%s", error.text);
    char ascii[96];
    for (int i = 0; i < 95; i++) ascii[i] = (char)(' ' + (i + 1) % 95);
    ascii[95] = 0;
    round_trip(t, ascii, 96);
    round_trip(t, "once upon a time there was a little fox", 14);
    round_trip(t, "na\xc3\xafve \xe2\x82\xac\n\ttab", 32);
    tokenizer_free(t);
    arena_free(&arena);
}

static void test_limits(void **state)
{
    (void)state;
    Arena arena = { 0 };
    Vocab v;
    assert_int_equal(words_make(WORDS_MIN - 1, &arena, &v, NULL), BAD_ARGUMENT);
    assert_int_equal(words_make((int64_t)WORDS_MAX + 1, &arena, &v, NULL), BAD_ARGUMENT);
    arena_free(&arena);
}

/* What the template makes of a conversation, or NULL and why it refuses. */
static char *prompt_of(const char *messages, Error *error)
{
    Template *t;
    Rendered r = { 0 };
    const TemplateInput input = { .messages_json = messages, .messages_bytes = strlen(messages),
                                  .add_generation_prompt = true, .bos = "<s>", .eos = "</s>" };
    if (template_new(words_template, strlen(words_template), "made up", &t, error) != OK)
        fail_msg("%s", error->text);
    char *text = template_render(t, &input, &r, error) == OK ? strdup(r.text.data) : NULL;
    rendered_free(&r);
    template_free(t);
    return text;
}

#define SAYS(role, content) "{\"role\": \"" role "\", \"content\": \"" content "\"}"

static void test_template(void **state)
{
    (void)state;
    static const struct { const char *messages, *want; } rows[] = {
        { "[" SAYS("user", "U1") "]", "<s> [INST] U1 [/INST]" },
        { "[" SAYS("system", "S") "," SAYS("user", "U1") "]", "<s> [INST] S\n\nU1 [/INST]" },
        { "[" SAYS("system", "") "," SAYS("user", "U1") "]", "<s> [INST] U1 [/INST]" },
        { "[" SAYS("system", "S") "," SAYS("user", "U1") "," SAYS("assistant", "A1") ","
              SAYS("user", "U2") "]",
          "<s> [INST] S\n\nU1 [/INST] A1</s> [INST] U2 [/INST]" },
        { "[" SAYS("user", "U1") "," SAYS("user", "U2") "]", NULL },
        { "[" SAYS("assistant", "A1") "]", NULL },
        { "[" SAYS("user", "U1") "," SAYS("system", "S") "]", NULL },
    };
    for (int i = 0; i < ARRAY_LEN(rows); i++) {
        Error error = { 0 };
        char *got = prompt_of(rows[i].messages, &error);
        if (!rows[i].want) {
            if (got) fail_msg("%s: want a refusal, got '%s'", rows[i].messages, got);
            assert_non_null(strstr(error.text, "take turns"));
        } else if (!got || strcmp(got, rows[i].want)) {
            fail_msg("%s: want '%s', got '%s' %s", rows[i].messages, rows[i].want,
                     got ? got : "nothing", error.text);
        }
        free(got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces), cmocka_unit_test(test_text),
        cmocka_unit_test(test_limits), cmocka_unit_test(test_template),
    };
    return cmocka_run_group_tests_name("quantize.words", tests, NULL, NULL);
}
