/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_detokenize.c - ids to exactly their text. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "input.h"
#include "load.h"

/* Bytes of the tokens one after the other, whatever they are. */
static void raw_bytes(const Loaded *loaded, const Ids *ids, bool special, Buffer *out)
{
    for (size_t i = 0; i < ids->n; i++) {
        size_t      n;
        const char *bytes = mixt_token_bytes(loaded->model, ids->ids[i], special, &n);
        if (bytes) buffer_append(out, bytes, n);
    }
}

static mixt_status text_of(const Loaded *loaded, const Ids *ids, bool special, Buffer *out,
                           mixt_error *error)
{
    size_t      n      = 0;
    mixt_status status =
        mixt_detokenize(loaded->model, ids->ids, ids->n, special, NULL, 0, &n, error);
    if (status != MIXT_OK && status != MIXT_NO_ROOM) return status;
    char *text = malloc(n + 1);
    if (!text) {
        *error = (mixt_error){ .code = MIXT_NO_MEMORY, .text = "out of memory for the text" };
        return error->code;
    }
    status = mixt_detokenize(loaded->model, ids->ids, ids->n, special, text, n + 1, &n, error);
    if (status == MIXT_OK) buffer_append(out, text, n);
    free(text);
    return status;
}

/* The library's text is what a stream shows: valid UTF-8, U+FFFD where the tokens are not.  Here
 * the bytes themselves are wanted then, without the blank that SentencePiece put in front. */
static Exit print_text(const App *app, const Loaded *loaded, const Ids *ids)
{
    const bool special = opt_flag(app->options, OPT_PRINT_SPECIAL);
    Buffer     text = { 0 }, raw = { 0 };
    mixt_error error;
    Exit       code = DONE;
    raw_bytes(loaded, ids, special, &raw);
    if (text_of(loaded, ids, special, &text, &error) != MIXT_OK) code = problem(app, &error, NULL);
    else if (raw.failed || text.failed) code = complain(app, NO_FIT, "out of memory for the text");
    else if (!raw.n_bytes || utf8_valid(raw.data, raw.n_bytes)) out_bytes(text.data, text.n_bytes);
    else {
        const size_t skip = raw.data[0] == ' ' && (!text.n_bytes || text.data[0] != ' ');
        out_bytes(raw.data + skip, raw.n_bytes - skip);
    }
    buffer_free(&text);
    buffer_free(&raw);
    return code;
}

static Exit collect(const App *app, int64_t n_vocab, Ids *ids)
{
    const Options *o    = app->options;
    Exit           code = DONE;
    for (int i = 1; i < o->n_arguments && code == DONE; i++)
        code = ids_add(app, o->arguments[i], "the command line", USAGE, n_vocab, ids);
    if (o->n_arguments > 1 || code != DONE) return code;
    Buffer text = { 0 };
    code        = input_read(app, "-", &text);
    if (code == DONE && text.data && strlen(text.data) != text.n_bytes)
        code = complain(app, BAD_DATA, "standard input: expected ids as text, found a byte 0");
    if (code == DONE)
        code = ids_add(app, text.data ? text.data : "", "standard input", BAD_DATA, n_vocab, ids);
    buffer_free(&text);
    return code;
}

Exit cmd_detokenize(const App *app)
{
    Loaded loaded = { 0 };
    Ids    ids    = { 0 };
    Exit   code   = load_model(app, app->options->arguments[0], true, &loaded);
    if (code == DONE) code = collect(app, loaded.info.n_vocab, &ids);
    if (code == DONE) code = print_text(app, &loaded, &ids);
    ids_free(&ids);
    load_free(&loaded);
    return code;
}
