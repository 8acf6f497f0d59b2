/* SPDX-License-Identifier: Apache-2.0
 * What the machine has left is more than nothing and less than what it has. */
#include "tests/support.h"

#include "base/machine.h"

static void between_nothing_and_everything(void **state)
{
    (void)state;
    const int64_t all = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE),
                  left = machine_free_bytes();
    print_message("%lld of %lld bytes are left\n", (long long)left, (long long)all);
    assert_true(left > 0);
    assert_true(left <= all);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(between_nothing_and_everything) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
