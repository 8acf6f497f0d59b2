/* SPDX-License-Identifier: Apache-2.0
 * file/json.h - JSON files of models, through jansson.  Internal to src/file. */
#ifndef FILE_JSON_H
#define FILE_JSON_H

#include <jansson.h>

#include "base/base.h"

/* A whole file of at most max_bytes that holds one object, without repeated keys; the caller
 * json_decrefs *out.  Unpaired surrogate escapes become U+FFFD, as Python writers leave them. */
Status json_file(const char *path, int64_t max_bytes, json_t **out, Error *error);
/* The same from memory, which is changed. */
Status json_text(char *text, size_t n_bytes, const char *path, json_t **out, Error *error);
/* "an object", "text", ...: for messages; "nothing" for NULL. */
const char *json_kind(const json_t *value);
/* object[key] when it is there and no null, else NULL. */
json_t *json_member(const json_t *object, const char *key);
/* object[key] as an integer, text or flag, when it is there; BAD_FILE when it is something else. */
Status json_take_int(const json_t *object, const char *key, const char *path, int64_t *out,
                     Error *error);
Status json_take_text(const json_t *object, const char *key, const char *path, const char **out,
                      Error *error);
Status json_take_flag(const json_t *object, const char *key, const char *path, bool *out,
                      Error *error);

#endif
