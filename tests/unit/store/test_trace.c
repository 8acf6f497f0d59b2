/* SPDX-License-Identifier: Apache-2.0
 * A trace comes back as it was written, recorded or not; what was cut or bent is refused with a sentence. */
#include "../../support.h"

#include "store/invent.h"
#include "store/trace.h"

static const TraceHead head = { .model = "a model", .n_layers = 2, .n_experts = 4, .n_used = 2, .expert_bytes = 77 };
static const int32_t one[] = { 3, 1, 0, 2 }, two[] = { 1, 0, -1, -1 };      /* [L][U]; two: only in layer 0 */

static void fill(Trace *t)
{
    Error error;
    assert_int_equal(trace_new(&head, t, &error), OK);
    assert_int_equal(trace_add(t, (const int32_t *const[]){ one }, 1, &error), OK);
    assert_int_equal(trace_add(t, (const int32_t *const[]){ one, two }, 2, &error), OK);
}

static void assert_layer(const Trace *t, int64_t step, int layer, const TraceUse *want, int n_want)
{
    int n;
    const TraceUse *uses = trace_uses(t, step, layer, &n);
    assert_int_equal(n, n_want);
    for (int i = 0; i < n; i++) {
        assert_int_equal(uses[i].expert, want[i].expert);
        assert_int_equal(uses[i].n_rows, want[i].n_rows);
    }
}

static void assert_filled(const Trace *t, int64_t first)
{
    assert_layer(t, first, 0, (TraceUse[]){ { 1, 1 }, { 3, 1 } }, 2);
    assert_layer(t, first, 1, (TraceUse[]){ { 0, 1 }, { 2, 1 } }, 2);
    assert_layer(t, first + 1, 0, (TraceUse[]){ { 0, 1 }, { 1, 2 }, { 3, 1 } }, 3);
    assert_layer(t, first + 1, 1, (TraceUse[]){ { 0, 1 }, { 2, 1 } }, 2);
}

static const char *path_of(const char *name)
{
    static char paths[2][512];
    static int turn;
    char *path = paths[turn++ & 1];
    snprintf(path, sizeof paths[0], "%s/%s", test_scratch(), name);
    return path;
}

static char *slurp(const char *path, size_t *n)
{
    char *bytes;
    Error error;
    assert_int_equal(file_slurp(path, 1 << 20, &bytes, n, &error), OK);
    return bytes;
}

static void test_there_and_back(void **state)
{
    (void)state;
    Trace t, back;
    Error error;
    fill(&t);
    assert_filled(&t, 0);
    assert_int_equal(trace_write(&t, path_of("t"), &error), OK);
    assert_int_equal(trace_read(path_of("t"), &back, &error), OK);
    assert_memory_equal(&back.head, &head, sizeof head);
    assert_int_equal(back.n_steps, 2);
    assert_int_equal(back.n_rows, 3);
    assert_filled(&back, 0);
    assert_int_equal(trace_join(&back, &t, &error), OK);
    assert_int_equal(back.n_steps, 4);
    assert_filled(&back, 2);
    trace_free(&t);
    trace_free(&back);
}

static void test_recorded_is_the_same_file(void **state)
{
    (void)state;
    Trace t;
    Recorder *r;
    Error error;
    fill(&t);
    assert_int_equal(trace_write(&t, path_of("t"), &error), OK);
    assert_int_equal(recorder_new(&head, path_of("r"), NULL, &r, &error), OK);
    recorder_step(r, (const int32_t *const[]){ one }, 1);
    recorder_step(r, (const int32_t *const[]){ one, two }, 2);
    assert_int_equal(recorder_end(r, &error), OK);
    size_t n, m;
    char *a = slurp(path_of("t"), &n), *b = slurp(path_of("r"), &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    free(a);
    free(b);
    trace_free(&t);
}

static void test_recording_fails_at_its_end(void **state)
{
    (void)state;
    Recorder *r;
    Error error;
    assert_int_equal(recorder_new(&head, path_of("bad"), NULL, &r, &error), OK);
    recorder_step(r, NULL, TRACE_ROWS_MAX + 1);
    recorder_step(r, (const int32_t *const[]){ one }, 1);
    assert_int_equal(recorder_end(r, &error), BAD_ARGUMENT);
    assert_int_not_equal(access(path_of("bad"), F_OK), 0);
    assert_int_equal(recorder_new(&head, "/nonexistent/x", NULL, &r, &error), IO_FAILED);
    recorder_abandon(NULL);
}

static void expect_bad(const char *bytes, size_t n, const char *words)
{
    Trace t;
    Error error = { 0 };
    if (trace_parse("x", bytes, n, &t, &error) != BAD_FILE) fail_msg("%s: was taken", words);
    if (!strstr(error.text, words)) fail_msg("want '%s', got '%s'", words, error.text);
}

static void test_bad_bytes(void **state)
{
    (void)state;
    Trace t;
    Error error;
    size_t n;
    fill(&t);
    assert_int_equal(trace_write(&t, path_of("t"), &error), OK);
    trace_free(&t);
    char *bytes = slurp(path_of("t"), &n), *bent = malloc(n + 1);
    for (size_t i = 0; i < n; i++) expect_bad(bytes, i, "");        /* cut anywhere               */
    enum { LAYERS = 8, EXPERTS = 12, USED = 16, NAME = 20, EACH = 24 };
    enum { STEP = 32 + 7, COUNT = STEP + 4, FIRST = COUNT + 2 };
    const struct { size_t at; char value; const char *words; } bends[] = {
        { 0, 'x', "MIXTRTE1" },     { LAYERS, 0, "layers" },    { LAYERS + 1, 127, "layers" },
        { EXPERTS, 0, "experts" },  { USED, 5, "used" },        { USED + 3, -1, "used" },
        { NAME + 1, 1, "name" },    { EACH + 7, -1, "bytes" },  { STEP + 2, 1, "rows" },
        { COUNT, 5, "at most 4" },  { FIRST, 3, "from 4" },     { FIRST + 2, 4, "expert" },
    };
    for (int i = 0; i < ARRAY_LEN(bends); i++) {
        memcpy(bent, bytes, n);
        bent[bends[i].at] = bends[i].value;
        expect_bad(bent, n, bends[i].words);
    }
    memcpy(bent, bytes, n);
    bent[n] = 0;
    expect_bad(bent, n + 1, "more bytes");
    bent[n - 8] = 3;
    expect_bad(bent, n, "promises 3 steps");
    free(bytes);
    free(bent);
}

static void test_refused(void **state)
{
    (void)state;
    Trace t, other;
    Error error;
    TraceHead wide = head;
    fill(&t);
    wide.n_experts = 5;
    assert_int_equal(trace_new(&wide, &other, &error), OK);
    assert_int_equal(trace_join(&t, &other, &error), BAD_ARGUMENT);
    trace_free(&other);
    assert_int_equal(trace_add(&t, NULL, 0, &error), BAD_ARGUMENT);
    trace_free(&t);
    assert_int_equal(trace_read("/nonexistent", &t, &error), NOT_FOUND);
}

/* The same seed, the same trace; skew makes the first of an order come most. */
static void test_invented(void **state)
{
    (void)state;
    Invention how = { .n_layers = 3, .n_experts = 8, .n_used = 2, .n_steps = 4000, .skew = 1, .seed = 9 };
    Trace a, b;
    Error error;
    assert_int_equal(trace_invent(&how, &a, &error), OK);
    assert_int_equal(trace_invent(&how, &b, &error), OK);
    assert_int_equal(a.n_uses, 3 * 2 * 4000);
    assert_int_equal(a.n_uses, b.n_uses);
    assert_memory_equal(a.uses, b.uses, (size_t)a.n_uses * sizeof *a.uses);
    int64_t counts[8] = { 0 }, most = 0;
    for (int64_t step = 0; step < a.n_steps; step++) {
        int n;
        const TraceUse *uses = trace_uses(&a, step, 0, &n);
        assert_int_equal(n, 2);
        for (int i = 0; i < n; i++) counts[uses[i].expert]++;
    }
    for (int e = 0; e < 8; e++) most = counts[e] > most ? counts[e] : most;
    /* First or second draw of 1/k over H = 2.718: 0.368 + sum over k > 1 of (1/k)/H * (1 / (H - 1/k)) = 0.631; four
     * deviations of 4000 draws are 0.031. */
    const double share = (double)most / 4000;
    if (share < 0.631 - 0.031 || share > 0.631 + 0.031) fail_msg("seed 9: want 0.631 +- 0.031, got %.3f", share);
    trace_free(&a);
    trace_free(&b);
    how.n_used = 9;
    assert_int_equal(trace_invent(&how, &a, &error), BAD_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_recorded_is_the_same_file),
        cmocka_unit_test(test_recording_fails_at_its_end),
        cmocka_unit_test(test_bad_bytes),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_invented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
