/* SPDX-License-Identifier: Apache-2.0
 * Panels: rows come back as they went in, every byte is where panel.h says, absent rows are zeros. */
#include "support.h"

#include "number/blocks.h"
#include "number/panel.h"

enum { SEED = 7 };

static const int64_t n_blocks_of[] = { 1, 2, 3, 16, 17 };

/* Random bytes, for a panel does not care what they mean. */
static char *random_rows(Rng *rng, int64_t n_bytes)
{
    char *rows = malloc((size_t)n_bytes);
    assert_non_null(rows);
    for (int64_t i = 0; i < n_bytes; i++) rows[i] = (char)(rng_bits(rng) >> 24);
    return rows;
}

/* Memory that says where nothing was written. */
static char *filled(int64_t n_bytes, int byte)
{
    char *memory = malloc((size_t)n_bytes);
    assert_non_null(memory);
    return memset(memory, byte, (size_t)n_bytes);
}

static void expect_row(Format format, int64_t cols, const void *panel, int64_t n_rows, int64_t r, const char *want)
{
    const size_t row_bytes = (size_t)format_row_bytes(format, cols);
    char *got = filled((int64_t)row_bytes, 0x5a);
    stack_row(got, format, cols, panel, n_rows, r);
    for (size_t i = 0; i < row_bytes; i++)
        if (got[i] != want[i])
            fail_msg("%s, %lld columns, row %lld of %lld, byte %zu, seed %d: want %02x got %02x",
                     format_info[format].name, (long long)cols, (long long)r, (long long)n_rows, i, SEED,
                     (unsigned char)want[i], (unsigned char)got[i]);
    free(got);
}

static void rows_come_back(void **state)
{
    (void)state;
    Rng rng = { SEED };
    for (Format format = 0; format < N_FORMATS; format++)
        for (int s = 0; s < ARRAY_LEN(n_blocks_of); s++)
            for (int64_t n_rows = 1; n_rows <= STACK_ROWS; n_rows += n_rows < 18 ? 1 : 11) {
                const int64_t cols = n_blocks_of[s] * format_info[format].block_values;
                const int64_t row_bytes = format_row_bytes(format, cols), n_bytes = stack_bytes(format, cols, n_rows);
                char *rows = random_rows(&rng, n_rows * row_bytes), *zeros = filled(row_bytes, 0);
                char *panel = filled(n_bytes, 0xa5), *again = filled(n_bytes, 0x5a);
                stack_pack(panel, format, cols, rows, n_rows);
                stack_pack(again, format, cols, rows, n_rows);
                assert_memory_equal(panel, again, (size_t)n_bytes);     /* no byte is left as it was */
                for (int64_t r = 0; r < n_panels(n_rows) * PANEL_ROWS; r++)
                    expect_row(format, cols, panel, n_rows, r, r < n_rows ? rows + r * row_bytes : zeros);
                free(rows);
                free(zeros);
                free(panel);
                free(again);
            }
}

static void as_many_bytes_as_the_rows(void **state)
{
    (void)state;
    for (Format format = 0; format < N_FORMATS; format++)
        for (int64_t blocks = 1; blocks < 200; blocks++) {
            const int64_t cols = blocks * format_info[format].block_values;
            const int64_t rows = PANEL_ROWS * format_row_bytes(format, cols),
                          panel = stack_bytes(format, cols, PANEL_ROWS);
            assert_in_range(panel - rows, 0, format_info[format].block_values > 1 ? 32 : 0);
            if (format_info[format].block_values > 1) assert_int_equal(panel % PANEL_ALIGN, 0);
        }
    assert_int_equal(n_panels(0), 0);
    assert_int_equal(n_panels(16), 1);
    assert_int_equal(n_panels(17), 2);
    assert_int_equal(n_stacks(128), 1);
    assert_int_equal(n_stacks(129), 2);
    assert_int_equal(stacks_bytes(Q8_0, 32, 300), 2 * stack_bytes(Q8_0, 32, 128) + stack_bytes(Q8_0, 32, 44));
}

/* Halves and words are the whole block, and each byte of it is in one of them. */
static void shapes_cover_the_block(void **state)
{
    (void)state;
    for (Format format = 0; format < N_FORMATS; format++) {
        const PanelShape s = panel_shape(format);
        if (format_info[format].block_values == 1) {
            assert_int_equal(s.n_words, 0);
            continue;
        }
        assert_int_equal(2 * s.n_halves + 4 * s.n_words, format_info[format].block_bytes);
        assert_true(s.halves_at == 0 ? s.words_at == 2 * s.n_halves
                                     : s.words_at == 0 && s.halves_at == 4 * s.n_words);
    }
}

/* The words of panel.h, said once more: Q4_1 has its halves in front, Q6_K at the end. */
static void bytes_lie_where_the_header_says(void **state)
{
    (void)state;
    Rng rng = { SEED };
    enum { BLOCKS = 3 };
    BlockQ4_1 *small = (BlockQ4_1 *)(void *)random_rows(&rng, PANEL_ROWS * BLOCKS * (int64_t)sizeof *small);
    BlockQ6_K *super = (BlockQ6_K *)(void *)random_rows(&rng, PANEL_ROWS * BLOCKS * (int64_t)sizeof *super);
    unsigned char *panel = malloc((size_t)stack_bytes(Q4_1, BLOCKS * SMALL_VALUES, PANEL_ROWS));
    unsigned char *other = malloc((size_t)stack_bytes(Q6_K, BLOCKS * SUPER_VALUES, PANEL_ROWS));
    assert_true(panel && other);
    stack_pack(panel, Q4_1, BLOCKS * SMALL_VALUES, small, PANEL_ROWS);
    stack_pack(other, Q6_K, BLOCKS * SUPER_VALUES, super, PANEL_ROWS);
    for (int r = 0; r < PANEL_ROWS; r++)
        for (int b = 0; b < BLOCKS; b++) {
            const BlockQ4_1 *in = &small[r * BLOCKS + b];
            const unsigned char *at = panel + b * (64 + 4 * 64);
            assert_memory_equal(at + r * 2, &in->scale, 2);
            assert_memory_equal(at + (16 + r) * 2, &in->minimum, 2);
            for (int w = 0; w < 4; w++) assert_memory_equal(at + 64 + (w * 16 + r) * 4, in->low + 4 * w, 4);
            /* Two blocks share a line of halves; words stand where panel_place says. */
            const BlockQ6_K *last = &super[r * BLOCKS + b];
            const unsigned char *pair = other + b / 2 * (64 + 2 * 52 * 64);
            assert_memory_equal(pair + b % 2 * 32 + r * 2, &last->super_scale, 2);
            for (int w = 0; w < 52; w++)
                assert_memory_equal(pair + 64 + b % 2 * 52 * 64 + (panel_place(Q6_K, w) * 16 + r) * 4,
                                    (const char *)last + 4 * w, 4);
        }
    const unsigned char *padding = other + 64 + 2 * 52 * 64 + 32;
    for (int i = 0; i < 32; i++) assert_int_equal(padding[i], 0);
    free(small);
    free(super);
    free(panel);
    free(other);
}

/* Eight blocks of the first panel, eight of the second, then what is left of both. */
static void stacks_go_by_runs(void **state)
{
    (void)state;
    enum { ROWS = 20, BLOCKS = 11, RUN = 8 };
    Rng rng = { SEED };
    BlockQ8_0 *rows = (BlockQ8_0 *)(void *)random_rows(&rng, ROWS * BLOCKS * (int64_t)sizeof *rows);
    char *stack = malloc((size_t)stack_bytes(Q8_0, BLOCKS * 32, ROWS));
    stack_pack(stack, Q8_0, BLOCKS * 32, rows, ROWS);
    for (int r = 0; r < ROWS; r++)
        for (int b = 0; b < BLOCKS; b++) {
            const int panel = r / 16;
            const int place = b < RUN ? panel * RUN + b : 2 * RUN + panel * (BLOCKS - RUN) + b - RUN;
            const BlockQ8_0 *want = &rows[r * BLOCKS + b];
            const PanelBlock got = stack_block(stack, 1, 8, (size_t)place);
            assert_memory_equal(&got.halves[r % 16], &want->scale, 2);
            for (int w = 0; w < 8; w++) assert_memory_equal(&got.words[w * 16 + r % 16], want->q + 4 * w, 4);
        }
    free(rows);
    free(stack);
}

/* Blocks of 256 numbers are runs by themselves. */
static void stacks_of_large_blocks_go_block_by_block(void **state)
{
    (void)state;
    enum { ROWS = 20, BLOCKS = 3 };
    Rng rng = { SEED };
    BlockQ4_K *rows = (BlockQ4_K *)(void *)random_rows(&rng, ROWS * BLOCKS * (int64_t)sizeof *rows);
    char *stack = malloc((size_t)stack_bytes(Q4_K, BLOCKS * 256, ROWS));
    stack_pack(stack, Q4_K, BLOCKS * 256, rows, ROWS);
    for (int r = 0; r < ROWS; r++)
        for (int b = 0; b < BLOCKS; b++) {
            const PanelBlock got = stack_block(stack, 2, 35, (size_t)(b * 2 + r / 16));
            assert_memory_equal(&got.halves[r % 16], &rows[r * BLOCKS + b].super_scale, 2);
        }
    free(rows);
    free(stack);
}

/* Every word has a place of its own. */
static void places_are_a_permutation(void **state)
{
    (void)state;
    for (int format = 0; format < N_FORMATS; format++) {
        const int n = panel_shape((Format)format).n_words;
        bool taken[64] = { false };
        for (int w = 0; w < n; w++) {
            const int place = panel_place((Format)format, w);
            assert_in_range(place, 0, n - 1);
            assert_false(taken[place]);
            taken[place] = true;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_a_permutation),
        cmocka_unit_test(stacks_go_by_runs),
        cmocka_unit_test(stacks_of_large_blocks_go_block_by_block),
        cmocka_unit_test(rows_come_back),
        cmocka_unit_test(as_many_bytes_as_the_rows),
        cmocka_unit_test(shapes_cover_the_block),
        cmocka_unit_test(bytes_lie_where_the_header_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
