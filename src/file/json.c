/* SPDX-License-Identifier: Apache-2.0
 * file/json.c - see json.h. */
#include "file/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/io.h"

/* The four hex digits at s, or -1. */
static int hex4(const char *s, size_t n)
{
    int value = 0;
    if (n < 4) return -1;
    for (int i = 0; i < 4; i++) {
        const char c = s[i];
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* jansson refuses "\ud83d" without its other half, which truncating writers leave behind.  Both
 * spellings have six bytes, so the text is mended where it stands. */
static void mend_surrogates(char *text, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++) {
        if (text[i] != '\\') continue;
        i++;                                            /* the escaped character is no escape */
        if (text[i] != 'u') continue;
        const int unit = hex4(text + i + 1, n - i - 1);
        if (unit < 0xd800 || unit > 0xdfff) continue;
        const char *next = text + i + 5;
        const size_t left = n - i - 1 >= 4 ? n - i - 5 : 0;
        const int low =
            left >= 6 && next[0] == '\\' && next[1] == 'u' ? hex4(next + 2, left - 2) : -1;
        if (unit < 0xdc00 && low >= 0xdc00 && low <= 0xdfff) i += 10;
        else memcpy(text + i + 1, "fffd", 4);
    }
}

Status json_text(char *text, size_t n_bytes, const char *path, json_t **out, Error *error)
{
    json_error_t why;
    mend_surrogates(text, n_bytes);
    json_t *root = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, &why);
    /* Where jansson has no words, it had no memory. */
    if (!root && (!why.text[0] || json_error_code(&why) == json_error_out_of_memory))
        return fail_memory(error, path);
    if (!root)
        return fail(error, BAD_FILE, "%s: line %d: expected JSON, found: %s", path, why.line,
                    why.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return fail(error, BAD_FILE, "%s: JSON: expected an object, found an array", path);
    }
    *out = root;
    return OK;
}

Status json_file(const char *path, int64_t max_bytes, json_t **out, Error *error)
{
    char *text;
    size_t n_bytes;
    TRY(file_slurp(path, max_bytes, &text, &n_bytes, error));
    const Status status = json_text(text, n_bytes, path, out, error);
    free(text);
    return status;
}

const char *json_kind(const json_t *value)
{
    if (!value) return "nothing";
    switch (json_typeof(value)) {
    case JSON_OBJECT:  return "an object";
    case JSON_ARRAY:   return "an array";
    case JSON_STRING:  return "text";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL:    return "a number";
    case JSON_NULL:    return "null";
    default:           return "a boolean";
    }
}

json_t *json_member(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static Status other_kind(const json_t *value, const char *key, const char *path,
                         const char *expected, Error *error)
{
    return fail(error, BAD_FILE, "%s: '%s': expected %s, found %s", path, key, expected,
                json_kind(value));
}

Status json_take_int(const json_t *object, const char *key, const char *path, int64_t *out,
                     Error *error)
{
    const json_t *value = json_member(object, key);
    if (!value) return OK;
    if (!json_is_integer(value)) return other_kind(value, key, path, "an integer", error);
    *out = json_integer_value(value);
    return OK;
}

Status json_take_text(const json_t *object, const char *key, const char *path, const char **out,
                      Error *error)
{
    const json_t *value = json_member(object, key);
    if (!value) return OK;
    if (!json_is_string(value)) return other_kind(value, key, path, "text", error);
    *out = json_string_value(value);
    return OK;
}

Status json_take_flag(const json_t *object, const char *key, const char *path, bool *out,
                      Error *error)
{
    const json_t *value = json_member(object, key);
    if (!value) return OK;
    if (!json_is_boolean(value)) return other_kind(value, key, path, "true or false", error);
    *out = json_is_true(value);
    return OK;
}
