/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/model/test_lora.c - which pair adapts which matrix, what a matrix' pairs are together, what has no
 * place. */
#include "../quantize/model_file.h"

#include "adapter_file.h"
#include "model/lora.h"

#include <math.h>

/* A tiny model and its sizes, open. */
typedef struct Base { Catalog catalog; const Arch *arch; Sizes sizes; } Base;

static Base base_with(const SynthOptions *options)
{
    Base b;
    b.catalog = opened(made_model("base.gguf", options));
    b.sizes = sizes_of(&b.catalog, &b.arch);
    return b;
}

static Base base(void)
{
    const SynthOptions options = small_model("F32");
    return base_with(&options);
}

static AdapterFile file_of(const char *name, const MadePair *pairs, int n, float alpha)
{
    Error error = { 0 };
    AdapterFile f;
    const char *path = scratch_file(name);
    if (made_adapter(path, &(MadeAdapter){ .alpha = alpha, .pairs = pairs, .n = n }, &error) != OK ||
        adapter_open(path, &f, &error) != OK)
        fail_msg("%s", error.text);
    return f;
}

/* Numbers of two files on one matrix: ranks side by side, b times its scale. */
static void joins(void **state)
{
    (void)state;
    Base m = base();
    const int64_t D = m.sizes.width, F = m.sizes.hidden, E = m.sizes.n_experts;
    const MadePair first[] = { { "blk.1.ffn_up_exps.weight", E, 2, F, D },
                               { "output.weight", 0, 1, m.sizes.n_vocab, D } };
    const MadePair second[] = { { "blk.1.ffn_up.3.weight", 0, 3, F, D } };
    AdapterFile a = file_of("a.gguf", first, 2, 4), b = file_of("b.gguf", second, 1, 0);
    const AdapterUse uses[] = { { &a, 0.5 }, { &b, -2 } };
    LoraMap *map;
    LoraFloats x;
    Error e = { 0 };
    if (lora_map_new(m.arch, &m.catalog, &m.sizes, uses, 2, &map, &e) != OK) fail_msg("%s", e.text);
    assert_int_equal(lora_map_rank(map), 5);
    assert_int_equal(lora_map_matrices(map), E + 1);
    assert_int_equal(lora_map_values(map), E * 2 * (F + D) + (m.sizes.n_vocab + D) + 3 * (F + D));

    assert_int_equal(lora_map_read(map, ROLE_UP, 1, 3, &x, &e), OK);
    assert_true(x.rank == 5 && x.rows == F && x.cols == D);
    for (int64_t i = 0; i < D; i++) {
        assert_true(x.a[i] == made_number(3 * 2 * D + i + 'a'));            /* of expert 3        */
        assert_true(x.a[2 * D + i] == made_number(i + 'a'));
    }
    for (int64_t r = 0; r < F; r++) {
        assert_true(x.b[r * 5] == made_number(3 * 2 * F + 2 * r + 'b'));    /* 0.5 * 4 / 2        */
        assert_true(x.b[r * 5 + 4] == -2 * made_number(3 * r + 2 + 'b'));   /* no alpha           */
    }
    lora_floats_free(&x);
    assert_int_equal(lora_map_read(map, ROLE_UP, 1, 2, &x, &e), OK);
    assert_int_equal(x.rank, 2);
    lora_floats_free(&x);
    assert_int_equal(lora_map_read(map, ROLE_UP, 0, 3, &x, &e), OK);
    assert_int_equal(x.rank, 0);
    lora_floats_free(&x);
    assert_int_equal(lora_map_read(map, ROLE_OUT, 0, 0, &x, &e), OK);
    assert_int_equal(x.rank, 1);
    lora_floats_free(&x);
    lora_map_free(map);
    adapter_close(&a);
    adapter_close(&b);
    catalog_close(&m.catalog);
}

static void refused(const Base *m, const char *arch, MadePair pair, double scale, Status want, const char *words)
{
    AdapterFile f;
    LoraMap *map;
    LoraFloats x;
    Error e = { 0 };
    const char *path = scratch_file("adapter.gguf");
    if (made_adapter(path, &(MadeAdapter){ .arch = arch, .alpha = 1, .pairs = &pair, .n = 1 }, &e) != OK ||
        adapter_open(path, &f, &e) != OK)
        fail_msg("%s", e.text);
    const AdapterUse use = { &f, scale };
    Status got = lora_map_new(m->arch, &m->catalog, &m->sizes, &use, 1, &map, &e);
    if (got == OK) {
        got = lora_map_read(map, ROLE_Q, 0, 0, &x, &e);
        lora_floats_free(&x);
        lora_map_free(map);
    }
    adapter_close(&f);
    if (got != want || !strstr(e.text, words) || !strstr(e.text, "adapter.gguf"))
        fail_msg("%s: want %d '%s', got %d: %s", pair.name, want, words, got, e.text);
}

static void refuses(void **state)
{
    (void)state;
    Base m = base();
    const Sizes *s = &m.sizes;
    const int64_t D = s->width, F = s->hidden, E = s->n_experts, H = s->n_heads * s->head_size, V = s->n_vocab;
    refused(&m, "llama", (MadePair){ "blk.2.attn_q.weight", 0, 1, H, D }, 1,
            BAD_FILE, "has no matrix 'blk.2.attn_q.weight'");
    refused(&m, "llama", (MadePair){ "blk.0.attn_z.weight", 0, 1, H, D }, 1, BAD_FILE, "has no matrix");
    refused(&m, "llama", (MadePair){ "blk.0.ffn_up.9.weight", 0, 1, F, D }, 1, BAD_FILE, "has no matrix");
    refused(&m, "llama", (MadePair){ "blk.0.attn_q.weight", 0, 1, H + 1, D }, 1,
            BAD_FILE, "rows as in the model, found");
    refused(&m, "llama", (MadePair){ "blk.0.attn_q.weight", 0, 1, H, D + 1 }, 1,
            BAD_FILE, "numbers as in the model, found");
    refused(&m, "llama", (MadePair){ "blk.0.attn_q.weight", 2, 1, H, D }, 1,
            BAD_FILE, "expected a stack of 0 experts, found 2");
    refused(&m, "llama", (MadePair){ "blk.0.ffn_up_exps.weight", 0, 1, F, D }, 1,
            BAD_FILE, "expected a stack of 4 experts");
    refused(&m, "llama", (MadePair){ "blk.0.ffn_up_exps.weight", E + 1, 1, F, D }, 1, BAD_FILE, "found 5");
    refused(&m, "llama", (MadePair){ "token_embd.weight", 0, 1, V, D }, 1, UNSUPPORTED, "embeddings and norms");
    refused(&m, "llama", (MadePair){ "blk.0.attn_norm.weight", 0, 1, D, D }, 1, UNSUPPORTED, "embeddings and norms");
    refused(&m, "gpt2", (MadePair){ "blk.0.attn_q.weight", 0, 1, H, D }, 1,
            BAD_FILE, "is an adapter for 'gpt2', the model is 'llama'");
    refused(&m, "llama", (MadePair){ "blk.0.attn_q.weight", 0, 1, H, D }, NAN, BAD_ARGUMENT, "finite");
    refused(&m, "llama", (MadePair){ "blk.0.attn_q.weight", 0, 1, H, D }, 1e39, BAD_FILE, "no finite number any more");
    catalog_close(&m.catalog);
}

/* Two pairs of one name in one file cannot be: names of tensors are used once.  One by name beside the stack can. */
static void refuses_nothing_else(void **state)
{
    (void)state;
    Base m = base();
    const int64_t D = m.sizes.width, F = m.sizes.hidden, E = m.sizes.n_experts;
    const MadePair both[] = { { "blk.0.ffn_down_exps.weight", E, 1, D, F }, { "blk.0.ffn_down.0.weight", 0, 1, D, F } };
    AdapterFile f = file_of("both.gguf", both, 2, 1);
    const AdapterUse use = { &f, 1 };
    LoraMap *map;
    Error e = { 0 };
    assert_int_equal(lora_map_new(m.arch, &m.catalog, &m.sizes, &use, 1, &map, &e), OK);
    assert_int_equal(lora_map_rank(map), 2);
    lora_map_free(map);
    adapter_close(&f);
    catalog_close(&m.catalog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins), cmocka_unit_test(refuses), cmocka_unit_test(refuses_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
