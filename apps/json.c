/* SPDX-License-Identifier: Apache-2.0
 * apps/json.c - see json.h. */
#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* A value that follows a value needs a comma; the last byte of a text is always its quote. */
static void before_value(Json *json)
{
    if (json->n_bytes && !strchr("{[:", json->data[json->n_bytes - 1])) buffer_char(json, ',');
}

void json_open(Json *json, char bracket)
{
    before_value(json);
    buffer_char(json, bracket);
}

void json_close(Json *json, char bracket)
{
    buffer_char(json, bracket);
}

void json_key(Json *json, const char *key)
{
    json_text(json, key, strlen(key));
    buffer_char(json, ':');
}

void json_text(Json *json, const char *text, size_t n_bytes)
{
    before_value(json);
    if (text) buffer_json(json, text, n_bytes);
    else buffer_text(json, "null");
}

void json_whole(Json *json, int64_t number)
{
    before_value(json);
    buffer_format(json, "%" PRId64, number);
}

void json_real(Json *json, double number)
{
    before_value(json);
    if (isfinite(number)) buffer_format(json, "%.9g", number);
    else buffer_text(json, "null");
}

void json_bool(Json *json, bool value)
{
    before_value(json);
    buffer_text(json, value ? "true" : "false");
}

void json_key_text(Json *json, const char *key, const char *text)
{
    json_key(json, key);
    json_text(json, text, text ? strlen(text) : 0);
}

void json_key_whole(Json *json, const char *key, int64_t number)
{
    json_key(json, key);
    json_whole(json, number);
}

void json_key_real(Json *json, const char *key, double number)
{
    json_key(json, key);
    json_real(json, number);
}

void json_key_bool(Json *json, const char *key, bool value)
{
    json_key(json, key);
    json_bool(json, value);
}

Exit json_print(const App *app, Json *json)
{
    const bool failed = json->failed;
    if (!failed) out_bytes(json->data, json->n_bytes);
    if (!failed) out_text("\n");
    buffer_free(json);
    return failed ? complain(app, NO_FIT, "out of memory for the report") : DONE;
}
