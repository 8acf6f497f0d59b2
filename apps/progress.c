/* SPDX-License-Identifier: Apache-2.0
 * apps/progress.c - see progress.h. */
#include "progress.h"

#include <stdio.h>
#include <string.h>

#include "app.h"
#include "base/clock.h"

/* A bar that flashes by is noise: wait before the first, then draw ten a second. */
enum { FIRST_US = 300000, BETWEEN_US = 100000, BAR_CELLS = 20 };

Progress progress_begin(const char *what, bool bytes)
{
    return (Progress){ .what = what, .bytes = bytes, .unit = "tokens", .start_us = clock_us() };
}

double per_second(size_t n, int64_t us)
{
    return us > 0 ? (double)n * 1e6 / (double)us : 0;
}

const char *amount_bytes(double bytes, char out[AMOUNT_MAX])
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
    int unit = 0;
    while (bytes >= 999.5 && unit < ARRAY_LEN(units) - 1) bytes /= 1000, unit++;
    const int places = unit == 0 || bytes >= 99.95 ? 0 : bytes >= 9.995 ? 1 : 2;
    snprintf(out, AMOUNT_MAX, "%.*f %s", places, bytes, units[unit]);
    return out;
}

static void draw_bar(double share)
{
    const int full = (int)(share * BAR_CELLS);
    for (int i = 0; i < BAR_CELLS; i++)
        fputs(term_utf8() ? i < full ? "\u2588" : "\u2591" : i < full ? "#" : ".", stderr);
}

int progress_show(void *user, int64_t done, int64_t total)
{
    Progress     *p   = user;
    const int64_t now = clock_us();
    if (interrupt_pending()) return 1;
    if (!term_err() || total <= 0) return 0;
    if (now - p->start_us < FIRST_US || now - p->drawn_us < BETWEEN_US) return 0;
    p->drawn_us = now;

    const double share    = (double)done / (double)total;
    const double seconds  = (double)(now - p->start_us) * 1e-6;
    const double rate     = (double)done / seconds;
    char         here[AMOUNT_MAX], whole[AMOUNT_MAX], speed[AMOUNT_MAX];
    fprintf(stderr, "\r\033[K%s %3.0f %% ", p->what, 100 * share);
    draw_bar(share);
    if (p->bytes)
        fprintf(stderr, " %s of %s, %s/s", amount_bytes((double)done, here),
                amount_bytes((double)total, whole), amount_bytes(rate, speed));
    else fprintf(stderr, " %lld of %lld %s, %.*f/s", (long long)done, (long long)total, p->unit, rate < 10, rate);
    if (rate > 0) fprintf(stderr, ", %.0f s left", (double)(total - done) / rate);
    fflush(stderr);
    return 0;
}

void progress_end(Progress *p)
{
    if (p->drawn_us) fputs("\r\033[K", stderr);
    p->drawn_us = 0;
}
