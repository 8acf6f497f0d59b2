/* SPDX-License-Identifier: Apache-2.0
 * Presets against what was published: parameters, and the sizes of files, to 0.01 GB.
 *
 * Source: the sizes that the pages of published GGUF files give, in GB of 1e9 bytes; parameters from the papers and
 * cards.  Files of models whose page was not at hand are checked by their parameters alone. */
#include <math.h>
#include <mixt_tools.h>

#include "tests/support.h"

typedef struct Known { const char *preset, *type; double gb; } Known;

static const Known files[] = {
    { "mixtral-8x7b", "F16", 93.41 },     { "mixtral-8x7b", "Q8_0", 49.63 },    { "mixtral-8x7b", "Q6_K", 38.38 },
    { "mixtral-8x7b", "Q5_K_M", 33.23 },  { "mixtral-8x7b", "Q4_K_M", 28.45 },  { "mixtral-8x7b", "Q4_K_S", 26.74 },
    { "mixtral-8x7b", "Q4_0", 26.44 },    { "mixtral-8x7b", "Q3_K_M", 22.55 },  { "mixtral-8x7b", "Q2_K", 17.31 },
    { "mixtral-8x22b", "Q5_K_M", 99.96 }, { "mixtral-8x22b", "Q4_K_M", 85.58 }, { "mixtral-8x22b", "Q4_K_S", 80.47 },
    { "mixtral-8x22b", "Q3_K_M", 67.78 }, { "mixtral-8x22b", "Q2_K", 52.10 },   { "wizardlm-2-8x22b", "Q4_K_M", 85.58 },
    { "mistral-7b", "Q8_0", 7.70 },       { "mistral-7b", "Q6_K", 5.94 },       { "mistral-7b", "Q5_K_M", 5.13 },
    { "mistral-7b", "Q5_K_S", 5.00 },     { "mistral-7b", "Q4_K_M", 4.37 },     { "mistral-7b", "Q4_K_S", 4.14 },
    { "mistral-7b", "Q3_K_M", 3.52 },     { "mistral-7b", "Q3_K_L", 3.82 },     { "wizardlm-2-7b", "Q4_K_M", 4.37 },
    { "deepseek-v3", "Q8_0", 713.29 },    { "deepseek-v3", "Q6_K", 550.80 },    { "deepseek-v3", "Q5_K_M", 475.40 },
    { "deepseek-v3", "Q5_K_S", 461.81 },  { "deepseek-v3", "Q4_1", 419.94 },    { "deepseek-v3", "Q4_K_M", 404.43 },
    { "llama-3-70b", "Q8_0", 74.98 },     { "llama-3-70b", "Q5_K_M", 49.95 },   { "llama-3-70b", "Q4_K_M", 42.52 },
    { "llama-3-70b", "Q3_K_M", 34.27 },   { "llama-3-70b", "Q2_K", 26.38 },     { "qwen2.5-72b", "Q8_0", 77.26 },
    { "qwen2.5-72b", "Q6_K", 64.35 },     { "qwen2.5-72b", "Q4_K_M", 47.42 },   { "qwen2.5-72b", "Q2_K", 29.81 },
    { "qwen3-32b", "Q8_0", 34.82 },       { "qwen3-32b", "Q6_K", 26.88 },       { "qwen3-32b", "Q4_K_M", 19.76 },
    { "llama-4-scout", "Q4_K_M", 65.36 }, { "llama-4-scout", "Q8_0", 114.53 },
};

/* In millions; used for a token: everything but the experts that are not chosen. */
static const struct { const char *preset; double values, active; } counts[] = {
    { "mixtral-8x7b", 46702.8, 12879.9 },   { "mixtral-8x22b", 140620.6, 39152.0 }, { "wizardlm-2-8x22b", 140620.6, 39152.0 },
    { "mistral-7b", 7241.7, 7241.7 },       { "wizardlm-2-7b", 7241.7, 7241.7 },    { "deepseek-v3", 671026.4, 37552.3 },
    { "dbrx", 131596.5, 36469.7 },          { "llama-4-scout", 107769.9, 17172.9 }, { "llama-4-maverick", 400711.8, 17184.7 },
    { "qwen1.5-moe", 14315.8, 2689.2 },     { "llama-3-70b", 70553.7, 70553.7 },    { "qwen2.5-72b", 72706.2, 72706.2 },
    { "qwen3-32b", 32762.1, 32762.1 },
};

static mixt_plan_info plan_of(const char *preset, const char *type)
{
    mixt_plan *plan;
    mixt_error error;
    mixt_plan_options o = mixt_plan_defaults();
    o.type = type;
    o.memory_bytes = (int64_t)1 << 40;
    o.n_threads = 2;
    if (mixt_plan_new(NULL, preset, &o, &plan, &error) != MIXT_OK) fail_msg("%s: %s", preset, error.text);
    const mixt_plan_info info = mixt_plan_read(plan);
    mixt_plan_free(plan);
    return info;
}

static void files_have_their_published_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const double got = (double)plan_of(files[i].preset, files[i].type).file_bytes / 1e9;
        /* The files of 8x22B are of a time when routers were F16: 56 layers of 8 rows of 6144. */
        const double early = strstr(files[i].preset, "8x22b") ? 56 * 8 * 6144 * 2 / 1e9 : 0;
        if (!(fabs(got - early - files[i].gb) <= 0.01))
            fail_msg("%s %s: want %.2f GB, got %.4f", files[i].preset, files[i].type, files[i].gb, got - early);
    }
}

static void models_have_their_parameters(void **state)
{
    (void)state;
    size_t n = 0;
    while (mixt_plan_presets()[n]) n++;
    assert_int_equal(n, sizeof counts / sizeof counts[0]);
    for (size_t i = 0; i < n; i++) {
        const mixt_plan_info got = plan_of(counts[i].preset, "Q4_K_M");
        if (!(fabs((double)got.n_values / 1e6 - counts[i].values) < 0.1 &&
              fabs((double)got.n_values_active / 1e6 - counts[i].active) < 0.1))
            fail_msg("%s: want %.1f and %.1f million, got %.1f and %.1f", counts[i].preset, counts[i].values,
                     counts[i].active, (double)got.n_values / 1e6, (double)got.n_values_active / 1e6);
    }
}

/* 8x7B: 128 KiB a token in F16; DeepSeek keeps 576 numbers for each of 61 layers, whatever the heads. */
static void caches_have_their_size(void **state)
{
    (void)state;
    assert_int_equal(plan_of("mixtral-8x7b", NULL).kv_bytes_per_token, 128 << 10);
    assert_int_equal(plan_of("mixtral-8x7b", NULL).kv_bytes, (int64_t)1 << 30);
    assert_int_equal(plan_of("mixtral-8x22b", NULL).kv_bytes_per_token, 224 << 10);
    assert_int_equal(plan_of("deepseek-v3", NULL).kv_bytes_per_token, 576 * 61 * 2);
}

/* In no mix is there a row that is no whole number of blocks; a class has the sum of its parts. */
static void bytes_add_up(void **state)
{
    (void)state;
    for (const char *const *p = mixt_plan_presets(); *p; p++)
        for (const char *const *t = mixt_synth_types(); *t; t++) {
            mixt_plan *plan;
            mixt_error error;
            mixt_plan_options o = mixt_plan_defaults();
            size_t n;
            o.type = *t;
            assert_int_equal(mixt_plan_new(NULL, *p, &o, &plan, &error), MIXT_OK);
            const mixt_plan_info i = mixt_plan_read(plan);
            const mixt_plan_class *c = mixt_plan_classes(plan, &n);
            int64_t bytes = 0, values = 0;
            for (size_t k = 0; k < n; k++) bytes += c[k].n_bytes, values += c[k].n_values;
            assert_int_equal(bytes, i.weight_bytes);
            assert_int_equal(values, i.n_values);
            assert_int_equal(i.dense_bytes + i.experts_bytes, i.weight_bytes);
            assert_true(i.file_bytes > i.weight_bytes && i.file_bytes < i.weight_bytes + 20000000);
            mixt_plan_free(plan);
        }
}

/* What is left out is what nobody asked for; the rest is the same to the bit. */
static void a_brief_plan_says_the_same_of_less(void **state)
{
    (void)state;
    mixt_machine machine = { .struct_bytes = sizeof machine, .n_read = 1, .n_int8 = 1, .n_f32 = 1, .n_disk = 1 };
    machine.read[0] = (mixt_rate){ 2, 40e9 };
    machine.int8[0] = (mixt_rate){ 2, 800e9 };
    machine.f32[0] = (mixt_rate){ 2, 200e9 };
    mixt_plan_info info[2];
    size_t n_types[2], n_places[2];
    for (int brief = 0; brief < 2; brief++) {
        mixt_plan *plan;
        mixt_error error;
        mixt_plan_options o = mixt_plan_defaults();
        o.machine = &machine;
        o.memory_bytes = (int64_t)12 << 30;
        o.n_threads = 2;
        o.disk_per_s = 2e9;
        o.brief = brief;
        if (mixt_plan_new(NULL, "mixtral-8x7b", &o, &plan, &error) != MIXT_OK) fail_msg("%s", error.text);
        info[brief] = mixt_plan_read(plan);
        mixt_plan_types(plan, &n_types[brief]);
        mixt_plan_places(plan, &n_places[brief]);
        mixt_plan_free(plan);
    }
    assert_true(n_types[0] > 5 && n_places[0] > 5 && info[0].more_memory_per_s > 0);
    assert_true(n_types[1] == 0 && n_places[1] == 0 && info[1].better == -1 && info[1].smaller == -1);
    assert_true(info[1].more_memory_per_s == 0 && info[1].second_disk_per_s == 0);
    assert_true(info[0].first.tokens_per_s > 0);
    assert_memory_equal(&info[1].first, &info[0].first, sizeof info[0].first);
    assert_memory_equal(&info[1].prompt, &info[0].prompt, sizeof info[0].prompt);
    assert_true(info[1].used_bytes == info[0].used_bytes && info[1].n_slots == info[0].n_slots);
}

static void mistakes_are_told(void **state)
{
    (void)state;
    mixt_plan *plan;
    mixt_error error;
    mixt_plan_options o = mixt_plan_defaults();
    assert_int_equal(mixt_plan_new(NULL, "mixtral-9x9b", &o, &plan, &error), MIXT_NOT_FOUND);
    assert_null(plan);
    o.type = "Q9";
    assert_int_equal(mixt_plan_new(NULL, "mixtral-8x7b", &o, &plan, &error), MIXT_BAD_ARGUMENT);
    o = mixt_plan_defaults();
    o.n_context = 32769;
    assert_int_equal(mixt_plan_new(NULL, "mixtral-8x7b", &o, &plan, &error), MIXT_BAD_ARGUMENT);
    assert_non_null(strstr(error.text, "32768"));
    mixt_machine empty = { .struct_bytes = sizeof empty };
    o = mixt_plan_defaults();
    o.machine = &empty;
    assert_int_equal(mixt_plan_new(NULL, "mixtral-8x7b", &o, &plan, &error), MIXT_BAD_ARGUMENT);
    mixt_plan_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_have_their_published_size),
        cmocka_unit_test(models_have_their_parameters),
        cmocka_unit_test(caches_have_their_size),
        cmocka_unit_test(bytes_add_up),
        cmocka_unit_test(a_brief_plan_says_the_same_of_less),
        cmocka_unit_test(mistakes_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
