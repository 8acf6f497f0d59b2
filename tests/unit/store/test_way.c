/* SPDX-License-Identifier: Apache-2.0
 * Straight or through a buffer: the faster one is found, found again when it changes, and the trials stay few. */
#include "base/base.h"
#include "store/way.h"

#include "../../support.h"

enum { BLOCK = 1 << 20 };

typedef struct Disk { int64_t us_for[N_WAYS], bytes, us; int64_t n_taken[N_WAYS]; Way way; } Disk;

/* n blocks, one after another. */
static void take(Disk *d, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const int way = way_of_next(&d->way, d->bytes, d->us);
        assert_in_range(way, 0, N_WAYS - 1);
        d->n_taken[way]++;
        d->bytes += BLOCK;
        d->us += d->us_for[way];
    }
}

enum { LONG = 40000 };

static void straight_unless_a_quarter_slower(void **state)
{
    (void)state;
    const struct { int64_t straight_us, through_us; int chosen; } cases[] = {
        { 400, 400, WAY_STRAIGHT }, { 400, 330, WAY_STRAIGHT }, { 100, 400, WAY_STRAIGHT },
        { 400, 310, WAY_THROUGH },  { 800, 260, WAY_THROUGH },
    };
    for (int i = 0; i < ARRAY_LEN(cases); i++) {
        Disk d = { .us_for = { cases[i].straight_us, cases[i].through_us } };
        take(&d, LONG);
        const int other = 1 - cases[i].chosen;
        assert_int_equal(d.way.chosen, cases[i].chosen);
        assert_in_range(d.n_taken[other], 1, LONG / 25);
    }
}

static void what_changes_is_noticed(void **state)
{
    (void)state;
    Disk d = { .us_for = { 600, 600 } };                    /* memory is new, and slow either way */
    take(&d, LONG);
    for (int turn = 0; turn < 4; turn++) {
        const int fast = turn % 2 ? WAY_STRAIGHT : WAY_THROUGH;
        d.us_for[fast] = 250, d.us_for[1 - fast] = 800;
        take(&d, (WAY_REST_MAX + 4) * WAY_TRIAL_BLOCKS);
        assert_int_equal(d.way.chosen, fast);
    }
}

/* Blocks of the way before are still in flight when a trial of the other begins. */
static void what_was_in_flight_does_not_count(void **state)
{
    (void)state;
    enum { IN_FLIGHT = 16 };
    static const int64_t us_for[N_WAYS] = { 800, 300 };
    Way way = { 0 };
    int64_t bytes = 0, us = 0;
    int flying[IN_FLIGHT], n = 0;
    for (int i = 0; i < 2 * WAY_TRIAL_BLOCKS + 1; i++) {
        if (n >= IN_FLIGHT) bytes += BLOCK, us += us_for[flying[n % IN_FLIGHT]];
        flying[n++ % IN_FLIGHT] = way_of_next(&way, bytes, us);
    }
    assert_true(way.speed[WAY_STRAIGHT] == (double)BLOCK / 800);
    assert_true(way.speed[WAY_THROUGH] == (double)BLOCK / 300);
}

static void a_disk_that_was_never_busy_is_no_trouble(void **state)
{
    (void)state;
    Disk d = { .us_for = { 0, 0 } };
    take(&d, LONG);
    assert_int_equal(d.n_taken[WAY_STRAIGHT] + d.n_taken[WAY_THROUGH], LONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(straight_unless_a_quarter_slower),
        cmocka_unit_test(what_changes_is_noticed),
        cmocka_unit_test(what_was_in_flight_does_not_count),
        cmocka_unit_test(a_disk_that_was_never_busy_is_no_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
