/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/file/test_adapter.c - adapter files: what is read, and every way to be none. */
#include "made.h"

#include "adapter_file.h"
#include "file/adapter.h"

#include <math.h>

static const MadePair good[] = {
    { "blk.0.attn_q.weight", 0, 2, 8, 6 },
    { "blk.0.ffn_up_exps.weight", 3, 4, 8, 6 },
};

static const char *written(const MadeAdapter *m)
{
    const char *path = made_path("adapter.gguf");
    Error error = { 0 };
    if (made_adapter(path, m, &error) != OK) fail_msg("%s", error.text);
    return path;
}

static void reads(void **state)
{
    (void)state;
    AdapterFile f;
    Error e = { 0 };
    const char *path = written(&(MadeAdapter){ .alpha = 8, .pairs = good, .n = 2 });
    if (adapter_open(path, &f, &e) != OK) fail_msg("%s", e.text);
    assert_string_equal(f.arch, "llama");
    assert_int_equal(f.n, 2);
    assert_string_equal(f.pairs[1].name, "blk.0.ffn_up_exps.weight");
    assert_int_equal(f.pairs[0].n_experts, 0);
    assert_int_equal(f.pairs[1].n_experts, 3);
    assert_true(f.pairs[1].rank == 4 && f.pairs[1].rows == 8 && f.pairs[1].cols == 6);
    assert_true(adapter_scale(&f, &f.pairs[0], 0.5) == 0.5 * 8 / 2);
    float b[8 * 4];
    assert_int_equal(adapter_read(&f, &f.pairs[1], f.pairs[1].b, 2, b, &e), OK);
    for (int i = 0; i < 32; i++)
        if (b[i] != made_number(2 * 32 + i + 'b')) fail_msg("number %d: got %g", i, (double)b[i]);
    adapter_close(&f);

    path = written(&(MadeAdapter){ .alpha = 0, .pairs = good, .n = 1 });
    assert_int_equal(adapter_open(path, &f, &e), OK);
    assert_true(adapter_scale(&f, &f.pairs[0], 0.5) == 0.5);        /* no alpha: as given       */
    adapter_close(&f);
}

static void refused(const char *path, Status want, const char *words)
{
    AdapterFile f;
    Error e = { 0 };
    const Status got = adapter_open(path, &f, &e);
    adapter_close(&f);
    if (got != want || !strstr(e.text, words) || !strstr(e.text, "adapter.gguf"))
        fail_msg("want %d '%s', got %d: %s", want, words, got, e.text);
}

static void refuses_settings(void **state)
{
    (void)state;
    const MadeAdapter all = { .alpha = 1, .pairs = good, .n = 2 };
    MadeAdapter m = all;
    m.type = "model";
    refused(written(&m), BAD_FILE, "expected an adapter, a GGUF file with general.type 'adapter', found model");
    m.type = "";
    refused(written(&m), BAD_FILE, "found a model");
    m = all;
    m.of = "ia3";
    refused(written(&m), UNSUPPORTED, "adapter.type: expected 'lora', found 'ia3'");
    m = all;
    m.arch = "";
    refused(written(&m), BAD_FILE, "general.architecture");
    m = all;
    m.alpha = NAN;
    refused(written(&m), BAD_FILE, "adapter.lora.alpha");
    m = all;
    m.n = 0;
    refused(written(&m), BAD_FILE, "at least one pair");
}

/* Tensors of any name and shape; F32 zeros. */
typedef struct Loose { const char *name; int n_dims; int64_t dims[3]; } Loose;

static const char *loose(const Loose *all, int n)
{
    const char *path = made_path("adapter.gguf");
    static const float zeros[4096];
    GgufWriter *w;
    Error e = { 0 };
    bool fine = gguf_create(path, NULL, &w, &e) == OK &&
                gguf_put_text(w, "general.type", "adapter", 7, &e) == OK &&
                gguf_put_text(w, "general.architecture", "llama", 5, &e) == OK &&
                gguf_put_text(w, "adapter.type", "lora", 4, &e) == OK;
    for (int i = 0; i < n; i++)
        fine = fine && gguf_declare(w, all[i].name, F32, all[i].n_dims, all[i].dims, &e) == OK;
    for (int i = 0; i < n; i++) {
        int64_t values = 1;
        for (int k = 0; k < all[i].n_dims; k++) values *= all[i].dims[k];
        for (; values > 0 && fine; values -= 4096)
            fine = gguf_add(w, zeros, (size_t)(values < 4096 ? values : 4096) * sizeof *zeros, &e) == OK;
    }
    if (!fine || gguf_finish(w, &e) != OK) fail_msg("%s", e.text);
    return path;
}

static void refuses_tensors(void **state)
{
    (void)state;
    refused(loose((Loose[]){ { "x.lora_a", 2, { 2, 4 } } }, 1), BAD_FILE, "expected 'x.lora_b' beside it");
    refused(loose((Loose[]){ { "x.lora_b", 2, { 2, 4 } } }, 1), BAD_FILE, "expected 'x.lora_a' beside it");
    refused(loose((Loose[]){ { "x.weight", 2, { 2, 4 } } }, 1), UNSUPPORTED, "ends in .lora_a or .lora_b");
    refused(loose((Loose[]){ { ".lora_a", 2, { 2, 4 } } }, 1), UNSUPPORTED, "ends in");
    refused(loose((Loose[]){ { "x.lora_a", 2, { 2, 4 } }, { "x.lora_b", 2, { 4, 3 } } }, 2), BAD_FILE,
            "expected rank 3 as its other half has it, found 2");
    refused(loose((Loose[]){ { "x.lora_a", 3, { 2, 2, 4 } }, { "x.lora_b", 2, { 4, 2 } } }, 2), BAD_FILE,
            "2 or 3 dimensions of both");
    refused(loose((Loose[]){ { "x.lora_a", 1, { 4 } }, { "x.lora_b", 1, { 4 } } }, 2), BAD_FILE, "2 or 3 dimensions");
    refused(loose((Loose[]){ { "x.lora_a", 3, { 2, 2, 4 } }, { "x.lora_b", 3, { 3, 4, 2 } } }, 2), BAD_FILE,
            "expected 3 experts as in its other half, found 2");
    refused(loose((Loose[]){ { "x.lora_a", 2, { 1025, 4 } }, { "x.lora_b", 2, { 4, 1025 } } }, 2), BAD_FILE,
            "a rank of 1 to 1024, found 1025");
}

/* Numbers are looked at when they are read. */
static void refuses_numbers(void **state)
{
    (void)state;
    const char *path = written(&(MadeAdapter){ .alpha = 1, .pairs = good, .n = 1 });
    AdapterFile f;
    Error e = { 0 };
    float x[64];
    assert_int_equal(adapter_open(path, &f, &e), OK);
    const float nan = NAN;
    FILE *file = fopen(path, "r+b");
    assert_true(file && !fseek(file, (long)f.pairs[0].a->offset + 8, SEEK_SET) && fwrite(&nan, 4, 1, file) == 1);
    fclose(file);
    assert_int_equal(adapter_read(&f, &f.pairs[0], f.pairs[0].a, 0, x, &e), BAD_FILE);
    if (!strstr(e.text, "blk.0.attn_q.weight.lora_a") || !strstr(e.text, "finite")) fail_msg("%s", e.text);
    assert_int_equal(adapter_read(&f, &f.pairs[0], f.pairs[0].b, 0, x, &e), OK);
    adapter_close(&f);
}

static void refuses_what_is_no_gguf(void **state)
{
    (void)state;
    AdapterFile f;
    Error e = { 0 };
    assert_int_equal(adapter_open(made_text("adapter.gguf", "hello"), &f, &e), BAD_FILE);
    adapter_close(&f);
    assert_int_equal(adapter_open("/nowhere/adapter.gguf", &f, &e), NOT_FOUND);
    adapter_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),           cmocka_unit_test(refuses_settings),
        cmocka_unit_test(refuses_tensors), cmocka_unit_test(refuses_numbers),
        cmocka_unit_test(refuses_what_is_no_gguf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
