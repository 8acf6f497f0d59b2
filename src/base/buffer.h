/* SPDX-License-Identifier: Apache-2.0
 * base/buffer.h - bytes that grow.
 *
 * A failed growth is remembered, so a writer appends freely and asks once at the end. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct Buffer {         /* { 0 } is empty                                          */
    char  *data;                /* NUL-terminated once anything was appended               */
    size_t n_bytes, room;
    bool   failed;              /* no memory; appends do nothing from then on              */
} Buffer;

void buffer_append(Buffer *buffer, const void *bytes, size_t n_bytes);
void buffer_text(Buffer *buffer, const char *text);
void buffer_char(Buffer *buffer, char c);
void buffer_format(Buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string with its quotes; invalid UTF-8 becomes U+FFFD. */
void buffer_json(Buffer *buffer, const char *text, size_t n_bytes);
void buffer_clear(Buffer *buffer);                      /* keeps the memory                */
void buffer_free(Buffer *buffer);

#endif
