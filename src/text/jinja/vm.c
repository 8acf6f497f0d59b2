/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/vm.c - memory, limits, variables and calls of one rendering. */
#include "text/jinja/vm.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SMALL_CHUNK = 32 << 10, SMALL_ALIGN = 16 };

Status vm_fail(Vm *vm, Status code, const char *format, ...)
{
    char what[384];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return fail(vm->error, code, "%s: line %d: %s", vm->name, vm->line, what);
}

Status vm_fail_type(Vm *vm, const char *wanted, Value got)
{
    if (got.kind == V_UNDEFINED && got.as.string)
        return vm_fail(vm, FAILED, "expected %s, found nothing: '%.*s' is undefined", wanted,
                       (int)(got.as.string->n_bytes < 80 ? got.as.string->n_bytes : 80),
                       got.as.string->bytes);
    return vm_fail(vm, FAILED, "expected %s, found %s", wanted, value_type_name(got));
}

static void *lost(Vm *vm)
{
    vm_fail(vm, NO_MEMORY, "out of memory");
    return NULL;
}

void *vm_new(Vm *vm, size_t n, size_t each)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, each, &bytes) || bytes > RENDER_BYTES_MAX)
        bytes = RENDER_BYTES_MAX;
    bytes = (bytes + SMALL_ALIGN - 1) / SMALL_ALIGN * SMALL_ALIGN;
    if (bytes > RENDER_BYTES_MAX - vm->used_bytes) {
        vm_fail(vm, NO_MEMORY, "rendering needs more than %zu MiB", RENDER_BYTES_MAX >> 20);
        return NULL;
    }
    vm->used_bytes += bytes;
    if (bytes > SMALL_CHUNK / 4) {
        void *large = arena_new(&vm->arena, bytes, 1);
        return large ? large : lost(vm);
    }
    if (bytes > vm->small_left) {
        vm->small = arena_new(&vm->arena, SMALL_CHUNK, 1);
        vm->small_left = vm->small ? SMALL_CHUNK : 0;
        if (!vm->small) return lost(vm);
    }
    void *here = vm->small;
    vm->small += bytes;
    vm->small_left -= bytes;
    return here;
}

Status vm_work(Vm *vm, size_t n_bytes)
{
    vm->steps += 1 + (int64_t)(n_bytes / STEP_BYTES);
    if (vm->steps <= STEPS_MAX) return OK;
    return vm_fail(vm, NO_ROOM, "rendering takes more than %d steps", STEPS_MAX);
}

Status vm_nest(Vm *vm)
{
    if (vm->value_depth >= VALUE_DEPTH_MAX)
        return vm_fail(vm, NO_ROOM, "values are nested more than %d deep", VALUE_DEPTH_MAX);
    vm->value_depth++;
    return vm_work(vm, 0);
}

void vm_unnest(Vm *vm)
{
    vm->value_depth--;
}

/* ---- variables ---- */

Scope *scope_new(Vm *vm, Scope *parent)
{
    Scope *scope = vm_new(vm, 1, sizeof *scope);
    if (scope) scope->parent = parent;
    return scope;
}

static Binding *find_here(const Scope *scope, const Str *name)
{
    for (size_t i = 0; i < scope->n; i++)
        if (str_equal(scope->items[i].name, name)) return &scope->items[i];
    return NULL;
}

Status scope_set(Vm *vm, Scope *scope, const Str *name, Value value)
{
    Binding *found = find_here(scope, name);
    if (found) {
        found->value = value;
        return OK;
    }
    TRY(vm_work(vm, scope->n));
    if (scope->n == scope->room) {
        const size_t room = scope->room ? scope->room * 2 : 4;
        Binding *items = vm_new(vm, room, sizeof *items);
        if (!items) return VM_LOST(vm);
        if (scope->n) memcpy(items, scope->items, scope->n * sizeof *items);
        scope->items = items;
        scope->room = room;
    }
    scope->items[scope->n++] = (Binding){ .name = name, .value = value };
    return OK;
}

const Value *scope_find(const Scope *scope, const Str *name)
{
    for (; scope; scope = scope->parent) {
        const Binding *found = find_here(scope, name);
        if (found) return &found->value;
    }
    return NULL;
}

/* ---- calls ---- */

const Native *native_find(const Native *table, const char *name, size_t n_bytes)
{
    for (; table->name; table++)
        if (strlen(table->name) == n_bytes && memcmp(table->name, name, n_bytes) == 0) return table;
    return NULL;
}

const Native *filter_find(const char *name, size_t n_bytes)
{
    const Native *found = native_find(jinja_filters_text, name, n_bytes);
    return found ? found : native_find(jinja_filters_list, name, n_bytes);
}

const Native *test_find(const char *name, size_t n_bytes)
{
    return native_find(jinja_tests, name, n_bytes);
}

/* One parameter of "s width? first?" after another. */
typedef struct Params { const char *at; const char *name; size_t n_bytes; bool optional; } Params;

static bool next_param(Params *params)
{
    params->at += strspn(params->at, " ");
    params->name = params->at;
    params->n_bytes = strcspn(params->at, " ?/");
    params->at += params->n_bytes;
    params->optional = *params->at == '?';
    if (params->optional) params->at++;
    return params->n_bytes > 0;
}

/* Index of the parameter with this name, or -1. */
static int param_index(const Native *native, const Str *name)
{
    Params params = { .at = native->params };
    if (strchr(native->params, '/')) return -1;
    for (int i = 0; next_param(&params); i++)
        if (params.n_bytes == name->n_bytes && memcmp(params.name, name->bytes, name->n_bytes) == 0)
            return i;
    return -1;
}

static Status check_required(Vm *vm, const Native *native, const Args *args, const Value *sorted)
{
    Params params = { .at = native->params };
    size_t n = 0;
    for (; next_param(&params); n++)
        if (!params.optional && sorted[n].kind == V_ABSENT)
            return vm_fail(vm, FAILED, "%s: argument '%.*s' is missing", native->name,
                           (int)params.n_bytes, params.name);
    if (args->n > n)
        return vm_fail(vm, FAILED, "%s: too many arguments (%zu)", native->name, args->n);
    return OK;
}

Status native_call(Vm *vm, const Native *native, const Args *args, Value *out)
{
    if (native->call_raw) return native->call_raw(vm, args, out);
    Value sorted[NATIVE_PARAMS_MAX] = { { .kind = V_ABSENT } };
    for (size_t i = 0; i < args->n && i < NATIVE_PARAMS_MAX; i++) sorted[i] = args->items[i];
    for (size_t i = 0; i < args->n_named; i++) {
        const Str *name = args->named[i].name;
        const int at = param_index(native, name);
        if (at < 0 || sorted[at].kind != V_ABSENT)
            return vm_fail(vm, FAILED, "%s: argument '%.*s' is %s", native->name,
                           (int)(name->n_bytes < 80 ? name->n_bytes : 80), name->bytes,
                           at < 0 ? "unknown" : "given twice");
        sorted[at] = args->named[i].value;
    }
    TRY(check_required(vm, native, args, sorted));
    return native->call(vm, sorted, out);
}

Status need_string(Vm *vm, Value v, const char *what, const Str **out)
{
    if (v.kind != V_STRING) {
        char wanted[96];
        snprintf(wanted, sizeof wanted, "a string for %s", what);
        return vm_fail_type(vm, wanted, v);
    }
    *out = v.as.string;
    return OK;
}

Status need_int(Vm *vm, Value v, const char *what, int64_t *out)
{
    char wanted[96];
    snprintf(wanted, sizeof wanted, "an integer for %s", what);
    return value_as_int(v, out) ? OK : vm_fail_type(vm, wanted, v);
}

Status need_no_names(Vm *vm, const Args *args, const char *what)
{
    return args->n_named ? vm_fail(vm, FAILED, "%s takes no named arguments", what) : OK;
}

static Status joiner_call(Vm *vm, Joiner *joiner, Value *out)
{
    if (joiner->used) {
        *out = joiner->separator;
        return OK;
    }
    joiner->used = true;
    return value_text(vm, "", 0, true, out);
}

/* Methods get their object as first argument. */
static Status method_call(Vm *vm, const Method *method, const Args *args, Value *out)
{
    Value *items = vm_new(vm, args->n + 1, sizeof *items);
    if (!items) return VM_LOST(vm);
    items[0] = method->self;
    if (args->n) memcpy(items + 1, args->items, args->n * sizeof *items);
    const Args all = {
        .items = items, .n = args->n + 1, .named = args->named, .n_named = args->n_named
    };
    return native_call(vm, method->native, &all, out);
}

Status vm_call(Vm *vm, Value callee, const Args *args, Value *out)
{
    TRY(vm_work(vm, 0));
    switch (callee.kind) {
    case V_FUNCTION: return native_call(vm, callee.as.native, args, out);
    case V_METHOD:   return method_call(vm, callee.as.method, args, out);
    case V_MACRO:    return macro_call(vm, callee.as.macro, args, out);
    case V_LOOP:     return loop_recurse(vm, callee.as.loop, args, out);
    case V_JOINER:
        if (args->n || args->n_named) return vm_fail(vm, FAILED, "a joiner takes no arguments");
        return joiner_call(vm, callee.as.joiner, out);
    default:         return vm_fail_type(vm, "something that can be called", callee);
    }
}

Status vm_filter(Vm *vm, const Str *name, const Args *args, Value *out)
{
    const Native *native = filter_find(name->bytes, name->n_bytes);
    if (!native)
        return vm_fail(vm, UNSUPPORTED, "no filter is named '%.*s'",
                       (int)(name->n_bytes < 80 ? name->n_bytes : 80), name->bytes);
    TRY(vm_work(vm, 0));
    return native_call(vm, native, args, out);
}

Status vm_test(Vm *vm, const Str *name, const Args *args, bool *out)
{
    const Native *native = test_find(name->bytes, name->n_bytes);
    if (!native)
        return vm_fail(vm, UNSUPPORTED, "no test is named '%.*s'",
                       (int)(name->n_bytes < 80 ? name->n_bytes : 80), name->bytes);
    Value answer;
    TRY(vm_work(vm, 0));
    TRY(native_call(vm, native, args, &answer));
    return value_truth(vm, answer, out);
}
