/* SPDX-License-Identifier: Apache-2.0
 * tests/support.h - what every test leans on: cmocka, the folder of real data, a scratch folder. */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

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
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    if (access(path, R_OK) == 0) return path;
    print_message("skipped: %s is not here (set MIXT_TEST_DATA)\n", path);
    return NULL;
}

/* A new folder under $TMPDIR, for this process. */
static inline const char *test_scratch(void)
{
    static char path[256];
    if (!path[0]) {
        const char *tmp = getenv("TMPDIR");
        snprintf(path, sizeof path, "%s/mixt-test-XXXXXX", tmp ? tmp : "/tmp");
        if (!mkdtemp(path)) abort();
    }
    return path;
}

#endif
