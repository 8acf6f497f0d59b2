/* SPDX-License-Identifier: Apache-2.0
 * text/template.h - chat messages to prompt text, the way the model was trained.
 *
 * A template is Jinja source from the model's file (untrusted: no attribute escapes; limits on
 * steps, depth and output) or one of the named built-in formats.  The answer says which bytes
 * came from the template and which from the messages, so that what a user writes can never
 * become a control token. */
#ifndef TEXT_TEMPLATE_H
#define TEXT_TEMPLATE_H

#include "base/buffer.h"
#include "text/tokenizer.h"

typedef struct Template Template;

/* Jinja source; `name` for messages ("model.gguf: chat template").  Syntax errors give line numbers. */
Status template_new(const char *source, size_t n_bytes, const char *name, Template **out, Error *error);
/* "mistral-v1", "mistral-v3", "vicuna", "chatml", ...  UNSUPPORTED lists those that exist. */
Status template_builtin(const char *name, Template **out, Error *error);
/* Names of the built-in formats, NULL-ended. */
extern const char *const template_builtin_names[];
/* The Jinja source of such a format, to be put into a file; NULL: no such name. */
const char *template_builtin_source(const char *name);
void   template_free(Template *t);

typedef struct TemplateInput {
    const char *messages_json;      /* an array of objects: role, content, tool_calls..    */
    size_t      messages_bytes;
    const char *tools_json;         /* an array, or NULL                                   */
    size_t      tools_bytes;
    const char *extra_json;         /* an object of further variables, or NULL             */
    size_t      extra_bytes;
    bool        add_generation_prompt;
    const char *bos, *eos;          /* texts of these tokens, or NULL                      */
    int64_t     now;                /* seconds since 1970, for strftime_now                */
} TemplateInput;

typedef struct Rendered {
    Buffer text;
    Span  *trusted;                 /* bytes that are the template's own, ascending        */
    size_t n_trusted;
} Rendered;

/* An array of at least one object, each with a role and no content but text, parts or null.  JSON that
 * cannot be read passes: template_render says what is wrong with it. */
Status messages_check(const char *json, size_t n_bytes, Error *error);
Status template_render(const Template *t, const TemplateInput *input, Rendered *out, Error *error);
void   rendered_free(Rendered *rendered);
/* Appends its tokens; control tokens only where the template wrote them.  BOS stands in front as the vocabulary wants
 * it, and once when the template writes it too. */
Status rendered_tokens(const Rendered *rendered, const Tokenizer *tokenizer, TokenList *out, Error *error);

#endif
