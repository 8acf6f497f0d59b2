/* SPDX-License-Identifier: Apache-2.0
 * file/stream.h - the bytes of an untrusted file from front to back, a buffer at a time.
 *
 * A stream knows which thing is being read ("key 'x'", "tensor 12"), so that every complaint names
 * the file and the thing.  Nothing here allocates: a length from the file is compared with the
 * bytes that are left before anybody uses it. */
#ifndef FILE_STREAM_H
#define FILE_STREAM_H

#include "base/io.h"

#ifdef MIXT_HOSTILE
enum { STREAM_BUFFER_BYTES = 61 };          /* every value crosses an edge sooner or later   */
#else
enum { STREAM_BUFFER_BYTES = 16 << 10 };
#endif

typedef struct Stream {
    const File *file;
    int64_t     at, end;                    /* next byte, and the first that is not ours     */
    size_t      used, filled;               /* of the buffer                                 */
    const char *thing;                      /* "key", "tensor", "header"                     */
    const char *name;                       /* its name, or NULL while that is unknown ...   */
    int64_t     index;                      /* ... and then its place in the list            */
    uint8_t     buffer[STREAM_BUFFER_BYTES];
} Stream;

/* Reads the file's bytes [0, min(file, bytes_max)). */
void   stream_begin(Stream *stream, const File *file, int64_t bytes_max);
void   stream_thing(Stream *stream, const char *thing, const char *name, int64_t index);
/* The next n bytes; BAD_FILE when there are fewer. */
Status stream_take(Stream *stream, void *to, size_t n_bytes, Error *error);
Status stream_skip(Stream *stream, uint64_t n_bytes, Error *error);
Status stream_u32(Stream *stream, uint32_t *out, Error *error);
Status stream_u64(Stream *stream, uint64_t *out, Error *error);
/* BAD_FILE unless n things of at least each_bytes fit in what is left. */
Status stream_fits(const Stream *stream, uint64_t n, uint64_t each_bytes, Error *error);
/* "FILE: key 'NAME': ..." */
Status stream_fail(const Stream *stream, Status code, Error *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
