/* SPDX-License-Identifier: Apache-2.0
 * train/chat.c - see chat.h.
 *
 * Which tokens are the assistant's?  The conversation is rendered and tokenised as a whole, as a model meets it
 * later.  Then, for every turn of the assistant, once more up to where its answer begins and up to where it ends:
 * the tokens that the whole has beyond the first and not beyond the second are learned.  Comparing tokens instead of
 * bytes makes a token that straddles the border part of the answer. */
#include "train/chat.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

Status text_tokens(const Tokenizer *t, const char *text, size_t n_bytes, TokenList *out, Error *error)
{
    const Vocab *v = tokenizer_vocab(t);
    if (v->add_bos && v->bos >= 0 && !token_list_add(out, v->bos)) return fail_memory(error, "tokens");
    TRY(tokenize(t, text, n_bytes, NULL, out, error));
    return v->eos < 0 || token_list_add(out, v->eos) ? OK : fail_memory(error, "tokens");
}

/* ---- rendering ---- */

static Status render(const ChatReader *r, const json_t *messages, bool open_turn, Rendered *out, Error *error)
{
    char *text = json_dumps(messages, JSON_COMPACT);
    if (!text) return fail_memory(error, "messages");
    const TemplateInput input = {
        .messages_json = text,
        .messages_bytes = strlen(text),
        .add_generation_prompt = open_turn,
        .bos = r->bos,
        .eos = r->eos,
    };
    Status status = messages_check(text, strlen(text), error);
    if (status == OK) status = template_render(r->format, &input, out, error);
    free(text);
    return status;
}

/* The first n messages as tokens; `open_turn`: and what invites the assistant to speak. */
static Status first_messages(const ChatReader *r, const json_t *messages, size_t n, bool open_turn, TokenList *out,
                             Error *error)
{
    Rendered rendered = { 0 };
    json_t *some = json_array();
    bool fine = some != NULL;
    for (size_t i = 0; fine && i < n; i++) fine = !json_array_append(some, json_array_get(messages, i));
    Status status = fine ? render(r, some, open_turn, &rendered, error) : fail_memory(error, "messages");
    if (status == OK) status = rendered_tokens(&rendered, r->tokenizer, out, error);
    rendered_free(&rendered);
    json_decref(some);
    return status;
}

/* ---- what is learned ---- */

static size_t common(const TokenList *a, const TokenList *b)
{
    size_t n = 0;
    while (n < a->n && n < b->n && a->ids[n] == b->ids[n]) n++;
    return n;
}

/* How far the whole agrees with its first n messages. */
static Status border(const ChatReader *r, const json_t *messages, size_t n, bool open_turn, const TokenList *whole,
                     size_t *out, Error *error)
{
    TokenList part = { 0 };
    const Status status = first_messages(r, messages, n, open_turn, &part, error);
    *out = common(whole, &part);
    token_list_free(&part);
    return status;
}

static bool is_assistant(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    return role && !strcmp(role, "assistant");
}

static Status mark_turns(const ChatReader *r, const json_t *messages, const TokenList *whole, bool *learned,
                         Error *error)
{
    const size_t n = json_array_size(messages);
    for (size_t i = 0; i < n; i++) {
        size_t begin, end = whole->n;
        if (!is_assistant(json_array_get(messages, i))) continue;
        TRY(border(r, messages, i, true, whole, &begin, error));
        if (i + 1 < n) TRY(border(r, messages, i + 1, false, whole, &end, error));
        for (size_t t = begin; t < end; t++) learned[t] = true;
    }
    return OK;
}

/* Who answers must also learn to stop, even where the format forgot. */
static bool end_turn(const ChatReader *r, const TokenList *whole, const bool *learned, TokenList *out)
{
    const int32_t eos = tokenizer_vocab(r->tokenizer)->eos;
    for (size_t i = whole->n; i-- > 0 && learned[i];)
        if (token_ends(r->tokenizer, whole->ids[i])) return true;
    return eos < 0 || whole->n == 0 || !learned[whole->n - 1] || token_list_add(out, eos);
}

static Status conversation(const ChatReader *r, const json_t *messages, const char *where, TokenList *out,
                           Error *error)
{
    if (!r->format)
        return fail(error, BAD_FILE, "%s: messages need a chat format: %s; name one as [vocabulary] template", where,
                    r->format_why ? r->format_why : "there is none");
    TokenList whole = { 0 };
    bool *learned = NULL;
    Status status = first_messages(r, messages, json_array_size(messages), false, &whole, error);
    if (status == OK && !(learned = calloc(whole.n + 1, 1))) status = fail_memory(error, "tokens");
    if (status == OK) status = mark_turns(r, messages, &whole, learned, error);
    bool fine = true;
    for (size_t i = 0; status == OK && fine && i < whole.n; i++)
        fine = token_list_add(out, learned[i] ? whole.ids[i] : ~whole.ids[i]);
    if (status == OK && (!fine || !end_turn(r, &whole, learned, out))) status = fail_memory(error, "tokens");
    if (status == BAD_ARGUMENT) {                       /* messages_check speaks of the messages alone */
        Error why = *error;
        status = fail(error, BAD_FILE, "%s: %s", where, why.text);
    }
    free(learned);
    token_list_free(&whole);
    return status;
}

/* ---- the shapes of a line ---- */

static Status read_object(const char *line, size_t n_bytes, const char *where, json_t **out, Error *error)
{
    json_error_t why;
    json_t *object = json_loadb(line, n_bytes, JSON_REJECT_DUPLICATES, &why);
    /* Where jansson has no words, it had no memory. */
    if (!object && (!why.text[0] || json_error_code(&why) == json_error_out_of_memory))
        return fail_memory(error, where);
    if (!object) return fail(error, BAD_FILE, "%s: expected a JSON object, found: %s", where, why.text);
    if (!json_is_object(object)) {
        json_decref(object);
        return fail(error, BAD_FILE, "%s: expected a JSON object, found another value", where);
    }
    *out = object;
    return OK;
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static const char *answer_of(const json_t *object)
{
    static const char *const names[] = { "answer", "completion", "response", "output" };
    for (int i = 0; i < ARRAY_LEN(names); i++)
        if (text_of(object, names[i])) return text_of(object, names[i]);
    return NULL;
}

/* Question and answer as two messages; `more` is put below the question. */
static json_t *two_messages(const char *question, const char *more, const char *said)
{
    return more && *more ? json_pack("[{s:s,s:s++},{s:s,s:s}]", "role", "user", "content", question, "\n\n", more,
                                     "role", "assistant", "content", said)
                         : json_pack("[{s:s,s:s},{s:s,s:s}]", "role", "user", "content", question, "role",
                                     "assistant", "content", said);
}

/* The messages of a line, new; NULL: it has none that we know. */
static json_t *messages_of(const json_t *object)
{
    json_t *messages = json_object_get(object, "messages");
    const char *said = answer_of(object);
    if (json_is_array(messages)) return json_incref(messages);
    if (said && text_of(object, "prompt")) return two_messages(text_of(object, "prompt"), NULL, said);
    if (said && text_of(object, "instruction"))
        return two_messages(text_of(object, "instruction"), text_of(object, "input"), said);
    return NULL;
}

Status chat_tokens(const ChatReader *r, const char *line, size_t n_bytes, const char *where, TokenList *out,
                   Error *error)
{
    json_t *object;
    TRY(read_object(line, n_bytes, where, &object, error));
    const char *text = text_of(object, "text");
    json_t *messages = text ? NULL : messages_of(object);
    Status status;
    if (text) status = text_tokens(r->tokenizer, text, strlen(text), out, error);
    else if (messages) status = conversation(r, messages, where, out, error);
    else
        status = fail(error, BAD_FILE,
                      "%s: expected messages, prompt and answer, instruction and output, or text; found none of them",
                      where);
    json_decref(messages);
    json_decref(object);
    return status;
}

/* ---- preferences ---- */

/* A text is one message of this role; an array is what it is. */
static bool add_messages(json_t *to, const json_t *value, const char *role)
{
    if (json_is_array(value)) return json_array_extend(to, (json_t *)(uintptr_t)value) == 0;
    return json_is_string(value) &&
           json_array_append_new(to, json_pack("{s:s,s:s}", "role", role, "content", json_string_value(value))) == 0;
}

static Status one_answer(const ChatReader *r, const json_t *object, const char *which, const char *where,
                         TokenList *out, Error *error)
{
    json_t *messages = json_array();
    const bool fine = messages && add_messages(messages, json_object_get(object, "prompt"), "user") &&
                      add_messages(messages, json_object_get(object, which), "assistant");
    const Status status = fine ? conversation(r, messages, where, out, error)
                               : fail(error, BAD_FILE, "%s: expected texts or messages in prompt, chosen and rejected, "
                                      "found something else", where);
    json_decref(messages);
    return status;
}

Status chat_pair(const ChatReader *r, const char *line, size_t n_bytes, const char *where, TokenList *chosen,
                 TokenList *rejected, Error *error)
{
    json_t *object;
    TRY(read_object(line, n_bytes, where, &object, error));
    Status status = one_answer(r, object, "chosen", where, chosen, error);
    if (status == OK) status = one_answer(r, object, "rejected", where, rejected, error);
    json_decref(object);
    return status;
}
