/* SPDX-License-Identifier: Apache-2.0
 * Who leaves, in cases small enough to say beforehand. */
#include "../../support.h"

#include "store/policy.h"

static Policy *make(const char *name, int n_layers, int n_experts)
{
    Policy *p;
    Error error;
    if (policy_new(name, n_layers, n_experts, &p, &error) != OK) fail_msg("%s", error.text);
    return p;
}

/* One row a step, the same expert of each layer every time. */
static void steps(Policy *p, int n_layers, int n_experts, int expert, int n)
{
    for (int i = 0; i < n; i++) {
        policy_step(p);
        for (int layer = 0; layer < n_layers; layer++) policy_used(p, layer * n_experts + expert, 1);
    }
}

static int32_t victim(Policy *p, const int32_t *keys, int n, int layer)
{
    const int i = policy_victim(p, keys, n, layer);
    assert_in_range(i, 0, n - 1);
    return keys[i];
}

static void test_names(void **state)
{
    (void)state;
    Policy *p;
    Error error;
    assert_string_equal(policy_kinds[0].name, POLICY_DEFAULT);
    for (int i = 0; i < n_policy_kinds; i++) {
        p = make(policy_kinds[i].name, 1, 2);
        assert_string_equal(policy_name(p), policy_kinds[i].name);
        policy_free(p);
    }
    p = make(NULL, 1, 2);
    assert_string_equal(policy_name(p), POLICY_DEFAULT);
    policy_free(p);
    assert_int_equal(policy_new("belady", 1, 2, &p, &error), BAD_ARGUMENT);
    assert_non_null(strstr(error.text, "belady"));
    assert_non_null(strstr(error.text, "lru"));
    assert_int_equal(policy_new("lru", 0, 2, &p, &error), BAD_ARGUMENT);
    assert_int_equal(policy_new("lru", 1 << 20, 2, &p, &error), BAD_ARGUMENT);
    policy_free(NULL);
}

static void test_lru(void **state)
{
    (void)state;
    Policy *p = make("lru", 1, 4);
    for (int expert = 0; expert < 3; expert++) steps(p, 1, 4, expert, 1);
    assert_int_equal(victim(p, (int32_t[]){ 2, 0, 1 }, 3, 0), 0);
    steps(p, 1, 4, 0, 1);
    assert_int_equal(victim(p, (int32_t[]){ 2, 0, 1 }, 3, 0), 1);
    assert_int_equal(victim(p, (int32_t[]){ 2, 0, 3 }, 3, 0), 3);       /* never used at all */
    policy_free(p);
}

/* Older ones of other layers stay. */
static void test_layer(void **state)
{
    (void)state;
    Policy *p = make("layer", 2, 3);
    for (int expert = 0; expert < 3; expert++) steps(p, 2, 3, expert, 1);
    assert_int_equal(victim(p, (int32_t[]){ 0, 5, 4 }, 3, 1), 4);
    assert_int_equal(victim(p, (int32_t[]){ 1, 0 }, 2, 1), 0);
    policy_free(p);
}

static void test_lfu_and_hot_keep_what_is_used_often(void **state)
{
    (void)state;
    static const char *const names[] = { "lfu", "hot", "next" };
    for (int i = 0; i < ARRAY_LEN(names); i++) {
        Policy *p = make(names[i], 1, 4);
        steps(p, 1, 4, 0, 20);
        for (int expert = 1; expert < 4; expert++) steps(p, 1, 4, expert, 1);
        steps(p, 1, 4, 1, 2);
        /* 0 was used longest ago, and most. */
        const int32_t gone = victim(p, (int32_t[]){ 0, 2, 3 }, 3, 0);
        if (gone == 0) fail_msg("%s: the expert used 20 of 25 times left", names[i]);
        policy_free(p);
    }
}

/* All alike but for the layer: whose turn is farthest goes. */
static void test_next_counts_layers(void **state)
{
    (void)state;
    enum { L = 4, E = 2 };
    Policy *p = make("next", L, E);
    for (int i = 0; i < 10; i++) steps(p, L, E, i & 1, 1);
    policy_step(p);
    for (int layer = 0; layer < 2; layer++) policy_used(p, layer * E, 1);
    /* At layer 2: layer 3 is one away, 0 two, 1 three, 2 itself four. */
    const int32_t keys[] = { 3 * E + 1, 0 * E + 1, 1 * E + 1, 2 * E + 1 };
    assert_int_equal(victim(p, keys, 4, 2), 2 * E + 1);
    assert_int_equal(victim(p, keys, 3, 2), 1 * E + 1);
    assert_int_equal(victim(p, keys, 2, 2), 0 * E + 1);
    policy_free(p);
}

/* In a step that asks for everything, what lies ahead is never given for what is behind. */
static void test_next_in_a_sweep(void **state)
{
    (void)state;
    enum { L = 6, E = 4 };
    Policy *p = make("next", L, E);
    steps(p, L, E, 0, 5);                               /* the first expert of each layer is the likely one */
    policy_step(p);
    for (int layer = 0; layer < 3; layer++)
        for (int e = 0; e < E; e++) policy_used(p, layer * E + e, 64);
    const int32_t keys[] = { 0, 5 * E + 3, 4 * E + 2 };
    assert_int_equal(victim(p, keys, 3, 3), 0);
    policy_free(p);
}

static void test_primed(void **state)
{
    (void)state;
    const float shares[] = { 0.5f, 0.1f, 0.4f, 0.1f, 0.7f, 0.2f };
    static const char *const names[] = { "lfu", "next" };
    for (int i = 0; i < ARRAY_LEN(names); i++) {
        Policy *p = make(names[i], 2, 3);
        policy_prime(p, shares, 1000);
        policy_step(p);
        assert_int_equal(victim(p, (int32_t[]){ 0, 1, 2 }, 3, 0), 1);
        assert_int_equal(victim(p, (int32_t[]){ 5, 4, 3 }, 3, 0), 3);
        policy_free(p);
    }
}

static void test_uses(void **state)
{
    (void)state;
    Policy *p = make("next", 2, 2);
    for (int i = 0; i < 3; i++) {
        policy_step(p);
        policy_used(p, 1, 1);
        policy_used(p, 2, 5);
    }
    const int64_t want[] = { 0, 3, 15, 0 };
    assert_memory_equal(policy_uses(p), want, sizeof want);
    policy_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_lru),
        cmocka_unit_test(test_layer),
        cmocka_unit_test(test_lfu_and_hot_keep_what_is_used_often),
        cmocka_unit_test(test_next_counts_layers),
        cmocka_unit_test(test_next_in_a_sweep),
        cmocka_unit_test(test_primed),
        cmocka_unit_test(test_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
