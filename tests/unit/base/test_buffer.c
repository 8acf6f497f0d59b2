/* SPDX-License-Identifier: Apache-2.0
 * Buffers: what goes in comes out, JSON strings are JSON, and a lost append is never forgotten. */
#include "tests/support.h"

#include "base/buffer.h"

static void pieces_join(void **state)
{
    (void)state;
    Buffer b = { 0 };
    buffer_text(&b, "layer ");
    buffer_format(&b, "%d of %s", 3, "32");
    buffer_char(&b, '.');
    buffer_append(&b, "a\0b", 3);
    assert_int_equal(b.n_bytes, 17);
    assert_memory_equal(b.data, "layer 3 of 32.a\0b", 18);
    assert_false(b.failed);
    buffer_clear(&b);
    assert_string_equal(b.data, "");
    buffer_free(&b);
    assert_null(b.data);
}

static void growth_keeps_everything(void **state)
{
    (void)state;
    Buffer b = { 0 };
    for (int i = 0; i < 100000; i++) buffer_format(&b, "%06d", i);
    assert_int_equal(b.n_bytes, 600000);
    for (int i = 0; i < 100000; i++) {
        char want[16];
        snprintf(want, sizeof want, "%06d", i);
        assert_memory_equal(b.data + 6 * i, want, 6);
    }
    assert_int_equal(b.data[b.n_bytes], 0);
    buffer_free(&b);
}

static void a_failure_sticks(void **state)
{
    (void)state;
    Buffer b = { 0 };
    buffer_text(&b, "kept");
    buffer_append(&b, "x", SIZE_MAX / 2);       /* refused before a byte is read */
    assert_true(b.failed);
    buffer_text(&b, "lost");
    assert_string_equal(b.data, "kept");
    buffer_clear(&b);
    assert_false(b.failed);
    buffer_text(&b, "again");
    assert_string_equal(b.data, "again");
    buffer_free(&b);
}

static void json_strings(void **state)
{
    (void)state;
    static const struct { const char *text; size_t n_bytes; const char *want; } rows[] = {
        { "", 0, "\"\"" },
        { "say \"hi\"\\", 9, "\"say \\\"hi\\\"\\\\\"" },
        { "\n\t\r\x01\x7f", 5, "\"\\n\\t\\r\\u0001\\u007f\"" },
        { "a\0b", 3, "\"a\\u0000b\"" },
        { "h\xc3\xa9 \xf0\x9f\x8c\x8d", 8, "\"h\xc3\xa9 \xf0\x9f\x8c\x8d\"" },
        { "\xc3", 1, "\"\xef\xbf\xbd\"" },
        { "\xed\xa0\x80!", 4, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!\"" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Buffer b = { 0 };
        buffer_json(&b, rows[i].text, rows[i].n_bytes);
        assert_string_equal(b.data, rows[i].want);
        buffer_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_join),
        cmocka_unit_test(growth_keeps_everything),
        cmocka_unit_test(a_failure_sticks),
        cmocka_unit_test(json_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
