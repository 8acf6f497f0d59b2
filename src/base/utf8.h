/* SPDX-License-Identifier: Apache-2.0
 * base/utf8.h - one character at a time, strictly (no overlong forms, no surrogates). */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at s, 1 to 4, and its code point; 0 when s is not valid UTF-8 there. */
size_t utf8_decode(const char *s, size_t n_bytes, uint32_t *point);
/* Writes 1 to 4 bytes and says how many; 0 for a surrogate or beyond U+10FFFF. */
size_t utf8_encode(uint32_t point, char out[4]);
bool   utf8_valid(const char *s, size_t n_bytes);
/* How many bytes at the end of s are the beginning of a character that may still become whole. */
size_t utf8_unfinished(const char *s, size_t n_bytes);

#endif
