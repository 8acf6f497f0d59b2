/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_help.c - --help fits a screen, --help-all says everything. */
#include "help.h"

#include <ctype.h>
#include <string.h>

#include "embedded.h"

enum { NAME_COLUMN = 2, HELP_COLUMN = 27, SCREEN_WIDTH = 80 };

void option_usage(const Option *option, Buffer *out)
{
    if (option->letter) buffer_format(out, "-%c, ", option->letter);
    buffer_format(out, "--%s", option->name);
    if (option->kind == MAYBE) buffer_format(out, "[=%s]", option->meta);
    else if (option->meta) buffer_format(out, " %s", option->meta);
}

const char *option_fallback(const Option *option)
{
    /* Zero mostly means "you choose", and the help line has said what that is. */
    const bool zero = option->fallback && strcmp(option->fallback, "0") == 0;
    return zero && strchr(option->help, '(') ? NULL : option->fallback;
}

/* Words from `column` on, broken at the screen's edge. */
static void out_wrapped(const char *text, int indent, int column)
{
    while (*text) {
        const int word = (int)strcspn(text, " \n");
        if (column + word > SCREEN_WIDTH && column > indent) {
            out_format("\n%*s", indent, "");
            column = indent;
        }
        out_bytes(text, (size_t)word);
        column += word;
        text += word;
        if (*text == '\n') {
            out_format("\n%*s", text[1] && text[1] != '\n' ? indent : 0, "");
            column = indent;
            text++;
        } else if (*text == ' ') {
            if (column + 1 + (int)strcspn(text + 1, " \n") <= SCREEN_WIDTH) {
                out_text(" ");
                column++;
            } else {
                out_format("\n%*s", indent, "");
                column = indent;
            }
            text++;
        }
    }
    out_text("\n");
}

static void out_option(const Option *option)
{
    Buffer line = { 0 };
    buffer_format(&line, "%*s", option->letter ? NAME_COLUMN : NAME_COLUMN + 4, "");
    option_usage(option, &line);
    if (line.n_bytes + 1 > HELP_COLUMN) buffer_format(&line, "\n%*s", HELP_COLUMN, "");
    else buffer_format(&line, "%*s", (int)(HELP_COLUMN - line.n_bytes), "");
    out_bytes(line.data, line.n_bytes);
    buffer_clear(&line);
    buffer_text(&line, option->help);
    if (option_fallback(option)) buffer_format(&line, " [%s]", option_fallback(option));
    out_wrapped(line.data ? line.data : "", HELP_COLUMN, HELP_COLUMN);
    buffer_free(&line);
}

/* Options of one group; how many there were. */
static int out_group(const Command *command, Group group, bool all, bool titled)
{
    int n = 0;
    for (int i = 0; i < N_OPTIONS; i++) {
        const Option *option = &options[i];
        if (!(option->commands & 1u << command->id) || option->group != group) continue;
        if (option->level == MORE && !all) continue;
        if (n++ == 0 && titled) out_format("\n%s:\n", group_names[group]);
        out_option(option);
    }
    return n;
}

static int count_more(const Command *command)
{
    int n = 0;
    for (int i = 0; i < N_OPTIONS; i++)
        n += options[i].commands & 1u << command->id && options[i].level == MORE;
    return n;
}

static void out_examples(const char *examples)
{
    while (*examples) {
        const size_t n = strcspn(examples, "\n");
        out_format("  %.*s\n", (int)n, examples);
        examples += n + (examples[n] == '\n');
    }
}

Exit help_command(const Command *command, bool all)
{
    out_format("Usage: mixt %s%s%s [options]\n", command->name, command->arguments[0] ? " " : "",
               command->arguments);
    if (all) out_wrapped(command->description, 0, 0);
    else out_format("%c%s.\n\n", toupper((unsigned char)command->summary[0]), command->summary + 1);
    int n_options = 0;
    for (Group group = 0; group < N_GROUPS; group++)
        n_options += out_group(command, group, all, all);
    if (all) {
        if (n_options)
            out_text("\nEvery option has an environment twin: --top-k is MIXT_TOP_K. The man page "
                     "lists\nthem.\n");
        out_text("Sizes take K, M, G (1024) and KB, MB, GB (1000). -- ends the options.\n");
    }
    const int n_more = count_more(command);
    if (!all && n_more) out_format("      --help-all           %d more options\n", n_more);
    out_text(n_options ? "\nExamples:\n" : "Examples:\n");
    out_examples(command->examples);
    return DONE;
}

void help_first_steps(Buffer *out)
{
    const char *name = embedded_model().name;
    if (name) buffer_format(out, "mixt run\nmixt run %s", name);
    else buffer_text(out, "mixt synth --like tiny -o tiny.gguf\nmixt run tiny.gguf");
    buffer_text(out, " \"Once upon a time\" -n 64 --experts");
}

Exit help_program(void)
{
    out_text("Usage: mixt COMMAND [options]\nRun sparse mixture-of-experts language models.\n\n");
    for (int i = 0; i < N_COMMANDS; i++)
        if (commands[i].level == SHOWN) out_format("  %-8s %s\n", commands[i].name, commands[i].summary);
    Buffer others = { 0 };
    for (int i = 0; i < N_COMMANDS; i++)
        if (commands[i].level == MORE) buffer_format(&others, "%s%s", others.n_bytes ? ", " : "", commands[i].name);
    out_format("\n%*sand ", NAME_COLUMN, "");
    out_wrapped(others.data ? others.data : "", NAME_COLUMN, NAME_COLUMN + 4);
    buffer_free(&others);
    out_text("\nmixt COMMAND --help explains one. First steps:\n");
    Buffer steps = { 0 };
    help_first_steps(&steps);
    out_examples(steps.data ? steps.data : "");
    buffer_free(&steps);
    return DONE;
}

Exit cmd_help(const App *app)
{
    if (app->options->n_arguments == 0) return help_program();
    const Command *command = command_find(app->options->arguments[0]);
    return command ? help_command(command, false)
                   : command_unknown(app, app->options->arguments[0]);
}
