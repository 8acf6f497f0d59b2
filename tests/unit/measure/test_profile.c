/* SPDX-License-Identifier: Apache-2.0
 * A machine's profile comes back as it was written, and nothing else is believed. */
#include "tests/support.h"

#include "measure/measure.h"

static char path[512];

static Machine some_machine(void)
{
    Machine m = { .measured_at = 1700000000,
                  .cpu_set = "avx2",
                  .read = { 2, { { 1, 25.5e9 }, { 2, 46e9 } } },
                  .int8 = { 2, { { 1, 460e9 }, { 2, 920e9 } } },
                  .f32 = { 1, { { 2, 230e9 } } },
                  .disk_folder = "/models \"here\"",
                  .disk_direct = true,
                  .n_disk = 1,
                  .disk = { { 1 << 20, 4, 2.5e9 } } };
    measure_facts(&m.facts);            /* a profile of another machine is refused           */
    return m;
}

static int setup(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/machine.json", test_scratch());
    return 0;
}

static void it_comes_back(void **state)
{
    (void)state;
    Error error = { 0 };
    Machine want = some_machine(), got;
    if (profile_write(&want, path, &error) != OK) fail_msg("%s", error.text);
    if (profile_read(path, &got, &error) != OK) fail_msg("%s", error.text);
    assert_string_equal(want.facts.cpu, got.facts.cpu);
    assert_string_equal(want.facts.instructions, got.facts.instructions);
    assert_string_equal(want.facts.huge_pages, got.facts.huge_pages);
    assert_int_equal(want.facts.n_allowed, got.facts.n_allowed);
    assert_int_equal(want.facts.l2_bytes, got.facts.l2_bytes);
    assert_int_equal(want.facts.memory_bytes, got.facts.memory_bytes);
    assert_int_equal(want.measured_at, got.measured_at);
    assert_string_equal(want.cpu_set, got.cpu_set);
    assert_int_equal(got.read.n, 2);
    assert_true(rates_at(&got.read, 2) == 46e9);
    assert_true(rates_at(&got.int8, 1) == 460e9);
    assert_true(rates_at(&got.f32, 2) == 230e9);
    assert_true(rates_at(&got.f32, 1) == 0.0);
    assert_string_equal(want.disk_folder, got.disk_folder);
    assert_true(got.disk_direct);
    assert_int_equal(got.n_disk, 1);
    assert_int_equal(got.disk[0].block_bytes, 1 << 20);
    assert_int_equal(got.disk[0].depth, 4);
}

/* ---- bad files: the written one with one text exchanged ---- */

static void write_text(const char *text, size_t n_bytes)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, n_bytes, file), n_bytes);
    assert_int_equal(fclose(file), 0);
}

/* Puts `with` in the place of the first text from `from` up to `to`, `to` left where it is. */
static void exchange(char *text, size_t room, const char *from, const char *to, const char *with)
{
    char *begin = strstr(text, from), *end = begin ? strstr(begin + strlen(from), to) : NULL;
    if (!end) fail_msg("no '%s' up to '%s' in %s", from, to, text);
    char rest[8192];
    snprintf(rest, sizeof rest, "%s", end);
    snprintf(begin, room - (size_t)(begin - text), "%s%s", with, rest);
}

static void bad_files_are_refused(void **state)
{
    (void)state;
    static const struct { const char *from, *to, *with, *says; } cases[] = {
        { "\"kind\": \"", ",\n", "\"kind\": \"recipe\"", "found 'recipe'" },
        { "\"kind\": \"", ",\n", "\"kind\": 7", "'kind'" },
        { "\"version\": ", ",\n", "\"version\": 2", "'version'" },
        { "\"version\": ", ",\n", "\"version\": \"1\"", "'version'" },
        { "  \"measured_at\": ", ",\n", "  \"measured_at\": -1", "'measured_at'" },
        { "\"cpu\": \"", ",\n", "\"cpu\": \"abacus\"", "another machine" },
        { "\"cores_allowed\": ", ",\n", "\"cores_allowed\": 100000", "another machine" },
        { "\"cores_allowed\": ", ",\n", "\"cores_allowed\": 0", "'cores_allowed'" },
        { "\"quota_cores\": ", ",\n", "\"quota_cores\": -2.5", "'quota_cores'" },
        { "\"l3_bytes\": ", ",\n", "\"l3_bytes\": 1.5", "'l3_bytes'" },
        { "\"memory_bytes\": ", ",\n", "\"memory_bytes\": 99999999999999999", "'memory_bytes'" },
        { "\"load\": ", ",\n", "\"load\": null", "'load'" },
        { "\"read\": [", "],\n", "\"read\": [", "'read'" },
        { "\"read\": [", ",\n", "\"read\": 5", "'read'" },
        { "\"read\": [", "],\n", "\"read\": [7", "'threads'" },
        { "\"per_second\": ", "}", "\"per_second\": 0", "'per_second'" },
        { "\"per_second\": ", "}", "\"per_second\": 1e30", "'per_second'" },
        { "\"per_second\": ", "}", "\"per_second\": \"fast\"", "'per_second'" },
        { "\"threads\": 2", ",", "\"threads\": 1", "'threads'" },       /* not rising        */
        { "\"threads\": 1", ",", "\"threads\": 513", "'threads'" },
        { "\"disk_direct\": ", ",\n", "\"disk_direct\": 1", "'disk_direct'" },
        { "\"block_bytes\": ", ",", "\"block_bytes\": 0", "'block_bytes'" },
        { "\"depth\": ", ",", "\"depth\": 100000", "'depth'" },
        { "\"cpu_set\": ", ",\n", "\"cpu_set\": \"a set with a name much too long\"", "'cpu_set'" },
        { "\"huge_pages\": ", "\"cores", "", "'huge_pages'" },
        { "\"l1_bytes\": ", "\"l2", "\"l2_bytes\": 1, ", "JSON" },          /* a key twice       */
        { "{", "\"kind\"", "", "JSON" },
    };
    for (int i = 0; i < ARRAY_LEN(cases); i++) {
        Error error = { 0 };
        Machine m = some_machine();
        char *text;
        size_t n_bytes;
        char changed[8192];
        assert_int_equal(profile_write(&m, path, &error), OK);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        text = calloc(1, sizeof changed);
        n_bytes = fread(text, 1, sizeof changed - 1, file);
        fclose(file);
        snprintf(changed, sizeof changed, "%.*s", (int)n_bytes, text);
        free(text);
        exchange(changed, sizeof changed, cases[i].from, cases[i].to, cases[i].with);
        write_text(changed, strlen(changed));
        const Status status = profile_read(path, &m, &error);
        if (status != BAD_FILE || !strstr(error.text, cases[i].says) || !strstr(error.text, path))
            fail_msg("'%s': wanted BAD_FILE that says %s, got %d: %s", cases[i].with, cases[i].says,
                     status, error.text);
        assert_int_equal(m.read.n, 0);          /* nothing of it is handed on                */
    }
}

static void what_is_no_profile_is_refused(void **state)
{
    (void)state;
    Error error;
    Machine m;
    static const char *const texts[] = {
        "", "[]", "{}", "null", "7", "{\"kind\"", "\xff\xfe", "{\"kind\": \"mixt machine profile\"}"
    };
    for (int i = 0; i < ARRAY_LEN(texts); i++) {
        write_text(texts[i], strlen(texts[i]));
        if (profile_read(path, &m, &error) != BAD_FILE)
            fail_msg("'%s' was taken for a profile", texts[i]);
    }
    char *large = calloc(1, PROFILE_MAX_BYTES + 1);
    assert_non_null(large);
    write_text(large, PROFILE_MAX_BYTES + 1);
    free(large);
    assert_int_equal(profile_read(path, &m, &error), BAD_FILE);
    remove(path);
    assert_int_equal(profile_read(path, &m, &error), NOT_FOUND);
}

/* Every cut of a good file is a bad one. */
static void half_a_file_is_refused(void **state)
{
    (void)state;
    Error error;
    Machine m = some_machine();
    char text[8192];
    assert_int_equal(profile_write(&m, path, &error), OK);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    const size_t n = fread(text, 1, sizeof text, file);
    fclose(file);
    for (size_t cut = 0; cut + 2 < n; cut += 7) {       /* without its last newline it is whole */
        write_text(text, cut);
        if (profile_read(path, &m, &error) != BAD_FILE)
            fail_msg("the first %zu of %zu bytes were enough", cut, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back),
        cmocka_unit_test(bad_files_are_refused),
        cmocka_unit_test(what_is_no_profile_is_refused),
        cmocka_unit_test(half_a_file_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
