/* SPDX-License-Identifier: Apache-2.0
 * apps/json.h - JSON, written front to back; commas come by themselves. */
#ifndef APPS_JSON_H
#define APPS_JSON_H

#include "app.h"
#include "base/buffer.h"

typedef Buffer Json;            /* { 0 } is empty                                           */

void json_open(Json *json, char bracket);                   /* '{' or '['                   */
void json_close(Json *json, char bracket);
void json_key(Json *json, const char *key);
void json_text(Json *json, const char *text, size_t n_bytes);   /* NULL is null             */
void json_whole(Json *json, int64_t number);
void json_real(Json *json, double number);                  /* null when it is not finite   */
void json_bool(Json *json, bool value);

void json_key_text(Json *json, const char *key, const char *text);
void json_key_whole(Json *json, const char *key, int64_t number);
void json_key_real(Json *json, const char *key, double number);
void json_key_bool(Json *json, const char *key, bool value);

/* To standard output, with a newline; frees. */
Exit json_print(const App *app, Json *json);

#endif
