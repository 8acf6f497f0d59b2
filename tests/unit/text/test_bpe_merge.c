/* SPDX-License-Identifier: Apache-2.0
 * The merging engine against its slow twin: look at all pairs, join the best, start over. */
#include "support.h"

#include "base/rng.h"
#include "text/bpe_merge.h"

enum { LETTERS = 4, IDS = 40, RANKS_FEW = 5, WORD_MAX = 200 };

/* Random merges over a few ids, with many equal ranks: the order among equals is half the point. */
typedef struct Rules { uint32_t rank[IDS][IDS]; int32_t merged[IDS][IDS]; } Rules;

static bool join(const MergeRule *rule, const MergeSymbol *left, const MergeSymbol *right,
                 uint32_t end, uint32_t *rank, int32_t *merged)
{
    (void)end;
    const Rules *rules = rule->self;
    *rank = rules->rank[left->id][right->id];
    *merged = rules->merged[left->id][right->id];
    return *rank != MERGE_NONE;
}

static void random_rules(Rules *rules, Rng *rng)
{
    const uint64_t ranks = rng_bits(rng) % 2 ? RANKS_FEW : 1000;
    for (int a = 0; a < IDS; a++) {
        for (int b = 0; b < IDS; b++) {
            const bool joins = rng_bits(rng) % 3 == 0;
            rules->rank[a][b] = joins ? (uint32_t)(rng_bits(rng) % ranks) : MERGE_NONE;
            rules->merged[a][b] = (int32_t)(rng_bits(rng) % IDS);
        }
    }
}

static int slow_merge(const Rules *rules, int32_t *ids, int n)
{
    for (;;) {
        int best = -1;
        for (int i = 0; i + 1 < n; i++) {
            const uint32_t rank = rules->rank[ids[i]][ids[i + 1]];
            if (rank == MERGE_NONE) continue;
            if (best < 0 || rank < rules->rank[ids[best]][ids[best + 1]]) best = i;
        }
        if (best < 0) return n;
        ids[best] = rules->merged[ids[best]][ids[best + 1]];
        memmove(ids + best + 1, ids + best + 2, (size_t)(n - best - 2) * sizeof *ids);
        n--;
    }
}

static void engine_equals_slow_twin(void **state)
{
    (void)state;
    static Rules rules;
    MergeWork work = { 0 };
    for (uint64_t seed = 1; seed <= 4000; seed++) {
        Rng rng = { seed };
        if (seed % 10 == 1) random_rules(&rules, &rng);
        int32_t want[WORD_MAX];
        int n = 1 + (int)(rng_bits(&rng) % WORD_MAX);
        const uint64_t letters = rng_bits(&rng) % 3 ? LETTERS : 1;      /* sometimes a run of one */
        merge_clear(&work);
        for (int i = 0; i < n; i++) {
            want[i] = (int32_t)(rng_bits(&rng) % letters);
            assert_true(merge_add(&work, (uint32_t)i, (uint32_t)i + 1, want[i]));
        }
        n = slow_merge(&rules, want, n);
        assert_true(merge_run(&work, &(MergeRule){ .self = &rules, .join = join }));
        int at = 0;
        for (uint32_t i = 0; i != MERGE_NONE; i = work.symbols[i].next, at++) {
            if (at >= n || work.symbols[i].id != want[at]) {
                fail_msg("seed %llu symbol %d: want %d, got %d", (unsigned long long)seed, at,
                         at < n ? want[at] : -1, work.symbols[i].id);
            }
        }
        assert_int_equal(at, n);
    }
    merge_free(&work);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(engine_equals_slow_twin) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
