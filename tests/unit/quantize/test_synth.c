/* SPDX-License-Identifier: Apache-2.0
 * Synthetic models: published sizes, numbers as promised, routing as asked, and files that are there or not. */
#include "model_file.h"

#include "quantize/recipe.h"
#include "quantize/shares.h"

#include <math.h>
#include <sched.h>
#include <sys/resource.h>

/* GB; computed from the recipes and equal to published files where such exist. */
static void test_sizes(void **state)
{
    (void)state;
    static const struct { const char *type; double gb[2]; } rows[] = {
        { "F16",    { 93.41, 281.25 } }, { "Q8_0",   { 49.63, 149.42 } }, { "Q6_K",   { 38.38, 115.53 } },
        { "Q5_K_M", { 33.23, 99.97 } },  { "Q4_K_M", { 28.45, 85.59 } },  { "Q4_K_S", { 26.74, 80.48 } },
        { "Q4_0",   { 26.44, 79.51 } },  { "Q3_K_M", { 22.55, 67.79 } },  { "Q2_K",   { 17.31, 52.11 } },
    };
    static const char *const shapes[] = { "mixtral-8x7b", "mixtral-8x22b" };
    for (int r = 0; r < ARRAY_LEN(rows); r++)
        for (int s = 0; s < 2; s++) {
            int64_t bytes;
            const SynthOptions o = { .like = shapes[s], .type = rows[r].type };
            assert_int_equal(synth_bytes(&o, &bytes, NULL), OK);
            if (fabs((double)bytes * 1e-9 - rows[r].gb[s]) > 0.0051)
                fail_msg("%s %s: want %.2f GB, got %.4f", shapes[s], rows[r].type, rows[r].gb[s],
                         (double)bytes * 1e-9);
        }
    int64_t bytes;                      /* 7.24 B parameters in two bytes each              */
    const SynthOptions dense = { .like = "mistral-7b", .type = "F16" };
    assert_int_equal(synth_bytes(&dense, &bytes, NULL), OK);
    assert_true(fabs((double)bytes - 14.48e9) < 0.01e9);
}

/* Deviation of a matrix over the rows that are not silent. */
static void expect_deviation(const Catalog *c, const char *name, int64_t rows_of_each, int64_t rows,
                             double want)
{
    const FileTensor *t = tensor_named(c, name);
    const int64_t cols = t->dims[t->n_dims - 1];
    float *x = values(c, name);
    double squares = 0, mean = 0;
    int64_t n = 0;
    for (int64_t r = 0; r < n_values(t) / cols; r++)
        for (int64_t i = 0; i < cols; i++) {
            const double v = (double)x[r * cols + i];
            if (r % rows_of_each >= rows) {
                assert_true(v == 0);
                continue;
            }
            squares += v * v;
            mean += v;
            n++;
        }
    free(x);
    const double got = sqrt(squares / (double)n);
    /* 16,384 numbers and more: the deviation of a deviation is half a percent; formats add as much. */
    if (fabs(got / want - 1) > 0.03 || fabs(mean / (double)n) > 0.03 * want)
        fail_msg("%s %s: want deviation %.5f, got %.5f, mean %.2g", name,
                 format_info[t->format].name, want, got, mean / (double)n);
}

static void test_every_type(void **state)
{
    (void)state;
    for (int i = 0; recipe_names[i]; i++) {
        const SynthOptions o = small_model(recipe_names[i]);
        Catalog c = opened(made_model("type.gguf", &o));
        const Arch *arch;
        Error error = { 0 };
        const Sizes s = sizes_of(&c, &arch);
        assert_int_equal(s.n_experts, 4);
        assert_int_equal(s.n_layers, 2);
        assert_int_equal(s.n_vocab, 512);
        assert_int_equal(c.vocab.n_pieces, 512);
        assert_non_null(c.chat_template);
        if (arch_leftovers(arch, &c, &s, NULL, NULL, &error) != OK) fail_msg("%s", error.text);
        for (Role role = 0; role < N_ROLES; role++) {
            Weight w;
            if (arch_weight(arch, &c, &s, role, 1, 3, &w, &error) != OK) fail_msg("%s", error.text);
        }
        expect_deviation(&c, "blk.1.attn_q.weight", 256, 256, sqrt(2.0 / 256));
        expect_deviation(&c, "blk.0.attn_v.weight", 128, 128, sqrt(1.0 / 256));
        expect_deviation(&c, "blk.0.attn_output.weight", 256, 128, sqrt(1.0 / 2 / 256));
        expect_deviation(&c, "blk.1.ffn_up_exps.weight", 512, 512, sqrt(1.0 / 256));
        expect_deviation(&c, "blk.1.ffn_down_exps.weight", 256, 252,
                         sqrt(0.3 / 2 / (0.55 * 0.3558 * 512)));
        assert_int_equal(tensor_named(&c, "blk.0.ffn_gate_inp.weight")->format, F32);
        assert_int_equal(tensor_named(&c, "blk.0.attn_norm.weight")->format, F32);
        catalog_close(&c);
    }
}

static void test_seed(void **state)
{
    (void)state;
    SynthOptions o = small_model("Q4_K_M");
    cpu_set_t all, one;
    size_t n[3];
    char *bytes[3];
    bytes[0] = whole_file(made_model("a.gguf", &o), &n[0]);

    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);    /* on one core: one thread  */
    size_t core = 0;
    while (!CPU_ISSET(core, &all)) core++;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    sched_setaffinity(0, sizeof one, &one);
    bytes[1] = whole_file(made_model("b.gguf", &o), &n[1]);
    sched_setaffinity(0, sizeof all, &all);

    o.seed++;
    bytes[2] = whole_file(made_model("c.gguf", &o), &n[2]);
    assert_true(n[0] == n[1] && n[0] == n[2]);
    assert_memory_equal(bytes[0], bytes[1], n[0]);
    int64_t n_same = 0;
    for (size_t i = n[0] / 2; i < n[0]; i++) n_same += bytes[0][i] == bytes[2][i];
    assert_true(n_same < (int64_t)(n[0] / 2) / 8);
    for (int i = 0; i < 3; i++) free(bytes[i]);
}

/* In the first layer what a router reads is the embedding itself (attention writes elsewhere, and the norm's
 * divisor does not change an order), so the shares can be counted exactly, over the whole vocabulary. */
static void count_first_layer(const Catalog *c, const Sizes *s, double *got)
{
    float *embed = values(c, "token_embd.weight"), *gain = values(c, "blk.0.ffn_norm.weight"),
          *router = values(c, "blk.0.ffn_gate_inp.weight");
    double score[EXPERTS_MAX];
    for (int64_t e = 0; e < s->n_experts; e++) got[e] = 0;
    for (int64_t v = 0; v < s->n_vocab; v++) {
        for (int64_t e = 0; e < s->n_experts; e++) {
            score[e] = 0;
            for (int64_t i = s->width / 2; i < s->width; i++)
                score[e] += (double)embed[v * s->width + i] * (double)gain[i] *
                            (double)router[e * s->width + i];
        }
        for (int u = 0; u < s->n_used; u++) {
            int best = 0;
            for (int e = 1; e < s->n_experts; e++) best = score[e] > score[best] ? e : best;
            got[best] += 1.0 / (double)(s->n_used * s->n_vocab);
            score[best] = -INFINITY;
        }
    }
    free(embed);
    free(gain);
    free(router);
}

static int falling(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static void test_skew(void **state)
{
    (void)state;
    static const struct { const char *type; double skew; int experts, used; } rows[] = {
        { "F16", 0, 8, 2 }, { "Q4_K_M", 0.5, 8, 2 }, { "Q4_K_M", 1, 8, 2 }, { "Q2_K", 1, 8, 2 }, { "Q8_0", 1, 16, 4 },
        { "Q3_K_S", 2, 8, 2 }, { "Q4_0", 1, 4, 1 }
    };
    for (int r = 0; r < ARRAY_LEN(rows); r++) {
        SynthOptions o = { .like = "tiny",
                           .n_layers = 1,
                           .hidden = 256,
                           .n_vocab = 12000,
                           .n_experts = rows[r].experts,
                           .n_used = rows[r].used,
                           .type = rows[r].type,
                           .router_skew = rows[r].skew,
                           .seed = 5 };
        Catalog c = opened(made_model("skew.gguf", &o));
        const Arch *arch;
        const Sizes s = sizes_of(&c, &arch);
        double want[16], got[16];
        zipf_shares(rows[r].experts, rows[r].used, rows[r].skew, want);
        count_first_layer(&c, &s, got);
        qsort(got, (size_t)s.n_experts, sizeof *got, falling);
        for (int e = 0; e < s.n_experts; e++) {
            /* Four deviations of a count of 12,000 tokens, and 3 % for the formats. */
            const double p = want[e] * rows[r].used;
            const double bound = 0.03 * want[e] + 4 * sqrt(p * (1 - p) / 12000) / rows[r].used;
            if (fabs(got[e] - want[e]) > bound)
                fail_msg("%s skew %g, %d of %d, rank %d: want %.4f, got %.4f", rows[r].type,
                         rows[r].skew, rows[r].used, rows[r].experts, e, want[e], got[e]);
        }
        catalog_close(&c);
    }
}

static void test_dense(void **state)
{
    (void)state;
    SynthOptions o = small_model("Q5_K_M");
    o.n_experts = -1;
    o.window = 128;
    Catalog c = opened(made_model("dense.gguf", &o));
    const Arch *arch;
    const Sizes s = sizes_of(&c, &arch);
    assert_true(s.dense);
    assert_int_equal(s.window, 128);
    assert_null(catalog_tensor(&c, "blk.0.ffn_gate_inp.weight"));
    expect_deviation(&c, "blk.1.ffn_down.weight", 256, 252, sqrt(0.3 / 2 / (0.3558 * 512)));
    catalog_close(&c);
}

/* Other names for the same mixes give the same bytes. */
static void test_aliases(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "Q5_K", "Q5_K_M" }, { "Q4_K", "Q4_K_M" }, { "q3_k", "Q3_K_M" }, { "q8_0", "Q8_0" }
    };
    for (int i = 0; i < ARRAY_LEN(rows); i++) {
        const SynthOptions a = small_model(rows[i][0]), b = small_model(rows[i][1]);
        size_t n_got, n_want;
        char *got = whole_file(made_model("alias.gguf", &a), &n_got),
             *want = whole_file(made_model("type.gguf", &b), &n_want);
        if (n_got != n_want || memcmp(got, want, n_want))
            fail_msg("%s: want the bytes of %s", rows[i][0], rows[i][1]);
        free(got);
        free(want);
    }
}

static void expect_refusal(SynthOptions o, const char *word)
{
    Error error = { 0 };
    const Status got = synth(scratch_file("refused.gguf"), &o, &error);
    if (got != BAD_ARGUMENT || !strstr(error.text, word))
        fail_msg("want a refusal about %s, got %d '%s'", word, got, error.text);
    assert_int_equal(n_files_like("refused"), 0);
}

static void test_refusals(void **state)
{
    (void)state;
    SynthOptions o = small_model("Q4_K_M");
#define REFUSE(field, value, word)                                                                 \
    do {                                                                                           \
        SynthOptions bad = o;                                                                      \
        bad.field = value;                                                                         \
        expect_refusal(bad, word);                                                                 \
    } while (0)
    REFUSE(like, "big", "shape");
    REFUSE(like, NULL, "shape");
    REFUSE(type, "Q9", "type");
    REFUSE(type, NULL, "type");
    REFUSE(n_layers, -1, "layers");
    REFUSE(n_layers, 100000, "layers");
    REFUSE(width, 320, "320");                          /* not whole blocks of Q4_K             */
    REFUSE(width, INT64_MAX, "width");
    REFUSE(hidden, -5, "expert width");
    REFUSE(n_heads, INT64_MAX, "heads");
    REFUSE(n_kv_heads, 3, "kv heads");
    REFUSE(head_size, 33, "head size");
    REFUSE(n_experts, 5000, "experts");
    REFUSE(n_experts, -2, "experts");
    REFUSE(n_used, 5, "used");
    REFUSE(n_vocab, 10, "vocabulary");
    REFUSE(n_context, -1, "context");
    REFUSE(window, -2, "window");
    REFUSE(router_skew, -1, "skew");
    REFUSE(router_skew, (double)NAN, "skew");
    #undef REFUSE
    o.n_experts = -1;
    o.router_skew = 1;
    expect_refusal(o, "skew");
}

static int stop_at(void *user, int64_t done, int64_t total)
{
    assert_true(done <= total);
    return done >= *(const int64_t *)user;
}

static int failing_writes(IoCall call)
{
    static int n;
    return call == IO_WRITE && ++n > 3 ? 28 /* ENOSPC */ : 0;
}

static void test_stopped(void **state)
{
    (void)state;
    Error error = { 0 };
    int64_t half = 2 << 20;
    SynthOptions o = small_model("F32");
    o.progress = stop_at;
    o.progress_user = &half;
    assert_int_equal(synth(scratch_file("stopped.gguf"), &o, &error), CANCELLED);
    assert_int_equal(n_files_like("stopped"), 0);
    o.progress = NULL;
    io_fault = failing_writes;
    const Status got = synth(scratch_file("full.gguf"), &o, &error);
    io_fault = NULL;
    assert_int_equal(got, IO_FAILED);
    assert_int_equal(n_files_like("full"), 0);
}

static int n_writes;

static int no_room(IoCall call)
{
    n_writes += call == IO_WRITE;
    return call == IO_ROOM ? 28 /* ENOSPC */ : 0;
}

/* A disk that is too small is no disk to begin with: not a byte is written. */
static void test_no_room(void **state)
{
    (void)state;
    Error error = { 0 };
    SynthOptions o = small_model("F32");
    n_writes = 0;
    io_fault = no_room;
    Status got = synth(scratch_file("small_disk.gguf"), &o, &error);
    io_fault = NULL;
    assert_int_equal(got, IO_FAILED);
    assert_non_null(strstr(error.text, "room on the disk"));
    assert_int_equal(n_writes, 0);
    o = (SynthOptions){ .like = "mixtral-8x22b", .n_layers = 1000, .type = "F32" };  /* 10 TB */
    assert_int_equal(synth(scratch_file("small_disk.gguf"), &o, &error), IO_FAILED);
    assert_int_equal(n_files_like("small_disk"), 0);
}

static int64_t resident_kb(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* 100 MB of weights pass through; the peak must not notice.  Not all of a program's memory is ours, and
 * a sanitizer keeps what was freed, hence the generous bound. */
static void test_memory(void **state)
{
    (void)state;
    const SynthOptions o = {
        .like = "tiny", .n_layers = 1, .hidden = 8192, .type = "F16", .seed = 1
    };
    const int64_t before = resident_kb();
    made_model("large.gguf", &o);
    const int64_t grown = resident_kb() - before;
    if (grown > 48 << 10) fail_msg("want under 48 MiB more, got %lld KiB", (long long)grown);
    remove(scratch_file("large.gguf"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_memory),
        cmocka_unit_test(test_every_type), cmocka_unit_test(test_seed),
        cmocka_unit_test(test_skew),       cmocka_unit_test(test_dense),
        cmocka_unit_test(test_aliases),    cmocka_unit_test(test_refusals),
          cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests_name("quantize.synth", tests, NULL, NULL);
}
