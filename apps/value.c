/* SPDX-License-Identifier: Apache-2.0
 * apps/value.c - one text to one value, strictly: no spaces, no half numbers, and the range is
 * said. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/checked.h"

/* ---- numbers ---- */

/* 1 for "", 1024 for K and KiB, 1000 for KB; likewise M and G.  0: not a suffix. */
static int64_t suffix_factor(const char *suffix)
{
    static const char letters[] = "KMG";
    if (!*suffix) return 1;
    const char *at = strchr(letters, toupper((unsigned char)*suffix));
    if (!at) return 0;
    int64_t step;
    if (!suffix[1] || strcasecmp(suffix + 1, "iB") == 0) step = 1024;
    else if (strcasecmp(suffix + 1, "B") == 0) step = 1000;
    else return 0;
    int64_t factor = step;
    for (const char *c = letters; c < at; c++) factor *= step;
    return factor;
}

static bool read_whole(const char *text, bool suffixes, int64_t *out)
{
    const char *digits = text + (*text == '-');
    if (!isdigit((unsigned char)*digits)) return false;
    char *end;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    const int64_t   factor = suffixes ? suffix_factor(end) : *end ? 0 : 1;
    return errno == 0 && factor != 0 && checked_mul(number, factor, out);
}

static bool read_real(const char *text, double *out)
{
    if (text[strspn(text, "+-.0123456789eE")] || isspace((unsigned char)*text))
        return false; /* no hex, no nan */
    char *end;
    *out = strtod(text, &end);
    return *text && !*end && isfinite(*out);
}

static Status out_of_range(const Option *o, const char *where, const char *text, Error *error)
{
    if (o->kind == REAL)
        return fail(error, BAD_ARGUMENT, "%s: expected a number from %g to %g, found '%s'", where,
                    o->min, o->max, text);
    const int64_t most = o->max < 0x1p63 ? (int64_t)o->max : INT64_MAX;
    return fail(error, BAD_ARGUMENT,
                "%s: expected a whole number%s from %.0f to %" PRId64 ", found '%s'", where,
                o->kind == SIZE ? ", perhaps with K, M or G behind it," : "", o->min, most, text);
}

static Status set_number(const Option *o, const char *where, const char *text, Value *value,
                         Error *error)
{
    int64_t    whole = 0;
    double     real  = 0;
    const bool fine =
        o->kind == REAL ? read_real(text, &real) : read_whole(text, o->kind == SIZE, &whole);
    const double x   = o->kind == REAL ? real : (double)whole;
    if (!fine || x < o->min || x > o->max) return out_of_range(o, where, text, error);
    value->whole = whole;
    value->real  = real;
    return OK;
}

/* ---- words ---- */

static bool read_flag(const char *text, Value *value)
{
    static const char *const yes[] = { "", "1", "true", "yes", "on" };
    static const char *const no[]  = { "0", "false", "no", "off" };
    for (int i = 0; i < ARRAY_LEN(yes); i++)
        if (strcasecmp(text, yes[i]) == 0) return value->whole = 1, true;
    for (int i = 0; i < ARRAY_LEN(no); i++)
        if (strcasecmp(text, no[i]) == 0) return value->whole = 0, true;
    return false;
}

static Status set_flag(const char *where, const char *text, Value *value, Error *error)
{
    if (read_flag(text, value)) return OK;
    return fail(error, BAD_ARGUMENT, "%s: expected on or off, found '%s'", where, text);
}

typedef struct Choice { const char *text; bool found; } Choice;

static void compare_choice(void *user, const char *word, size_t n_bytes)
{
    Choice *choice = user;
    if (strlen(choice->text) == n_bytes && strncasecmp(choice->text, word, n_bytes) == 0)
        choice->found = true;
}

static Status set_choice(const Option *o, const char *where, const char *text, Value *value,
                         Error *error)
{
    Choice choice = { .text = text };
    option_words(o, compare_choice, &choice);
    if (o->kind == MAYBE && read_flag(text, value)) return value->text = "", OK;
    if (!choice.found) {
        char words[100] = "";
        for (const char *c = o->meta; *c && strlen(words) < sizeof words - 8; c++)
            strcat(words, *c != '|' ? (char[]){ *c, 0 } : strchr(c + 1, '|') ? ", " : " or ");
        return fail(error, BAD_ARGUMENT, "%s: expected %s, found '%s'", where, words, text);
    }
    value->text  = text;
    value->whole = 1;
    return OK;
}

static Status add_text(const char *text, Value *value, Error *error)
{
    const char **texts = realloc(value->texts, (value->n_texts + 1) * sizeof *texts);
    if (!texts) return fail_memory(error, "the command line");
    texts[value->n_texts++] = text;
    value->texts            = texts;
    return OK;
}

Status option_set(const Option *option, const char *where, const char *text, Value *value,
                  Error *error)
{
    switch (option->kind) {
    case FLAG:   return set_flag(where, text, value, error);
    case WHOLE:
    case SIZE:
    case REAL:   return set_number(option, where, text, value, error);
    case MAYBE:
    case CHOICE: return set_choice(option, where, text, value, error);
    case TEXTS:  return add_text(text, value, error);
    case TEXT:   break;
    }
    value->text = text;
    return OK;
}
