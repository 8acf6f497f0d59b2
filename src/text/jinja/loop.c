/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/loop.c - {% for %} and the variable `loop`.
 *
 * A loop reads its items one at a time and looks one ahead only when asked (loop.last,
 * loop.nextitem), because the loop's own `if` may depend on what the body did before. */
#include "text/jinja/loop.h"

#include <string.h>

struct Loop {
    const Node  *node;
    Scope       *scope;                 /* around the loop                                      */
    const Value *items;
    size_t       n, at;                 /* at: the next to read                                 */
    bool         filtered, sized;       /* the loop has an `if`; its length is known            */
    int64_t      length, index0, depth0;
    bool         has_before, has_after;
    bool         completed;             /* some round ran to its end: `else` does not           */
    Value        before, current, after;
    const Value *changed;               /* what loop.changed() saw last                         */
    size_t       n_changed;
};

/* Does the item pass the loop's `if`?  The test sees the loop's variables but not `loop`. */
static Status passes(Vm *vm, Loop *loop, Value item, bool *out)
{
    Value answer;
    Scope *scope = scope_new(vm, loop->scope);
    if (!scope) return VM_LOST(vm);
    TRY(assign(vm, loop->node->a, item, scope));
    TRY(eval(vm, loop->node->c, scope, &answer));
    return value_truth(vm, answer, out);
}

/* The next item that counts. */
static Status fetch(Vm *vm, Loop *loop, Value *out, bool *found)
{
    *found = false;
    while (!*found && loop->at < loop->n) {
        *out = loop->items[loop->at++];
        *found = true;
        if (loop->filtered) TRY(passes(vm, loop, *out, found));
    }
    return OK;
}

static Status peek(Vm *vm, Loop *loop)
{
    return loop->has_after ? OK : fetch(vm, loop, &loop->after, &loop->has_after);
}

static Status advance(Vm *vm, Loop *loop, bool *found)
{
    Value next = loop->after;
    *found = loop->has_after;
    if (!*found) TRY(fetch(vm, loop, &next, found));
    loop->has_after = false;
    if (!*found) return OK;
    loop->index0++;
    loop->has_before = loop->index0 > 0;
    loop->before = loop->current;
    loop->current = next;
    return OK;
}

/* The length of a filtered loop is known once the rest of it was read. */
static Status measure(Vm *vm, Loop *loop)
{
    if (loop->sized) return OK;
    Values rest = { 0 };
    for (bool found = true; found;) {
        Value item;
        TRY(fetch(vm, loop, &item, &found));
        if (found) TRY(values_add(vm, &rest, item));
    }
    loop->items = rest.items;
    loop->n = rest.n;
    loop->at = 0;
    loop->filtered = false;
    loop->length = (int64_t)rest.n + loop->index0 + 1 + loop->has_after;
    loop->sized = true;
    return OK;
}

/* ---- `loop` ---- */

Status loop_attribute(Vm *vm, Loop *loop, const Str *name, Value *out)
{
    const int64_t index0 = loop->index0;
    *out = (Value){ .kind = V_ABSENT };
    if (str_is(name, "index")) *out = value_int(index0 + 1);
    else if (str_is(name, "index0")) *out = value_int(index0);
    else if (str_is(name, "first")) *out = value_bool(index0 == 0);
    else if (str_is(name, "depth")) *out = value_int(loop->depth0 + 1);
    else if (str_is(name, "depth0")) *out = value_int(loop->depth0);
    else if (str_is(name, "previtem")) *out = loop->has_before ? loop->before : value_undefined();
    else if (str_is(name, "last") || str_is(name, "nextitem")) {
        TRY(peek(vm, loop));
        if (str_is(name, "last")) *out = value_bool(!loop->has_after);
        else *out = loop->has_after ? loop->after : value_undefined();
    } else if (str_is(name, "length") || str_is(name, "revindex") || str_is(name, "revindex0")) {
        TRY(measure(vm, loop));
        const int64_t from = str_is(name, "length")     ? 0
                             : str_is(name, "revindex") ? index0
                                                        : index0 + 1;
        *out = value_int(loop->length - from);
    }
    return OK;
}

static Status loop_cycle(Vm *vm, const Args *args, Value *out)
{
    const Loop *loop = args->items[0].as.loop;
    TRY(need_no_names(vm, args, "loop.cycle"));
    if (args->n < 2) return vm_fail(vm, FAILED, "loop.cycle needs items");
    *out = args->items[1 + loop->index0 % ((int64_t)args->n - 1)];
    return OK;
}

static Status loop_changed(Vm *vm, const Args *args, Value *out)
{
    Loop *loop = args->items[0].as.loop;
    TRY(need_no_names(vm, args, "loop.changed"));
    const size_t n = args->n - 1;
    bool same = loop->changed != NULL && loop->n_changed == n;
    for (size_t i = 0; same && i < n; i++)
        TRY(value_equal(vm, loop->changed[i], args->items[1 + i], &same));
    if (!same) {
        loop->changed = args->items + 1;
        loop->n_changed = n;
    }
    *out = value_bool(!same);
    return OK;
}

const Native jinja_loop_methods[] = {
    { .name = "cycle", .call_raw = loop_cycle },
    { .name = "changed", .call_raw = loop_changed },
    { .name = NULL },
};

/* ---- running ---- */

static const Str loop_name = { .bytes = "loop", .n_bytes = 4 };

/* One round's scope, used again unless a macro written in the loop remembers it. */
static Status round_scope(Vm *vm, Scope *outer, Scope **scope)
{
    if (*scope && !(*scope)->captured) {
        (*scope)->n = 0;
        return OK;
    }
    *scope = scope_new(vm, outer);
    return *scope ? OK : VM_LOST(vm);
}

static Status run_rounds(Vm *vm, Loop *loop, Text *out)
{
    const Value variable = { .kind = V_LOOP, .as.loop = loop };
    Scope *scope = NULL;
    Flow flow = FLOW_NEXT;
    for (bool found = true; flow != FLOW_BREAK;) {
        TRY(advance(vm, loop, &found));
        if (!found) break;
        TRY(vm_work(vm, 0));
        TRY(round_scope(vm, loop->scope, &scope));
        TRY(scope_set(vm, scope, &loop_name, variable));
        TRY(assign(vm, loop->node->a, loop->current, scope));
        flow = FLOW_NEXT;
        TRY(run_body(vm, &loop->node->items, scope, out, &flow));
        loop->completed = loop->completed || flow == FLOW_NEXT;
    }
    return OK;
}

static Status run_loop(Vm *vm, const Node *node, Value iterable, Scope *scope, int64_t depth0,
                       Text *out, Flow *flow)
{
    Loop *loop = vm_new(vm, 1, sizeof *loop);
    if (!loop) return VM_LOST(vm);
    *loop = (Loop){ .node = node, .scope = scope, .index0 = -1, .depth0 = depth0,
                    .filtered = node->c != NULL, .sized = node->c == NULL };
    TRY(value_items_or_fail(vm, iterable, &loop->items, &loop->n));
    loop->length = (int64_t)loop->n;
    TRY(run_rounds(vm, loop, out));
    if (loop->completed || node->more.n == 0) return OK;
    Scope *inner = scope_new(vm, scope);
    if (!inner) return VM_LOST(vm);
    return run_body(vm, &node->more, inner, out, flow);
}

Status run_for(Vm *vm, const Node *node, Scope *scope, Text *out, Flow *flow)
{
    Value iterable;
    TRY(eval(vm, node->b, scope, &iterable));
    return run_loop(vm, node, iterable, scope, 0, out, flow);
}

/* loop(items) in a recursive loop: the same loop over other items, as text. */
Status loop_recurse(Vm *vm, Loop *loop, const Args *args, Value *out)
{
    Text text = { 0 };
    Flow flow = FLOW_NEXT;
    TRY(need_no_names(vm, args, "loop"));
    if (!loop->node->flag)
        return vm_fail(vm, FAILED, "only a loop marked 'recursive' can be called");
    if (args->n != 1) return vm_fail(vm, FAILED, "a recursive loop takes one argument");
    TRY(run_loop(vm, loop->node, args->items[0], loop->scope, loop->depth0 + 1, &text, &flow));
    return text_value(vm, &text, out);
}
