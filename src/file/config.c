/* SPDX-License-Identifier: Apache-2.0
 * file/config.c - config.json and params.json become settings: { "rope": { "base": 1 } } is
 * "rope.base".
 *
 * Of an array the numbers are kept, and texts also as settings of their own ("architectures.0"). */
#include <stdio.h>
#include <string.h>

#include "file/build.h"
#include "file/json.h"

enum { CONFIG_BYTES_MAX = 4 << 20, KEY_BYTES_MAX = 512, DEPTH_MAX = 64, TEXTS_MAX = 64 };

static Status add_object(Build *b, const json_t *object, const char *prefix, int depth,
                         const char *path, Error *error);

/* "prefix.name" in the arena.  The bound keeps deep nesting from multiplying long names. */
static Status join_key(Build *b, const char *prefix, const char *name, const char *path, char **key,
                       Error *error)
{
    const size_t n_prefix = strlen(prefix), n = strlen(name);
    if (n == 0 || n_prefix + 1 + n > KEY_BYTES_MAX)
        return fail(error, BAD_FILE,
                    "%s: key '%.60s.%.60s': expected a name of 1 to %d bytes, found %zu", path,
                    prefix, name, KEY_BYTES_MAX, n_prefix + 1 + n);
    *key = build_text(b, NULL, n_prefix + 1 + n);
    if (!*key) return fail_memory(error, path);
    snprintf(*key, n_prefix + n + 2, "%s%s%s", prefix, n_prefix ? "." : "", name);
    return OK;
}

static Status add_text(Build *b, const char *key, const json_t *value, const char *path,
                       Error *error)
{
    const size_t n = json_string_length(value);
    const Setting setting = { .key = key, .kind = SETTING_TEXT, .gguf_type = -1,
                              .text = { build_text(b, json_string_value(value), n), n } };
    if (!setting.text.bytes) return fail_memory(error, path);
    return build_setting(b, &setting, path, error);
}

static bool is_number(const json_t *value)
{
    return json_is_number(value) || json_is_boolean(value);
}

/* Numbers of an array that holds nothing else, or NULL. */
static Status take_numbers(Build *b, const json_t *array, const double **out, Error *error)
{
    const size_t n = json_array_size(array);
    *out = NULL;
    for (size_t i = 0; i < n; i++)
        if (!is_number(json_array_get(array, i))) return OK;
    double *numbers = arena_new(&b->catalog->arena, n, sizeof *numbers);
    if (!numbers) return fail_memory(error, "a configuration");
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(array, i);
        numbers[i] = json_is_boolean(value) ? json_is_true(value) : json_number_value(value);
    }
    *out = numbers;
    return OK;
}

static Status add_array(Build *b, const char *key, const json_t *array, const char *path,
                        Error *error)
{
    Setting setting = { .key = key, .kind = SETTING_ARRAY, .gguf_type = -1 };
    const double *numbers;
    TRY(take_numbers(b, array, &numbers, error));
    setting.array.n = (int64_t)json_array_size(array);
    setting.array.numbers = numbers;
    TRY(build_setting(b, &setting, path, error));
    for (size_t i = 0; i < json_array_size(array) && i < TEXTS_MAX; i++) {
        const json_t *value = json_array_get(array, i);
        char index[24], *element;
        if (!json_is_string(value)) continue;
        snprintf(index, sizeof index, "%zu", i);
        TRY(join_key(b, key, index, path, &element, error));
        TRY(add_text(b, element, value, path, error));
    }
    return OK;
}

static Status add_value(Build *b, const char *key, const json_t *value, int depth, const char *path,
                        Error *error)
{
    Setting setting = { .key = key, .gguf_type = -1 };
    switch (json_typeof(value)) {
    case JSON_NULL:    return OK;
    case JSON_OBJECT:  return add_object(b, value, key, depth + 1, path, error);
    case JSON_ARRAY:   return add_array(b, key, value, path, error);
    case JSON_STRING:  return add_text(b, key, value, path, error);
    case JSON_INTEGER:
        setting.kind = SETTING_INT, setting.integer = json_integer_value(value);
        break;
    case JSON_REAL:    setting.kind = SETTING_FLOAT, setting.real = json_real_value(value); break;
    default:           setting.kind = SETTING_BOOL, setting.flag = json_is_true(value); break;
    }
    return build_setting(b, &setting, path, error);
}

/* Recursion ends at DEPTH_MAX, whatever the file says. */
static Status add_object(Build *b, const json_t *object, const char *prefix, int depth,
                         const char *path, Error *error)
{
    if (depth > DEPTH_MAX)
        return fail(error, BAD_FILE,
                    "%s: key '%.100s': expected objects at most %d deep, found more", path, prefix,
                    DEPTH_MAX);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    { /* the macro's iterator is not const */
        char *key;
        TRY(join_key(b, prefix, name, path, &key, error));
        TRY(add_value(b, key, value, depth, path, error));
    }
    return OK;
}

Status config_read(Build *b, const char *path, Error *error)
{
    json_t *root;
    TRY(json_file(path, CONFIG_BYTES_MAX, &root, error));
    const Status status = add_object(b, root, "", 1, path, error);
    json_decref(root);
    return status;
}
