/* SPDX-License-Identifier: Apache-2.0
 * tests/oom/test_oom.c - the 1st, 2nd, ... n-th allocation fails, through the public face.
 *
 * Each scenario runs once undisturbed, which tells how many allocations it makes and what it answers.
 * Then once for each of them, that one failing; then again, that and all later ones failing (memory that
 * is gone stays gone).  Every time the answer must be MIXT_NO_MEMORY with a sentence, or the right
 * one, where the library could do without; nothing may crash, and nothing may be left behind. */
#include "tests/support.h"

#include <mixt.h>
#include <mixt_tools.h>

#include "base/io.h"
#include "tests/adapter_file.h"
#include "tests/oom/alloc.h"

typedef struct Answer {
    mixt_token tokens[8];
    size_t     n_tokens;
    char       text[2048];
    size_t     n_bytes;
} Answer;

typedef mixt_status (*Scenario)(Answer *answer, mixt_error *error);

/* ---- scenarios: straight lines that free what they made, whatever happened ---- */

static char learn_path[512], prefer_path[512], learned_path[512];
static char model_path[512], out_path[512], machine_path[512], adapter_path[512];
static mixt_machine machine;
static const char question[] = "Once upon a time";

static int keep_text(void *user, const char *bytes, size_t n_bytes)
{
    Answer *answer = user;
    if (n_bytes > sizeof answer->text - answer->n_bytes) return 1;
    memcpy(answer->text + answer->n_bytes, bytes, n_bytes);
    answer->n_bytes += n_bytes;
    return 0;
}

static mixt_status generate_in(mixt_engine *engine, const mixt_model *model, Answer *answer,
                               mixt_error *error)
{
    mixt_session *session = NULL;
    mixt_sampler *sampler = NULL;
    mixt_token prompt[64];
    size_t n_prompt = 0;
    mixt_sampler_options picks = mixt_sampler_defaults();
    picks.seed = 5;
    mixt_generate_options options = mixt_generate_defaults();
    options.n_tokens_max = 4;
    options.ignore_end = true;
    options.on_text = keep_text;
    options.user = answer;
    const char *const stops[] = { "never said", NULL };
    options.stops = stops;
    options.n_stops = 1;

    mixt_status status =
        mixt_tokenize(model, question, strlen(question), true, prompt, 64, &n_prompt, error);
    if (status == MIXT_OK) status = mixt_session_new(engine, 128, &session, error);
    if (status == MIXT_OK) status = mixt_session_trace(session, true, error);
    if (status == MIXT_OK) status = mixt_sampler_new(model, &picks, &sampler, error);
    if (status == MIXT_OK) status = mixt_session_sync(session, prompt, n_prompt, error);
    if (status == MIXT_OK) status = mixt_generate(session, sampler, &options, NULL, error);
    if (status == MIXT_OK) {
        const mixt_token *held = mixt_session_tokens(session) + n_prompt;
        answer->n_tokens = mixt_session_n_tokens(session) - n_prompt;
        if (answer->n_tokens > 8) answer->n_tokens = 8;
        memcpy(answer->tokens, held, answer->n_tokens * sizeof *held);
    }
    mixt_sampler_free(sampler);
    mixt_session_free(session);
    return status;
}

static mixt_status generate_with(size_t expert_slots, Answer *answer, mixt_error *error)
{
    mixt_model *model = NULL;
    mixt_engine *engine = NULL;
    mixt_engine_options options = mixt_engine_defaults();
    options.n_threads = 3;
    options.expert_slots = expert_slots;
    options.profile = expert_slots != 0;
    mixt_status status = mixt_model_open(model_path, NULL, &model, error);
    if (status == MIXT_OK) status = mixt_engine_new(model, &options, &engine, error);
    if (status == MIXT_OK) status = generate_in(engine, model, answer, error);
    mixt_engine_free(engine);
    mixt_model_free(model);
    return status;
}

static mixt_status generate(Answer *answer, mixt_error *error)
{
    return generate_with(0, answer, error);
}

static mixt_status generate_from_disk(Answer *answer, mixt_error *error)
{
    return generate_with(4, answer, error);
}

static mixt_status chat(Answer *answer, mixt_error *error)
{
    mixt_model *model = NULL;
    mixt_model_options options = mixt_model_defaults();
    options.chat_template =
        "{% for m in messages %}{{ '[' + m.role|upper + ']' }} {{ m.content|trim }}\n"
        "{% if loop.last and add_generation_prompt %}>{% endif %}{% endfor %}";
    mixt_chat talk = mixt_chat_defaults();
    talk.messages_json = "[{\"role\":\"user\",\"content\":\" hello \\u00e9 "
                         "\"},{\"role\":\"assistant\",\"content\":\"yes\"}]";
    talk.add_generation_prompt = true;
    size_t n_tokens = 0;
    mixt_status status = mixt_model_open(model_path, &options, &model, error);
    if (status == MIXT_OK)
        status = mixt_chat_render(model, &talk, answer->text, sizeof answer->text, &answer->n_bytes,
                                  NULL, 0, &n_tokens, error);
    if (status == MIXT_NO_ROOM) status = MIXT_OK;           /* only measured the tokens */
    answer->tokens[answer->n_tokens++] = (mixt_token)n_tokens;
    mixt_model_free(model);
    return status;
}

static mixt_status check(Answer *answer, mixt_error *error)
{
    const mixt_status status = mixt_check(model_path, NULL, answer->text, sizeof answer->text, error);
    answer->n_bytes = status == MIXT_OK ? strlen(answer->text) : 0;
    return status;
}

static char  *model_bytes;          /* of model_path */
static size_t n_model_bytes;

static mixt_status check_in_memory(Answer *answer, mixt_error *error)
{
    const mixt_memory inside = { "inside", model_bytes, n_model_bytes };
    mixt_model_options options = mixt_model_defaults();
    options.memory = &inside;
    const mixt_status status = mixt_check("inside", &options, answer->text, sizeof answer->text, error);
    answer->n_bytes = status == MIXT_OK ? strlen(answer->text) : 0;
    return status;
}

static mixt_status convert(Answer *answer, mixt_error *error)
{
    mixt_convert_options options = mixt_convert_defaults();
    options.type = "q8_0";
    const mixt_status status = mixt_convert(model_path, out_path, &options, error);
    answer->n_tokens = status == MIXT_OK && access(out_path, R_OK) == 0;
    return status;
}

/* Two adapters on an engine, one of them merged, one looked at. */
static mixt_status adapt(Answer *answer, mixt_error *error)
{
    const mixt_adapter both[] = { { adapter_path, 1 }, { adapter_path, -0.5 } };
    mixt_model *model = NULL;
    mixt_engine *engine = NULL;
    mixt_adapter_file *file = NULL;
    mixt_engine_options options = mixt_engine_defaults();
    mixt_convert_options merging = mixt_convert_defaults();
    options.n_threads = 2;
    options.adapters = both;
    options.n_adapters = 2;
    merging.adapters = both;
    merging.n_adapters = 1;
    mixt_status status = mixt_model_open(model_path, NULL, &model, error);
    if (status == MIXT_OK) status = mixt_engine_new(model, &options, &engine, error);
    if (status == MIXT_OK) status = generate_in(engine, model, answer, error);
    mixt_engine_free(engine);
    mixt_model_free(model);
    if (status == MIXT_OK) status = mixt_convert(model_path, out_path, &merging, error);
    if (status == MIXT_OK) status = mixt_adapter_open(adapter_path, &file, error);
    if (status == MIXT_OK) answer->n_bytes = (size_t)mixt_adapter_read(file).n_values % sizeof answer->text;
    mixt_adapter_free(file);
    return status;
}

static mixt_status synthesise(Answer *answer, mixt_error *error)
{
    mixt_synth_options options = mixt_synth_defaults();
    options.like = "tiny";
    options.n_layers = 1;
    options.type = "F16";
    options.router_skew = 0.5;
    const mixt_status status = mixt_synth(out_path, &options, error);
    answer->n_tokens = status == MIXT_OK && access(out_path, R_OK) == 0;
    return status;
}

static mixt_status keep_machine(Answer *answer, mixt_error *error)
{
    mixt_machine back;
    mixt_status status = mixt_machine_write(&machine, machine_path, error);
    if (status == MIXT_OK) status = mixt_machine_read(machine_path, &back, error);
    answer->n_tokens = status == MIXT_OK ? (size_t)back.n_read : 0;
    return status;
}

/* Two steps on texts and chats, a checkpoint, then from there to the end. */
static mixt_status learn(Answer *answer, mixt_error *error)
{
    mixt_train_options options = mixt_train_defaults();
    options.n_threads = 2;
    options.fresh = true;
    mixt_status status = mixt_train(learn_path, &options, error);
    options.fresh = false;
    if (status == MIXT_OK) status = mixt_train(learn_path, &options, error);
    answer->n_tokens = status == MIXT_OK && access(learned_path, R_OK) == 0;
    return status;
}

/* Adapters beside a model, by pairs of answers. */
static mixt_status prefer(Answer *answer, mixt_error *error)
{
    mixt_train_options options = mixt_train_defaults();
    options.n_threads = 2;
    options.fresh = true;
    const mixt_status status = mixt_train(prefer_path, &options, error);
    answer->n_tokens = status == MIXT_OK && access(learned_path, R_OK) == 0;
    return status;
}

/* ---- the harness ---- */

/* Sanitizers are some ten times slower: look at the first hundred calls and then at one in seven. */
static int64_t next_call(int64_t at)
{
    return alloc_n_live() < 0 && at >= 100 ? at + 7 : at + 1;
}

/* 1 when the call was refused, 0 when it did without. */
static int one_failure(const char *name, Scenario scenario, const Answer *want, int64_t at,
                       AllocFailure how)
{
    Answer got = { 0 };
    mixt_error error = { .code = MIXT_OK };
    const int64_t n_live = alloc_n_live();
    alloc_watch(at, how);
    const mixt_status status = scenario(&got, &error);
    alloc_unwatch();
    const char *mode = how == FAIL_ONE ? "alone" : "and all after it";
    if (status == MIXT_OK) {
        if (memcmp(&got, want, sizeof got))
            fail_msg("%s: allocation %lld failed %s: another answer", name, (long long)at, mode);
    } else if (status != MIXT_NO_MEMORY) {
        fail_msg("%s: allocation %lld failed %s: want MIXT_NO_MEMORY, got %s: %s", name,
                 (long long)at, mode, mixt_status_name(status), error.text);
    } else if (error.code != status || !error.text[0] || !alloc_failed()) {
        fail_msg("%s: allocation %lld failed %s: no sentence", name, (long long)at, mode);
    }
    if (alloc_n_live() != n_live)
        fail_msg("%s: allocation %lld failed %s: %lld blocks left behind (%s)", name, (long long)at,
                 mode, (long long)(alloc_n_live() - n_live), error.text);
    return status != MIXT_OK;
}

static void every_failure(const char *name, Scenario scenario)
{
    /* Twice: what libraries set up once and keep (a thread's stack, a locale) is not a leak. */
    Answer want = { 0 };
    mixt_error error;
    if (scenario(&want, &error) != MIXT_OK) fail_msg("%s: without failures: %s", name, error.text);
    memset(&want, 0, sizeof want);
    alloc_watch(-1, FAIL_ONE);
    assert_int_equal(scenario(&want, &error), MIXT_OK);
    const int64_t n_calls = alloc_unwatch();
    assert_true(n_calls > 0);

    int n_tried = 0, n_failed = 0, n_refused = 0;       /* failed: those of jansson never do */
    for (int64_t at = 0; at < n_calls; at = next_call(at), n_tried++) {
        n_refused += one_failure(name, scenario, &want, at, FAIL_ONE);
        n_failed += alloc_failed();
        n_refused += one_failure(name, scenario, &want, at, FAIL_FROM);
        n_failed += alloc_failed();
    }
    print_message("%s: %lld allocations, %d of them failed, alone and with all after: %d answers "
                  "MIXT_NO_MEMORY, %d right\n",
                  name, (long long)n_calls, n_tried, n_refused, 2 * n_tried - n_refused);
    assert_true(n_failed > 0 && 2 * n_refused >= n_failed);
}

#define TEST(scenario)                                                                             \
    static void test_##scenario(void **state)                                                      \
    {                                                                                              \
        (void)state;                                                                               \
        every_failure(#scenario, scenario);                                                        \
    }
TEST(generate)
TEST(generate_from_disk)
TEST(chat)
TEST(check)
TEST(check_in_memory)
TEST(convert)
TEST(adapt)
TEST(synthesise)
TEST(keep_machine)
TEST(learn)
TEST(prefer)

static bool make_adapter(void)
{
    mixt_model *model;
    mixt_error error;
    Error inside;
    snprintf(adapter_path, sizeof adapter_path, "%s/adapter.gguf", test_scratch());
    if (mixt_model_open(model_path, NULL, &model, &error) != MIXT_OK) return false;
    const mixt_model_info i = mixt_model_read(model);
    const MadePair pairs[] = { { "blk.0.attn_v.weight", 0, 2, i.n_kv_heads * i.head_size, i.width },
                               { "blk.0.ffn_gate_inp.weight", 0, 1, i.n_experts, i.width },
                               { "blk.0.ffn_down_exps.weight", i.n_experts, 2, i.width, i.hidden } };
    mixt_model_free(model);
    return made_adapter(adapter_path, &(MadeAdapter){ .alpha = 1e-3f, .pairs = pairs, .n = 3 }, &inside) == OK;
}

static bool make_text(const char *name, const char *text, char path[512])
{
    snprintf(path, 512, "%s/%s", test_scratch(), name);
    return write_file(path, text, strlen(text), NULL) == OK;
}

/* What the two trainings read; the smallest network there is, and a small model. */
static bool make_lessons(void)
{
    char path[512];
    mixt_synth_options options = mixt_synth_defaults();
    options.n_layers = 1;
    options.width = 32;
    options.hidden = 32;
    options.n_experts = 2;
    options.n_vocab = 512;
    options.type = "Q8_0";
    snprintf(path, sizeof path, "%s/small.gguf", test_scratch());
    snprintf(learned_path, sizeof learned_path, "%s/learned.gguf", test_scratch());
    return mixt_synth(path, &options, NULL) == MIXT_OK &&
           make_text("a.txt", "one text\n<|endoftext|>\nand another one\n", path) &&
           make_text("h.txt", "held out\n", path) &&
           make_text("c.jsonl", "{\"prompt\":\"q\",\"answer\":\"a\"}\n", path) &&
           make_text("p.jsonl", "{\"prompt\":\"q\",\"chosen\":\"a\",\"rejected\":\"b\"}\n", path) &&
           make_text("learn.ini", "[model]\nlayers=1\nwidth=16\nheads=2\nexperts=2\nhidden=16\n"
                     "[vocabulary]\nmodel=small.gguf\n[data]\ntrain=a.txt\ntrain=c.jsonl\nheld_out=h.txt\n"
                     "[optimizer]\nsteps=2\nwarm_up=1\nsequence=16\nbatch=2\n"
                     "[run]\noutput=learned.gguf\ncheckpoint_steps=1\n", learn_path) &&
           make_text("prefer.ini", "[model]\nfrom=small.gguf\n[adapter]\nattention_rank=2\nexpert_rank=2\nexperts=1\n"
                     "[preference]\nbeta=0.1\n[data]\ntrain=p.jsonl\n[optimizer]\nsteps=1\nwarm_up=0\nsequence=32\n"
                     "batch=2\n[run]\noutput=learned.gguf\n", prefer_path);
}

static int make_model(void **state)
{
    (void)state;
    snprintf(model_path, sizeof model_path, "%s/tiny.gguf", test_scratch());
    snprintf(out_path, sizeof out_path, "%s/out.gguf", test_scratch());
    mixt_synth_options options = mixt_synth_defaults();
    options.like = "tiny";
    options.seed = 1;
    snprintf(machine_path, sizeof machine_path, "%s/machine.json", test_scratch());
    mixt_measure_options quickly = mixt_measure_defaults();
    quickly.n_threads = 1;
    quickly.quick = true;
    mixt_error error;
    if (mixt_synth(model_path, &options, &error) == MIXT_OK && make_adapter() &&
        make_lessons() &&
        file_slurp(model_path, INT64_MAX - 1, &model_bytes, &n_model_bytes, NULL) == OK &&
        mixt_measure(&quickly, &machine, &error) == MIXT_OK)
        return 0;
    print_error("%s\n", error.text);
    return -1;
}

static int drop_model(void **state)
{
    (void)state;
    free(model_bytes);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1) cmocka_set_test_filter(argv[1]);      /* "test_chat": one of them, where all take long */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generate),  cmocka_unit_test(test_generate_from_disk),
        cmocka_unit_test(test_chat),      cmocka_unit_test(test_check),
        cmocka_unit_test(test_check_in_memory),
        cmocka_unit_test(test_convert),   cmocka_unit_test(test_adapt),
        cmocka_unit_test(test_synthesise),
        cmocka_unit_test(test_keep_machine), cmocka_unit_test(test_learn), cmocka_unit_test(test_prefer),
    };
    return cmocka_run_group_tests(tests, make_model, drop_model);
}
