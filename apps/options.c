/* SPDX-License-Identifier: Apache-2.0
 * apps/options.c - see options.h. */
#include "options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mixt_tools.h>

#define OPTION(id_, name_, letter_, aliases_, meta_, kind_, min_, max_, fallback_, commands_,      \
               group_, level_, help_)                                                              \
    [OPT_##id_] = {.id = OPT_##id_,                                                                \
                   .name = (name_),                                                                \
                   .letter = (letter_),                                                            \
                   .aliases = (aliases_),                                                          \
                   .meta = (meta_),                                                                \
                   .kind = (kind_),                                                                \
                   .min = (min_),                                                                  \
                   .max = (max_),                                                                  \
                   .fallback = (fallback_),                                                        \
                   .commands = (commands_),                                                        \
                   .group = (group_),                                                              \
                   .level = (level_),                                                              \
                   .help = (help_)},
const Option options[N_OPTIONS] = {
#include "options.def"
};
#undef OPTION

const char *const group_names[N_GROUPS] = {
    [TALK] = "What to say", [PICK] = "How to choose", [MACHINE] = "The machine",
    [DATA] = "Data",        [SHAPE] = "Shape",        [REPORT] = "Reports",
};

static const char *only_command(const Option *option)
{
    for (int i = 0; i < N_COMMANDS; i++)
        if (option->commands & 1u << i) return commands[i].name;
    return "";
}

/* The first row of a name has the plain twin.  A later one means something else by it, so its twin
 * has the command in it: MIXT_EXPERTS=tokens must not break mixt synth. */
void option_environment(const Option *option, char out[ENVIRONMENT_NAME_MAX])
{
    const Option *first = option_find(option->name, strlen(option->name), IN_ALL);
    if (first == option) snprintf(out, ENVIRONMENT_NAME_MAX, "MIXT_%s", option->name);
    else snprintf(out, ENVIRONMENT_NAME_MAX, "MIXT_%s_%s", only_command(option), option->name);
    for (char *c = out; *c; c++) *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
}

/* The parts of "a|b|c". */
static void split(const char *text, void (*take)(void *user, const char *word, size_t n_bytes),
                  void *user)
{
    while (text && *text) {
        const size_t n = strcspn(text, "|");
        take(user, text, n);
        text += n + (text[n] == '|');
    }
}

const char *const *option_known(const Option *option)
{
    switch (option->id) {
    case OPT_LIKE:         return mixt_synth_shapes();
    case OPT_SYNTH_TYPE:
    case OPT_CONVERT_TYPE:
    case OPT_QUANT:
    case OPT_MERGE_TYPE:   return mixt_synth_types();
    default:               return NULL;
    }
}

void option_words(const Option *option, void (*take)(void *user, const char *word, size_t n_bytes),
                  void *user)
{
    const char *const *known = option_known(option);
    for (; known && *known; known++) take(user, *known, strlen(*known));
    if (option->kind == CHOICE || option->kind == MAYBE) split(option->meta, take, user);
}

/* ---- looking up ---- */

typedef struct Wanted { const char *name; size_t n_bytes; bool found; } Wanted;

static void compare_name(void *user, const char *word, size_t n_bytes)
{
    Wanted *wanted = user;
    if (n_bytes != wanted->n_bytes) return;
    for (size_t i = 0; i < n_bytes; i++) {
        const char asked = wanted->name[i] == '_' ? '-' : wanted->name[i];
        if (asked != word[i]) return;
    }
    wanted->found = true;
}

const Option *option_find(const char *name, size_t n_bytes, unsigned in)
{
    Wanted wanted = { .name = name, .n_bytes = n_bytes };
    for (int i = 0; i < N_OPTIONS; i++) {
        if (options[i].commands & in)
            compare_name(&wanted, options[i].name, strlen(options[i].name));
        if (wanted.found) return &options[i];
    }
    for (int i = 0; i < N_OPTIONS; i++) {
        if (options[i].commands & in) split(options[i].aliases, compare_name, &wanted);
        if (wanted.found) return &options[i];
    }
    return NULL;
}

static const Option *find_letter(char letter, unsigned in)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (options[i].letter == letter && options[i].commands & in) return &options[i];
    return NULL;
}

static Status unknown(const Command *command, const char *word, Error *error)
{
    const unsigned in = 1u << command->id;
    char           name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    Nearest near = nearest_to(name);
    char    offered[N_OPTIONS][64];
    for (int i = 0; i < N_OPTIONS; i++) {
        if (!(options[i].commands & in)) continue;
        snprintf(offered[i], sizeof offered[i], "--%s", options[i].name);
        nearest_offer(&near, offered[i]);
    }
    if (near.word)
        return fail(error, BAD_ARGUMENT, "unknown option '%s'; did you mean %s?", name, near.word);
    for (int i = 0; i < N_OPTIONS; i++)     /* right name, other command */
        if (strncmp(name, "--", 2) == 0 && strcmp(name + 2, options[i].name) == 0)
            return fail(error, BAD_ARGUMENT,
                        "option '%s' does not belong to this command; see mixt %s --help", name,
                        command->name);
    return fail(error, BAD_ARGUMENT, "unknown option '%s'; see mixt %s --help-all", name,
                command->name);
}

/* ---- the environment and the command line ---- */

static Status set_from(const Option *option, const char *where, const char *text, From from,
                       Options *out, Error *error)
{
    Value *value = &out->values[option->id];
    if (option->kind == TEXTS && value->from < from)
        value->n_texts = 0; /* the stronger source replaces */
    TRY(option_set(option, where, text, value, error));
    value->from = from;
    return OK;
}

static Status set_beforehand(const Command *command, Options *out, Error *error)
{
    for (int i = 0; i < N_OPTIONS; i++) {
        const Option *option = &options[i];
        if (!(option->commands & 1u << command->id)) continue;
        char name[ENVIRONMENT_NAME_MAX];
        option_environment(option, name);
        if (option->fallback)
            TRY(set_from(option, option->name, option->fallback, FROM_FALLBACK, out, error));
        const char *text = getenv(name);
        if (text && *text) TRY(set_from(option, name, text, FROM_ENVIRONMENT, out, error));
    }
    return OK;
}

/* What is left of the words while they are read. */
typedef struct Words { char **next; int n; } Words;

static Status long_option(const Command *command, const char *word, Words *words, Options *out,
                          Error *error)
{
    const size_t  n_bytes = strcspn(word + 2, "=");
    const char   *value   = word[2 + n_bytes] ? word + 2 + n_bytes + 1 : NULL;
    const Option *option  = option_find(word + 2, n_bytes, 1u << command->id);
    if (!option) return unknown(command, word, error);

    char where[80];
    snprintf(where, sizeof where, "--%.*s", (int)n_bytes, word + 2);
    if (option->kind == FLAG || option->kind == MAYBE)
        return set_from(option, where, value ? value : "", FROM_COMMAND_LINE, out, error);
    if (!value) {
        if (words->n == 0)
            return fail(error, BAD_ARGUMENT, "%s: expected %s after it", where, option->meta);
        value = *words->next++;
        words->n--;
    }
    return set_from(option, where, value, FROM_COMMAND_LINE, out, error);
}

/* -n 64, -n64, and flags together: -vj. */
static Status letters(const Command *command, const char *word, Words *words, Options *out,
                      Error *error)
{
    for (const char *c = word + 1; *c; c++) {
        if (*c == 'h') {
            out->help = 1;
            continue;
        }
        const Option *option = find_letter(*c, 1u << command->id);
        if (!option) return unknown(command, word, error);
        const char where[] = { '-', *c, 0 };
        if (option->kind == FLAG) {
            TRY(set_from(option, where, "", FROM_COMMAND_LINE, out, error));
            continue;
        }
        const char *value = c[1] ? c + 1 : NULL;
        if (!value) {
            if (words->n == 0)
                return fail(error, BAD_ARGUMENT, "%s: expected %s after it", where, option->meta);
            value = *words->next++;
            words->n--;
        }
        return set_from(option, where, value, FROM_COMMAND_LINE, out, error);
    }
    return OK;
}

static Status one_word(const Command *command, Words *words, bool *only_arguments, Options *out,
                       Error *error)
{
    const char *word = *words->next++;
    words->n--;
    if (*only_arguments || word[0] != '-' || !word[1]) {
        out->arguments[out->n_arguments++] = word;
        return OK;
    }
    if (strcmp(word, "--") == 0) return *only_arguments = true, OK;
    if (strcmp(word, "--help") == 0) return out->help = 1, OK;
    if (strcmp(word, "--help-all") == 0) return out->help = 2, OK;
    return word[1] == '-' ? long_option(command, word, words, out, error)
                          : letters(command, word, words, out, error);
}

static Status count_arguments(const Command *command, const Options *o, Error *error)
{
    if (o->help) return OK;
    if (o->n_arguments < command->n_min)
        return fail(error, BAD_ARGUMENT, "expected %s; usage: mixt %s %s [options]",
                    command->arguments, command->name, command->arguments);
    if (o->n_arguments > command->n_max)
        return fail(error, BAD_ARGUMENT,
                    "unexpected '%s'; usage: mixt %s %s%s[options] (quote a text that has spaces)",
                    o->arguments[command->n_max], command->name, command->arguments,
                    command->arguments[0] ? " " : "");
    return OK;
}

Status options_parse(const Command *command, int n, char **words, Options *out, Error *error)
{
    *out = (Options){ .arguments = calloc((size_t)n + 1, sizeof *out->arguments) };
    if (!out->arguments) return fail_memory(error, "the command line");
    Words left           = { .next = words, .n = n };
    bool  only_arguments = false;
    TRY(set_beforehand(command, out, error));
    while (left.n > 0 && !out->help) TRY(one_word(command, &left, &only_arguments, out, error));
    return count_arguments(command, out, error);
}

void options_free(Options *o)
{
    for (int i = 0; i < N_OPTIONS; i++) free(o->values[i].texts);
    free(o->arguments);
    *o = (Options){ 0 };
}
