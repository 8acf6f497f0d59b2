/* SPDX-License-Identifier: Apache-2.0
 * A checkpoint comes back byte for byte, or a sentence says why not. */
#include "train/checkpoint.h"

#include "base/io.h"
#include "support.h"

enum { N = 3 * 5 + 7, L = 2, E = 4 };

static Param params[] = {
    { .name = "blk.0.attn_q.weight", .rows = 3, .cols = 5, .decays = true },
    { .name = "output_norm.weight", .rows = 1, .cols = 7 },
};
static const AdamwOptions options = { 0.9, 0.95, 1e-8, 0.1, 1 };
static const char defaults[] = "[optimizer] rate = 0.01\n[optimizer] seed = 1\n[adapter] rank = 0\n";
static const char binding[] = "[optimizer] rate = 0.001\n[optimizer] seed = 1\n";

typedef struct Kept { float values[N]; Adamw adamw; Curves curves; Checkpoint c; } Kept;

static void make(Kept *k, int64_t n_held)
{
    *k = (Kept){ 0 };
    assert_int_equal(adamw_new(&options, params, 2, N, &k->adamw, NULL), OK);
    assert_int_equal(curves_new(L, E, n_held, &k->curves, NULL), OK);
    k->c = (Checkpoint){ .binding = binding, .defaults = defaults, .data = 11, .format = 12,
                         .params = params, .n_params = 2, .values = k->values, .adamw = &k->adamw,
                         .curves = &k->curves };
}

static void fill(Kept *k)
{
    int64_t uses[L * E] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    double entropy[L] = { 1, 2 }, row[STEP_COLUMNS], held[6];
    const NetReport report = { .n_targets = 9, .loss = 20, .n_rows = 10, .uses = uses, .entropy = entropy };
    for (int i = 0; i < N; i++) {
        k->values[i] = (float)i * 0.1f;
        k->adamw.mean[i] = (float)-i;
        k->adamw.square[i] = (float)(i * i);
    }
    for (int i = 0; i < STEP_COLUMNS; i++) row[i] = i + 0.5;
    for (int i = 0; i < 6; i++) held[i] = i;
    for (int i = 0; i < 3; i++) assert_int_equal(curves_step(&k->curves, row, &report, NULL), OK);
    assert_int_equal(curves_mark(&k->curves, 3, 300, 1.5, held, NULL), OK);
    assert_int_equal(curves_step(&k->curves, row, &report, NULL), OK);
    k->c.step = 4;
    k->c.tokens = 400;
    k->c.seconds = 2.25;
}

static void free_kept(Kept *k)
{
    adamw_free(&k->adamw);
    curves_free(&k->curves);
}

static const char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", test_scratch(), name);
    return path;
}

static void write_one(const char *path)
{
    Kept k;
    Error error = { 0 };
    make(&k, 2);
    fill(&k);
    if (checkpoint_write(path, &k.c, &error) != OK) fail_msg("%s", error.text);
    free_kept(&k);
}

static void test_round(void **state)
{
    (void)state;
    Kept want, got;
    Error error = { 0 };
    bool lost;
    write_one(path_of("a"));
    make(&want, 2);
    fill(&want);
    make(&got, 2);
    if (checkpoint_read(path_of("a"), &got.c, &lost, &error) != OK) fail_msg("%s", error.text);
    assert_false(lost);
    assert_memory_equal(want.values, got.values, sizeof want.values);
    assert_memory_equal(want.adamw.mean, got.adamw.mean, sizeof want.values);
    assert_memory_equal(want.adamw.square, got.adamw.square, sizeof want.values);
    assert_true(got.c.step == 4 && got.c.tokens == 400 && got.c.seconds == 2.25);
    assert_int_equal(got.curves.steps.n, 4);
    assert_int_equal(got.curves.marks.n, 1);
    assert_memory_equal(want.curves.steps.cells, got.curves.steps.cells, 4 * STEP_COLUMNS * sizeof(double));
    assert_memory_equal(want.curves.marks.cells, got.curves.marks.cells,
                        (size_t)want.curves.marks.width * sizeof(double));
    assert_memory_equal(want.curves.since, got.curves.since, (size_t)curves_n_since(&want.curves) * sizeof(double));
    /* A mark is shares, means, and the loss since the one before. */
    const double *mark = curve_row(&got.curves.marks, 0);
    assert_true(mark[MARK_LOSS] == 60.0 / 27 && mark_held(&got.curves, mark, 2)[1] == 5);
    assert_true(mark_uses(&got.curves, mark)[3] == 0.4 && mark_entropy(&got.curves, mark)[1] == 0.2);
    free_kept(&want);
    free_kept(&got);
}

/* Other held-out files: the weights go on, the marks do not. */
static void test_other_held(void **state)
{
    (void)state;
    Kept got;
    bool lost;
    write_one(path_of("a"));
    make(&got, 1);
    assert_int_equal(checkpoint_read(path_of("a"), &got.c, &lost, NULL), OK);
    assert_true(lost);
    assert_int_equal(got.curves.marks.n, 0);
    assert_int_equal(got.curves.steps.n, 4);
    free_kept(&got);
}

static void expect(Checkpoint *c, Status want, const char *says)
{
    Error error = { 0 };
    bool lost;
    const Status got = checkpoint_read(path_of("a"), c, &lost, &error);
    if (got != want || !strstr(error.text, says)) fail_msg("want %d '%s', got %d '%s'", want, says, got, error.text);
}

static void test_other_runs(void **state)
{
    (void)state;
    Kept k;
    write_one(path_of("a"));
    make(&k, 2);
    k.c.binding = "[optimizer] rate = 0.002\n[optimizer] seed = 1\n";
    expect(&k.c, BAD_ARGUMENT,
           "was made with '[optimizer] rate = 0.001', the configuration has '[optimizer] rate = 0.002'");
    k.c.binding = "[optimizer] rate = 0.001\n[optimizer] seed = 12\n";
    expect(&k.c, BAD_ARGUMENT, "was made with '[optimizer] seed = 1'");
    k.c.binding = "[optimizer] rate = 0.001\n";
    expect(&k.c, BAD_ARGUMENT, "'[optimizer] seed = 1', which this program does not know");
    /* A key that came later: its default is what the checkpoint was made with. */
    k.c.binding = "[optimizer] rate = 0.001\n[optimizer] seed = 1\n[adapter] rank = 8\n";
    expect(&k.c, BAD_ARGUMENT, "was made with '[adapter] rank = 0', the configuration has '[adapter] rank = 8'");
    k.c.binding = "[optimizer] rate = 0.001\n[optimizer] seed = 1\n[adapter] rank = 0\n";
    expect(&k.c, OK, "");
    k.c.binding = binding;
    k.c.data = 99;
    expect(&k.c, BAD_ARGUMENT, "other texts");
    k.c.data = 11;
    k.c.format = 99;
    expect(&k.c, BAD_ARGUMENT, "another vocabulary or chat format");
    k.c.format = 12;
    Param other[2] = { params[0], params[1] };
    other[1].cols = 8;
    k.c.params = other;
    expect(&k.c, BAD_ARGUMENT, "expected tensor 'output_norm.weight' of 1 x 8, found 'output_norm.weight' of 1 x 7");
    k.c.n_params = 1;
    expect(&k.c, BAD_ARGUMENT, "expected 1 tensors that learn, found 2");
    free_kept(&k);
}

static void test_no_file(void **state)
{
    (void)state;
    Kept k;
    bool lost;
    make(&k, 2);
    assert_int_equal(checkpoint_read(path_of("nothing"), &k.c, &lost, NULL), NOT_FOUND);
    free_kept(&k);
}

/* Cut anywhere, or with any byte changed, it is refused: nothing is believed because it is plausible. */
static void test_damage(void **state)
{
    (void)state;
    char *bytes;
    size_t n_bytes;
    write_one(path_of("a"));
    assert_int_equal(file_slurp(path_of("a"), 1 << 20, &bytes, &n_bytes, NULL), OK);
    for (size_t i = 0; i <= n_bytes; i++)
        for (int cut = 0; cut < 2; cut++) {
            Kept k;
            bool lost;
            Error error = { 0 };
            if (i == n_bytes) break;
            make(&k, 2);
            bytes[i] ^= 0x20;
            assert_int_equal(write_file(path_of("a"), bytes, cut ? i : n_bytes, NULL), OK);
            const Status status = checkpoint_read(path_of("a"), &k.c, &lost, &error);
            if (status != BAD_FILE && status != BAD_ARGUMENT)
                fail_msg("byte %zu of %zu %s: want a refusal, got %d '%s'", i, n_bytes, cut ? "cut" : "changed", status,
                         error.text);
            bytes[i] ^= 0x20;
            free_kept(&k);
        }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round),  cmocka_unit_test(test_other_held), cmocka_unit_test(test_other_runs),
        cmocka_unit_test(test_no_file), cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
