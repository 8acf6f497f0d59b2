/* SPDX-License-Identifier: Apache-2.0
 * What the machine has left is more than nothing and less than what it has. */
#include "tests/support.h"

#include "base/machine.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>

static bool put(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    if (!file) return false;
    const bool put = fputs(text, file) >= 0;
    return (fclose(file) == 0) && put;
}

static void between_nothing_and_everything(void **state)
{
    (void)state;
    const int64_t all = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE),
                  left = machine_free_bytes();
    print_message("%lld of %lld bytes are left\n", (long long)left, (long long)all);
    assert_true(left > 0);
    assert_true(left <= all);
}

/* What is written is held. */
static void what_is_taken_is_resident(void **state)
{
    (void)state;
    const size_t n = 64 << 20;
    const int64_t before = machine_resident_bytes();
    char *taken = malloc(n);
    assert_non_null(taken);
    memset(taken, 1, n);
    const int64_t with = machine_resident_bytes();
    print_message("%lld, then %lld bytes are resident\n", (long long)before, (long long)with);
    assert_true(before > 0);
    assert_true(taken[n / 2] == 1 && with - before > (int64_t)n * 9 / 10);
    free(taken);
}

/* A group that is tighter than the system is what counts: tried where groups can be made. */
static void a_control_group_counts(void **state)
{
    (void)state;
    enum { LIMIT = 256 << 20 };
    char group[96], path[160], number[32];
    snprintf(group, sizeof group, "/sys/fs/cgroup/memory/mixt-test-%d", (int)getpid());
    if (mkdir(group, 0755) != 0) {
        print_message("no control group of version 1 can be made here\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/memory.limit_in_bytes", group);
    snprintf(number, sizeof number, "%d", LIMIT);
    bool made = put(path, number);
    snprintf(path, sizeof path, "%s/cgroup.procs", group);
    const pid_t child = made ? fork() : -1;
    if (child == 0) {
        snprintf(number, sizeof number, "%d", (int)getpid());
        if (!put(path, number)) _exit(2);
        _exit(machine_free_bytes() <= LIMIT ? 0 : 1);
    }
    int how = -1;
    if (child > 0) waitpid(child, &how, 0);
    rmdir(group);
    if (child < 0 || !WIFEXITED(how) || WEXITSTATUS(how) == 2) {
        print_message("no process can be moved into a control group here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(how), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(between_nothing_and_everything),
                                        cmocka_unit_test(what_is_taken_is_resident),
                                        cmocka_unit_test(a_control_group_counts) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
