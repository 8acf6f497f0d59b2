/* SPDX-License-Identifier: Apache-2.0
 * What goes wrong while a model runs: numbers that are none, and a disk that says no.  The request that
 * met it ends with a sentence; the others, and the next, get the bytes they would have got anyway. */
#include "../../support.h"

#include <mixt.h>
#include <mixt_tools.h>

#include "base/io.h"
#include "file/catalog.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>

static char       path[512];
static mixt_error error;

static void must(mixt_status status)
{
    if (status != MIXT_OK) fail_msg("%s: %s", mixt_status_name(status), error.text);
}

static void make_model(const char *type, int64_t n_experts)
{
    snprintf(path, sizeof path, "%s/faults.gguf", test_scratch());
    mixt_synth_options o = mixt_synth_defaults();
    o.like = "tiny";
    o.type = type;
    o.n_layers = 2;
    o.n_experts = n_experts;
    must(mixt_synth(path, &o, &error));
}

enum { POISON = 290 };      /* the token whose embedding is no number                          */

static void poison_embedding(void)
{
    Catalog c;
    Error inside;
    const float nan_row[1] = { NAN };
    assert_int_equal(catalog_open(path, &c, &inside), OK);
    const FileTensor *t = catalog_tensor(&c, "token_embd.weight");
    assert_int_equal(t->format, F32);
    FILE *f = fopen(path, "r+b");
    fseek(f, (long)(t->offset + POISON * t->dims[1] * 4), SEEK_SET);
    fwrite(nan_row, 4, 1, f);
    fclose(f);
    catalog_close(&c);
}

static mixt_model *open_model(void)
{
    mixt_model *m;
    must(mixt_model_open(path, NULL, &m, &error));
    return m;
}

static mixt_engine *open_engine(const mixt_model *m, size_t slots)
{
    mixt_engine *e;
    mixt_engine_options o = mixt_engine_defaults();
    o.expert_slots = slots;
    must(mixt_engine_new(m, &o, &e, &error));
    return e;
}

static void a_row_that_is_no_number_fails_alone(void **state)
{
    (void)state;
    make_model("F32", 0);
    poison_embedding();
    mixt_model *m = open_model();
    mixt_engine *e = open_engine(m, 0);
    const mixt_token start[3] = { 1, 270, 271 }, next[2] = { 272, POISON };
    const size_t bytes = (size_t)mixt_model_read(m).n_vocab * sizeof(float);
    mixt_session *s[2], *alone;
    for (int i = 0; i < 2; i++) {
        must(mixt_session_new(e, 0, &s[i], &error));
        must(mixt_session_sync(s[i], start, 3, &error));
    }
    mixt_status each[2];
    must(mixt_engine_step(e, s, next, 2, each, &error));
    assert_int_equal(each[0], MIXT_OK);
    assert_int_equal(each[1], MIXT_FAILED);
    assert_int_equal(mixt_session_n_tokens(s[0]), 4);
    assert_int_equal(mixt_session_n_tokens(s[1]), 3);
    assert_int_equal(mixt_engine_step(e, &s[1], &next[1], 1, NULL, &error), MIXT_FAILED);
    if (!strstr(error.text, "layer 0")) fail_msg("want a layer, got: %s", error.text);

    must(mixt_session_new(e, 0, &alone, &error));       /* the other's bytes, as if nothing had been */
    must(mixt_session_sync(alone, (const mixt_token[]){ 1, 270, 271, 272 }, 4, &error));
    assert_memory_equal(mixt_session_logits(s[0]), mixt_session_logits(alone), bytes);
    must(mixt_engine_step(e, &s[1], &next[0], 1, NULL, &error));
    assert_memory_equal(mixt_session_logits(s[1]), mixt_session_logits(alone), bytes);

    for (int i = 0; i < 2; i++) mixt_session_free(s[i]);
    mixt_session_free(alone);
    mixt_engine_free(e);
    mixt_model_free(m);
}

/* A dense model has no router to notice: the sampler does. */
static void logits_that_are_no_numbers_choose_nothing(void **state)
{
    (void)state;
    make_model("F32", -1);
    poison_embedding();
    mixt_model *m = open_model();
    mixt_engine *e = open_engine(m, 0);
    mixt_session *s;
    mixt_sampler *sampler;
    mixt_token token;
    must(mixt_session_new(e, 0, &s, &error));
    must(mixt_sampler_new(m, NULL, &sampler, &error));
    must(mixt_session_sync(s, (const mixt_token[]){ 1, POISON }, 2, &error));
    assert_int_equal(mixt_sampler_pick(sampler, s, &token, &error), MIXT_FAILED);
    mixt_sampler_free(sampler);
    mixt_session_free(s);
    mixt_engine_free(e);
    mixt_model_free(m);
}

static atomic_int n_reads, fail_at, fail_as;
static int faulty(IoCall call)
{
    return call == IO_READ && atomic_fetch_add(&n_reads, 1) == fail_at ? fail_as : 0;
}

/* Experts are read while tokens flow; the read that fails is the first, the second, ... */
static void a_disk_that_says_no_is_survived(void **state)
{
    (void)state;
    make_model("Q8_0", 0);
    mixt_model *m = open_model();
    const mixt_token tokens[4] = { 1, 270, 271, 272 };
    const size_t bytes = (size_t)mixt_model_read(m).n_vocab * sizeof(float);
    mixt_engine *calm = open_engine(m, 0), *e = open_engine(m, 3);
    mixt_session *want, *s;
    must(mixt_session_new(calm, 0, &want, &error));
    must(mixt_session_sync(want, tokens, 4, &error));
    must(mixt_session_new(e, 0, &s, &error));

    int n_failed = 0;
    for (fail_at = 0; fail_at < 24; fail_at++) {
        fail_as = fail_at % 2 ? EIO : IO_FAULT_SHORT;
        n_reads = 0;
        io_fault = faulty;
        must(mixt_session_sync(s, tokens, 0, NULL));
        const mixt_status status = mixt_session_sync(s, tokens, 4, &error);
        io_fault = NULL;
        if (status != MIXT_OK) {
            n_failed++;
            assert_int_equal(status, MIXT_IO);
            assert_non_null(strstr(error.text, "faults.gguf"));
        }
        must(mixt_session_sync(s, tokens, 4, &error));
        assert_memory_equal(mixt_session_logits(s), mixt_session_logits(want), bytes);
    }
    assert_true(n_failed > 0);
    mixt_session_free(s);
    mixt_session_free(want);
    mixt_engine_free(e);
    mixt_engine_free(calm);
    mixt_model_free(m);
}

/* The file is cut short behind our back: an error with words, no signal; and all is well when it is whole again, or was
 * never ours: another file of that name, and none, are nothing to an open one. */
static void a_file_cut_while_it_is_read_is_an_error(void **state)
{
    (void)state;
    Error inside;
    char *whole;
    size_t n_whole;
    const mixt_token tokens[3] = { 1, 270, 271 };
    make_model("Q8_0", 0);
    if (file_slurp(path, 1 << 28, &whole, &n_whole, &inside) != OK) fail_msg("%s", inside.text);
    mixt_model *m = open_model();
    const size_t bytes = (size_t)mixt_model_read(m).n_vocab * sizeof(float);
    mixt_engine *calm = open_engine(m, 0), *e = open_engine(m, 2);
    mixt_session *want, *s;
    must(mixt_session_new(calm, 0, &want, &error));
    must(mixt_session_sync(want, tokens, 3, &error));
    must(mixt_session_new(e, 0, &s, &error));
    for (int round = 0; round < 2; round++) {
        assert_int_equal(truncate(path, 4096), 0);
        assert_int_equal(mixt_session_sync(s, tokens, 3, &error), MIXT_IO);
        if (!strstr(error.text, "faults.gguf: file became shorter")) fail_msg("%s", error.text);
        FILE *f = fopen(path, "r+b");
        assert_int_equal(fwrite(whole, 1, n_whole, f), n_whole);
        fclose(f);
        must(mixt_session_sync(s, tokens, 3, &error));
        assert_memory_equal(mixt_session_logits(s), mixt_session_logits(want), bytes);
        must(mixt_session_sync(s, tokens, 0, NULL));
    }
    make_model("F16", 0);                               /* by a rename: ours has no name any more     */
    must(mixt_session_sync(s, tokens, 3, &error));
    assert_memory_equal(mixt_session_logits(s), mixt_session_logits(want), bytes);
    mixt_session_free(s);
    mixt_session_free(want);
    mixt_engine_free(e);
    mixt_engine_free(calm);
    mixt_model_free(m);
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_that_is_no_number_fails_alone),
        cmocka_unit_test(logits_that_are_no_numbers_choose_nothing),
        cmocka_unit_test(a_disk_that_says_no_is_survived),
        cmocka_unit_test(a_file_cut_while_it_is_read_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
