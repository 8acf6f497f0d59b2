/* SPDX-License-Identifier: Apache-2.0
 * apps/talk.c - see talk.h.
 *
 * Every turn renders the whole conversation and asks the session to hold exactly that; what it held
 * already is not computed again.  Commands begin with '/' and are rows of a table. */
#include "talk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "editor.h"
#include "output.h"
#include "show.h"

typedef struct Talk {
    Speaker     *speaker;
    Editor      *editor;
    Conversation conversation;
    Arena        texts;             /* values that /set was given                          */
    bool         over;
} Talk;

/* ---- a turn ---- */

Exit talk_encode(Speaker *s, const Conversation *conversation, Buffer *text, Ids *ids)
{
    Buffer     messages = { 0 };
    mixt_chat  chat     = mixt_chat_defaults();
    mixt_error error;
    Exit       code = DONE;
    conversation_json(conversation, &messages);
    chat.messages_json         = messages.data;
    chat.add_generation_prompt = true;
    if (messages.failed) code = complain(s->app, NO_FIT, "out of memory for the conversation");
    else if (encode_chat(&s->loaded, &chat, text, ids, &error) != MIXT_OK)
        code = problem(s->app, &error,
                       s->loaded.info.template_name
                           ? NULL
                           : "name one with --chat-template, or give a PROMPT without --chat");
    buffer_free(&messages);
    return code;
}

static Exit one_answer(Talk *t)
{
    Speaker *s    = t->speaker;
    Buffer   text = { 0 };
    Ids      ids  = { 0 };
    Exit     code = talk_encode(s, &t->conversation, &text, &ids);
    if (code == DONE && opt_flag(s->app->options, OPT_SHOW_PROMPT))
        fprintf(stderr, "%s\n", text.data ? text.data : "");
    if (code == DONE) code = speaker_turn(s, &ids);
    buffer_free(&text);
    ids_free(&ids);
    return code;
}

/* What is nearly full is said before it is too late to save. */
static void remark_nearly_full(const Talk *t)
{
    const mixt_session *session = t->speaker->loaded.session;
    const size_t n = mixt_session_n_tokens(session), room = mixt_session_n_context(session);
    if (n < room && n >= room - room / 10)
        remark(t->speaker->app, "the context is nearly full, %zu of %zu tokens; /clear begins anew",
               n, room);
}

static void say(Talk *t, const char *text)
{
    Speaker     *s      = t->speaker;
    const size_t n_held = t->conversation.n;
    Error        error;
    if (conversation_add(&t->conversation, "user", text, strlen(text), &error) != OK) {
        base_problem(s->app, &error);
        return;
    }
    const Exit code = one_answer(t);
    interrupt_forget();
    /* An answer that was cut short still was said; a question that got none was not asked. */
    const bool answered = s->text.n_bytes > 0 || (code == DONE && s->generated.n_tokens > 0);
    if (answered && conversation_add(&t->conversation, "assistant", s->text.data, s->text.n_bytes,
                                     &error) == OK) {
        speaker_report(s);
        remark_nearly_full(t);
    } else {
        conversation_drop(&t->conversation, n_held);
    }
    if (out_failed() || interrupt_ends()) t->over = true;
}

/* ---- /set ---- */

static bool can_set(const Option *o)
{
    if (!(o->commands & IN_RUN) || o->id == OPT_CHAT || o->id == OPT_CHAT_TEMPLATE) return false;
    return o->group == TALK || o->group == PICK || o->id == OPT_EXPERTS || o->id == OPT_VERBOSE;
}

static void print_value(const Talk *t, const Option *o)
{
    const Value *v = &t->speaker->app->options->values[o->id];
    fprintf(stderr, "  %-18s ", o->name);
    switch (o->kind) {
    case FLAG:   fputs(v->whole ? "on" : "off", stderr); break;
    case MAYBE:  fputs(!v->whole ? "off" : v->text && *v->text ? v->text : "on", stderr); break;
    case WHOLE:
    case SIZE:
        if (v->from == FROM_NOWHERE) fputs("drawn", stderr);
        else fprintf(stderr, "%" PRId64, v->whole);
        break;
    case REAL:   fprintf(stderr, "%g", v->real); break;
    case TEXTS:
        for (size_t i = 0; i < v->n_texts; i++)
            fprintf(stderr, "%s'%s'", i ? " " : "", v->texts[i]);
        break;
    case TEXT:
    case CHOICE: fputs(v->text ? v->text : "", stderr); break;
    }
    fputc('\n', stderr);
}

static void print_settings(const Talk *t)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (can_set(&options[i])) print_value(t, &options[i]);
}

static const Option *settable(const Talk *t, const char *name, size_t n_bytes)
{
    const Option *option = option_find(name, n_bytes, IN_RUN);
    if (option && can_set(option)) return option;
    char asked[64];
    snprintf(asked, sizeof asked, "%.*s", (int)n_bytes, name);
    Nearest near = nearest_to(asked);
    for (int i = 0; i < N_OPTIONS; i++)
        if (can_set(&options[i])) nearest_offer(&near, options[i].name);
    if (near.word)
        remark(t->speaker->app, "/set: unknown '%s'; did you mean %s?", asked, near.word);
    else remark(t->speaker->app, "/set: unknown '%s'; /show settings lists what there is", asked);
    return NULL;
}

/* What the new value means for what is already there. */
static bool take_effect(Talk *t, const Option *option)
{
    Speaker   *s = t->speaker;
    mixt_error failed;
    Error      error;
    if (option->group == PICK) return speaker_sampler(s) == DONE;
    if (option->id == OPT_SYSTEM) {
        const char *text = opt_text(s->app->options, OPT_SYSTEM);
        if (conversation_system(&t->conversation, text && *text ? text : NULL, &error) == OK)
            return true;
        base_problem(s->app, &error);
        return false;
    }
    if (option->id != OPT_EXPERTS || s->loaded.info.n_experts <= 0) return true;
    /* Tokens that were read without a trace have none: read them again. */
    mixt_status status =
        mixt_session_trace(s->loaded.session, opt_flag(s->app->options, OPT_EXPERTS), &failed);
    if (status == MIXT_OK) return true;
    problem(s->app, &failed, NULL);
    return false;
}

static void set_option(Talk *t, const Option *option, const char *text)
{
    Value      *value = &t->speaker->app->options->values[option->id];
    const Value old   = *value;
    char        where[80];
    Error       error;
    const char *kept = arena_text(&t->texts, text, strlen(text));
    snprintf(where, sizeof where, "/set %s", option->name);
    if (!kept) return remark(t->speaker->app, "%s: out of memory", where);
    if (option->kind == TEXTS)
        *value = (Value){.from = FROM_NOWHERE}; /* a new list, not a longer one */
    const bool nothing = option->kind == TEXTS && !*kept;
    if (!nothing && option_set(option, where, kept, value, &error) != OK) {
        remark(t->speaker->app, "%s", error.text);
    } else {
        value->from = FROM_COMMAND_LINE;
        if (take_effect(t, option)) {
            if (option->kind == TEXTS) free(old.texts);
            return;
        }
    }
    if (option->kind == TEXTS) free(value->texts);
    *value = old;
}

/* "be nice" is meant to be be nice; a pair of quotes is taken off when it is around the whole. */
static char *unquoted(char *text)
{
    const size_t n = strlen(text);
    if (n < 2 || (*text != '"' && *text != '\'') || strchr(text + 1, *text) != text + n - 1)
        return text;
    text[n - 1] = 0;
    return text + 1;
}

static void do_set(Talk *t, char *rest)
{
    if (strncmp(rest, "parameter ", 10) == 0) rest += 10;       /* as other programs say it   */
    if (!*rest) return print_settings(t);
    const size_t  n_name = strcspn(rest, " =");
    const Option *option = settable(t, rest, n_name);
    rest += n_name;
    rest += strspn(rest, " =");
    if (option) set_option(t, option, unquoted(rest));
}

/* ---- the other commands ---- */

static void show_prompt(const Talk *t)
{
    Buffer text = { 0 };
    if (t->conversation.n && talk_encode(t->speaker, &t->conversation, &text, NULL) == DONE &&
        text.data)
        fprintf(stderr, "%s\n", text.data);
    buffer_free(&text);
}

static void do_show(Talk *t, char *rest)
{
    const Loaded *loaded = &t->speaker->loaded;
    const char   *system = conversation_system_text(&t->conversation);
    if (!*rest || strcmp(rest, "settings") == 0 || strcmp(rest, "parameters") == 0)
        print_settings(t);
    else if (strcmp(rest, "model") == 0 || strcmp(rest, "info") == 0) show_model(loaded, false);
    else if (strcmp(rest, "template") == 0)
        fprintf(stderr, "%s: %s\n",
                loaded->info.template_name ? loaded->info.template_name : "none",
                loaded->info.template_why ? loaded->info.template_why : "the file has none");
    else if (strcmp(rest, "system") == 0) fprintf(stderr, "%s\n", system ? system : "(none)");
    else if (strcmp(rest, "prompt") == 0) show_prompt(t);
    else
        remark(t->speaker->app,
               "/show: expected model, template, settings, system or prompt, found '%s'", rest);
    out_flush();
}

static void do_save(Talk *t, char *rest)
{
    const App        *app   = t->speaker->app;
    const mixt_model *model = t->speaker->loaded.model;
    Error             error;
    rest = unquoted(rest);
    if (!*rest) return remark(app, "/save: expected the name of a file");
    if (output_check(app, rest, model) != DONE) return;
    if (conversation_save(&t->conversation, rest, mixt_model_files(model), &error) != OK)
        remark(app, "%s", error.text);
    else fprintf(stderr, "saved %zu messages to %s\n", t->conversation.n, rest);
}

static void do_load(Talk *t, char *rest)
{
    Error error;
    rest = unquoted(rest);
    if (!*rest) return remark(t->speaker->app, "/load: expected the name of a file");
    if (conversation_load(&t->conversation, rest, &error) != OK)
        remark(t->speaker->app, "%s", error.text);
    else fprintf(stderr, "loaded %zu messages from %s\n", t->conversation.n, rest);
}

static void do_clear(Talk *t, char *rest)
{
    (void)rest;
    conversation_drop(&t->conversation, conversation_system_text(&t->conversation) ? 1 : 0);
    fputs("the conversation begins anew\n", stderr);
}

static void do_bye(Talk *t, char *rest)
{
    (void)rest;
    t->over = true;
}

static void do_help(Talk *t, char *rest);

static const struct TalkCommand {
    const char *name, *usage, *help;
    void      (*run)(Talk *t, char *rest);         /* what follows the name, trimmed */
} talk_commands[] = {
    {"/set", "/set NAME VALUE", "change a setting: temp, seed, system, tokens, experts, ..",
     do_set},
    {"/show", "/show [WHAT]", "model, template, settings, system or prompt", do_show},
    {"/save", "/save FILE", "write the conversation as JSON", do_save},
    {"/load", "/load FILE", "go on with a conversation that was saved", do_load},
    {"/clear", "/clear", "forget what was said", do_clear},
    {"/bye", "/bye", "leave (Ctrl-D does, too)", do_bye},
    {"/exit", NULL, NULL, do_bye},
    {"/quit", NULL, NULL, do_bye},
    {"/?", "/?", "this list", do_help},
    {"/help", NULL, NULL, do_help},
};

static void do_help(Talk *t, char *rest)
{
    (void)t;
    (void)rest;
    for (int i = 0; i < ARRAY_LEN(talk_commands); i++)
        if (talk_commands[i].usage)
            fprintf(stderr, "  %-16s %s\n", talk_commands[i].usage, talk_commands[i].help);
    fputs("  \"\"\"              begins and ends a text of several lines\n"
          "  Ctrl-C           stops the answer, or leaves the line\n", stderr);
}

static void obey(Talk *t, const char *line)
{
    const size_t n = strcspn(line, " \t");
    for (int i = 0; i < ARRAY_LEN(talk_commands); i++) {
        if (strlen(talk_commands[i].name) != n || strncmp(line, talk_commands[i].name, n) != 0)
            continue;
        char *rest = strdup(line + n + strspn(line + n, " \t"));
        if (!rest) return remark(t->speaker->app, "out of memory");
        for (size_t end = strlen(rest); end && rest[end - 1] == ' ';) rest[--end] = 0;
        talk_commands[i].run(t, rest);
        free(rest);
        return;
    }
    char asked[64];
    snprintf(asked, sizeof asked, "%.*s", (int)n, line);
    Nearest near = nearest_to(asked);
    for (int i = 0; i < ARRAY_LEN(talk_commands); i++)
        if (talk_commands[i].usage) nearest_offer(&near, talk_commands[i].name);
    if (near.word)
        remark(t->speaker->app, "unknown command '%s'; did you mean %s?", asked, near.word);
    else remark(t->speaker->app, "unknown command '%s'; /? lists them", asked);
}

/* ---- reading ---- */

static const char fence[] = "\"\"\"";

/* The rest of a text that began with """; false when it was left with Ctrl-C or Ctrl-D. */
static bool read_fenced(Talk *t, Buffer *text)
{
    const char *line;
    while (text->n_bytes < 3 || memcmp(text->data + text->n_bytes - 3, fence, 3) != 0) {
        const Typed typed = editor_read(t->editor, "... ", &line);
        if (typed == TYPED_END) t->over = true;
        if (typed != TYPED_LINE) return false;
        buffer_char(text, '\n');
        buffer_text(text, line);
        if (text->failed) return remark(t->speaker->app, "out of memory"), false;
    }
    text->n_bytes -= 3;
    text->data[text->n_bytes] = 0;
    return true;
}

/* False when there is nothing to be said. */
static bool read_text(Talk *t, Buffer *text)
{
    const char *line;
    buffer_clear(text);
    const Typed typed = editor_read(t->editor, ">>> ", &line);
    if (typed == TYPED_STOP) fputs("Ctrl-D or /bye leaves\n", stderr);
    if (typed == TYPED_END) t->over = true;
    if (typed != TYPED_LINE || !line[strspn(line, " \t\n")]) return false;
    if (strncmp(line, fence, 3) != 0) return buffer_text(text, line), !text->failed;
    buffer_text(text, line + 3);
    if (!read_fenced(t, text)) return false;
    const size_t skip = text->n_bytes && text->data[0] == '\n';         /* the fence stood alone */
    memmove(text->data, text->data + skip, text->n_bytes - skip + 1);
    text->n_bytes -= skip;
    if (text->n_bytes && text->data[text->n_bytes - 1] == '\n') text->data[--text->n_bytes] = 0;
    return text->n_bytes > 0;
}

static Exit check_template(const Speaker *s)
{
    if (s->loaded.info.template_name) return DONE;
    return complain(
        s->app, BAD_DATA,
        "%s: has no chat template; name one with --chat-template (vicuna, chatml, ..), or give "
        "a PROMPT to be continued",
        s->loaded.info.path);
}

Exit talk(Speaker *speaker)
{
    Talk   t = { .speaker = speaker };
    Buffer text = { 0 };
    Error  error;
    Exit   code = check_template(speaker);
    const char *system = opt_text(speaker->app->options, OPT_SYSTEM);
    if (code != DONE) return code;
    if (editor_new(&t.editor, &error) != OK) return base_problem(speaker->app, &error);
    if (system && *system && conversation_system(&t.conversation, system, &error) != OK)
        code = base_problem(speaker->app, &error);
    speaker->talking = true;
    fputs("/? for help, Ctrl-D to leave\n", stderr);
    while (code == DONE && !t.over) {
        if (!read_text(&t, &text)) continue;
        editor_remember(t.editor, text.data);
        if (text.data[0] == '/') obey(&t, text.data);
        else say(&t, text.data);
    }
    editor_free(t.editor);
    conversation_free(&t.conversation);
    arena_free(&t.texts);
    buffer_free(&text);
    return code;
}
