/* SPDX-License-Identifier: Apache-2.0
 * base/error.c - sentences for people. */
#include "base/base.h"
#include "base/buffer.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* C0 and C1 controls, line separators, and the marks that turn the direction of writing around. */
static bool moves_things(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) ||
           (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

/* A sentence often quotes a name from an untrusted file: nothing in it may move a cursor, end
 * a line or break a terminal. */
static void make_printable(char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        uint32_t point;
        const size_t step = utf8_decode(text + i, n - i, &point);
        if (step == 0) {
            text[i++] = '?';
        } else {
            if (moves_things(point)) memset(text + i, '?', step);
            i += step;
        }
    }
}

static void say(Error *error, Status code, const char *format, va_list args)
{
    if (!error) return;
    Error made = { .code = code };      /* apart, because an argument may be error->text itself */
    const int n = vsnprintf(made.text, sizeof made.text, format, args);
    if (n < 0) snprintf(made.text, sizeof made.text, "error %d", (int)code);
    make_printable(made.text);
    *error = made;
}

#if defined __GNUC__ && !defined __clang__
void fail_say(Error *error, Status code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(error, code, format, args);
    va_end(args);
}
#else
Status fail(Error *error, Status code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(error, code, format, args);
    va_end(args);
    return code;
}
#endif

Status fail_choice(const char *what, const char *const *names, const char *found, Error *error)
{
    Buffer list = { 0 };
    for (int i = 0; names[i]; i++) buffer_format(&list, "%s%s", i ? ", " : "", names[i]);
    const Status status = fail(error, BAD_ARGUMENT, "%s: expected one of %s, found '%s'", what,
                               list.data ? list.data : "a few", found ? found : "nothing");
    buffer_free(&list);
    return status;
}
