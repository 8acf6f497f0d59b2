/* SPDX-License-Identifier: Apache-2.0
 * text/messages.c - is this a conversation?  Asked before any template sees it, because a template
 * given something else renders nonsense or nothing without complaint. */
#include "text/template.h"

#include <jansson.h>

static Status check_message(const json_t *message, size_t i, Error *error)
{
    if (!json_is_object(message))
        return fail(error, BAD_ARGUMENT,
                    "messages: message %zu: expected an object with role and content", i);
    const json_t *role = json_object_get(message, "role"),
                 *content = json_object_get(message, "content");
    if (!json_is_string(role) || json_string_length(role) == 0)
        return fail(
            error, BAD_ARGUMENT,
            "messages: message %zu: expected a role (\"user\", \"assistant\", ..), found %s", i,
            role ? "something else" : "none");
    if (content && !json_is_string(content) && !json_is_array(content) && !json_is_null(content))
        return fail(error, BAD_ARGUMENT,
                    "messages: message %zu: content: expected text, parts or null", i);
    return OK;
}

Status messages_check(const char *json, size_t n_bytes, Error *error)
{
    json_error_t why;
    Status status = OK;
    json_t *root = json_loadb(json, n_bytes, JSON_REJECT_DUPLICATES, &why);
    if (!root && json_error_code(&why) == json_error_out_of_memory)
        return fail_memory(error, "messages");
    if (!root) return OK;                       /* the renderer's reader says what is wrong, and where */
    if (!json_is_array(root)) status = fail(error, BAD_ARGUMENT, "messages: expected an array");
    else if (json_array_size(root) == 0)
        status = fail(error, BAD_ARGUMENT, "messages: expected at least one, found none");
    for (size_t i = 0; i < json_array_size(root) && status == OK; i++)
        status = check_message(json_array_get(root, i), i, error);
    json_decref(root);
    return status;
}
