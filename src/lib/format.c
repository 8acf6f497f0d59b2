/* SPDX-License-Identifier: Apache-2.0
 * lib/format.c - which chat format a model speaks, and why we think so.
 *
 * What the caller asks for wins, then the model's own template; a file without one is known by
 * marks in its vocabulary, and only then by the name it gives itself. */
#include "lib/lib.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct { const char *mark, *format, *why; } vocabulary_marks[] = {
    { "<|im_start|>",     "chatml",     "no template in the file; the vocabulary has <|im_start|>" },
    { "[AVAILABLE_TOOLS]", "mistral-v3", "no template in the file; the vocabulary has [AVAILABLE_TOOLS]" },
};

static const struct { const char *part, *format, *why; } name_marks[] = {
    { "wizardlm-2", "vicuna",     "no template in the file; general.name says WizardLM-2" },
    { "wizardlm 2", "vicuna",     "no template in the file; general.name says WizardLM-2" },
    { "vicuna",     "vicuna",     "no template in the file; general.name says Vicuna" },
    { "instruct",   "mistral-v1", "no template in the file; general.name says Instruct" },
};

static bool is_builtin(const char *name)
{
    for (int i = 0; template_builtin_names[i]; i++)
        if (!strcmp(template_builtin_names[i], name)) return true;
    return false;
}

static Status use_builtin(mixt_model *m, const char *name, const char *why, Error *error)
{
    TRY(template_builtin(name, &m->format, error));
    m->format_name = name;
    m->format_why = why;
    return OK;
}

/* A name we know, or Jinja source (it has braces). */
static Status use_wanted(mixt_model *m, const char *wanted, Error *error)
{
    for (int i = 0; template_builtin_names[i]; i++)
        if (!strcmp(template_builtin_names[i], wanted))
            return use_builtin(m, template_builtin_names[i], "asked for by name", error);
    if (!strchr(wanted, '{'))
        return template_builtin(wanted, &m->format, error); /* says which names there are */
    TRY(template_new(wanted, strlen(wanted), "the chat template given", &m->format, error));
    m->format_name = "Jinja template";
    m->format_why = "given by the caller";
    return OK;
}

static Status use_own(mixt_model *m, Error *error)
{
    const Catalog *c = &m->catalog;
    char name[256];
    snprintf(name, sizeof name, "%s: chat template", c->path);
    const Status status =
        template_new(c->chat_template, c->chat_template_bytes, name, &m->format, &m->format_error);
    if (status == NO_MEMORY) return fail_memory(error, name);
    m->format_name = status == OK ? "Jinja template" : NULL;
    /* A template we cannot read must not keep anybody from plain text: chats and mixt_check say what
     * is wrong with it. */
    m->format_why = status == OK ? c->chat_template_from : m->format_error.text;
    return OK;
}

static bool contains(const Setting *s, const char *part)
{
    const size_t n = strlen(part);
    if (!s || s->kind != SETTING_TEXT) return false;
    for (size_t i = 0; i + n <= s->text.n_bytes; i++)
        if (!strncasecmp(s->text.bytes + i, part, n)) return true;
    return false;
}

Status choose_format(mixt_model *m, const char *wanted, Error *error)
{
    if (wanted) return use_wanted(m, wanted, error);
    if (m->catalog.chat_template) return use_own(m, error);
    for (int i = 0; m->tokenizer && i < ARRAY_LEN(vocabulary_marks); i++)
        if (is_builtin(vocabulary_marks[i].format) &&
            token_find(m->tokenizer, vocabulary_marks[i].mark, strlen(vocabulary_marks[i].mark)) >=
                0)
            return use_builtin(m, vocabulary_marks[i].format, vocabulary_marks[i].why, error);
    for (int i = 0; i < ARRAY_LEN(name_marks); i++)
        if (is_builtin(name_marks[i].format) &&
            contains(catalog_setting(&m->catalog, "general.name"), name_marks[i].part))
            return use_builtin(m, name_marks[i].format, name_marks[i].why, error);
    m->format_why =
        "no template in the file, and nothing in it says which format it was trained on";
    return OK;
}
