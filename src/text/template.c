/* SPDX-License-Identifier: Apache-2.0
 * text/template.c - a chat template from its source to the prompt.
 *
 * Variables are those of Hugging Face's apply_chat_template: messages, tools, documents,
 * add_generation_prompt, bos_token, eos_token, and whatever `extra` brings. */
#include "text/template.h"
#include "base/utf8.h"
#include "text/jinja/vm.h"

#include <stdlib.h>
#include <string.h>

struct Template {
    Arena arena;                        /* the source and the tree                              */
    char *name;
    Node *root;
};

/* ---- making ---- */

/* One kind of newline, and none at the very end: as Jinja reads its source. */
static char *normal_newlines(Arena *arena, const char *source, size_t n_bytes, size_t *n_out)
{
    char *text = arena_new(arena, n_bytes + 1, 1), *to = text;
    if (!text) return NULL;
    for (size_t i = 0; i < n_bytes; i++) {
        const bool pair = source[i] == '\r' && i + 1 < n_bytes && source[i + 1] == '\n';
        if (!pair) *to++ = source[i] == '\r' ? '\n' : source[i];
    }
    if (to > text && to[-1] == '\n') to--;
    *n_out = (size_t)(to - text);
    return text;
}

static Status build(Template *t, const char *source, size_t n_bytes, Error *error)
{
    Tokens tokens = { 0 };
    size_t n;
    const char *text = normal_newlines(&t->arena, source, n_bytes, &n);
    if (!text) return fail_memory(error, t->name);
    Status status = jinja_lex(&t->arena, text, n, t->name, &tokens, error);
    if (status == OK) status = jinja_parse(&t->arena, &tokens, t->name, &t->root, error);
    return status;
}

Status template_new(const char *source, size_t n_bytes, const char *name, Template **out,
                    Error *error)
{
    *out = NULL;
    if (n_bytes > SOURCE_BYTES_MAX)
        return fail(error, BAD_FILE, "%s: a template has at most %d bytes, this one %zu", name,
                    SOURCE_BYTES_MAX, n_bytes);
    if (!utf8_valid(source, n_bytes))
        return fail(error, BAD_FILE, "%s: the template is not UTF-8", name);
    Template *t = calloc(1, sizeof *t);
    if (!t) return fail_memory(error, name);
    t->name = arena_text(&t->arena, name, strlen(name));
    const Status status = t->name ? build(t, source, n_bytes, error) : fail_memory(error, name);
    if (status == OK) *out = t;
    else template_free(t);
    return status;
}

void template_free(Template *t)
{
    if (!t) return;
    arena_free(&t->arena);
    free(t);
}

/* ---- variables ---- */

static Status set(Vm *vm, Scope *scope, const char *name, Value value)
{
    Str *key = vm_new(vm, 1, sizeof *key);
    if (!key) return VM_LOST(vm);
    *key = (Str){ .bytes = name, .n_bytes = strlen(name) };
    return scope_set(vm, scope, key, value);
}

/* The texts of BOS and EOS come from the vocabulary, not from a message: trusted. */
static Status set_token(Vm *vm, Scope *scope, const char *name, const char *text)
{
    Value value;
    if (!text) return OK;
    if (!utf8_valid(text, strlen(text)))
        return fail(vm->error, BAD_ARGUMENT, "%s is not UTF-8", name);
    TRY(value_text(vm, text, strlen(text), true, &value));
    return set(vm, scope, name, value);
}

static Status set_extra(Vm *vm, Scope *scope, const TemplateInput *input)
{
    static const char *const ours[] = { "messages", "tools", "add_generation_prompt" };
    Value extra;
    if (!input->extra_json) return OK;
    TRY(json_load(vm, "extra variables", input->extra_json, input->extra_bytes, &extra));
    if (extra.kind != V_DICT)
        return fail(vm->error, BAD_ARGUMENT, "extra variables: expected an object, found %s",
                    value_type_name(extra));
    const Dict *dict = extra.as.dict;
    for (size_t i = 0; i < dict->n; i++) {
        const Str *name = dict->items[i].key.as.string;
        for (int k = 0; k < ARRAY_LEN(ours); k++)
            if (str_is(name, ours[k]))
                return fail(vm->error, BAD_ARGUMENT, "extra variables: '%s' is set elsewhere",
                            ours[k]);
        TRY(scope_set(vm, scope, name, dict->items[i].value));
    }
    return OK;
}

static Status set_variables(Vm *vm, Scope *scope, const TemplateInput *input)
{
    Value messages, tools = value_none();
    TRY(json_load(vm, "messages", input->messages_json, input->messages_bytes, &messages));
    if (messages.kind != V_LIST)
        return fail(vm->error, BAD_ARGUMENT, "messages: expected an array, found %s",
                    value_type_name(messages));
    if (input->tools_json)
        TRY(json_load(vm, "tools", input->tools_json, input->tools_bytes, &tools));
    if (tools.kind != V_LIST && tools.kind != V_NONE)
        return fail(vm->error, BAD_ARGUMENT, "tools: expected an array, found %s",
                    value_type_name(tools));
    TRY(set_token(vm, scope, "bos_token", input->bos));
    TRY(set_token(vm, scope, "eos_token", input->eos));
    TRY(set(vm, scope, "documents", value_none()));
    TRY(set_extra(vm, scope, input));
    TRY(set(vm, scope, "messages", messages));
    TRY(set(vm, scope, "tools", tools));
    return set(vm, scope, "add_generation_prompt", value_bool(input->add_generation_prompt));
}

/* ---- rendering ---- */

static bool trusted_at(const Text *text, size_t byte)
{
    return text->marks ? text->marks[byte] != 0 : text->trusted;
}

/* The end of the run of equal origin that begins at `begin`. */
static size_t run_end(const Text *text, size_t begin)
{
    if (!text->marks) return text->n_bytes;
    size_t end = begin + 1;
    while (end < text->n_bytes && text->marks[end] == text->marks[begin]) end++;
    return end;
}

static size_t list_trusted(const Text *text, Span *spans)
{
    size_t n = 0;
    for (size_t at = 0, end; at < text->n_bytes; at = end) {
        end = run_end(text, at);
        if (!trusted_at(text, at)) continue;
        if (spans) spans[n] = (Span){ at, end };
        n++;
    }
    return n;
}

static Status hand_out(Vm *vm, const Text *text, Rendered *out)
{
    const size_t n = list_trusted(text, NULL);
    buffer_append(&out->text, text->bytes, text->n_bytes);
    out->trusted = n ? malloc(n * sizeof *out->trusted) : NULL;
    if (out->text.failed || (n && !out->trusted)) {
        rendered_free(out);
        return fail_memory(vm->error, "a prompt");
    }
    out->n_trusted = list_trusted(text, out->trusted);
    return OK;
}

static Status render(Vm *vm, const Template *t, const TemplateInput *input, Rendered *out)
{
    Text text = { 0 };
    Flow flow = FLOW_NEXT;
    Scope *outer = scope_new(vm, NULL), *scope = outer ? scope_new(vm, outer) : NULL;
    if (!scope) return VM_LOST(vm);
    TRY(set_variables(vm, outer, input));
    TRY(run_body(vm, &t->root->items, scope, &text, &flow));
    return hand_out(vm, &text, out);
}

Status template_render(const Template *t, const TemplateInput *input, Rendered *out, Error *error)
{
    Vm vm = { .name = t->name, .line = 1, .now = input->now, .error = error };
    *out = (Rendered){ 0 };
    const Status status = render(&vm, t, input, out);
    arena_free(&vm.arena);
    return status;
}

void rendered_free(Rendered *rendered)
{
    buffer_free(&rendered->text);
    free(rendered->trusted);
    *rendered = (Rendered){ 0 };
}

Status rendered_tokens(const Rendered *r, const Tokenizer *tokenizer, TokenList *out, Error *error)
{
    static const Span none[1];                          /* NULL would trust everything           */
    const Vocab *v = tokenizer_vocab(tokenizer);
    const TokenizeOptions options = {
        .parse_control = true,
        .trusted = r->n_trusted ? r->trusted : none,
        .n_trusted = r->n_trusted ? r->n_trusted : 1,
    };
    const bool begins = v->add_bos && v->bos >= 0;
    if (begins && !token_list_add(out, v->bos)) return fail_memory(error, "tokens");
    const size_t first = out->n;
    TRY(tokenize(tokenizer, r->text.data ? r->text.data : "", r->text.n_bytes, &options, out, error));
    if (begins && out->n > first && out->ids[first] == v->bos) {
        memmove(out->ids + first, out->ids + first + 1, (out->n - first - 1) * sizeof *out->ids);
        out->n--;
    }
    return OK;
}
