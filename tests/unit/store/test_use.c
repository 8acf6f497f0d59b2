/* SPDX-License-Identifier: Apache-2.0
 * What is learned from use: sums by hand, there and back, and files of others. */
#include "../../support.h"

#include "store/use.h"

static const char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", test_scratch(), name);
    return path;
}

static void assert_shares(const Use *use, const double *want, int n)
{
    for (int i = 0; i < n; i++)
        if ((double)use->shares[i] < want[i] - 1e-6 || (double)use->shares[i] > want[i] + 1e-6)
            fail_msg("share %d: want %g, got %g", i, want[i], (double)use->shares[i]);
}

/* 30 rows of two experts each, then 10 more that count for a quarter. */
static void test_learn(void **state)
{
    (void)state;
    Use use;
    Error error;
    assert_int_equal(use_new(1, 2, 4, &use, &error), OK);
    assert_shares(&use, (double[]){ 0.25, 0.25, 0.25, 0.25 }, 4);
    use_learn(&use, (int64_t[]){ 30, 15, 15, 0, 0, 0, 0, 0 }, 2);
    assert_int_equal(use.n_rows, 30);
    assert_shares(&use, (double[]){ 0.5, 0.25, 0.25, 0, 0.25, 0.25, 0.25, 0.25 }, 8);
    use_learn(&use, (int64_t[]){ 0, 10, 0, 10, 10, 10, 0, 0 }, 2);
    assert_int_equal(use.n_rows, 40);
    assert_shares(&use, (double[]){ 0.375, 0.3125, 0.1875, 0.125, 0.3125, 0.3125, 0.1875, 0.1875 }, 8);

    int32_t keys[3];
    assert_int_equal(use_hottest(&use, keys, 3, &error), OK);
    assert_int_equal(keys[0], 0);
    assert_int_equal(keys[1], 1);                       /* of equals the lower                     */
    assert_int_equal(keys[2], 4);
    use_learn(&use, (int64_t[]){ 1 << 30, 0, 0, 0, 0, 0, 0, 0 }, 1);
    assert_int_equal(use.n_rows, USE_ROWS_MAX);
    use_free(&use);
}

static void write_one(const char *path)
{
    Use use;
    Error error;
    assert_int_equal(use_new(42, 2, 3, &use, &error), OK);
    snprintf(use.policy, sizeof use.policy, "lru");
    use_learn(&use, (int64_t[]){ 1, 2, 3, 4, 0, 0 }, 1);
    assert_int_equal(use_write(&use, path, &error), OK);
    use_free(&use);
}

static void test_there_and_back(void **state)
{
    (void)state;
    Use use;
    Error error;
    write_one(path_of("u"));
    assert_int_equal(use_read(path_of("u"), 42, 2, 3, &use, &error), OK);
    assert_string_equal(use.policy, "lru");
    assert_int_equal(use.n_rows, 6);
    assert_shares(&use, (double[]){ 1 / 6.0, 2 / 6.0, 3 / 6.0, 1, 0, 0 }, 6);
    use_free(&use);
}

static void test_refused(void **state)
{
    (void)state;
    Use use;
    Error error;
    write_one(path_of("u"));
    assert_int_equal(use_read(path_of("u"), 43, 2, 3, &use, &error), BAD_FILE);
    assert_non_null(strstr(error.text, "another model"));
    assert_int_equal(use_read(path_of("u"), 42, 3, 2, &use, &error), BAD_FILE);
    assert_int_equal(use_read(path_of("none"), 42, 2, 3, &use, &error), NOT_FOUND);

    char *bytes;
    size_t n;
    assert_int_equal(file_slurp(path_of("u"), 1 << 20, &bytes, &n, &error), OK);
    for (size_t i = 0; i < n; i++) {                    /* every byte counts, and every length     */
        bytes[i] ^= 1;
        if (use_parse("u", bytes, n, &use, &error) != BAD_FILE) fail_msg("byte %d bent: was taken", (int)i);
        bytes[i] ^= 1;
        if (use_parse("u", bytes, i, &use, &error) != BAD_FILE) fail_msg("%d bytes: was taken", (int)i);
    }
    assert_int_equal(use_parse("u", bytes, n, &use, &error), OK);
    use_free(&use);
    free(bytes);
    assert_int_equal(use_new(1, 0, 3, &use, &error), BAD_ARGUMENT);
}

/* Another name, shape or content is another model. */
static void test_mark(void **state)
{
    (void)state;
    char bytes[256] = { 0 };
    File file;
    Error error;
    const Memory memory = { .name = "m", .bytes = bytes, .n_bytes = sizeof bytes };
    assert_int_equal(file_open_memory(&memory, &file, &error), OK);
    FileTensor tensor = { .name = "w", .format = F32, .n_dims = 2, .dims = { 8, 8, 1, 1 }, .bytes = sizeof bytes };
    const Catalog catalog = { .path = "m", .files = &file, .n_files = 1, .tensors = &tensor, .n_tensors = 1 };
    uint64_t marks[5];
    assert_int_equal(use_mark(&catalog, &marks[0], &error), OK);
    assert_int_equal(use_mark(&catalog, &marks[1], &error), OK);
    assert_true(marks[0] == marks[1]);
    tensor.name = "v";
    assert_int_equal(use_mark(&catalog, &marks[1], &error), OK);
    tensor.name = "w";
    tensor.dims[0] = 4, tensor.dims[1] = 16;
    assert_int_equal(use_mark(&catalog, &marks[2], &error), OK);
    tensor.dims[0] = 8, tensor.dims[1] = 8;
    bytes[128] = 1;
    assert_int_equal(use_mark(&catalog, &marks[3], &error), OK);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++)
            if (marks[i] == marks[j]) fail_msg("marks %d and %d are the same", i, j);
    file_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learn),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
