/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/filter.c - filters over one value: text and numbers.  Those over many are in
 * text/jinja/filter_list.c. */
#include "base/utf8.h"
#include "text/jinja/vm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Jinja's soft_str: strings stay what they are, everything else is printed. */
static Status soft_string(Vm *vm, Value v, const Str **out)
{
    if (v.kind != V_STRING) TRY(value_to_string(vm, v, &v));
    *out = v.as.string;
    return OK;
}

static Status to_case(Vm *vm, Value v, CaseTo to, Value *out)
{
    const Str *s;
    TRY(soft_string(vm, v, &s));
    TRY(str_to_case(vm, s, to, out));
    return str_mark_markup(vm, s->markup, out);
}

static Status filter_upper(Vm *vm, const Value *a, Value *out)      { return to_case(vm, a[0], CASE_UPPER, out); }
static Status filter_lower(Vm *vm, const Value *a, Value *out)      { return to_case(vm, a[0], CASE_LOWER, out); }
static Status filter_capitalize(Vm *vm, const Value *a, Value *out) { return to_case(vm, a[0], CASE_CAPITAL, out); }

/* Jinja's own title: words begin after white space, '-', '(', '{', '[' and '<'. */
static Status filter_title(Vm *vm, const Value *a, Value *out)
{
    const Str *s;
    Text text = { 0 };
    TRY(soft_string(vm, a[0], &s));
    for (size_t at = 0; at < s->n_bytes;) {
        size_t end = at;
        uint32_t point = 0;
        bool separates = false;
        while (end < s->n_bytes) {      /* up to the end of this word, or of these separators */
            const size_t step = utf8_decode(s->bytes + end, s->n_bytes - end, &point);
            const bool is =
                point_is_space(point) || (point < 0x80 && strchr("-({[<", (int)point) && point);
            if (end == at) separates = is;
            else if (is != separates) break;
            end += step;
        }
        const size_t second = str_offset(s, at, 1);
        Value first, rest;
        TRY(str_slice(vm, s, at, second, &first));
        TRY(str_slice(vm, s, second, end, &rest));
        TRY(str_to_case(vm, first.as.string, CASE_UPPER, &first));
        TRY(str_to_case(vm, rest.as.string, CASE_LOWER, &rest));
        TRY(text_add_value(vm, &text, first));
        TRY(text_add_value(vm, &text, rest));
        at = end;
    }
    return text_value(vm, &text, out);
}

static Status filter_trim(Vm *vm, const Value *a, Value *out)
{
    const Str *s, *chars = NULL;
    size_t begin, end;
    TRY(soft_string(vm, a[0], &s));
    if (a[1].kind != V_ABSENT && a[1].kind != V_NONE)
        TRY(need_string(vm, a[1], "trim's characters", &chars));
    TRY(vm_work(vm, s->n_bytes * (chars ? 1 + chars->n_bytes : 1)));
    str_strip_range(s, chars, true, true, &begin, &end);
    return str_slice(vm, s, begin, end, out);
}

static Status filter_length(Vm *vm, const Value *a, Value *out)
{
    int64_t length;
    bool has;
    TRY(value_length(vm, a[0], &length, &has));
    if (!has) return vm_fail_type(vm, "something with a length", a[0]);
    *out = value_int(length);
    return OK;
}

static Status filter_string(Vm *vm, const Value *a, Value *out)
{
    const Str *s;
    TRY(soft_string(vm, a[0], &s));
    *out = value_string(s);
    return OK;
}

static Status filter_default(Vm *vm, const Value *a, Value *out)
{
    bool boolean = false, truth = true;
    if (a[2].kind != V_ABSENT) TRY(value_truth(vm, a[2], &boolean));
    if (boolean) TRY(value_truth(vm, a[0], &truth));
    *out = a[0];
    if (a[0].kind != V_UNDEFINED && truth) return OK;
    if (a[1].kind != V_ABSENT) return *out = a[1], OK;
    return value_text(vm, "", 0, true, out);
}

static Status filter_replace(Vm *vm, const Value *a, Value *out)
{
    Value items[4] = { a[0], a[1], a[2], a[3] };
    for (int i = 0; i < 3; i++) TRY(value_to_string(vm, items[i], &items[i]));
    if (a[3].kind == V_NONE || a[3].kind == V_ABSENT) items[3] = value_int(-1);
    const Native *method = native_find(jinja_string_methods, "replace", 7);
    return method->call(vm, items, out);
}

/* ---- indent ---- */

static Status indentation(Vm *vm, Value width, const Str **out)
{
    if (width.kind == V_STRING) return *out = width.as.string, OK;
    int64_t n = 4;
    Value spaces, one;
    if (width.kind != V_ABSENT) TRY(need_int(vm, width, "indent's width", &n));
    TRY(value_text(vm, " ", 1, false, &one));
    TRY(binary(vm, T_MUL, one, value_int(n), &spaces));
    *out = spaces.as.string;
    return OK;
}

static Status filter_indent(Vm *vm, const Value *a, Value *out)
{
    const Str *s, *margin;
    bool first = false, blank = false;
    Text text = { 0 };
    if (a[0].kind != V_STRING) return vm_fail_type(vm, "a string to indent", a[0]);
    s = a[0].as.string;
    TRY(indentation(vm, a[1], &margin));
    if (a[2].kind != V_ABSENT) TRY(value_truth(vm, a[2], &first));
    if (a[3].kind != V_ABSENT) TRY(value_truth(vm, a[3], &blank));
    Value items[2] = { a[0], { .kind = V_ABSENT } }, lines;
    TRY(native_find(jinja_string_methods, "splitlines", 10)->call(vm, items, &lines));
    const List *list = lines.as.list;
    /* Jinja adds a newline before it splits: a text that ends with one has an empty last line. */
    const size_t n_bytes = s->n_bytes;
    const bool more = n_bytes == 0 || list->n == 0 || s->bytes[n_bytes - 1] == '\n';
    for (size_t i = 0; i < list->n + more; i++) {
        const Str *line = i < list->n ? list->items[i].as.string : NULL;
        const bool indented = i == 0 ? first : blank || (line && line->n_bytes);
        if (i) TRY(text_add(vm, &text, "\n", 1, false));
        if (indented) TRY(text_add_str(vm, &text, margin, 0, margin->n_bytes));
        if (line) TRY(text_add_str(vm, &text, line, 0, line->n_bytes));
    }
    TRY(text_value(vm, &text, out));
    return str_mark_markup(vm, s->markup, out);
}

/* ---- numbers ---- */

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') return (c | 0x20) - 'a' + 10;
    return 99;
}

/* The base a prefix asks for, moving past it; base 0 takes what it finds. */
static void skip_prefix(const char **s, const char *end, int64_t *base)
{
    if (end - *s > 2 && **s == '0') {
        const int letter = (*s)[1] | 0x20;
        const int found = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
        if (found && (*base == found || *base == 0)) {
            *base = found;
            *s += 2;
            if (**s == '_') (*s)++;
        }
    }
    if (*base == 0) *base = 10;
}

typedef enum Parsed { PARSED, NOT_A_NUMBER, TOO_LARGE } Parsed;

/* Python's int(text, base). */
static Parsed int_parse(const Str *text, int64_t base, int64_t *out)
{
    size_t begin, finish;
    str_strip_range(text, NULL, true, true, &begin, &finish);
    const char *s = text->bytes + begin, *end = text->bytes + finish;
    const bool negative = s < end && *s == '-';
    if (s < end && (*s == '-' || *s == '+')) s++;
    const bool any_base = base == 0;
    const char *digits = s;
    skip_prefix(&s, end, &base);
    const bool zero_first = any_base && s == digits && end - s > 1 && *s == '0';
    int64_t value = 0;
    bool last_digit = false, large = false;
    for (; s < end; s++) {
        const int digit = digit_value(*s);
        if (*s == '_' && last_digit) { last_digit = false; continue; }
        if (digit >= base) return NOT_A_NUMBER;
        last_digit = true;
        large = large || __builtin_mul_overflow(value, base, &value) ||
                __builtin_sub_overflow(value, digit, &value);           /* negative holds one more */
    }
    if (!last_digit || (zero_first && value != 0)) return NOT_A_NUMBER;
    if (large || (!negative && value == INT64_MIN)) return TOO_LARGE;
    *out = negative ? value : -value;
    return PARSED;
}

static Status float_to_int(Vm *vm, double x, Value *out)
{
    if (!(x > -0x1p63 && x < 0x1p63))
        return vm_fail(vm, FAILED, "an integer needs more than 64 bits");
    *out = value_int((int64_t)x);
    return OK;
}

static Status filter_int(Vm *vm, const Value *a, Value *out)
{
    int64_t base = 10, value;
    double x;
    if (a[2].kind != V_ABSENT) TRY(need_int(vm, a[2], "int's base", &base));
    if (base != 0 && (base < 2 || base > 36)) return vm_fail(vm, FAILED, "a base is 2 to 36");
    *out = a[1].kind == V_ABSENT ? value_int(0) : a[1];
    if (a[0].kind == V_UNDEFINED) return vm_fail_type(vm, "a number", a[0]);
    if (value_as_int(a[0], &value)) return *out = value_int(value), OK;
    if (a[0].kind == V_FLOAT) return isnan(a[0].as.real) ? OK : float_to_int(vm, a[0].as.real, out);
    if (a[0].kind != V_STRING) return OK;
    const Str *s = a[0].as.string;
    TRY(vm_work(vm, s->n_bytes));
    const Parsed parsed = int_parse(s, base, &value);
    if (parsed == TOO_LARGE) return vm_fail(vm, FAILED, "an integer needs more than 64 bits");
    if (parsed == PARSED) return *out = value_int(value), OK;
    if (!float_parse(s->bytes, s->n_bytes, &x) || isnan(x)) return OK;
    return float_to_int(vm, x, out);
}

static Status filter_float(Vm *vm, const Value *a, Value *out)
{
    double x;
    *out = a[1].kind == V_ABSENT ? value_float(0) : a[1];
    if (a[0].kind == V_UNDEFINED) return vm_fail_type(vm, "a number", a[0]);
    if (value_is_number(a[0])) return *out = value_float(value_as_double(a[0])), OK;
    if (a[0].kind == V_STRING && float_parse(a[0].as.string->bytes, a[0].as.string->n_bytes, &x))
        *out = value_float(x);
    return OK;
}

static Status filter_abs(Vm *vm, const Value *a, Value *out)
{
    int64_t i;
    if (!value_is_number(a[0])) return vm_fail_type(vm, "a number", a[0]);
    if (!value_as_int(a[0], &i)) return *out = value_float(fabs(a[0].as.real)), OK;
    return i < 0 ? negate(vm, a[0], out) : (*out = value_int(i), OK);
}

/* Half to even, for the decimal that the double really is. */
static double round_decimal(double x, int64_t places)
{
    enum { PLACES_MAX = 330 };
    char text[PLACES_MAX * 2 + 400];
    double rounded;
    if (!isfinite(x) || places > PLACES_MAX) return x;
    if (places >= 0) {
        const int n = snprintf(text, sizeof text, "%.*f", (int)places, x);
        for (int i = 0; i < n; i++)
            if (text[i] == ',') text[i] = '.';              /* a locale's comma */
        return float_parse(text, (size_t)n, &rounded) ? rounded : x;
    }
    const double unit = places < -308 ? INFINITY : pow(10.0, (double)-places);
    return isinf(unit) ? copysign(0.0, x) : rint(x / unit) * unit;
}

static Status round_int(Vm *vm, int64_t i, int64_t places, Value *out)
{
    *out = value_int(i);
    if (places >= 0) return OK;
    int64_t unit = 1;
    for (int64_t p = places; p < 0; p++)
        if (__builtin_mul_overflow(unit, 10, &unit)) return *out = value_int(0), OK;
    int64_t rest = i % unit, down;
    if (rest < 0) rest += unit;
    if (__builtin_sub_overflow(i, rest, &down))
        return vm_fail(vm, FAILED, "an integer needs more than 64 bits");
    const bool up = rest > unit - rest || (rest == unit - rest && (down / unit) % 2 != 0);
    if (__builtin_add_overflow(down, up ? unit : 0, &down))
        return vm_fail(vm, FAILED, "an integer needs more than 64 bits");
    *out = value_int(down);
    return OK;
}

static Status filter_round(Vm *vm, const Value *a, Value *out)
{
    int64_t places = 0, i;
    const Str *method = NULL;
    if (a[1].kind != V_ABSENT) TRY(need_int(vm, a[1], "round's precision", &places));
    if (a[2].kind != V_ABSENT) TRY(need_string(vm, a[2], "round's method", &method));
    if (!value_is_number(a[0])) return vm_fail_type(vm, "a number to round", a[0]);
    if (!method || str_is(method, "common")) {
        if (value_as_int(a[0], &i)) return round_int(vm, i, places, out);
        return *out = value_float(round_decimal(a[0].as.real, places)), OK;
    }
    if (!str_is(method, "ceil") && !str_is(method, "floor"))
        return vm_fail(vm, FAILED, "round knows common, ceil and floor");
    const double unit = pow(10.0, (double)places), scaled = value_as_double(a[0]) * unit;
    if (!isfinite(scaled)) return vm_fail(vm, FAILED, "a number is too large to round");
    *out = value_float((str_is(method, "ceil") ? ceil(scaled) : floor(scaled)) / unit);
    return OK;
}

/* ---- the rest ---- */

static Status filter_attr(Vm *vm, const Value *a, Value *out)
{
    const Str *name;
    TRY(need_string(vm, a[1], "the name of an attribute", &name));
    return get_method(vm, a[0], name, out);
}

static Status filter_safe(Vm *vm, const Value *a, Value *out)
{
    TRY(value_to_string(vm, a[0], out));
    return str_mark_markup(vm, true, out);
}

static Status filter_escape(Vm *vm, const Value *a, Value *out)
{
    const Str *s;
    TRY(soft_string(vm, a[0], &s));
    return str_escape_html(vm, s, out);
}

static Status filter_forceescape(Vm *vm, const Value *a, Value *out)
{
    Value text;
    TRY(value_to_string(vm, a[0], &text));
    return str_escape_html(vm, text.as.string, out);
}

static Status filter_wordcount(Vm *vm, const Value *a, Value *out)
{
    const Str *s;
    int64_t n = 0;
    bool in_word = false;
    TRY(soft_string(vm, a[0], &s));
    TRY(vm_work(vm, s->n_bytes));
    for (size_t at = 0; at < s->n_bytes;) {
        uint32_t point = 0;
        const size_t step = utf8_decode(s->bytes + at, s->n_bytes - at, &point);
        const bool word = point_is_word(point);
        if (word && !in_word) n++;
        in_word = word;
        at += step ? step : 1;
    }
    *out = value_int(n);
    return OK;
}

static Status filter_center(Vm *vm, const Value *a, Value *out)
{
    const Str *s;
    TRY(soft_string(vm, a[0], &s));
    const Value items[3] = { value_string(s), a[1].kind == V_ABSENT ? value_int(80) : a[1],
                             { .kind = V_ABSENT } };
    return native_find(jinja_string_methods, "center", 6)->call(vm, items, out);
}

/* "%s"|format(x) */
static Status filter_format(Vm *vm, const Args *args, Value *out)
{
    const Str *format;
    Value values;
    if (args->n == 0) return vm_fail(vm, FAILED, "format needs a text");
    TRY(soft_string(vm, args->items[0], &format));
    if (args->n > 1 && args->n_named)
        return vm_fail(vm, FAILED, "format takes values or names, not both");
    if (args->n_named == 0) {
        TRY(value_list(vm, V_TUPLE, args->items + 1, args->n - 1, &values));
    } else {
        TRY(value_dict(vm, args->n_named, &values));
        for (size_t i = 0; i < args->n_named; i++)
            TRY(dict_put(vm, values.as.dict, value_string(args->named[i].name),
                         args->named[i].value));
    }
    return format_percent(vm, format, values, out);
}

static Status filter_truncate(Vm *vm, const Value *a, Value *out)
{
    const Str *s, *end = NULL;
    int64_t length = 255, leeway = 5;
    bool kill = false;
    if (a[1].kind != V_ABSENT) TRY(need_int(vm, a[1], "truncate's length", &length));
    if (a[2].kind != V_ABSENT) TRY(value_truth(vm, a[2], &kill));
    if (a[3].kind != V_ABSENT) TRY(need_string(vm, a[3], "truncate's end", &end));
    if (a[4].kind != V_ABSENT && a[4].kind != V_NONE)
        TRY(need_int(vm, a[4], "truncate's leeway", &leeway));
    const int64_t n_end = end ? (int64_t)str_points(end) : 3;
    int64_t n;
    bool has;
    if (length < n_end || leeway < 0)
        return vm_fail(vm, FAILED, "truncate's length or leeway is too small");
    TRY(value_length(vm, a[0], &n, &has));
    *out = a[0];
    if (has && n - leeway <= length) return OK;         /* whatever it is */
    TRY(need_string(vm, a[0], "truncate", &s));
    size_t cut = str_offset(s, 0, (size_t)(length - n_end));
    if (!kill) {                            /* the last word goes whole */
        const char *space = memrchr(s->bytes, ' ', cut);
        if (space) cut = (size_t)(space - s->bytes);
    }
    Text text = { 0 };
    TRY(text_add_str(vm, &text, s, 0, cut));
    TRY(end ? text_add_str(vm, &text, end, 0, end->n_bytes) : text_add(vm, &text, "...", 3, false));
    return text_value(vm, &text, out);
}

const Native jinja_filters_text[] = {
    { .name = "abs",         .params = "number",                        .call = filter_abs },
    { .name = "attr",        .params = "obj name",                      .call = filter_attr },
    { .name = "capitalize",  .params = "s",                             .call = filter_capitalize },
    { .name = "center",      .params = "value width?",                  .call = filter_center },
    { .name = "count",       .params = "obj",                           .call = filter_length },
    { .name = "d",           .params = "value default_value? boolean?", .call = filter_default },
    { .name = "default",     .params = "value default_value? boolean?", .call = filter_default },
    { .name = "e",           .params = "s",                             .call = filter_escape },
    { .name = "escape",      .params = "s",                             .call = filter_escape },
    { .name = "float",       .params = "value default?",                .call = filter_float },
    { .name = "forceescape", .params = "value",                         .call = filter_forceescape },
    { .name = "format",                                                 .call_raw = filter_format },
    { .name = "indent",      .params = "s width? first? blank?",        .call = filter_indent },
    { .name = "int",         .params = "value default? base?",          .call = filter_int },
    { .name = "length",      .params = "obj",                           .call = filter_length },
    { .name = "lower",       .params = "s",                             .call = filter_lower },
    { .name = "replace",     .params = "s old new count?",              .call = filter_replace },
    { .name = "round",       .params = "value precision? method?",      .call = filter_round },
    { .name = "safe",        .params = "value",                         .call = filter_safe },
    { .name = "string",      .params = "object",                        .call = filter_string },
    { .name = "title",       .params = "s",                             .call = filter_title },
    { .name = "tojson",      .params = "x ensure_ascii? indent? separators? sort_keys?", .call = json_dump },
    { .name = "trim",        .params = "value chars?",                  .call = filter_trim },
    { .name = "truncate",    .params = "s length? killwords? end? leeway?", .call = filter_truncate },
    { .name = "upper",       .params = "s",                             .call = filter_upper },
    { .name = "wordcount",   .params = "s",                             .call = filter_wordcount },
    { .name = NULL },
};
