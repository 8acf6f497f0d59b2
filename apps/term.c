/* SPDX-License-Identifier: Apache-2.0
 * apps/term.c - what the terminal behind stderr can do. */
#include "app.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool environment_is(const char *name, const char *value)
{
    const char *text = getenv(name);
    return text && strcmp(text, value) == 0;
}

bool term_err(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

bool term_utf8(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

int term_width(void)
{
    struct winsize size = { 0 };
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    const char *columns = getenv("COLUMNS");
    const int   n       = columns ? atoi(columns) : 0;
    return n > 0 && n < 10000 ? n : 80;
}

Colour term_colour(void)
{
    const char *no = getenv("NO_COLOR");        /* https://no-color.org: present and not empty */
    if (!term_err() || (no && *no)) return COLOUR_NONE;
    if (environment_is("COLORTERM", "truecolor") || environment_is("COLORTERM", "24bit"))
        return COLOUR_TRUE;
    return COLOUR_256;
}
