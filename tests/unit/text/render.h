/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/text/render.h - one template, some messages, one prompt; for several tests. */
#ifndef TESTS_RENDER_H
#define TESTS_RENDER_H

#include "text/template.h"

#include <string.h>

static inline TemplateInput input_of(const char *messages)
{
    return (TemplateInput){ .messages_json = messages, .messages_bytes = strlen(messages),
                            .add_generation_prompt = true, .bos = "<s>", .eos = "</s>" };
}

static inline Status render_with(const char *source, const TemplateInput *input, Rendered *out,
                                 Error *error)
{
    Template *t;
    *out = (Rendered){ 0 };
    TRY(template_new(source, strlen(source), "test", &t, error));
    const Status status = template_render(t, input, out, error);
    template_free(t);
    return status;
}

/* Is every byte of [begin, end) the template's own? */
static inline bool is_trusted(const Rendered *r, size_t begin, size_t end)
{
    for (size_t i = 0; i < r->n_trusted; i++)
        if (r->trusted[i].begin <= begin && end <= r->trusted[i].end) return true;
    return false;
}

#endif
