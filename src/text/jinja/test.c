/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/test.c - what may stand behind `is`. */
#include "text/jinja/vm.h"

static Status answer(bool yes, Value *out)
{
    *out = value_bool(yes);
    return OK;
}

/* ---- kinds ---- */

static bool is_kind(const Value *a, Kind kind)
{
    return a[0].kind == kind;
}

static Status test_defined(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    return answer(!is_kind(a, V_UNDEFINED), out);
}

static Status test_undefined(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    return answer(is_kind(a, V_UNDEFINED), out);
}

static Status test_none(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    return answer(is_kind(a, V_NONE), out);
}

static Status test_boolean(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    return answer(is_kind(a, V_BOOL), out);
}

static Status test_true(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    return answer(is_kind(a, V_BOOL) && a[0].as.truth, out);
}

static Status test_false(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    return answer(is_kind(a, V_BOOL) && !a[0].as.truth, out);
}

static Status test_integer(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    return answer(is_kind(a, V_INT), out);
}

static Status test_float(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    return answer(is_kind(a, V_FLOAT), out);
}

static Status test_number(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    return answer(value_is_number(a[0]), out);
}

static Status test_string(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    return answer(is_kind(a, V_STRING), out);
}

static Status test_mapping(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    return answer(is_kind(a, V_DICT), out);
}

static Status test_escaped(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    return answer(is_kind(a, V_STRING) && a[0].as.string->markup, out);
}

/* What has a length and items by index: mappings and the undefined count as well. */
static Status test_sequence(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    switch (a[0].kind) {
    case V_STRING: case V_LIST: case V_TUPLE: case V_DICT: case V_RANGE: case V_UNDEFINED:
        return answer(true, out);
    default:
        return answer(false, out);
    }
}

static Status test_iterable(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    switch (a[0].kind) {
    case V_STRING: case V_LIST: case V_TUPLE: case V_DICT: case V_RANGE: case V_UNDEFINED:
    case V_VIEW: case V_ITERATOR: case V_LOOP:
        return answer(true, out);
    default:
        return answer(false, out);
    }
}

static Status test_callable(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    switch (a[0].kind) {
    case V_MACRO: case V_METHOD: case V_FUNCTION: case V_JOINER: case V_LOOP: case V_UNDEFINED:
        return answer(true, out);
    default:
        return answer(false, out);
    }
}

/* ---- comparisons ---- */

static Status test_eq(Vm *vm, const Value *a, Value *out)
{
    bool same;
    TRY(value_equal(vm, a[0], a[1], &same));
    return answer(same, out);
}

static Status test_ne(Vm *vm, const Value *a, Value *out)
{
    bool same;
    TRY(value_equal(vm, a[0], a[1], &same));
    return answer(!same, out);
}

static Status less(Vm *vm, Value a, Value b, bool or_equal, Value *out)
{
    bool is;
    TRY(value_less(vm, a, b, or_equal, &is));
    return answer(is, out);
}

static Status test_lt(Vm *vm, const Value *a, Value *out) { return less(vm, a[0], a[1], false, out); }
static Status test_le(Vm *vm, const Value *a, Value *out) { return less(vm, a[0], a[1], true, out); }
static Status test_gt(Vm *vm, const Value *a, Value *out) { return less(vm, a[1], a[0], false, out); }
static Status test_ge(Vm *vm, const Value *a, Value *out) { return less(vm, a[1], a[0], true, out); }

static Status test_in(Vm *vm, const Value *a, Value *out)
{
    bool is;
    TRY(value_contains(vm, a[1], a[0], &is));
    return answer(is, out);
}

/* The same object; numbers and strings, which Python may or may not share, by kind and value. */
static Status test_sameas(Vm *vm, const Value *a, Value *out)
{
    return a[0].kind == a[1].kind ? test_eq(vm, a, out) : answer(false, out);
}

/* ---- numbers ---- */

static Status rest_is(Vm *vm, Value number, Value divisor, int64_t rest, Value *out)
{
    Value left;
    bool same;
    TRY(binary(vm, T_MOD, number, divisor, &left));
    TRY(value_equal(vm, left, value_int(rest), &same));
    return answer(same, out);
}

static Status test_odd(Vm *vm, const Value *a, Value *out)  { return rest_is(vm, a[0], value_int(2), 1, out); }
static Status test_even(Vm *vm, const Value *a, Value *out) { return rest_is(vm, a[0], value_int(2), 0, out); }

static Status test_divisibleby(Vm *vm, const Value *a, Value *out)
{
    return rest_is(vm, a[0], a[1], 0, out);
}

/* ---- text and names ---- */

static Status has_case(Vm *vm, Value v, const char *method, Value *out)
{
    Value text;
    TRY(value_to_string(vm, v, &text));
    return native_find(jinja_string_methods, method, 7)->call(vm, &text, out);
}

static Status test_lower(Vm *vm, const Value *a, Value *out) { return has_case(vm, a[0], "islower", out); }
static Status test_upper(Vm *vm, const Value *a, Value *out) { return has_case(vm, a[0], "isupper", out); }

static Status test_filter(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    return answer(
        is_kind(a, V_STRING) && filter_find(a[0].as.string->bytes, a[0].as.string->n_bytes), out);
}

static Status test_test(Vm *vm, const Value *a, Value *out)
{
    (void)vm;
    return answer(is_kind(a, V_STRING) && test_find(a[0].as.string->bytes, a[0].as.string->n_bytes),
                  out);
}

const Native jinja_tests[] = {
    { .name = "!=",          .params = "a b",       .call = test_ne },
    { .name = "<",           .params = "a b",       .call = test_lt },
    { .name = "<=",          .params = "a b",       .call = test_le },
    { .name = "==",          .params = "a b",       .call = test_eq },
    { .name = ">",           .params = "a b",       .call = test_gt },
    { .name = ">=",          .params = "a b",       .call = test_ge },
    { .name = "boolean",     .params = "value",     .call = test_boolean },
    { .name = "callable",    .params = "obj",       .call = test_callable },
    { .name = "defined",     .params = "value",     .call = test_defined },
    { .name = "divisibleby", .params = "value num", .call = test_divisibleby },
    { .name = "eq",          .params = "a b",       .call = test_eq },
    { .name = "equalto",     .params = "a b",       .call = test_eq },
    { .name = "escaped",     .params = "value",     .call = test_escaped },
    { .name = "even",        .params = "value",     .call = test_even },
    { .name = "false",       .params = "value",     .call = test_false },
    { .name = "filter",      .params = "value",     .call = test_filter },
    { .name = "float",       .params = "value",     .call = test_float },
    { .name = "ge",          .params = "a b",       .call = test_ge },
    { .name = "greaterthan", .params = "a b",       .call = test_gt },
    { .name = "gt",          .params = "a b",       .call = test_gt },
    { .name = "in",          .params = "value seq", .call = test_in },
    { .name = "integer",     .params = "value",     .call = test_integer },
    { .name = "iterable",    .params = "value",     .call = test_iterable },
    { .name = "le",          .params = "a b",       .call = test_le },
    { .name = "lessthan",    .params = "a b",       .call = test_lt },
    { .name = "lower",       .params = "value",     .call = test_lower },
    { .name = "lt",          .params = "a b",       .call = test_lt },
    { .name = "mapping",     .params = "value",     .call = test_mapping },
    { .name = "ne",          .params = "a b",       .call = test_ne },
    { .name = "none",        .params = "value",     .call = test_none },
    { .name = "number",      .params = "value",     .call = test_number },
    { .name = "odd",         .params = "value",     .call = test_odd },
    { .name = "sameas",      .params = "value other", .call = test_sameas },
    { .name = "sequence",    .params = "value",     .call = test_sequence },
    { .name = "string",      .params = "value",     .call = test_string },
    { .name = "test",        .params = "value",     .call = test_test },
    { .name = "true",        .params = "value",     .call = test_true },
    { .name = "undefined",   .params = "value",     .call = test_undefined },
    { .name = "upper",       .params = "value",     .call = test_upper },
    { .name = NULL },
};
