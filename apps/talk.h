/* SPDX-License-Identifier: Apache-2.0
 * apps/talk.h - a conversation at the terminal. */
#ifndef APPS_TALK_H
#define APPS_TALK_H

#include "conversation.h"
#include "speak.h"

/* The whole conversation, the turn of the assistant opened. */
Exit talk_encode(Speaker *speaker, const Conversation *conversation, Buffer *text, Ids *ids);
/* Until Ctrl-D or /bye. */
Exit talk(Speaker *speaker);

#endif
