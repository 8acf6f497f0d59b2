/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/format.c - "%s is %d" % (a, b) and "{} is {}".format(a, b).
 *
 * The parts of Python's two format languages that templates use; the rest is an error, never a
 * wrong answer. */
#include "text/jinja/vm.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FIELD_WIDTH_MAX = 10000, PRECISION_MAX = 100, NUMBER_BYTES = 512 };

/* [fill align] [sign] [#] [0] [width] [,] [.precision] [type], of either language. */
typedef struct Spec {
    Value   fill;                       /* one character, or V_ABSENT: a space                  */
    char    align, sign, type;          /* '<' '>' '^' '=', '+' ' ' or 0                        */
    bool    zero, alternate, comma;
    int64_t width, precision;           /* -1: none                                             */
} Spec;

static Status unsupported(Vm *vm, const char *what)
{
    return vm_fail(vm, UNSUPPORTED, "this %s is not supported", what);
}

/* ---- padding ---- */

static Status add_fill(Vm *vm, Text *text, const Spec *spec, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (spec->fill.kind == V_STRING) TRY(text_add_value(vm, text, spec->fill));
        else TRY(text_add(vm, text, spec->zero ? "0" : " ", 1, false));
    }
    return OK;
}

/* The body, padded to the width; `n_sign` bytes in front stay there for '='. */
static Status add_padded(Vm *vm, Text *text, const Spec *spec, const Str *body, char align,
                         size_t n_sign)
{
    const int64_t room = spec->width - (int64_t)str_points(body);
    const int64_t left = room <= 0 || align == '<' ? 0 : align == '^' ? room / 2 : room;
    const size_t sign = align == '=' ? n_sign : 0;
    TRY(text_add_str(vm, text, body, 0, sign));
    TRY(add_fill(vm, text, spec, left));
    TRY(text_add_str(vm, text, body, sign, body->n_bytes));
    return add_fill(vm, text, spec, room - left);
}

/* ---- numbers ---- */

/* 1234567.8 to 1,234,567.8 */
static size_t group_digits(char *s, size_t n)
{
    char grouped[NUMBER_BYTES];
    size_t begin = s[0] == '-' || s[0] == '+' || s[0] == ' ', end = begin, used = 0;
    while (end < n && s[end] >= '0' && s[end] <= '9') end++;
    if (n + (end - begin) / 3 >= NUMBER_BYTES) return n;
    for (size_t i = 0; i < n; i++) {
        if (i > begin && i < end && (end - i) % 3 == 0) grouped[used++] = ',';
        grouped[used++] = s[i];
    }
    memcpy(s, grouped, used);
    return used;
}

static size_t write_base(char *to, uint64_t value, unsigned base, bool capital)
{
    char reversed[64];
    size_t n = 0;
    do reversed[n++] = (capital ? "0123456789ABCDEF" : "0123456789abcdef")[value % base];
    while ((value /= base) > 0);
    for (size_t i = 0; i < n; i++) to[i] = reversed[n - 1 - i];
    return n;
}

/* An integer with sign and prefix; *n_sign is what must stay in front of zeros. */
static void write_int(const Spec *spec, int64_t value, char *s, size_t *n, size_t *n_sign)
{
    const char type = spec->type;
    const unsigned base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
    const uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    *n = 0;
    if (value < 0) s[(*n)++] = '-';
    else if (spec->sign) s[(*n)++] = spec->sign;
    if (spec->alternate && base != 10) {
        s[(*n)++] = '0';
        s[(*n)++] = type;
    }
    *n_sign = *n;
    *n += write_base(s + *n, size, base, type == 'X');
}

/* printf agrees with Python on e, f and g, but for "inf" and a locale's comma. */
static Status write_float(Vm *vm, const Spec *spec, double value, char *s, size_t *n,
                          size_t *n_sign)
{
    const int precision = spec->precision < 0 ? 6 : (int)spec->precision;
    const bool percent = spec->type == '%';
    char pattern[16];
    snprintf(pattern, sizeof pattern, "%%%s%s.*%c", spec->alternate ? "#" : "",
             spec->sign == '+' ? "+" : spec->sign == ' ' ? " " : "", percent ? 'f' : spec->type);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    const int length = snprintf(s, NUMBER_BYTES, pattern, precision, percent ? value * 100 : value);
#pragma GCC diagnostic pop
    if (length < 0 || length >= NUMBER_BYTES - 1)
        return vm_fail(vm, NO_ROOM, "a number is too long to print");
    *n = (size_t)length;
    for (size_t i = 0; i < *n; i++)
        if (s[i] == ',') s[i] = '.';
    if (percent) s[(*n)++] = '%';
    *n_sign = s[0] == '-' || s[0] == '+' || s[0] == ' ';
    return OK;
}

static Status add_number(Vm *vm, Text *text, const Spec *spec, Value v, bool as_float, char align)
{
    char s[NUMBER_BYTES];
    size_t n = 0, n_sign = 0;
    int64_t i = 0;
    if (as_float) {
        TRY(write_float(vm, spec, value_as_double(v), s, &n, &n_sign));
    } else {
        value_as_int(v, &i);
        write_int(spec, i, s, &n, &n_sign);
    }
    if (spec->comma) n = group_digits(s, n);
    const Str body = { .bytes = s, .n_bytes = n };
    return add_padded(vm, text, spec, &body, align, n_sign);
}

static Status add_string(Vm *vm, Text *text, const Spec *spec, const Str *s, char align)
{
    Str cut = *s;
    if (spec->precision >= 0) cut.n_bytes = str_offset(s, 0, (size_t)spec->precision);
    return add_padded(vm, text, spec, &cut, align, 0);
}

/* A decimal number in a format, limited; false when there is none. */
static bool read_number(const Str *s, size_t *at, int64_t *out)
{
    const size_t begin = *at;
    *out = 0;
    for (; *at < s->n_bytes && s->bytes[*at] >= '0' && s->bytes[*at] <= '9'; (*at)++)
        if (*out <= FIELD_WIDTH_MAX) *out = *out * 10 + (s->bytes[*at] - '0');
    return *at > begin;
}

static Status check_spec(Vm *vm, const Spec *spec)
{
    if (spec->width > FIELD_WIDTH_MAX || spec->precision > PRECISION_MAX * 100)
        return vm_fail(vm, NO_ROOM, "a field is wider than %d", FIELD_WIDTH_MAX);
    if (spec->precision > PRECISION_MAX && spec->type != 's' && spec->type != 'r' && spec->type)
        return vm_fail(vm, NO_ROOM, "a number has more than %d places", PRECISION_MAX);
    return OK;
}

/* ---- "..." % values ---- */

typedef struct Percent {
    Vm        *vm;
    const Str *format;
    size_t     at;
    Value      args;
    size_t     n_used;
} Percent;

static Status percent_next(Percent *p, Value *out)
{
    const bool tuple = p->args.kind == V_TUPLE;
    const size_t n = tuple ? p->args.as.list->n : 1;
    if (p->n_used >= n) return vm_fail(p->vm, FAILED, "not enough values for the format");
    *out = tuple ? p->args.as.list->items[p->n_used] : p->args;
    p->n_used++;
    return OK;
}

static char percent_peek(const Percent *p)
{
    return p->at < p->format->n_bytes ? p->format->bytes[p->at] : 0;
}

/* %(name)s */
static Status percent_named(Percent *p, Value *out)
{
    const char *begin = p->format->bytes + p->at + 1;
    const char *end = memchr(begin, ')', p->format->n_bytes - p->at - 1);
    if (!end) return vm_fail(p->vm, FAILED, "a name in a format is never closed");
    if (p->args.kind != V_DICT)
        return vm_fail_type(p->vm, "a mapping for a format with names", p->args);
    Value *found = dict_find_text(p->args.as.dict, begin, (size_t)(end - begin));
    if (!found) return vm_fail(p->vm, FAILED, "the format names what the mapping lacks");
    p->at += (size_t)(end - begin) + 2;
    p->n_used = 1;
    *out = *found;
    return OK;
}

static Status percent_star_or_number(Percent *p, int64_t *out)
{
    Value star;
    if (percent_peek(p) != '*') return read_number(p->format, &p->at, out), OK;
    p->at++;
    TRY(percent_next(p, &star));
    return need_int(p->vm, star, "a width in a format", out);
}

static Status percent_spec(Percent *p, Spec *spec)
{
    spec->align = '>';
    for (char c; (c = percent_peek(p)) != 0 && strchr("-+ 0#", c); p->at++) {
        if (c == '-') spec->align = '<';
        else if (c == '+' || (c == ' ' && !spec->sign)) spec->sign = c;
        else if (c == '0') spec->zero = true;
        else if (c == '#') spec->alternate = true;
    }
    TRY(percent_star_or_number(p, &spec->width));
    if (spec->width < 0) {
        spec->align = '<';
        spec->width = spec->width < -FIELD_WIDTH_MAX ? FIELD_WIDTH_MAX + 1 : -spec->width;
    }
    spec->precision = -1;
    if (percent_peek(p) == '.') {
        p->at++;
        spec->precision = 0;
        TRY(percent_star_or_number(p, &spec->precision));
        if (spec->precision < 0) spec->precision = 0;
    }
    while (percent_peek(p) && strchr("hlL", percent_peek(p))) p->at++;
    spec->type = percent_peek(p);
    if (spec->type) p->at++;
    return check_spec(p->vm, spec);
}

static Status percent_int(Percent *p, Text *text, Spec *spec, Value v)
{
    if (!value_is_number(v) || (v.kind == V_FLOAT && strchr("xXo", spec->type)))
        return vm_fail_type(p->vm, "a number for the format", v);
    if (v.kind == V_FLOAT) {
        if (!(fabs(v.as.real) < 0x1p63))
            return vm_fail(p->vm, FAILED, "an integer needs more than 64 bits");
        v = value_int((int64_t)v.as.real);
    }
    if (spec->precision >= 0) return unsupported(p->vm, "format of an integer");
    if (!strchr("xXo", spec->type)) spec->type = 'd';
    if (spec->align == '<') spec->zero = false;
    return add_number(p->vm, text, spec, v, false, spec->zero ? '=' : spec->align);
}

static Status percent_float(Percent *p, Text *text, Spec *spec, Value v)
{
    if (!value_is_number(v)) return vm_fail_type(p->vm, "a number for the format", v);
    if (!isfinite(value_as_double(v)) || spec->align == '<') spec->zero = false;
    return add_number(p->vm, text, spec, v, true, spec->zero ? '=' : spec->align);
}

static Status percent_text(Percent *p, Text *text, Spec *spec, Value v)
{
    Text printed = { 0 };
    Value body;
    spec->zero = false;
    TRY(spec->type == 's' ? text_add_value(p->vm, &printed, v) : value_repr(p->vm, &printed, v));
    TRY(text_value(p->vm, &printed, &body));
    return add_string(p->vm, text, spec, body.as.string, spec->align);
}

static Status percent_field(Percent *p, Text *text)
{
    Value v;
    Spec spec = { .fill = { .kind = V_ABSENT } };
    const bool named = percent_peek(p) == '(';
    if (named) TRY(percent_named(p, &v));
    TRY(percent_spec(p, &spec));
    if (spec.type == '%') return text_add(p->vm, text, "%", 1, false);
    if (!spec.type || !strchr("srdiuxXofFeEgG", spec.type)) return unsupported(p->vm, "format");
    if (!named) TRY(percent_next(p, &v));
    if (strchr("sr", spec.type)) return percent_text(p, text, &spec, v);
    return strchr("diuxXo", spec.type) ? percent_int(p, text, &spec, v)
                                       : percent_float(p, text, &spec, v);
}

Status format_percent(Vm *vm, const Str *format, Value args, Value *out)
{
    Percent p = { .vm = vm, .format = format, .args = args };
    Text text = { 0 };
    while (p.at < format->n_bytes) {
        const char *percent = memchr(format->bytes + p.at, '%', format->n_bytes - p.at);
        const size_t end = percent ? (size_t)(percent - format->bytes) : format->n_bytes;
        TRY(text_add_str(vm, &text, format, p.at, end));
        p.at = end + 1;
        if (percent) TRY(percent_field(&p, &text));
    }
    const bool all = args.kind == V_TUPLE ? p.n_used == args.as.list->n
                                          : p.n_used > 0 || args.kind == V_DICT ||
                                                args.kind == V_LIST || args.kind == V_UNDEFINED;
    if (!all) return vm_fail(vm, FAILED, "more values than the format has places for");
    return text_value(vm, &text, out);
}

/* ---- "...".format(values) ---- */

typedef struct Braces {
    Vm         *vm;
    const Str  *format;
    const Args *args;                   /* items[0] is the format itself                        */
    int64_t     next;                   /* of "{}"                                              */
    bool        counted, numbered;      /* "{}" was used, "{0}" was                             */
} Braces;

static Status braces_argument(Braces *b, const Str *name, Value *out)
{
    size_t at = 0;
    int64_t index;
    const bool number = read_number(name, &at, &index) && at == name->n_bytes;
    if (name->n_bytes == 0) index = b->next++;
    if (number) b->numbered = true;
    if (b->counted && b->numbered)
        return vm_fail(b->vm, FAILED, "a format counts its places or numbers them, not both");
    if (!number && name->n_bytes > 0) {
        for (size_t i = 0; i < b->args->n_named; i++)
            if (str_equal(b->args->named[i].name, name)) return *out = b->args->named[i].value, OK;
        return vm_fail(b->vm, FAILED, "the format names an argument that is not given");
    }
    if (index + 1 >= (int64_t)b->args->n)
        return vm_fail(b->vm, FAILED, "not enough values for the format");
    *out = b->args->items[index + 1];
    return OK;
}

/* a.b[c]: attributes and items, through the sandbox. */
static Status braces_path(Braces *b, const Str *path, Value *out)
{
    size_t at = 0;
    while (at < path->n_bytes && path->bytes[at] != '.' && path->bytes[at] != '[') at++;
    const Str first = { .bytes = path->bytes, .n_bytes = at };
    if (at == 0 && path->n_bytes > 0) return vm_fail(b->vm, FAILED, "a format has an empty name");
    if (at == 0) b->counted = true;
    TRY(braces_argument(b, &first, out));
    while (at < path->n_bytes) {
        const bool item = path->bytes[at] == '[';
        const size_t begin = ++at;
        while (at < path->n_bytes &&
               (item ? path->bytes[at] != ']' : path->bytes[at] != '.' && path->bytes[at] != '['))
            at++;
        if (at == begin || (item && at == path->n_bytes))
            return vm_fail(b->vm, FAILED, "a format has an empty name");
        Value key;
        TRY(str_slice(b->vm, path, begin, at, &key));
        size_t digits = 0;
        int64_t index;
        if (item && read_number(key.as.string, &digits, &index) && digits == key.as.string->n_bytes)
            key = value_int(index);
        TRY(item ? get_item(b->vm, *out, key, out)
                 : get_attribute(b->vm, *out, key.as.string, out));
        if (item) at++;
    }
    return OK;
}

static bool take(const Str *s, size_t *at, char c)
{
    const bool here = *at < s->n_bytes && s->bytes[*at] == c;
    *at += here;
    return here;
}

static Status braces_spec(Braces *b, const Str *s, Spec *spec)
{
    size_t at = 0;
    const size_t second = str_offset(s, 0, 1);
    *spec = (Spec){ .fill = { .kind = V_ABSENT }, .precision = -1 };
    if (second < s->n_bytes && strchr("<>=^", s->bytes[second])) {
        TRY(str_slice(b->vm, s, 0, second, &spec->fill));
        spec->align = s->bytes[second];
        at = second + 1;
    } else if (s->n_bytes > 0 && strchr("<>=^", s->bytes[0])) {
        spec->align = s->bytes[at++];
    }
    if (at < s->n_bytes && strchr("+- ", s->bytes[at])) {
        spec->sign = s->bytes[at] == '-' ? 0 : s->bytes[at];
        at++;
    }
    spec->alternate = take(s, &at, '#');
    spec->zero = take(s, &at, '0');
    read_number(s, &at, &spec->width);
    spec->comma = take(s, &at, ',');
    if (take(s, &at, '.')) {
        if (!read_number(s, &at, &spec->precision))
            return vm_fail(b->vm, FAILED, "a format lacks its precision");
    }
    if (at < s->n_bytes) spec->type = s->bytes[at++];
    if (at < s->n_bytes) return unsupported(b->vm, "format");
    return check_spec(b->vm, spec);
}

static Status braces_number(Braces *b, Text *text, Spec *spec, Value v)
{
    const bool integer_type = spec->type && strchr("dxXob", spec->type) != NULL;
    const bool float_type = spec->type && strchr("eEfFgG%", spec->type) != NULL;
    const char align = spec->align ? spec->align : spec->zero ? '=' : '>';
    if (spec->type && !integer_type && !float_type) return unsupported(b->vm, "format of a number");
    if (v.kind != V_FLOAT && !float_type) {
        if (spec->precision >= 0) return vm_fail(b->vm, FAILED, "an integer has no precision");
        return add_number(b->vm, text, spec, v, false, align);
    }
    if (integer_type) return vm_fail(b->vm, FAILED, "a float where the format wants an integer");
    if (float_type) return add_number(b->vm, text, spec, v, true, align);
    if (spec->precision >= 0 || spec->sign || spec->comma)
        return unsupported(b->vm, "format of a float");
    char s[32];
    const Str body = { .bytes = s, .n_bytes = float_repr(v.as.real, s) };
    return add_padded(b->vm, text, spec, &body, align, s[0] == '-');
}

static Status braces_value(Braces *b, Text *text, const Str *spec_text, Value v)
{
    Spec spec;
    if (spec_text->n_bytes == 0) return text_add_value(b->vm, text, v);
    TRY(braces_spec(b, spec_text, &spec));
    if (v.kind == V_INT || v.kind == V_FLOAT || (v.kind == V_BOOL && spec.type))
        return braces_number(b, text, &spec, v);
    if (v.kind == V_BOOL) TRY(value_to_string(b->vm, v, &v));
    if (v.kind != V_STRING) return vm_fail_type(b->vm, "a text or number for the format", v);
    if ((spec.type && spec.type != 's') || spec.sign || spec.comma || spec.align == '=' ||
        spec.alternate)
        return vm_fail(b->vm, FAILED, "the format is not one for text");
    return add_string(b->vm, text, &spec, v.as.string, spec.align ? spec.align : '<');
}

/* name!r:spec, between its braces. */
static Status braces_field(Braces *b, Text *text, const Str *field)
{
    const char *colon = memchr(field->bytes, ':', field->n_bytes);
    const size_t n_head = colon ? (size_t)(colon - field->bytes) : field->n_bytes;
    const Str spec = { .bytes = field->bytes + n_head + (colon != NULL),
                       .n_bytes = field->n_bytes - n_head - (colon != NULL) };
    const char *bang = memchr(field->bytes, '!', n_head);
    const Str path = { .bytes = field->bytes,
                       .n_bytes = bang ? (size_t)(bang - field->bytes) : n_head };
    if (memchr(field->bytes, '{', field->n_bytes))
        return unsupported(b->vm, "format within a format");
    Value v;
    TRY(braces_path(b, &path, &v));
    if (bang) {
        Text printed = { 0 };
        const bool whole = field->bytes + n_head - bang == 2;
        if (!whole || (bang[1] != 'r' && bang[1] != 's'))
            return unsupported(b->vm, "conversion in a format");
        TRY(bang[1] == 'r' ? value_repr(b->vm, &printed, v) : text_add_value(b->vm, &printed, v));
        TRY(text_value(b->vm, &printed, &v));
    }
    return braces_value(b, text, &spec, v);
}

Status format_braces(Vm *vm, const Args *args, Value *out)
{
    const Str *s = args->items[0].as.string;
    Braces b = { .vm = vm, .format = s, .args = args };
    Text text = { 0 };
    for (size_t at = 0; at < s->n_bytes;) {
        size_t brace = at;
        while (brace < s->n_bytes && s->bytes[brace] != '{' && s->bytes[brace] != '}') brace++;
        TRY(text_add_str(vm, &text, s, at, brace));
        if (brace == s->n_bytes) break;
        if (brace + 1 < s->n_bytes && s->bytes[brace + 1] == s->bytes[brace]) {
            TRY(text_add_str(vm, &text, s, brace, brace + 1));
            at = brace + 2;
            continue;
        }
        const char *end = memchr(s->bytes + brace, '}', s->n_bytes - brace);
        if (s->bytes[brace] == '}' || !end)
            return vm_fail(vm, FAILED, "a single brace in a format");
        const Str field = { .bytes = s->bytes + brace + 1,
                            .n_bytes = (size_t)(end - s->bytes) - brace - 1,
                            .trusted = false };
        TRY(braces_field(&b, &text, &field));
        at = (size_t)(end - s->bytes) + 1;
    }
    return text_value(vm, &text, out);
}
