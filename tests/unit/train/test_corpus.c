/* SPDX-License-Identifier: Apache-2.0
 * Texts and chats to tokens: where documents end, what is learned of a chat, what is kept for the next time. */
#include "texts.h"

static void open_corpus(const Words *w, const char *path, Corpus *out)
{
    Error error = { 0 };
    if (corpus_open(&w->reader, path, out, &error) != OK) fail_msg("%s", error.text);
}

static void expect_spelled(const Words *w, const Corpus *c, int64_t document, bool learned, const char *want)
{
    Buffer got = { 0 };
    spell(w, c, c->begins[document], c->begins[document + 1], learned, &got);
    if (strcmp(got.data, want)) fail_msg("document %d: want '%s', got '%s'", (int)document, want, got.data);
    buffer_free(&got);
}

static void test_documents(void **state)
{
    (void)state;
    Words w;
    Corpus c;
    words_open(&w, 1, NULL);
    open_corpus(&w, text_file("a.txt", "\n\none two\r\n<|endoftext|>\r\n<|endoftext|>\nthree <|endoftext|>\nfour\n"
                                       "<|endoftext|> \n\nfive"), &c);
    assert_int_equal(c.n_documents, 3);
    assert_false(c.whole);
    expect_spelled(&w, &c, 0, true, "<s> one two</s>");
    expect_spelled(&w, &c, 1, true, "<s> three <|endoftext|>\nfour</s>");
    expect_spelled(&w, &c, 2, true, "<s> five</s>");
    expect_spelled(&w, &c, 2, false, "");
    corpus_free(&c);
    words_close(&w);
}

/* A text of many documents, so that there are several groups to be shared out. */
static const char *large_text(void)
{
    Buffer text = { 0 };
    for (int i = 0; i < 3000; i++) {
        for (int k = 0; k < 20 + i % 50; k++) buffer_format(&text, "word%d ", i * k % 97);
        buffer_text(&text, "\n<|endoftext|>\n");
    }
    const char *path = text_file("large.txt", text.data);
    buffer_free(&text);
    return path;
}

static void expect_same(const Corpus *a, const Corpus *b)
{
    assert_int_equal(a->n_documents, b->n_documents);
    assert_int_equal(a->n_tokens, b->n_tokens);
    assert_memory_equal(a->begins, b->begins, (size_t)(a->n_documents + 1) * sizeof *a->begins);
    assert_memory_equal(a->tokens, b->tokens, (size_t)a->n_tokens * sizeof *a->tokens);
}

static void test_threads(void **state)
{
    (void)state;
    const char *path = large_text();
    Words one, three;
    Corpus a, b;
    words_open(&one, 1, NULL);
    words_open(&three, 3, NULL);
    open_corpus(&one, path, &a);
    open_corpus(&three, path, &b);
    assert_int_equal(a.n_documents, 3000);
    expect_same(&a, &b);
    corpus_free(&a);
    corpus_free(&b);
    words_close(&one);
    words_close(&three);
}

/* ---- tokens that are kept ---- */

static void kept_file(const Corpus *c, char out[600])
{
    const char *slash = strrchr(c->path, '/');
    snprintf(out, 600, "%s/tokens-%s-%016llx.bin", test_scratch(), slash + 1, (unsigned long long)c->digest);
}

static void test_kept(void **state)
{
    (void)state;
    const char *path = large_text();
    char kept[600], *bytes;
    size_t n_bytes;
    Words w;
    Corpus made, again;
    words_open(&w, 2, test_scratch());
    open_corpus(&w, path, &made);
    assert_false(made.from_cache);
    open_corpus(&w, path, &again);
    assert_true(again.from_cache);
    expect_same(&made, &again);
    corpus_free(&again);

    /* Damaged or cut, it is made again, and nobody notices. */
    kept_file(&made, kept);
    assert_int_equal(file_slurp(kept, 1 << 30, &bytes, &n_bytes, NULL), OK);
    for (size_t at = 0; at < n_bytes; at += n_bytes / 7) {
        bytes[at] ^= 1;
        assert_int_equal(write_file(kept, bytes, n_bytes, NULL), OK);
        bytes[at] ^= 1;
        open_corpus(&w, path, &again);
        if (again.from_cache) fail_msg("byte %zu of %zu was changed and believed", at, n_bytes);
        expect_same(&made, &again);
        corpus_free(&again);
        assert_int_equal(write_file(kept, bytes, at, NULL), OK);
        open_corpus(&w, path, &again);
        if (again.from_cache) fail_msg("a file of %zu bytes, cut to %zu, was believed", n_bytes, at);
        corpus_free(&again);
    }
    /* Another marker makes other documents of the same bytes. */
    w.reader.marker = "word";
    open_corpus(&w, path, &again);
    assert_false(again.from_cache);
    assert_true(again.digest != made.digest);
    corpus_free(&again);
    free(bytes);
    corpus_free(&made);
    words_close(&w);
}

/* ---- chats ---- */

#define USER      "{\"role\":\"user\",\"content\":\"%s\"}"
#define ASSISTANT "{\"role\":\"assistant\",\"content\":\"%s\"}"

/* What the format makes of messages, as text. */
static void rendered(const Words *w, const char *messages, bool open_turn, Buffer *out)
{
    Rendered r = { 0 };
    Error error = { 0 };
    const TemplateInput input = { .messages_json = messages, .messages_bytes = strlen(messages),
                                  .add_generation_prompt = open_turn, .bos = "<s>", .eos = "</s>" };
    if (template_render(w->format, &input, &r, &error) != OK) fail_msg("%s", error.text);
    buffer_clear(out);
    buffer_append(out, r.text.data, r.text.n_bytes);
    rendered_free(&r);
}

/* All of a document, learned and given, is the conversation; what is learned is what comes after the questions. */
static void expect_chat(const Words *w, const Corpus *c, int64_t document, const char *messages,
                        const char *learned)
{
    Buffer whole = { 0 }, want = { 0 };
    rendered(w, messages, false, &want);
    buffer_text(&whole, "");
    for (int64_t i = c->begins[document]; i < c->begins[document + 1]; i++) {
        size_t n;
        const int32_t id = c->tokens[i] < 0 ? ~c->tokens[i] : c->tokens[i];
        const char *bytes = token_bytes(w->tokenizer, id, true, &n);
        buffer_append(&whole, bytes, n);
    }
    const char *end = want.n_bytes > 4 && !strcmp(want.data + want.n_bytes - 4, "</s>") ? "" : "</s>";
    buffer_text(&want, end);
    /* SentencePiece's own space stands after <s>. */
    Buffer plain = { 0 };
    for (const char *at = whole.data; *at; at++)
        if (!(at > whole.data + 2 && at[-1] == '>' && *at == ' ' && !strstr(want.data, "> "))) buffer_char(&plain, *at);
    if (strcmp(plain.data, want.data))
        fail_msg("document %d: want '%s', got '%s'", (int)document, want.data, plain.data);
    expect_spelled(w, c, document, true, learned);
    buffer_free(&whole);
    buffer_free(&want);
    buffer_free(&plain);
}

static void test_chats(void **state)
{
    (void)state;
    Words w;
    Corpus c;
    Buffer ends = { 0 }, want = { 0 };
    words_open(&w, 1, NULL);
    open_corpus(&w, text_file("chat.jsonl",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"first\"},{\"role\":\"assistant\",\"content\":\"answer one\"},"
        "{\"role\":\"user\",\"content\":\"more\"},{\"role\":\"assistant\",\"content\":\"answer two\"}],"
        "\"source\":\"x\"}\n"
        "\n{\"prompt\":\"how\",\"completion\":\"so\"}\n"
        "{\"instruction\":\"sum up\",\"input\":\"a text\",\"output\":\"short\"}\r\n"
        "{\"instruction\":\"say\",\"input\":\"\",\"output\":\"<s></s> stays text\"}\n"
        "{\"text\":\"plain words\"}\n"), &c);
    assert_int_equal(c.n_documents, 5);
    assert_true(c.whole);
    /* What the format puts behind an answer is learned with it. */
    rendered(&w, "[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"content\":\"a\"}]", false, &ends);
    const char *tail = strrchr(ends.data, 'a') + 1;
    const bool stops = strstr(tail, "</s>") != NULL;

    Buffer got = { 0 };
    spell(&w, &c, c.begins[0], c.begins[1], true, &got);
    assert_non_null(strstr(got.data, "answer one"));
    assert_non_null(strstr(got.data, "answer two"));
    assert_null(strstr(got.data, "first"));
    assert_null(strstr(got.data, "more"));
    assert_string_equal(got.data + got.n_bytes - 4, "</s>");

    static const struct { const char *question, *said; } pairs[] = {
        { "how", "so" }, { "sum up\\n\\na text", "short" }, { "say", "<s></s> stays text" },
    };
    for (int i = 0; i < 3; i++) {
        char messages[256];
        snprintf(messages, sizeof messages, "[" USER "," ASSISTANT "]", pairs[i].question, pairs[i].said);
        buffer_clear(&want);
        buffer_format(&want, "%s%s%s", pairs[i].said, tail, stops ? "" : "</s>");
        spell(&w, &c, c.begins[i + 1], c.begins[i + 2], true, &got);
        const char *learned = got.data[0] == ' ' ? got.data + 1 : got.data;
        if (strcmp(learned, want.data)) fail_msg("line %d: want '%s', got '%s'", i + 3, want.data, got.data);
        expect_chat(&w, &c, i + 1, messages, got.data);
    }
    /* Nothing a message says becomes a control token: one BOS at the front, one EOS at the end. */
    for (int64_t i = c.begins[3] + 1; i < c.begins[4] - 1; i++) {
        const int32_t id = c.tokens[i] < 0 ? ~c.tokens[i] : c.tokens[i];
        assert_int_not_equal(id, w.vocab.bos);
    }
    expect_spelled(&w, &c, 4, true, "<s> plain words</s>");
    buffer_free(&got);
    buffer_free(&want);
    buffer_free(&ends);
    corpus_free(&c);
    words_close(&w);
}

static void test_pairs(void **state)
{
    (void)state;
    Words w;
    Corpus c;
    words_open(&w, 2, NULL);
    w.reader.pairs = true;
    open_corpus(&w, text_file("pairs.jsonl", "{\"prompt\":\"how\",\"chosen\":\"well\",\"rejected\":\"badly\"}\n"
                                             "{\"prompt\":[{\"role\":\"user\",\"content\":\"q\"}],\"chosen\":\"yes\","
                                             "\"rejected\":[{\"role\":\"assistant\",\"content\":\"no\"}]}\n"), &c);
    assert_int_equal(c.n_documents, 4);
    static const char *const says[] = { "well", "badly", "yes", "no" };
    for (int i = 0; i < 4; i++) {
        Buffer got = { 0 };
        spell(&w, &c, c.begins[i], c.begins[i + 1], true, &got);
        if (!strstr(got.data, says[i])) fail_msg("document %d: want '%s' in it, got '%s'", i, says[i], got.data);
        buffer_free(&got);
    }
    corpus_free(&c);
    words_close(&w);
}

static void test_wrongs(void **state)
{
    (void)state;
    static const struct { const char *name, *text, *says; Status status; } wrongs[] = {
        { "w.jsonl", "{\"text\":\"a\"}\n{\"text\":", "w.jsonl:2: expected a JSON object", BAD_FILE },
        { "w.jsonl", "[1]", "w.jsonl:1: expected a JSON object, found another value", BAD_FILE },
        { "w.jsonl", "\n\n{\"story\":\"a\"}", "w.jsonl:3: expected messages, prompt and answer", BAD_FILE },
        { "w.jsonl", "{\"messages\":[]}", "w.jsonl:1: ", BAD_FILE },
        { "w.jsonl", "{\"messages\":[{\"content\":\"x\"}]}", "w.jsonl:1: ", BAD_FILE },
        { "w.txt", "\n \n", "expected documents, found an empty file", BAD_FILE },
        { "w.txt.gz", "x", "unpack it first: gzip -dk", UNSUPPORTED },
        { "w.txt.zst", "x", "unpack it first: zstd -d", UNSUPPORTED },
    };
    Words w;
    words_open(&w, 2, NULL);
    for (int i = 0; i < ARRAY_LEN(wrongs); i++) {
        Corpus c;
        Error error = { 0 };
        const Status status = corpus_open(&w.reader, text_file(wrongs[i].name, wrongs[i].text), &c, &error);
        if (status != wrongs[i].status || !strstr(error.text, wrongs[i].says))
            fail_msg("case %d: want '%s', got %d '%s'", i, wrongs[i].says, status, error.text);
    }
    w.reader.chat.format = NULL;
    Corpus c;
    Error error = { 0 };
    assert_int_equal(corpus_open(&w.reader, text_file("n.jsonl", "{\"prompt\":\"a\",\"answer\":\"b\"}"), &c, &error),
                     BAD_FILE);
    assert_non_null(strstr(error.text, "n.jsonl:1: messages need a chat format"));
    words_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents), cmocka_unit_test(test_threads), cmocka_unit_test(test_kept),
        cmocka_unit_test(test_chats),     cmocka_unit_test(test_pairs),   cmocka_unit_test(test_wrongs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
