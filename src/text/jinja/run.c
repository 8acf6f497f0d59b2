/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/run.c - statements: output, if, set, macros.  Loops are in text/jinja/loop.c. */
#include "text/jinja/loop.h"

#include <string.h>

/* ---- assignment ---- */

static Status assign_items(Vm *vm, const Node *target, Value value, Scope *scope)
{
    const Value *items;
    size_t n;
    TRY(value_items_or_fail(vm, value, &items, &n));
    if (n != target->items.n)
        return vm_fail(vm, FAILED, "%zu values for %zu names", n, target->items.n);
    for (size_t i = 0; i < n; i++) TRY(assign(vm, target->items.items[i], items[i], scope));
    return OK;
}

static Status assign_attribute(Vm *vm, const Node *target, Value value, Scope *scope)
{
    Value object;
    TRY(eval(vm, target->a, scope, &object));
    if (object.kind != V_NAMESPACE)
        return vm_fail_type(vm, "a namespace to set an attribute of", object);
    return dict_put(vm, object.as.dict, value_string(&target->text), value);
}

Status assign(Vm *vm, const Node *target, Value value, Scope *scope)
{
    switch (target->kind) {
    case N_NAME:      return scope_set(vm, scope, &target->text, value);
    case N_ATTRIBUTE: return assign_attribute(vm, target, value, scope);
    default:          return assign_items(vm, target, value, scope);
    }
}

static Status run_set(Vm *vm, const Node *node, Scope *scope)
{
    Value value;
    TRY(eval(vm, node->b, scope, &value));
    return assign(vm, node->a, value, scope);
}

/* Filters in a chain whose innermost subject is the text of a block. */
static Status filter_text(Vm *vm, const Node *filter, Value subject, Scope *scope, Value *out)
{
    if (!filter) return *out = subject, OK;
    TRY(filter_text(vm, filter->a, subject, scope, &subject));
    Args args;
    TRY(eval_args(vm, filter->call, scope, &subject, &args));
    return vm_filter(vm, &filter->text, &args, out);
}

/* The text a body writes, as a value.  The body has a scope of its own. */
static Status body_text(Vm *vm, const Nodes *body, Scope *scope, Flow *flow, Value *out)
{
    Text text = { 0 };
    Scope *inner = scope_new(vm, scope);
    if (!inner) return VM_LOST(vm);
    TRY(run_body(vm, body, inner, &text, flow));
    return text_value(vm, &text, out);
}

static Status run_set_block(Vm *vm, const Node *node, Scope *scope, Flow *flow)
{
    Value value;
    TRY(body_text(vm, &node->items, scope, flow, &value));
    if (*flow != FLOW_NEXT) return OK;
    TRY(filter_text(vm, node->b, value, scope, &value));
    return assign(vm, node->a, value, scope);
}

static Status run_filter_block(Vm *vm, const Node *node, Scope *scope, Text *out, Flow *flow)
{
    Value value;
    TRY(body_text(vm, &node->items, scope, flow, &value));
    if (*flow != FLOW_NEXT) return OK;
    TRY(filter_text(vm, node->a, value, scope, &value));
    if (value.kind != V_STRING)
        return vm_fail_type(vm, "a text from the filters of a block", value);
    return text_add_value(vm, out, value);
}

/* ---- macros ---- */

enum { WANTS_VARARGS = 1, WANTS_KWARGS = 2, WANTS_CALLER = 4 };

/* A macro remembers the variables it sees, so their scopes must stay. */
static Status make_macro(Vm *vm, const Node *node, Scope *scope, Value *out)
{
    Macro *macro = vm_new(vm, 1, sizeof *macro);
    if (!macro) return VM_LOST(vm);
    *macro = (Macro){ .node = node, .scope = scope };
    for (Scope *s = scope; s && !s->captured; s = s->parent) s->captured = true;
    *out = (Value){ .kind = V_MACRO, .as.macro = macro };
    return OK;
}

static const Str caller_name = { .bytes = "caller", .n_bytes = 6 };
static const Str varargs_name = { .bytes = "varargs", .n_bytes = 7 };
static const Str kwargs_name = { .bytes = "kwargs", .n_bytes = 6 };

static const Value *find_named(const Args *args, const Str *name)
{
    for (size_t i = 0; i < args->n_named; i++)
        if (str_equal(args->named[i].name, name)) return &args->named[i].value;
    return NULL;
}

static bool has_param(const Node *node, const Str *name)
{
    for (size_t i = 0; i < node->more.n; i++)
        if (str_equal(&node->more.items[i]->text, name)) return true;
    return false;
}

/* Parameters in order; a default may use those before it. */
static Status bind_params(Vm *vm, const Node *node, const Args *args, Scope *scope)
{
    for (size_t i = 0; i < node->more.n; i++) {
        const Node *param = node->more.items[i];
        const Value *named = find_named(args, &param->text);
        Value value = { .kind = V_UNDEFINED, .as.string = &param->text };
        if (i < args->n && named)
            return vm_fail(vm, FAILED, "argument '%.*s' is given twice",
                           (int)param->text.n_bytes, param->text.bytes);
        if (i < args->n) value = args->items[i];
        else if (named) value = *named;
        else if (param->a) TRY(eval(vm, param->a, scope, &value));
        TRY(scope_set(vm, scope, &param->text, value));
    }
    return OK;
}

/* varargs, kwargs and caller, for macros that mention them; an error for what nobody wants. */
static Status bind_extras(Vm *vm, const Node *node, const Args *args, Scope *scope)
{
    const int64_t wants = node->value.as.integer;
    const size_t n = node->more.n, n_more = args->n > n ? args->n - n : 0;
    Value varargs, kwargs;
    TRY(value_list(vm, V_TUPLE, n_more ? args->items + n : NULL, n_more, &varargs));
    TRY(value_dict(vm, 0, &kwargs));
    if (n_more && !(wants & WANTS_VARARGS))
        return vm_fail(vm, FAILED, "a macro of %zu parameters is called with %zu", n, args->n);
    if (wants & WANTS_VARARGS) TRY(scope_set(vm, scope, &varargs_name, varargs));
    for (size_t i = 0; i < args->n_named; i++) {
        const Named *named = &args->named[i];
        if (has_param(node, named->name)) continue;
        const bool is_caller = str_equal(named->name, &caller_name) && (wants & WANTS_CALLER);
        if (is_caller) TRY(scope_set(vm, scope, named->name, named->value));
        else if (wants & WANTS_KWARGS)
            TRY(dict_put(vm, kwargs.as.dict, value_string(named->name), named->value));
        else
            return vm_fail(vm, FAILED, "a macro has no parameter '%.*s'",
                           (int)(named->name->n_bytes < 80 ? named->name->n_bytes : 80),
                           named->name->bytes);
    }
    if (wants & WANTS_KWARGS) TRY(scope_set(vm, scope, &kwargs_name, kwargs));
    if (!(wants & WANTS_CALLER) || find_named(args, &caller_name) || has_param(node, &caller_name))
        return OK;
    return scope_set(vm, scope, &caller_name,
                     (Value){ .kind = V_UNDEFINED, .as.string = &caller_name });
}

Status macro_call(Vm *vm, const Macro *macro, const Args *args, Value *out)
{
    Text text = { 0 };
    Flow flow = FLOW_NEXT;
    Scope *scope = scope_new(vm, macro->scope);
    if (!scope) return VM_LOST(vm);
    TRY(bind_extras(vm, macro->node, args, scope));
    TRY(bind_params(vm, macro->node, args, scope));
    TRY(run_body(vm, &macro->node->items, scope, &text, &flow));
    return text_value(vm, &text, out);
}

static Status run_macro(Vm *vm, const Node *node, Scope *scope)
{
    Value macro;
    TRY(make_macro(vm, node, scope, &macro));
    return scope_set(vm, scope, &node->text, macro);
}

/* {% call %}: the call gets one argument more, caller=the body. */
static Status run_call_block(Vm *vm, const Node *node, Scope *scope, Text *out)
{
    Value callee, caller, answer;
    Args args;
    TRY(make_macro(vm, node, scope, &caller));
    TRY(eval(vm, node->a->a, scope, &callee));
    TRY(eval_args(vm, node->a->call, scope, NULL, &args));
    if (find_named(&args, &caller_name)) return vm_fail(vm, FAILED, "'caller' is given twice");
    Named *named = vm_new(vm, args.n_named + 1, sizeof *named);
    if (!named) return VM_LOST(vm);
    if (args.n_named) memcpy(named, args.named, args.n_named * sizeof *named);
    named[args.n_named] = (Named){ .name = &caller_name, .value = caller };
    args.named = named;
    args.n_named++;
    TRY(vm_call(vm, callee, &args, &answer));
    return text_add_value(vm, out, answer);
}

/* ---- the rest ---- */

static Status run_print(Vm *vm, const Node *node, Scope *scope, Text *out)
{
    Value value;
    TRY(eval(vm, node->a, scope, &value));
    return text_add_value(vm, out, value);
}

static Status run_if(Vm *vm, const Node *node, Scope *scope, Text *out, Flow *flow)
{
    size_t i = 0;
    for (; i < node->more.n; i++) {
        Value test;
        bool truth;
        TRY(eval(vm, node->more.items[i], scope, &test));
        TRY(value_truth(vm, test, &truth));
        if (truth) break;
    }
    return i < node->items.n ? run_body(vm, &node->items.items[i]->items, scope, out, flow) : OK;
}

static Status run_with(Vm *vm, const Node *node, Scope *scope, Text *out, Flow *flow)
{
    Scope *inner = scope_new(vm, scope);
    if (!inner) return VM_LOST(vm);
    for (size_t i = 0; i + 1 < node->more.n; i += 2) {
        Value value;
        TRY(eval(vm, node->more.items[i + 1], scope, &value));
        TRY(assign(vm, node->more.items[i], value, inner));
    }
    return run_body(vm, &node->items, inner, out, flow);
}

static Status run_scope(Vm *vm, const Node *node, Scope *scope, Text *out, Flow *flow)
{
    Scope *inner = scope_new(vm, scope);
    if (!inner) return VM_LOST(vm);
    return run_body(vm, &node->items, inner, out, flow);
}

static Status run_node(Vm *vm, const Node *node, Scope *scope, Text *out, Flow *flow)
{
    switch (node->kind) {
    case N_DATA:         return text_add_str(vm, out, &node->text, 0, node->text.n_bytes);
    case N_PRINT:        return run_print(vm, node, scope, out);
    case N_IF:           return run_if(vm, node, scope, out, flow);
    case N_FOR:          return run_for(vm, node, scope, out, flow);
    case N_SET:          return run_set(vm, node, scope);
    case N_SET_BLOCK:    return run_set_block(vm, node, scope, flow);
    case N_MACRO:        return run_macro(vm, node, scope);
    case N_CALL_BLOCK:   return run_call_block(vm, node, scope, out);
    case N_FILTER_BLOCK: return run_filter_block(vm, node, scope, out, flow);
    case N_WITH:         return run_with(vm, node, scope, out, flow);
    case N_SCOPE:        return run_scope(vm, node, scope, out, flow);
    case N_BREAK:        *flow = FLOW_BREAK; return OK;
    case N_CONTINUE:     *flow = FLOW_CONTINUE; return OK;
    default:             return vm_fail(vm, FAILED, "an expression where a statement is expected");
    }
}

Status run_body(Vm *vm, const Nodes *body, Scope *scope, Text *out, Flow *flow)
{
    if (vm->depth >= EVAL_DEPTH_MAX)
        return vm_fail(vm, NO_ROOM, "rendering is nested more than %d deep", EVAL_DEPTH_MAX);
    vm->depth++;
    for (size_t i = 0; *flow == FLOW_NEXT && i < body->n; i++) {
        vm->line = body->items[i]->line;
        TRY(vm_work(vm, 0));
        TRY(run_node(vm, body->items[i], scope, out, flow));
    }
    vm->depth--;
    return OK;
}
