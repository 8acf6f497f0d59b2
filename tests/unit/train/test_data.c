/* SPDX-License-Identifier: Apache-2.0
 * Documents to sequences to a run: nothing is lost, chats stay whole, and everything follows from seed and position. */
#include "train/data.h"

#include "base/rng.h"
#include "texts.h"

enum { T = 32 };

/* ---- packing ---- */

/* Documents of made-up lengths; token k of document i is 1000 i + k. */
static Corpus made_corpus(int n, bool whole, uint64_t seed)
{
    Corpus c = { .n_documents = n, .whole = whole };
    Rng rng = { seed };
    c.begins = calloc((size_t)n + 1, sizeof *c.begins);
    for (int i = 0; i < n; i++)
        c.begins[i + 1] = c.begins[i] + 1 + (int64_t)(rng_bits(&rng) % (whole ? T + 4 : 3 * T));
    c.n_tokens = c.begins[n];
    c.tokens = calloc((size_t)c.n_tokens, sizeof *c.tokens);
    for (int i = 0; i < n; i++)
        for (int64_t k = c.begins[i]; k < c.begins[i + 1]; k++) {
            const int32_t id = (int32_t)(1000 * i + k - c.begins[i]);
            c.tokens[k] = whole && k % 3 ? ~id : id;
        }
    return c;
}

static void check_sequence(const Corpus *corpora, const Packing *p, int64_t s, int64_t *seen[2])
{
    int32_t tokens[T], targets[T], starts[T];
    const int64_t n_targets = pack_fill(p, corpora, s, T, tokens, targets, starts);
    int64_t at = 0, n = 0;
    for (int64_t i = p->first[s]; i < p->first[s + 1]; i++) {
        const Segment *g = &p->segments[i];
        const Corpus *c = &corpora[g->id.corpus];
        const int64_t length = c->begins[g->id.document + 1] - c->begins[g->id.document];
        if (c->whole && (g->begin != 0 || (g->n != length && g->n != T)))
            fail_msg("sequence %d: chat %d was cut", (int)s, g->id.document);
        for (int64_t k = 0; k < g->n; k++, at++) {
            assert_int_equal(tokens[at], 1000 * g->id.document + g->begin + k);
            assert_int_equal(starts[at], at - k);
            seen[g->id.corpus][c->begins[g->id.document] + g->begin + k]++;
            const bool last = g->begin + k + 1 == length;
            const int32_t next = last ? -1 : c->tokens[c->begins[g->id.document] + g->begin + k + 1];
            assert_int_equal(targets[at], next < 0 ? -1 : next);
            n += next >= 0;
        }
    }
    if (at > T) fail_msg("sequence %d: want at most %d tokens, got %d", (int)s, T, (int)at);
    for (; at < T; at++) assert_true(targets[at] == -1 && starts[at] == at);
    assert_int_equal(n, n_targets);
}

static void test_pack(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        Corpus corpora[2] = { made_corpus(60, false, seed), made_corpus(300, true, seed + 100) };
        DocumentId ids[360];
        int n = 0;
        for (int i = 0; i < 300; i++) {
            ids[n++] = (DocumentId){ 1, i };
            if (i % 5 == 0) ids[n++] = (DocumentId){ 0, i / 5 };
        }
        Packing p;
        int64_t *seen[2], n_used = 0;
        assert_int_equal(pack(corpora, ids, n, T, &p, NULL), OK);
        for (int c = 0; c < 2; c++) seen[c] = calloc((size_t)corpora[c].n_tokens, sizeof *seen[c]);
        for (int64_t s = 0; s < p.n_sequences; s++) check_sequence(corpora, &p, s, seen);
        int64_t n_cut = 0;
        for (int c = 0; c < 2; c++)
            for (int64_t d = 0; d < corpora[c].n_documents; d++) {
                const int64_t length = corpora[c].begins[d + 1] - corpora[c].begins[d];
                n_cut += c == 1 && length > T;
                for (int64_t k = 0; k < length; k++) {
                    const int64_t want = c == 0 || k < T, got = seen[c][corpora[c].begins[d] + k];
                    if (want != got) fail_msg("seed %d, corpus %d, document %d, token %d: want %d times, got %d",
                                              (int)seed, c, (int)d, (int)k, (int)want, (int)got);
                    n_used += got;
                }
            }
        assert_int_equal(n_cut, p.n_cut);
        /* With 64 to choose from hardly anything is left over. */
        if ((double)n_used < 0.97 * (double)(p.n_sequences * T))
            fail_msg("seed %d: %d of %d places are used", (int)seed, (int)n_used, (int)(p.n_sequences * T));
        for (int c = 0; c < 2; c++) {
            free(seen[c]);
            free(corpora[c].begins);
            free(corpora[c].tokens);
        }
        pack_free(&p);
    }
}

/* ---- a run ---- */

static const char *many_words(const char *name, const char *word, int n)
{
    Buffer text = { 0 };
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < 5 + i % 7; k++) buffer_format(&text, "%s%d ", word, i);
        buffer_text(&text, "\n<|endoftext|>\n");
    }
    const char *path = text_file(name, text.data);
    buffer_free(&text);
    return path;
}

typedef struct Setup { Words words; Config config; Data data; } Setup;

static Status open_setup(Setup *s, const char *more, Error *error)
{
    char text[4096];
    words_open(&s->words, 2, NULL);
    snprintf(text, sizeof text,
             "[model]\nlayers=1\nwidth=8\nheads=2\nexperts=2\nhidden=8\n[vocabulary]\nmodel=v\n"
             "[data]\ntrain=%s\nheld_out=%s\nheld_out_tokens=96\n[phase]\ntrain=%s\n"
             "[optimizer]\nsequence=%d\n%s", many_words("one.txt", "a", 90), many_words("held.txt", "h", 50),
             many_words("two.txt", "b", 60), T, more);
    if (config_parse(text, strlen(text), "/x.ini", NULL, &s->config, error) != OK) fail_msg("%s", error->text);
    return data_open(&s->words.reader, &s->config, NULL, NULL, &s->data, error);
}

static void setup_close(Setup *s)
{
    data_free(&s->data);
    config_free(&s->config);
    words_close(&s->words);
}

typedef struct Step { int32_t tokens[4 * T], targets[4 * T], starts[4 * T]; int64_t numbers[4], n_targets; } Step;

static void take(Setup *s, int64_t position, Step *out)
{
    Error error = { 0 };
    memset(out, 0, sizeof *out);
    Taken taken = { out->tokens, out->targets, out->starts, out->numbers, 0 };
    if (data_take(&s->data, position, 4, &taken, &error) != OK) fail_msg("%s", error.text);
    out->n_targets = taken.n_targets;
    for (int i = 0; i < 4; i++) {           /* a number finds the same sequence             */
        int32_t tokens[T], targets[T], starts[T];
        data_sequence(&s->data, out->numbers[i], tokens, targets, starts);
        assert_memory_equal(tokens, out->tokens + i * T, sizeof tokens);
    }
}

/* Any position can be asked for first: what came before does not matter. */
static void test_positions(void **state)
{
    (void)state;
    Setup a, b;
    Error error = { 0 };
    assert_int_equal(open_setup(&a, "", &error), OK);
    assert_int_equal(open_setup(&b, "", &error), OK);
    const int64_t n = 4 * a.data.n_sequences;              /* phases are gone through several times */
    data_plan(&a.data, n);
    data_plan(&b.data, n);
    for (int64_t at = 0; at + 4 <= n; at += 4) {
        Step first, second;
        take(&a, at, &first);
        take(&b, n - 4 - at, &second);                      /* b goes backwards              */
        take(&b, at, &second);
        assert_memory_equal(&first, &second, sizeof first);
    }
    Step beyond;
    Taken taken = { beyond.tokens, beyond.targets, beyond.starts, beyond.numbers, 0 };
    assert_int_equal(data_take(&a.data, n - 3, 4, &taken, &error), BAD_ARGUMENT);
    setup_close(&a);
    setup_close(&b);
}

/* Every pass over a phase has each of its sequences once, in another order. */
static void test_phases(void **state)
{
    (void)state;
    Setup s;
    Error error = { 0 };
    assert_int_equal(open_setup(&s, "", &error), OK);
    data_plan(&s.data, 3 * s.data.n_sequences);
    const DataPhase *p = s.data.phases;
    assert_int_equal(s.data.n_phases, 2);
    assert_int_equal(p[0].end, 3 * p[0].packing.n_sequences);
    assert_int_equal(p[1].begin, p[0].end);
    assert_int_equal(p[1].end, s.data.n_run);
    int64_t orders[3][512];
    for (int cycle = 0; cycle < 3; cycle++) {
        Step step;
        const int64_t n = p[0].packing.n_sequences;
        bool seen[512] = { false };
        take(&s, cycle * n, &step);
        memcpy(orders[cycle], p[0].order, (size_t)n * sizeof *p[0].order);
        for (int64_t i = 0; i < n; i++) {
            assert_false(seen[p[0].order[i]]);
            seen[p[0].order[i]] = true;
        }
        if (cycle) assert_memory_not_equal(orders[cycle], orders[cycle - 1], (size_t)n * sizeof *p[0].order);
    }
    setup_close(&s);
}

static void test_seed(void **state)
{
    (void)state;
    Setup a, b;
    Error error = { 0 };
    Step x, y;
    assert_int_equal(open_setup(&a, "seed=1\n", &error), OK);
    assert_int_equal(open_setup(&b, "seed=2\n", &error), OK);
    take(&a, 0, &x);
    take(&b, 0, &y);
    assert_memory_not_equal(&x, &y, sizeof x);
    assert_true(data_digest(&a.data, &a.config) == data_digest(&b.data, &b.config));
    setup_close(&a);
    setup_close(&b);
}

/* Bits per byte are of the text itself: BOS, EOS and the tokenizer's own space do not count. */
static void test_held(void **state)
{
    (void)state;
    Setup s;
    Error error = { 0 };
    assert_int_equal(open_setup(&s, "", &error), OK);
    const DataHeld *h = &s.data.held[0];
    assert_int_equal(h->n_judged, 3);
    int64_t n_bytes = 0, want = 0;
    Step step;
    for (int64_t i = 0; i < h->packing.n_sequences; i++) {
        pack_fill(&h->packing, s.data.corpora, i, T, step.tokens, step.targets, step.starts);
        n_bytes += data_bytes(&s.data, T, step.tokens, step.targets);
    }
    for (int i = 0; i < 50; i++) want += (5 + i % 7) * (i < 10 ? 3 : 4) - 1;      /* "h7 h7 .. h7" */
    assert_int_equal(n_bytes, want);
    setup_close(&s);
}

static void test_learned_and_held(void **state)
{
    (void)state;
    Setup s;
    Error error = { 0 };
    char more[1024];
    snprintf(more, sizeof more, "[data]\nheld_out=%s\n", many_words("copy.txt", "b", 60));
    assert_int_equal(open_setup(&s, more, &error), BAD_FILE);
    assert_non_null(strstr(error.text, "held_out: expected text that is not learned"));
    setup_close(&s);
}

static void test_repeat(void **state)
{
    (void)state;
    Setup once, half, twice;
    Error error = { 0 };
    char more[1024];
    assert_int_equal(open_setup(&once, "", &error), OK);
    const char *third = many_words("three.txt", "c", 400);
    snprintf(more, sizeof more, "[phase]\ntrain=%s\nrepeat=0.5\n", third);
    assert_int_equal(open_setup(&half, more, &error), OK);
    snprintf(more, sizeof more, "[phase]\ntrain=%s\nrepeat=2\n", third);
    assert_int_equal(open_setup(&twice, more, &error), OK);
    const double a = (double)half.data.phases[2].packing.n_sequences,
                 b = (double)twice.data.phases[2].packing.n_sequences;
    /* Half of 400 drawn: four standard deviations of a binomial are 40, so a quarter is between 0.2 and 0.3. */
    if (!(a / b > 0.2 && a / b < 0.3)) fail_msg("want about a quarter, got %g of %g sequences", a, b);
    assert_true(data_digest(&half.data, &half.config) != data_digest(&twice.data, &twice.config));
    setup_close(&once);
    setup_close(&half);
    setup_close(&twice);
}

/* Pairs stay together whatever is shuffled, the preferred answer first. */
static void test_pairs(void **state)
{
    (void)state;
    Words w;
    Config c;
    Data d;
    Error error = { 0 };
    Buffer lines = { 0 };
    char text[1024];
    words_open(&w, 2, NULL);
    w.reader.pairs = true;
    for (int i = 0; i < 37; i++)
        buffer_format(&lines, "{\"prompt\":\"q%d\",\"chosen\":\"yes %d\",\"rejected\":\"no %d\"}\n", i, i, i);
    snprintf(text, sizeof text, "[model]\nlayers=1\nwidth=8\nheads=2\nexperts=2\nhidden=8\n[vocabulary]\nmodel=v\n"
             "[preference]\nbeta=0.1\n[data]\ntrain=%s\n[optimizer]\nsequence=%d\n",
             text_file("p.jsonl", lines.data), T);
    if (config_parse(text, strlen(text), "/x.ini", NULL, &c, &error) != OK ||
        data_open(&w.reader, &c, NULL, NULL, &d, &error) != OK)
        fail_msg("%s", error.text);
    assert_int_equal(d.n_sequences, 74);
    data_plan(&d, 200);
    for (int64_t at = 0; at < 200; at += 4) {
        int32_t tokens[4 * T], targets[4 * T], starts[4 * T];
        int64_t numbers[4];
        Taken taken = { tokens, targets, starts, numbers, 0 };
        assert_int_equal(data_take(&d, at, 4, &taken, &error), OK);
        for (int i = 0; i < 4; i += 2) assert_true(numbers[i] % 2 == 0 && numbers[i + 1] == numbers[i] + 1);
        const Segment *s = &d.phases[0].packing.segments[d.phases[0].packing.first[numbers[0]]];
        assert_int_equal(s->id.document % 2, 0);
    }
    buffer_free(&lines);
    data_free(&d);
    config_free(&c);
    words_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pack), cmocka_unit_test(test_positions), cmocka_unit_test(test_phases),
        cmocka_unit_test(test_seed), cmocka_unit_test(test_held),      cmocka_unit_test(test_learned_and_held),
        cmocka_unit_test(test_repeat), cmocka_unit_test(test_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
