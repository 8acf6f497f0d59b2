/* SPDX-License-Identifier: Apache-2.0
 * apps/options.h - from the rows of commands.def and options.def to values.
 *
 * A value comes from the command line, else from the environment twin, else from the row's
 * fallback.  Nothing is ignored: what cannot be parsed, or belongs to another command, is an error.
 */
#ifndef APPS_OPTIONS_H
#define APPS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "exit.h"

enum { ARGUMENTS_MAX = 1 << 20 };

/* ---- rows ---- */

typedef enum CommandId {
#define COMMAND(id, ...) COMMAND_##id,
#include "commands.def"
#undef COMMAND
    N_COMMANDS
} CommandId;

enum {                              /* sets of commands, for options.def                   */
#define COMMAND(id, ...) IN_##id = 1 << COMMAND_##id,
#include "commands.def"
#undef COMMAND
    IN_ALL = (1 << N_COMMANDS) - 1
};

/* How often one needs it: of options, MORE is in --help-all only; of commands, it is named without a summary in mixt
 * --help, and HIDDEN is in neither help nor completion. */
typedef enum Level { SHOWN, MORE, HIDDEN } Level;

struct App;
typedef struct Command {
    CommandId   id;
    const char *name, *arguments;   /* "run", "MODEL [PROMPT]"                             */
    int         n_min, n_max;       /* arguments                                           */
    Level       level;
    const char *summary, *description, *examples;
    Exit      (*run)(const struct App *app);
} Command;

extern const Command commands[N_COMMANDS];

typedef enum OptionId {
#define OPTION(id, ...) OPT_##id,
#include "options.def"
#undef OPTION
    N_OPTIONS
} OptionId;

typedef enum Kind  { FLAG, WHOLE, SIZE, REAL, TEXT, CHOICE, TEXTS, MAYBE } Kind;
typedef enum Group { TALK, PICK, MACHINE, DATA, SHAPE, REPORT, N_GROUPS } Group;

typedef struct Option {
    OptionId    id;
    const char *name;
    char        letter;             /* 0: none                                             */
    const char *aliases, *meta;
    Kind        kind;
    double      min, max;
    const char *fallback;
    unsigned    commands;
    Group       group;
    Level       level;
    const char *help;
} Option;

extern const Option options[N_OPTIONS];
extern const char *const group_names[N_GROUPS];

enum { ENVIRONMENT_NAME_MAX = 64 };
void option_environment(const Option *option, char out[ENVIRONMENT_NAME_MAX]);
/* What a TEXT may be where there is a list of it, NULL-ended; else NULL. */
const char *const *option_known(const Option *option);
/* Allowed words of a CHOICE or MAYBE, or known words of a TEXT: calls take for each. */
void option_words(const Option *option, void (*take)(void *user, const char *word, size_t n_bytes),
                  void *user);

/* ---- values ---- */

typedef enum From { FROM_NOWHERE, FROM_FALLBACK, FROM_ENVIRONMENT, FROM_COMMAND_LINE } From;

typedef struct Value {
    From         from;
    int64_t      whole;             /* FLAG (0, 1), WHOLE, SIZE                            */
    double       real;              /* REAL                                                */
    const char  *text;              /* TEXT, CHOICE; MAYBE: "" when nothing followed       */
    const char **texts;             /* TEXTS, owned                                        */
    size_t       n_texts;
} Value;

typedef struct Options {
    Value        values[N_OPTIONS];
    const char **arguments;         /* owned; the texts are main's                         */
    int          n_arguments;
    int          help;              /* 1: --help, 2: --help-all                            */
} Options;

/* Everything after the command's name.  BAD_ARGUMENT says what is wrong and what was meant. */
Status options_parse(const Command *command, int n, char **words, Options *out, Error *error);
void   options_free(Options *options);
/* One value of a row; `where` names it in the message ("--top-k", "MIXT_TOP_K", "/set top-k").
 * The text must live as long as the value. */
Status option_set(const Option *option, const char *where, const char *text, Value *value,
                  Error *error);
/* By name or alias, '-' and '_' alike, among the options of the commands in the set; NULL: none. */
const Option *option_find(const char *name, size_t n_bytes, unsigned in);

static inline bool opt_given(const Options *o, OptionId id)
{
    return o->values[id].from > FROM_FALLBACK;
}
static inline bool opt_flag(const Options *o, OptionId id)
{
    return o->values[id].whole != 0;
}
static inline int64_t     opt_whole(const Options *o, OptionId id) { return o->values[id].whole; }
static inline double      opt_real(const Options *o, OptionId id)  { return o->values[id].real; }
static inline const char *opt_text(const Options *o, OptionId id)  { return o->values[id].text; }

/* ---- did you mean ---- */

/* The nearest of the candidates offered so far; nearest.word is NULL when none is near. */
typedef struct Nearest { const char *asked, *word; int distance; } Nearest;
Nearest nearest_to(const char *asked);
void    nearest_offer(Nearest *nearest, const char *candidate);

#endif
