/* SPDX-License-Identifier: Apache-2.0
 * apps/app.h - what every subcommand leans on: its options, exit codes, complaints, standard
 * output.
 *
 * The rules of the command line, in one place: data goes to stdout, everything else to stderr; a
 * failure is one line that says what to do next where it can; the exit code says what kind it was.
 */
#ifndef APPS_APP_H
#define APPS_APP_H

#include <mixt.h>

#include "base/base.h"
#include "options.h"

typedef struct App {
    const Command *command;
    Options       *options;
} App;

/* ---- failures ---- */

Exit exit_of(mixt_status status);
/* One line on stderr, "mixt run: ...", control characters removed.  Returns `code`, so that a
 * command ends with `return complain(...)`. */
Exit complain(const App *app, Exit code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a failure of the library; `advice` ("try --ctx 512") may be NULL. */
Exit problem(const App *app, const mixt_error *error, const char *advice);
Exit base_problem(const App *app, const Error *error);
/* A remark that is no failure: a warning of the library, a nearly full context. */
void remark(const App *app, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* For mixt_model_options.log. */
void remark_line(void *app, const char *line);

/* ---- interruption ---- */

/* SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal is gone) set a flag that long work asks for: it
 * stops, clears away what is half done and fails with INTERRUPTED.  A second Ctrl-C that finds the
 * first one unanswered ends the program on the spot. */
void interrupt_listen(void);
bool interrupt_pending(void);
/* For mixt_engine_options.cancel. */
int  interrupt_asked(void *unused);
/* A conversation goes on after Ctrl-C; not after the other two. */
void interrupt_forget(void);
bool interrupt_ends(void);
/* What the program exits with: for INTERRUPTED 130, 143 or 129, as shells count signals. */
int  interrupt_exit(Exit code);
/* Waits until fd can be read.  False after a signal; none can slip in between looking for it and
 * going to sleep. */
bool interrupt_wait(int fd);

/* ---- standard output ---- */

void out_bytes(const void *bytes, size_t n_bytes);
void out_text(const char *text);
void out_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
void out_flush(void);
/* Nobody reads any more, or the disk is full: there is no sense in going on. */
bool out_failed(void);
/* Flushes; turns `code` into what the program should exit with.  A closed pipe is no failure. */
Exit out_finish(const App *app, Exit code);

/* ---- the terminal ---- */

typedef enum Colour { COLOUR_NONE, COLOUR_256, COLOUR_TRUE } Colour;

bool   term_err(void);              /* stderr is a terminal that understands escapes       */
bool   term_utf8(void);             /* the locale writes UTF-8                             */
int    term_width(void);            /* columns of stderr; 80 when nobody knows             */
Colour term_colour(void);           /* for stderr; NO_COLOR and pipes have none            */

/* ---- subcommands: cmd_run and its sisters ---- */

#define COMMAND(id, name, ...) Exit cmd_##name(const App *app);
#include "commands.def"
#undef COMMAND

#endif
