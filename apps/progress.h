/* SPDX-License-Identifier: Apache-2.0
 * apps/progress.h - one moving line on stderr for work that takes long; nothing when it is no
 * terminal. */
#ifndef APPS_PROGRESS_H
#define APPS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Progress {
    const char *what;               /* "loading"                                           */
    bool        bytes;              /* the numbers are bytes, otherwise                    */
    const char *unit;               /* "tokens"                                            */
    int64_t     start_us, drawn_us; /* drawn_us 0: nothing is on the screen                */
} Progress;

Progress progress_begin(const char *what, bool bytes);
/* A mixt_progress_fn: `user` is the Progress.  Non-zero once somebody asked to stop. */
int  progress_show(void *user, int64_t done, int64_t total);
void progress_end(Progress *progress);      /* wipes the line                               */

/* "26.5 GB": three digits that matter, powers of 1000. */
enum { AMOUNT_MAX = 32 };
const char *amount_bytes(double bytes, char out[AMOUNT_MAX]);
double      per_second(size_t n, int64_t us);               /* 0 for no time               */

#endif
