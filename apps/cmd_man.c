/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_man.c - man pages out of the rows; the build installs mixt.1, mixt-run.1, ... */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "help.h"

/* Text that troff prints as it is: hyphens that can be copied, no accidental requests. */
static void roff(const char *text)
{
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\'')) out_text("\\&");
        if (*text == '\n' && text[1] == '\n') {
            out_text("\n.PP");
            continue;
        }
        if (*text == '-') out_text("\\-");
        else if (*text == '\\') out_text("\\e");
        else if (*text == '"') out_text("\\(dq");
        else out_bytes(text, 1);
        line_start = *text == '\n';
    }
}

static void upper(const char *text)
{
    for (; *text; text++) out_format("%c", toupper((unsigned char)*text));
}

static void title(const char *command)
{
    out_text(".TH MIXT");
    if (command) out_text("\\-");
    if (command) upper(command);
    out_format(" 1 \"\" \"mixt %s\" \"User Commands\"\n", mixt_version());
}

static void aliases(const char *names)
{
    while (*names) {
        const size_t n = strcspn(names, "|");
        char         name[ENVIRONMENT_NAME_MAX];
        snprintf(name, sizeof name, ", --%.*s", (int)n, names);
        out_text("\\fB");
        roff(name);
        out_text("\\fR");
        names += n + (names[n] == '|');
    }
}

static void option_entry(const Option *option)
{
    out_text(".TP\n");
    if (option->letter) out_format("\\fB\\-%c\\fR, ", option->letter);
    out_text("\\fB\\-\\-");
    roff(option->name);
    out_text("\\fR");
    aliases(option->aliases);
    if (option->meta) {
        out_text(option->kind == MAYBE ? "[=\\fI" : " \\fI");
        roff(option->meta);
        out_text(option->kind == MAYBE ? "\\fR]" : "\\fR");
    }
    out_text("\n");
    Buffer help = { 0 };
    buffer_text(&help, option->help);
    if (help.data) help.data[0] = (char)toupper((unsigned char)help.data[0]);
    if (option_fallback(option)) buffer_format(&help, "; %s unless given", option->fallback);
    char twin[ENVIRONMENT_NAME_MAX];
    option_environment(option, twin);
    buffer_format(&help, ". Environment: %s.\n", twin);
    roff(help.data ? help.data : "");
    buffer_free(&help);
}

static void option_section(const Command *command)
{
    out_text(".SH OPTIONS\n");
    for (Group group = 0; group < N_GROUPS; group++) {
        int n = 0;
        for (int i = 0; i < N_OPTIONS; i++) {
            if (!(options[i].commands & 1u << command->id) || options[i].group != group) continue;
            if (n++ == 0) out_format(".SS %s\n", group_names[group]);
            option_entry(&options[i]);
        }
    }
    out_text(".SS Help\n.TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nA screen of the common options.\n"
             ".TP\n\\fB\\-\\-help\\-all\\fR\nAll of them.\n.PP\n"
             "Sizes take K, M, G (1024) and KB, MB, GB (1000). \\-\\- ends the options. What the "
             "command "
             "line does not say is taken from the environment.\n");
}

static void examples_section(const char *examples)
{
    out_text(".SH EXAMPLES\n.EX\n");
    roff(examples);
    out_text("\n.EE\n");
}

static void exit_section(void)
{
    out_text(".SH EXIT STATUS\n"
             ".TP\n0\nAll is well.\n"
             ".TP\n1\nA failure that has no number of its own.\n"
             ".TP\n64\nThe command line is wrong.\n"
             ".TP\n65\nA file holds bad data, or is of a kind that is not supported.\n"
             ".TP\n66\nA file cannot be opened.\n"
             ".TP\n69\nA download or its verification failed.\n"
             ".TP\n71\nIt does not fit in memory.\n"
             ".TP\n74\nReading or writing failed.\n"
             ".TP\n130\nInterrupted; 143 or 129 when SIGTERM or SIGHUP did it.\n");
}

static void page_of_command(const Command *command)
{
    title(command->name);
    out_format(".SH NAME\nmixt\\-%s \\- %s\n", command->name, command->summary);
    out_format(".SH SYNOPSIS\n\\fBmixt %s\\fR ", command->name);
    roff(command->arguments);
    out_text(" [options]\n.SH DESCRIPTION\n");
    roff(command->description);
    out_text("\n");
    option_section(command);
    examples_section(command->examples);
    exit_section();
    out_text(".SH SEE ALSO\n.BR mixt (1)\n");
}

static void page_of_program(void)
{
    title(NULL);
    out_text(".SH NAME\nmixt \\- run sparse mixture\\-of\\-experts language models\n"
             ".SH SYNOPSIS\n\\fBmixt\\fR COMMAND [options]\n.SH DESCRIPTION\n"
             "Runs Mixtral and models like it on the processor, from GGUF files, Hugging Face "
             "folders and "
             "folders of Mistral's own. Data goes to standard output, everything else to standard "
             "error.\n"
             ".SH COMMANDS\n");
    for (int i = 0; i < N_COMMANDS; i++) {
        if (commands[i].level == HIDDEN) continue;
        out_format(".TP\n.BR mixt\\-%s (1)\n", commands[i].name);
        roff(commands[i].summary);
        out_text("\n");
    }
    out_text(".SH ENVIRONMENT\nEvery option has a twin, \\fBMIXT_\\fR and its name in capitals: "
             "\\fB\\-\\-top\\-k\\fR is \\fBMIXT_TOP_K\\fR. The page of each command lists them. "
             "\\fBNO_COLOR\\fR takes the colours away.\n"
             ".SH FILES\n.TP\n$XDG_STATE_HOME/mixt/history\nLines typed in conversations.\n");
    Buffer steps = { 0 };
    help_first_steps(&steps);
    examples_section(steps.data ? steps.data : "");
    buffer_free(&steps);
    exit_section();
}

Exit cmd_man(const App *app)
{
    if (app->options->n_arguments == 0) return page_of_program(), DONE;
    const Command *command = command_find(app->options->arguments[0]);
    if (!command) return command_unknown(app, app->options->arguments[0]);
    page_of_command(command);
    return DONE;
}
