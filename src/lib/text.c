/* SPDX-License-Identifier: Apache-2.0
 * lib/text.c - text to tokens, tokens to text, messages to prompts. */
#include "lib/lib.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static Status need_tokenizer(const mixt_model *m, Error *error)
{
    return m->tokenizer ? OK
                        : fail(error, UNSUPPORTED,
                               "%s: has no tokenizer, only token ids can be used", m->catalog.path);
}

/* Every measuring call ends here: the size needed, and the copy if there is room. */
static Status hand_out(const void *from, size_t n, size_t each, void *to, size_t room,
                       size_t *n_out, const char *what, Error *error)
{
    if (n_out) *n_out = n;
    if (room == 0) return OK;
    if (n > room)
        return fail(error, NO_ROOM, "%s: expected room for %zu, found %zu", what, n, room);
    if (n) memcpy(to, from, n * each);
    return OK;
}

mixt_status mixt_tokenize(const mixt_model *m, const char *text, size_t text_bytes, bool special,
                          mixt_token *out, size_t room, size_t *n_out, mixt_error *error)
{
    Error inside = { 0 };
    TokenList list = { 0 };
    const TokenizeOptions options = { .special = special };
    Status status = need_tokenizer(m, &inside);
    if (status == OK) status = tokenize(m->tokenizer, text, text_bytes, &options, &list, &inside);
    if (status == OK)
        status = hand_out(list.ids, list.n, sizeof *out, out, room, n_out, "tokens", &inside);
    token_list_free(&list);
    return answer(error, status, &inside);
}

bool mixt_token_ends(const mixt_model *m, mixt_token token)
{
    return m->tokenizer && token_ends(m->tokenizer, token);
}

static bool is_token(const mixt_model *m, mixt_token token)
{
    return token >= 0 && token < tokenizer_vocab(m->tokenizer)->n_pieces;
}

const char *mixt_token_bytes(const mixt_model *m, mixt_token token, bool special, size_t *n_bytes)
{
    *n_bytes = 0;
    return m->tokenizer && is_token(m, token) ? token_bytes(m->tokenizer, token, special, n_bytes)
                                              : "";
}

/* The space that the tokenizer itself puts in front of a text is not part of the text. */
static Status join_tokens(const mixt_model *m, const mixt_token *tokens, size_t n_tokens,
                          bool special, Buffer *text, Error *error)
{
    const Vocab *v = tokenizer_vocab(m->tokenizer);
    bool at_start = v->kind == VOCAB_SPM && v->add_space_prefix;
    for (size_t i = 0; i < n_tokens; i++) {
        if (!is_token(m, tokens[i]))
            return fail(error, BAD_ARGUMENT, "token %zu: expected 0 to %d, found %d", i,
                        (int)v->n_pieces - 1, (int)tokens[i]);
        size_t n;
        const char *bytes = token_bytes(m->tokenizer, tokens[i], special, &n);
        const bool control = v->pieces[tokens[i]].type == PIECE_CONTROL;
        const size_t skip = at_start && !control && n && bytes[0] == ' ';
        if (n && !control) at_start = false;
        buffer_append(text, bytes + skip, n - skip);
    }
    return text->failed ? fail_memory(error, "text") : OK;
}

mixt_status mixt_detokenize(const mixt_model *m, const mixt_token *tokens, size_t n_tokens,
                            bool special, char *out, size_t room, size_t *n_bytes,
                            mixt_error *error)
{
    Error inside = { 0 };
    Buffer text = { 0 };
    Status status = need_tokenizer(m, &inside);
    if (status == OK) status = join_tokens(m, tokens, n_tokens, special, &text, &inside);
    if (status == OK)
        status = hand_out(text.data, text.n_bytes, 1, out, room, n_bytes, "text", &inside);
    buffer_free(&text);
    return answer(error, status, &inside);
}

/* ---- chat ---- */

mixt_chat mixt_chat_defaults(void)
{
    return (mixt_chat){ .struct_bytes = sizeof(mixt_chat), .add_generation_prompt = true };
}

static char *piece_text(const mixt_model *m, int32_t token)
{
    const Vocab *v = &m->catalog.vocab;
    return v->kind == VOCAB_NONE || token < 0
               ? NULL
               : strndup(v->pieces[token].text, v->pieces[token].n_bytes);
}

static Status render(const mixt_model *m, const mixt_chat *chat, Rendered *out, Error *error)
{
    if (m->format_error.code != OK)
        return fail(error, m->format_error.code, "%s", m->format_error.text);
    if (!m->format)
        return fail(error, UNSUPPORTED, "%s: no chat format: %s; name one (chatml, mistral-v1, ..)",
                    m->catalog.path, m->format_why);
    if (!chat->messages_json) return fail(error, BAD_ARGUMENT, "chat: expected messages");
    TRY(messages_check(chat->messages_json, strlen(chat->messages_json), error));
    char *bos = piece_text(m, m->catalog.vocab.bos), *eos = piece_text(m, m->catalog.vocab.eos);
    const TemplateInput input = {
        .messages_json = chat->messages_json,
        .messages_bytes = strlen(chat->messages_json),
        .tools_json = chat->tools_json,
        .tools_bytes = chat->tools_json ? strlen(chat->tools_json) : 0,
        .extra_json = chat->variables_json,
        .extra_bytes = chat->variables_json ? strlen(chat->variables_json) : 0,
        .add_generation_prompt = chat->add_generation_prompt,
        .bos = bos,
        .eos = eos,
        .now = chat->now ? chat->now : (int64_t)time(NULL),
    };
    const Status status = template_render(m->format, &input, out, error);
    free(bos);
    free(eos);
    return status;
}

mixt_status mixt_chat_render(const mixt_model *m, const mixt_chat *chat, char *text,
                             size_t text_room, size_t *text_bytes, mixt_token *tokens,
                             size_t token_room, size_t *n_tokens, mixt_error *error)
{
    Error inside = { 0 };
    mixt_chat c = mixt_chat_defaults();
    Rendered rendered = { 0 };
    TokenList list = { 0 };
    take_options(&c, sizeof c, chat);
    Status status = render(m, &c, &rendered, &inside);
    if (status == OK)
        status = hand_out(rendered.text.data, rendered.text.n_bytes, 1, text, text_room, text_bytes,
                          "prompt text", &inside);
    if (status == OK && n_tokens) {
        status = need_tokenizer(m, &inside);
        if (status == OK) status = rendered_tokens(&rendered, m->tokenizer, &list, &inside);
        if (status == OK)
            status = hand_out(list.ids, list.n, sizeof *tokens, tokens, token_room, n_tokens,
                              "prompt tokens", &inside);
    }
    token_list_free(&list);
    rendered_free(&rendered);
    return answer(error, status, &inside);
}
