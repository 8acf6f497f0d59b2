/* SPDX-License-Identifier: Apache-2.0
 * apps/editor.h - a line typed at the terminal: libedit, history, pasted text. */
#ifndef APPS_EDITOR_H
#define APPS_EDITOR_H

#include "base/base.h"

typedef struct Editor Editor;
typedef enum Typed { TYPED_LINE, TYPED_STOP /* Ctrl-C */, TYPED_END /* Ctrl-D */ } Typed;

Status editor_new(Editor **out, Error *error);
void   editor_free(Editor *editor);
/* *line, without its newline, is the editor's until the next call.  Pasted text may hold newlines.
 */
Typed  editor_read(Editor *editor, const char *prompt, const char **line);
/* Adds to the history and its file, $XDG_STATE_HOME/mixt/history. */
void   editor_remember(Editor *editor, const char *text);

#endif
