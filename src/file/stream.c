/* SPDX-License-Identifier: Apache-2.0
 * file/stream.c - see stream.h.  Numbers are little endian, as is every machine we run on. */
#include "file/stream.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void stream_begin(Stream *s, const File *file, int64_t bytes_max)
{
    s->file = file;
    s->at = 0;
    s->end = file->n_bytes < bytes_max ? file->n_bytes : bytes_max;
    s->used = s->filled = 0;
    stream_thing(s, "header", "", 0);
}

void stream_thing(Stream *s, const char *thing, const char *name, int64_t index)
{
    s->thing = thing;
    s->name = name;
    s->index = index;
}

Status stream_fail(const Stream *s, Status code, Error *error, const char *format, ...)
{
    char what[320];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (!s->name)
        return fail(error, code, "%s: %s %lld: %s", s->file->path, s->thing, (long long)s->index,
                    what);
    if (!*s->name) return fail(error, code, "%s: %s: %s", s->file->path, s->thing, what);
    return fail(error, code, "%s: %s '%.100s': %s", s->file->path, s->thing, s->name, what);
}

static Status too_short(const Stream *s, uint64_t want, Error *error)
{
    const char *why =
        s->end < s->file->n_bytes ? "as far as a header may reach" : "the end of the file";
    return stream_fail(s, BAD_FILE, error,
                       "expected %llu bytes at byte %lld, found %s at byte %lld",
                       (unsigned long long)want, (long long)s->at, why, (long long)s->end);
}

static Status refill(Stream *s, Error *error)
{
    const int64_t left = s->end - s->at;
    const size_t n = left < STREAM_BUFFER_BYTES ? (size_t)left : STREAM_BUFFER_BYTES;
    s->used = s->filled = 0;
    TRY(file_read(s->file, s->at, s->buffer, n, error));
    s->filled = n;
    return OK;
}

Status stream_take(Stream *s, void *to, size_t n_bytes, Error *error)
{
    if (n_bytes > (uint64_t)(s->end - s->at)) return too_short(s, n_bytes, error);
    for (char *put = to; n_bytes;) {
        size_t n = s->filled - s->used;
        if (n == 0 && n_bytes >= STREAM_BUFFER_BYTES) {     /* large: straight to its place */
            TRY(file_read(s->file, s->at, put, n_bytes, error));
            s->at += (int64_t)n_bytes;
            return OK;
        }
        if (n == 0) {
            TRY(refill(s, error));
            continue;
        }
        if (n > n_bytes) n = n_bytes;
        memcpy(put, s->buffer + s->used, n);
        s->used += n;
        s->at += (int64_t)n;
        put += n;
        n_bytes -= n;
    }
    return OK;
}

Status stream_skip(Stream *s, uint64_t n_bytes, Error *error)
{
    if (n_bytes > (uint64_t)(s->end - s->at)) return too_short(s, n_bytes, error);
    const size_t held = s->filled - s->used;
    s->used = n_bytes < held ? s->used + (size_t)n_bytes : s->filled;
    s->at += (int64_t)n_bytes;
    return OK;
}

Status stream_u32(Stream *s, uint32_t *out, Error *error)
{
    return stream_take(s, out, sizeof *out, error);
}

Status stream_u64(Stream *s, uint64_t *out, Error *error)
{
    return stream_take(s, out, sizeof *out, error);
}

Status stream_fits(const Stream *s, uint64_t n, uint64_t each_bytes, Error *error)
{
    const uint64_t left = (uint64_t)(s->end - s->at);
    if (n <= left / each_bytes) return OK;
    return stream_fail(
        s, BAD_FILE, error, "expected room for %llu items of %llu bytes or more, found %llu bytes",
        (unsigned long long)n, (unsigned long long)each_bytes, (unsigned long long)left);
}
