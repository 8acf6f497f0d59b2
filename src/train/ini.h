/* SPDX-License-Identifier: Apache-2.0
 * train/ini.h - sections, keys and values, line by line.
 *
 *     # a line of comment; so is one that begins with a semicolon
 *     [section]
 *     key = value to the end of the line, without the spaces around it
 *
 * What the keys mean is the business of who takes them.  A key may come again. */
#ifndef TRAIN_INI_H
#define TRAIN_INI_H

#include "base/base.h"

enum { INI_BYTES_MAX = 1 << 20, INI_LINE_MAX = 8192 };

/* key and value are NULL where a section begins. */
typedef struct IniLine { const char *section, *key, *value; int number; } IniLine;
typedef Status (*IniTake)(void *user, const IniLine *line, Error *error);

/* `text` is changed: the strings that take() gets lie in it.  BAD_FILE names path and line. */
Status ini_read(char *text, size_t n_bytes, const char *path, IniTake take, void *user, Error *error);

#endif
