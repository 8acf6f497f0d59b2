/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/value.h - what a template computes with: Python's values, as far as templates see them.
 *
 * A string knows of each of its bytes whether it is the template's own ("trusted") or came from a
 * message.  The rule that keeps this honest: a byte is trusted only when it was copied from a
 * literal of the template, from its plain text, or from the texts of BOS and EOS.  Whatever is
 * computed (numbers, quotes, JSON's braces, padding) is untrusted.
 *
 * All values live in the arena of one rendering and never change once made; only namespaces,
 * iterators, cyclers and joiners have a state. */
#ifndef TEXT_JINJA_VALUE_H
#define TEXT_JINJA_VALUE_H

#include "base/base.h"

typedef struct Vm Vm;                   /* one rendering: text/jinja/vm.h                       */

typedef enum Kind {
    V_ABSENT,                           /* an argument that was not given; never seen outside   */
    V_UNDEFINED, V_NONE, V_BOOL, V_INT, V_FLOAT, V_STRING,
    V_LIST, V_TUPLE, V_DICT, V_VIEW, V_RANGE, V_ITERATOR,
    V_NAMESPACE, V_LOOP, V_MACRO, V_METHOD, V_FUNCTION, V_CYCLER, V_JOINER
} Kind;

typedef struct Str {
    const char    *bytes;               /* UTF-8, always valid                                  */
    size_t         n_bytes;
    const uint8_t *marks;               /* [n_bytes], 1 where trusted; NULL: all as `trusted`   */
    bool           trusted;
    bool           markup;              /* Python's Markup: `+` escapes what it is joined with  */
} Str;

typedef struct List      List;
typedef struct Dict      Dict;
typedef struct View      View;
typedef struct Range     Range;
typedef struct Iterator  Iterator;
typedef struct Loop      Loop;
typedef struct Macro     Macro;
typedef struct Method    Method;
typedef struct Native    Native;
typedef struct Cycler    Cycler;
typedef struct Joiner    Joiner;

typedef struct Value {
    Kind kind;
    union {
        bool          truth;
        int64_t       integer;
        double        real;
        const Str    *string;           /* of V_UNDEFINED: what is missing, or NULL             */
        const List   *list;             /* V_LIST and V_TUPLE                                   */
        Dict         *dict;             /* V_DICT and V_NAMESPACE                               */
        const View   *view;
        const Range  *range;
        Iterator     *iterator;
        Loop         *loop;
        const Macro  *macro;
        const Method *method;
        const Native *native;           /* V_FUNCTION                                           */
        Cycler       *cycler;
        Joiner       *joiner;
    } as;
} Value;

struct List {
    const Value *items;
    size_t       n;
    bool         grouped;               /* of groupby: [0] is also .grouper, [1] .list          */
};

typedef struct Entry { Value key, value; } Entry;
struct Dict { Entry *items; size_t n, room; };              /* in order of insertion             */

typedef enum ViewOf { VIEW_KEYS, VIEW_VALUES, VIEW_ITEMS } ViewOf;
struct View     { const Dict *dict; ViewOf of; };
struct Range    { int64_t start, stop, step; };
struct Iterator { const Value *items; size_t n, at; };      /* a generator: read once           */
struct Method   { Value self; const Native *native; };
struct Cycler   { const Value *items; size_t n, at; };
struct Joiner   { Value separator; bool used; };

/* ---- making ---- */

static inline Value value_none(void)                { return (Value){ .kind = V_NONE }; }
static inline Value value_undefined(void)           { return (Value){ .kind = V_UNDEFINED }; }
static inline Value value_bool(bool truth)          { return (Value){ .kind = V_BOOL, .as.truth = truth }; }
static inline Value value_int(int64_t i)            { return (Value){ .kind = V_INT, .as.integer = i }; }
static inline Value value_float(double x)           { return (Value){ .kind = V_FLOAT, .as.real = x }; }
static inline Value value_string(const Str *s)      { return (Value){ .kind = V_STRING, .as.string = s }; }

/* A copy of the bytes. */
Status value_text(Vm *vm, const char *bytes, size_t n_bytes, bool trusted, Value *out);
Status value_missing(Vm *vm, const char *name, size_t n_bytes, Value *out);   /* undefined, with a name */
Status value_list(Vm *vm, Kind kind, const Value *items, size_t n, Value *out);     /* borrows items    */
Status value_pair(Vm *vm, Value a, Value b, Value *out);                            /* a tuple          */
Status value_iterator(Vm *vm, const Value *items, size_t n, Value *out);
Status value_dict(Vm *vm, size_t room, Value *out);

/* Values that grow in number, for lists in the making. */
typedef struct Values { Value *items; size_t n, room; } Values;
Status values_add(Vm *vm, Values *values, Value value);

/* ---- strings ---- */

/* Bytes that grow, with their provenance. */
typedef struct Text {
    char    *bytes;
    uint8_t *marks;                     /* made when the first byte of another origin arrives   */
    size_t   n_bytes, room;
    bool     trusted;                   /* of all bytes while `marks` is NULL                   */
} Text;

Status text_add(Vm *vm, Text *text, const char *bytes, size_t n_bytes, bool trusted);
Status text_add_str(Vm *vm, Text *text, const Str *s, size_t begin, size_t end);
/* As text_add, with the origin of byte `at` of s: for what replaces that byte. */
Status text_add_like(Vm *vm, Text *text, const char *bytes, size_t n_bytes, const Str *s, size_t at);
Status text_add_value(Vm *vm, Text *text, Value value);         /* as Python's str()            */
Status text_value(Vm *vm, const Text *text, Value *out);        /* borrows the text's memory    */

bool   str_trusted_at(const Str *s, size_t byte);
bool   str_is(const Str *s, const char *text);
bool   str_equal(const Str *a, const Str *b);
size_t str_points(const Str *s);                                /* code points                  */
size_t str_offset(const Str *s, size_t from_byte, size_t n_points);
/* Bytes [begin, end) of s, sharing its memory. */
Status str_slice(Vm *vm, const Str *s, size_t begin, size_t end, Value *out);
/* First place of `needle` at or after byte `from`, or SIZE_MAX. */
size_t str_find(const Str *s, size_t from, const Str *needle);
size_t str_rfind(const Str *s, size_t end, const Str *needle);
Status str_mark_markup(Vm *vm, bool markup, Value *string);     /* when `markup`; a copy   */
Status str_escape_html(Vm *vm, const Str *s, Value *out);       /* the result is markup         */

/* Python's str() and repr(). */
Status value_to_string(Vm *vm, Value value, Value *out);
Status value_repr(Vm *vm, Text *text, Value value);
size_t float_repr(double x, char out[32]);
/* Decimal text to a number whatever the locale; false when it is not a number of Python's. */
bool   float_parse(const char *bytes, size_t n_bytes, double *out);

/* ---- asking ---- */

bool   value_is_number(Value v);                                /* int, float or bool           */
bool   value_as_int(Value v, int64_t *out);                     /* int or bool                  */
double value_as_double(Value v);                                /* of a number                  */
const char *value_type_name(Value v);                           /* as Python says it            */
Status value_truth(Vm *vm, Value v, bool *out);
Status value_equal(Vm *vm, Value a, Value b, bool *out);
Status value_less(Vm *vm, Value a, Value b, bool or_equal, bool *out);
Status value_contains(Vm *vm, Value container, Value item, bool *out);
bool   value_hashable(Value v);
/* *has is false for what has no len(). */
Status value_length(Vm *vm, Value v, int64_t *length, bool *has);
/* All items, as a `for` would meet them; *iterable false (and no error) for what has none. */
Status value_items(Vm *vm, Value v, const Value **items, size_t *n, bool *iterable);
Status value_items_or_fail(Vm *vm, Value v, const Value **items, size_t *n);

/* The entry's value, or NULL. */
Status dict_find(Vm *vm, const Dict *dict, Value key, Value **out);
Value *dict_find_text(const Dict *dict, const char *key, size_t n_bytes);
Status dict_put(Vm *vm, Dict *dict, Value key, Value value);
Status dict_add(Vm *vm, Dict *dict, Value key, Value value);    /* key known to be new          */

#endif
