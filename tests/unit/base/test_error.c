/* SPDX-License-Identifier: Apache-2.0
 * Errors: the sentence arrives, fits, and cannot harm a terminal. */
#include "tests/support.h"

#include "base/base.h"

static void a_sentence(void **state)
{
    (void)state;
    Error error = { 0 };
    assert_int_equal(fail(&error, BAD_FILE, "%s: expected %d, found %d", "x.gguf", 3, 4), BAD_FILE);
    assert_int_equal(error.code, BAD_FILE);
    assert_string_equal(error.text, "x.gguf: expected 3, found 4");
    assert_int_equal(fail(NULL, CANCELLED, "nobody listens"), CANCELLED);
    assert_int_equal(fail_memory(&error, "experts"), NO_MEMORY);
    assert_string_equal(error.text, "out of memory for experts");
}

static void names_from_files_are_tamed(void **state)
{
    (void)state;
    static const struct { const char *name, *want; } rows[] = {
        { "plain", "plain" },
        { "a\nb\r\tc", "a?b??c" },
        { "\x1b[2Jgone", "?[2Jgone" },
        { "caf\xc3\xa9", "caf\xc3\xa9" },
        { "\xc2\x9b" "31m", "??31m" },                          /* the C1 form of ESC [ */
        { "bad\xff\xc3", "bad??" },
        { "\xe2\x80\xae" "fugg.x", "???fugg.x" },               /* right-to-left override */
        { "\xe2\x80\xa8line", "???line" },
        { "\xe2\x80\x94 dash", "\xe2\x80\x94 dash" },
    };
    for (int i = 0; i < ARRAY_LEN(rows); i++) {
        Error error;
        fail(&error, BAD_FILE, "%s", rows[i].name);
        assert_string_equal(error.text, rows[i].want);
    }
}

static void a_long_name_is_cut(void **state)
{
    (void)state;
    char name[2000];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    Error error;
    fail(&error, BAD_FILE, "%s: too long", name);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
    /* A character cut in two is no character: nothing invalid is left at the end. */
    for (int i = 0; i + 2 < (int)sizeof name; i += 2) memcpy(name + i, "\xc3\xa9", 2);
    fail(&error, BAD_FILE, "%s", name);
    assert_int_equal(error.text[sizeof error.text - 2], '?');
}

static void an_error_may_quote_itself(void **state)
{
    (void)state;
    Error error;
    fail(&error, IO_FAILED, "disk full");
    fail(&error, error.code, "layer 3: %s", error.text);
    assert_string_equal(error.text, "layer 3: disk full");
    assert_int_equal(error.code, IO_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sentence),
        cmocka_unit_test(names_from_files_are_tamed),
        cmocka_unit_test(a_long_name_is_cut),
        cmocka_unit_test(an_error_may_quote_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
