/* SPDX-License-Identifier: Apache-2.0
 * Flushed lines hold what they held, wherever the range begins and ends. */
#include "base/flush.h"
#include "tests/support.h"

#include <string.h>

static void contents_stay(void **state)
{
    (void)state;
    static unsigned char bytes[1000], want[sizeof bytes];
    if (!flush_possible()) skip();
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = want[i] = (unsigned char)(i * 7 + 1);
    for (size_t at = 0; at < 130; at++)
        for (size_t n = 0; n < 200; n += 7) flush_lines(bytes + at, n);
    assert_memory_equal(bytes, want, sizeof bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(contents_stay) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
