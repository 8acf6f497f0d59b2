/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/filter_list.c - filters over many values.
 *
 * Where Jinja gives a generator (map, select, unique, ...) the result here is computed at once but
 * behaves as one: always true, without a length, read once. */
#include "text/jinja/vm.h"

#include <string.h>

/* ---- "a.b.0": attributes by path ---- */

static Status path_part(Vm *vm, const Str *path, size_t begin, size_t end, Value *key)
{
    bool digits = end > begin;
    int64_t number = 0;
    for (size_t i = begin; i < end; i++) {
        const char c = path->bytes[i];
        digits = digits && c >= '0' && c <= '9' && number < INT64_MAX / 10 - 10;
        if (digits) number = number * 10 + (c - '0');
    }
    if (digits) return *key = value_int(number), OK;
    return str_slice(vm, path, begin, end, key);
}

static Status get_path(Vm *vm, Value item, Value path, const Value *otherwise, Value *out)
{
    *out = item;
    if (path.kind == V_NONE || path.kind == V_ABSENT) return OK;
    if (path.kind != V_STRING) return get_item(vm, item, path, out);
    const Str *s = path.as.string;
    for (size_t at = 0; at <= s->n_bytes;) {
        const char *dot = memchr(s->bytes + at, '.', s->n_bytes - at);
        const size_t end = dot ? (size_t)(dot - s->bytes) : s->n_bytes;
        Value key;
        TRY(path_part(vm, s, at, end, &key));
        TRY(get_item(vm, *out, key, out));
        if (otherwise && otherwise->kind != V_NONE && out->kind == V_UNDEFINED) *out = *otherwise;
        at = end + 1;
    }
    return OK;
}

/* What to compare by: the item's attribute, in lower case unless case matters. */
static Status key_of(Vm *vm, Value item, Value attribute, const Value *otherwise,
                     bool case_sensitive, Value *out)
{
    TRY(get_path(vm, item, attribute, otherwise, out));
    if (case_sensitive || out->kind != V_STRING) return OK;
    return str_to_case(vm, out->as.string, CASE_LOWER, out);
}

static Status flag(Vm *vm, Value v, bool *out)
{
    *out = false;
    return v.kind == V_ABSENT ? OK : value_truth(vm, v, out);
}

/* ---- picking ---- */

static Status filter_first(Vm *vm, const Value *a, Value *out)
{
    const Value *items;
    size_t n;
    *out = value_undefined();
    if (a[0].kind == V_ITERATOR) {
        Iterator *it = a[0].as.iterator;
        if (it->at < it->n) *out = it->items[it->at++];
        return OK;
    }
    TRY(value_items_or_fail(vm, a[0], &items, &n));
    if (n) *out = items[0];
    return OK;
}

static Status filter_last(Vm *vm, const Value *a, Value *out)
{
    const Value *items;
    size_t n;
    if (a[0].kind == V_ITERATOR) return vm_fail_type(vm, "something that has a last item", a[0]);
    TRY(value_items_or_fail(vm, a[0], &items, &n));
    *out = n ? items[n - 1] : value_undefined();
    return OK;
}

static Status filter_list(Vm *vm, const Value *a, Value *out)
{
    const Value *items;
    size_t n;
    TRY(value_items_or_fail(vm, a[0], &items, &n));
    return value_list(vm, V_LIST, items, n, out);
}

static Status filter_items(Vm *vm, const Value *a, Value *out)
{
    const Value *items = NULL;
    size_t n = 0;
    if (a[0].kind == V_UNDEFINED) return value_iterator(vm, NULL, 0, out);
    if (a[0].kind != V_DICT) return vm_fail_type(vm, "a mapping", a[0]);
    const View view = { .dict = a[0].as.dict, .of = VIEW_ITEMS };
    TRY(value_items_or_fail(vm, (Value){ .kind = V_VIEW, .as.view = &view }, &items, &n));
    return value_iterator(vm, items, n, out);
}

static Status filter_reverse(Vm *vm, const Value *a, Value *out)
{
    const Value *items;
    size_t n;
    if (a[0].kind == V_STRING) {
        const Value bounds[3] = { value_none(), value_none(), value_int(-1) };
        return get_slice(vm, a[0], bounds, out);
    }
    TRY(value_items_or_fail(vm, a[0], &items, &n));
    Value *reversed = vm_new(vm, n, sizeof *reversed);
    if (!reversed) return VM_LOST(vm);
    for (size_t i = 0; i < n; i++) reversed[i] = items[n - 1 - i];
    TRY(vm_work(vm, n * sizeof *reversed));
    if (a[0].kind == V_ITERATOR) return value_list(vm, V_LIST, reversed, n, out);
    return value_iterator(vm, reversed, n, out);
}

static Status filter_join(Vm *vm, const Value *a, Value *out)
{
    const Value *items;
    size_t n;
    Text text = { 0 };
    TRY(value_items_or_fail(vm, a[0], &items, &n));
    for (size_t i = 0; i < n; i++) {
        Value item;
        if (i && a[1].kind != V_ABSENT) TRY(text_add_value(vm, &text, a[1]));
        TRY(get_path(vm, items[i], a[2], NULL, &item));
        TRY(text_add_value(vm, &text, item));
    }
    return text_value(vm, &text, out);
}

/* ---- map, select, reject ---- */

static Status map_one(Vm *vm, const Args *args, Value item, Value *out)
{
    const Str *name;
    if (args->n < 2) {
        const Value *attribute = NULL, *otherwise = NULL;
        for (size_t i = 0; i < args->n_named; i++) {
            if (str_is(args->named[i].name, "attribute")) attribute = &args->named[i].value;
            else if (str_is(args->named[i].name, "default")) otherwise = &args->named[i].value;
            else return vm_fail(vm, FAILED, "map knows attribute= and default=");
        }
        if (!attribute) return vm_fail(vm, FAILED, "map needs the name of a filter");
        return get_path(vm, item, *attribute, otherwise, out);
    }
    TRY(need_string(vm, args->items[1], "the name of map's filter", &name));
    Value *inner = vm_new(vm, args->n, sizeof *inner);
    if (!inner) return VM_LOST(vm);
    inner[0] = item;
    if (args->n > 2) memcpy(inner + 1, args->items + 2, (args->n - 2) * sizeof *inner);
    const Args rest = {
        .items = inner, .n = args->n - 1, .named = args->named, .n_named = args->n_named
    };
    return vm_filter(vm, name, &rest, out);
}

/* The subject's items; none at all for a subject that is false, whatever it is. */
static Status items_if_true(Vm *vm, const Args *args, const char *what, const Value **items,
                            size_t *n)
{
    bool truth;
    *items = NULL;
    *n = 0;
    if (args->n == 0) return vm_fail(vm, FAILED, "%s needs a subject", what);
    TRY(value_truth(vm, args->items[0], &truth));
    return truth ? value_items_or_fail(vm, args->items[0], items, n) : OK;
}

static Status filter_map(Vm *vm, const Args *args, Value *out)
{
    const Value *items;
    size_t n;
    TRY(items_if_true(vm, args, "map", &items, &n));
    Value *mapped = vm_new(vm, n, sizeof *mapped);
    if (!mapped) return VM_LOST(vm);
    for (size_t i = 0; i < n; i++) TRY(map_one(vm, args, items[i], &mapped[i]));
    return value_iterator(vm, mapped, n, out);
}

/* Does the item pass the test named at args[skip]?  Without a test: is it true? */
static Status select_one(Vm *vm, const Args *args, size_t skip, Value item, bool *out)
{
    const Str *name;
    if (args->n <= skip) return value_truth(vm, item, out);
    TRY(need_string(vm, args->items[skip], "the name of a test", &name));
    Value *inner = vm_new(vm, args->n, sizeof *inner);
    if (!inner) return VM_LOST(vm);
    inner[0] = item;
    const size_t n_rest = args->n - skip - 1;
    if (n_rest) memcpy(inner + 1, args->items + skip + 1, n_rest * sizeof *inner);
    const Args rest = {
        .items = inner, .n = n_rest + 1, .named = args->named, .n_named = args->n_named
    };
    return vm_test(vm, name, &rest, out);
}

static Status select_items(Vm *vm, const Args *args, bool by_attribute, bool wanted, Value *out)
{
    const Value *items;
    size_t n;
    Values kept = { 0 };
    TRY(items_if_true(vm, args, "select", &items, &n));
    if (by_attribute && args->n < 2 && n)
        return vm_fail(vm, FAILED, "the name of an attribute is missing");
    for (size_t i = 0; i < n; i++) {
        Value subject = items[i];
        bool passes;
        if (by_attribute) TRY(get_path(vm, items[i], args->items[1], NULL, &subject));
        TRY(select_one(vm, args, by_attribute ? 2 : 1, subject, &passes));
        if (passes == wanted) TRY(values_add(vm, &kept, items[i]));
    }
    return value_iterator(vm, kept.items, kept.n, out);
}

static Status filter_select(Vm *vm, const Args *args, Value *out)     { return select_items(vm, args, false, true, out); }
static Status filter_reject(Vm *vm, const Args *args, Value *out)     { return select_items(vm, args, false, false, out); }
static Status filter_selectattr(Vm *vm, const Args *args, Value *out) { return select_items(vm, args, true, true, out); }
static Status filter_rejectattr(Vm *vm, const Args *args, Value *out) { return select_items(vm, args, true, false, out); }

/* ---- order ---- */

/* Merges the sorted halves of [0, n) through scratch; equal keys keep their order. */
static Status merge(Vm *vm, Entry *e, Entry *scratch, size_t middle, size_t n, bool reverse)
{
    size_t left = 0, right = middle;
    for (size_t i = 0; i < n; i++) {
        bool take_right = left == middle;
        if (!take_right && right < n)
            TRY(reverse ? value_less(vm, e[left].key, e[right].key, false, &take_right)
                        : value_less(vm, e[right].key, e[left].key, false, &take_right));
        scratch[i] = e[take_right ? right++ : left++];
    }
    memcpy(e, scratch, n * sizeof *e);
    return vm_work(vm, n * sizeof *e);
}

/* From pairs upwards, without recursion. */
static Status sort_entries(Vm *vm, Entry *e, size_t n, bool reverse)
{
    Entry *scratch = vm_new(vm, n, sizeof *scratch);
    if (!scratch) return VM_LOST(vm);
    for (size_t width = 1; width < n; width *= 2)
        for (size_t at = 0; at + width < n; at += 2 * width) {
            const size_t length = n - at < 2 * width ? n - at : 2 * width;
            TRY(merge(vm, e + at, scratch, width, length, reverse));
        }
    return OK;
}

Status sort_by_keys(Vm *vm, Value *items, Value *keys, size_t n, bool reverse)
{
    Entry *e = vm_new(vm, n, sizeof *e);
    if (!e) return VM_LOST(vm);
    for (size_t i = 0; i < n; i++) e[i] = (Entry){ keys[i], items[i] };
    TRY(sort_entries(vm, e, n, reverse));
    for (size_t i = 0; i < n; i++) {
        keys[i] = e[i].key;
        items[i] = e[i].value;
    }
    return OK;
}

/* The subject's items, copied so that they can be sorted, and room for as many keys. */
static Status sortable(Vm *vm, Value subject, Value **items, Value **keys, size_t *n)
{
    const Value *given;
    TRY(value_items_or_fail(vm, subject, &given, n));
    *items = vm_new(vm, *n, sizeof **items);
    *keys = *items ? vm_new(vm, *n, sizeof **keys) : NULL;
    if (!*keys) return VM_LOST(vm);
    if (*n) memcpy(*items, given, *n * sizeof **items);
    return OK;
}

/* "a,b" sorts by a, then by b: the key is a list, as in Jinja, which also lets equal values
 * that have no order stand side by side. */
static Status sort_key(Vm *vm, Value item, Value attribute, bool case_sensitive, Value *out)
{
    Values parts = { 0 };
    const Str *s = attribute.kind == V_STRING ? attribute.as.string : NULL;
    for (size_t at = 0; at <= (s ? s->n_bytes : 0);) {
        const char *comma = s ? memchr(s->bytes + at, ',', s->n_bytes - at) : NULL;
        const size_t end = comma ? (size_t)(comma - s->bytes) : s ? s->n_bytes : 0;
        Value path = attribute, key;
        if (s) TRY(str_slice(vm, s, at, end, &path));
        TRY(key_of(vm, item, path, NULL, case_sensitive, &key));
        TRY(values_add(vm, &parts, key));
        at = end + 1;
    }
    return value_list(vm, V_LIST, parts.items, parts.n, out);
}

static Status filter_sort(Vm *vm, const Value *a, Value *out)
{
    bool reverse, case_sensitive;
    Value *items, *keys;
    size_t n;
    TRY(flag(vm, a[1], &reverse));
    TRY(flag(vm, a[2], &case_sensitive));
    TRY(sortable(vm, a[0], &items, &keys, &n));
    for (size_t i = 0; i < n; i++) TRY(sort_key(vm, items[i], a[3], case_sensitive, &keys[i]));
    TRY(sort_by_keys(vm, items, keys, n, reverse));
    return value_list(vm, V_LIST, items, n, out);
}

static Status filter_dictsort(Vm *vm, const Value *a, Value *out)
{
    bool case_sensitive, reverse, by_value = false;
    Value *items, *keys;
    size_t n;
    TRY(flag(vm, a[1], &case_sensitive));
    TRY(flag(vm, a[3], &reverse));
    if (a[2].kind != V_ABSENT) {
        const Str *by;
        TRY(need_string(vm, a[2], "dictsort's by", &by));
        by_value = str_is(by, "value");
        if (!by_value && !str_is(by, "key"))
            return vm_fail(vm, FAILED, "dictsort sorts by key or value");
    }
    if (a[0].kind != V_DICT) return vm_fail_type(vm, "a mapping", a[0]);
    const View view = { .dict = a[0].as.dict, .of = VIEW_ITEMS };
    TRY(sortable(vm, (Value){ .kind = V_VIEW, .as.view = &view }, &items, &keys, &n));
    for (size_t i = 0; i < n; i++)
        TRY(key_of(vm, items[i].as.list->items[by_value], value_none(), NULL, case_sensitive,
                   &keys[i]));
    TRY(sort_by_keys(vm, items, keys, n, reverse));
    return value_list(vm, V_LIST, items, n, out);
}

/* Consecutive items of equal keys become (key, items). */
static Status gather(Vm *vm, const Value *items, const Value *keys, size_t n, size_t *end,
                     Value *group)
{
    bool same = true;
    size_t i = 1;
    for (; same && i < n; i++) TRY(value_equal(vm, keys[0], keys[i], &same));
    *end = same ? i : i - 1;
    return value_list(vm, V_LIST, items, *end, group);
}

static Status filter_groupby(Vm *vm, const Value *a, Value *out)
{
    bool case_sensitive;
    Value *items, *keys;
    size_t n;
    Values groups = { 0 };
    const Value *otherwise = a[2].kind == V_ABSENT ? NULL : &a[2];
    TRY(flag(vm, a[3], &case_sensitive));
    TRY(sortable(vm, a[0], &items, &keys, &n));
    for (size_t i = 0; i < n; i++)
        TRY(key_of(vm, items[i], a[1], otherwise, case_sensitive, &keys[i]));
    TRY(sort_by_keys(vm, items, keys, n, false));
    for (size_t at = 0, end; at < n; at += end) {
        Value group, key, pair;
        TRY(gather(vm, items + at, keys + at, n - at, &end, &group));
        TRY(get_path(vm, items[at], a[1], otherwise, &key));
        TRY(value_pair(vm, key, group, &pair));
        List *named = vm_new(vm, 1, sizeof *named);
        if (!named) return VM_LOST(vm);
        *named = *pair.as.list;
        named->grouped = true;
        TRY(values_add(vm, &groups, (Value){ .kind = V_TUPLE, .as.list = named }));
    }
    return value_list(vm, V_LIST, groups.items, groups.n, out);
}

static Status filter_unique(Vm *vm, const Value *a, Value *out)
{
    bool case_sensitive;
    const Value *items;
    size_t n;
    Values seen = { 0 }, kept = { 0 };
    TRY(flag(vm, a[1], &case_sensitive));
    TRY(value_items_or_fail(vm, a[0], &items, &n));
    for (size_t i = 0; i < n; i++) {
        Value key;
        bool known = false;
        TRY(key_of(vm, items[i], a[2], NULL, case_sensitive, &key));
        if (!value_hashable(key)) return vm_fail_type(vm, "something that can be hashed", key);
        for (size_t j = 0; !known && j < seen.n; j++)
            TRY(value_equal(vm, seen.items[j], key, &known));
        if (known) continue;
        TRY(values_add(vm, &seen, key));
        TRY(values_add(vm, &kept, items[i]));
    }
    return value_iterator(vm, kept.items, kept.n, out);
}

static Status extreme(Vm *vm, const Value *a, bool largest, Value *out)
{
    bool case_sensitive, better;
    const Value *items;
    size_t n;
    Value best = value_none();
    TRY(flag(vm, a[1], &case_sensitive));
    TRY(value_items_or_fail(vm, a[0], &items, &n));
    *out = value_undefined();
    for (size_t i = 0; i < n; i++) {
        Value key;
        TRY(key_of(vm, items[i], a[2], NULL, case_sensitive, &key));
        better = i == 0;
        if (i)
            TRY(largest ? value_less(vm, best, key, false, &better)
                        : value_less(vm, key, best, false, &better));
        if (!better) continue;
        best = key;
        *out = items[i];
    }
    return OK;
}

static Status filter_min(Vm *vm, const Value *a, Value *out) { return extreme(vm, a, false, out); }
static Status filter_max(Vm *vm, const Value *a, Value *out) { return extreme(vm, a, true, out); }

static Status filter_sum(Vm *vm, const Value *a, Value *out)
{
    const Value *items;
    size_t n;
    *out = a[2].kind == V_ABSENT ? value_int(0) : a[2];
    if (out->kind == V_STRING) return vm_fail_type(vm, "a start that is no text", *out);
    TRY(value_items_or_fail(vm, a[0], &items, &n));
    for (size_t i = 0; i < n; i++) {
        Value item;
        TRY(get_path(vm, items[i], a[1], NULL, &item));
        TRY(binary(vm, T_ADD, *out, item, out));
    }
    return OK;
}

/* ---- pieces ---- */

/* items[begin, end) and `fill` up to `n` of them. */
static Status piece(Vm *vm, const Value *items, size_t begin, size_t end, size_t n, Value fill,
                    Value *out)
{
    Values part = { 0 };
    for (size_t i = begin; i < end; i++) TRY(values_add(vm, &part, items[i]));
    while (part.n < n && fill.kind != V_ABSENT && fill.kind != V_NONE)
        TRY(values_add(vm, &part, fill));
    return value_list(vm, V_LIST, part.items, part.n, out);
}

static Status filter_batch(Vm *vm, const Value *a, Value *out)
{
    int64_t size;
    const Value *items;
    size_t n;
    Values pieces = { 0 };
    TRY(need_int(vm, a[1], "batch's size", &size));
    if (size < 1) return vm_fail(vm, FAILED, "batch's size is less than 1");
    TRY(value_items_or_fail(vm, a[0], &items, &n));
    for (size_t at = 0; at < n;) {
        const size_t end = n - at < (size_t)size ? n : at + (size_t)size;
        Value part;
        TRY(piece(vm, items, at, end, (size_t)size, a[2], &part));
        TRY(values_add(vm, &pieces, part));
        at = end;
    }
    return value_iterator(vm, pieces.items, pieces.n, out);
}

static Status filter_slice(Vm *vm, const Value *a, Value *out)
{
    int64_t slices;
    const Value *items;
    size_t n, at = 0;
    Values pieces = { 0 };
    TRY(need_int(vm, a[1], "slice's count", &slices));
    if (slices < 1 || slices > RANGE_MAX)
        return vm_fail(vm, FAILED, "slice's count is not 1 to %d", RANGE_MAX);
    TRY(value_items_or_fail(vm, a[0], &items, &n));
    const size_t each = n / (size_t)slices, larger = n % (size_t)slices;
    for (size_t i = 0; i < (size_t)slices; i++) {
        const size_t end = at + each + (i < larger);
        Value part;
        TRY(piece(vm, items, at, end, end - at + (i >= larger), a[2], &part));
        TRY(values_add(vm, &pieces, part));
        at = end;
    }
    return value_iterator(vm, pieces.items, pieces.n, out);
}

const Native jinja_filters_list[] = {
    { .name = "batch",      .params = "value linecount fill_with?",             .call = filter_batch },
    { .name = "dictsort",   .params = "value case_sensitive? by? reverse?",     .call = filter_dictsort },
    { .name = "first",      .params = "seq",                                    .call = filter_first },
    { .name = "groupby",    .params = "value attribute default? case_sensitive?", .call = filter_groupby },
    { .name = "items",      .params = "value",                                  .call = filter_items },
    { .name = "join",       .params = "value d? attribute?",                    .call = filter_join },
    { .name = "last",       .params = "seq",                                    .call = filter_last },
    { .name = "list",       .params = "value",                                  .call = filter_list },
    { .name = "map",                                                            .call_raw = filter_map },
    { .name = "max",        .params = "value case_sensitive? attribute?",       .call = filter_max },
    { .name = "min",        .params = "value case_sensitive? attribute?",       .call = filter_min },
    { .name = "reject",                                                         .call_raw = filter_reject },
    { .name = "rejectattr",                                                     .call_raw = filter_rejectattr },
    { .name = "reverse",    .params = "value",                                  .call = filter_reverse },
    { .name = "select",                                                         .call_raw = filter_select },
    { .name = "selectattr",                                                     .call_raw = filter_selectattr },
    { .name = "slice",      .params = "value slices fill_with?",                .call = filter_slice },
    { .name = "sort",       .params = "value reverse? case_sensitive? attribute?", .call = filter_sort },
    { .name = "sum",        .params = "iterable attribute? start?",             .call = filter_sum },
    { .name = "unique",     .params = "value case_sensitive? attribute?",       .call = filter_unique },
    { .name = NULL },
};
