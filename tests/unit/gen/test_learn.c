/* SPDX-License-Identifier: Apache-2.0
 * gen/learn.c: each use of an expert is written down once, and none is lost when writing fails. */
#include "../../support.h"

#include <mixt.h>
#include <mixt_tools.h>

#include "base/io.h"
#include "store/use.h"

#include <errno.h>

static mixt_error  error;
static mixt_model *model;

static void must(mixt_status status)
{
    if (status != MIXT_OK) fail_msg("%s: %s", mixt_status_name(status), error.text);
}

static const char *in_scratch(const char *name)
{
    static char paths[4][512];
    static int  turn;
    char *path = paths[turn++ & 3];
    snprintf(path, sizeof paths[0], "%s/%s", test_scratch(), name);
    return path;
}

static int prepare(void **state)
{
    (void)state;
    mixt_synth_options o = mixt_synth_defaults();
    o.like = "tiny";
    o.n_layers = 2;
    must(mixt_synth(in_scratch("learn.gguf"), &o, &error));
    must(mixt_model_open(in_scratch("learn.gguf"), NULL, &model, &error));
    return 0;
}

static mixt_engine *engine_with_few(void)
{
    mixt_engine *e;
    mixt_engine_options o = mixt_engine_defaults();
    o.expert_slots = 3;
    must(mixt_engine_new(model, &o, &e, &error));
    return e;
}

enum { N_TOKENS = 9 };

static void say(mixt_engine *e, mixt_token first)
{
    mixt_session *s;
    mixt_token tokens[N_TOKENS];
    for (int i = 0; i < N_TOKENS; i++) tokens[i] = first + i;
    must(mixt_session_new(e, 0, &s, &error));
    must(mixt_session_sync(s, tokens, N_TOKENS, &error));
    mixt_session_free(s);
}

static Use learned(const char *path)
{
    char *bytes;
    size_t n;
    Error why;
    Use use;
    if (file_slurp(path, 1 << 20, &bytes, &n, &why) != OK) fail_msg("%s", why.text);
    if (use_parse(path, bytes, n, &use, &why) != OK) fail_msg("%s", why.text);
    free(bytes);
    return use;
}

static void expect_same(const char *want_path, const char *got_path, const char *what)
{
    Use want = learned(want_path), got = learned(got_path);
    if (want.n_rows != got.n_rows)
        fail_msg("%s: want %lld rows, got %lld", what, (long long)want.n_rows, (long long)got.n_rows);
    for (int i = 0; i < want.n_layers * want.n_experts; i++)
        if (want.shares[i] != got.shares[i])
            fail_msg("%s: share %d: want %g, got %g", what, i, (double)want.shares[i], (double)got.shares[i]);
    use_free(&want);
    use_free(&got);
}

static IoCall faulty_call;
static int faulty(IoCall call)
{
    return call == faulty_call ? ENOSPC : 0;
}

static void what_could_not_be_written_is_written_later(void **state)
{
    (void)state;
    static const IoCall calls[] = { IO_OPEN, IO_WRITE, IO_SYNC, IO_RENAME };
    const char *want = in_scratch("want.use"), *got = in_scratch("got.use");
    mixt_engine *calm = engine_with_few(), *e = engine_with_few();
    say(calm, 262);
    say(e, 262);
    must(mixt_engine_learn(calm, want, &error));
    for (int i = 0; i < ARRAY_LEN(calls); i++) {
        faulty_call = calls[i];
        io_fault = faulty;
        const mixt_status status = mixt_engine_learn(e, got, &error);
        io_fault = NULL;
        if (status == MIXT_OK) fail_msg("call %d: want a failure", (int)calls[i]);
    }
    must(mixt_engine_learn(e, got, &error));
    expect_same(want, got, "after failures");
    must(mixt_engine_learn(e, got, &error));                /* nothing new                          */
    expect_same(want, got, "asked twice");

    say(calm, 275);                                         /* told at once, or after one failure   */
    say(e, 275);
    must(mixt_engine_learn(calm, want, &error));
    assert_int_not_equal(mixt_engine_learn(e, in_scratch("no folder/x.use"), &error), MIXT_OK);
    must(mixt_engine_learn(e, got, &error));
    expect_same(want, got, "more of it");
    mixt_engine_free(calm);
    mixt_engine_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_could_not_be_written_is_written_later) };
    const int failed = cmocka_run_group_tests(tests, prepare, NULL);
    mixt_model_free(model);
    return failed;
}
