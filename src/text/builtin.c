/* SPDX-License-Identifier: Apache-2.0
 * text/builtin.c - prompt formats for files that bring no template of their own.
 *
 * They are templates like any other, so that one renderer serves all.  The exact texts, space by
 * space, are in tests/unit/text/test_template.c. */
#include "text/template.h"

#include <string.h>

/* Roles take turns, a user first; tools and system texts are for formats that know them. */
#define ALTERNATE                                                                                  \
    "{%- for m in turns %}"                                                                        \
    "{%- if m.role != ('user' if loop.index0 % 2 == 0 else 'assistant') %}"                        \
    "{{- raise_exception('user and assistant must take turns, a user first') }}"                   \
    "{%- endif %}{%- endfor %}"

/* Content is a string, nothing, or a list of parts of which the texts count. */
#define TEXT                                                                                       \
    "{%- macro text(m) %}"                                                                         \
    "{%- if m.content is string %}{{- m.content }}"                                                \
    "{%- else %}{%- for part in m.content or [] %}{{- part.text }}{%- endfor %}{%- endif %}"       \
    "{%- endmacro %}"

#define SPLIT_SYSTEM                                                                               \
    "{%- set system = text(messages[0]) if messages and messages[0].role == 'system' else '' %}" \
    "{%- set turns = messages[1:] if messages and messages[0].role == 'system' else messages %}"

/* "[INST]" is plain text here: the space before it is SentencePiece's own prefix, so it is written
 * only after "</s>", where the next piece of text begins anew. */
static const char mistral_v1[] =
    TEXT SPLIT_SYSTEM ALTERNATE "{{- bos_token }}"
                                "{%- for m in turns %}"
                                "{%- if m.role == 'user' %}"
                                "{{- ' [INST] ' }}{{- system + '\\n\\n' if loop.first and system "
                                "else '' }}{{- text(m) }}{{- ' [/INST]' }}"
                                "{%- else %}{{- ' ' }}{{- text(m) }}{{- eos_token }}{%- endif %}"
                                "{%- endfor %}";

/* "[INST]" and its kin are control tokens; tools stand before the last user text, the system text
 * within it. */
static const char mistral_v3[] = TEXT SPLIT_SYSTEM
    "{%- macro check_id(id) %}"
    "{%- if id is not string or id|length != 9 or not id.isalnum() %}"
    "{{- raise_exception('ids of tool calls are exactly 9 letters or digits') }}"
    "{%- endif %}{%- endmacro %}"
    "{%- set ns = namespace(last=-1, user=true) %}"
    "{%- for m in turns %}"
    "{%- if m.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}"
    "{%- if m.role == 'user' or (m.role == 'assistant' and not m.tool_calls) %}"
    "{%- if (m.role == 'user') != ns.user %}"
    "{{- raise_exception('user and assistant must take turns, a user first') }}"
    "{%- endif %}{%- set ns.user = not ns.user %}{%- endif %}"
    "{%- endfor %}"
    "{{- bos_token }}"
    "{%- for m in turns %}"
    "{%- if m.role == 'user' %}"
    "{%- if tools and loop.index0 == ns.last %}"
    "{{- '[AVAILABLE_TOOLS] ' }}{{- tools|tojson }}{{- '[/AVAILABLE_TOOLS]' }}{%- endif %}"
    "{{- '[INST] ' }}{{- system + '\\n\\n' if system and loop.index0 == ns.last else '' }}{{- "
    "text(m) }}{{- '[/INST]' }}"
    "{%- elif m.role == 'assistant' and m.tool_calls %}"
    "{{- '[TOOL_CALLS] [' }}"
    "{%- for call in m.tool_calls %}"
    "{{- check_id(call.id) }}{{- ', ' if not loop.first else '' }}"
    "{{- '{\"name\": ' }}{{- call.function.name|tojson }}{{- ', \"arguments\": ' }}"
    "{{- call.function.arguments if call.function.arguments is string else "
    "call.function.arguments|tojson }}"
    "{{- ', \"id\": \"' }}{{- call.id }}{{- '\"}' }}"
    "{%- endfor %}"
    "{{- ']' }}{{- eos_token }}"
    "{%- elif m.role == 'assistant' %}{{- ' ' }}{{- text(m) }}{{- eos_token }}"
    "{%- elif m.role == 'tool' or m.role == 'tool_results' %}"
    "{{- check_id(m.tool_call_id) }}"
    "{{- '[TOOL_RESULTS] {\"content\": ' }}{{- m.content if m.content is not string else "
    "m.content|tojson }}"
    "{{- ', \"call_id\": \"' }}{{- m.tool_call_id }}{{- '\"}[/TOOL_RESULTS]' }}"
    "{%- else %}{{- raise_exception('this format knows the roles system, user, assistant and "
    "tool') }}"
    "{%- endif %}{%- endfor %}";

/* One line: newlines would be a different prompt from the one the model was trained with. */
static const char vicuna[] = TEXT SPLIT_SYSTEM ALTERNATE
    "{{- system or 'A chat between a curious user and an artificial intelligence assistant. The "
    "assistant "
    "gives helpful, detailed, and polite answers to the user\\'s questions.' }}{{- ' ' }}"
    "{%- for m in turns %}"
    "{%- if m.role == 'user' %}{{- 'USER: ' }}{{- text(m) }}{{- ' ' }}"
    "{%- else %}{{- 'ASSISTANT: ' }}{{- text(m) }}{{- eos_token }}{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- 'ASSISTANT:' }}{%- endif %}";

static const char chatml[] =
    TEXT
    "{%- for m in messages %}"
    "{{- '<|im_start|>' }}{{- m.role }}{{- '\\n' }}{{- text(m) }}{{- '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}";

static const char llama_2[] = TEXT SPLIT_SYSTEM ALTERNATE
    "{%- for m in turns %}"
    "{%- if m.role == 'user' %}"
    "{{- bos_token }}{{- '[INST] ' }}"
    "{%- if loop.first and system %}{{- '<<SYS>>\\n' }}{{- system }}{{- '\\n<</SYS>>\\n\\n' }}{%- "
    "endif %}"
    "{{- text(m)|trim }}{{- ' [/INST]' }}"
    "{%- else %}{{- ' ' }}{{- text(m)|trim }}{{- ' ' }}{{- eos_token }}{%- endif %}"
    "{%- endfor %}";

static const char llama_3[] =
    TEXT "{{- bos_token }}"
         "{%- for m in messages %}"
         "{{- '<|start_header_id|>' }}{{- m.role }}{{- '<|end_header_id|>\\n\\n' }}{{- "
         "text(m)|trim }}{{- '<|eot_id|>' }}"
         "{%- endfor %}"
         "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' "
         "}}{%- endif %}";

static const char zephyr[] =
    TEXT
    "{%- for m in messages %}"
    "{{- '<|' }}{{- m.role }}{{- '|>\\n' }}{{- text(m) }}{{- eos_token }}{{- '\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|assistant|>\\n' }}{%- endif %}";

static const struct { const char *name, *source; } formats[] = {
    { "mistral-v1", mistral_v1 },       /* Mistral 7B, Mixtral 8x7B Instruct                    */
    { "mistral-v3", mistral_v3 },       /* Mixtral 8x22B Instruct: has control tokens           */
    { "vicuna",     vicuna },           /* WizardLM-2, Vicuna 1.1                               */
    { "chatml",     chatml },           /* <|im_start|> in the vocabulary                       */
    { "llama-2",    llama_2 },
    { "llama-3",    llama_3 },
    { "zephyr",     zephyr },
};

const char *const template_builtin_names[] = {
    "mistral-v1", "mistral-v3", "vicuna", "chatml", "llama-2", "llama-3", "zephyr", NULL,
};

Status template_builtin(const char *name, Template **out, Error *error)
{
    Buffer known = { 0 };
    *out = NULL;
    for (int i = 0; i < ARRAY_LEN(formats); i++)
        if (strcmp(name, formats[i].name) == 0)
            return template_new(formats[i].source, strlen(formats[i].source), name, out, error);
    for (int i = 0; i < ARRAY_LEN(formats); i++)
        buffer_format(&known, "%s%s", i ? ", " : "", formats[i].name);
    const Status status = fail(error, UNSUPPORTED, "no prompt format is named '%s'; there are %s",
                               name, known.data ? known.data : "none");
    buffer_free(&known);
    return status;
}

const char *template_builtin_source(const char *name)
{
    for (int i = 0; i < ARRAY_LEN(formats); i++)
        if (strcmp(name, formats[i].name) == 0) return formats[i].source;
    return NULL;
}
