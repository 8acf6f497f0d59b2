/* SPDX-License-Identifier: Apache-2.0
 * apps/help.h - explanations made of the rows: screens here, man pages in cmd_man.c. */
#ifndef APPS_HELP_H
#define APPS_HELP_H

#include "app.h"
#include "base/buffer.h"

const Command *command_find(const char *name);
Exit command_unknown(const App *app, const char *name);

Exit help_program(void);
/* What to type first: with a model in the program it needs no file.  Lines, the last without its end. */
void help_first_steps(Buffer *out);
Exit help_command(const Command *command, bool all);

/* "-n, --tokens N", "--experts[=tokens]". */
void option_usage(const Option *option, Buffer *out);
/* The fallback as people should read it; NULL when there is nothing to say. */
const char *option_fallback(const Option *option);

#endif
