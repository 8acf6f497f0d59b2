/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/statement.c - words to statements.  Expressions are in text/jinja/parse.c. */
#include "text/jinja/vm.h"

#include <string.h>

static Status parse_body(Parser *p, const char *const *ends, Nodes *out);

/* Reads a block's body after its opening tag, up to a tag named in `ends`; that name is next. */
static Status parse_block(Parser *p, const char *const *ends, Nodes *out)
{
    parser_skip(p, T_COLON);
    TRY(parser_expect(p, T_BLOCK_END, "the end of the tag"));
    TRY(parser_enter(p));
    TRY(parse_body(p, ends, out));
    p->depth--;
    return OK;
}

static Status parse_block_to(Parser *p, const char *end, Nodes *out)
{
    const char *const ends[] = { end, NULL };
    TRY(parse_block(p, ends, out));
    return parser_expect_name(p, end);
}

/* ---- targets ---- */

static bool can_assign(const Node *node)
{
    if (node->kind == N_NAME) return true;
    if (node->kind != N_TUPLE) return false;
    for (size_t i = 0; i < node->items.n; i++)
        if (!can_assign(node->items.items[i])) return false;
    return true;
}

static bool mentions_loop(const Node *target)
{
    if (target->kind == N_NAME) return str_is(&target->text, "loop");
    for (size_t i = 0; i < target->items.n; i++)
        if (mentions_loop(target->items.items[i])) return true;
    return false;
}

static Status parse_target(Parser *p, const char *end_name, Node **out)
{
    const int line = p->at->line;
    TRY(parse_tuple(p, true, true, false, end_name, out));
    return can_assign(*out) ? OK : parser_fail(p, line, BAD_FILE, "this cannot be assigned to");
}

static Status parse_target_name(Parser *p, Str *out)
{
    const Token *t = p->at;
    TRY(parser_expect(p, T_NAME, "a name"));
    *out = (Str){ .bytes = t->bytes, .n_bytes = t->n_bytes, .trusted = true };
    static const char *const constants[] = { "true", "false", "none", "True", "False", "None" };
    for (int i = 0; i < ARRAY_LEN(constants); i++)
        if (str_is(out, constants[i]))
            return parser_fail(p, t->line, BAD_FILE, "'%s' cannot be assigned to", constants[i]);
    return OK;
}

/* ---- one function per tag; the tag's name is taken already ---- */

/* Target a: names, or an N_ATTRIBUTE of a namespace.  N_SET: value b.  N_SET_BLOCK: filters in b around
 * a NULL subject, body in items. */
static Status parse_set(Parser *p, int line, Node **out)
{
    Node *target, *value, *filters = NULL;
    if (p->at->kind == T_NAME && p->at[1].kind == T_DOT) {
        TRY(parser_node(p, N_ATTRIBUTE, line, &target));
        TRY(parser_node(p, N_NAME, line, &target->a));
        TRY(parse_target_name(p, &target->a->text));
        p->at++;
        const Token *name = p->at;
        TRY(parser_expect(p, T_NAME, "a name"));
        target->text = (Str){ .bytes = name->bytes, .n_bytes = name->n_bytes, .trusted = true };
    } else {
        TRY(parse_target(p, NULL, &target));
    }
    if (parser_skip(p, T_ASSIGN)) {
        TRY(parse_tuple(p, true, false, false, NULL, &value));
        TRY(parser_node(p, N_SET, line, out));
        (*out)->b = value;
    } else {
        const size_t since = p->n_unknown;
        TRY(parse_filters(p, NULL, false, &filters));
        TRY(parser_node(p, N_SET_BLOCK, line, out));
        (*out)->b = filters;
        TRY(parse_block_to(p, "endset", &(*out)->items));
        parser_harden(p, since);
    }
    (*out)->a = target;
    return OK;
}

/* Target a, iterable b, test c or NULL; body in items, `else` in more; flag: recursive. */
static Status parse_for(Parser *p, int line, Node **out)
{
    static const char *const ends[] = { "endfor", "else", NULL };
    TRY(parser_node(p, N_FOR, line, out));
    Node *node = *out;
    TRY(parse_target(p, "in", &node->a));
    if (mentions_loop(node->a))
        return parser_fail(p, line, BAD_FILE, "'loop' cannot be the variable of a loop");
    TRY(parser_expect_name(p, "in"));
    TRY(parse_tuple(p, false, false, false, "recursive", &node->b));
    const size_t since = p->n_unknown;
    if (parser_skip_name(p, "if")) TRY(parse_expression(p, true, &node->c));
    node->flag = parser_skip_name(p, "recursive");
    p->loops++;
    TRY(parse_block(p, ends, &node->items));
    p->loops--;
    if (parser_skip_name(p, "else")) TRY(parse_block_to(p, "endfor", &node->more));
    else p->at++;
    parser_harden(p, since);
    return OK;
}

/* Tests in `more`, one N_SCOPE body each in `items`, and one body more for `else`. */
static Status parse_if(Parser *p, int line, Node **out)
{
    static const char *const ends[] = { "elif", "else", "endif", NULL };
    const size_t since = p->n_unknown;
    TRY(parser_node(p, N_IF, line, out));
    for (bool more = true; more;) {
        Node *test, *body;
        TRY(parse_tuple(p, false, false, false, NULL, &test));
        TRY(parser_add(p, &(*out)->more, test));
        TRY(parser_node(p, N_SCOPE, p->at->line, &body));
        TRY(parse_block(p, ends, &body->items));
        TRY(parser_add(p, &(*out)->items, body));
        more = parser_skip_name(p, "elif");
    }
    if (parser_skip_name(p, "else")) {
        Node *body;
        TRY(parser_node(p, N_SCOPE, p->at->line, &body));
        TRY(parse_block_to(p, "endif", &body->items));
        TRY(parser_add(p, &(*out)->items, body));
    } else {
        p->at++;
    }
    parser_forgive(p, since);
    return OK;
}

/* (a, b=1): names in `more` (N_NAME with the default in a). */
static Status parse_signature(Parser *p, Node *node)
{
    bool defaults = false;
    TRY(parser_expect(p, T_LPAREN, "'('"));
    while (p->at->kind != T_RPAREN) {
        Node *param;
        if (node->more.n) TRY(parser_expect(p, T_COMMA, "','"));
        if (node->more.n == CALL_ARGS_MAX)
            return parser_fail(p, p->at->line, BAD_FILE, "more than %d parameters", CALL_ARGS_MAX);
        TRY(parser_node(p, N_NAME, p->at->line, &param));
        TRY(parse_target_name(p, &param->text));
        for (size_t i = 0; i < node->more.n; i++)
            if (str_equal(&node->more.items[i]->text, &param->text))
                return parser_fail(p, param->line, BAD_FILE, "two parameters have one name");
        if (parser_skip(p, T_ASSIGN)) {
            TRY(parse_expression(p, true, &param->a));
            defaults = true;
        } else if (defaults) {
            return parser_fail(p, param->line, BAD_FILE,
                               "a parameter without default follows one with");
        }
        TRY(parser_add(p, &node->more, param));
    }
    p->at++;
    return OK;
}

static const Node *find_param(const Node *node, const char *name)
{
    for (size_t i = 0; i < node->more.n; i++)
        if (str_is(&node->more.items[i]->text, name)) return node->more.items[i];
    return NULL;
}

/* The body of a macro or caller: `break` does not reach out of it, and it is noted in the node's
 * value whether *args, **kwargs and caller() are wanted (bits 0, 1, 2). */
static Status parse_macro_body(Parser *p, Node *node, const char *end)
{
    const Parser outer = *p;
    p->caller = p->varargs = p->kwargs = false;
    p->loops = 0;
    TRY(parse_block_to(p, end, &node->items));
    const Node *caller = find_param(node, "caller");
    if (p->caller && caller && !caller->a)
        return parser_fail(p, node->line, BAD_FILE, "the parameter 'caller' needs a default");
    const int64_t wants = (p->varargs && !find_param(node, "varargs") ? 1 : 0) |
                          (p->kwargs && !find_param(node, "kwargs") ? 2 : 0) | (p->caller ? 4 : 0);
    node->value = value_int(wants);
    p->loops = outer.loops;
    p->caller = p->caller || outer.caller;      /* what an inner macro mentions, the outer one has */
    p->varargs = p->varargs || outer.varargs;
    p->kwargs = p->kwargs || outer.kwargs;
    parser_harden(p, outer.n_unknown);
    return OK;
}

static Status parse_macro(Parser *p, int line, Node **out)
{
    TRY(parser_node(p, N_MACRO, line, out));
    TRY(parse_target_name(p, &(*out)->text));
    TRY(parse_signature(p, *out));
    return parse_macro_body(p, *out, "endmacro");
}

/* {% call(params) f(args) %}: the call in a, the body is a macro that f knows as caller(). */
static Status parse_call_block(Parser *p, int line, Node **out)
{
    TRY(parser_node(p, N_CALL_BLOCK, line, out));
    if (p->at->kind == T_LPAREN) TRY(parse_signature(p, *out));
    TRY(parse_expression(p, true, &(*out)->a));
    if ((*out)->a->kind != N_CALL) return parser_fail(p, line, BAD_FILE, "expected a call");
    return parse_macro_body(p, *out, "endcall");
}

/* Filters in a around a NULL subject. */
static Status parse_filter_block(Parser *p, int line, Node **out)
{
    const size_t since = p->n_unknown;
    TRY(parser_node(p, N_FILTER_BLOCK, line, out));
    TRY(parse_filters(p, NULL, true, &(*out)->a));
    TRY(parse_block_to(p, "endfilter", &(*out)->items));
    parser_harden(p, since);
    return OK;
}

/* Targets and values in `more`, alternating. */
static Status parse_with(Parser *p, int line, Node **out)
{
    const size_t since = p->n_unknown;
    TRY(parser_node(p, N_WITH, line, out));
    while (p->at->kind != T_BLOCK_END) {
        Node *target, *value;
        if ((*out)->more.n) TRY(parser_expect(p, T_COMMA, "','"));
        TRY(parse_target(p, NULL, &target));
        TRY(parser_expect(p, T_ASSIGN, "'='"));
        TRY(parse_expression(p, true, &value));
        TRY(parser_add(p, &(*out)->more, target));
        TRY(parser_add(p, &(*out)->more, value));
    }
    TRY(parse_block_to(p, "endwith", &(*out)->items));
    parser_harden(p, since);
    return OK;
}

static Status parse_print(Parser *p, int line, Node **out)
{
    TRY(parser_node(p, N_SCOPE, line, out));
    while (p->at->kind != T_BLOCK_END) {
        Node *print;
        if ((*out)->items.n) TRY(parser_expect(p, T_COMMA, "','"));
        TRY(parser_node(p, N_PRINT, line, &print));
        TRY(parse_expression(p, true, &print->a));
        TRY(parser_add(p, &(*out)->items, print));
    }
    return OK;
}

/* {% generation %} marks what an assistant wrote, for training; rendering just passes it on. */
static Status parse_generation(Parser *p, int line, Node **out)
{
    TRY(parser_node(p, N_SCOPE, line, out));
    return parse_macro_body(p, *out, "endgeneration");
}

static Status parse_jump(Parser *p, int line, Node **out, NodeKind kind)
{
    if (p->loops == 0)
        return parser_fail(p, line, BAD_FILE, "'break' or 'continue' outside of a loop");
    return parser_node(p, kind, line, out);
}

static Status parse_break(Parser *p, int line, Node **out)    { return parse_jump(p, line, out, N_BREAK); }
static Status parse_continue(Parser *p, int line, Node **out) { return parse_jump(p, line, out, N_CONTINUE); }

static const struct {
    const char *name;
    Status    (*parse)(Parser *p, int line, Node **out);
} tags[] = {
    { "set", parse_set },       { "if", parse_if },           { "for", parse_for },
    { "macro", parse_macro },   { "call", parse_call_block }, { "filter", parse_filter_block },
    { "with", parse_with },     { "print", parse_print },     { "generation", parse_generation },
    { "break", parse_break },   { "continue", parse_continue },
};

/* Tags that need other files, or escaping that no prompt wants. */
static const char *const foreign_tags[] = {
    "include", "import", "from", "extends", "block", "autoescape", "do", "trans", "debug",
};

static Status parse_statement(Parser *p, Node **out)
{
    const Token *tag = p->at;
    TRY(parser_expect(p, T_NAME, "the name of a tag"));
    const Str name = { .bytes = tag->bytes, .n_bytes = tag->n_bytes };
    for (int i = 0; i < ARRAY_LEN(tags); i++)
        if (str_is(&name, tags[i].name)) return tags[i].parse(p, tag->line, out);
    for (int i = 0; i < ARRAY_LEN(foreign_tags); i++)
        if (str_is(&name, foreign_tags[i]))
            return parser_fail(p, tag->line, UNSUPPORTED, "the tag '%s' is not supported",
                               foreign_tags[i]);
    return parser_fail(p, tag->line, BAD_FILE, "unexpected tag '%.*s'",
                       (int)(name.n_bytes < 40 ? name.n_bytes : 40), name.bytes);
}

static bool at_one_of(const Parser *p, const char *const *ends)
{
    for (; ends && *ends; ends++)
        if (parser_at_name(p, *ends)) return true;
    return false;
}

static Status parse_output(Parser *p, Node **out)
{
    TRY(parser_node(p, N_PRINT, p->at++->line, out));
    TRY(parse_tuple(p, true, false, false, NULL, &(*out)->a));
    return parser_expect(p, T_VARIABLE_END, "'}}'");
}

static Status parse_data(Parser *p, Node **out)
{
    TRY(parser_node(p, N_DATA, p->at->line, out));
    (*out)->text = (Str){ .bytes = p->at->bytes, .n_bytes = p->at->n_bytes, .trusted = true };
    p->at++;
    return OK;
}

static Status parse_body(Parser *p, const char *const *ends, Nodes *out)
{
    while (p->at->kind != T_END) {
        Node *node;
        if (p->at->kind == T_DATA) {
            TRY(parse_data(p, &node));
        } else if (p->at->kind == T_VARIABLE_BEGIN) {
            TRY(parse_output(p, &node));
        } else {
            TRY(parser_expect(p, T_BLOCK_BEGIN, "a tag"));
            if (at_one_of(p, ends)) return OK;
            TRY(parse_statement(p, &node));
            TRY(parser_expect(p, T_BLOCK_END, "the end of the tag"));
        }
        TRY(parser_add(p, out, node));
    }
    if (!ends) return OK;
    return parser_fail(p, p->at->line, BAD_FILE, "the template ends where '%s' is expected",
                       ends[0]);
}

Status jinja_parse(Arena *arena, const Tokens *tokens, const char *name, Node **out, Error *error)
{
    Parser p = { .arena = arena, .at = tokens->items, .name = name, .error = error };
    TRY(parser_node(&p, N_SCOPE, 1, out));
    TRY(parse_body(&p, NULL, &(*out)->items));
    if (p.n_unknown == 0) return OK;
    const Node *node = p.unknown[0].node;
    return parser_fail(&p, node->line, UNSUPPORTED, "no %s is named '%.*s'",
                       node->kind == N_FILTER ? "filter" : "test",
                       (int)(node->text.n_bytes < 40 ? node->text.n_bytes : 40), node->text.bytes);
}
