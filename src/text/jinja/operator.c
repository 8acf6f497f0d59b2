/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/operator.c - + - * / // % ** with Python's meaning, on 64-bit integers.
 *
 * Python's integers grow without end; ours end the rendering with a sentence instead. */
#include "text/jinja/vm.h"

#include <math.h>
#include <string.h>

static Status too_large(Vm *vm)
{
    return vm_fail(vm, FAILED, "an integer needs more than 64 bits");
}

static Status by_zero(Vm *vm)
{
    return vm_fail(vm, FAILED, "division by zero");
}

static const char *sign_of(TokenKind op)
{
    switch (op) {
    case T_ADD:      return "+";
    case T_SUB:      return "-";
    case T_MUL:      return "*";
    case T_DIV:      return "/";
    case T_FLOORDIV: return "//";
    case T_MOD:      return "%";
    default:         return "**";
    }
}

/* ---- numbers ---- */

static Status int_floor(Vm *vm, TokenKind op, int64_t a, int64_t b, Value *out)
{
    if (b == 0) return by_zero(vm);
    if (b == -1) {                      /* INT64_MIN / -1 would trap */
        int64_t negated;
        if (op == T_MOD) return *out = value_int(0), OK;
        if (__builtin_sub_overflow(0, a, &negated)) return too_large(vm);
        return *out = value_int(negated), OK;
    }
    int64_t quotient = a / b, rest = a % b;
    if (rest != 0 && (rest < 0) != (b < 0)) {       /* C cuts towards zero, Python goes down */
        quotient--;
        rest += b;
    }
    *out = value_int(op == T_MOD ? rest : quotient);
    return OK;
}

static Status int_power(Vm *vm, int64_t a, int64_t b, Value *out)
{
    if (b < 0) {
        if (a == 0) return by_zero(vm);
        return *out = value_float(pow((double)a, (double)b)), OK;
    }
    int64_t result = 1, square = a;
    while (b > 0) {
        if ((b & 1) && __builtin_mul_overflow(result, square, &result)) return too_large(vm);
        b >>= 1;
        if (b > 0 && __builtin_mul_overflow(square, square, &square)) return too_large(vm);
    }
    *out = value_int(result);
    return OK;
}

static Status int_binary(Vm *vm, TokenKind op, int64_t a, int64_t b, Value *out)
{
    int64_t result = 0;
    bool wraps = false;
    switch (op) {
    case T_ADD: wraps = __builtin_add_overflow(a, b, &result); break;
    case T_SUB: wraps = __builtin_sub_overflow(a, b, &result); break;
    case T_MUL: wraps = __builtin_mul_overflow(a, b, &result); break;
    case T_DIV:
        if (b == 0) return by_zero(vm);
        /* Python rounds once; beyond 2^53 this may round a last bit twice, which no prompt sees. */
        return *out = value_float((double)((long double)a / (long double)b)), OK;
    case T_POW: return int_power(vm, a, b, out);
    default:    return int_floor(vm, op, a, b, out);
    }
    if (wraps) return too_large(vm);
    *out = value_int(result);
    return OK;
}

static double float_mod(double a, double b)
{
    double rest = fmod(a, b);
    if (rest < 0 || rest > 0) return (rest < 0) != (b < 0) ? rest + b : rest;
    return copysign(0.0, b);
}

static double float_floor(double a, double b)
{
    const double rest = float_mod(a, b), quotient = (a - rest) / b;
    if (!(quotient < 0 || quotient > 0)) return copysign(0.0, a / b);
    const double whole = floor(quotient);
    return quotient - whole > 0.5 ? whole + 1 : whole;
}

static Status float_power(Vm *vm, double a, double b, Value *out)
{
    if (!(a < 0 || a > 0) && b < 0 && !isnan(a)) return by_zero(vm);
    if (a < 0 && isfinite(a) && isfinite(b) && floor(b) < b)
        return vm_fail(vm, FAILED, "the power is a complex number");
    const double result = pow(a, b);
    if (isinf(result) && isfinite(a) && isfinite(b))
        return vm_fail(vm, FAILED, "the power is too large");
    *out = value_float(result);
    return OK;
}

static Status float_binary(Vm *vm, TokenKind op, double a, double b, Value *out)
{
    const bool divides = op == T_DIV || op == T_FLOORDIV || op == T_MOD;
    if (divides && !(b < 0 || b > 0 || isnan(b))) return by_zero(vm);
    switch (op) {
    case T_ADD:      *out = value_float(a + b); return OK;
    case T_SUB:      *out = value_float(a - b); return OK;
    case T_MUL:      *out = value_float(a * b); return OK;
    case T_DIV:      *out = value_float(a / b); return OK;
    case T_FLOORDIV: *out = value_float(float_floor(a, b)); return OK;
    case T_MOD:      *out = value_float(float_mod(a, b)); return OK;
    default:         return float_power(vm, a, b, out);
    }
}

/* ---- sequences ---- */

/* What is joined to Markup is escaped first, as Python's Markup does. */
static Status join_strings(Vm *vm, Value a, Value b, Value *out)
{
    const bool markup = a.as.string->markup || b.as.string->markup;
    if (markup) {
        TRY(str_escape_html(vm, a.as.string, &a));
        TRY(str_escape_html(vm, b.as.string, &b));
    }
    Text text = { 0 };
    TRY(text_add_str(vm, &text, a.as.string, 0, a.as.string->n_bytes));
    TRY(text_add_str(vm, &text, b.as.string, 0, b.as.string->n_bytes));
    TRY(text_value(vm, &text, out));
    return str_mark_markup(vm, markup, out);
}

static Status join_lists(Vm *vm, Value a, Value b, Value *out)
{
    const size_t n = a.as.list->n, m = b.as.list->n;
    Value *items = vm_new(vm, n + m, sizeof *items);
    if (!items) return VM_LOST(vm);
    if (n) memcpy(items, a.as.list->items, n * sizeof *items);
    if (m) memcpy(items + n, b.as.list->items, m * sizeof *items);
    TRY(vm_work(vm, (n + m) * sizeof *items));
    return value_list(vm, a.kind, items, n + m, out);
}

static Status repeat_string(Vm *vm, const Str *s, int64_t times, Value *out)
{
    Text text = { 0 };
    if (times < 0 || s->n_bytes == 0) times = 0;
    if (times > TEXT_BYTES_MAX || s->n_bytes * (uint64_t)times > TEXT_BYTES_MAX)
        return vm_fail(vm, NO_ROOM, "a text is longer than %d bytes", TEXT_BYTES_MAX);
    const size_t whole = s->n_bytes * (size_t)times;
    if (whole) TRY(text_add_str(vm, &text, s, 0, s->n_bytes));
    while (text.n_bytes < whole) {      /* twice as much each round, so that few steps are counted */
        const Str so_far = { .bytes = text.bytes,
                             .n_bytes = text.n_bytes,
                             .marks = text.marks,
                             .trusted = text.trusted };
        const size_t left = whole - text.n_bytes;
        TRY(text_add_str(vm, &text, &so_far, 0, left < so_far.n_bytes ? left : so_far.n_bytes));
    }
    TRY(text_value(vm, &text, out));
    return str_mark_markup(vm, s->markup, out);
}

static Status repeat_list(Vm *vm, Value list, int64_t times, Value *out)
{
    const List *l = list.as.list;
    if (times < 0 || l->n == 0) times = 0;
    size_t n;
    if (__builtin_mul_overflow(l->n, (size_t)times, &n)) n = SIZE_MAX;      /* vm_new refuses it */
    Value *items = vm_new(vm, n, sizeof *items);
    if (!items) return VM_LOST(vm);
    for (size_t i = 0; i < n; i++) items[i] = l->items[i % l->n];
    TRY(vm_work(vm, n * sizeof *items));
    return value_list(vm, list.kind, items, n, out);
}

static bool is_list(Value v)
{
    return v.kind == V_LIST || v.kind == V_TUPLE;
}

/* Operators on what is not two numbers. */
static Status other_binary(Vm *vm, TokenKind op, Value a, Value b, Value *out)
{
    int64_t times;
    if (op == T_ADD && a.kind == V_STRING && b.kind == V_STRING) return join_strings(vm, a, b, out);
    if (op == T_ADD && is_list(a) && a.kind == b.kind) return join_lists(vm, a, b, out);
    if (op == T_MUL && a.kind == V_STRING && value_as_int(b, &times))
        return repeat_string(vm, a.as.string, times, out);
    if (op == T_MUL && b.kind == V_STRING && value_as_int(a, &times))
        return repeat_string(vm, b.as.string, times, out);
    if (op == T_MUL && is_list(a) && value_as_int(b, &times)) return repeat_list(vm, a, times, out);
    if (op == T_MUL && is_list(b) && value_as_int(a, &times)) return repeat_list(vm, b, times, out);
    if (op == T_MOD && a.kind == V_STRING) return format_percent(vm, a.as.string, b, out);
    if (a.kind == V_UNDEFINED || b.kind == V_UNDEFINED)
        return vm_fail_type(vm, "an operand", a.kind == V_UNDEFINED ? a : b);
    return vm_fail(vm, FAILED, "%s %s %s makes no sense", value_type_name(a), sign_of(op),
                   value_type_name(b));
}

Status binary(Vm *vm, TokenKind op, Value a, Value b, Value *out)
{
    int64_t i, j;
    if (!value_is_number(a) || !value_is_number(b)) return other_binary(vm, op, a, b, out);
    if (value_as_int(a, &i) && value_as_int(b, &j)) return int_binary(vm, op, i, j, out);
    return float_binary(vm, op, value_as_double(a), value_as_double(b), out);
}

Status negate(Vm *vm, Value a, Value *out)
{
    if (a.kind == V_FLOAT) return *out = value_float(-a.as.real), OK;
    if (!value_is_number(a)) return vm_fail_type(vm, "a number behind '-'", a);
    return int_binary(vm, T_SUB, 0, a.kind == V_BOOL ? a.as.truth : a.as.integer, out);
}
