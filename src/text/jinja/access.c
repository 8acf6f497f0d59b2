/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/access.c - x.name, x[key] and x[a:b:c] in the sandbox.
 *
 * x.name asks for a method first and an item second, x[key] the other way round.  Only the
 * methods in our tables exist, so there is nothing to escape to; those that would change a list or
 * a mapping are known by name and are undefined, as in Jinja's immutable sandbox. */
#include "text/jinja/vm.h"

#include <string.h>

static const char *const changing_list[] = { "append", "clear", "extend", "insert", "pop", "remove",
                                             "reverse", "sort", NULL };
static const char *const changing_dict[] = {
    "clear", "pop", "popitem", "setdefault", "update", NULL
};

static bool in_names(const char *const *names, const Str *name)
{
    for (; *names; names++)
        if (str_is(name, *names)) return true;
    return false;
}

static Status bind(Vm *vm, Value self, const Native *native, Value *out)
{
    Method *method = vm_new(vm, 1, sizeof *method);
    if (!method) return VM_LOST(vm);
    *method = (Method){ .self = self, .native = native };
    *out = (Value){ .kind = V_METHOD, .as.method = method };
    return OK;
}

static const Native *methods_of(Kind kind)
{
    switch (kind) {
    case V_STRING: return jinja_string_methods;
    case V_LIST:
    case V_TUPLE:
    case V_RANGE:  return jinja_list_methods;
    case V_DICT:   return jinja_dict_methods;
    case V_LOOP:   return jinja_loop_methods;
    case V_CYCLER: return jinja_cycler_methods;
    default:       return NULL;
    }
}

static Status group_attribute(const List *group, const Str *name, Value *out, bool *found)
{
    if (str_is(name, "grouper")) *out = group->items[0];
    else if (str_is(name, "list")) *out = group->items[1];
    else *found = false;
    return OK;
}

/* What Python's getattr() would find. */
static Status find_attribute(Vm *vm, Value object, const Str *name, Value *out, bool *found)
{
    *found = true;
    const bool changes = (object.kind == V_LIST && in_names(changing_list, name)) ||
                         (object.kind == V_DICT && in_names(changing_dict, name));
    if (changes) return value_missing(vm, name->bytes, name->n_bytes, out);
    const Native *table = methods_of(object.kind);
    const Native *method = table ? native_find(table, name->bytes, name->n_bytes) : NULL;
    if (method) return bind(vm, object, method, out);
    if (object.kind == V_NAMESPACE) {
        const Value *value = dict_find_text(object.as.dict, name->bytes, name->n_bytes);
        if (value) return *out = *value, OK;
    }
    if (object.kind == V_LOOP) {
        TRY(loop_attribute(vm, object.as.loop, name, out));
        if (out->kind != V_ABSENT) return OK;
    }
    if (object.kind == V_TUPLE && object.as.list->grouped)
        return group_attribute(object.as.list, name, out, found);
    if (object.kind == V_MACRO && str_is(name, "name")) {
        *out = value_string(&object.as.macro->node->text);
        return OK;
    }
    if (object.kind == V_CYCLER && str_is(name, "current")) {
        *out = object.as.cycler->items[object.as.cycler->at];
        return OK;
    }
    *found = false;
    return OK;
}

/* An index that may be negative; false when it is outside. */
static bool place(int64_t index, size_t n, size_t *out)
{
    const int64_t length = (int64_t)n;
    if (index < 0) index += length;
    if (index < 0 || index >= length) return false;
    *out = (size_t)index;
    return true;
}

static Status string_item(Vm *vm, const Str *s, int64_t index, Value *out, bool *found)
{
    size_t point;
    TRY(vm_work(vm, s->n_bytes));
    *found = place(index, str_points(s), &point);
    if (!*found) return OK;
    const size_t begin = str_offset(s, 0, point);
    return str_slice(vm, s, begin, str_offset(s, begin, 1), out);
}

/* What Python's x[key] would find. */
static Status find_item(Vm *vm, Value object, Value key, Value *out, bool *found)
{
    *found = false;
    if (object.kind == V_UNDEFINED) return vm_fail_type(vm, "something that has items", object);
    if (object.kind == V_DICT) {
        Value *value;
        if (!value_hashable(key)) return OK;
        TRY(dict_find(vm, object.as.dict, key, &value));
        *found = value != NULL;
        if (value) *out = *value;
        return OK;
    }
    int64_t index;
    size_t at;
    if (!value_as_int(key, &index)) return OK;
    if (object.kind == V_STRING) return string_item(vm, object.as.string, index, out, found);
    if (object.kind == V_LIST || object.kind == V_TUPLE) {
        *found = place(index, object.as.list->n, &at);
        if (*found) *out = object.as.list->items[at];
    } else if (object.kind == V_RANGE) {
        int64_t length;
        bool has;
        TRY(value_length(vm, object, &length, &has));
        *found = place(index, (size_t)length, &at);
        if (*found) *out = value_int(object.as.range->start + (int64_t)at * object.as.range->step);
    }
    return OK;
}

Status get_attribute(Vm *vm, Value object, const Str *name, Value *out)
{
    bool found;
    if (object.kind == V_UNDEFINED)
        return vm_fail_type(vm, "something that has attributes", object);
    TRY(find_attribute(vm, object, name, out, &found));
    if (!found) TRY(find_item(vm, object, value_string(name), out, &found));
    return found ? OK : value_missing(vm, name->bytes, name->n_bytes, out);
}

Status get_method(Vm *vm, Value object, const Str *name, Value *out)
{
    bool found;
    if (object.kind == V_UNDEFINED)
        return vm_fail_type(vm, "something that has attributes", object);
    TRY(find_attribute(vm, object, name, out, &found));
    return found ? OK : value_missing(vm, name->bytes, name->n_bytes, out);
}

Status get_item(Vm *vm, Value object, Value key, Value *out)
{
    bool found;
    TRY(find_item(vm, object, key, out, &found));
    if (!found && key.kind == V_STRING) TRY(find_attribute(vm, object, key.as.string, out, &found));
    if (found) return OK;
    if (key.kind == V_STRING)
        return value_missing(vm, key.as.string->bytes, key.as.string->n_bytes, out);
    *out = value_undefined();
    return OK;
}

/* ---- slices ---- */

typedef struct Slice { int64_t start, step, n; } Slice;

/* A bound moved into [low, high], as Python does for out-of-range ones. */
static int64_t clamp(int64_t bound, int64_t length, int64_t low, int64_t high)
{
    if (bound < 0) bound = bound < -length ? -1 : bound + length;
    return bound < low ? low : bound > high ? high : bound;
}

static Status resolve_slice(Vm *vm, const Value bounds[3], int64_t length, Slice *out)
{
    int64_t start = 0, stop = 0, step = 1;
    if (bounds[2].kind != V_NONE) TRY(need_int(vm, bounds[2], "the step of a slice", &step));
    if (step == 0) return vm_fail(vm, FAILED, "the step of a slice is zero");
    const int64_t low = step < 0 ? -1 : 0, high = step < 0 ? length - 1 : length;
    if (bounds[0].kind != V_NONE) TRY(need_int(vm, bounds[0], "the start of a slice", &start));
    if (bounds[1].kind != V_NONE) TRY(need_int(vm, bounds[1], "the end of a slice", &stop));
    start = bounds[0].kind == V_NONE ? (step < 0 ? high : low) : clamp(start, length, low, high);
    stop = bounds[1].kind == V_NONE ? (step < 0 ? low : high) : clamp(stop, length, low, high);
    if (step < -length - 1) step = -length - 1;         /* one item either way, and nothing wraps */
    if (step > length + 1) step = length + 1;
    int64_t n = 0;
    if (step > 0 && stop > start) n = (stop - start - 1) / step + 1;
    if (step < 0 && start > stop) n = (start - stop - 1) / -step + 1;
    *out = (Slice){ .start = start, .step = step, .n = n };
    return OK;
}

static Status slice_string(Vm *vm, const Str *s, const Value bounds[3], Value *out)
{
    Slice slice;
    const size_t length = str_points(s);
    TRY(vm_work(vm, s->n_bytes));
    TRY(resolve_slice(vm, bounds, (int64_t)length, &slice));
    if (slice.step == 1) {
        const size_t begin = str_offset(s, 0, (size_t)slice.start);
        return str_slice(vm, s, begin, str_offset(s, begin, (size_t)slice.n), out);
    }
    const Value whole = value_string(s);
    const Value *points;
    size_t n;
    TRY(value_items_or_fail(vm, whole, &points, &n));
    Text text = { 0 };
    for (int64_t i = 0; i < slice.n; i++) {
        const Str *point = points[slice.start + i * slice.step].as.string;
        TRY(text_add_str(vm, &text, point, 0, point->n_bytes));
    }
    return text_value(vm, &text, out);
}

static Status slice_list(Vm *vm, Value object, const Value bounds[3], Value *out)
{
    Slice slice;
    const List *list = object.as.list;
    TRY(resolve_slice(vm, bounds, (int64_t)list->n, &slice));
    if (slice.step == 1)
        return value_list(vm, object.kind, list->items + slice.start, (size_t)slice.n, out);
    Value *items = vm_new(vm, (size_t)slice.n, sizeof *items);
    if (!items) return VM_LOST(vm);
    for (int64_t i = 0; i < slice.n; i++) items[i] = list->items[slice.start + i * slice.step];
    TRY(vm_work(vm, (size_t)slice.n * sizeof *items));
    return value_list(vm, object.kind, items, (size_t)slice.n, out);
}

static Status slice_range(Vm *vm, Value object, const Value bounds[3], Value *out)
{
    const Range *r = object.as.range;
    int64_t length;
    bool has;
    Slice slice;
    TRY(value_length(vm, object, &length, &has));
    TRY(resolve_slice(vm, bounds, length, &slice));
    Range *part = vm_new(vm, 1, sizeof *part);
    if (!part) return VM_LOST(vm);
    if (__builtin_mul_overflow(slice.start, r->step, &part->start) ||
        __builtin_add_overflow(part->start, r->start, &part->start) ||
        __builtin_mul_overflow(r->step, slice.step, &part->step) ||
        __builtin_mul_overflow(slice.n, part->step, &part->stop) ||
        __builtin_add_overflow(part->start, part->stop, &part->stop))
        return vm_fail(vm, FAILED, "a range is too large");
    *out = (Value){ .kind = V_RANGE, .as.range = part };
    return OK;
}

Status get_slice(Vm *vm, Value object, const Value bounds[3], Value *out)
{
    switch (object.kind) {
    case V_STRING: return slice_string(vm, object.as.string, bounds, out);
    case V_LIST:
    case V_TUPLE:  return slice_list(vm, object, bounds, out);
    case V_RANGE:  return slice_range(vm, object, bounds, out);
    default:       return vm_fail_type(vm, "something to slice", object);
    }
}
