/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/value.c - lists, dictionaries, and what Python says about values: truth, equality,
 * order, membership, length, iteration. */
#include "text/jinja/vm.h"

#include <math.h>
#include <string.h>

/* ---- making ---- */

Status value_missing(Vm *vm, const char *name, size_t n_bytes, Value *out)
{
    Value text;
    TRY(value_text(vm, name, n_bytes < 80 ? n_bytes : 80, false, &text));
    *out = (Value){ .kind = V_UNDEFINED, .as.string = text.as.string };
    return OK;
}

Status value_list(Vm *vm, Kind kind, const Value *items, size_t n, Value *out)
{
    List *list = vm_new(vm, 1, sizeof *list);
    if (!list) return VM_LOST(vm);
    *list = (List){ .items = items, .n = n };
    *out = (Value){ .kind = kind, .as.list = list };
    return OK;
}

Status value_pair(Vm *vm, Value a, Value b, Value *out)
{
    Value *items = vm_new(vm, 2, sizeof *items);
    if (!items) return VM_LOST(vm);
    items[0] = a;
    items[1] = b;
    return value_list(vm, V_TUPLE, items, 2, out);
}

Status value_iterator(Vm *vm, const Value *items, size_t n, Value *out)
{
    Iterator *iterator = vm_new(vm, 1, sizeof *iterator);
    if (!iterator) return VM_LOST(vm);
    *iterator = (Iterator){ .items = items, .n = n };
    *out = (Value){ .kind = V_ITERATOR, .as.iterator = iterator };
    return OK;
}

Status value_dict(Vm *vm, size_t room, Value *out)
{
    Dict *dict = vm_new(vm, 1, sizeof *dict);
    if (!dict) return VM_LOST(vm);
    if (room) {
        dict->items = vm_new(vm, room, sizeof *dict->items);
        if (!dict->items) return VM_LOST(vm);
        dict->room = room;
    }
    *out = (Value){ .kind = V_DICT, .as.dict = dict };
    return OK;
}

Status values_add(Vm *vm, Values *values, Value value)
{
    if (values->n == values->room) {
        const size_t room = values->room ? values->room * 2 : 8;
        Value *items = vm_new(vm, room, sizeof *items);
        if (!items) return VM_LOST(vm);
        if (values->n) memcpy(items, values->items, values->n * sizeof *items);
        values->items = items;
        values->room = room;
    }
    values->items[values->n++] = value;
    return vm_work(vm, 0);
}

/* ---- dictionaries ---- */

Value *dict_find_text(const Dict *dict, const char *key, size_t n_bytes)
{
    for (size_t i = 0; i < dict->n; i++) {
        const Value *k = &dict->items[i].key;
        if (k->kind == V_STRING && k->as.string->n_bytes == n_bytes &&
            memcmp(k->as.string->bytes, key, n_bytes) == 0) return &dict->items[i].value;
    }
    return NULL;
}

Status dict_find(Vm *vm, const Dict *dict, Value key, Value **out)
{
    *out = NULL;
    TRY(vm_work(vm, dict->n * (STEP_BYTES / 16)));
    if (key.kind == V_STRING) {
        *out = dict_find_text(dict, key.as.string->bytes, key.as.string->n_bytes);
        return OK;
    }
    for (size_t i = 0; i < dict->n; i++) {
        bool same;
        TRY(value_equal(vm, dict->items[i].key, key, &same));
        if (!same) continue;
        *out = &dict->items[i].value;
        return OK;
    }
    return OK;
}

Status dict_add(Vm *vm, Dict *dict, Value key, Value value)
{
    if (dict->n == dict->room) {
        const size_t room = dict->room ? dict->room * 2 : 8;
        Entry *items = vm_new(vm, room, sizeof *items);
        if (!items) return VM_LOST(vm);
        if (dict->n) memcpy(items, dict->items, dict->n * sizeof *items);
        dict->items = items;
        dict->room = room;
    }
    dict->items[dict->n++] = (Entry){ key, value };
    return OK;
}

Status dict_put(Vm *vm, Dict *dict, Value key, Value value)
{
    Value *found;
    if (!value_hashable(key)) return vm_fail_type(vm, "a key that can be hashed", key);
    TRY(dict_find(vm, dict, key, &found));
    if (!found) return dict_add(vm, dict, key, value);
    *found = value;
    return OK;
}

/* ---- kinds ---- */

const char *value_type_name(Value v)
{
    static const char *const names[] = {
        [V_ABSENT] = "nothing", [V_UNDEFINED] = "an undefined value", [V_NONE] = "none",
        [V_BOOL] = "a boolean", [V_INT] = "an integer", [V_FLOAT] = "a float",
        [V_STRING] = "a string", [V_LIST] = "a list", [V_TUPLE] = "a tuple", [V_DICT] = "a mapping",
        [V_VIEW] = "a view of a mapping", [V_RANGE] = "a range", [V_ITERATOR] = "a generator",
        [V_NAMESPACE] = "a namespace", [V_LOOP] = "a loop", [V_MACRO] = "a macro",
        [V_METHOD] = "a method", [V_FUNCTION] = "a function", [V_CYCLER] = "a cycler",
        [V_JOINER] = "a joiner",
    };
    return names[v.kind];
}

bool value_is_number(Value v)
{
    return v.kind == V_INT || v.kind == V_FLOAT || v.kind == V_BOOL;
}

bool value_as_int(Value v, int64_t *out)
{
    if (v.kind == V_BOOL) *out = v.as.truth;
    if (v.kind == V_INT) *out = v.as.integer;
    return v.kind == V_BOOL || v.kind == V_INT;
}

double value_as_double(Value v)
{
    int64_t i;
    return value_as_int(v, &i) ? (double)i : v.as.real;
}

bool value_hashable(Value v)
{
    if (v.kind == V_LIST || v.kind == V_DICT || v.kind == V_VIEW) return false;
    /* Tuples of tuples end at the depth a template can write; items are checked where they nest. */
    for (size_t i = 0; v.kind == V_TUPLE && i < v.as.list->n; i++) {
        const Kind kind = v.as.list->items[i].kind;
        if (kind == V_LIST || kind == V_DICT || kind == V_VIEW) return false;
    }
    return true;
}

/* ---- length and items ---- */

static int64_t range_length(const Range *r)
{
    if (r->step > 0) return r->stop > r->start ? (r->stop - r->start - 1) / r->step + 1 : 0;
    return r->start > r->stop ? (r->start - r->stop - 1) / -r->step + 1 : 0;
}

Status value_length(Vm *vm, Value v, int64_t *length, bool *has)
{
    *has = true;
    *length = 0;
    switch (v.kind) {
    case V_UNDEFINED: return OK;
    case V_STRING:
        *length = (int64_t)str_points(v.as.string);
        return vm_work(vm, v.as.string->n_bytes);
    case V_LIST:
    case V_TUPLE:     *length = (int64_t)v.as.list->n; return OK;
    case V_DICT:      *length = (int64_t)v.as.dict->n; return OK;
    case V_VIEW:      *length = (int64_t)v.as.view->dict->n; return OK;
    case V_RANGE:     *length = range_length(v.as.range); return OK;
    case V_LOOP: {
        Value answer;
        const Str name = { .bytes = "length", .n_bytes = 6 };
        TRY(loop_attribute(vm, v.as.loop, &name, &answer));
        *length = answer.as.integer;
        return OK;
    }
    default:          *has = false; return OK;
    }
}

static Status string_items(Vm *vm, const Str *s, const Value **items, size_t *n)
{
    *n = str_points(s);
    Value *points = vm_new(vm, *n, sizeof *points);
    if (!points) return VM_LOST(vm);
    size_t at = 0;
    Str plain = *s;
    plain.markup = false;               /* Markup's characters are plain strings, also in Python */
    for (size_t i = 0; i < *n; i++) {
        const size_t next = str_offset(s, at, 1);
        TRY(vm_work(vm, 0));
        TRY(str_slice(vm, &plain, at, next, &points[i]));
        at = next;
    }
    *items = points;
    return OK;
}

static Status dict_items(Vm *vm, const Dict *dict, ViewOf of, const Value **items, size_t *n)
{
    Value *made = vm_new(vm, dict->n, sizeof *made);
    if (!made) return VM_LOST(vm);
    for (size_t i = 0; i < dict->n; i++) {
        const Entry *e = &dict->items[i];
        if (of == VIEW_ITEMS) TRY(value_pair(vm, e->key, e->value, &made[i]));
        else made[i] = of == VIEW_KEYS ? e->key : e->value;
    }
    *items = made;
    *n = dict->n;
    return vm_work(vm, dict->n * STEP_BYTES);
}

static Status range_items(Vm *vm, const Range *r, const Value **items, size_t *n)
{
    *n = (size_t)range_length(r);
    Value *made = vm_new(vm, *n, sizeof *made);
    if (!made) return VM_LOST(vm);
    for (size_t i = 0; i < *n; i++) made[i] = value_int(r->start + (int64_t)i * r->step);
    *items = made;
    return vm_work(vm, *n * STEP_BYTES);
}

Status value_items(Vm *vm, Value v, const Value **items, size_t *n, bool *iterable)
{
    *iterable = true;
    *items = NULL;
    *n = 0;
    switch (v.kind) {
    case V_UNDEFINED: return OK;
    case V_STRING:    return string_items(vm, v.as.string, items, n);
    case V_LIST:
    case V_TUPLE:     *items = v.as.list->items; *n = v.as.list->n; return OK;
    case V_DICT:      return dict_items(vm, v.as.dict, VIEW_KEYS, items, n);
    case V_VIEW:      return dict_items(vm, v.as.view->dict, v.as.view->of, items, n);
    case V_RANGE:     return range_items(vm, v.as.range, items, n);
    case V_ITERATOR: {                              /* what is left, and then it is empty */
        Iterator *iterator = v.as.iterator;
        *n = iterator->n - iterator->at;
        *items = *n ? iterator->items + iterator->at : NULL;
        iterator->at = iterator->n;
        return OK;
    }
    default:          *iterable = false; return OK;
    }
}

Status value_items_or_fail(Vm *vm, Value v, const Value **items, size_t *n)
{
    bool iterable;
    TRY(value_items(vm, v, items, n, &iterable));
    return iterable ? OK : vm_fail_type(vm, "something to iterate over", v);
}

/* ---- truth, equality, order ---- */

Status value_truth(Vm *vm, Value v, bool *out)
{
    int64_t length;
    bool has;
    switch (v.kind) {
    case V_NONE:   *out = false; return OK;
    case V_BOOL:   *out = v.as.truth; return OK;
    case V_INT:    *out = v.as.integer != 0; return OK;
    case V_FLOAT:  *out = v.as.real < 0 || v.as.real > 0 || isnan(v.as.real); return OK;
    case V_STRING: *out = v.as.string->n_bytes > 0; return OK;
    default:
        TRY(value_length(vm, v, &length, &has));
        *out = !has || length > 0;
        return OK;
    }
}

/* Exact comparison of an integer and a double, as Python has it: -1, 0, 1; 2 with a NaN. */
static int compare_int_float(int64_t i, double x)
{
    if (isnan(x)) return 2;
    if (x >= 0x1p63) return -1;
    if (x < -0x1p63) return 1;
    const int64_t whole = (int64_t)x;
    if (i != whole) return i < whole ? -1 : 1;
    const double rest = x - (double)whole;
    return rest > 0 ? -1 : rest < 0 ? 1 : 0;
}

static int compare_numbers(Value a, Value b)
{
    int64_t i = 0, j = 0;
    const bool a_int = value_as_int(a, &i), b_int = value_as_int(b, &j);
    if (a_int && b_int) return i < j ? -1 : i > j;
    if (a_int) return compare_int_float(i, b.as.real);
    if (b_int) {
        const int reversed = compare_int_float(j, a.as.real);
        return reversed == 2 ? 2 : -reversed;
    }
    const double x = a.as.real, y = b.as.real;
    return isnan(x) || isnan(y) ? 2 : x < y ? -1 : x > y;
}

static Status lists_equal(Vm *vm, const List *a, const List *b, bool *out)
{
    *out = a->n == b->n;
    if (a == b) return OK;
    TRY(vm_nest(vm));
    for (size_t i = 0; *out && i < a->n; i++) TRY(value_equal(vm, a->items[i], b->items[i], out));
    vm_unnest(vm);
    return OK;
}

static Status dicts_equal(Vm *vm, const Dict *a, const Dict *b, bool *out)
{
    *out = a->n == b->n;
    if (a == b) return OK;
    TRY(vm_nest(vm));
    for (size_t i = 0; *out && i < a->n; i++) {
        Value *other;
        TRY(dict_find(vm, b, a->items[i].key, &other));
        *out = other != NULL;
        if (other) TRY(value_equal(vm, a->items[i].value, *other, out));
    }
    vm_unnest(vm);
    return OK;
}

static Status ranges_equal(const Range *a, const Range *b, bool *out)
{
    const int64_t n = range_length(a);
    *out = n == range_length(b) &&
           (n == 0 || (a->start == b->start && (n == 1 || a->step == b->step)));
    return OK;
}

Status value_equal(Vm *vm, Value a, Value b, bool *out)
{
    TRY(vm_work(vm, 0));
    if (value_is_number(a) && value_is_number(b)) {
        *out = compare_numbers(a, b) == 0;
        return OK;
    }
    *out = a.kind == b.kind;
    if (!*out) return OK;
    switch (a.kind) {
    case V_UNDEFINED:
    case V_NONE:     return OK;
    case V_STRING:
        *out = str_equal(a.as.string, b.as.string);
        return vm_work(vm, a.as.string->n_bytes);
    case V_LIST:
    case V_TUPLE:    return lists_equal(vm, a.as.list, b.as.list, out);
    case V_DICT:     return dicts_equal(vm, a.as.dict, b.as.dict, out);
    case V_RANGE:    return ranges_equal(a.as.range, b.as.range, out);
    case V_VIEW:
        *out = a.as.view->of == b.as.view->of && a.as.view->of != VIEW_VALUES;
        return *out ? dicts_equal(vm, a.as.view->dict, b.as.view->dict, out) : OK;
    case V_METHOD:
        *out = a.as.method->native == b.as.method->native;
        return *out ? value_equal(vm, a.as.method->self, b.as.method->self, out) : OK;
    default:         *out = a.as.list == b.as.list; return OK;     /* the same object */
    }
}

static Status lists_less(Vm *vm, const List *a, const List *b, bool or_equal, bool *out)
{
    const size_t n = a->n < b->n ? a->n : b->n;
    TRY(vm_nest(vm));
    for (size_t i = 0; i < n; i++) {
        bool same;
        TRY(value_equal(vm, a->items[i], b->items[i], &same));
        if (same) continue;
        TRY(value_less(vm, a->items[i], b->items[i], or_equal, out));
        vm_unnest(vm);
        return OK;
    }
    vm_unnest(vm);
    *out = or_equal ? a->n <= b->n : a->n < b->n;
    return OK;
}

Status value_less(Vm *vm, Value a, Value b, bool or_equal, bool *out)
{
    if (value_is_number(a) && value_is_number(b)) {
        const int order = compare_numbers(a, b);
        *out = order == -1 || (or_equal && order == 0);
        return OK;
    }
    if (a.kind == V_STRING && b.kind == V_STRING) {         /* UTF-8 sorts as code points do */
        const Str *s = a.as.string, *t = b.as.string;
        const size_t n = s->n_bytes < t->n_bytes ? s->n_bytes : t->n_bytes;
        const int order = memcmp(s->bytes, t->bytes, n);
        *out = order < 0 ||
               (order == 0 && (or_equal ? s->n_bytes <= t->n_bytes : s->n_bytes < t->n_bytes));
        return vm_work(vm, n);
    }
    if (a.kind == b.kind && (a.kind == V_LIST || a.kind == V_TUPLE))
        return lists_less(vm, a.as.list, b.as.list, or_equal, out);
    if (a.kind == V_UNDEFINED) return vm_fail_type(vm, "something to compare", a);
    return vm_fail(vm, FAILED, "%s and %s cannot be ordered", value_type_name(a),
                   value_type_name(b));
}

Status value_contains(Vm *vm, Value container, Value item, bool *out)
{
    *out = false;
    if (container.kind == V_STRING) {
        if (item.kind != V_STRING)
            return vm_fail_type(vm, "a string to look for in a string", item);
        *out = str_find(container.as.string, 0, item.as.string) != SIZE_MAX;
        return vm_work(vm, container.as.string->n_bytes);
    }
    if (container.kind == V_DICT ||
        (container.kind == V_VIEW && container.as.view->of == VIEW_KEYS)) {
        const Dict *dict = container.kind == V_DICT ? container.as.dict : container.as.view->dict;
        Value *found;
        if (!value_hashable(item)) return vm_fail_type(vm, "a key that can be hashed", item);
        TRY(dict_find(vm, dict, item, &found));
        *out = found != NULL;
        return OK;
    }
    Iterator *iterator = container.kind == V_ITERATOR ? container.as.iterator : NULL;
    const size_t at = iterator ? iterator->at : 0;
    const Value *items;
    size_t n;
    TRY(value_items_or_fail(vm, container, &items, &n));
    size_t i = 0;
    for (; !*out && i < n; i++) TRY(value_equal(vm, items[i], item, out));
    if (iterator) iterator->at = at + i;            /* a generator was read up to the match */
    return OK;
}
