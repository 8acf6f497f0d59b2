/* SPDX-License-Identifier: Apache-2.0
 * A training configuration: every key arrives where it belongs, and whatever is not honoured is named. */
#include "train/config.h"

#include "support.h"

static const char small[] = "# a comment\n"
                            "[model]\r\n"
                            "layers = 2\nwidth=64\n heads = 4 \nexperts = 4\nhidden = 96\n"
                            "; another\n\n"
                            "[vocabulary]\nmodel = v.model\n"
                            "[data]\ntrain = a b.txt\nrepeat = 2.5\ntrain = /abs/c.jsonl\nheld_out = h.txt\n"
                            "[phase]\ntrain = d.txt\n"
                            "[optimizer]\nsteps = 200\nrate = 3e-3\nwarm_up = 10\n"
                            "[run]\nprecision = bf16\nrecompute = yes\n";

static Status read_text(const char *text, const char *path, Config *out, Error *error)
{
    char *copy = strdup(text);
    const Status status = config_parse(copy, strlen(copy), path, NULL, out, error);
    free(copy);
    return status;
}

static void test_values(void **state)
{
    (void)state;
    Config c;
    Error error = { 0 };
    if (read_text(small, "runs/x.ini", &c, &error) != OK) fail_msg("%s", error.text);
    assert_int_equal(c.sizes.n_layers, 2);
    assert_int_equal(c.sizes.n_kv_heads, 4);
    assert_int_equal(c.sizes.head_size, 16);
    assert_int_equal(c.sizes.n_turned, 16);
    assert_int_equal(c.sizes.n_used, 2);
    assert_int_equal(c.sizes.n_context, 256);
    assert_false(c.sizes.dense);
    assert_string_equal(c.vocabulary, "runs/v.model");
    assert_int_equal(c.n_phases, 2);
    assert_int_equal(c.phases[0].n, 2);
    assert_string_equal(c.phases[0].files[0].path, "runs/a b.txt");
    assert_true(c.phases[0].files[0].repeat == 2.5);
    assert_string_equal(c.phases[0].files[1].path, "/abs/c.jsonl");
    assert_true(c.phases[0].files[1].repeat == 1);
    assert_string_equal(c.phases[1].files[0].path, "runs/d.txt");
    assert_string_equal(c.held.files[0].path, "runs/h.txt");
    assert_string_equal(c.folder, "runs/x.run");
    assert_string_equal(c.output, "runs/x.run/model.gguf");
    assert_string_equal(c.report, "runs/x.run/report.html");
    assert_true(c.rate == 3e-3 && c.beta2 == 0.95 && c.steps == 200 && c.recompute);
    assert_string_equal(c.precision, "bf16");
    assert_string_equal(c.marker, "<|endoftext|>");
    config_free(&c);
}

/* Each is the text above with one thing wrong, and what the sentence must say. */
static const struct { const char *from, *to, *says; } wrongs[] = {
    { "rate = 3e-3", "lerning_rate = 3e-3", "x.ini:21: [optimizer] expected one of steps, tokens, sequence" },
    { "[run]", "[runn]", "expected one of the sections model, vocabulary, data, phase, optimizer, experts, adapter," },
    { "rate = 3e-3", "rate = 3e-3x", "[optimizer] rate: expected a number from 0 to 10, found '3e-3x'" },
    { "rate = 3e-3", "rate = nan", "found 'nan'" },
    { "rate = 3e-3", "rate = 0x10", "found '0x10'" },
    { "rate = 3e-3", "rate =", "expected a value, found nothing" },
    { "steps = 200", "steps = 2.5", "[optimizer] steps: expected a whole number from 1" },
    { "steps = 200", "steps = 200\nsteps = 200", "expected once, found before in line 20" },
    { "steps = 200", "steps = 200\ntokens = 9", "expected steps or tokens, found both" },
    { "warm_up = 10", "warm_up = 201", "warm_up: expected at most 200 steps, found 201" },
    { "precision = bf16", "precision = f16", "precision: expected f32|bf16, found 'f16'" },
    { "recompute = yes", "recompute = maybe", "recompute: expected yes or no, found 'maybe'" },
    { "layers = 2", "layers = 0", "layers: expected a whole number from 1 to 1024, found '0'" },
    { "layers = 2\n", "", "[model] layers: expected, not found" },
    { "layers = 2", "layers = 2\nfrom = m.gguf", "expected no sizes, they come from 'runs/m.gguf'" },
    { "experts = 4", "experts = 4\nused = 5", "used: expected at most 4" },
    { "heads = 4", "heads = 4\nkv_heads = 3", "kv_heads: expected a divisor of 4 heads, found 3" },
    { "width=64", "width=60", "head_size: expected an even number, found 15" },
    { "train = a b.txt\n", "", "repeat: expected 'train = FILE' just above it" },
    { "repeat = 2.5", "repeat = 2.5\nrepeat = 2", "repeat: expected 'train = FILE' just above it" },
    { "repeat = 2.5", "repeat = 0", "repeat: expected a number from 0.001 to 1000, found '0'" },
    { "[phase]\n", "[phase]\n[phase]\n", "[phase] expected 'train = FILE' in it, found none" },
    { "[model]\r\n", "layers = 1\n", "x.ini:2: expected a [section] first" },
    { "[model]\r\n", "[model\n", "x.ini:2: expected [section], found '[model'" },
    { "heads = 4", "heads", "expected key = value, found 'heads'" },
    { "[vocabulary]\nmodel = v.model\n", "", "[vocabulary] model: expected, not found" },
    { "rate = 3e-3", "rate = 3e-3\nfinal_rate = 1", "final_rate: expected at most the rate 0.003, found 1" },
    { "steps = 200", "steps = 200\nbatch = 65536\nsequence = 131072", "batch times sequence: expected at most" },
    { "steps = 200", "steps = 200\nbatch = 4097\nsequence = 256", "sequence: expected at most 1048576 tokens, found 1048832" },
    { "steps = 200", "steps = 1e9\nbatch = 4096\nsequence = 256\naccumulate = 65536",
      "batch times sequence times accumulate: expected at most 268435456 tokens, found 68719476736" },
    { "[run]", "[adapter]\nrouter_alpha = 8\n[run]", "[adapter] router_alpha: expected router_rank beside it, found none" },
    { "# a comment", "\xff", "expected a text in UTF-8" },
};

static void test_wrongs(void **state)
{
    (void)state;
    for (int i = 0; i < ARRAY_LEN(wrongs); i++) {
        char text[2048];
        const char *at = strstr(small, wrongs[i].from);
        if (!at) fail_msg("case %d: '%s' is not in the text", i, wrongs[i].from);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - small), small, wrongs[i].to, at + strlen(wrongs[i].from));
        Config c;
        Error error = { 0 };
        const Status status = read_text(text, "runs/x.ini", &c, &error);
        if (status != BAD_FILE || !strstr(error.text, wrongs[i].says))
            fail_msg("case %d: want '%s', got %d '%s'", i, wrongs[i].says, status, error.text);
        config_free(&c);
    }
}

/* --from: the model's sizes hold; those in the file are kept to be compared. */
static void test_from(void **state)
{
    (void)state;
    Config c;
    Error error = { 0 };
    char *copy = strdup(small);
    assert_int_equal(config_parse(copy, strlen(copy), "x.ini", "m.gguf", &c, &error), OK);
    assert_string_equal(c.from, "m.gguf");
    assert_int_equal(c.sizes.n_layers, 2);
    free(copy);
    config_free(&c);
}

/* What binds changes with a rate and not with a folder. */
static void test_binding(void **state)
{
    (void)state;
    static const char *const more[] = { "", "folder = elsewhere\nthreads = 3\n", "[optimizer]\nclip = 0.5\n" };
    Buffer texts[3] = { { 0 } };
    for (int i = 0; i < 3; i++) {
        char text[2048];
        Config c;
        Error error = { 0 };
        snprintf(text, sizeof text, "%s%s", small, more[i]);
        if (read_text(text, "x.ini", &c, &error) != OK) fail_msg("%s", error.text);
        config_binding(&c, &texts[i]);
        config_free(&c);
    }
    assert_string_equal(texts[0].data, texts[1].data);
    assert_string_not_equal(texts[0].data, texts[2].data);
    assert_non_null(strstr(texts[2].data, "[optimizer] clip = 0.5\n"));
    for (int i = 0; i < 3; i++) buffer_free(&texts[i]);
}

/* The example is a configuration, but for what has no fallback. */
static void test_example(void **state)
{
    (void)state;
    Buffer text = { 0 };
    Config c;
    Error error = { 0 };
    config_example(&text);
    assert_non_null(strstr(text.data, "\n[optimizer]\n"));
    assert_int_equal(read_text(text.data, "x.ini", &c, &error), BAD_FILE);
    if (!strstr(error.text, "[model] layers: expected, not found")) fail_msg("%s", error.text);
    config_free(&c);
    buffer_text(&text, "[model]\nlayers=1\nwidth=8\nheads=2\nexperts=2\nhidden=8\n"
                       "[vocabulary]\nmodel=v\n[phase]\ntrain=t\n");
    if (read_text(text.data, "x.ini", &c, &error) != OK) fail_msg("%s", error.text);
    config_free(&c);
    buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_wrongs),  cmocka_unit_test(test_from),
        cmocka_unit_test(test_binding), cmocka_unit_test(test_example),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
