/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/global.c - functions a template can call by name, and methods of lists and mappings. */
#include "text/jinja/vm.h"

#include <string.h>
#include <time.h>

/* ---- functions ---- */

static Status global_range(Vm *vm, const Args *args, Value *out)
{
    static const int64_t bound = (int64_t)1 << 48;      /* far from where sums of two would wrap */
    int64_t numbers[3] = { 0, 0, 1 };
    TRY(need_no_names(vm, args, "range"));
    if (args->n < 1 || args->n > 3) return vm_fail(vm, FAILED, "range takes 1 to 3 arguments");
    for (size_t i = 0; i < args->n; i++) {
        int64_t *to = args->n == 1 ? &numbers[1] : &numbers[i];
        TRY(need_int(vm, args->items[i], "range", to));
        if (*to > bound || *to < -bound)
            return vm_fail(vm, NO_ROOM, "a number is too large for range");
    }
    if (numbers[2] == 0) return vm_fail(vm, FAILED, "the step of range is zero");
    Range *range = vm_new(vm, 1, sizeof *range);
    if (!range) return VM_LOST(vm);
    *range = (Range){ numbers[0], numbers[1], numbers[2] };
    *out = (Value){ .kind = V_RANGE, .as.range = range };
    int64_t length;
    bool has;
    TRY(value_length(vm, *out, &length, &has));
    return length <= RANGE_MAX ? OK : vm_fail(vm, NO_ROOM, "a range is longer than %d", RANGE_MAX);
}

static Status dict_put_pairs(Vm *vm, Dict *dict, Value pairs)
{
    const Value *items;
    size_t n;
    TRY(value_items_or_fail(vm, pairs, &items, &n));
    for (size_t i = 0; i < n; i++) {
        const Value *pair;
        size_t two;
        TRY(value_items_or_fail(vm, items[i], &pair, &two));
        if (two != 2)
            return vm_fail(vm, FAILED, "dict takes pairs, found %zu values together", two);
        TRY(dict_put(vm, dict, pair[0], pair[1]));
    }
    return OK;
}

static Status global_dict(Vm *vm, const Args *args, Value *out)
{
    TRY(value_dict(vm, args->n_named, out));
    Dict *dict = out->as.dict;
    if (args->n > 1) return vm_fail(vm, FAILED, "dict takes one mapping, and names");
    if (args->n == 1 && args->items[0].kind == V_DICT) {
        const Dict *from = args->items[0].as.dict;
        for (size_t i = 0; i < from->n; i++)
            TRY(dict_add(vm, dict, from->items[i].key, from->items[i].value));
        TRY(vm_work(vm, from->n * STEP_BYTES));
    } else if (args->n == 1) {
        TRY(dict_put_pairs(vm, dict, args->items[0]));
    }
    for (size_t i = 0; i < args->n_named; i++)
        TRY(dict_put(vm, dict, value_string(args->named[i].name), args->named[i].value));
    return OK;
}

static Status global_namespace(Vm *vm, const Args *args, Value *out)
{
    TRY(global_dict(vm, args, out));
    out->kind = V_NAMESPACE;
    return OK;
}

static Status global_joiner(Vm *vm, const Value *a, Value *out)
{
    Joiner *joiner = vm_new(vm, 1, sizeof *joiner);
    if (!joiner) return VM_LOST(vm);
    joiner->separator = a[0];
    if (a[0].kind == V_ABSENT) TRY(value_text(vm, ", ", 2, false, &joiner->separator));
    *out = (Value){ .kind = V_JOINER, .as.joiner = joiner };
    return OK;
}

static Status global_cycler(Vm *vm, const Args *args, Value *out)
{
    TRY(need_no_names(vm, args, "cycler"));
    if (args->n == 0) return vm_fail(vm, FAILED, "cycler needs items");
    Cycler *cycler = vm_new(vm, 1, sizeof *cycler);
    if (!cycler) return VM_LOST(vm);
    *cycler = (Cycler){ .items = args->items, .n = args->n };
    *out = (Value){ .kind = V_CYCLER, .as.cycler = cycler };
    return OK;
}

/* How a template says that these messages cannot be rendered: the caller's mistake. */
static Status global_raise(Vm *vm, const Value *a, Value *out)
{
    Value text;
    (void)out;
    TRY(value_to_string(vm, a[0], &text));
    const Str *s = text.as.string;
    return vm_fail(vm, BAD_ARGUMENT, "%.*s", (int)(s->n_bytes < 300 ? s->n_bytes : 300), s->bytes);
}

static Status global_strftime(Vm *vm, const Value *a, Value *out)
{
    const Str *format;
    char pattern[256], text[512];
    struct tm local;
    const time_t now = (time_t)vm->now;
    TRY(need_string(vm, a[0], "strftime_now", &format));
    if (format->n_bytes >= sizeof pattern - 1)
        return vm_fail(vm, NO_ROOM, "a format of time is too long");
    /* A character in front, so that an empty answer differs from one that does not fit. */
    pattern[0] = '.';
    memcpy(pattern + 1, format->bytes, format->n_bytes);
    pattern[format->n_bytes + 1] = 0;
    if (!localtime_r(&now, &local)) return vm_fail(vm, FAILED, "the time cannot be told");
    const size_t n = strftime(text, sizeof text, pattern, &local);
    if (n == 0) return vm_fail(vm, NO_ROOM, "a time in words is too long");
    return value_text(vm, text + 1, n - 1, false, out);
}

const Native jinja_globals[] = {
    { .name = "range",                                .call_raw = global_range },
    { .name = "dict",                                 .call_raw = global_dict },
    { .name = "namespace",                            .call_raw = global_namespace },
    { .name = "joiner",          .params = "sep?",    .call = global_joiner },
    { .name = "cycler",                               .call_raw = global_cycler },
    { .name = "raise_exception", .params = "message", .call = global_raise },
    { .name = "strftime_now",    .params = "format",  .call = global_strftime },
    { .name = NULL },
};

/* ---- methods of mappings ---- */

static Status view_of(Vm *vm, Value dict, ViewOf of, Value *out)
{
    View *view = vm_new(vm, 1, sizeof *view);
    if (!view) return VM_LOST(vm);
    *view = (View){ .dict = dict.as.dict, .of = of };
    *out = (Value){ .kind = V_VIEW, .as.view = view };
    return OK;
}

static Status dict_keys(Vm *vm, const Value *a, Value *out)   { return view_of(vm, a[0], VIEW_KEYS, out); }
static Status dict_values(Vm *vm, const Value *a, Value *out) { return view_of(vm, a[0], VIEW_VALUES, out); }
static Status dict_items(Vm *vm, const Value *a, Value *out)  { return view_of(vm, a[0], VIEW_ITEMS, out); }

static Status dict_get(Vm *vm, const Value *a, Value *out)
{
    Value *found;
    if (!value_hashable(a[1])) return vm_fail_type(vm, "a key that can be hashed", a[1]);
    TRY(dict_find(vm, a[0].as.dict, a[1], &found));
    *out = found ? *found : a[2].kind == V_ABSENT ? value_none() : a[2];
    return OK;
}

/* Values never change, so a copy is the thing itself. */
static Status copy_method(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    *out = a[0];
    return OK;
}

const Native jinja_dict_methods[] = {
    { .name = "copy",   .params = "self /",              .call = copy_method },
    { .name = "get",    .params = "self key default? /", .call = dict_get },
    { .name = "items",  .params = "self /",              .call = dict_items },
    { .name = "keys",   .params = "self /",              .call = dict_keys },
    { .name = "values", .params = "self /",              .call = dict_values },
    { .name = NULL },
};

/* ---- methods of lists, tuples and ranges ---- */

static Status list_index(Vm *vm, const Value *a, Value *out)
{
    const Value *items;
    size_t n;
    TRY(value_items_or_fail(vm, a[0], &items, &n));
    for (size_t i = 0; i < n; i++) {
        bool same;
        TRY(value_equal(vm, items[i], a[1], &same));
        if (same) return *out = value_int((int64_t)i), OK;
    }
    return vm_fail(vm, FAILED, "index: the value is not in the list");
}

static Status list_count(Vm *vm, const Value *a, Value *out)
{
    const Value *items;
    size_t n;
    int64_t found = 0;
    TRY(value_items_or_fail(vm, a[0], &items, &n));
    for (size_t i = 0; i < n; i++) {
        bool same;
        TRY(value_equal(vm, items[i], a[1], &same));
        found += same;
    }
    *out = value_int(found);
    return OK;
}

const Native jinja_list_methods[] = {
    { .name = "copy",  .params = "self /",       .call = copy_method },
    { .name = "count", .params = "self value /", .call = list_count },
    { .name = "index", .params = "self value /", .call = list_index },
    { .name = NULL },
};

/* ---- methods of cyclers ---- */

static Status cycler_next(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    Cycler *cycler = a[0].as.cycler;
    *out = cycler->items[cycler->at];
    cycler->at = (cycler->at + 1) % cycler->n;
    return OK;
}

static Status cycler_reset(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    a[0].as.cycler->at = 0;
    *out = value_none();
    return OK;
}

const Native jinja_cycler_methods[] = {
    { .name = "next",  .params = "self /", .call = cycler_next },
    { .name = "reset", .params = "self /", .call = cycler_reset },
    { .name = NULL },
};
