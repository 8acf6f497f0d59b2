/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/eval.c - the value of an expression.  Statements are in text/jinja/run.c. */
#include "text/jinja/vm.h"

#include <string.h>

static Status eval_here(Vm *vm, const Node *node, Scope *scope, Value *out);

/* The door of every expression: counts the step and the depth. */
Status eval(Vm *vm, const Node *node, Scope *scope, Value *out)
{
    if (vm->depth >= EVAL_DEPTH_MAX)
        return vm_fail(vm, NO_ROOM, "rendering is nested more than %d deep", EVAL_DEPTH_MAX);
    TRY(vm_work(vm, 0));
    vm->depth++;
    vm->line = node->line;
    TRY(eval_here(vm, node, scope, out));
    vm->depth--;
    return OK;
}

static Status eval_truth(Vm *vm, const Node *node, Scope *scope, bool *out)
{
    Value value;
    TRY(eval(vm, node, scope, &value));
    return value_truth(vm, value, out);
}

static Status eval_name(const Node *node, Scope *scope, Value *out)
{
    const Value *found = scope_find(scope, &node->text);
    if (found) return *out = *found, OK;
    const Native *native = native_find(jinja_globals, node->text.bytes, node->text.n_bytes);
    if (native) return *out = (Value){ .kind = V_FUNCTION, .as.native = native }, OK;
    *out = (Value){ .kind = V_UNDEFINED, .as.string = &node->text };
    return OK;
}

static Status eval_items(Vm *vm, const Node *node, Scope *scope, Value *out)
{
    Value *items = vm_new(vm, node->items.n, sizeof *items);
    if (!items) return VM_LOST(vm);
    for (size_t i = 0; i < node->items.n; i++)
        TRY(eval(vm, node->items.items[i], scope, &items[i]));
    return value_list(vm, node->kind == N_LIST ? V_LIST : V_TUPLE, items, node->items.n, out);
}

static Status eval_dict(Vm *vm, const Node *node, Scope *scope, Value *out)
{
    TRY(value_dict(vm, node->items.n, out));
    for (size_t i = 0; i < node->items.n; i++) {
        Value key, value;
        TRY(eval(vm, node->items.items[i], scope, &key));
        TRY(eval(vm, node->more.items[i], scope, &value));
        TRY(dict_put(vm, out->as.dict, key, value));
    }
    return OK;
}

/* `and` and `or` give one of their operands, as in Python. */
static Status eval_and_or(Vm *vm, const Node *node, Scope *scope, Value *out)
{
    bool truth;
    TRY(eval(vm, node->a, scope, out));
    TRY(value_truth(vm, *out, &truth));
    return truth == (node->kind == N_AND) ? eval(vm, node->b, scope, out) : OK;
}

static Status eval_not(Vm *vm, const Node *node, Scope *scope, Value *out)
{
    bool truth;
    TRY(eval_truth(vm, node->a, scope, &truth));
    *out = value_bool(!truth);
    return OK;
}

static Status eval_sign(Vm *vm, const Node *node, Scope *scope, Value *out)
{
    Value value;
    TRY(eval(vm, node->a, scope, &value));
    if (node->kind == N_NEGATE) return negate(vm, value, out);
    if (!value_is_number(value)) return vm_fail_type(vm, "a number behind '+'", value);
    *out = value.kind == V_BOOL ? value_int(value.as.truth) : value;
    return OK;
}

static Status eval_binary(Vm *vm, const Node *node, Scope *scope, Value *out)
{
    Value a, b;
    TRY(eval(vm, node->a, scope, &a));
    TRY(eval(vm, node->b, scope, &b));
    return binary(vm, node->op, a, b, out);
}

static Status eval_concat(Vm *vm, const Node *node, Scope *scope, Value *out)
{
    Text text = { 0 };
    for (size_t i = 0; i < node->items.n; i++) {
        Value part;
        TRY(eval(vm, node->items.items[i], scope, &part));
        TRY(text_add_value(vm, &text, part));
    }
    return text_value(vm, &text, out);
}

static Status compare_one(Vm *vm, const Node *operand, Value a, Value b, bool *out)
{
    if (operand->flag) {
        TRY(value_contains(vm, b, a, out));
        *out = *out != operand->negate;
        return OK;
    }
    switch (operand->op) {
    case T_EQ: return value_equal(vm, a, b, out);
    case T_NE: TRY(value_equal(vm, a, b, out)); *out = !*out; return OK;
    case T_LT: return value_less(vm, a, b, false, out);
    case T_LE: return value_less(vm, a, b, true, out);
    case T_GT: return value_less(vm, b, a, false, out);
    default:   return value_less(vm, b, a, true, out);
    }
}

/* a < b < c: every operand is evaluated once, and none after the first that is false. */
static Status eval_compare(Vm *vm, const Node *node, Scope *scope, Value *out)
{
    Value left;
    bool truth = true;
    TRY(eval(vm, node->a, scope, &left));
    for (size_t i = 0; truth && i < node->items.n; i++) {
        Value right;
        TRY(eval(vm, node->items.items[i]->a, scope, &right));
        TRY(compare_one(vm, node->items.items[i], left, right, &truth));
        left = right;
    }
    *out = value_bool(truth);
    return OK;
}

static Status eval_if_else(Vm *vm, const Node *node, Scope *scope, Value *out)
{
    bool truth;
    TRY(eval_truth(vm, node->b, scope, &truth));
    if (truth) return eval(vm, node->a, scope, out);
    if (node->c) return eval(vm, node->c, scope, out);
    *out = value_undefined();
    return OK;
}

static Status eval_attribute(Vm *vm, const Node *node, Scope *scope, Value *out)
{
    Value object;
    TRY(eval(vm, node->a, scope, &object));
    vm->line = node->line;
    return get_attribute(vm, object, &node->text, out);
}

static Status eval_item(Vm *vm, const Node *node, Scope *scope, Value *out)
{
    Value object, key, bounds[3];
    TRY(eval(vm, node->a, scope, &object));
    if (node->b->kind != N_SLICE) {
        TRY(eval(vm, node->b, scope, &key));
        return get_item(vm, object, key, out);
    }
    const Node *const parts[3] = { node->b->a, node->b->b, node->b->c };
    for (int i = 0; i < 3; i++) {
        bounds[i] = value_none();
        if (parts[i]) TRY(eval(vm, parts[i], scope, &bounds[i]));
    }
    return get_slice(vm, object, bounds, out);
}

/* ---- calls ---- */

static Status add_named(Vm *vm, Named **named, size_t *n, const Str *name, Value value)
{
    for (size_t i = 0; i < *n; i++)
        if (str_equal((*named)[i].name, name))
            return vm_fail(vm, FAILED, "argument '%.*s' is given twice", (int)name->n_bytes,
                           name->bytes);
    (*named)[(*n)++] = (Named){ .name = name, .value = value };
    return OK;
}

/* Positional arguments: the subject, those written, those of *star. */
static Status eval_positional(Vm *vm, const Call *call, Scope *scope, const Value *subject,
                              Args *out)
{
    const Value *more = NULL;
    size_t n_more = 0, n = 0;
    Value star, *items = vm_new(vm, call->args.n + 1, sizeof *items);
    if (!items) return VM_LOST(vm);
    if (subject) items[n++] = *subject;
    for (size_t i = 0; i < call->args.n; i++)
        TRY(eval(vm, call->args.items[i], scope, &items[n++]));
    *out = (Args){ .items = items, .n = n };
    if (!call->star) return OK;
    TRY(eval(vm, call->star, scope, &star));
    TRY(value_items_or_fail(vm, star, &more, &n_more));
    Value *all = vm_new(vm, n + n_more, sizeof *all);
    if (!all) return VM_LOST(vm);
    if (n) memcpy(all, items, n * sizeof *all);
    if (n_more) memcpy(all + n, more, n_more * sizeof *all);
    *out = (Args){ .items = all, .n = n + n_more };
    return OK;
}

Status eval_args(Vm *vm, const Call *call, Scope *scope, const Value *subject, Args *out)
{
    TRY(eval_positional(vm, call, scope, subject, out));
    Value stars;
    size_t n_stars = 0;
    Named *named = NULL;
    if (call->named.n == 0 && !call->stars) return OK;
    named = vm_new(vm, call->named.n, sizeof *named);
    if (!named) return VM_LOST(vm);
    size_t n = 0;
    for (size_t i = 0; i < call->named.n; i++) {
        Value value;
        TRY(eval(vm, call->named.items[i]->a, scope, &value));
        TRY(add_named(vm, &named, &n, &call->named.items[i]->text, value));
    }
    if (call->stars) {
        TRY(eval(vm, call->stars, scope, &stars));
        if (stars.kind != V_DICT) return vm_fail_type(vm, "a mapping behind '**'", stars);
        n_stars = stars.as.dict->n;
        if (n_stars > CALL_ARGS_MAX)
            return vm_fail(vm, NO_ROOM, "more than %d arguments", CALL_ARGS_MAX);
        Named *all = vm_new(vm, n + n_stars, sizeof *all);
        if (!all) return VM_LOST(vm);
        if (n) memcpy(all, named, n * sizeof *all);
        named = all;
    }
    for (size_t i = 0; i < n_stars; i++) {
        const Str *name;
        TRY(need_string(vm, stars.as.dict->items[i].key, "the name of an argument", &name));
        TRY(add_named(vm, &named, &n, name, stars.as.dict->items[i].value));
    }
    out->named = named;
    out->n_named = n;
    return OK;
}

static Status eval_call(Vm *vm, const Node *node, Scope *scope, Value *out)
{
    Value callee;
    Args args;
    TRY(eval(vm, node->a, scope, &callee));
    TRY(eval_args(vm, node->call, scope, NULL, &args));
    vm->line = node->line;
    return vm_call(vm, callee, &args, out);
}

static Status eval_filter(Vm *vm, const Node *node, Scope *scope, Value *out)
{
    Value subject;
    Args args;
    TRY(eval(vm, node->a, scope, &subject));
    TRY(eval_args(vm, node->call, scope, &subject, &args));
    vm->line = node->line;
    return vm_filter(vm, &node->text, &args, out);
}

static Status eval_test(Vm *vm, const Node *node, Scope *scope, Value *out)
{
    Value subject;
    Args args;
    bool truth;
    TRY(eval(vm, node->a, scope, &subject));
    TRY(eval_args(vm, node->call, scope, &subject, &args));
    TRY(vm_test(vm, &node->text, &args, &truth));
    *out = value_bool(truth);
    return OK;
}

static Status eval_here(Vm *vm, const Node *node, Scope *scope, Value *out)
{
    switch (node->kind) {
    case N_CONST:     *out = node->value; return OK;
    case N_NAME:      return eval_name(node, scope, out);
    case N_TUPLE:
    case N_LIST:      return eval_items(vm, node, scope, out);
    case N_DICT:      return eval_dict(vm, node, scope, out);
    case N_AND:
    case N_OR:        return eval_and_or(vm, node, scope, out);
    case N_NOT:       return eval_not(vm, node, scope, out);
    case N_NEGATE:
    case N_PLUS:      return eval_sign(vm, node, scope, out);
    case N_BINARY:    return eval_binary(vm, node, scope, out);
    case N_CONCAT:    return eval_concat(vm, node, scope, out);
    case N_COMPARE:   return eval_compare(vm, node, scope, out);
    case N_IF_ELSE:   return eval_if_else(vm, node, scope, out);
    case N_ATTRIBUTE: return eval_attribute(vm, node, scope, out);
    case N_ITEM:      return eval_item(vm, node, scope, out);
    case N_CALL:      return eval_call(vm, node, scope, out);
    case N_FILTER:    return eval_filter(vm, node, scope, out);
    case N_TEST:      return eval_test(vm, node, scope, out);
    default:          return vm_fail(vm, FAILED, "a statement where an expression is expected");
    }
}
