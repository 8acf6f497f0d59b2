/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/print.c - values as Python prints them: repr() of everything but strings' str(). */
#include "base/utf8.h"
#include "text/jinja/vm.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- floats ---- */

/* The shortest digits that read back as x, and the decimal exponent of the first. */
static int shortest_digits(double x, char digits[20], int *exponent)
{
    char text[40];
    /* 15 digits always come back, but for subnormal numbers, which hold fewer. */
    for (int precision = x < 0x1p-1022 ? 0 : 14; precision <= 16; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, x);
        if (strtod(text, NULL) == x) break;
    }
    int n = 0;
    const char *e = strchr(text, 'e');
    for (const char *c = text; c < e; c++)          /* the point may be a locale's comma */
        if (*c >= '0' && *c <= '9') digits[n++] = *c;
    while (n > 1 && digits[n - 1] == '0') n--;
    *exponent = atoi(e + 1);
    return n;
}

/* Places the point: 0.0001 .. 1e16 without an exponent, as Python does. */
static size_t place_point(char *to, const char *digits, int n, int exponent)
{
    char *at = to;
    if (exponent < -4 || exponent >= 16) {
        *at++ = digits[0];
        if (n > 1) *at++ = '.';
        for (int i = 1; i < n; i++) *at++ = digits[i];
        return (size_t)(at - to) +
               (size_t)sprintf(at, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
    }
    if (exponent < 0) {
        *at++ = '0';
        *at++ = '.';
        for (int i = -1; i > exponent; i--) *at++ = '0';
    }
    for (int i = 0; i < n || i <= exponent; i++) {
        *at++ = i < n ? digits[i] : '0';
        if (i == exponent) *at++ = '.';
    }
    if (at[-1] == '.') *at++ = '0';
    return (size_t)(at - to);
}

size_t float_repr(double x, char out[32])
{
    char digits[20];
    int exponent;
    size_t n = 0;
    if (isnan(x)) return (size_t)sprintf(out, "nan");
    if (signbit(x)) out[n++] = '-';
    if (isinf(x)) return n + (size_t)sprintf(out + n, "inf");
    const int n_digits = shortest_digits(fabs(x), digits, &exponent);
    return n + place_point(out + n, digits, n_digits, exponent);
}

static bool is_word(const char *s, size_t n, const char *word)
{
    if (n != strlen(word)) return false;
    for (size_t i = 0; i < n; i++)
        if ((s[i] | 0x20) != word[i]) return false;
    return true;
}

/* [+-] digits [. digits] [e [+-] digits], underscores between digits; at least one digit. */
static bool float_grammar(const char *s, size_t n)
{
    size_t i = 0, digits = 0;
    bool point = false, exponent = false;
    if (i < n && (s[i] == '+' || s[i] == '-')) i++;
    for (; i < n; i++) {
        const bool digit = s[i] >= '0' && s[i] <= '9';
        const bool next_digit = i + 1 < n && s[i + 1] >= '0' && s[i + 1] <= '9';
        if (digit) digits++;
        else if (s[i] == '_' && i > 0 && s[i - 1] >= '0' && s[i - 1] <= '9' && next_digit) continue;
        else if (s[i] == '.' && !point && !exponent) point = true;
        else if ((s[i] | 0x20) == 'e' && digits && !exponent) {
            exponent = true;
            digits = 0;
            if (i + 1 < n && (s[i + 1] == '+' || s[i + 1] == '-')) i++;
        } else return false;
    }
    return digits > 0;
}

bool float_parse(const char *bytes, size_t n_bytes, double *out)
{
    enum { LONGEST = 1000 };
    const Str all = { .bytes = bytes, .n_bytes = n_bytes };
    size_t begin, end;
    str_strip_range(&all, NULL, true, true, &begin, &end);
    const char *s = bytes + begin;
    const size_t n = end - begin, sign = n > 0 && (s[0] == '-' || s[0] == '+');
    const bool negative = sign && s[0] == '-';
    if (is_word(s + sign, n - sign, "inf") || is_word(s + sign, n - sign, "infinity")) {
        *out = negative ? -INFINITY : INFINITY;
        return true;
    }
    if (is_word(s + sign, n - sign, "nan")) return *out = NAN, true;
    if (n > LONGEST || !float_grammar(s, n)) return false;
    char copy[LONGEST + 8];
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '_') continue;
        copy[used++] = s[i] == '.' ? *localeconv()->decimal_point : s[i];
    }
    copy[used] = 0;
    *out = strtod(copy, NULL);
    return true;
}

/* ---- strings with quotes ---- */

static Status escape_point(Vm *vm, Text *text, const Str *s, size_t at, size_t step, uint32_t point,
                           char quote)
{
    char escaped[12];
    int n = 0;
    if (point == (uint32_t)quote || point == '\\')
        n = snprintf(escaped, sizeof escaped, "\\%c", (int)point);
    else if (point == '\n') n = snprintf(escaped, sizeof escaped, "\\n");
    else if (point == '\r') n = snprintf(escaped, sizeof escaped, "\\r");
    else if (point == '\t') n = snprintf(escaped, sizeof escaped, "\\t");
    else if (point_is_printable(point)) return text_add_str(vm, text, s, at, at + step);
    else if (point < 0x100) n = snprintf(escaped, sizeof escaped, "\\x%02x", (unsigned)point);
    else if (point < 0x10000) n = snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)point);
    else n = snprintf(escaped, sizeof escaped, "\\U%08x", (unsigned)point);
    return text_add(vm, text, escaped, (size_t)n, false);
}

static Status repr_string(Vm *vm, Text *text, const Str *s)
{
    const bool single = memchr(s->bytes, '\'', s->n_bytes) != NULL;
    const bool twin = memchr(s->bytes, '"', s->n_bytes) != NULL;
    const char quote = single && !twin ? '"' : '\'';
    TRY(s->markup ? text_add(vm, text, "Markup(", 7, false) : OK);
    TRY(text_add(vm, text, &quote, 1, false));
    for (size_t i = 0; i < s->n_bytes;) {
        uint32_t point = 0;
        const size_t step = utf8_decode(s->bytes + i, s->n_bytes - i, &point);
        if (step == 0) break;                       /* cannot be: strings are valid */
        TRY(escape_point(vm, text, s, i, step, point, quote));
        i += step;
    }
    TRY(text_add(vm, text, &quote, 1, false));
    return s->markup ? text_add(vm, text, ")", 1, false) : OK;
}

/* ---- containers ---- */

static Status words(Vm *vm, Text *text, const char *s)
{
    return text_add(vm, text, s, strlen(s), false);
}

static Status repr_items(Vm *vm, Text *text, const Value *items, size_t n, const char *open,
                         const char *close)
{
    TRY(words(vm, text, open));
    for (size_t i = 0; i < n; i++) {
        if (i) TRY(words(vm, text, ", "));
        TRY(value_repr(vm, text, items[i]));
    }
    return words(vm, text, close);
}

static Status repr_dict(Vm *vm, Text *text, const Dict *dict)
{
    TRY(words(vm, text, "{"));
    for (size_t i = 0; i < dict->n; i++) {
        if (i) TRY(words(vm, text, ", "));
        TRY(value_repr(vm, text, dict->items[i].key));
        TRY(words(vm, text, ": "));
        TRY(value_repr(vm, text, dict->items[i].value));
    }
    return words(vm, text, "}");
}

static Status repr_view(Vm *vm, Text *text, const View *view)
{
    static const char *const open[] = { "dict_keys([", "dict_values([", "dict_items([" };
    const Value v = { .kind = V_VIEW, .as.view = view };
    const Value *items;
    size_t n;
    TRY(value_items_or_fail(vm, v, &items, &n));
    return repr_items(vm, text, items, n, open[view->of], "])");
}

static Status repr_range(Vm *vm, Text *text, const Range *r)
{
    char s[96];
    const int n = r->step == 1
                      ? snprintf(s, sizeof s, "range(%" PRId64 ", %" PRId64 ")", r->start, r->stop)
                      : snprintf(s, sizeof s, "range(%" PRId64 ", %" PRId64 ", %" PRId64 ")",
                                 r->start, r->stop, r->step);
    return text_add(vm, text, s, (size_t)n, false);
}

static Status repr_number(Vm *vm, Text *text, Value v)
{
    char s[32];
    const size_t n = v.kind == V_FLOAT ? float_repr(v.as.real, s)
                                       : (size_t)snprintf(s, sizeof s, "%" PRId64, v.as.integer);
    return text_add(vm, text, s, n, false);
}

static Status repr_macro(Vm *vm, Text *text, const Macro *macro)
{
    if (macro->node->kind != N_MACRO) return words(vm, text, "<Macro anonymous>");
    TRY(words(vm, text, "<Macro "));
    TRY(repr_string(vm, text, &macro->node->text));
    return words(vm, text, ">");
}

/* Objects that Python prints with an address are printed without. */
static Status repr_object(Vm *vm, Text *text, Value v)
{
    switch (v.kind) {
    case V_ITERATOR: return words(vm, text, "<generator object>");
    case V_LOOP:     return words(vm, text, "<LoopContext>");
    case V_CYCLER:   return words(vm, text, "<Cycler object>");
    case V_JOINER:   return words(vm, text, "<Joiner object>");
    default:         return words(vm, text, "<function>");
    }
}

static Status repr_nested(Vm *vm, Text *text, Value v)
{
    switch (v.kind) {
    case V_LIST:  return repr_items(vm, text, v.as.list->items, v.as.list->n, "[", "]");
    case V_TUPLE:
        return repr_items(vm, text, v.as.list->items, v.as.list->n, "(",
                          v.as.list->n == 1 ? ",)" : ")");
    case V_DICT:  return repr_dict(vm, text, v.as.dict);
    case V_VIEW:  return repr_view(vm, text, v.as.view);
    default:
        TRY(words(vm, text, "<Namespace "));
        TRY(repr_dict(vm, text, v.as.dict));
        return words(vm, text, ">");
    }
}

Status value_repr(Vm *vm, Text *text, Value v)
{
    switch (v.kind) {
    case V_ABSENT:
    case V_UNDEFINED: return words(vm, text, "Undefined");
    case V_NONE:      return words(vm, text, "None");
    case V_BOOL:      return words(vm, text, v.as.truth ? "True" : "False");
    case V_INT:
    case V_FLOAT:     return repr_number(vm, text, v);
    case V_STRING:    return repr_string(vm, text, v.as.string);
    case V_RANGE:     return repr_range(vm, text, v.as.range);
    case V_MACRO:     return repr_macro(vm, text, v.as.macro);
    case V_LIST: case V_TUPLE: case V_DICT: case V_VIEW: case V_NAMESPACE:
        TRY(vm_nest(vm));
        TRY(repr_nested(vm, text, v));
        vm_unnest(vm);
        return OK;
    default:          return repr_object(vm, text, v);
    }
}
