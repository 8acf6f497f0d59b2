/* SPDX-License-Identifier: Apache-2.0
 * Which family, how large, where each weight lies; and that what cannot be true, or would change the
 * arithmetic, is refused with its name. */
#include "../../support.h"

#include "arch/arch.h"
#include "file/gguf_write.h"

enum { D = 32, F = 64, E = 4, HEADS = 4, KV = 2, HEAD = 8, V = 40, LAYERS = 2 };

/* One change to an otherwise right file. */
typedef struct Change {
    const char *key;            /* a setting to write differently, or NULL                  */
    double      value;          /* its value as f32 when `as_float`, else u32               */
    bool        drop, as_float;
    const char *text;           /* a text setting to add under `key`                        */
    const char *tensor;         /* a tensor to shape differently, or to add                 */
    int64_t     dims[3];
    int         n_dims;         /* 0: leave the tensor out                                  */
    int         n_experts;      /* 0: E; -1: dense                                          */
    bool        single;         /* one tensor per expert, as older files have it            */
} Change;

static Error error;

static void put(GgufWriter *w, const Change *c, const char *key, double value, bool as_float)
{
    if (c->key && !strcmp(c->key, key)) {
        if (c->drop) return;
        value = c->value;
        as_float = c->as_float;
    }
    assert_int_equal(as_float ? gguf_put_f32(w, key, (float)value, &error)
                              : gguf_put_u32(w, key, (uint32_t)value, &error),
                     OK);
}

static int64_t owed[256];       /* bytes of each tensor declared, in order                      */
static int     n_owed;

static void declare(GgufWriter *w, const Change *c, const char *name, int n_dims,
                    const int64_t *dims)
{
    if (c->tensor && !strcmp(c->tensor, name)) {
        if (c->n_dims == 0) return;
        n_dims = c->n_dims;
        dims = c->dims;
    }
    int64_t n = 1;
    for (int i = 0; i < n_dims; i++) n *= dims[i];
    assert_int_equal(gguf_declare(w, name, F32, n_dims, dims, &error), OK);
    owed[n_owed++] = n * 4;
}

static void declare_experts(GgufWriter *w, const Change *c, int layer, int n_experts)
{
    static const char *const parts[] = { "gate", "up", "down" };
    char name[64];
    for (int p = 0; p < 3; p++) {
        const int64_t rows = p == 2 ? D : F, cols = p == 2 ? F : D;
        if (n_experts < 0 || c->single)
            for (int e = 0; e < (n_experts < 0 ? 1 : n_experts); e++) {
                if (n_experts < 0)
                    snprintf(name, sizeof name, "blk.%d.ffn_%s.weight", layer, parts[p]);
                else snprintf(name, sizeof name, "blk.%d.ffn_%s.%d.weight", layer, parts[p], e);
                declare(w, c, name, 2, (int64_t[]){ rows, cols });
            }
        else {
            snprintf(name, sizeof name, "blk.%d.ffn_%s_exps.weight", layer, parts[p]);
            declare(w, c, name, 3, (int64_t[]){ n_experts, rows, cols });
        }
    }
}

static void declare_all(GgufWriter *w, const Change *c, int n_experts)
{
    static const struct { const char *part; int n_dims; int64_t dims[2]; } rows[] = {
        { "attn_norm", 1, { D } }, { "ffn_norm", 1, { D } }, { "attn_q", 2, { HEADS * HEAD, D } }, { "attn_k", 2, { KV * HEAD, D } },
        { "attn_v", 2, { KV * HEAD, D } }, { "attn_output", 2, { D, HEADS * HEAD } },
    };
    declare(w, c, "token_embd.weight", 2, (int64_t[]){ V, D });
    declare(w, c, "output_norm.weight", 1, (int64_t[]){ D });
    declare(w, c, "output.weight", 2, (int64_t[]){ V, D });
    for (int l = 0; l < LAYERS; l++) {
        char name[64];
        for (int i = 0; i < ARRAY_LEN(rows); i++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", l, rows[i].part);
            declare(w, c, name, rows[i].n_dims, rows[i].dims);
        }
        snprintf(name, sizeof name, "blk.%d.ffn_gate_inp.weight", l);
        if (n_experts > 0) declare(w, c, name, 2, (int64_t[]){ n_experts, D });
        declare_experts(w, c, l, n_experts);
    }
}

static void write_model(const char *path, const Change *c)
{
    GgufWriter *w;
    const int n_experts = c->n_experts ? c->n_experts : E;
    assert_int_equal(gguf_create(path, NULL, &w, &error), OK);
    const char *name = c->key && !strcmp(c->key, "general.architecture") ? c->text : "llama";
    assert_int_equal(gguf_put_text(w, "general.architecture", name, strlen(name), &error), OK);
    put(w, c, "llama.block_count", LAYERS, false);
    put(w, c, "llama.context_length", 128, false);
    put(w, c, "llama.embedding_length", D, false);
    put(w, c, "llama.feed_forward_length", F, false);
    put(w, c, "llama.attention.head_count", HEADS, false);
    put(w, c, "llama.attention.head_count_kv", KV, false);
    put(w, c, "llama.attention.layer_norm_rms_epsilon", 1e-5, true);
    put(w, c, "llama.rope.freq_base", 1e6, true);
    put(w, c, "llama.rope.dimension_count", HEAD, false);
    if (n_experts > 0) {
        put(w, c, "llama.expert_count", n_experts, false);
        put(w, c, "llama.expert_used_count", n_experts < 2 ? 1 : 2, false);
    }
    static const char *const extras[] = {
        "llama.rope.scale_linear", "llama.expert_gating_func",     "llama.attention.sliding_window",
        "llama.logit_scale",       "llama.attention.value_length", "llama.attention.key_length",
        "llama.vocab_size",        "llama.leading_dense_block_count"};
    for (int i = 0; c->key && !c->text && i < ARRAY_LEN(extras); i++)
        if (!strcmp(c->key, extras[i])) put(w, c, c->key, c->value, c->as_float);
    if (c->text && strcmp(name, c->text))
        assert_int_equal(gguf_put_text(w, c->key, c->text, strlen(c->text), &error), OK);
    n_owed = 0;
    declare_all(w, c, n_experts);
    static const char *const more[] = {"rope_freqs.weight", "blk.0.attn_q.bias",
                                       "blk.0.something_new.weight", "blk.9.attn_q.weight"};
    for (int i = 0; c->tensor && i < ARRAY_LEN(more); i++)
        if (!strcmp(c->tensor, more[i])) declare(w, c, more[i], c->n_dims, c->dims);
    static const char zeros[1 << 18];
    for (int i = 0; i < n_owed; i++) {
        assert_true(owed[i] <= (int64_t)sizeof zeros);
        assert_int_equal(gguf_add(w, zeros, (size_t)owed[i], &error), OK);
    }
    if (gguf_finish(w, &error) != OK) fail_msg("%s", error.text);
}

static char warning[512];
static void keep_warning(void *user, const char *line)
{
    (void)user;
    snprintf(warning, sizeof warning, "%s", line);
}

/* Opens what `change` makes, as far as every weight of every layer. */
static Status open_changed(const Change *change, const Arch **arch, Catalog *catalog, Sizes *sizes)
{
    char path[512];
    snprintf(path, sizeof path, "%s/model.gguf", test_scratch());
    write_model(path, change);
    warning[0] = 0;
    assert_int_equal(catalog_open(path, catalog, &error), OK);
    TRY(arch_find(catalog, arch, &error));
    TRY(arch_sizes(*arch, catalog, sizes, &error));
    for (int role = 0; role < N_ROLES; role++)
        for (int l = 0; l < sizes->n_layers; l++)
            for (int e = 0; e < sizes->n_experts; e++) {
                Weight w;
                if (role != ROLE_ROUTER || !sizes->dense)
                    TRY(arch_weight(*arch, catalog, sizes, (Role)role, l, e, &w, &error));
            }
    return arch_leftovers(*arch, catalog, sizes, keep_warning, NULL, &error);
}

static void sizes_come_out(void **state)
{
    (void)state;
    const Change changes[] = {
        { 0 }, { .single = true }, { .n_experts = 16 }, { .n_experts = -1 }
    };
    for (int i = 0; i < ARRAY_LEN(changes); i++) {
        const Arch *arch;
        Catalog catalog;
        Sizes s;
        if (open_changed(&changes[i], &arch, &catalog, &s) != OK) fail_msg("%s", error.text);
        const bool dense = changes[i].n_experts < 0;
        assert_string_equal(arch->name, dense ? "llama" : "mixtral");
        assert_int_equal(s.dense, dense);
        assert_int_equal(s.n_experts, dense ? 1 : changes[i].n_experts ? changes[i].n_experts : E);
        assert_int_equal(s.n_vocab, V);
        assert_int_equal(s.head_size, HEAD);
        assert_int_equal(s.n_turned, HEAD);
        assert_string_equal(warning, "");
        catalog_close(&catalog);
    }
}

/* Expert e of a stacked tensor is one contiguous range, in order, and all ranges fill the tensor. */
static void stacked_experts_lie_in_order(void **state)
{
    (void)state;
    const Arch *arch;
    Catalog c;
    Sizes s;
    assert_int_equal(open_changed(&(Change){ 0 }, &arch, &c, &s), OK);
    for (int e = 0; e < E; e++) {
        Weight w;
        assert_int_equal(arch_weight(arch, &c, &s, ROLE_DOWN, 1, e, &w, &error), OK);
        assert_int_equal(w.rows, D);
        assert_int_equal(w.cols, F);
        assert_int_equal(w.offset, w.tensor->offset + e * D * F * 4);
        assert_int_equal(w.bytes, D * F * 4);
    }
    catalog_close(&c);
}

/* Pair i of a head turns (i, i + d/2) in one container and (2i, 2i+1) in the other. */
static void halves_become_neighbours(void **state)
{
    (void)state;
    const Sizes s = { .head_size = 8, .n_turned = 8 };
    const Weight w = { .halves = true }, straight = { 0 };
    const int64_t want[] = { 0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15 };
    for (int64_t row = 0; row < 16; row++) {
        assert_int_equal(weight_source_row(&w, &s, row), want[row]);
        assert_int_equal(weight_source_row(&straight, &s, row), row);
    }
    const Sizes partial = { .head_size = 8, .n_turned = 4 };
    const int64_t want_partial[] = { 0, 2, 1, 3, 4, 5, 6, 7 };
    for (int64_t row = 0; row < 8; row++)
        assert_int_equal(weight_source_row(&w, &partial, row), want_partial[row]);
}

static void what_cannot_be_is_refused_by_name(void **state)
{
    (void)state;
    const struct { Change change; Status status; const char *says; } cases[] = {
        { { .key = "llama.block_count", .drop = true }, BAD_FILE, "llama.block_count" },
        { { .key = "llama.block_count", .value = 0 }, BAD_FILE, "llama.block_count" },
        { { .key = "llama.block_count", .value = 3 }, BAD_FILE, "blk.2." },
        { { .key = "llama.attention.head_count", .value = 0 }, BAD_FILE, "head_count" },
        { { .key = "llama.attention.head_count_kv", .value = 3 }, BAD_FILE, "multiple of 3" },
        { { .key = "llama.attention.head_count_kv", .value = 0 }, BAD_FILE, "head_count_kv" },
        { { .key = "llama.rope.dimension_count", .value = 5 }, BAD_FILE, "rotary" },
        { { .key = "llama.rope.dimension_count", .value = 16 }, BAD_FILE, "dimension_count" },
        { { .key = "llama.expert_used_count", .value = 5 }, BAD_FILE, "expert_used_count" },
        { { .key = "llama.expert_used_count", .value = 0 }, BAD_FILE, "expert_used_count" },
        { { .key = "llama.expert_count", .value = 5 }, BAD_FILE, "ffn_gate_inp" },
        { { .key = "llama.embedding_length", .value = 40 }, BAD_FILE, "token_embd" },
        { { .key = "llama.attention.layer_norm_rms_epsilon", .value = -1, .as_float = true }, BAD_FILE, "rms_epsilon" },
        { { .key = "llama.attention.layer_norm_rms_epsilon", .value = 2, .as_float = true }, BAD_FILE, "epsilon" },
        { { .key = "llama.rope.freq_base", .value = 0, .as_float = true }, BAD_FILE, "rope base" },
        { { .key = "llama.attention.key_length", .value = 16 }, BAD_FILE, "attn_q" },
        { { .key = "llama.attention.value_length", .value = 16 }, UNSUPPORTED, "value heads" },
        { { .key = "llama.rope.scale_linear", .value = 4, .as_float = true }, UNSUPPORTED, "scale_linear" },
        { { .key = "llama.rope.scaling.type", .text = "yarn" }, UNSUPPORTED, "yarn" },
        { { .key = "llama.expert_gating_func", .value = 2 }, UNSUPPORTED, "gating" },
        { { .key = "llama.logit_scale", .value = 0.5, .as_float = true }, UNSUPPORTED, "logit_scale" },
        { { .key = "llama.vocab_size", .value = V - 1 }, BAD_FILE, "vocab_size" },
        { { .key = "llama.leading_dense_block_count", .value = 1 }, UNSUPPORTED, "leading_dense" },
        { { .key = "general.architecture", .text = "rwkv" }, UNSUPPORTED, "rwkv" },
        { { .tensor = "blk.1.attn_q.weight" }, BAD_FILE, "blk.1.attn_q.weight" },
        { { .tensor = "blk.1.attn_norm.weight", .n_dims = 1, .dims = { D - 1 } }, BAD_FILE, "blk.1.attn_norm.weight" },
        { { .tensor = "blk.0.ffn_gate_inp.weight", .n_dims = 2, .dims = { E + 1, D } }, BAD_FILE, "ffn_gate_inp" },
        { { .tensor = "blk.0.ffn_up.2.weight", .single = true, .n_dims = 2, .dims = { F, D * 2 } }, BAD_FILE, "ffn_up.2" },
        { { .tensor = "output_norm.weight", .n_dims = 2, .dims = { 1, D } }, BAD_FILE, "output_norm" },
        { { .tensor = "rope_freqs.weight", .n_dims = 1, .dims = { 4 } }, UNSUPPORTED, "rope_freqs" },
        { { .tensor = "blk.0.attn_q.bias", .n_dims = 1, .dims = { D } }, UNSUPPORTED, "attn_q.bias" },
    };
    for (int i = 0; i < ARRAY_LEN(cases); i++) {
        const Arch *arch;
        Catalog catalog;
        Sizes sizes;
        const Status status = open_changed(&cases[i].change, &arch, &catalog, &sizes);
        if (status != cases[i].status || !strstr(error.text, cases[i].says) ||
            !strstr(error.text, "model.gguf"))
            fail_msg("case %d: want status %d and '%s', got %d: %s", i, cases[i].status,
                     cases[i].says, status, status ? error.text : "ok");
        catalog_close(&catalog);
    }
}

static void unknown_tensors_give_one_warning(void **state)
{
    (void)state;
    const char *const names[] = { "blk.0.something_new.weight", "blk.9.attn_q.weight" };
    for (int i = 0; i < 2; i++) {
        const Arch *arch;
        Catalog catalog;
        Sizes sizes;
        const Change change = { .tensor = names[i], .n_dims = 2, .dims = { HEADS * HEAD, D } };
        if (open_changed(&change, &arch, &catalog, &sizes) != OK) fail_msg("%s", error.text);
        assert_non_null(strstr(warning, names[i]));
        catalog_close(&catalog);
    }
}

static void a_window_and_a_tied_output_are_honoured(void **state)
{
    (void)state;
    const Arch *arch;
    Catalog c;
    Sizes s;
    Weight out, embed;
    assert_int_equal(open_changed(&(Change){ .key = "llama.attention.sliding_window", .value = 16 },
                                  &arch, &c, &s),
                     OK);
    assert_int_equal(s.window, 16);
    catalog_close(&c);
    assert_int_equal(open_changed(&(Change){ .tensor = "output.weight" }, &arch, &c, &s), OK);
    assert_int_equal(arch_weight(arch, &c, &s, ROLE_OUT, 0, 0, &out, &error), OK);
    assert_int_equal(arch_weight(arch, &c, &s, ROLE_EMBED, 0, 0, &embed, &error), OK);
    assert_ptr_equal(out.tensor, embed.tensor);
    catalog_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_come_out),
        cmocka_unit_test(stacked_experts_lie_in_order),
        cmocka_unit_test(halves_become_neighbours),
        cmocka_unit_test(what_cannot_be_is_refused_by_name),
        cmocka_unit_test(unknown_tensors_give_one_warning),
        cmocka_unit_test(a_window_and_a_tied_output_are_honoured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
