/* SPDX-License-Identifier: Apache-2.0
 * apps/encode.h - texts and conversations to tokens, with room made as needed. */
#ifndef APPS_ENCODE_H
#define APPS_ENCODE_H

#include "base/buffer.h"
#include "input.h"
#include "load.h"

/* Plain text; `special` adds BOS and EOS as the model wants them. */
Exit encode_text(const App *app, const Loaded *loaded, const char *text, size_t n_bytes,
                 bool special, Ids *out);
/* Messages through the chat template, as text and as tokens; either may be NULL.  MIXT_OK or why
 * not. */
mixt_status encode_chat(const Loaded *loaded, const mixt_chat *chat, Buffer *text, Ids *ids,
                        mixt_error *error);

#endif
