/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/ast.h - a template as a tree, and the two passes that make it: words, then tree. */
#ifndef TEXT_JINJA_AST_H
#define TEXT_JINJA_AST_H

#include "base/arena.h"
#include "text/jinja/value.h"

enum {
    SOURCE_BYTES_MAX  = 1 << 20,        /* of one template                                      */
    PARSE_DEPTH_MAX   = 200,            /* brackets in brackets, blocks in blocks               */
    CALL_ARGS_MAX     = 255
};

/* ---- words ---- */

typedef enum TokenKind {
    T_END, T_DATA, T_BLOCK_BEGIN, T_BLOCK_END, T_VARIABLE_BEGIN, T_VARIABLE_END,
    T_NAME, T_STRING, T_INT, T_FLOAT,
    T_ADD, T_SUB, T_MUL, T_DIV, T_FLOORDIV, T_MOD, T_POW, T_TILDE,
    T_LBRACKET, T_RBRACKET, T_LPAREN, T_RPAREN, T_LBRACE, T_RBRACE,
    T_EQ, T_NE, T_GT, T_GE, T_LT, T_LE, T_ASSIGN, T_DOT, T_COLON, T_PIPE, T_COMMA, T_SEMICOLON
} TokenKind;

typedef struct Token {
    TokenKind   kind;
    int         line;
    const char *bytes;                  /* data, name, number as written, string unescaped      */
    size_t      n_bytes;
} Token;

typedef struct Tokens { Token *items; size_t n, room; } Tokens;

/* Words of `source`, whose newlines are '\n' already.  Texts lie in the arena or in the source. */
Status jinja_lex(Arena *arena, const char *source, size_t n_bytes, const char *name, Tokens *out,
                 Error *error);

/* ---- tree ---- */

typedef enum NodeKind {
    /* expressions */
    N_CONST, N_NAME, N_TUPLE, N_LIST, N_DICT, N_AND, N_OR, N_NOT, N_NEGATE, N_PLUS, N_BINARY,
    N_CONCAT, N_COMPARE, N_IF_ELSE, N_ATTRIBUTE, N_ITEM, N_SLICE, N_CALL, N_FILTER, N_TEST,
    /* statements */
    N_DATA, N_PRINT, N_FOR, N_IF, N_SET, N_SET_BLOCK, N_MACRO, N_CALL_BLOCK,
    N_FILTER_BLOCK, N_WITH, N_SCOPE, N_BREAK, N_CONTINUE
} NodeKind;

typedef struct Node Node;

typedef struct Nodes { Node **items; size_t n, room; } Nodes;

/* Arguments as they were written: positional, named, *star, **stars. */
typedef struct Call {
    Nodes  args, named;                 /* a named one: name in `text`, value in `a`            */
    Node  *star, *stars;
} Call;

/* What the fields hold depends on the kind; the parser's functions say it beside each. */
struct Node {
    NodeKind  kind;
    TokenKind op;                       /* N_BINARY; N_COMPARE's operands                       */
    int       line;
    bool      flag;                     /* N_COMPARE operand: `in`; N_FOR: recursive ...        */
    bool      negate;                   /* N_COMPARE operand: `not in`                          */
    Str       text;                     /* name, attribute, filter, test, data                  */
    Value     value;                    /* N_CONST                                              */
    Node     *a, *b, *c;
    Nodes     items, more;
    Call     *call;
};

/* The tree of a template as an N_SCOPE; everything is in the arena.  BAD_FILE with a line number
 * for what is not Jinja, UNSUPPORTED for a tag we do not have. */
Status jinja_parse(Arena *arena, const Tokens *tokens, const char *name, Node **out, Error *error);

/* ---- between the parser's two files ---- */

typedef struct Unknown { const Node *node; bool hard; } Unknown;

typedef struct Parser {
    Arena       *arena;
    const Token *at;                    /* the current word; the last is T_END                  */
    const char  *name;
    Error       *error;
    int          depth;
    int          loops;                 /* `break` belongs to one of these                      */
    bool         caller, varargs, kwargs;       /* the macro being read mentions them           */
    Unknown     *unknown;               /* filters and tests that do not exist                  */
    size_t       n_unknown, unknown_room;
} Parser;

Status parser_fail(Parser *p, int line, Status code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
Status parser_expect(Parser *p, TokenKind kind, const char *what);
Status parser_expect_name(Parser *p, const char *name);
bool   parser_at_name(const Parser *p, const char *name);
bool   parser_skip_name(Parser *p, const char *name);
bool   parser_skip(Parser *p, TokenKind kind);
Status parser_node(Parser *p, NodeKind kind, int line, Node **out);
Status parser_add(Parser *p, Nodes *nodes, Node *node);
Status parser_enter(Parser *p);         /* one level deeper; the caller leaves with p->depth--  */

/* A filter that does not exist is an error at once, unless it stands in an `if` and may never
 * run; inside the `if` a loop or macro of its own makes it an error again.  So does Jinja. */
void   parser_forgive(Parser *p, size_t since);
void   parser_harden(Parser *p, size_t since);

Status parse_expression(Parser *p, bool with_if, Node **out);
/* `a, b`: a tuple when there is a comma.  end_name is one more word that may follow. */
Status parse_tuple(Parser *p, bool with_if, bool simple, bool in_parens, const char *end_name, Node **out);
Status parse_filters(Parser *p, Node *subject, bool first_inline, Node **out);

#endif
