/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/json.c - JSON in (messages, tools) and out (the filter tojson, as Python's json.dumps
 * writes it with ensure_ascii off). */
#include "base/utf8.h"
#include "text/jinja/vm.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- out ---- */

typedef struct Dump {
    Vm        *vm;
    Text       text;
    bool       ascii, sort, lines;
    const Str *indent;                  /* of one level, when `lines`                           */
    const Str *comma, *colon;
} Dump;

static Status dump_value(Dump *d, Value v, int level);

static Status words(Dump *d, const char *s)
{
    return text_add(d->vm, &d->text, s, strlen(s), false);
}

static Status new_line(Dump *d, int level)
{
    if (!d->lines) return OK;
    TRY(words(d, "\n"));
    for (int i = 0; i < level; i++)
        TRY(text_add_str(d->vm, &d->text, d->indent, 0, d->indent->n_bytes));
    return OK;
}

static Status dump_escape(Dump *d, const Str *s, size_t at, size_t step, uint32_t point)
{
    static const char letters[] = "\"\\\n\r\t\f\b", names[] = "\"\\nrtfb";
    char escaped[16];
    const char *simple = point && point < 0x80 ? strchr(letters, (int)point) : NULL;
    if (simple) snprintf(escaped, sizeof escaped, "\\%c", names[simple - letters]);
    else if (point < 0x20 || (d->ascii && point >= 0x7f && point < 0x10000))
        snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)point);
    else if (d->ascii && point >= 0x10000)
        snprintf(escaped, sizeof escaped, "\\u%04x\\u%04x", 0xd7c0 + (unsigned)(point >> 10),
                 0xdc00 + (unsigned)(point & 0x3ff));
    else return text_add_str(d->vm, &d->text, s, at, at + step);
    return words(d, escaped);
}

/* Plain stretches are copied as they are, with their origin. */
static Status dump_string(Dump *d, const Str *s)
{
    size_t copied = 0;
    TRY(words(d, "\""));
    for (size_t at = 0; at < s->n_bytes;) {
        uint32_t point = 0;
        const size_t step = utf8_decode(s->bytes + at, s->n_bytes - at, &point);
        if (step == 0) break;           /* cannot be: strings are valid */
        if (point < 0x20 || point == '"' || point == '\\' || (d->ascii && point >= 0x7f)) {
            TRY(text_add_str(d->vm, &d->text, s, copied, at));
            TRY(dump_escape(d, s, at, step, point));
            copied = at + step;
        }
        at += step;
    }
    TRY(text_add_str(d->vm, &d->text, s, copied, s->n_bytes));
    return words(d, "\"");
}

static Status dump_float(Dump *d, double x)
{
    char text[32];
    if (isnan(x)) return words(d, "NaN");
    if (isinf(x)) return words(d, x < 0 ? "-Infinity" : "Infinity");
    const size_t n = float_repr(x, text);
    return text_add(d->vm, &d->text, text, n, false);
}

static Status dump_plain(Dump *d, Value v)
{
    char text[32];
    switch (v.kind) {
    case V_NONE:  return words(d, "null");
    case V_BOOL:  return words(d, v.as.truth ? "true" : "false");
    case V_FLOAT: return dump_float(d, v.as.real);
    default:
        snprintf(text, sizeof text, "%" PRId64, v.as.integer);
        return words(d, text);
    }
}

static Status dump_list(Dump *d, const List *list, int level)
{
    if (list->n == 0) return words(d, "[]");
    TRY(words(d, "["));
    for (size_t i = 0; i < list->n; i++) {
        if (i) TRY(text_add_str(d->vm, &d->text, d->comma, 0, d->comma->n_bytes));
        TRY(new_line(d, level + 1));
        TRY(dump_value(d, list->items[i], level + 1));
    }
    TRY(new_line(d, level));
    return words(d, "]");
}

static Status dump_key(Dump *d, Value key)
{
    if (key.kind == V_STRING) return dump_string(d, key.as.string);
    if (key.kind != V_NONE && !value_is_number(key))
        return vm_fail_type(d->vm, "a name in JSON", key);
    TRY(words(d, "\""));
    TRY(dump_plain(d, key));
    return words(d, "\"");
}

/* Entries in the order they go out. */
static Status dump_order(Dump *d, const Dict *dict, const Entry **out)
{
    *out = dict->items;
    if (!d->sort) return OK;
    Value *keys = vm_new(d->vm, dict->n, sizeof *keys),
          *values = vm_new(d->vm, dict->n, sizeof *values);
    Entry *sorted = vm_new(d->vm, dict->n, sizeof *sorted);
    if (!keys || !values || !sorted) return VM_LOST(d->vm);
    for (size_t i = 0; i < dict->n; i++) {
        keys[i] = dict->items[i].key;
        values[i] = dict->items[i].value;
    }
    TRY(sort_by_keys(d->vm, values, keys, dict->n, false));
    for (size_t i = 0; i < dict->n; i++) sorted[i] = (Entry){ keys[i], values[i] };
    *out = sorted;
    return OK;
}

static Status dump_dict(Dump *d, const Dict *dict, int level)
{
    const Entry *entries;
    if (dict->n == 0) return words(d, "{}");
    TRY(dump_order(d, dict, &entries));
    TRY(words(d, "{"));
    for (size_t i = 0; i < dict->n; i++) {
        if (i) TRY(text_add_str(d->vm, &d->text, d->comma, 0, d->comma->n_bytes));
        TRY(new_line(d, level + 1));
        TRY(dump_key(d, entries[i].key));
        TRY(text_add_str(d->vm, &d->text, d->colon, 0, d->colon->n_bytes));
        TRY(dump_value(d, entries[i].value, level + 1));
    }
    TRY(new_line(d, level));
    return words(d, "}");
}

static Status dump_value(Dump *d, Value v, int level)
{
    switch (v.kind) {
    case V_NONE: case V_BOOL: case V_INT: case V_FLOAT: return dump_plain(d, v);
    case V_STRING: return dump_string(d, v.as.string);
    case V_LIST: case V_TUPLE: case V_DICT:
        TRY(vm_nest(d->vm));
        TRY(v.kind == V_DICT ? dump_dict(d, v.as.dict, level) : dump_list(d, v.as.list, level));
        vm_unnest(d->vm);
        return OK;
    default:       return vm_fail_type(d->vm, "something that JSON can say", v);
    }
}

static Status dump_indent(Dump *d, Value indent)
{
    static const Str nothing = { .bytes = "" };
    int64_t width;
    Value one, spaces;
    d->lines = indent.kind != V_ABSENT && indent.kind != V_NONE;
    d->indent = &nothing;
    if (!d->lines) return OK;
    if (indent.kind == V_STRING) return d->indent = indent.as.string, OK;
    TRY(need_int(d->vm, indent, "tojson's indent", &width));
    TRY(value_text(d->vm, " ", 1, false, &one));
    TRY(binary(d->vm, T_MUL, one, value_int(width), &spaces));
    d->indent = spaces.as.string;
    return OK;
}

static Status dump_separators(Dump *d, Value separators)
{
    static const Str comma = { .bytes = ", ", .n_bytes = 2 },
                     short_comma = { .bytes = ",", .n_bytes = 1 };
    static const Str colon = { .bytes = ": ", .n_bytes = 2 };
    d->comma = d->lines ? &short_comma : &comma;
    d->colon = &colon;
    if (separators.kind == V_ABSENT || separators.kind == V_NONE) return OK;
    const Value *items;
    size_t n;
    TRY(value_items_or_fail(d->vm, separators, &items, &n));
    if (n != 2) return vm_fail(d->vm, FAILED, "tojson takes 2 separators, found %zu", n);
    TRY(need_string(d->vm, items[0], "tojson's separators", &d->comma));
    return need_string(d->vm, items[1], "tojson's separators", &d->colon);
}

Status json_dump(Vm *vm, const Value *a, Value *out)
{
    Dump d = { .vm = vm };
    if (a[1].kind != V_ABSENT) TRY(value_truth(vm, a[1], &d.ascii));
    if (a[4].kind != V_ABSENT) TRY(value_truth(vm, a[4], &d.sort));
    TRY(dump_indent(&d, a[2]));
    TRY(dump_separators(&d, a[3]));
    TRY(dump_value(&d, a[0], 0));
    return text_value(vm, &d.text, out);
}

/* ---- in ---- */

static Status load_value(Vm *vm, const json_t *json, Value *out);

/* Everything that comes through here is untrusted. */
static Status load_array(Vm *vm, const json_t *json, Value *out)
{
    const size_t n = json_array_size(json);
    Value *items = vm_new(vm, n, sizeof *items);
    if (!items) return VM_LOST(vm);
    for (size_t i = 0; i < n; i++) TRY(load_value(vm, json_array_get(json, i), &items[i]));
    return value_list(vm, V_LIST, items, n, out);
}

static Status load_object(Vm *vm, json_t *json, Value *out)
{
    const char *name;
    size_t n_bytes;
    json_t *member;
    TRY(value_dict(vm, json_object_size(json), out));
    json_object_keylen_foreach(json, name, n_bytes, member) {
        Value key, value;
        TRY(value_text(vm, name, n_bytes, false, &key));
        TRY(load_value(vm, member, &value));
        TRY(dict_add(vm, out->as.dict, key, value));    /* jansson has made them unique */
    }
    return OK;
}

static Status load_value(Vm *vm, const json_t *json, Value *out)
{
    switch (json_typeof(json)) {
    case JSON_NULL:    return *out = value_none(), OK;
    case JSON_TRUE:    return *out = value_bool(true), OK;
    case JSON_FALSE:   return *out = value_bool(false), OK;
    case JSON_INTEGER: return *out = value_int((int64_t)json_integer_value(json)), OK;
    case JSON_REAL:    return *out = value_float(json_real_value(json)), OK;
    case JSON_STRING:
        return value_text(vm, json_string_value(json), json_string_length(json), false, out);
    case JSON_ARRAY:
    case JSON_OBJECT:  break;
    }
    TRY(vm_nest(vm));
    /* jansson's iterators want a json_t that is not const, and do not change it. */
    union { const json_t *in; json_t *out; } same = { .in = json };
    TRY(json_is_array(json) ? load_array(vm, json, out) : load_object(vm, same.out, out));
    vm_unnest(vm);
    return OK;
}

/* "\ud83d" without its other half: Python reads it, jansson refuses it, and no UTF-8 can say it.
 * Such escapes become U+FFFD before parsing. */
static bool is_unit(const char *s, size_t left, const char *high_digits)
{
    if (left < 6 || s[0] != '\\' || s[1] != 'u' || (s[2] | 0x20) != 'd') return false;
    return s[3] && strchr(high_digits, s[3] | 0x20) != NULL;
}

static char *mend_surrogates(Vm *vm, const char *text, size_t n_bytes)
{
    char *copy = vm_new(vm, n_bytes + 1, 1);
    if (!copy) return NULL;
    if (n_bytes) memcpy(copy, text, n_bytes);
    for (size_t i = 0; i < n_bytes; i++) {
        if (copy[i] != '\\') continue;
        const bool high = is_unit(copy + i, n_bytes - i, "89ab");
        const bool pair =
            high && is_unit(copy + i + 6, n_bytes - i < 6 ? 0 : n_bytes - i - 6, "cdef");
        const bool alone = (high && !pair) || is_unit(copy + i, n_bytes - i, "cdef");
        if (alone) memcpy(copy + i + 2, "fffd", 4);
        i += pair ? 11 : 1;             /* past the character that is escaped */
    }
    return copy;
}

Status json_load(Vm *vm, const char *what, const char *text, size_t n_bytes, Value *out)
{
    json_error_t where;
    char *mended = mend_surrogates(vm, text, n_bytes);
    if (!mended) return VM_LOST(vm);
    json_t *json = json_loadb(mended, n_bytes, JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
    /* Where jansson has no words, it had no memory. */
    if (!json && (!where.text[0] || json_error_code(&where) == json_error_out_of_memory))
        return fail_memory(vm->error, what);
    if (!json)
        return fail(vm->error, BAD_ARGUMENT, "%s: line %d: %s", what, where.line, where.text);
    const Status status = load_value(vm, json, out);
    json_decref(json);
    return status;
}
