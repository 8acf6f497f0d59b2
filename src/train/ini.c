/* SPDX-License-Identifier: Apache-2.0
 * train/ini.c - see ini.h. */
#include "train/ini.h"

#include "base/utf8.h"

#include <string.h>

typedef struct Ini {
    const char *path, *section;     /* section NULL: none has begun                        */
    int         number;             /* of the line, from 1                                 */
} Ini;

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Without the spaces at both ends. */
static char *trim(char *begin, char *end)
{
    while (begin < end && is_space(*begin)) begin++;
    while (end > begin && is_space(end[-1])) end--;
    *end = 0;
    return begin;
}

static Status bad_line(const Ini *ini, const char *expected, const char *found, Error *error)
{
    return fail(error, BAD_FILE, "%s:%d: expected %s, found '%.100s'", ini->path, ini->number,
                expected, found);
}

static Status read_section(Ini *ini, char *text, IniTake take, void *user, Error *error)
{
    char *end = strchr(text, ']');
    if (!end || end[1]) return bad_line(ini, "[section]", text, error);
    ini->section = trim(text + 1, end);
    if (!*ini->section) return bad_line(ini, "the name of a section", "[]", error);
    const IniLine line = { .section = ini->section, .number = ini->number };
    return take(user, &line, error);
}

static Status read_pair(const Ini *ini, char *text, IniTake take, void *user, Error *error)
{
    char *sign = strchr(text, '=');
    if (!sign) return bad_line(ini, "key = value", text, error);
    if (!ini->section) return bad_line(ini, "a [section] first", text, error);
    char *end = sign + strlen(sign);
    const char *key = trim(text, sign), *value = trim(sign + 1, end);
    if (!*key) return bad_line(ini, "a key before the =", value, error);
    const IniLine line = { ini->section, key, value, ini->number };
    return take(user, &line, error);
}

static Status read_line(Ini *ini, char *begin, char *end, IniTake take, void *user, Error *error)
{
    if (end - begin > INI_LINE_MAX)
        return fail(error, BAD_FILE, "%s:%d: expected a line of at most %d bytes, found %lld",
                    ini->path, ini->number, INI_LINE_MAX, (long long)(end - begin));
    char *text = trim(begin, end);
    if (!*text || *text == '#' || *text == ';') return OK;
    return *text == '[' ? read_section(ini, text, take, user, error)
                        : read_pair(ini, text, take, user, error);
}

Status ini_read(char *text, size_t n_bytes, const char *path, IniTake take, void *user, Error *error)
{
    Ini ini = { .path = path, .number = 1 };
    if (n_bytes > INI_BYTES_MAX)
        return fail(error, BAD_FILE, "%s: expected at most %d bytes, found %zu", path,
                    INI_BYTES_MAX, n_bytes);
    if (!utf8_valid(text, n_bytes) || memchr(text, 0, n_bytes))
        return fail(error, BAD_FILE, "%s: expected a text in UTF-8", path);
    for (char *at = text, *end = text + n_bytes; at < end; ini.number++) {
        char *newline = memchr(at, '\n', (size_t)(end - at));
        char *stop = newline ? newline : end;
        TRY(read_line(&ini, at, stop, take, user, error));
        at = stop + 1;
    }
    return OK;
}
