/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_completion.c - completion for three shells out of the rows. */
#include <stdio.h>
#include <string.h>

#include "embedded.h"
#include "help.h"

static bool belongs(const Option *option, const Command *command)
{
    return option->commands & 1u << command->id;
}

/* ' cannot stand inside '...': it is closed, escaped, opened again.  `also` gets a backslash. */
static void quoted(const char *text, const char *also)
{
    for (; *text; text++) {
        if (*text == '\'') out_text("'\\''");
        else if (strchr(also, *text)) out_format("\\%c", *text);
        else out_bytes(text, 1);
    }
}

static void word_and_space(void *user, const char *word, size_t n_bytes)
{
    bool *any = user;
    out_format("%s%.*s", *any ? " " : "", (int)n_bytes, word);
    *any = true;
}

static bool has_words(const Option *option)
{
    return option->kind == CHOICE || option_known(option);
}

static void out_commands(void)
{
    bool any = false;
    for (int i = 0; i < N_COMMANDS; i++)
        if (commands[i].level != HIDDEN) word_and_space(&any, commands[i].name, strlen(commands[i].name));
}

/* What the argument of a command may be, when it is not a file. */
static bool takes_files(const Command *command)
{
    return strstr(command->arguments, "MODEL") || strstr(command->arguments, "FILE") ||
           strstr(command->arguments, "DIR");
}

/* Where the name of the model in the program is good; doctor measures disks, which it is on none of. */
static bool takes_model(const Command *command)
{
    return takes_files(command) && command->id != COMMAND_DOCTOR && embedded_model().name;
}

/* ---- bash ---- */

static void bash_values(const Command *command)
{
    for (int i = 0; i < N_OPTIONS; i++) {
        if (!belongs(&options[i], command) || !has_words(&options[i])) continue;
        bool any = false;
        out_format("    '%s --%s') words='", command->name, options[i].name);
        option_words(&options[i], word_and_space, &any);
        out_text("' ;;\n");
    }
}

static void bash_free_values(const Command *command)
{
    for (int i = 0; i < N_OPTIONS; i++) {
        const Option *o = &options[i];
        if (!belongs(o, command) || has_words(o) || o->kind == FLAG || o->kind == MAYBE) continue;
        out_format("    '%s --%s'", command->name, o->name);
        if (o->letter) out_format("|'%s -%c'", command->name, o->letter);
        out_text(") COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n");
    }
}

static void bash_options(const Command *command)
{
    out_format("    %s) words='", command->name);
    for (int i = 0; i < N_OPTIONS; i++)
        if (belongs(&options[i], command)) out_format("--%s ", options[i].name);
    out_text("--help --help-all' ;;\n");
}

static void bash(void)
{
    out_text("# bash completion for mixt, made by: mixt completion bash\n"
             "_mixt() {\n"
             "  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=\n"
             "  local command=${COMP_WORDS[1]}\n"
             "  if [[ $current == = ]]; then current=\n"
             "  elif [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
             "  if ((COMP_CWORD == 1)); then\n"
             "    COMPREPLY=($(compgen -W '");
    out_commands();
    out_text("' -- \"$current\")); return\n  fi\n  case \"$command $before\" in\n");
    for (int i = 0; i < N_COMMANDS; i++) bash_values(&commands[i]);
    for (int i = 0; i < N_COMMANDS; i++) bash_free_values(&commands[i]);
    out_text("    'completion completion') words='bash zsh fish' ;;\n    'help help') words='");
    out_commands();
    out_text("' ;;\n  esac\n  if [[ -z $words && $current == -* ]]; then\n  case $command in\n");
    for (int i = 0; i < N_COMMANDS; i++)
        if (commands[i].level != HIDDEN) bash_options(&commands[i]);
    out_text("  esac\n  fi\n  local models=\n  case $command in\n");
    for (int i = 0; i < N_COMMANDS; i++)
        if (takes_model(&commands[i]))
            out_format("    %s) models=%s ;;\n", commands[i].name, embedded_model().name);
    out_text("  esac\n"
             "  if [[ -n $words ]]; then COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
             "  else COMPREPLY=($(compgen -f -W \"$models\" -- \"$current\")); fi\n"
             "}\n"
             "complete -o filenames -F _mixt mixt\n");
}

/* ---- zsh ---- */

static void zsh_option(const Option *option)
{
    const char *repeat = option->kind == TEXTS ? "*" : "";
    const char *equals = option->kind == FLAG || option->kind == MAYBE ? "" : "=";
    out_format("        '%s--%s%s[", repeat, option->name, equals);
    quoted(option->help, "[]:\\");
    out_text("]");
    if (option->kind != FLAG && option->kind != MAYBE) {
        out_text(":");
        quoted(option->meta, "[]:\\");
        out_text(":");
        bool any = false;
        if (has_words(option)) out_text("(");
        if (has_words(option)) option_words(option, word_and_space, &any);
        out_text(has_words(option) ? ")" : "_files");
    }
    out_text("' \\\n");
}

static void zsh_command(const Command *command)
{
    out_format("      %s) _arguments -s \\\n", command->name);
    for (int i = 0; i < N_OPTIONS; i++)
        if (belongs(&options[i], command)) zsh_option(&options[i]);
    out_text("        '--help[a screen of the common options]' \\\n"
             "        '--help-all[all options]' \\\n");
    if (command->id == COMMAND_COMPLETION) out_text("        '1:shell:(bash zsh fish)' ;;\n");
    else if (command->id == COMMAND_HELP) out_text("        '1:command:($commands)' ;;\n");
    else if (takes_model(command))
        out_format("        '*:model:{compadd -- %s; _files}' ;;\n", embedded_model().name);
    else
        out_format("        '*:%s:%s' ;;\n", takes_files(command) ? "model" : "nothing",
                   takes_files(command) ? "_files" : " ");
}

static void zsh(void)
{
    out_text("#compdef mixt\n# zsh completion for mixt, made by: mixt completion zsh\n"
             "_mixt() {\n  local -a described commands=(");
    out_commands();
    out_text(")\n  described=(\n");
    for (int i = 0; i < N_COMMANDS; i++) {
        if (commands[i].level == HIDDEN) continue;
        out_format("    '%s:", commands[i].name);
        quoted(commands[i].summary, ":\\");
        out_text("'\n");
    }
    out_text(
        "  )\n  if (( CURRENT == 2 )); then\n    _describe command described\n  else\n"
        "    local command=$words[2]\n    shift words; (( CURRENT-- ))\n    case $command in\n");
    for (int i = 0; i < N_COMMANDS; i++)
        if (commands[i].level != HIDDEN) zsh_command(&commands[i]);
    out_text("    esac\n  fi\n}\n"
             "if [[ $funcstack[1] == _mixt ]]; then _mixt \"$@\"; else compdef _mixt mixt; fi\n");
}

/* ---- fish ---- */

static void fish_option(const Command *command, const Option *option)
{
    out_format("complete -c mixt -n '__fish_seen_subcommand_from %s' -l %s", command->name,
               option->name);
    if (option->letter) out_format(" -s %c", option->letter);
    if (has_words(option)) {
        bool any = false;
        out_text(" -x -a '");
        option_words(option, word_and_space, &any);
        out_text("'");
    } else if (option->kind != FLAG && option->kind != MAYBE) {
        out_text(" -r");
    }
    out_text(" -d '");
    quoted(option->help, "");
    out_text("'\n");
}

static void fish(void)
{
    out_text("# fish completion for mixt, made by: mixt completion fish\n");
    for (int i = 0; i < N_COMMANDS; i++) {
        if (commands[i].level == HIDDEN) continue;
        out_format("complete -c mixt -f -n __fish_use_subcommand -a %s -d '", commands[i].name);
        quoted(commands[i].summary, "");
        out_text("'\n");
        for (int k = 0; k < N_OPTIONS; k++)
            if (belongs(&options[k], &commands[i])) fish_option(&commands[i], &options[k]);
        if (takes_model(&commands[i]))
            out_format("complete -c mixt -n '__fish_seen_subcommand_from %s' -a %s -d 'the model in the program'\n",
                       commands[i].name, embedded_model().name);
        out_format("complete -c mixt -n '__fish_seen_subcommand_from %s' -l help -l help-all\n",
                   commands[i].name);
    }
    out_text(
        "complete -c mixt -f -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n");
}

Exit cmd_completion(const App *app)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    const char *name = app->options->arguments[0];
    for (int i = 0; i < ARRAY_LEN(shells); i++)
        if (strcmp(name, shells[i].name) == 0) return shells[i].print(), DONE;
    return complain(app, USAGE, "expected bash, zsh or fish, found '%s'", name);
}
