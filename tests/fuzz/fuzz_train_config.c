/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a training configuration.  What must hold:
 *   - an error is one sentence that begins with the file;
 *   - what passes has sizes, files and numbers within the limits that config.def names, and its binding lines do not
 *     depend on being read twice. */
#include "train/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void must(bool holds)
{
    if (!holds) abort();
}

static Status read_copy(const uint8_t *data, size_t n_bytes, const char *from, Config *out, Error *error)
{
    char *copy = malloc(n_bytes + 1);
    if (n_bytes) memcpy(copy, data, n_bytes);
    copy[n_bytes] = 0;
    const Status status = config_parse(copy, n_bytes, "folder/fuzz.ini", from, out, error);
    memset(copy, 'x', n_bytes);                 /* nothing may point into it afterwards         */
    free(copy);
    return status;
}

static void check(const Config *c)
{
    const Sizes *s = &c->sizes;
    must(c->n_phases >= 1 && c->n_phases <= CONFIG_PHASES_MAX);
    for (int i = 0; i < c->n_phases; i++) {
        must(c->phases[i].n >= 1 && c->phases[i].n <= CONFIG_FILES_MAX);
        for (int k = 0; k < c->phases[i].n; k++)
            must(c->phases[i].files[k].path[0] && c->phases[i].files[k].repeat > 0);
    }
    must(c->folder && c->report && c->output && c->type && c->precision && c->marker);
    must(c->n_tokens >= 2 && c->n_sequences >= 1 && c->n_tokens * c->n_sequences <= 1 << 24);
    must(c->rate >= c->final_rate && c->beta1 < 1 && c->beta2 < 1 && c->epsilon > 0);
    must(c->from || (s->n_layers >= 1 && s->n_used >= 1 && s->n_used <= s->n_experts &&
                     s->n_heads % s->n_kv_heads == 0 && s->head_size % 2 == 0 && s->n_context >= 2));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    for (int round = 0; round < 2; round++) {
        Config c, again;
        Error error = { 0 };
        const char *from = round ? "model.gguf" : NULL;
        const Status status = read_copy(data, n_bytes, from, &c, &error);
        if (status != OK) {
            must(error.code == status && !strncmp(error.text, "folder/fuzz.ini", 15));
        } else {
            Buffer one = { 0 }, two = { 0 };
            check(&c);
            must(read_copy(data, n_bytes, from, &again, &error) == OK);
            config_binding(&c, &one);
            config_binding(&again, &two);
            must(!strcmp(one.data, two.data));
            buffer_free(&one);
            buffer_free(&two);
            config_free(&again);
        }
        config_free(&c);
    }
    return 0;
}
