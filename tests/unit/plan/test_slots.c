/* SPDX-License-Identifier: Apache-2.0
 * plan/slots.c: how many experts stay, for every budget; nothing is ever over it. */
#include "plan/slots.h"

#include "tests/support.h"

enum { GB = 1000000000 };

/* 8 layers of 8 experts of 100 MB, 1 GB beside them. */
static SlotsAsk usual(int64_t budget_bytes)
{
    return (SlotsAsk){ .budget_bytes = budget_bytes, .dense_bytes = 700000000, .kv_bytes = 100000000,
                       .scratch_bytes = 150000000, .spare_bytes = 50000000, .experts_bytes = (int64_t)64 * 100000000,
                       .slot_bytes = 100000000, .n_all = 64, .n_least = 2 };
}

static void all_fit_at_the_byte(void **state)
{
    (void)state;
    const int64_t all = (int64_t)7400000000;
    SlotsAsk ask = usual(all);
    Slots s = plan_slots(&ask);
    assert_int_equal(s.why, SLOTS_ALL_FIT);
    assert_int_equal(s.n_slots, 64);
    assert_int_equal(s.used_bytes, all);
    assert_int_equal(s.all_bytes, all);
    ask = usual(all - 1);
    s = plan_slots(&ask);
    assert_int_equal(s.why, SLOTS_FILL);
    assert_int_equal(s.n_slots, 63);
    assert_int_equal(s.all_bytes, all);
}

static void too_few_says_what_would_do(void **state)
{
    (void)state;
    SlotsAsk ask = usual(GB + 2 * 100000000 - 1);
    Slots s = plan_slots(&ask);
    assert_int_equal(s.why, SLOTS_TOO_FEW);
    assert_int_equal(s.n_slots, 0);
    assert_int_equal(s.need_bytes, GB + 2 * 100000000);
    ask.budget_bytes = s.need_bytes;                    /* exactly that works                   */
    s = plan_slots(&ask);
    assert_int_equal(s.why, SLOTS_FILL);
    assert_int_equal(s.n_slots, 2);
    ask.budget_bytes = 0;                               /* not even the rest                    */
    s = plan_slots(&ask);
    assert_int_equal(s.why, SLOTS_TOO_FEW);
    assert_int_equal(s.room_bytes, 0);
}

static void a_wish_is_kept_or_refused(void **state)
{
    (void)state;
    SlotsAsk ask = usual((int64_t)100 * GB);
    ask.n_wish = 5;
    Slots s = plan_slots(&ask);
    assert_int_equal(s.why, SLOTS_WISHED);
    assert_int_equal(s.n_slots, 5);
    assert_int_equal(s.used_bytes, GB + 5 * 100000000);
    ask.budget_bytes = GB + 4 * 100000000;
    s = plan_slots(&ask);
    assert_int_equal(s.why, SLOTS_TOO_FEW);
    assert_int_equal(s.need_bytes, GB + 5 * 100000000);
    ask.n_wish = 64;                                    /* all of them is no wish               */
    ask.budget_bytes = (int64_t)100 * GB;
    assert_int_equal(plan_slots(&ask).why, SLOTS_ALL_FIT);
}

/* Every budget in steps of 7 MB: within it, never fewer slots for more, and not a slot left unused. */
static void budgets_are_hard_and_monotonous(void **state)
{
    (void)state;
    int64_t before = 0;
    for (int64_t budget = 0; budget < (int64_t)8 * GB; budget += 7000000) {
        const SlotsAsk ask = usual(budget);
        const Slots s = plan_slots(&ask);
        if (s.n_slots < before || (s.why != SLOTS_TOO_FEW && s.used_bytes > budget) ||
            (s.why == SLOTS_FILL && s.n_slots < 63 && budget - s.used_bytes >= ask.slot_bytes))
            fail_msg("budget %lld: %lld slots after %lld, %lld bytes used", (long long)budget, (long long)s.n_slots,
                     (long long)before, (long long)s.used_bytes);
        before = s.n_slots;
    }
    assert_int_equal(before, 64);
}

/* Slots larger than the average expert: all might number themselves into the budget and still not lie in it. */
static void large_slots_never_count_to_all(void **state)
{
    (void)state;
    SlotsAsk ask = usual((int64_t)7399999999);
    ask.slot_bytes = 99000000;
    const Slots s = plan_slots(&ask);
    assert_int_equal(s.why, SLOTS_FILL);
    assert_int_equal(s.n_slots, 63);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_fit_at_the_byte),
        cmocka_unit_test(too_few_says_what_would_do),
        cmocka_unit_test(a_wish_is_kept_or_refused),
        cmocka_unit_test(budgets_are_hard_and_monotonous),
        cmocka_unit_test(large_slots_never_count_to_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
