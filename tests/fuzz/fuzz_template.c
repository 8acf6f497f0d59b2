/* SPDX-License-Identifier: Apache-2.0
 * Any template over any messages.  The source comes first, then a byte 0, then the messages' JSON (an
 * empty list when that is missing).  What must hold:
 *   - an error is one sentence and leaves nothing behind;
 *   - a prompt is UTF-8, its trusted spans ascend, do not touch and lie within it;
 *   - rendering twice gives the same prompt. */
#include <stdlib.h>

#include "base/utf8.h"
#include "text/template.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void must(bool holds)
{
    if (!holds) abort();
}

static void check_spans(const Rendered *r)
{
    size_t end = 0;
    for (size_t i = 0; i < r->n_trusted; i++) {
        must(r->trusted[i].begin < r->trusted[i].end);
        must(i == 0 || r->trusted[i].begin > end);
        end = r->trusted[i].end;
    }
    must(end <= r->text.n_bytes);
}

static void check_same(const Rendered *a, const Rendered *b)
{
    must(a->text.n_bytes == b->text.n_bytes && a->n_trusted == b->n_trusted);
    must(a->text.n_bytes == 0 || memcmp(a->text.data, b->text.data, a->text.n_bytes) == 0);
}

static void check_render(const Template *t, const TemplateInput *input)
{
    Rendered once, again;
    Error error = { 0 };
    const Status status = template_render(t, input, &once, &error);
    if (status != OK) {
        must(error.code == status && error.text[0] && !strchr(error.text, '\n'));
        must(!once.text.data && !once.trusted);
        return;
    }
    must(utf8_valid(once.text.data ? once.text.data : "", once.text.n_bytes));
    check_spans(&once);
    must(template_render(t, input, &again, &error) == OK);
    check_same(&once, &again);
    rendered_free(&once);
    rendered_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    const char *source = (const char *)data;
    const char *zero = n_bytes ? memchr(source, 0, n_bytes) : NULL;
    const size_t n_source = zero ? (size_t)(zero - source) : n_bytes;
    const char *messages = zero ? zero + 1 : "[]";
    Template *t;
    Error error = { 0 };
    const Status status = template_new(n_bytes ? source : "", n_source, "fuzz", &t, &error);
    if (status != OK) {
        must(error.code == status && error.text[0] && t == NULL);
        return 0;
    }
    const TemplateInput input = { .messages_json = messages,
                                  .messages_bytes = zero ? n_bytes - n_source - 1 : 2,
                                  .add_generation_prompt = true,
                                  .bos = "<s>",
                                  .eos = "</s>",
                                  .now = 1721822400 };
    check_render(t, &input);
    template_free(t);
    return 0;
}
