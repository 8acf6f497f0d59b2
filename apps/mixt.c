/* SPDX-License-Identifier: Apache-2.0
 * apps/mixt.c - the program: finds the row of the subcommand, parses its options, runs it.
 *
 * Read commands.def for what there is, options.def for what can be set, app.h for the rules of
 * output and failure, then cmd_run.c. */
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "help.h"

#define COMMAND(id_, name_, arguments_, min_, max_, level_, summary_, description_, examples_)     \
    [COMMAND_##id_] = { .id = COMMAND_##id_, .name = #name_, .arguments = (arguments_),            \
                        .n_min = (min_), .n_max = (max_), .level = (level_),                       \
                        .summary = (summary_), .description = (description_),                      \
                        .examples = (examples_), .run = cmd_##name_ },
const Command commands[N_COMMANDS] = {
#include "commands.def"
};
#undef COMMAND

const Command *command_find(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    return NULL;
}

Exit command_unknown(const App *app, const char *name)
{
    Nearest near = nearest_to(name);
    for (int i = 0; i < N_COMMANDS; i++)
        if (commands[i].level != HIDDEN) nearest_offer(&near, commands[i].name);
    if (near.word)
        return complain(app, USAGE, "unknown command '%s'; did you mean %s?", name, near.word);
    return complain(app, USAGE, "unknown command '%s'; mixt --help lists them", name);
}

/* Names of files and texts of models are UTF-8.  Numbers stay C: 0.5 is never 0,5. */
static void choose_locale(void)
{
    if (setlocale(LC_CTYPE, "") && strcmp(nl_langinfo(CODESET), "UTF-8") == 0) return;
    setlocale(LC_CTYPE, "C.UTF-8");
}

/* With `mixt >&-` the next file opened would be number 1, and would be written over. */
static void occupy_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0) _exit(FAILED_OTHER);
}

static int run_command(const Command *command, int n, char **words)
{
    Options options_here = { 0 };
    App     app          = { .command = command, .options = &options_here };
    Error   error;
    Exit    code;
    if (options_parse(command, n, words, &options_here, &error) != OK)
        code = base_problem(&app, &error);
    else if (options_here.help) code = help_command(command, options_here.help > 1);
    else code = command->run(&app);
    code = out_finish(&app, code);
    options_free(&options_here);
    return interrupt_exit(code);
}

int main(int n, char **words)
{
    occupy_standard_files();
    choose_locale();
    interrupt_listen();
    const App app = { 0 };
    if (n < 2) {
        complain(&app, USAGE, "expected a command; mixt --help lists them");
        return USAGE;
    }
    const char *first = words[1];
    if (strcmp(first, "-h") == 0 || strcmp(first, "--help") == 0 ||
        strcmp(first, "--help-all") == 0)
        return (int)out_finish(&app, help_program());
    if (strcmp(first, "-V") == 0 || strcmp(first, "--version") == 0) first = "version";
    const Command *command = command_find(first);
    if (!command) return (int)command_unknown(&app, first);
    return run_command(command, n - 2, words + 2);
}
