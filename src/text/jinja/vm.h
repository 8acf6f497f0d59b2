/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/vm.h - one rendering of a template: its memory, its limits, its variables.
 *
 * A template comes from a stranger's file.  It can reach the values below and nothing else, and
 * each of the limits ends it with one sentence. */
#ifndef TEXT_JINJA_VM_H
#define TEXT_JINJA_VM_H

#include "base/arena.h"
#include "text/jinja/ast.h"

enum {
    STEPS_MAX         = 20 * 1000 * 1000,   /* nodes evaluated, and bytes looked at / 256       */
    STEP_BYTES        = 256,
    EVAL_DEPTH_MAX    = 1000,               /* expressions in statements in macros in ...       */
    VALUE_DEPTH_MAX   = 200,                /* lists in lists, also of the messages             */
    TEXT_BYTES_MAX    = 32 << 20,           /* of the output, and of any string                 */
    RANGE_MAX         = 100 * 1000,         /* Jinja's own sandbox has the same                 */
    NATIVE_PARAMS_MAX = 8
};
#define RENDER_BYTES_MAX ((size_t)512 << 20)        /* all memory of one rendering              */

typedef struct Binding { const Str *name; Value value; } Binding;

typedef struct Scope Scope;
struct Scope {
    Scope   *parent;
    Binding *items;
    size_t   n, room;
    bool     captured;                  /* a macro remembers it: it may not be used again       */
};

struct Macro {
    const Node *node;                   /* N_MACRO, or N_CALL_BLOCK for a caller                */
    Scope      *scope;                  /* where it was written                                 */
};

struct Vm {
    Arena       arena;
    char       *small;                  /* room for small things, cut from the arena            */
    size_t      small_left, used_bytes;
    int64_t     steps;
    int         depth, value_depth;
    int         line;                   /* of the template, for messages                        */
    const char *name;                   /* of the template                                      */
    int64_t     now;                    /* for strftime_now                                     */
    Error      *error;
};

Status vm_fail(Vm *vm, Status code, const char *format, ...) __attribute__((format(printf, 3, 4)));
Status vm_fail_type(Vm *vm, const char *wanted, Value got);
/* Zeroed memory that lives as long as the rendering; NULL after an error was set. */
void  *vm_new(Vm *vm, size_t n, size_t each);
#define VM_LOST(vm) NO_MEMORY           /* what to return when vm_new said NULL                 */
Status vm_work(Vm *vm, size_t n_bytes);         /* counts a step and the bytes it touches       */
Status vm_nest(Vm *vm);                         /* one value deeper; leave with vm_unnest       */
void   vm_unnest(Vm *vm);

/* ---- variables ---- */

Scope *scope_new(Vm *vm, Scope *parent);        /* NULL after an error was set                  */
Status scope_set(Vm *vm, Scope *scope, const Str *name, Value value);
const Value *scope_find(const Scope *scope, const Str *name);

/* ---- calls ---- */

typedef struct Named { const Str *name; Value value; } Named;

typedef struct Args {
    const Value *items;
    size_t       n;
    const Named *named;
    size_t       n_named;
} Args;

/* A function of ours.  With `params` ("s width? first?": a '?' marks what may be left out, a '/' at
 * the end that none can be given by name) the arguments arrive sorted in a[], V_ABSENT where left
 * out; without, as they were given.  For methods, filters and tests the first is the subject. */
struct Native {
    const char *name, *params;
    Status    (*call)(Vm *vm, const Value *a, Value *out);
    Status    (*call_raw)(Vm *vm, const Args *args, Value *out);
};

const Native *native_find(const Native *table, const char *name, size_t n_bytes);
Status native_call(Vm *vm, const Native *native, const Args *args, Value *out);
/* Arguments that must be of a kind; `what` names the function and argument. */
Status need_string(Vm *vm, Value v, const char *what, const Str **out);
Status need_int(Vm *vm, Value v, const char *what, int64_t *out);
Status need_no_names(Vm *vm, const Args *args, const char *what);

Status vm_call(Vm *vm, Value callee, const Args *args, Value *out);
Status vm_filter(Vm *vm, const Str *name, const Args *args, Value *out);
Status vm_test(Vm *vm, const Str *name, const Args *args, bool *out);

/* ---- the tables (NULL-ended) ---- */

extern const Native jinja_filters_text[], jinja_filters_list[], jinja_tests[], jinja_globals[];
extern const Native jinja_string_methods[], jinja_list_methods[], jinja_dict_methods[];
extern const Native jinja_loop_methods[], jinja_cycler_methods[];
const Native *filter_find(const char *name, size_t n_bytes);
const Native *test_find(const char *name, size_t n_bytes);

/* ---- evaluation ---- */

Status eval(Vm *vm, const Node *node, Scope *scope, Value *out);
Status eval_args(Vm *vm, const Call *call, Scope *scope, const Value *subject, Args *out);
typedef enum Flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE } Flow;
Status run_body(Vm *vm, const Nodes *body, Scope *scope, Text *out, Flow *flow);
Status macro_call(Vm *vm, const Macro *macro, const Args *args, Value *out);
Status assign(Vm *vm, const Node *target, Value value, Scope *scope);
Status loop_attribute(Vm *vm, Loop *loop, const Str *name, Value *out);
Status loop_recurse(Vm *vm, Loop *loop, const Args *args, Value *out);

/* x.name and x[key], as the sandbox of Jinja resolves them. */
Status get_attribute(Vm *vm, Value object, const Str *name, Value *out);
Status get_method(Vm *vm, Value object, const Str *name, Value *out);        /* no item instead */
Status get_item(Vm *vm, Value object, Value key, Value *out);
Status get_slice(Vm *vm, Value object, const Value bounds[3], Value *out);

Status binary(Vm *vm, TokenKind op, Value a, Value b, Value *out);
Status negate(Vm *vm, Value a, Value *out);

/* ---- helpers of several files ---- */

Status format_percent(Vm *vm, const Str *format, Value args, Value *out);       /* "..." % args */
Status format_braces(Vm *vm, const Args *args, Value *out);                     /* "...".format */
Status json_dump(Vm *vm, const Value *a, Value *out);                           /* tojson       */
Status json_load(Vm *vm, const char *what, const char *text, size_t n_bytes, Value *out);
/* Sorted by keys[i], stable; both arrays change. */
Status sort_by_keys(Vm *vm, Value *items, Value *keys, size_t n, bool reverse);

typedef enum CaseTo { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_CAPITAL, CASE_SWAP } CaseTo;
Status str_to_case(Vm *vm, const Str *s, CaseTo to, Value *out);
bool   point_is_space(uint32_t point);
bool   point_is_word(uint32_t point);           /* letter, digit, mark or '_': \w, identifiers  */
bool   point_is_letter(uint32_t point);
bool   point_is_digit(uint32_t point);
bool   point_is_upper(uint32_t point);
bool   point_is_lower(uint32_t point);
bool   point_is_title(uint32_t point);
bool   point_is_printable(uint32_t point);
/* Byte range of s without the white space (or the characters of `chars`) at its ends. */
void   str_strip_range(const Str *s, const Str *chars, bool left, bool right, size_t *begin, size_t *end);

#endif
