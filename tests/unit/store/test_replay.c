/* SPDX-License-Identifier: Apache-2.0
 * Hits that were counted by hand, the oracle against every way there is, and what holds for all policies. */
#include "../../support.h"

#include "base/rng.h"
#include "store/invent.h"
#include "store/replay.h"

enum { NONE = -1 };

static Trace trace_of(int n_layers, int n_experts, int n_used)
{
    Trace t;
    Error error;
    const TraceHead head = { .model = "made", .n_layers = n_layers, .n_experts = n_experts, .n_used = n_used };
    assert_int_equal(trace_new(&head, &t, &error), OK);
    return t;
}

static void row(Trace *t, const int32_t *experts)
{
    Error error;
    assert_int_equal(trace_add(t, (const int32_t *const[]){ experts }, 1, &error), OK);
}

static Replay run(const Trace *t, const char *policy, int room)
{
    Replay r;
    Error error;
    if (replay(t, policy, room, NULL, 0, &r, &error) != OK) fail_msg("%s", error.text);
    return r;
}

static int64_t hits(const Trace *t, const char *policy, int room)
{
    const Replay r = run(t, policy, room);
    return r.first.n_hits + r.second.n_hits;
}

static void expect(const Trace *t, const char *policy, int room, int64_t first, int64_t second)
{
    const Replay r = run(t, policy, room);
    if (r.first.n_hits != first || r.second.n_hits != second)
        fail_msg("%s, room %d: want %d and %d hits, got %d and %d", policy, room, (int)first, (int)second,
                 (int)r.first.n_hits, (int)r.second.n_hits);
}

/* 0 1 2 0 1 2 0 1 with room for two.  LRU gives up just what comes next.  The oracle: 0 and 1 are read; for 2 goes 1
 * (next at 4, 0 at 3); 0 hits; for 1 goes 0 (6, against 5); 2 hits; for 0 goes 2 (never again); 1 hits. */
static void test_by_hand(void **state)
{
    (void)state;
    Trace t = trace_of(1, 3, 1);
    for (int32_t i = 0; i < 8; i++) row(&t, (int32_t[]){ i % 3 });
    expect(&t, "lru", 2, 0, 0);
    expect(&t, REPLAY_ORACLE, 2, 1, 2);
    for (int i = 0; i < n_policy_kinds; i++) {
        expect(&t, policy_kinds[i].name, 1, 0, 0);
        expect(&t, policy_kinds[i].name, 3, 1, 4);      /* everything fits: three reads            */
    }
    assert_int_equal(run(&t, "lru", 2).first.n_uses, 4);
    trace_free(&t);
}

/* Two layers that go on asking for the same expert, and room for three: all fit.  With room for one: none. */
static void test_layers_by_hand(void **state)
{
    (void)state;
    Trace t = trace_of(2, 4, 1);
    for (int i = 0; i < 10; i++) row(&t, (int32_t[]){ 3, 0 });
    for (int i = 0; i < n_policy_kinds; i++) {
        expect(&t, policy_kinds[i].name, 3, 8, 10);
        expect(&t, policy_kinds[i].name, 1, 0, 0);
    }
    trace_free(&t);
}

/* A step that asks for all four with room for two: the two that are there come first, then the others in a wave. */
static void test_waves_by_hand(void **state)
{
    (void)state;
    Trace t = trace_of(1, 4, 2);
    Error error;
    const int32_t *const rows[] = { (int32_t[]){ 0, 1 }, (int32_t[]){ 2, 3 } };
    for (int i = 0; i < 6; i++) assert_int_equal(trace_add(&t, rows, 2, &error), OK);
    for (int i = 0; i < n_policy_kinds; i++) expect(&t, policy_kinds[i].name, 2, 4, 6);
    trace_free(&t);
}

/* What lies there at the beginning is what was used most. */
static void test_primed(void **state)
{
    (void)state;
    Trace t = trace_of(1, 4, 1);
    for (int i = 0; i < 4; i++) row(&t, (int32_t[]){ 2 });
    const float shares[] = { 0.1f, 0.2f, 0.6f, 0.1f };
    Replay r;
    Error error;
    assert_int_equal(replay(&t, "next", 1, shares, 100, &r, &error), OK);
    assert_int_equal(r.first.n_hits + r.second.n_hits, 4);
    expect(&t, "next", 1, 1, 2);
    trace_free(&t);
}

static void test_bad_room(void **state)
{
    (void)state;
    Trace t = trace_of(1, 4, 1);
    Replay r;
    Error error;
    row(&t, (int32_t[]){ 2 });
    assert_int_equal(replay(&t, "lru", 0, NULL, 0, &r, &error), BAD_ARGUMENT);
    assert_int_equal(replay(&t, "lru", 5, NULL, 0, &r, &error), BAD_ARGUMENT);
    assert_int_equal(replay(&t, "fifo", 1, NULL, 0, &r, &error), BAD_ARGUMENT);
    trace_free(&t);
}

/* ---- the oracle against every way there is ---- */

/* The most hits there can be: the best over all sets of experts that can be in memory after each layer. */
static int best_of_all(const Trace *t, int room)
{
    enum { KEYS_MAX = 8 };
    int best[1 << KEYS_MAX], next[1 << KEYS_MAX];
    const int n_keys = t->head.n_layers * t->head.n_experts, n_sets = 1 << n_keys;
    for (int set = 0; set < n_sets; set++) best[set] = set ? NONE : 0;
    for (int64_t step = 0; step < t->n_steps; step++)
        for (int layer = 0; layer < t->head.n_layers; layer++) {
            int n, asked = 0;
            const TraceUse *uses = trace_uses(t, step, layer, &n);
            for (int i = 0; i < n; i++) asked |= 1 << (layer * t->head.n_experts + uses[i].expert);
            for (int set = 0; set < n_sets; set++) next[set] = NONE;
            for (int set = 0; set < n_sets; set++) {
                if (best[set] < 0) continue;
                const int there = best[set] + __builtin_popcount((unsigned)(set & asked)), all = set | asked;
                for (int after = all; after; after = (after - 1) & all)     /* every part of it    */
                    if ((after & asked) == asked && __builtin_popcount((unsigned)after) <= room && next[after] < there)
                        next[after] = there;
            }
            memcpy(best, next, sizeof best);
        }
    int most = 0;
    for (int set = 0; set < n_sets; set++) most = best[set] > most ? best[set] : most;
    return most;
}

static void draw_row(Rng *rng, Trace *t)
{
    int32_t experts[8];
    for (int layer = 0; layer < t->head.n_layers; layer++) {
        const int32_t first = (int32_t)(rng_unit(rng) * t->head.n_experts);
        const int32_t apart = 1 + (int32_t)(rng_unit(rng) * (t->head.n_experts - 1));
        for (int i = 0; i < t->head.n_used; i++)
            experts[layer * t->head.n_used + i] = (first + i * apart) % t->head.n_experts;
    }
    row(t, experts);
}

static void test_oracle_is_the_best_of_all(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        Rng rng = { seed };
        Trace t = trace_of(2, 3 + (int)(seed % 2), 1 + (int)(seed / 2 % 2));
        for (int i = 0; i < 7; i++) draw_row(&rng, &t);
        for (int room = t.head.n_used; room <= 5; room++) {
            const int want = best_of_all(&t, room);
            const int64_t got = hits(&t, REPLAY_ORACLE, room);
            if (got != want) fail_msg("seed %d, room %d: want %d hits, got %d", (int)seed, room, want, (int)got);
        }
        trace_free(&t);
    }
}

/* ---- what holds for all ---- */

static Trace invented(double skew, int64_t burst_steps, int n_used, uint64_t seed)
{
    const Invention how = { .n_layers = 8, .n_experts = 8, .n_used = n_used, .n_steps = 600, .skew = skew,
                            .burst_steps = burst_steps, .n_topics = 5, .seed = seed };
    Trace t;
    Error error;
    if (trace_invent(&how, &t, &error) != OK) fail_msg("%s", error.text);
    return t;
}

static const struct { double skew; int64_t burst_steps; } kinds[] = {
    { 0, 0 }, { 0.7, 0 }, { 1.2, 0 }, { 1, 60 }, { 2, 30 },
};

static void test_nobody_beats_the_oracle(void **state)
{
    (void)state;
    for (int k = 0; k < ARRAY_LEN(kinds); k++) {
        Trace t = invented(kinds[k].skew, kinds[k].burst_steps, 2, 11);
        int64_t before = 0;
        for (int room = 2; room <= 62; room += 12) {
            const int64_t most = hits(&t, REPLAY_ORACLE, room);
            assert_in_range(most, before, INT32_MAX);   /* more room never hurts who knows         */
            before = most;
            for (int i = 0; i < n_policy_kinds; i++) {
                const int64_t got = hits(&t, policy_kinds[i].name, room);
                if (got > most) fail_msg("kind %d, room %d: %s hits %d, the oracle %d", k, room,
                                         policy_kinds[i].name, (int)got, (int)most);
            }
        }
        trace_free(&t);
    }
}

/* LRU with more room holds all that LRU with less room holds, when one expert is asked for at a time.
 * Source: Mattson et al., IBM Systems Journal 9(2), 1970. */
static void test_lru_is_a_stack(void **state)
{
    (void)state;
    Trace t = invented(1, 40, 1, 5);
    int64_t before = 0;
    for (int room = 1; room <= 64; room++) {
        const int64_t got = hits(&t, "lru", room);
        if (got < before) fail_msg("room %d: want at least %d hits, got %d", room, (int)before, (int)got);
        before = got;
    }
    trace_free(&t);
}

/* The promise of the default: nowhere more than a point behind the best. */
static void test_default_is_within_a_point(void **state)
{
    (void)state;
    for (int k = 0; k < ARRAY_LEN(kinds); k++) {
        Trace t = invented(kinds[k].skew, kinds[k].burst_steps, 2, 3);
        ReplayTable table;
        Error error;
        assert_int_equal(replay_table(&t, NULL, NULL, &table, &error), OK);
        assert_string_equal(table.policies[table.n_policies - 1], REPLAY_ORACLE);
        for (int b = 0; b < REPLAY_BUDGETS; b++) {
            const double here = score_rate(table.cell[0][b].second);
            for (int i = 1; i < table.n_policies - 1; i++) {
                const double other = score_rate(table.cell[i][b].second);
                if (here < other - 0.01)
                    fail_msg("kind %d, room %d: %s %.2f %%, %s %.2f %%", k, table.room[b], table.policies[0],
                             100 * here, table.policies[i], 100 * other);
            }
        }
        trace_free(&t);
    }
}

static int stop_at_three(void *user, int64_t done, int64_t total)
{
    (void)user;
    assert_in_range(done, 0, total - 1);
    return done == 3;
}

static void test_stopped(void **state)
{
    (void)state;
    Trace t = invented(0, 0, 2, 1);
    ReplayTable table;
    Error error;
    assert_int_equal(replay_table(&t, stop_at_three, NULL, &table, &error), CANCELLED);
    trace_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_layers_by_hand),
        cmocka_unit_test(test_waves_by_hand),
        cmocka_unit_test(test_primed),
        cmocka_unit_test(test_bad_room),
        cmocka_unit_test(test_oracle_is_the_best_of_all),
        cmocka_unit_test(test_nobody_beats_the_oracle),
        cmocka_unit_test(test_lru_is_a_stack),
        cmocka_unit_test(test_default_is_within_a_point),
        cmocka_unit_test(test_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
