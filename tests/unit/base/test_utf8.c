/* SPDX-License-Identifier: Apache-2.0
 * UTF-8, against the table of well-formed byte sequences (Unicode 15.0, table 3-7), over every
 * sequence of up to three bytes and every code point there is. */
#include "tests/support.h"

#include "base/utf8.h"

typedef struct Row { uint8_t low[4], high[4]; size_t n; } Row;
static const Row table[] = {
    { { 0x00 }, { 0x7f }, 1 },
    { { 0xc2, 0x80 }, { 0xdf, 0xbf }, 2 },
    { { 0xe0, 0xa0, 0x80 }, { 0xe0, 0xbf, 0xbf }, 3 },
    { { 0xe1, 0x80, 0x80 }, { 0xec, 0xbf, 0xbf }, 3 },
    { { 0xed, 0x80, 0x80 }, { 0xed, 0x9f, 0xbf }, 3 },
    { { 0xee, 0x80, 0x80 }, { 0xef, 0xbf, 0xbf }, 3 },
    { { 0xf0, 0x90, 0x80, 0x80 }, { 0xf0, 0xbf, 0xbf, 0xbf }, 4 },
    { { 0xf1, 0x80, 0x80, 0x80 }, { 0xf3, 0xbf, 0xbf, 0xbf }, 4 },
    { { 0xf4, 0x80, 0x80, 0x80 }, { 0xf4, 0x8f, 0xbf, 0xbf }, 4 },
};

/* Bytes of the well-formed character that b begins with, among n; 0 for none. */
static size_t by_table(const uint8_t *b, size_t n)
{
    for (size_t r = 0; r < sizeof table / sizeof table[0]; r++) {
        size_t i = 0;
        while (i < table[r].n && i < n && b[i] >= table[r].low[i] && b[i] <= table[r].high[i]) i++;
        if (i == table[r].n) return i;
    }
    return 0;
}

/* Is b, all n bytes of it, the beginning of a longer row? */
static bool begins_a_row(const uint8_t *b, size_t n)
{
    for (size_t r = 0; r < sizeof table / sizeof table[0]; r++) {
        size_t i = 0;
        while (i < table[r].n && i < n && b[i] >= table[r].low[i] && b[i] <= table[r].high[i]) i++;
        if (i == n && n < table[r].n) return true;
    }
    return false;
}

static void check(const uint8_t *b, size_t n)
{
    uint32_t point;
    const size_t want = by_table(b, n), got = utf8_decode((const char *)b, n, &point);
    if (want != got)
        fail_msg("decode %02x %02x %02x %02x of %zu: want %zu, got %zu", b[0], b[1], b[2], b[3], n,
                 want, got);
    size_t unfinished = 0;
    for (size_t back = 1; back <= 3 && back <= n; back++)
        if (begins_a_row(b + n - back, back)) unfinished = back;
    const size_t found = utf8_unfinished((const char *)b, n);
    if (found != unfinished)
        fail_msg("unfinished %02x %02x %02x %02x of %zu: want %zu, got %zu", b[0], b[1], b[2], b[3],
                 n, unfinished, found);
}

static void every_short_sequence(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1u << 24; i++) {
        const uint8_t b[4] = { (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i, 0 };
        if (b[1] == 0 && b[2] == 0) check(b, 1);
        if (b[2] == 0) check(b, 2);
        if (b[0] >= 0xc0 || b[1] >= 0xc0) check(b, 3);      /* the others hold nothing new */
    }
}

static void sequences_of_four(void **state)
{
    (void)state;
    static const uint8_t edges[] = { 0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
                                     0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xff };
    enum { N = sizeof edges };
    for (int first = 0xe0; first < 256; first++)
        for (int i = 0; i < N * N * N; i++)
            check((const uint8_t[]){ (uint8_t)first, edges[i % N], edges[i / N % N],
                                     edges[i / N / N] },
                  4);
}

static void every_code_point(void **state)
{
    (void)state;
    for (uint32_t want = 0; want < 0x120000; want++) {
        char bytes[4];
        const size_t n = utf8_encode(want, bytes);
        const bool possible = want <= 0x10ffff && !(want >= 0xd800 && want < 0xe000);
        if ((n > 0) != possible) fail_msg("U+%04X: encoded in %zu bytes", want, n);
        uint32_t got = 0;
        if (possible && (utf8_decode(bytes, n, &got) != n || got != want))
            fail_msg("U+%04X came back as U+%04X", want, got);
    }
    uint32_t point;
    assert_int_equal(utf8_encode(0xffffffff, (char[4]){ 0 }), 0);
    assert_int_equal(utf8_decode("", 0, &point), 0);
}

static void whole_texts(void **state)
{
    (void)state;
    assert_true(utf8_valid("", 0));
    assert_true(utf8_valid("gr\xc3\xbc\xc3\x9f \xf0\x9f\x8c\x8d", 11));
    assert_false(utf8_valid("gr\xc3\xbc\xc3", 5));
    assert_false(utf8_valid("\xc0\xaf", 2));
    assert_int_equal(utf8_unfinished("ab\xf0\x9f\x8c", 5), 3);
    assert_int_equal(utf8_unfinished("ab\xf0\x9f\x8c\x8d", 6), 0);
    assert_int_equal(utf8_unfinished("", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_sequence),
        cmocka_unit_test(sequences_of_four),
        cmocka_unit_test(every_code_point),
        cmocka_unit_test(whole_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
