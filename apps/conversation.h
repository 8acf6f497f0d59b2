/* SPDX-License-Identifier: Apache-2.0
 * apps/conversation.h - who said what; to JSON and back. */
#ifndef APPS_CONVERSATION_H
#define APPS_CONVERSATION_H

#include "base/base.h"
#include "base/buffer.h"

typedef struct Message { char *role, *content; size_t content_bytes; } Message;
typedef struct Conversation {           /* { 0 } is empty                                   */
    Message *messages;
    size_t   n, room;
} Conversation;

Status conversation_add(Conversation *c, const char *role, const char *content, size_t n_bytes,
                        Error *error);
void   conversation_drop(Conversation *c, size_t n);    /* keeps the first n                */
/* The system text goes first and replaces an earlier one; NULL takes it away. */
Status conversation_system(Conversation *c, const char *content, Error *error);
const char *conversation_system_text(const Conversation *c);    /* NULL: none               */
/* An array of {"role", "content"}, what mixt_chat.messages_json wants. */
void   conversation_json(const Conversation *c, Buffer *out);
/* A file that `mixt prompt --messages` reads as well; never one of `inputs`, NULL-ended. */
Status conversation_save(const Conversation *c, const char *path, const char *const *inputs,
                         Error *error);
Status conversation_load(Conversation *c, const char *path, Error *error);
void   conversation_free(Conversation *c);

#endif
