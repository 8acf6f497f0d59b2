/* SPDX-License-Identifier: Apache-2.0
 * A profile counts every op of a step, its bytes and its products, and changes no answer. */
#include "../../support.h"

#include <mixt_tools.h>

static char        path[512];
static mixt_model *model;
static mixt_error  error;

enum { N_TOKENS = 5, ROOM = 32 };
static const mixt_token tokens[N_TOKENS] = { 1, 403, 407, 261, 378 };

static void must(mixt_status status)
{
    if (status != MIXT_OK) fail_msg("%s: %s", mixt_status_name(status), error.text);
}

static int setup(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/tiny.gguf", test_scratch());
    mixt_synth_options o = mixt_synth_defaults();
    o.type = "Q8_0";
    must(mixt_synth(path, &o, &error));
    must(mixt_model_open(path, NULL, &model, &error));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mixt_model_free(model);
    return 0;
}

static void open_engine(const char *device, bool profile, mixt_engine **engine,
                        mixt_session **session)
{
    mixt_engine_options o = mixt_engine_defaults();
    o.device = device;
    o.profile = profile;
    o.n_threads = 2;
    o.look_ahead = 0;                   /* which asks routers once more                        */
    must(mixt_engine_new(model, &o, engine, &error));
    must(mixt_session_new(*engine, 64, session, &error));
}

static const mixt_profile_row *row(const mixt_profile_row *rows, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(rows[i].name, name)) return &rows[i];
    fail_msg("the profile has no row '%s'", name);
    return NULL;
}

static int64_t class_bytes(const char *name)
{
    size_t n;
    const mixt_weight_class *classes = mixt_model_classes(model, &n);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(classes[i].name, name)) return classes[i].n_bytes;
    return 0;
}

static void expect_row(const mixt_profile_row *rows, size_t n, const char *name, int64_t calls,
                       int64_t bytes, int64_t operations)
{
    const mixt_profile_row *r = row(rows, n, name);
    print_message("%-14s %3lld calls %8lld bytes %10lld operations %9lld ns\n", name,
                  (long long)r->n_calls, (long long)r->bytes, (long long)r->operations,
                  (long long)r->ns);
    assert_int_equal(r->n_calls, calls);
    assert_int_equal(r->bytes, bytes);
    assert_int_equal(r->operations, operations);
    assert_true(r->ns >= 0);
}

/* Two steps: a prompt of five, then one token more. */
static void profiles_count_everything_on(const char *device)
{
    mixt_engine *engine;
    mixt_session *session;
    mixt_profile_row rows[ROOM];
    const mixt_model_info i = mixt_model_read(model);
    const int64_t L = i.n_layers, D = i.width, H = i.n_heads * i.head_size,
                  K = i.n_kv_heads * i.head_size, T = N_TOKENS;
    size_t n;
    open_engine(device, true, &engine, &session);
    must(mixt_session_sync(session, tokens, N_TOKENS, &error));
    must(mixt_engine_step(engine, &session, tokens, 1, NULL, &error));
    must(mixt_engine_profile(engine, true, rows, ROOM, &n, &error));

    const int64_t attention = class_bytes("attention"), out = D * H, qkv = D * (H + 2 * K);
    expect_row(rows, n, "embedding", 2, class_bytes("embedding") / i.n_vocab * (T + 1), 0);
    expect_row(rows, n, "norm", 2 * (2 * L + 1), 0, 0);
    expect_row(rows, n, "q, k, v", 2 * L, 2 * attention * qkv / (qkv + out), 2 * (T + 1) * L * qkv);
    expect_row(rows, n, "attention out", 2 * L, 2 * attention * out / (qkv + out),
               2 * (T + 1) * L * out);
    /* In the last layer only the prompt's last token goes on from attention. */
    const int64_t through = (T + 1) * (L - 1) + 2;
    expect_row(rows, n, "router", 2 * L, 2 * class_bytes("router"), 2 * through * D * i.n_experts);
    expect_row(rows, n, "output", 2, 2 * class_bytes("output"), 2 * 2 * D * i.n_vocab);
    /* Keys and values of five positions once for the prompt, of six for the token; 1+..+6 pairs. */
    expect_row(rows, n, "attention", 2 * L, (T + T + 1) * i.kv_bytes_per_token, 4 * H * L * 21);
    expect_row(rows, n, "add", 4 * L, 0, 0);
    expect_row(rows, n, "combine", 2 * L, 0, 0);

    /* Every row goes through U experts; which they are is the router's business. */
    const mixt_profile_row *experts = row(rows, n, "experts");
    const int64_t one = mixt_model_expert_bytes(model, 0);
    assert_int_equal(one, i.expert_bytes);
    assert_int_equal(experts->operations, 6 * through * i.n_used * D * i.hidden);
    assert_int_equal(experts->bytes % one, 0);
    assert_true(experts->bytes >= 2 * L * i.n_used * one &&
                experts->bytes <= L * (i.n_experts + i.n_used) * one);
    assert_string_equal(rows[n - 1].name, "between");
    assert_int_equal(rows[n - 1].n_calls, 2);

    must(mixt_engine_profile(engine, false, rows, ROOM, &n, &error));   /* it was reset       */
    assert_int_equal(n, 1);
    assert_int_equal(rows[0].n_calls, 0);
    mixt_session_free(session);
    mixt_engine_free(engine);
}

static void profiles_count_everything(void **state)
{
    (void)state;
    profiles_count_everything_on("cpu");
    profiles_count_everything_on("ref");
}

static void a_profile_changes_no_bit(void **state)
{
    (void)state;
    const size_t bytes = (size_t)mixt_model_read(model).n_vocab * sizeof(float);
    mixt_engine *engines[2];
    mixt_session *sessions[2];
    for (int i = 0; i < 2; i++) {
        open_engine("cpu", i == 1, &engines[i], &sessions[i]);
        must(mixt_session_sync(sessions[i], tokens, N_TOKENS, &error));
    }
    assert_memory_equal(mixt_session_logits(sessions[0]), mixt_session_logits(sessions[1]), bytes);
    for (int i = 0; i < 2; i++) {
        mixt_session_free(sessions[i]);
        mixt_engine_free(engines[i]);
    }
}

static void who_did_not_ask_gets_nothing(void **state)
{
    (void)state;
    mixt_engine *engine;
    mixt_session *session;
    mixt_profile_row rows[1];
    size_t n = 7;
    open_engine("cpu", false, &engine, &session);
    must(mixt_session_sync(session, tokens, N_TOKENS, &error));
    must(mixt_engine_profile(engine, true, rows, 1, &n, &error));
    assert_int_equal(n, 0);
    mixt_session_free(session);
    mixt_engine_free(engine);

    open_engine("cpu", true, &engine, &session);
    must(mixt_session_sync(session, tokens, N_TOKENS, &error));
    assert_int_equal(mixt_engine_profile(engine, false, rows, 1, &n, &error), MIXT_NO_ROOM);
    must(mixt_engine_profile(engine, false, NULL, 0, &n, &error));      /* measures           */
    assert_true(n > 10);
    mixt_session_free(session);
    mixt_engine_free(engine);
}

static void layers_that_are_not_there_weigh_nothing(void **state)
{
    (void)state;
    assert_int_equal(mixt_model_expert_bytes(model, (size_t)mixt_model_read(model).n_layers), 0);
    assert_int_equal(mixt_model_expert_bytes(model, SIZE_MAX), 0);
}

/* The struct itself through a file: what a planner will do. */
static void a_machine_comes_back(void **state)
{
    (void)state;
    char file[600];
    mixt_machine want, got;
    mixt_measure_options o = mixt_measure_defaults();
    o.quick = true;
    o.n_threads = 1;
    must(mixt_measure(&o, &want, &error));
    assert_int_equal(want.struct_bytes, sizeof want);
    assert_int_equal(want.n_read, 1);
    assert_int_equal(want.read[0].n_threads, 1);
    snprintf(file, sizeof file, "%s/machine.json", test_scratch());
    must(mixt_machine_write(&want, file, &error));
    must(mixt_machine_read(file, &got, &error));
    assert_string_equal(want.cpu, got.cpu);
    assert_true(got.read[0].per_s > 0.999 * want.read[0].per_s &&
                got.read[0].per_s < 1.001 * want.read[0].per_s);
    want.struct_bytes = 8;
    assert_int_equal(mixt_machine_write(&want, file, &error), MIXT_BAD_ARGUMENT);
    o.cpu_set = "abacus";
    assert_int_equal(mixt_measure(&o, &want, &error), MIXT_BAD_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profiles_count_everything),
        cmocka_unit_test(a_profile_changes_no_bit),
        cmocka_unit_test(who_did_not_ask_gets_nothing),
        cmocka_unit_test(layers_that_are_not_there_weigh_nothing),
        cmocka_unit_test(a_machine_comes_back),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
