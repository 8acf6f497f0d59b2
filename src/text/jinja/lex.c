/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/lex.c - template source to words.
 *
 * Options are those of chat templates: the newline after a block tag is dropped (trim_blocks), and
 * so is white space between the start of a line and a block tag (lstrip_blocks). */
#include "base/utf8.h"
#include "text/jinja/vm.h"

#include <string.h>

typedef struct Lexer {
    Arena      *arena;
    const char *source, *name;
    size_t      at, end;
    int         line;
    char        brackets[PARSE_DEPTH_MAX];      /* closing ones we wait for                      */
    int         n_brackets;
    Tokens     *out;
    Error      *error;
} Lexer;

static Status lex_fail(Lexer *x, const char *what)
{
    return fail(x->error, BAD_FILE, "%s: line %d: %s", x->name, x->line, what);
}

static Status add(Lexer *x, TokenKind kind, const char *bytes, size_t n_bytes)
{
    Tokens *t = x->out;
    if (t->n == t->room) {
        const size_t room = t->room ? t->room * 2 : 256;
        Token *items = arena_new(x->arena, room, sizeof *items);
        if (!items) return fail_memory(x->error, "a template");
        if (t->n) memcpy(items, t->items, t->n * sizeof *items);
        t->items = items;
        t->room = room;
    }
    t->items[t->n++] = (Token){ .kind = kind, .line = x->line, .bytes = bytes, .n_bytes = n_bytes };
    return OK;
}

static bool here(const Lexer *x, const char *text)
{
    const size_t n = strlen(text);
    return x->end - x->at >= n && memcmp(x->source + x->at, text, n) == 0;
}

/* Goes to `at`, counting lines. */
static void go(Lexer *x, size_t at)
{
    for (; x->at < at; x->at++)
        if (x->source[x->at] == '\n') x->line++;
}

/* Bytes of white space at `at`. */
static size_t space_after(const Lexer *x, size_t at)
{
    const size_t begin = at;
    uint32_t point;
    size_t step;
    while ((step = utf8_decode(x->source + at, x->end - at, &point)) > 0 && point_is_space(point))
        at += step;
    return at - begin;
}

static size_t strip_right(const char *s, size_t n)
{
    const Str text = { .bytes = s, .n_bytes = n };
    size_t begin, end;
    str_strip_range(&text, NULL, false, true, &begin, &end);
    return end;
}

/* Plain text [begin, end) before a tag whose sign is '-', '+' or 0. */
static Status add_data(Lexer *x, size_t begin, size_t end, char sign, bool is_block)
{
    const char *s = x->source + begin;
    size_t n = end - begin;
    if (sign == '-') {
        n = strip_right(s, n);
    } else if (sign != '+' && is_block) {
        size_t line = n;
        while (line > 0 && s[line - 1] != '\n') line--;
        const bool starts_line = line > 0 || begin == 0 || s[-1] == '\n';
        if (starts_line && strip_right(s + line, n - line) == 0) n = line;
    }
    TRY(n ? add(x, T_DATA, s, n) : OK);
    go(x, end);
    return OK;
}

/* After the closing bracket of a tag at x->at, `n` bytes long: white space or one newline goes. */
static void close_tag(Lexer *x, size_t n, char sign, bool trim_newline)
{
    size_t to = x->at + n;
    if (sign == '-') to += space_after(x, to);
    else if (sign == 0 && trim_newline && to < x->end && x->source[to] == '\n') to++;
    go(x, to);
}

static Status lex_comment(Lexer *x)
{
    const size_t begin = x->at;
    const char *close = memmem(x->source + begin, x->end - begin, "#}", 2);
    if (!close) return lex_fail(x, "a comment '{#' is never closed");
    const size_t at = (size_t)(close - x->source);
    const char before = at > begin ? close[-1] : 0;
    const char sign = before == '-' || before == '+' ? before : 0;
    go(x, at);
    close_tag(x, 2, sign, true);
    return OK;
}

/* "{% raw %}": the sign of its end is stored, and where its text begins; false when it is not. */
static bool raw_begins(const Lexer *x, size_t at, size_t *text_begins)
{
    at += space_after(x, at);
    if (x->end - at < 3 || memcmp(x->source + at, "raw", 3) != 0) return false;
    at += 3;
    at += space_after(x, at);
    if (x->end - at >= 3 && memcmp(x->source + at, "-%}", 3) == 0) {
        *text_begins = at + 3 + space_after(x, at + 3);
        return true;
    }
    if (x->end - at < 2 || memcmp(x->source + at, "%}", 2) != 0) return false;
    *text_begins = at + 2;
    return true;
}

/* Is there an "endraw" tag at `at` ("{%" is there)?  Its sign, and where its closing begins. */
static bool raw_ends(const Lexer *x, size_t at, char *sign, size_t *closing)
{
    at += 2;
    *sign = 0;
    if (at < x->end && (x->source[at] == '-' || x->source[at] == '+')) *sign = x->source[at++];
    at += space_after(x, at);
    if (x->end - at < 6 || memcmp(x->source + at, "endraw", 6) != 0) return false;
    at += 6;
    at += space_after(x, at);
    *closing = at;
    if (at < x->end && (x->source[at] == '-' || x->source[at] == '+')) at++;
    return x->end - at >= 2 && memcmp(x->source + at, "%}", 2) == 0;
}

static Status lex_raw(Lexer *x, size_t begin)
{
    go(x, begin);
    for (size_t at = begin; at < x->end; at += 2) {
        const char *tag = memmem(x->source + at, x->end - at, "{%", 2);
        if (!tag) break;
        at = (size_t)(tag - x->source);
        char sign;
        size_t closing;
        if (!raw_ends(x, at, &sign, &closing)) continue;
        TRY(add_data(x, begin, at, sign, true));
        go(x, closing);
        const char end_sign = x->source[closing] == '%' ? 0 : x->source[closing];
        close_tag(x, end_sign ? 3 : 2, end_sign, true);
        return OK;
    }
    return lex_fail(x, "a block 'raw' is never closed");
}

/* ---- inside tags ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* \xHH, \uHHHH, \UHHHHHHHH: exactly n digits at s. */
static Status escape_hex(Lexer *x, const char *s, size_t left, size_t n, char **to)
{
    uint32_t point = 0;
    if (left < n) return lex_fail(x, "a string ends within an escape");
    for (size_t i = 0; i < n; i++) {
        const int digit = hex_value(s[i]);
        if (digit < 0) return lex_fail(x, "an escape in a string lacks hexadecimal digits");
        point = point << 4 | (uint32_t)digit;
    }
    const size_t bytes = utf8_encode(point, *to);
    if (bytes == 0) return lex_fail(x, "an escape in a string is no character of Unicode");
    *to += bytes;
    return OK;
}

static size_t escape_octal(const char *s, size_t left, char **to)
{
    size_t n = 0;
    uint32_t point = 0;
    for (; n < 3 && n < left && s[n] >= '0' && s[n] <= '7'; n++)
        point = point * 8 + (uint32_t)(s[n] - '0');
    *to += utf8_encode(point, *to);
    return n;
}

/* One escape; s stands after the backslash.  *used counts from there. */
static Status escape(Lexer *x, const char *s, size_t left, size_t *used, char **to)
{
    static const char letters[] = "abfnrtv\\'\"", meant[] = "\a\b\f\n\r\t\v\\'\"";
    const char c = s[0];
    const char *simple = c ? strchr(letters, c) : NULL;
    *used = 1;
    if (simple) {
        *(*to)++ = meant[simple - letters];
    } else if (c == '\n') {
        /* a line continued: nothing */
    } else if (c >= '0' && c <= '7') {
        *used = escape_octal(s, left, to);
    } else if (c == 'x' || c == 'u' || c == 'U') {
        const size_t n = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        TRY(escape_hex(x, s + 1, left - 1, n, to));
        *used = 1 + n;
    } else if (c == 'N') {
        return fail(x->error, UNSUPPORTED,
                    "%s: line %d: characters by name (\\N) are not supported", x->name, x->line);
    } else {
        *(*to)++ = '\\';            /* Python keeps both characters of an unknown escape */
        *used = 0;
    }
    return OK;
}

static Status lex_string(Lexer *x)
{
    const char quote = x->source[x->at];
    size_t end = x->at + 1;
    while (end < x->end && x->source[end] != quote) end += x->source[end] == '\\' ? 2 : 1;
    if (end >= x->end) return lex_fail(x, "a string is never closed");
    const char *s = x->source + x->at + 1;
    const size_t n = end - x->at - 1;
    char *text = arena_new(x->arena, n + 1, 1), *to = text;
    if (!text) return fail_memory(x->error, "a template");
    for (size_t i = 0; i < n;) {
        if (s[i] != '\\') {
            *to++ = s[i++];
            continue;
        }
        size_t used;
        TRY(escape(x, s + i + 1, n - i - 1, &used, &to));
        i += 1 + used;
    }
    TRY(add(x, T_STRING, text, (size_t)(to - text)));
    go(x, end + 1);
    return OK;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits of a base with single underscores between them; where they end. */
static size_t digits_end(const Lexer *x, size_t at, int base)
{
    while (at < x->end) {
        const size_t digit = x->source[at] == '_' ? at + 1 : at;
        if (digit >= x->end) break;
        const int value = hex_value(x->source[digit]);
        if (value < 0 || value >= base) break;
        at = digit + 1;
    }
    return at;
}

/* Where a float that begins at x->at ends, or x->at. */
static size_t float_end(const Lexer *x)
{
    if (x->at > 0 && x->source[x->at - 1] == '.') return x->at;     /* items.1.5 */
    const size_t whole = digits_end(x, x->at, 10);
    size_t end = whole;
    if (end + 1 < x->end && x->source[end] == '.' && is_digit(x->source[end + 1]))
        end = digits_end(x, end + 1, 10);
    if (end < x->end && (x->source[end] | 0x20) == 'e') {
        size_t digits = end + 1;
        if (digits < x->end && (x->source[digits] == '+' || x->source[digits] == '-')) digits++;
        if (digits < x->end && is_digit(x->source[digits])) end = digits_end(x, digits, 10);
    }
    return end == whole ? x->at : end;
}

static size_t integer_end(const Lexer *x)
{
    const char *s = x->source + x->at;
    if (s[0] != '0') return digits_end(x, x->at, 10);
    const char letter = x->end - x->at > 2 ? (char)(s[1] | 0x20) : 0;
    const int base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    if (base) {
        const size_t end = digits_end(x, x->at + 2, base);
        if (end > x->at + 2) return end;
    }
    size_t end = x->at + 1;                         /* zeros only: 007 is three words */
    while (end < x->end && (x->source[end] == '0' ||
           (x->source[end] == '_' && end + 1 < x->end && x->source[end + 1] == '0'))) end++;
    return end;
}

static Status lex_number(Lexer *x)
{
    size_t end = float_end(x);
    const TokenKind kind = end > x->at ? T_FLOAT : T_INT;
    if (kind == T_INT) end = integer_end(x);
    TRY(add(x, kind, x->source + x->at, end - x->at));
    go(x, end);
    return OK;
}

static size_t name_end(const Lexer *x)
{
    size_t at = x->at, step;
    uint32_t point;
    while ((step = utf8_decode(x->source + at, x->end - at, &point)) > 0 && point_is_word(point))
        at += step;
    return at;
}

static const struct { char text[3]; TokenKind kind; } operators[] = {
    { "//", T_FLOORDIV }, { "**", T_POW }, { "==", T_EQ }, { "!=", T_NE }, { ">=", T_GE },
    { "<=", T_LE },       { "+", T_ADD },  { "-", T_SUB }, { "*", T_MUL }, { "/", T_DIV },
    { "%", T_MOD },       { "~", T_TILDE }, { "[", T_LBRACKET }, { "]", T_RBRACKET },
    { "(", T_LPAREN },    { ")", T_RPAREN }, { "{", T_LBRACE }, { "}", T_RBRACE },
    { ">", T_GT },        { "<", T_LT },   { "=", T_ASSIGN }, { ".", T_DOT }, { ":", T_COLON },
    { "|", T_PIPE },      { ",", T_COMMA }, { ";", T_SEMICOLON },
};

static Status balance(Lexer *x, char c)
{
    static const char opening[] = "([{", closing[] = ")]}";
    const char *open = strchr(opening, c), *close = strchr(closing, c);
    if (open) {
        if (x->n_brackets == PARSE_DEPTH_MAX) return lex_fail(x, "brackets are nested too deeply");
        x->brackets[x->n_brackets++] = closing[open - opening];
    } else if (close) {
        if (x->n_brackets == 0 || x->brackets[x->n_brackets - 1] != c)
            return fail(x->error, BAD_FILE, "%s: line %d: unexpected '%c'", x->name, x->line, c);
        x->n_brackets--;
    }
    return OK;
}

static Status lex_operator(Lexer *x)
{
    for (int i = 0; i < ARRAY_LEN(operators); i++) {
        if (!here(x, operators[i].text)) continue;
        const size_t n = strlen(operators[i].text);
        if (n == 1) TRY(balance(x, operators[i].text[0]));
        TRY(add(x, operators[i].kind, x->source + x->at, n));
        x->at += n;
        return OK;
    }
    return fail(x->error, BAD_FILE, "%s: line %d: unexpected character '%.*s'", x->name, x->line,
                (int)(x->end - x->at < 4 ? x->end - x->at : 4), x->source + x->at);
}

/* Is this the tag's end?  Then it is taken. */
static bool lex_tag_end(Lexer *x, bool is_block)
{
    if (x->n_brackets > 0) return false;
    const char *close = is_block ? "%}" : "}}";
    char sign = x->at < x->end ? x->source[x->at] : 0;
    if (sign != '-' && !(sign == '+' && is_block)) sign = 0;
    const size_t n = sign ? 1 : 0;
    if (x->end - x->at < n + 2 || memcmp(x->source + x->at + n, close, 2) != 0) return false;
    close_tag(x, n + 2, sign, is_block);
    return true;
}

static Status lex_tag(Lexer *x, bool is_block)
{
    TRY(add(x, is_block ? T_BLOCK_BEGIN : T_VARIABLE_BEGIN, x->source + x->at, 0));
    x->n_brackets = 0;
    while (x->at < x->end) {
        const int line = x->line;
        if (lex_tag_end(x, is_block)) {
            TRY(add(x, is_block ? T_BLOCK_END : T_VARIABLE_END, x->source + x->at, 0));
            x->out->items[x->out->n - 1].line = line;
            return OK;
        }
        const size_t space = space_after(x, x->at);
        const char c = x->source[x->at];
        if (space) {
            go(x, x->at + space);
        } else if (is_digit(c)) {
            TRY(lex_number(x));
        } else if (c == '\'' || c == '"') {
            TRY(lex_string(x));
        } else if (name_end(x) > x->at) {
            const size_t end = name_end(x);
            TRY(add(x, T_NAME, x->source + x->at, end - x->at));
            x->at = end;
        } else {
            TRY(lex_operator(x));
        }
    }
    return OK;                          /* the parser meets the end and complains */
}

/* One piece of plain text and the tag behind it. */
static Status lex_piece(Lexer *x)
{
    size_t tag = x->at;
    for (; tag + 1 < x->end; tag++)
        if (x->source[tag] == '{' && strchr("%{#", x->source[tag + 1]) && x->source[tag + 1]) break;
    if (tag + 1 >= x->end) return add_data(x, x->at, x->end, '+', false);
    const char kind = x->source[tag + 1];
    const char next = tag + 2 < x->end ? x->source[tag + 2] : 0;
    const char sign = next == '-' || next == '+' ? next : 0;
    const size_t inside = tag + 2 + (sign ? 1 : 0);
    size_t raw = 0;
    const bool is_raw = kind == '%' && raw_begins(x, inside, &raw);
    TRY(add_data(x, x->at, tag, sign, kind != '{'));
    x->at = inside;
    if (is_raw) return lex_raw(x, raw);
    if (kind == '#') return lex_comment(x);
    return lex_tag(x, kind == '%');
}

Status jinja_lex(Arena *arena, const char *source, size_t n_bytes, const char *name, Tokens *out,
                 Error *error)
{
    Lexer x = { .arena = arena, .source = source, .name = name, .end = n_bytes, .line = 1,
                .out = out, .error = error };
    while (x.at < x.end) TRY(lex_piece(&x));
    return add(&x, T_END, source + n_bytes, 0);
}
