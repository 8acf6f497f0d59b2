/* SPDX-License-Identifier: Apache-2.0
 * apps/bench.h - what mixt bench measures: cmd_bench.c runs it, bench_report.c prints it. */
#ifndef APPS_BENCH_H
#define APPS_BENCH_H

#include <mixt_tools.h>

#include "load.h"

enum { LIST_MAX = 32, ROWS_MAX = 512, PROFILE_MAX = 32 };

typedef struct List { size_t n, at[LIST_MAX]; } List;

/* One line of the table: n tokens, with `depth` before them, of `rows` sequences at once. */
typedef struct Test {
    bool    prompt;                     /* read; otherwise written                          */
    size_t  n, depth, rows;
    double *seconds;                    /* [repetitions] of the whole                       */
    double *step_seconds;               /* [repetitions][n] of each step; NULL for prompts  */
    /* per step, averages over all repetitions; 0 for prompts */
    double  weight_bytes, kv_bytes;
    double  experts;                    /* different ones in a layer                        */
    double  operations;                 /* of the whole                                     */
    int64_t disk_bytes;                 /* read for experts, all repetitions                */
    size_t  n_profile;
    mixt_profile_row profile[PROFILE_MAX];      /* all repetitions                          */
} Test;

typedef struct Bench {
    const App   *app;
    Loaded       loaded;
    mixt_machine machine;
    bool         stored;                /* the limits are from machine.json                 */
    int64_t      resident_peak_bytes;   /* of the program, while it worked                  */
    List         prompts, written, depths, rows;
    size_t       n_repeat, n_context;
    int          n_threads;
    size_t       n_tests;
    Test        *tests;
    mixt_session **sessions;            /* [rows_max]; the first is loaded.session          */
    size_t       n_sessions;
} Bench;

/* ---- what a test is in numbers ---- */

typedef struct Rate { double median, spread; } Rate;
/* Tokens per second, all sequences together. */
Rate   test_rate(const Bench *bench, const Test *test);
double test_bytes_per_s(const Bench *bench, const Test *test);          /* 0 for prompts     */
double test_operations_per_s(const Bench *bench, const Test *test);
enum { TEST_NAME_MAX = 48 };
const char *test_name(const Test *test, char out[TEST_NAME_MAX]);       /* "tg32 x8 @ d512"  */

/* The limits for this many threads. */
double      limit_read(const Bench *bench);
double      limit_peak(const Bench *bench);
const char *limit_peak_name(const Bench *bench);                        /* "int8", "f32"     */

Exit bench_table(const Bench *bench);
Exit bench_json(const Bench *bench);

#endif
