/* SPDX-License-Identifier: Apache-2.0
 * gen/schedule.c keeps its promises, over thousands of steps of jobs that are only numbers. */
#include "../../support.h"

#include "base/rng.h"
#include "gen/schedule.h"

enum { LANES = 24 };

typedef struct Fake { int64_t n_prompt, n_write; } Fake;

static int below(Rng *rng, int n)
{
    return (int)(rng_unit(rng) * n);
}

/* One step: what is promised of it, then its rows are taken. */
static void check_step(const LaneNeed *needs, const int *rows, int n, const ScheduleRules *r, int sum, uint64_t seed)
{
    int n_rows = 0, n_writers = 0, n_pieces = 0;
    bool reader_without = false;
    for (int i = 0; i < n; i++) {
        n_rows += rows[i];
        if (needs[i].n_prompt_left == 0) {
            n_writers++;
            if (rows[i] != 1) fail_msg("seed %d: a writer has %d rows", (int)seed, rows[i]);
            continue;
        }
        n_pieces += rows[i];
        if (rows[i] < 0 || rows[i] > needs[i].n_prompt_left) fail_msg("seed %d: a reader has %d", (int)seed, rows[i]);
        reader_without |= rows[i] < needs[i].n_prompt_left;
    }
    assert_int_equal(n_rows, sum);
    if (n_rows > r->n_rows_max) fail_msg("seed %d: want at most %d rows, got %d", (int)seed, r->n_rows_max, n_rows);
    const bool limited = n_writers && !r->sweeps && r->piece_rows_max;
    if (limited && n_pieces > r->piece_rows_max)
        fail_msg("seed %d: want at most %d rows beside writers, got %d", (int)seed, r->piece_rows_max, n_pieces);
    /* Somebody was left short: then the step is full, or as full as the wish allows. */
    const int room = r->n_rows_max - n_writers;
    const int full = limited && r->piece_rows_max < room ? r->piece_rows_max : room;
    if (reader_without && n_pieces != full)
        fail_msg("seed %d: want %d rows of prompts, got %d", (int)seed, full, n_pieces);
}

static void check_order(const LaneNeed *needs, const int *rows, int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)         /* a later prompt has rows only if the earlier ones are read */
            if (rows[j] && needs[j].n_prompt_left && needs[i].n_prompt_left && needs[i].order < needs[j].order)
                assert_int_equal(rows[i], needs[i].n_prompt_left);
}

static void promises_hold_for_any_jobs(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        Rng rng = { seed };
        const ScheduleRules rules = {
            .n_rows_max = LANES * 2 + below(&rng, 500), .piece_rows_max = below(&rng, 3) * 40, .sweeps = seed % 3 == 0,
        };
        Fake lanes[LANES] = { { 0 } };
        int64_t order[LANES], n_come = 0, n_done = 0;
        for (int step = 0; step < 3000 || n_done < n_come; step++) {
            LaneNeed needs[LANES];
            int rows[LANES], who[LANES], n = 0;
            for (int i = 0; i < LANES; i++) {
                if (lanes[i].n_prompt + lanes[i].n_write == 0) {
                    if (step >= 3000) continue;
                    lanes[i] = (Fake){ 1 + below(&rng, below(&rng, 10) ? 60 : 4000), 1 + below(&rng, 50) };
                    order[i] = n_come++;
                }
                needs[n] = (LaneNeed){ order[i], lanes[i].n_prompt };
                who[n++] = i;
            }
            const int sum = schedule_rows(needs, n, &rules, rows);
            check_step(needs, rows, n, &rules, sum, seed);
            check_order(needs, rows, n);
            for (int k = 0; k < n; k++) {
                Fake *lane = &lanes[who[k]];
                if (lane->n_prompt) lane->n_prompt -= rows[k];
                else if (--lane->n_write == 0) n_done++;
            }
            if (step > 200000) fail_msg("seed %d: it never ends", (int)seed);
        }
    }
}

/* A prompt of ten thousand tokens beside ten writers: none of them waits for more than its wish. */
static void a_long_prompt_starves_nobody(void **state)
{
    (void)state;
    const double row_us = 900, writers_us = 20000;
    const int64_t stall_us = 100000;
    LaneNeed needs[11] = { { .order = 0, .n_prompt_left = 10000 } };
    for (int i = 1; i < 11; i++) needs[i].order = i;
    const ScheduleRules rules = { .n_rows_max = 512, .piece_rows_max = schedule_piece(stall_us, writers_us, row_us) };
    int rows[11], n_steps = 0;
    while (needs[0].n_prompt_left) {
        schedule_rows(needs, 11, &rules, rows);
        for (int i = 1; i < 11; i++) assert_int_equal(rows[i], 1);
        const double us = writers_us + rows[0] * row_us;
        if (us > (double)stall_us) fail_msg("want at most %lld us, got %g", (long long)stall_us, us);
        needs[0].n_prompt_left -= rows[0];
        n_steps++;
    }
    assert_true(n_steps < 10000 / 80);                      /* nor does the prompt starve       */
}

static void pieces_and_holds_have_bounds(void **state)
{
    (void)state;
    assert_int_equal(schedule_piece(0, 1000, 10), 0);       /* no wish                          */
    assert_int_equal(schedule_piece(50000, 0, 0), 0);       /* nothing measured yet             */
    assert_int_equal(schedule_piece(50000, 60000, 10), PIECE_ROWS_MIN);
    assert_int_equal(schedule_piece(50000, 10000, 100), 400);
    assert_int_equal(schedule_hold_us(false, true, 4, 1e6), 0);
    assert_int_equal(schedule_hold_us(true, false, 4, 1e6), 0);
    assert_int_equal(schedule_hold_us(true, true, 0, 1e6), 0);
    assert_int_equal(schedule_hold_us(true, true, 1, 50000), 1000);
    assert_int_equal(schedule_hold_us(true, true, 1, 1e7), HOLD_US_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(promises_hold_for_any_jobs),
        cmocka_unit_test(a_long_prompt_starves_nobody),
        cmocka_unit_test(pieces_and_holds_have_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
