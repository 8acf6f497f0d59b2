/* SPDX-License-Identifier: Apache-2.0
 * apps/conversation.c - see conversation.h. */
#include "conversation.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"

enum { MESSAGES_MAX = 1 << 20 };
static const int64_t SAVED_MAX_BYTES = 256 * MIB;

static void message_free(Message *message)
{
    free(message->role);
    free(message->content);
    *message = (Message){ 0 };
}

static Status message_new(const char *role, const char *content, size_t n_bytes, Message *out,
                          Error *error)
{
    *out =
        (Message){.role = strdup(role), .content = malloc(n_bytes + 1), .content_bytes = n_bytes};
    if (!out->role || !out->content) {
        message_free(out);
        return fail_memory(error, "the conversation");
    }
    if (n_bytes) memcpy(out->content, content, n_bytes);
    out->content[n_bytes] = 0;
    return OK;
}

static Status reserve(Conversation *c, Error *error)
{
    if (c->n < c->room) return OK;
    if (c->n >= MESSAGES_MAX)
        return fail(error, NO_ROOM, "expected at most %d messages, found more", MESSAGES_MAX);
    const size_t room     = c->room ? 2 * c->room : 16;
    Message     *messages = realloc(c->messages, room * sizeof *messages);
    if (!messages) return fail_memory(error, "the conversation");
    c->messages = messages;
    c->room     = room;
    return OK;
}

Status conversation_add(Conversation *c, const char *role, const char *content, size_t n_bytes,
                        Error *error)
{
    TRY(reserve(c, error));
    TRY(message_new(role, content, n_bytes, &c->messages[c->n], error));
    c->n++;
    return OK;
}

void conversation_drop(Conversation *c, size_t n)
{
    while (c->n > n) message_free(&c->messages[--c->n]);
}

static bool has_system(const Conversation *c)
{
    return c->n > 0 && strcmp(c->messages[0].role, "system") == 0;
}

const char *conversation_system_text(const Conversation *c)
{
    return has_system(c) ? c->messages[0].content : NULL;
}

Status conversation_system(Conversation *c, const char *content, Error *error)
{
    Message message = { 0 };
    if (content) {
        TRY(reserve(c, error));
        TRY(message_new("system", content, strlen(content), &message, error));
    }
    if (has_system(c)) {
        message_free(&c->messages[0]);
        memmove(c->messages, c->messages + 1, --c->n * sizeof *c->messages);
    }
    if (!content) return OK;
    memmove(c->messages + 1, c->messages, c->n++ * sizeof *c->messages);
    c->messages[0] = message;
    return OK;
}

void conversation_json(const Conversation *c, Buffer *out)
{
    buffer_char(out, '[');
    for (size_t i = 0; i < c->n; i++) {
        const Message *m = &c->messages[i];
        buffer_text(out, i ? ",\n {\"role\": " : "{\"role\": ");
        buffer_json(out, m->role, strlen(m->role));
        buffer_text(out, ", \"content\": ");
        buffer_json(out, m->content, m->content_bytes);
        buffer_char(out, '}');
    }
    buffer_char(out, ']');
}

static Status write_text(const char *path, const char *const *inputs, const Buffer *text,
                         Error *error)
{
    Writer writer;
    if (text->failed) return fail_memory(error, path);
    TRY(writer_open(path, inputs, &writer, error));
    const Status status = writer_add(&writer, text->data, text->n_bytes, error);
    if (status == OK) return writer_commit(&writer, error);
    writer_abandon(&writer);
    return status;
}

Status conversation_save(const Conversation *c, const char *path, const char *const *inputs,
                         Error *error)
{
    Buffer text = { 0 };
    conversation_json(c, &text);
    buffer_char(&text, '\n');
    const Status status = write_text(path, inputs, &text, error);
    buffer_free(&text);
    return status;
}

/* ---- loading ---- */

static Status take_messages(const json_t *array, const char *path, Conversation *out, Error *error)
{
    if (!json_is_array(array))
        return fail(error, BAD_FILE, "%s: expected an array of messages, found something else",
                    path);
    size_t  i;
    json_t *item;
    json_array_foreach(array, i, item)
    {
        const char *role    = json_string_value(json_object_get(item, "role"));
        json_t     *content = json_object_get(item, "content");
        if (!role || !json_is_string(content))
            return fail(error, BAD_FILE, "%s: message %zu: expected role and content as text", path,
                        i + 1);
        TRY(conversation_add(out, role, json_string_value(content), json_string_length(content),
                             error));
    }
    return OK;
}

Status conversation_load(Conversation *c, const char *path, Error *error)
{
    char  *text;
    size_t n_bytes;
    TRY(file_slurp(path, SAVED_MAX_BYTES, &text, &n_bytes, error));
    json_error_t where;
    json_t      *array = json_loadb(text, n_bytes, JSON_ALLOW_NUL, &where);
    free(text);
    if (!array)
        return fail(error, BAD_FILE, "%s: expected JSON, found at line %d, column %d: %s", path,
                    where.line, where.column, where.text);
    Conversation loaded = { 0 };
    const Status status = take_messages(array, path, &loaded, error);
    json_decref(array);
    if (status != OK) {
        conversation_free(&loaded);
        return status;
    }
    conversation_free(c);
    *c = loaded;
    return OK;
}

void conversation_free(Conversation *c)
{
    conversation_drop(c, 0);
    free(c->messages);
    *c = (Conversation){ 0 };
}
