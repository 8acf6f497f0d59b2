/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_prompt.c - chat messages as the text, or the tokens, the model is given. */
#include "encode.h"

static Exit read_text(const App *app, OptionId option, Buffer *out)
{
    const char *path = opt_text(app->options, option);
    if (!path) return DONE;
    const Exit code = input_read(app, path, out);
    buffer_text(out, "");                       /* an empty file is "", not NULL             */
    return code;
}

static Exit render(const App *app, const Loaded *loaded, const Buffer *messages,
                   const Buffer *tools)
{
    const bool as_ids = opt_flag(app->options, OPT_PRINT_IDS);
    mixt_chat  chat   = mixt_chat_defaults();
    Buffer     text   = { 0 };
    Ids        ids    = { 0 };
    mixt_error error;
    Exit       code = DONE;
    chat.messages_json         = messages->data;
    chat.tools_json            = tools->data;
    chat.add_generation_prompt = !opt_flag(app->options, OPT_NO_GENERATION_PROMPT);
    const mixt_status status   = encode_chat(loaded, &chat, &text, as_ids ? &ids : NULL, &error);
    if (status == MIXT_BAD_ARGUMENT) /* what is wrong is in the file, not in the words typed */
        code = complain(app, BAD_DATA, "%s: %s", opt_text(app->options, OPT_MESSAGES), error.text);
    else if (status != MIXT_OK) code = problem(app, &error, NULL);
    else if (as_ids) {
        for (size_t i = 0; i < ids.n; i++) out_format(i ? " %d" : "%d", ids.ids[i]);
        out_text("\n");
    } else {
        out_bytes(text.data, text.n_bytes);
    }
    ids_free(&ids);
    buffer_free(&text);
    return code;
}

Exit cmd_prompt(const App *app)
{
    if (!opt_given(app->options, OPT_MESSAGES))
        return complain(app, USAGE, "expected --messages FILE, a JSON array of messages");
    Loaded loaded   = { 0 };
    Buffer messages = { 0 }, tools = { 0 };
    Exit   code     = load_model(app, app->options->arguments[0], true, &loaded);
    if (code == DONE) code = read_text(app, OPT_MESSAGES, &messages);
    if (code == DONE) code = read_text(app, OPT_TOOLS, &tools);
    if (code == DONE) code = render(app, &loaded, &messages, &tools);
    buffer_free(&messages);
    buffer_free(&tools);
    load_free(&loaded);
    return code;
}
