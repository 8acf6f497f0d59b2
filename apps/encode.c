/* SPDX-License-Identifier: Apache-2.0
 * apps/encode.c - see encode.h. */
#include "encode.h"

#include <stdlib.h>

static bool ids_reserve(Ids *ids, size_t n)
{
    mixt_token *room = realloc(ids->ids, (n + 1) * sizeof *room);
    if (!room) return false;
    ids->ids  = room;
    ids->room = n + 1;
    return true;
}

static mixt_status no_memory(mixt_error *error)
{
    *error = (mixt_error){ .code = MIXT_NO_MEMORY, .text = "out of memory for the prompt" };
    return error->code;
}

Exit encode_text(const App *app, const Loaded *loaded, const char *text, size_t n_bytes,
                 bool special, Ids *out)
{
    /* One token per byte and a few for BOS and EOS is a good guess: then nothing is done twice. */
    mixt_error  error;
    size_t      n      = n_bytes + 8;
    mixt_status status = MIXT_NO_ROOM;
    for (int turn = 0; turn < 2 && status == MIXT_NO_ROOM; turn++) {
        if (!ids_reserve(out, n)) return no_memory(&error), problem(app, &error, NULL);
        status = mixt_tokenize(loaded->model, text ? text : "", n_bytes, special, out->ids,
                               out->room, &n, &error);
    }
    if (status != MIXT_OK) return problem(app, &error, NULL);
    out->n = n;
    return DONE;
}

mixt_status encode_chat(const Loaded *loaded, const mixt_chat *chat, Buffer *text, Ids *ids,
                        mixt_error *error)
{
    size_t text_bytes = 0, n_tokens = 0, text_room = 0;
    mixt_status status = MIXT_NO_ROOM;
    char       *room   = NULL;
    for (int turn = 0; turn < 2 && status == MIXT_NO_ROOM; turn++) {
        status = mixt_chat_render(loaded->model, chat, room, text_room, &text_bytes,
                                  ids ? ids->ids : NULL, ids ? ids->room : 0, &n_tokens, error);
        if (status != MIXT_NO_ROOM && status != MIXT_OK) break;
        if (turn == 0) {
            /* The first turn measured.  OK with no room only says that there was nothing to write.
             */
            status    = MIXT_NO_ROOM;
            text_room = text_bytes + 1;
            room      = malloc(text_room);
            if (!room || (ids && !ids_reserve(ids, n_tokens))) status = no_memory(error);
        }
    }
    if (status == MIXT_OK && text) buffer_append(text, room, text_bytes);
    if (status == MIXT_OK && ids) ids->n = n_tokens;
    free(room);
    return status;
}
