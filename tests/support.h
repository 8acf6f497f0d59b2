/* SPDX-License-Identifier: Apache-2.0
 * tests/support.h - what every test leans on: cmocka, the folder of real data, a scratch folder. */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* cmocka's fail() is a macro; ours, in base.h, is a function.  fail_msg() stays and says more. */
#undef fail
#undef fail_msg
#define fail_msg(...)                                                                              \
    do {                                                                                           \
        print_error("ERROR: " __VA_ARGS__);                                                        \
        print_error("\n");                                                                         \
        _fail(__FILE__, __LINE__);                                                                 \
        abort(); /* not reached, which compilers are not told */                                   \
    } while (0)

/* "$MIXT_TEST_DATA/<name>" when that exists, else NULL after one line that says so: the test then
 * calls skip().  Static memory, four calls deep. */
static inline const char *test_data(const char *name)
{
    static char  paths[4][4096];
    static int   turn;
    const char  *root = getenv("MIXT_TEST_DATA");
    char        *path = paths[turn++ & 3];
#ifdef MIXT_SOURCE_DIR
    if (!root) root = MIXT_SOURCE_DIR "/../shared/data";
#else
    if (!root) root = "../shared/data";
#endif
    const int n = snprintf(path, sizeof paths[0], "%s/%s", root, name);
    if (n < (int)sizeof paths[0] && access(path, R_OK) == 0) return path;
    print_message("skipped: %s is not here (set MIXT_TEST_DATA)\n", path);
    return NULL;
}

static char  test_scratch_path[256];
static pid_t test_scratch_owner;

static inline int test_remove_one(const char *path, const struct stat *info, int kind,
                                  struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path);
}

static inline void test_remove_scratch(void)
{
    if (getpid() == test_scratch_owner)
        nftw(test_scratch_path, test_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A new folder under $TMPDIR, for this process; gone when it exits. */
static inline const char *test_scratch(void)
{
    if (!test_scratch_path[0]) {
        const char *tmp = getenv("TMPDIR");
        snprintf(test_scratch_path, sizeof test_scratch_path, "%s/mixt-test-XXXXXX",
                 tmp ? tmp : "/tmp");
        if (!mkdtemp(test_scratch_path)) abort();
        test_scratch_owner = getpid();
        atexit(test_remove_scratch);
    }
    return test_scratch_path;
}

#endif
