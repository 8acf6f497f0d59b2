/* SPDX-License-Identifier: Apache-2.0
 * Maps: 200,000 names found again, first value kept, no name found that was not put. */
#include "tests/support.h"

#include <time.h>

#include "base/map.h"

enum { N_NAMES = 200000, NAME_BYTES = 40 };

static void many_names(void **state)
{
    (void)state;
    char (*names)[NAME_BYTES] = calloc(N_NAMES, NAME_BYTES);
    assert_non_null(names);
    Map map = { 0 };
    const clock_t begin = clock();      /* of this process: others may be busy */
    for (int i = 0; i < N_NAMES; i++) {
        const int n = snprintf(names[i], NAME_BYTES, "blk.%d.ffn_gate.%d.weight", i / 8, i % 8);
        bool existed = true;
        assert_true(map_put(&map, names[i], (size_t)n, i, &existed));
        assert_false(existed);
    }
    for (int i = 0; i < N_NAMES; i++)
        if (map_get(&map, names[i], strlen(names[i]), -1) != i)
            fail_msg("'%s' is not where it was put", names[i]);
    assert_int_equal(map.n, N_NAMES);
    assert_int_equal(map_get(&map, "blk.25000.ffn_gate.0.weight", 27, -1), -1);
    /* 2 s is what a whole file of that many tensors may take, even under a sanitizer. */
    assert_true(clock() - begin < 2 * CLOCKS_PER_SEC);
    map_free(&map);
    assert_int_equal(map.n, 0);
    free(names);
}

static void the_first_value_stays(void **state)
{
    (void)state;
    Map map = { 0 };
    bool existed;
    assert_true(map_put(&map, "rope", 4, 1, &existed));
    assert_true(map_put(&map, "rope", 4, 2, &existed));
    assert_true(existed);
    assert_int_equal(map_get(&map, "rope", 4, -1), 1);
    assert_int_equal(map_get(&map, "rop", 3, -1), -1);
    map_free(&map);
}

/* Keys are bytes: zeros count, and so does having none. */
static void odd_keys(void **state)
{
    (void)state;
    static const struct { const char *key; size_t n; } keys[] = {
        { "", 0 }, { "\0", 1 }, { "\0\0", 2 }, { "a", 1 }, { "a\0", 2 }, { "a\0b", 3 }, { "12345678", 8 },
        { "12345678\0", 9 }, { "123456789", 9 },
    };
    enum { N = sizeof keys / sizeof keys[0] };
    Map map = { 0 };
    assert_int_equal(map_get(&map, "a", 1, 42), 42);
    for (int i = 0; i < N; i++) assert_true(map_put(&map, keys[i].key, keys[i].n, i, NULL));
    for (int i = 0; i < N; i++) assert_int_equal(map_get(&map, keys[i].key, keys[i].n, -1), i);
    assert_int_equal(map_get(&map, NULL, 0, -1), 0);
    bool existed = false;
    assert_true(map_put(&map, NULL, 0, 99, &existed));
    assert_true(existed);
    assert_int_equal(map.n, N);
    map_free(&map);
}

/* Two maps hash differently, so a list of colliding names cannot be prepared. */
static void seeds_differ(void **state)
{
    (void)state;
    Map a = { 0 }, b = { 0 };
    assert_true(map_put(&a, "x", 1, 0, NULL));
    assert_true(map_put(&b, "x", 1, 0, NULL));
    assert_true(a.seed != b.seed);
    map_free(&a);
    map_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_names),
        cmocka_unit_test(the_first_value_stays),
        cmocka_unit_test(odd_keys),
        cmocka_unit_test(seeds_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
