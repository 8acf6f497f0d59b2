/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/parse.c - words to expressions.  Statements are in text/jinja/statement.c.
 *
 * From loosest to tightest: `a if b else c`, or, and, not, comparisons, + -, ~, * / // %, **,
 * sign, then what is attached behind: .name [key] (call) | filter, is test. */
#include "text/jinja/vm.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- words ---- */

Status parser_fail(Parser *p, int line, Status code, const char *format, ...)
{
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return fail(p->error, code, "%s: line %d: %s", p->name, line, what);
}

static Status unexpected(Parser *p, const char *wanted)
{
    const Token *t = p->at;
    if (t->kind == T_END)
        return parser_fail(p, t->line, BAD_FILE, "expected %s, found the end of the template",
                           wanted);
    if (t->kind == T_BLOCK_END || t->kind == T_VARIABLE_END)
        return parser_fail(p, t->line, BAD_FILE, "expected %s, found the end of the tag", wanted);
    return parser_fail(p, t->line, BAD_FILE, "expected %s, found '%.*s'", wanted,
                       (int)(t->n_bytes < 40 ? t->n_bytes : 40), t->bytes);
}

Status parser_expect(Parser *p, TokenKind kind, const char *what)
{
    if (p->at->kind != kind) return unexpected(p, what);
    p->at++;
    return OK;
}

static bool token_is(const Token *t, const char *name)
{
    return t->kind == T_NAME && t->n_bytes == strlen(name) &&
           memcmp(t->bytes, name, t->n_bytes) == 0;
}

bool parser_at_name(const Parser *p, const char *name)
{
    return token_is(p->at, name);
}

bool parser_skip_name(Parser *p, const char *name)
{
    if (!parser_at_name(p, name)) return false;
    p->at++;
    return true;
}

Status parser_expect_name(Parser *p, const char *name)
{
    char wanted[48];
    snprintf(wanted, sizeof wanted, "'%s'", name);
    return parser_skip_name(p, name) ? OK : unexpected(p, wanted);
}

bool parser_skip(Parser *p, TokenKind kind)
{
    if (p->at->kind != kind) return false;
    p->at++;
    return true;
}

/* ---- nodes ---- */

Status parser_node(Parser *p, NodeKind kind, int line, Node **out)
{
    *out = arena_new(p->arena, 1, sizeof **out);
    if (!*out) return fail_memory(p->error, "a template");
    (*out)->kind = kind;
    (*out)->line = line;
    return OK;
}

Status parser_add(Parser *p, Nodes *nodes, Node *node)
{
    if (nodes->n == nodes->room) {
        const size_t room = nodes->room ? nodes->room * 2 : 8;
        Node **items = arena_new(p->arena, room, sizeof *items);
        if (!items) return fail_memory(p->error, "a template");
        if (nodes->n) memcpy(items, nodes->items, nodes->n * sizeof *items);
        nodes->items = items;
        nodes->room = room;
    }
    nodes->items[nodes->n++] = node;
    return OK;
}

Status parser_enter(Parser *p)
{
    if (p->depth >= PARSE_DEPTH_MAX)
        return parser_fail(p, p->at->line, BAD_FILE, "nested more than %d deep", PARSE_DEPTH_MAX);
    p->depth++;
    return OK;
}

static Status unary_node(Parser *p, NodeKind kind, int line, Node *a, Node **out)
{
    TRY(parser_node(p, kind, line, out));
    (*out)->a = a;
    return OK;
}

static Status pair_node(Parser *p, NodeKind kind, int line, Node *a, Node *b, Node **out)
{
    TRY(unary_node(p, kind, line, a, out));
    (*out)->b = b;
    return OK;
}

/* The template's own words: trusted. */
static Str token_text(const Token *t)
{
    return (Str){ .bytes = t->bytes, .n_bytes = t->n_bytes, .trusted = true };
}

/* ---- filters and tests that do not exist ---- */

static Status remember_unknown(Parser *p, const Node *node)
{
    if (p->n_unknown == p->unknown_room) {
        const size_t room = p->unknown_room ? p->unknown_room * 2 : 8;
        Unknown *grown = arena_new(p->arena, room, sizeof *grown);
        if (!grown) return fail_memory(p->error, "a template");
        if (p->n_unknown) memcpy(grown, p->unknown, p->n_unknown * sizeof *grown);
        p->unknown = grown;
        p->unknown_room = room;
    }
    p->unknown[p->n_unknown++] = (Unknown){ .node = node };
    return OK;
}

void parser_forgive(Parser *p, size_t since)
{
    size_t kept = since;
    for (size_t i = since; i < p->n_unknown; i++)
        if (p->unknown[i].hard) p->unknown[kept++] = p->unknown[i];
    p->n_unknown = kept;
}

void parser_harden(Parser *p, size_t since)
{
    for (size_t i = since; i < p->n_unknown; i++) p->unknown[i].hard = true;
}

/* ---- literals ---- */

static Status parse_string(Parser *p, Node **out)
{
    const Token *t = p->at++;
    size_t n_bytes = t->n_bytes;
    const char *bytes = t->bytes;
    for (; p->at->kind == T_STRING; p->at++) {              /* "a" "b" is one string, as in C */
        char *both = arena_new(p->arena, n_bytes + p->at->n_bytes + 1, 1);
        if (!both) return fail_memory(p->error, "a template");
        if (n_bytes) memcpy(both, bytes, n_bytes);
        if (p->at->n_bytes) memcpy(both + n_bytes, p->at->bytes, p->at->n_bytes);
        bytes = both;
        n_bytes += p->at->n_bytes;
    }
    TRY(parser_node(p, N_CONST, t->line, out));
    (*out)->text = (Str){ .bytes = bytes, .n_bytes = n_bytes, .trusted = true };
    (*out)->value = value_string(&(*out)->text);
    return OK;
}

static Status integer_value(Parser *p, const Token *t, int64_t *out)
{
    const char *s = t->bytes, *end = t->bytes + t->n_bytes;
    int base = 10;
    if (t->n_bytes > 2 && s[0] == '0') {
        const int letter = s[1] | 0x20;
        base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
        if (base != 10) s += 2;
    }
    int64_t value = 0;
    for (; s < end; s++) {
        if (*s == '_') continue;
        const int digit = *s <= '9' ? *s - '0' : (*s | 0x20) - 'a' + 10;
        if (__builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return parser_fail(p, t->line, UNSUPPORTED, "an integer has more than 64 bits");
    }
    *out = value;
    return OK;
}

static Status parse_number(Parser *p, Node **out)
{
    const Token *t = p->at++;
    TRY(parser_node(p, N_CONST, t->line, out));
    if (t->kind == T_INT) {
        int64_t value = 0;
        TRY(integer_value(p, t, &value));
        (*out)->value = value_int(value);
        return OK;
    }
    double value;
    if (!float_parse(t->bytes, t->n_bytes, &value))
        return parser_fail(p, t->line, BAD_FILE, "'%.*s' is not a number", (int)t->n_bytes,
                           t->bytes);
    (*out)->value = value_float(value);
    return OK;
}

static Status parse_name(Parser *p, Node **out)
{
    const Token *t = p->at++;
    const bool yes = token_is(t, "true") || token_is(t, "True");
    const bool no = token_is(t, "false") || token_is(t, "False");
    const bool none = token_is(t, "none") || token_is(t, "None");
    TRY(parser_node(p, yes || no || none ? N_CONST : N_NAME, t->line, out));
    (*out)->text = token_text(t);
    (*out)->value = none ? value_none() : value_bool(yes);
    if (token_is(t, "caller")) p->caller = true;
    if (token_is(t, "varargs")) p->varargs = true;
    if (token_is(t, "kwargs")) p->kwargs = true;
    return OK;
}

static Status parse_list(Parser *p, Node **out)
{
    TRY(parser_node(p, N_LIST, p->at++->line, out));
    while (p->at->kind != T_RBRACKET) {
        if ((*out)->items.n) TRY(parser_expect(p, T_COMMA, "','"));
        if (p->at->kind == T_RBRACKET) break;
        Node *item;
        TRY(parse_expression(p, true, &item));
        TRY(parser_add(p, &(*out)->items, item));
    }
    return parser_expect(p, T_RBRACKET, "']'");
}

/* Keys in `items`, values in `more`. */
static Status parse_dict(Parser *p, Node **out)
{
    TRY(parser_node(p, N_DICT, p->at++->line, out));
    while (p->at->kind != T_RBRACE) {
        if ((*out)->items.n) TRY(parser_expect(p, T_COMMA, "','"));
        if (p->at->kind == T_RBRACE) break;
        Node *key, *value;
        TRY(parse_expression(p, true, &key));
        TRY(parser_expect(p, T_COLON, "':'"));
        TRY(parse_expression(p, true, &value));
        TRY(parser_add(p, &(*out)->items, key));
        TRY(parser_add(p, &(*out)->more, value));
    }
    return parser_expect(p, T_RBRACE, "'}'");
}

static Status parse_primary_here(Parser *p, Node **out)
{
    switch (p->at->kind) {
    case T_NAME:     return parse_name(p, out);
    case T_STRING:   return parse_string(p, out);
    case T_INT:
    case T_FLOAT:    return parse_number(p, out);
    case T_LBRACKET: return parse_list(p, out);
    case T_LBRACE:   return parse_dict(p, out);
    case T_LPAREN:
        p->at++;
        TRY(parse_tuple(p, true, false, true, NULL, out));
        return parser_expect(p, T_RPAREN, "')'");
    default:         return unexpected(p, "an expression");
    }
}

static Status parse_primary(Parser *p, Node **out)
{
    TRY(parser_enter(p));
    TRY(parse_primary_here(p, out));
    p->depth--;
    return OK;
}

/* ---- what is attached behind ---- */

/* One of x[a], x[a:b], x[a:b:c]; a slice has its bounds in a, b, c, NULL where left out. */
static Status parse_subscribed(Parser *p, Node **out)
{
    Node *bounds[3] = { NULL };
    const int line = p->at->line;
    if (p->at->kind != T_COLON) {
        TRY(parse_expression(p, true, &bounds[0]));
        if (p->at->kind != T_COLON) {
            *out = bounds[0];
            return OK;
        }
    }
    for (int i = 1; i < 3 && parser_skip(p, T_COLON); i++) {
        const TokenKind next = p->at->kind;
        if (next == T_COLON || next == T_RBRACKET || next == T_COMMA) continue;
        TRY(parse_expression(p, true, &bounds[i]));
    }
    TRY(parser_node(p, N_SLICE, line, out));
    (*out)->a = bounds[0];
    (*out)->b = bounds[1];
    (*out)->c = bounds[2];
    return OK;
}

static Status parse_subscript(Parser *p, Node *object, Node **out)
{
    const int line = p->at++->line;
    Node *keys, *key = NULL;
    TRY(parser_node(p, N_TUPLE, line, &keys));
    while (p->at->kind != T_RBRACKET) {
        if (keys->items.n) TRY(parser_expect(p, T_COMMA, "','"));
        TRY(parse_subscribed(p, &key));
        TRY(parser_add(p, &keys->items, key));
    }
    p->at++;
    for (size_t i = 0; keys->items.n != 1 && i < keys->items.n; i++)
        if (keys->items.items[i]->kind == N_SLICE)
            return parser_fail(p, line, UNSUPPORTED, "a slice inside of several keys");
    return pair_node(p, N_ITEM, line, object, keys->items.n == 1 ? key : keys, out);
}

static Status parse_dot(Parser *p, Node *object, Node **out)
{
    const int line = p->at++->line;
    if (p->at->kind == T_INT) {
        Node *key;
        TRY(parse_number(p, &key));
        return pair_node(p, N_ITEM, line, object, key, out);
    }
    const Token *name = p->at;
    TRY(parser_expect(p, T_NAME, "a name or a number behind '.'"));
    TRY(unary_node(p, N_ATTRIBUTE, line, object, out));
    (*out)->text = token_text(name);
    return OK;
}

static Status parse_argument(Parser *p, Call *call)
{
    Node *node;
    const int line = p->at->line;
    const bool starred = call->star || call->stars;
    if (p->at->kind == T_MUL || p->at->kind == T_POW) {
        const bool two = p->at++->kind == T_POW;
        if (call->stars || (!two && call->star))
            return parser_fail(p, line, BAD_FILE, "arguments in the wrong order");
        return parse_expression(p, true, two ? &call->stars : &call->star);
    }
    if (p->at->kind == T_NAME && p->at[1].kind == T_ASSIGN) {
        const Token *name = p->at;
        p->at += 2;
        if (call->stars) return parser_fail(p, line, BAD_FILE, "arguments in the wrong order");
        Node *value;
        TRY(parse_expression(p, true, &value));
        TRY(unary_node(p, N_SET, line, value, &node));
        node->text = token_text(name);
        return parser_add(p, &call->named, node);
    }
    if (starred || call->named.n)
        return parser_fail(p, line, BAD_FILE, "arguments in the wrong order");
    TRY(parse_expression(p, true, &node));
    return parser_add(p, &call->args, node);
}

/* Named arguments are N_SET nodes: the name in `text`, the value in `a`. */
static Status parse_arguments(Parser *p, Call *call)
{
    TRY(parser_expect(p, T_LPAREN, "'('"));
    for (size_t n = 0; p->at->kind != T_RPAREN; n++) {
        if (n == CALL_ARGS_MAX)
            return parser_fail(p, p->at->line, BAD_FILE, "more than %d arguments", CALL_ARGS_MAX);
        if (n) TRY(parser_expect(p, T_COMMA, "','"));
        if (p->at->kind == T_RPAREN) break;
        TRY(parse_argument(p, call));
    }
    return parser_expect(p, T_RPAREN, "')'");
}

static Status call_node(Parser *p, NodeKind kind, int line, Node *subject, Node **out)
{
    TRY(unary_node(p, kind, line, subject, out));
    (*out)->call = arena_new(p->arena, 1, sizeof *(*out)->call);
    return (*out)->call ? OK : fail_memory(p->error, "a template");
}

static Status parse_call(Parser *p, Node *callee, Node **out)
{
    TRY(call_node(p, N_CALL, p->at->line, callee, out));
    return parse_arguments(p, (*out)->call);
}

/* The name of a filter or test; dotted ones exist in Jinja, but none of ours has a dot. */
static Status parse_dotted(Parser *p, Str *out)
{
    const Token *first = p->at;
    TRY(parser_expect(p, T_NAME, "a name"));
    *out = token_text(first);
    while (parser_skip(p, T_DOT)) {
        const Token *part = p->at;
        TRY(parser_expect(p, T_NAME, "a name"));
        char *both = arena_new(p->arena, out->n_bytes + part->n_bytes + 2, 1);
        if (!both) return fail_memory(p->error, "a template");
        memcpy(both, out->bytes, out->n_bytes);
        both[out->n_bytes] = '.';
        memcpy(both + out->n_bytes + 1, part->bytes, part->n_bytes);
        *out = (Str){ .bytes = both, .n_bytes = out->n_bytes + 1 + part->n_bytes, .trusted = true };
    }
    return OK;
}

static Status parse_filter(Parser *p, Node *subject, Node **out)
{
    TRY(call_node(p, N_FILTER, p->at->line, subject, out));
    TRY(parse_dotted(p, &(*out)->text));
    if (p->at->kind == T_LPAREN) TRY(parse_arguments(p, (*out)->call));
    return filter_find((*out)->text.bytes, (*out)->text.n_bytes) ? OK : remember_unknown(p, *out);
}

Status parse_filters(Parser *p, Node *subject, bool first_inline, Node **out)
{
    *out = subject;
    while (first_inline || parser_skip(p, T_PIPE)) {
        TRY(parse_filter(p, *out, out));
        first_inline = false;
    }
    return OK;
}

static Status parse_postfix(Parser *p, Node *node, Node **out)
{
    for (;;) {
        switch (p->at->kind) {
        case T_DOT:      TRY(parse_dot(p, node, &node)); break;
        case T_LBRACKET: TRY(parse_subscript(p, node, &node)); break;
        case T_LPAREN:   TRY(parse_call(p, node, &node)); break;
        default:         *out = node; return OK;
        }
    }
}

/* Can what comes next be the one argument of a test without brackets? */
static bool starts_argument(const Parser *p)
{
    switch (p->at->kind) {
    case T_NAME:
        return !token_is(p->at, "else") && !token_is(p->at, "or") && !token_is(p->at, "and");
    case T_STRING: case T_INT: case T_FLOAT: case T_LBRACKET: case T_LBRACE:
        return true;
    default:
        return false;
    }
}

/* x is [not] name [argument] */
static Status parse_test(Parser *p, Node *subject, Node **out)
{
    const int line = p->at++->line;
    const bool negated = parser_skip_name(p, "not");
    Node *node;
    TRY(call_node(p, N_TEST, line, subject, &node));
    TRY(parse_dotted(p, &node->text));
    if (!test_find(node->text.bytes, node->text.n_bytes)) TRY(remember_unknown(p, node));
    if (p->at->kind == T_LPAREN) {
        TRY(parse_arguments(p, node->call));
    } else if (starts_argument(p)) {
        if (token_is(p->at, "is")) return parser_fail(p, line, BAD_FILE, "two tests in a chain");
        Node *argument;
        TRY(parse_primary(p, &argument));
        TRY(parse_postfix(p, argument, &argument));
        TRY(parser_add(p, &node->call->args, argument));
    }
    *out = node;
    return negated ? unary_node(p, N_NOT, line, node, out) : OK;
}

static Status parse_attached(Parser *p, Node *node, Node **out)
{
    for (;;) {
        if (p->at->kind == T_PIPE) TRY(parse_filters(p, node, false, &node));
        else if (token_is(p->at, "is")) TRY(parse_test(p, node, &node));
        else if (p->at->kind == T_LPAREN) TRY(parse_call(p, node, &node));
        else break;
    }
    *out = node;
    return OK;
}

/* ---- operators ---- */

static Status parse_unary(Parser *p, bool with_filters, Node **out)
{
    const int line = p->at->line;
    Node *node;
    if (p->at->kind == T_SUB || p->at->kind == T_ADD) {
        const NodeKind kind = p->at++->kind == T_SUB ? N_NEGATE : N_PLUS;
        TRY(parser_enter(p));
        TRY(parse_unary(p, false, &node));
        p->depth--;
        TRY(unary_node(p, kind, line, node, &node));
    } else {
        TRY(parse_primary(p, &node));
    }
    TRY(parse_postfix(p, node, &node));
    if (with_filters) TRY(parse_attached(p, node, &node));
    *out = node;
    return OK;
}

static Status parse_power(Parser *p, Node **out)
{
    TRY(parse_unary(p, true, out));
    while (p->at->kind == T_POW) {
        const int line = p->at++->line;
        Node *right;
        TRY(parse_unary(p, true, &right));
        TRY(pair_node(p, N_BINARY, line, *out, right, out));
        (*out)->op = T_POW;
    }
    return OK;
}

static Status parse_product(Parser *p, Node **out)
{
    TRY(parse_power(p, out));
    while (p->at->kind == T_MUL || p->at->kind == T_DIV || p->at->kind == T_FLOORDIV ||
           p->at->kind == T_MOD) {
        const Token *op = p->at++;
        Node *right;
        TRY(parse_power(p, &right));
        TRY(pair_node(p, N_BINARY, op->line, *out, right, out));
        (*out)->op = op->kind;
    }
    return OK;
}

static Status parse_concat(Parser *p, Node **out)
{
    Node *first;
    TRY(parse_product(p, &first));
    *out = first;
    if (p->at->kind != T_TILDE) return OK;
    TRY(parser_node(p, N_CONCAT, p->at->line, out));
    TRY(parser_add(p, &(*out)->items, first));
    while (parser_skip(p, T_TILDE)) {
        Node *next;
        TRY(parse_product(p, &next));
        TRY(parser_add(p, &(*out)->items, next));
    }
    return OK;
}

static Status parse_sum(Parser *p, Node **out)
{
    TRY(parse_concat(p, out));
    while (p->at->kind == T_ADD || p->at->kind == T_SUB) {
        const Token *op = p->at++;
        Node *right;
        TRY(parse_concat(p, &right));
        TRY(pair_node(p, N_BINARY, op->line, *out, right, out));
        (*out)->op = op->kind;
    }
    return OK;
}

/* Does a comparison's operator come next?  Takes it and describes it in *operand. */
static bool take_comparison(Parser *p, Node *operand)
{
    const TokenKind kind = p->at->kind;
    if (kind == T_EQ || kind == T_NE || kind == T_GT || kind == T_GE || kind == T_LT ||
        kind == T_LE) {
        operand->op = kind;
        p->at++;
        return true;
    }
    operand->negate = token_is(p->at, "not") && token_is(p->at + 1, "in");
    operand->flag = operand->negate || token_is(p->at, "in");
    p->at += operand->negate ? 2 : operand->flag ? 1 : 0;
    return operand->flag;
}

/* a < b <= c: the first in `a`, then operands in `items`, each with its operator. */
static Status parse_compare(Parser *p, Node **out)
{
    Node *first, *compare = NULL;
    TRY(parse_sum(p, &first));
    for (;;) {
        Node found = { 0 }, *operand, *right;
        const int line = p->at->line;
        if (!take_comparison(p, &found)) break;
        TRY(parse_sum(p, &right));
        TRY(unary_node(p, N_COMPARE, line, right, &operand));
        operand->op = found.op;
        operand->flag = found.flag;
        operand->negate = found.negate;
        if (!compare) TRY(unary_node(p, N_COMPARE, line, first, &compare));
        TRY(parser_add(p, &compare->items, operand));
    }
    *out = compare ? compare : first;
    return OK;
}

static Status parse_not(Parser *p, Node **out)
{
    if (!token_is(p->at, "not")) return parse_compare(p, out);
    const int line = p->at++->line;
    Node *operand;
    TRY(parser_enter(p));
    TRY(parse_not(p, &operand));
    p->depth--;
    return unary_node(p, N_NOT, line, operand, out);
}

static Status parse_and(Parser *p, Node **out)
{
    TRY(parse_not(p, out));
    while (token_is(p->at, "and")) {
        const int line = p->at++->line;
        Node *right;
        TRY(parse_not(p, &right));
        TRY(pair_node(p, N_AND, line, *out, right, out));
    }
    return OK;
}

static Status parse_or(Parser *p, Node **out)
{
    TRY(parse_and(p, out));
    while (token_is(p->at, "or")) {
        const int line = p->at++->line;
        Node *right;
        TRY(parse_and(p, &right));
        TRY(pair_node(p, N_OR, line, *out, right, out));
    }
    return OK;
}

/* `a if b else c` is a, b, c. */
static Status parse_if_else(Parser *p, Node **out)
{
    const size_t since = p->n_unknown;
    TRY(parse_or(p, out));
    while (token_is(p->at, "if")) {
        const int line = p->at++->line;
        Node *test, *otherwise = NULL;
        TRY(parse_or(p, &test));
        if (parser_skip_name(p, "else")) {
            TRY(parser_enter(p));
            TRY(parse_if_else(p, &otherwise));
            p->depth--;
        }
        TRY(pair_node(p, N_IF_ELSE, line, *out, test, out));
        (*out)->c = otherwise;
        parser_forgive(p, since);
    }
    return OK;
}

Status parse_expression(Parser *p, bool with_if, Node **out)
{
    return with_if ? parse_if_else(p, out) : parse_or(p, out);
}

static bool tuple_ends(const Parser *p, const char *end_name)
{
    const TokenKind kind = p->at->kind;
    return kind == T_VARIABLE_END || kind == T_BLOCK_END || kind == T_RPAREN ||
           (end_name && token_is(p->at, end_name));
}

Status parse_tuple(Parser *p, bool with_if, bool simple, bool in_parens, const char *end_name,
                   Node **out)
{
    Node *tuple, *item = NULL;
    bool comma = false;
    TRY(parser_node(p, N_TUPLE, p->at->line, &tuple));
    for (;;) {
        if (tuple->items.n) TRY(parser_expect(p, T_COMMA, "','"));
        if (tuple_ends(p, end_name)) break;
        TRY(simple ? parse_primary(p, &item) : parse_expression(p, with_if, &item));
        TRY(parser_add(p, &tuple->items, item));
        if (p->at->kind != T_COMMA) break;
        comma = true;
    }
    if (!comma && tuple->items.n == 0 && !in_parens) return unexpected(p, "an expression");
    *out = comma || tuple->items.n == 0 ? tuple : item;
    return OK;
}
