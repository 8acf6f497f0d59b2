/* SPDX-License-Identifier: Apache-2.0
 * text/pretokenize.c - patterns as rows.
 *
 * A pre-tokeniser is a list of patterns.  The first cuts the text into its matches and what lies
 * between them, the second cuts each of those pieces likewise, and so on; the words are what is
 * left after the last.  Each pattern sees one piece as if there were nothing around it. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pretokenize.h"
#include "base/buffer.h"
#include "base/utf8.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

enum { PATTERNS_MAX = 16, PATTERN_BYTES_MAX = 1 << 16, STEPS_PER_BYTE = 8, STEPS_MIN = 1 << 24 };

struct Pretokenizer {
    const char *name;                           /* for messages                            */
    bool        ignore_merges;
    int         n_patterns;
    pcre2_code *patterns[PATTERNS_MAX];
};

/* ---- the named ones ---- */

#define WORDS_GPT2  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"
#define WORDS_MODERN(digits)                                                                       \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                           \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* The cased letters of a Unicode version long past, frozen in the model's own pattern: \p{L&}
 * would follow the Unicode of the library instead. */
#define DEEPSEEK_LETTERS                                                                           \
    "A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}\\x{1c4}-\\x{293}" \
    "\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}\\x{37f}\\x{386}"          \
    "\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}" \
    "\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}" \
    "\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}" \
    "\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}\\x{1f59}"        \
    "\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}"         \
    "\\x{1fc2}-\\x{1fc4}\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}" \
    "\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}\\x{2115}"         \
    "\\x{2119}-\\x{211d}\\x{2124}\\x{2126}\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}" \
    "\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}"         \
    "\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}\\x{a680}-\\x{a69b}" \
    "\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}" \
    "\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}"               \
    "\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}"         \
    "\\x{118a0}-\\x{118df}\\x{1e900}-\\x{1e943}"
#define DEEPSEEK_MARKS                                                                             \
    "!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}"
#define DEEPSEEK_EAST   "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+"

typedef struct NamedPre {
    const char *name;
    bool        ignore_merges;
    const char *patterns[8];                    /* NULL-ended                              */
} NamedPre;

/* Names as `tokenizer.ggml.pre` writes them; each row of a distinct list has vectors in the tests. */
static const NamedPre named[] = {
    { "default",        false, { "[\\p{P}$+<=>\\^~|]+", WORDS_GPT2, "\\p{N}+", "[0-9][0-9][0-9]" } },
    { "gpt-2",          false, { WORDS_GPT2 } },
    { "llama-bpe",      true,  { WORDS_MODERN("\\p{N}{1,3}") } },
    { "llama3",         true,  { WORDS_MODERN("\\p{N}{1,3}") } },
    { "llama-v3",       true,  { WORDS_MODERN("\\p{N}{1,3}") } },
    { "dbrx",           false, { WORDS_MODERN("\\p{N}{1,3}") } },
    { "qwen2",          false, { WORDS_MODERN("\\p{N}") } },
    { "deepseek-r1-qwen", false, { WORDS_MODERN("\\p{N}") } },
    /* `\s+$` as the model has it, but tried once per run of spaces instead of at each of them. */
    { "deepseek-llm",   false, { "[\\r\\n]", "\\s?[" DEEPSEEK_LETTERS "]+", "\\s?[" DEEPSEEK_MARKS "]+",
                                 "(?<!\\s)\\s++$", DEEPSEEK_EAST, "\\p{N}+" } },
    { "deepseek-coder", false, { "[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", DEEPSEEK_EAST, "\\p{N}" } },
    { "falcon",         false, { "[\\p{P}$+<=>\\^~|`]+", WORDS_GPT2, "[0-9][0-9][0-9]" } },
};

static const NamedPre *find_named(const char *name)
{
    for (int i = 0; i < ARRAY_LEN(named); i++) {
        if (strcmp(named[i].name, name) == 0) return &named[i];
    }
    return NULL;
}

const char *pretokenizer_name(const char *pattern, bool ignore_merges)
{
    for (int i = 0; i < ARRAY_LEN(named); i++) {
        const NamedPre *row = &named[i];
        if (row->patterns[1] || row->ignore_merges != ignore_merges) continue;
        if (strcmp(row->patterns[0], pattern) == 0) return row->name;
    }
    return NULL;
}

/* ---- compiling ---- */

/* Unicode's White_Space.  PCRE2's own \s also takes U+180E, which stopped being a space in 2013. */
#define SPACES "\\p{Z}\\t-\\r\\x{85}"

/* Rewrites \s and \S, so that a pattern means here what it means where it was written. */
static void translate(const char *pattern, size_t n_bytes, Buffer *out)
{
    bool in_class = false;
    for (size_t i = 0; i < n_bytes; i++) {
        if (pattern[i] == '\\' && i + 1 < n_bytes) {
            const char letter = pattern[++i];
            if (letter == 's') buffer_text(out, in_class ? SPACES : "[" SPACES "]");
            else if (letter == 'S' && !in_class) buffer_text(out, "[^" SPACES "]");
            else buffer_append(out, pattern + i - 1, 2);
            continue;
        }
        buffer_char(out, pattern[i]);
        if (in_class && pattern[i] == ']') {
            in_class = false;
        } else if (!in_class && pattern[i] == '[') {
            in_class = true;
            if (i + 1 < n_bytes && pattern[i + 1] == '^') buffer_char(out, pattern[++i]);
            if (i + 1 < n_bytes && pattern[i + 1] == ']') buffer_char(out, pattern[++i]);
        }
    }
}

/* Class arithmetic, [a&&[b]], means something else to PCRE2: it would be accepted and be wrong. */
static bool has_class_arithmetic(const char *pattern, size_t n_bytes)
{
    for (size_t i = 0; i + 1 < n_bytes; i++) {
        if (pattern[i] == '\\') i++;
        else if (pattern[i] == '&' && pattern[i + 1] == '&') return true;
    }
    return false;
}

static Status add_pattern(Pretokenizer *pre, const char *pattern, size_t n_bytes, Error *error)
{
    if (pre->n_patterns == PATTERNS_MAX || n_bytes > PATTERN_BYTES_MAX) {
        return fail(error, UNSUPPORTED,
                    "%s: pre-tokeniser with more than %d patterns, or one of more than %d bytes",
                    pre->name, PATTERNS_MAX, PATTERN_BYTES_MAX);
    }
    if (!utf8_valid(pattern, n_bytes) || has_class_arithmetic(pattern, n_bytes)) {
        return fail(error, UNSUPPORTED,
                    "%s: pre-tokeniser pattern is not UTF-8 or uses && in a class", pre->name);
    }
    Buffer text = { 0 };
    translate(pattern, n_bytes, &text);
    if (text.failed) {
        buffer_free(&text);
        return fail_memory(error, "a pre-tokeniser pattern");
    }
    int code;
    PCRE2_SIZE where;
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)(text.data ? text.data : ""), text.n_bytes,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &where, NULL);
    buffer_free(&text);
    if (!compiled) {
        char why[128];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        return fail(error, UNSUPPORTED, "%s: pre-tokeniser pattern '%.200s': %s", pre->name,
                    pattern, why);
    }
    (void)pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);  /* without it the interpreter runs */
    pre->patterns[pre->n_patterns++] = compiled;
    return OK;
}

static Status add_named(Pretokenizer *pre, const char *name, Error *error)
{
    const NamedPre *row = find_named(name);
    if (!row) {
        Buffer names = { 0 };
        for (int i = 0; i < ARRAY_LEN(named); i++) buffer_format(&names, " %s", named[i].name);
        fail(error, UNSUPPORTED, "%s: unknown pre-tokeniser '%.64s'; known are%s", pre->name, name,
             names.data ? names.data : "");
        buffer_free(&names);
        return UNSUPPORTED;
    }
    pre->ignore_merges = row->ignore_merges;
    for (int i = 0; row->patterns[i]; i++) {
        TRY(add_pattern(pre, row->patterns[i], strlen(row->patterns[i]), error));
    }
    return OK;
}

Status pretokenizer_new(const Vocab *vocab, const char *name, Pretokenizer **out, Error *error)
{
    *out = NULL;
    Pretokenizer *pre = calloc(1, sizeof *pre);
    if (!pre) return fail_memory(error, "a pre-tokeniser");
    pre->name = name;
    const Status status = vocab->pre_pattern
        ? add_pattern(pre, vocab->pre_pattern, strlen(vocab->pre_pattern), error)
        : add_named(pre, vocab->pre ? vocab->pre : "default", error);
    if (status != OK) {
        pretokenizer_free(pre);
        return status;
    }
    *out = pre;
    return OK;
}

void pretokenizer_free(Pretokenizer *pre)
{
    if (!pre) return;
    for (int i = 0; i < pre->n_patterns; i++) pcre2_code_free(pre->patterns[i]);
    free(pre);
}

bool pretokenizer_ignores_merges(const Pretokenizer *pre)
{
    return pre->ignore_merges;
}

/* ---- cutting ---- */

typedef struct Cutting {
    const Pretokenizer  *pre;
    pcre2_match_data    *match;
    pcre2_match_context *limits;
    WordSink             sink;
    void                *arg;
} Cutting;

/* The next match at or after `from`.  *found is false when there is none. */
static Status next_match(const Cutting *c, int pattern, const char *text, size_t n_bytes,
                         size_t from, bool *found, size_t *begin, size_t *end, Error *error)
{
    const pcre2_code *code = c->pre->patterns[pattern];
    int rc =
        pcre2_match(code, (PCRE2_SPTR)text, n_bytes, from, PCRE2_NO_UTF_CHECK, c->match, c->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {     /* the interpreter keeps its stack on the heap */
        rc = pcre2_match(code, (PCRE2_SPTR)text, n_bytes, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                         c->match, c->limits);
    }
    *found = rc >= 0;
    if (rc == PCRE2_ERROR_NOMEMORY || rc == PCRE2_ERROR_HEAPLIMIT)
        return fail_memory(error, "pre-tokenising");
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
        return fail(error, FAILED,
                    "%s: pre-tokeniser pattern %d gave up on a text of %zu bytes (PCRE2 error %d)",
                    c->pre->name, pattern + 1, n_bytes, rc);
    }
    if (*found) {
        *begin = pcre2_get_ovector_pointer(c->match)[0];
        *end = pcre2_get_ovector_pointer(c->match)[1];
    }
    return OK;
}

/* Cuts a piece by this pattern and the pieces by the next: as deep as there are patterns. */
static Status cut(const Cutting *c, int pattern, const char *text, size_t n_bytes, Error *error)
{
    if (n_bytes == 0) return OK;
    if (pattern == c->pre->n_patterns) return c->sink(c->arg, text, n_bytes, error);
    size_t done = 0, from = 0;
    while (from < n_bytes) {
        bool found;
        size_t begin, end;
        TRY(next_match(c, pattern, text, n_bytes, from, &found, &begin, &end, error));
        if (!found) break;
        if (end <= begin || begin < done) {     /* nothing, or \K going back: look one further */
            do from++; while (from < n_bytes && ((uint8_t)text[from] & 0xc0) == 0x80);
            continue;
        }
        TRY(cut(c, pattern + 1, text + done, begin - done, error));
        TRY(cut(c, pattern + 1, text + begin, end - begin, error));
        done = from = end;
    }
    return cut(c, pattern + 1, text + done, n_bytes - done, error);
}

Status pretokenize(const Pretokenizer *pre, const char *text, size_t n_bytes, WordSink sink,
                   void *arg, Error *error)
{
    Cutting c = { .pre = pre, .sink = sink, .arg = arg };
    c.match = pcre2_match_data_create(1, NULL);
    c.limits = pcre2_match_context_create(NULL);
    Status status;
    if (c.match && c.limits) {
        /* Going back over one long run of spaces is work in proportion to it; more is a pattern
         * that explodes. */
        const uint64_t steps = (uint64_t)n_bytes * STEPS_PER_BYTE + STEPS_MIN;
        pcre2_set_match_limit(c.limits, steps < UINT32_MAX ? (uint32_t)steps : UINT32_MAX);
        status = cut(&c, 0, text, n_bytes, error);
    } else {
        status = fail_memory(error, "pre-tokenising");
    }
    pcre2_match_data_free(c.match);
    pcre2_match_context_free(c.limits);
    return status;
}
