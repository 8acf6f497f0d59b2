/* SPDX-License-Identifier: Apache-2.0
 * Arenas: zeroed, aligned, never overlapping, and honest about what does not fit. */
#include "tests/support.h"

#include "base/arena.h"
#include "base/rng.h"

static void blocks_keep_apart(void **state)
{
    (void)state;
    enum { N = 500 };
    Arena arena = { 0 };
    Rng rng = { .state = 7 };
    unsigned char *block[N];
    size_t bytes[N];
    for (int i = 0; i < N; i++) {
        /* One in eight is larger than a chunk. */
        bytes[i] = (size_t)(rng_bits(&rng) % (i % 8 ? 3000 : 200000));
        block[i] = arena_new(&arena, bytes[i], 1);
        assert_non_null(block[i]);
        assert_int_equal((uintptr_t)block[i] % 64, 0);
        for (size_t k = 0; k < bytes[i]; k++) assert_int_equal(block[i][k], 0);
        memset(block[i], i & 0xff, bytes[i]);
    }
    for (int i = 0; i < N; i++)
        for (size_t k = 0; k < bytes[i]; k++) assert_int_equal(block[i][k], i & 0xff);
    arena_free(&arena);
    assert_null(arena.newest);
    arena_free(&arena);
}

static void large_blocks_leave_the_chunk_in_use(void **state)
{
    (void)state;
    Arena arena = { 0 };
    char *first = arena_new(&arena, 64, 1);
    assert_non_null(arena_new(&arena, 1 << 20, 1));
    assert_ptr_equal(arena_new(&arena, 64, 1), first + 64);
    arena_free(&arena);
}

static void what_wraps_is_refused(void **state)
{
    (void)state;
    Arena arena = { 0 };
    assert_null(arena_new(&arena, SIZE_MAX, 2));
    assert_null(arena_new(&arena, SIZE_MAX / 2 + 1, 1));
    assert_null(arena_new(&arena, (size_t)1 << 33, (size_t)1 << 33));
    assert_null(arena_text(&arena, "x", SIZE_MAX));
    assert_non_null(arena_new(&arena, 0, 8));       /* nothing is something: no error */
    arena_free(&arena);
}

static void text_gets_a_zero(void **state)
{
    (void)state;
    Arena arena = { 0 };
    assert_string_equal(arena_text(&arena, "expert 5 of 8", 8), "expert 5");
    assert_string_equal(arena_text(&arena, NULL, 0), "");
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_keep_apart),
        cmocka_unit_test(large_blocks_leave_the_chunk_in_use),
        cmocka_unit_test(what_wraps_is_refused),
        cmocka_unit_test(text_gets_a_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
