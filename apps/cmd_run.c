/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_run.c - one text to be continued or answered, or a conversation (talk.c). */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "conversation.h"
#include "embedded.h"
#include "speak.h"
#include "talk.h"
#include "use_file.h"

/* The newline that echo and editors put at the end is not meant for the model. */
static Exit read_piped(const App *app, bool besides_prompt, Buffer *out)
{
    enum { PATIENCE_MS = 2000 };
    struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
    if (besides_prompt && poll(&in, 1, PATIENCE_MS) == 0)
        remark(app, "waiting for text on standard input; </dev/null says that there is none");
    const Exit code = input_read(app, "-", out);
    if (out->n_bytes && out->data[out->n_bytes - 1] == '\n') out->data[--out->n_bytes] = 0;
    return code;
}

/* PROMPT, then what comes through a pipe.  A text goes on where it stopped; a message and what it
 * is about are two paragraphs. */
static Exit read_prompt(const App *app, Buffer *out)
{
    const Options *o     = app->options;
    const char    *given = o->n_arguments > 1 ? o->arguments[1] : NULL;
    if (given) buffer_text(out, given);
    if (isatty(STDIN_FILENO)) return DONE;
    Buffer     piped = { 0 };
    const Exit code  = read_piped(app, given != NULL, &piped);
    if (piped.n_bytes && given && opt_flag(o, OPT_CHAT)) buffer_char(out, '\n');
    buffer_append(out, piped.data, piped.n_bytes);
    buffer_free(&piped);
    return code;
}

/* PROMPT as one message of the user. */
static Exit encode_message(Speaker *s, const Buffer *prompt, Buffer *text, Ids *ids)
{
    const char  *system = opt_text(s->app->options, OPT_SYSTEM);
    Conversation talk   = { 0 };
    Error        error  = { 0 };
    Exit         code   = DONE;
    if ((system && conversation_system(&talk, system, &error) != OK) ||
        conversation_add(&talk, "user", prompt->data, prompt->n_bytes, &error) != OK)
        code = base_problem(s->app, &error);
    if (code == DONE) code = talk_encode(s, &talk, text, ids);
    conversation_free(&talk);
    return code;
}

static Exit answer(Speaker *s, const Buffer *prompt)
{
    const Options *o    = s->app->options;
    Buffer         text = { 0 };
    Ids            ids  = { 0 };
    Exit code = opt_flag(o, OPT_CHAT)
                    ? encode_message(s, prompt, &text, &ids)
                    : encode_text(s->app, &s->loaded, prompt->data, prompt->n_bytes, true, &ids);
    if (code == DONE && opt_flag(o, OPT_SHOW_PROMPT)) {
        const Buffer *shown = opt_flag(o, OPT_CHAT) ? &text : prompt;
        fprintf(stderr, "%.*s\n", (int)shown->n_bytes, shown->data ? shown->data : "");
    }
    if (code == DONE) {
        s->quiet = opt_flag(o, OPT_JSON);
        code     = speaker_turn(s, &ids);
        if (s->generated.n_tokens && !s->quiet) speaker_report(s);
        if (s->generated.n_tokens && s->quiet) code = speaker_json(s, code);
    }
    buffer_free(&text);
    ids_free(&ids);
    return code;
}

Exit cmd_run(const App *app)
{
    const Options *o       = app->options;
    const char    *model   = o->n_arguments ? o->arguments[0] : embedded_model().name;
    if (!model)
        return complain(app, USAGE, "expected MODEL, for none was built into this program; usage: "
                                    "mixt run MODEL [PROMPT] [options]");
    const bool     talking = o->n_arguments < 2 && isatty(STDIN_FILENO);
    if (talking && opt_flag(o, OPT_JSON))
        return complain(app, USAGE, "--json: expected PROMPT or text piped in");
    if (!talking && !opt_flag(o, OPT_CHAT) && opt_text(o, OPT_SYSTEM))
        return complain(app, USAGE,
                        "--system: expected --chat too; a plain text has no system message");

    Speaker speaker = { .app = app };
    Buffer  prompt  = { 0 };
    Exit    code    = talking ? DONE : read_prompt(app, &prompt);
    if (code == DONE && prompt.failed) code = complain(app, NO_FIT, "out of memory for the prompt");
    if (code == DONE) code = speaker_open(&speaker, model);
    if (code == DONE) code = talking ? talk(&speaker) : answer(&speaker, &prompt);
    use_keep(app, &speaker.loaded);
    const Exit recorded = record_close(app, &speaker.record);
    if (code == DONE) code = recorded;
    if (interrupt_pending()) code = INTERRUPTED;
    buffer_free(&prompt);
    speaker_free(&speaker);
    return code;
}
