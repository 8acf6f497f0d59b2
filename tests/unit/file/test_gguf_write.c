/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/file/test_gguf_write.c - what is written is what is read. */
#include "made.h"

#include <sys/stat.h>

#include "file/gguf_write.h"

static void round_trip(void **state)
{
    (void)state;
    const char *path = made_path("written.gguf");
    GgufWriter *w;
    Error e;
    const int64_t one[] = { 3, 2, 32 }, two[] = { 5 };
    const char *const texts[] = { "<unk>", "<s>", "</s>", "x\0y" };
    const size_t sizes[] = { 5, 3, 4, 3 };
    const int32_t types[] = { 2, 3, 3, 1 };
    const float scores[] = { 0, 0, 0, -1.5f };
    char q8[3 * 2 * 34];
    for (size_t i = 0; i < sizeof q8; i++) q8[i] = (char)i;
    const float f32[] = { 1, 2, 3, 4, 5 };
    assert_int_equal(gguf_create(path, NULL, &w, &e), OK);
    assert_int_equal(gguf_put_text(w, "general.architecture", "test", 4, &e), OK);
    assert_int_equal(gguf_put_u32(w, "a.count", 7, &e), OK);
    assert_int_equal(gguf_put_f32(w, "a.real", 0.25f, &e), OK);
    assert_int_equal(gguf_put_bool(w, "a.flag", true, &e), OK);
    assert_int_equal(gguf_put_text(w, "tokenizer.ggml.model", "llama", 5, &e), OK);
    assert_int_equal(gguf_put_texts(w, "tokenizer.ggml.tokens", texts, sizes, 4, &e), OK);
    assert_int_equal(gguf_put_i32s(w, "tokenizer.ggml.token_type", types, 4, &e), OK);
    assert_int_equal(gguf_put_f32s(w, "tokenizer.ggml.scores", scores, 4, &e), OK);
    assert_int_equal(gguf_declare(w, "one", Q8_0, 3, one, &e), OK);
    assert_int_equal(gguf_declare(w, "two", F32, 1, two, &e), OK);
    assert_int_equal(gguf_add(w, q8, 100, &e), OK);
    assert_int_equal(gguf_add(w, q8 + 100, sizeof q8 - 100, &e), OK);
    assert_int_equal(gguf_add(w, f32, sizeof f32, &e), OK);
    assert_int_equal(access(path, F_OK), -1);           /* not before it is whole */
    assert_int_equal(gguf_finish(w, &e), OK);

    Catalog c;
    expect_opened(path, &c);
    assert_int_equal(c.gguf_version, 3);
    assert_int_equal(c.n_settings, 8);
    assert_int_equal(catalog_setting(&c, "a.count")->natural, 7);
    assert_true(catalog_setting(&c, "a.real")->real == 0.25 && catalog_setting(&c, "a.flag")->flag);
    assert_int_equal(c.vocab.n_pieces, 4);
    assert_int_equal(c.vocab.pieces[3].n_bytes, 3);
    assert_memory_equal(c.vocab.pieces[3].text, "x\0y", 3);
    assert_true(c.vocab.pieces[3].score == -1.5f);
    const FileTensor *t = catalog_tensor(&c, "one");
    assert_true(t && t->format == Q8_0 && t->n_dims == 3 && t->dims[0] == 3 && t->dims[1] == 2 &&
                t->dims[2] == 32);
    char back[sizeof q8];
    float back_f32[5];
    assert_int_equal(catalog_read(&c, t, 0, back, sizeof back, &e), OK);
    assert_memory_equal(back, q8, sizeof q8);
    assert_int_equal(catalog_read(&c, catalog_tensor(&c, "two"), 0, back_f32, sizeof back_f32, &e),
                     OK);
    assert_memory_equal(back_f32, f32, sizeof f32);
    catalog_close(&c);
}

static GgufWriter *begun(const char *name)
{
    GgufWriter *w;
    Error e;
    const int64_t dims[] = { 2, 4 };
    assert_int_equal(gguf_create(made_path(name), NULL, &w, &e), OK);
    assert_int_equal(gguf_put_u32(w, "key", 1, &e), OK);
    assert_int_equal(gguf_declare(w, "t", F32, 2, dims, &e), OK);
    return w;
}

static void mistakes_of_the_caller_are_refused(void **state)
{
    (void)state;
    Error e;
    const int64_t dims[] = {2, 4}, none[] = {2, 0}, odd[] = {2, 33}, vast[] = {INT64_MAX, 4};
    char bytes[64] = { 0 }, longest[65];
    memset(longest, 'n', sizeof longest);
    longest[64] = 0;
    GgufWriter *w = begun("mistakes.gguf");
    assert_int_equal(gguf_put_u32(w, "key", 1, &e), BAD_ARGUMENT);
    assert_int_equal(gguf_put_u32(w, "", 1, &e), BAD_ARGUMENT);
    assert_int_equal(gguf_put_u32(w, "a\xff", 1, &e), BAD_ARGUMENT);
    assert_int_equal(gguf_declare(w, "t", F32, 2, dims, &e), BAD_ARGUMENT);
    assert_int_equal(gguf_declare(w, "n", F32, 2, none, &e), BAD_ARGUMENT);
    assert_int_equal(gguf_declare(w, "o", Q8_0, 2, odd, &e), BAD_ARGUMENT);
    assert_int_equal(gguf_declare(w, "v", F32, 2, vast, &e), BAD_ARGUMENT);
    assert_int_equal(gguf_declare(w, "d", F32, 5, dims, &e), BAD_ARGUMENT);
    assert_int_equal(gguf_declare(w, longest, F32, 2, dims, &e), BAD_ARGUMENT);
    gguf_abandon(w);

    w = begun("toomuch.gguf");
    assert_int_equal(gguf_add(w, bytes, 33, &e), BAD_ARGUMENT);
    assert_int_equal(gguf_add(w, bytes, 32, &e), OK);
    assert_int_equal(gguf_add(w, bytes, 1, &e), BAD_ARGUMENT);
    assert_int_equal(gguf_put_u32(w, "late", 1, &e), BAD_ARGUMENT);
    gguf_abandon(w);

    w = begun("toofew.gguf");
    assert_int_equal(gguf_add(w, bytes, 31, &e), OK);
    assert_int_equal(gguf_finish(w, &e), BAD_ARGUMENT);
    assert_non_null(strstr(e.text, "expected 1 more"));
    assert_int_equal(access(made_path("toofew.gguf"), F_OK), -1);
    w = begun("nodata.gguf");
    assert_int_equal(gguf_finish(w, &e), BAD_ARGUMENT);
    assert_non_null(strstr(e.text, "expected 32 more"));
}

static void a_header_alone_is_a_file(void **state)
{
    (void)state;
    GgufWriter *w;
    Error e;
    Catalog c;
    assert_int_equal(gguf_create(made_path("bare.gguf"), NULL, &w, &e), OK);
    assert_int_equal(gguf_finish(w, &e), OK);
    expect_opened(made_path("bare.gguf"), &c);
    assert_true(c.n_tensors == 0 && c.n_settings == 0);
    catalog_close(&c);
}

static void an_input_is_not_written_over(void **state)
{
    (void)state;
    GgufWriter *w;
    Error e;
    const char *path = made_text("input.gguf", "precious");
    const char *const inputs[] = { path, NULL };
    assert_int_equal(gguf_create(path, inputs, &w, &e), BAD_ARGUMENT);
}

/* ---- a disk that says no ---- */

static int calls_until_fault;
static int fault_at(IoCall call)
{
    return call != IO_READ && --calls_until_fault == 0 ? 28 /* ENOSPC */ : 0;
}

static Status write_small(Error *e)
{
    GgufWriter *w;
    const int64_t dims[] = { 2, 4 };
    const char bytes[32] = { 0 };
    TRY(gguf_create(made_path("full.gguf"), NULL, &w, e));
    Status status = gguf_put_u32(w, "key", 1, e);
    if (status == OK) status = gguf_declare(w, "t", F32, 2, dims, e);
    if (status == OK) status = gguf_add(w, bytes, sizeof bytes, e);
    if (status == OK) return gguf_finish(w, e);
    gguf_abandon(w);
    return status;
}

static void every_call_may_fail(void **state)
{
    (void)state;
    Error e;
    Status got = IO_FAILED;
    int n = 0;
    while (got == IO_FAILED && n < 100) {
        calls_until_fault = ++n;
        io_fault = fault_at;
        got = write_small(&e);
        io_fault = NULL;
    }
    assert_int_equal(got, OK);
    assert_true(n > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(mistakes_of_the_caller_are_refused),
        cmocka_unit_test(a_header_alone_is_a_file),
        cmocka_unit_test(an_input_is_not_written_over),
        cmocka_unit_test(every_call_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
