/* SPDX-License-Identifier: Apache-2.0
 * Arithmetic on numbers from outside: every edge of 64 bits, and a cursor that never leaves its bytes. */
#include "tests/support.h"

#include "base/checked.h"
#include "base/rng.h"

static void sums_and_products(void **state)
{
    (void)state;
    static const int64_t edges[] = { INT64_MIN,
                                     INT64_MIN + 1,
                                     -((int64_t)1 << 32),
                                     -2,
                                     -1,
                                     0,
                                     1,
                                     2,
                                     3037000499,
                                     3037000500,
                                     (int64_t)1 << 32,
                                     INT64_MAX / 2,
                                     INT64_MAX - 1,
                                     INT64_MAX };
    enum { N = sizeof edges / sizeof edges[0] };
    for (int i = 0; i < N * N; i++) {
        const int64_t a = edges[i % N], b = edges[i / N];
        const __int128 sum = (__int128)a + b, product = (__int128)a * b;
        int64_t got = 4711;
        assert_int_equal(checked_add(a, b, &got), sum >= INT64_MIN && sum <= INT64_MAX);
        if (checked_add(a, b, &got)) assert_true(got == (int64_t)sum);
        assert_int_equal(checked_mul(a, b, &got), product >= INT64_MIN && product <= INT64_MAX);
        if (checked_mul(a, b, &got)) assert_true(got == (int64_t)product);
    }
}

static void ranges(void **state)
{
    (void)state;
    static const uint64_t edges[] = {
        0, 1, 2, 99, 100, 101, INT64_MAX, UINT64_MAX - 1, UINT64_MAX
    };
    enum { N = sizeof edges / sizeof edges[0] };
    for (int i = 0; i < N * N * N; i++) {
        const uint64_t offset = edges[i % N], bytes = edges[i / N % N], total = edges[i / N / N];
        const bool want = (unsigned __int128)offset + bytes <= total;
        if (range_inside(offset, bytes, total) != want)
            fail_msg("[%llu, +%llu) in %llu: want %d", (unsigned long long)offset,
                     (unsigned long long)bytes, (unsigned long long)total, want);
    }
}

static void a_cursor_reads_in_order(void **state)
{
    (void)state;
    static const uint8_t bytes[] = { 0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f, 0x0e, 0x0d,
                                     0x0c, 0x0b, 0x0a, 0x09, 0x08, 0x00, 0x00, 0x80, 0x3f, 0xaa };
    Cursor c = cursor_over(bytes, sizeof bytes);
    assert_int_equal(cursor_u8(&c), 0x01);
    assert_int_equal(cursor_u16(&c), 0x0203);
    assert_int_equal(cursor_u32(&c), 0x04050607);
    assert_true(cursor_u64(&c) == 0x08090a0b0c0d0e0fu);
    assert_true(cursor_f32(&c) == 1.0f);
    assert_int_equal(cursor_left(&c), 1);
    assert_false(c.bad);
}

static void past_the_end_is_zero_and_stays_bad(void **state)
{
    (void)state;
    static const uint8_t bytes[] = { 1, 2, 3 };
    Cursor c = cursor_over(bytes, sizeof bytes);
    assert_int_equal(cursor_u32(&c), 0);
    assert_true(c.bad);
    assert_int_equal(cursor_u8(&c), 0);             /* there would be a byte, but not for a bad cursor */
    assert_null(cursor_take(&c, 1));

    c = cursor_over(bytes, sizeof bytes);
    assert_null(cursor_take(&c, SIZE_MAX));
    c = cursor_over(bytes, sizeof bytes);
    assert_ptr_equal(cursor_take(&c, 3), bytes);
    assert_ptr_equal(cursor_take(&c, 0), bytes + 3);
    assert_false(c.bad);
    c = cursor_over(NULL, 0);
    assert_int_equal(cursor_left(&c), 0);
    assert_int_equal(cursor_u16(&c), 0);
    assert_true(c.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_products),
        cmocka_unit_test(ranges),
        cmocka_unit_test(a_cursor_reads_in_order),
        cmocka_unit_test(past_the_end_is_zero_and_stays_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
