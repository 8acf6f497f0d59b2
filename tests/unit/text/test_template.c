/* SPDX-License-Identifier: Apache-2.0
 * Templates: errors that name their line, the sandbox and its limits, built-in formats.
 *
 * With the argument --render it serves oracle_jinja.py instead: cases on stdin, answers on stdout. */
#include "support.h"

#include <inttypes.h>

#include "unit/text/render.h"

/* ---- the oracle's driver ---- */

enum { PART_BYTES_MAX = 64 << 20 };

static char *read_part(size_t n_bytes)
{
    char *part = n_bytes <= PART_BYTES_MAX ? malloc(n_bytes + 1) : NULL;
    if (!part || fread(part, 1, n_bytes, stdin) != n_bytes) exit(1);
    part[n_bytes] = 0;
    return part;
}

static void answer(Status status, const Error *error, const Rendered *r)
{
    const char *text = status == OK ? r->text.data : error->text;
    const size_t n_bytes = status == OK ? r->text.n_bytes : strlen(error->text);
    printf("%d %zu %zu\n", (int)status, n_bytes, r->n_trusted);
    fwrite(n_bytes ? text : "", 1, n_bytes, stdout);
    for (size_t i = 0; i < r->n_trusted; i++)
        printf("%zu %zu\n", r->trusted[i].begin, r->trusted[i].end);
    fflush(stdout);
}

/* "source messages tools extra prompt now\n" in bytes, then these parts; tools and extra may be 0. */
static int serve(void)
{
    size_t n[4];
    int prompt;
    int64_t now;
    while (scanf("%zu %zu %zu %zu %d %" SCNd64, &n[0], &n[1], &n[2], &n[3], &prompt, &now) == 6) {
        char *parts[4];
        Error error = { 0 };
        Rendered rendered = { 0 };
        Template *t;
        getchar();
        for (int i = 0; i < 4; i++) parts[i] = read_part(n[i]);
        const TemplateInput input = { .messages_json = parts[1],
                                      .messages_bytes = n[1],
                                      .tools_json = n[2] ? parts[2] : NULL,
                                      .tools_bytes = n[2],
                                      .extra_json = n[3] ? parts[3] : NULL,
                                      .extra_bytes = n[3],
                                      .add_generation_prompt = prompt != 0,
                                      .bos = "<s>",
                                      .eos = "</s>",
                                      .now = now };
        Status status = parts[0][0] == '@' ? template_builtin(parts[0] + 1, &t, &error)
                                           : template_new(parts[0], n[0], "oracle", &t, &error);
        if (status == OK) {
            status = template_render(t, &input, &rendered, &error);
            template_free(t);
        }
        answer(status, &error, &rendered);
        rendered_free(&rendered);
        for (int i = 0; i < 4; i++) free(parts[i]);
    }
    return 0;
}

/* ---- what goes wrong has a name and a line ---- */

static void expect_error(const char *source, const char *messages, Status code, const char *words)
{
    const TemplateInput input = input_of(messages);
    Error error = { 0 };
    Rendered out;
    const Status status = render_with(source, &input, &out, &error);
    if (status != code || !strstr(error.text, words))
        fail_msg("%s\n  want %d, ...%s...\n  got  %d, %s", source, (int)code, words, (int)status,
                 status == OK ? out.text.data : error.text);
    assert_null(out.text.data);
    assert_null(out.trusted);
}

static void expect_text(const char *source, const char *messages, const char *want)
{
    const TemplateInput input = input_of(messages);
    Error error = { 0 };
    Rendered out;
    if (render_with(source, &input, &out, &error) != OK) fail_msg("%s\n  %s", source, error.text);
    const char *got = out.text.data ? out.text.data : "";
    if (strcmp(got, want) != 0) fail_msg("%s\n  want %s\n  got  %s", source, want, got);
    rendered_free(&out);
}

static void errors_name_their_line(void **state)
{
    (void)state;
    expect_error("a\nb\n{% if %}", "[]", BAD_FILE, "test: line 3: ");
    expect_error("\n{{ 'x }}", "[]", BAD_FILE, "line 2: a string is never closed");
    expect_error("{# x", "[]", BAD_FILE, "never closed");
    expect_error("{% for x in y %}\n\n", "[]", BAD_FILE, "'endfor' is expected");
    expect_error("{% include 'x' %}", "[]", UNSUPPORTED, "'include' is not supported");
    expect_error("{{ 1|nope }}", "[]", UNSUPPORTED, "no filter is named 'nope'");
    expect_error("{% if true %}\n{{ 1|nope }}{% endif %}", "[]", UNSUPPORTED,
                 "line 2: no filter is named 'nope'");
    expect_error("{{ 1 is nope }}", "[]", UNSUPPORTED, "no test is named 'nope'");
    expect_error("\n\n{{ messages[0].x.y }}", "[{}]", FAILED,
                 "line 3: expected something that has attributes, "
                 "found nothing: 'x' is undefined");
    expect_error("{{ raise_exception('roles must alternate') }}", "[]", BAD_ARGUMENT,
                 "line 1: roles must alternate");
    expect_error("\xff", "[]", BAD_FILE, "not UTF-8");
    expect_error("x", "{", BAD_ARGUMENT, "messages: line 1");
    expect_error("x", "{}", BAD_ARGUMENT, "expected an array, found a mapping");
    expect_error("{{ 9223372036854775807 + 1 }}", "[]", FAILED, "more than 64 bits");
    expect_error("{{ 9223372036854775808 }}", "[]", UNSUPPORTED, "more than 64 bits");
    expect_error("{{ '\\ud800' }}", "[]", BAD_FILE, "no character of Unicode");
}

static void extra_variables(void **state)
{
    (void)state;
    TemplateInput input = input_of("[]");
    Error error = { 0 };
    Rendered out;
    input.extra_json = "{\"x\": [1, 2.5, null]}";
    input.extra_bytes = strlen(input.extra_json);
    assert_int_equal(render_with("{{ x }}{{ tools }}{{ bos_token }}", &input, &out, &error), OK);
    assert_string_equal(out.text.data, "[1, 2.5, None]None<s>");
    rendered_free(&out);
    input.extra_json = "{\"messages\": []}";
    input.extra_bytes = strlen(input.extra_json);
    assert_int_equal(render_with("x", &input, &out, &error), BAD_ARGUMENT);
    input.extra_json = NULL;
    input.bos = NULL;
    assert_int_equal(render_with("[{{ bos_token }}]", &input, &out, &error), OK);
    assert_string_equal(out.text.data, "[]");
    rendered_free(&out);
}

static void halves_of_characters_are_mended(void **state)
{
    (void)state;
    expect_text("{{ messages[0] }}", "[\"\\ud83d\\ude00|\\ud83d|\\ude00|\\\\ud83d\"]",
                "\xf0\x9f\x98\x80|\xef\xbf\xbd|\xef\xbf\xbd|\\ud83d");
}

/* ---- a stranger's template stays in its box ---- */

static void nothing_to_escape_to(void **state)
{
    (void)state;
    expect_text(
        "{{ ''.__class__ }}{{ [].__init__ }}{{ messages.__class__ }}{{ {}.__class__ is defined }}"
        "",
        "[]", "False");
    expect_error("{{ ''.__class__.__mro__ }}", "[]", FAILED, "undefined");
    expect_error("{{ [].append(1) }}", "[]", FAILED, "'append' is undefined");
    expect_error("{{ {}.update({}) }}", "[]", FAILED, "'update' is undefined");
    expect_error("{{ messages.pop() }}", "[1]", FAILED, "'pop' is undefined");
    expect_error("{{ range.__globals__.os }}", "[]", FAILED, "undefined");
    expect_error("{{ '{0.__class__.x}'.format(1) }}", "[]", FAILED, "undefined");
}

static void repeated(Buffer *b, const char *piece, int n)
{
    for (int i = 0; i < n; i++) buffer_text(b, piece);
}

static void limits_hold(void **state)
{
    (void)state;
    expect_error("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"
        "", "[]", NO_ROOM, "steps");
    expect_error("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "[]", NO_ROOM,
                 "nested more than");
    expect_error("{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(100) %}{% set ns.x = "
                 "ns.x ~ ns.x %}{% "
                 "endfor %}",
                 "[]", NO_ROOM, "longer than");
    expect_error("{{ 'a' * 1000000000 }}", "[]", NO_ROOM, "longer than");
    expect_error("{{ [1] * 1000000000 }}", "[]", NO_MEMORY, "MiB");
    expect_error("{{ 'x'.center(999999999999) }}", "[]", NO_ROOM, "longer than");
    expect_error("{{ range(100001) }}", "[]", NO_ROOM, "range");
    expect_error("{{ 2 ** 9999999 }}", "[]", FAILED, "64 bits");
    expect_error("{% set ns = namespace(x=[]) %}{% for i in range(1000) %}{% set ns.x = [ns.x] "
                 "%}{% endfor %}{{ "
                 "ns.x }}",
                 "[]", NO_ROOM, "values are nested");
    expect_error("{% set ns = namespace(x=1) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] "
                 "%}{% endfor "
                 "%}{{ ns.x }}",
                 "[]", NO_ROOM, "");
    expect_error("{% for i in range(60000) %}{{ "
                 "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' "
                 "* 10 }}{% endfor %}",
                 "[]", NO_ROOM, "longer than");
    expect_error("{{ '%99999d' % 1 }}", "[]", NO_ROOM, "wider");
    expect_error("{{ strftime_now('%99999d') }}", "[]", NO_ROOM, "too long");
}

static void depth_of_source_and_messages(void **state)
{
    (void)state;
    Buffer b = { 0 };
    buffer_text(&b, "{{ ");
    repeated(&b, "(", 100000);
    expect_error(b.data, "[]", BAD_FILE, "deep");
    buffer_clear(&b);
    repeated(&b, "{% if 1 %}", 10000);
    expect_error(b.data, "[]", BAD_FILE, "deep");
    buffer_clear(&b);
    buffer_text(&b, "{{ ");
    repeated(&b, "not ", 10000);
    buffer_text(&b, "1 }}");
    expect_error(b.data, "[]", BAD_FILE, "deep");
    buffer_clear(&b);
    buffer_text(&b, "{{ 1");
    repeated(&b, " + 1", 100000);
    buffer_text(&b, " }}");
    expect_error(b.data, "[]", NO_ROOM, "deep");
    buffer_clear(&b);
    repeated(&b, "[", 1000);
    repeated(&b, "]", 1000);
    expect_error("x", b.data, NO_ROOM, "nested more than");
    buffer_clear(&b);
    repeated(&b, "x", 1100000);
    expect_error(b.data, "[]", BAD_FILE, "at most");
    buffer_free(&b);
}

static void long_prompts_are_fine(void **state)
{
    (void)state;
    Buffer b = { 0 };
    buffer_text(&b, "[{\"role\": \"user\", \"content\": \"");
    repeated(&b, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 16 << 15);
    buffer_text(&b, "\"}]");
    const TemplateInput input = input_of(b.data);
    Error error = { 0 };
    Rendered out = { 0 };
    const char *source =
        "{% for m in messages %}{{ '[INST] ' + m['content']|trim + ' [/INST]' }}{% endfor %}";
    if (render_with(source, &input, &out, &error) != OK) fail_msg("%s", error.text);
    assert_int_equal(out.text.n_bytes, (16 << 20) + 15);
    assert_int_equal(out.n_trusted, 2);
    rendered_free(&out);
    buffer_free(&b);
}

/* ---- built-in formats, space by space ---- */

#define U1 "{\"role\":\"user\",\"content\":\"U1\"}"
#define A1 "{\"role\":\"assistant\",\"content\":\"A1\"}"
#define CHAT "[" U1 "," A1 ",{\"role\":\"user\",\"content\":\"U2\"}]"
#define WITH_SYSTEM "[{\"role\":\"system\",\"content\":\"S\"}," U1 "," A1 ","                     \
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"U2\"}]}]"
#define PREAMBLE "A chat between a curious user and an artificial intelligence assistant. The assistant gives " \
        "helpful, " \
    "detailed, and polite answers to the user's questions."

static const struct { const char *name, *messages, *want; } formats[] = {
    { "mistral-v1", CHAT, "<s> [INST] U1 [/INST] A1</s> [INST] U2 [/INST]" },
    { "mistral-v1", WITH_SYSTEM, "<s> [INST] S\n\nU1 [/INST] A1</s> [INST] U2 [/INST]" },
    { "mistral-v3", CHAT, "<s>[INST] U1[/INST] A1</s>[INST] U2[/INST]" },
    { "mistral-v3", WITH_SYSTEM, "<s>[INST] U1[/INST] A1</s>[INST] S\n\nU2[/INST]" },
    { "vicuna", CHAT, PREAMBLE " USER: U1 ASSISTANT: A1</s>USER: U2 ASSISTANT:" },
    { "vicuna", WITH_SYSTEM, "S USER: U1 ASSISTANT: A1</s>USER: U2 ASSISTANT:" },
    { "chatml", WITH_SYSTEM, "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU1<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n"
                             "<|im_start|>user\nU2<|im_end|>\n<|im_start|>assistant\n" },
    { "llama-2", WITH_SYSTEM, "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nU1 [/INST] A1 </s><s>[INST] U2 [/INST]" },
    { "llama-3", CHAT, "<s><|start_header_id|>user<|end_header_id|>\n\nU1<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
                       "A1<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nU2<|eot_id|>"
                       "<|start_header_id|>assistant<|end_header_id|>\n\n" },
    { "zephyr", CHAT, "<|user|>\nU1</s>\n<|assistant|>\nA1</s>\n<|user|>\nU2</s>\n<|assistant|>\n" },
};

static void builtin_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        const TemplateInput input = input_of(formats[i].messages);
        Error error = { 0 };
        Template *t;
        Rendered out;
        if (template_builtin(formats[i].name, &t, &error) != OK) fail_msg("%s", error.text);
        if (template_render(t, &input, &out, &error) != OK) fail_msg("%s", error.text);
        if (strcmp(out.text.data, formats[i].want) != 0)
            fail_msg("%s\n  want %s\n  got  %s", formats[i].name, formats[i].want, out.text.data);
        rendered_free(&out);
        template_free(t);
    }
}

static Status builtin_status(const char *name, const char *messages, Error *error)
{
    const TemplateInput input = input_of(messages);
    Template *t;
    Rendered out;
    TRY(template_builtin(name, &t, error));
    const Status status = template_render(t, &input, &out, error);
    template_free(t);
    rendered_free(&out);
    return status;
}

static void builtin_refusals(void **state)
{
    (void)state;
    static const char two_users[] =
        "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"b\"}]";
    static const char bad_id[] =
        "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"tool\",\"content\":\"b\","
        "\"tool_call_id\":\"short\"}]";
    Error error = { 0 };
    for (int i = 0; template_builtin_names[i]; i++)
        if (builtin_status(template_builtin_names[i], "[]", &error) != OK) fail_msg("%s: "
            "%s", template_builtin_names[i], error.text);
    assert_int_equal(builtin_status("mistral-v1", two_users, &error), BAD_ARGUMENT);
    assert_int_equal(builtin_status("mistral-v3", two_users, &error), BAD_ARGUMENT);
    assert_int_equal(builtin_status("mistral-v3", bad_id, &error), BAD_ARGUMENT);
    assert_non_null(strstr(error.text, "exactly 9 letters or digits"));
    assert_int_equal(builtin_status("nope", "[]", &error), UNSUPPORTED);
    assert_non_null(strstr(error.text, "mistral-v1, mistral-v3, vicuna, chatml"));
}

static void builtin_tools(void **state)
{
    (void)state;
    TemplateInput input = input_of(
        "[{\"role\":\"user\",\"content\":\"W?\"},{\"role\":\"assistant\","
        "\"tool_calls\":[{\"id\":\"abcdef123\",\"function\":"
        "{\"name\":\"now\",\"arguments\":{\"z\":1}}}]},{\"role\":\"tool\",\"content\":\"noon\","
        "\"tool_call_id\":\"abcdef123\"},"
        "{\"role\":\"assistant\",\"content\":\"Noon.\"}]");
    input.tools_json = "[{\"type\":\"function\"}]";
    input.tools_bytes = strlen(input.tools_json);
    Error error = { 0 };
    Template *t;
    Rendered out;
    assert_int_equal(template_builtin("mistral-v3", &t, &error), OK);
    if (template_render(t, &input, &out, &error) != OK) fail_msg("%s", error.text);
    assert_string_equal(
        out.text.data,
        "<s>[AVAILABLE_TOOLS] [{\"type\": \"function\"}][/AVAILABLE_TOOLS][INST] W?[/INST]"
        "[TOOL_CALLS] [{\"name\": \"now\", \"arguments\": {\"z\": 1}, \"id\": \"abcdef123\"}]</s>"
        "[TOOL_RESULTS] {\"content\": \"noon\", \"call_id\": \"abcdef123\"}[/TOOL_RESULTS] "
        "Noon.</s>");
    rendered_free(&out);
    template_free(t);
}

/* ---- the clock ---- */

static void the_clock(void **state)
{
    (void)state;
    TemplateInput input = input_of("[]");
    Error error = { 0 };
    Rendered out;
    input.now = 1721822400;
    assert_int_equal(render_with("{{ strftime_now('%Y-%m') }}", &input, &out, &error), OK);
    assert_string_equal(out.text.data, "2024-07");
    rendered_free(&out);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--render") == 0) return serve();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_name_their_line),
        cmocka_unit_test(extra_variables),
        cmocka_unit_test(halves_of_characters_are_mended),
        cmocka_unit_test(nothing_to_escape_to),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(depth_of_source_and_messages),
        cmocka_unit_test(long_prompts_are_fine),
        cmocka_unit_test(builtin_texts),
        cmocka_unit_test(builtin_refusals),
        cmocka_unit_test(builtin_tools),
        cmocka_unit_test(the_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
