/* SPDX-License-Identifier: Apache-2.0
 * base/buffer.c - doubling, and one bit that remembers that it once could not. */
#include "base/buffer.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool give_up(Buffer *b)
{
    b->failed = true;
    return false;
}

/* Room for n_bytes more and a NUL. */
static bool reserve(Buffer *b, size_t n_bytes)
{
    if (b->failed) return false;
    if (n_bytes >= SIZE_MAX / 2 - b->n_bytes) return give_up(b);
    const size_t needed = b->n_bytes + n_bytes + 1;
    if (needed <= b->room) return true;
    size_t room = b->room ? b->room : 64;
    while (room < needed) room *= 2;
    char *data = realloc(b->data, room);
    if (!data) return give_up(b);
    b->data = data;
    b->room = room;
    return true;
}

void buffer_append(Buffer *b, const void *bytes, size_t n_bytes)
{
    if (!reserve(b, n_bytes)) return;
    if (n_bytes) memcpy(b->data + b->n_bytes, bytes, n_bytes);
    b->n_bytes += n_bytes;
    b->data[b->n_bytes] = 0;
}

void buffer_text(Buffer *b, const char *text)
{
    buffer_append(b, text, strlen(text));
}

void buffer_char(Buffer *b, char c)
{
    buffer_append(b, &c, 1);
}

void buffer_format(Buffer *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) give_up(b);              /* more than INT_MAX bytes */
    else if (reserve(b, (size_t)n)) {
        vsnprintf(b->data + b->n_bytes, (size_t)n + 1, format, again);
        b->n_bytes += (size_t)n;
    }
    va_end(again);
}

void buffer_json(Buffer *b, const char *text, size_t n_bytes)
{
    buffer_char(b, '"');
    for (size_t i = 0; i < n_bytes;) {
        uint32_t point;
        const size_t step = utf8_decode(text + i, n_bytes - i, &point);
        if (step == 0) {
            buffer_text(b, "\xef\xbf\xbd");
            i++;
            continue;
        }
        if (point == '"' || point == '\\') buffer_format(b, "\\%c", (int)point);
        else if (point == '\n') buffer_text(b, "\\n");
        else if (point == '\t') buffer_text(b, "\\t");
        else if (point == '\r') buffer_text(b, "\\r");
        else if (point < 0x20 || point == 0x7f) buffer_format(b, "\\u%04x", (unsigned)point);
        else buffer_append(b, text + i, step);
        i += step;
    }
    buffer_char(b, '"');
}

void buffer_clear(Buffer *b)
{
    b->n_bytes = 0;
    b->failed = false;
    if (b->data) b->data[0] = 0;
}

void buffer_free(Buffer *b)
{
    free(b->data);
    *b = (Buffer){ 0 };
}
