/* SPDX-License-Identifier: Apache-2.0
 * plan/plan.c: the sums by hand on a model of round numbers, and what must hold for every model, machine and wish. */
#include "plan/places.h"
#include "plan/rates.h"

#include "base/rng.h"
#include "tests/support.h"

#include <math.h>
#include <string.h>

#define expect_near(got, want, most) expect_near_at(__LINE__, got, want, most)

static void expect_near_at(int line, double got, double want, double most)
{
    if (!(fabs(got - want) <= most)) fail_msg("line %d: want %.17g, got %.17g", line, want, got);
}

/* ---- by hand ---- */

/* 2 layers of 4 experts, 1 used: each expert 3 * 1000 * 256 numbers in F16. */
static PlanModel round_model(void)
{
    PlanModel m = { .n_layers = 2, .n_expert_layers = 2, .n_experts = 4, .n_used = 1, .n_vocab = 100, .n_context = 4096,
                    .kv_values = 64, .attend_values = 128 };
    plan_add(&m, &(PlanTensor){ CLASS_EXPERTS, F16, 6000, 256, 4 });
    plan_add(&m, &(PlanTensor){ CLASS_ATTENTION, F16, 1000, 256, 1 });
    plan_add(&m, &(PlanTensor){ CLASS_EMBED, F16, 100, 256, 1 });
    plan_add(&m, &(PlanTensor){ CLASS_OUT, F16, 100, 256, 1 });
    return m;
}

static PlanWish round_wish(int64_t budget_bytes)
{
    return (PlanWish){ .budget_bytes = budget_bytes, .n_context = 64, .n_sessions = 1, .n_rows = 32, .n_prompt = 64,
                       .n_together = 4, .kv = F16, .page_tokens = 64, .hit_rate = -1 };
}

static const PlanMachine round_machine = {
    .read_bytes = 1e9, .int8_products = 1e12, .f32_products = 1e12, .disk_bytes = 1e6
};

static void sums_by_hand(void **state)
{
    (void)state;
    const PlanModel m = round_model();
    const PlanWish wish = round_wish(1 << 30);
    Plan p;
    plan_make(&m, &round_machine, &wish, &p);
    const double experts = 6000 * 256 * 4 * 2, attention = 1000 * 256 * 2, table = 100 * 256 * 2;
    assert_int_equal(p.weight_bytes, experts + attention + 2 * table);
    assert_int_equal(p.experts_bytes, experts);
    assert_int_equal(p.kv_bytes, 64 * 64 * 2 * 2);
    assert_int_equal(p.slots.why, SLOTS_ALL_FIT);
    expect_near(p.first.weight_bytes, experts / 4 + attention + table + table / 100, 1e-6);
    expect_near(p.first.kv_bytes, 64 * 2 * 2, 1e-9);
    expect_near(p.first.products, 2 * (experts / 4 + attention + table) / 2 + 2 * 128 * 2, 1e-6);
    expect_near(p.first.disk_bytes, 0, 0);
    expect_near(p.first.step_s, hypot(p.first.memory_s, p.first.product_s) + 2 * layer_other_s, 1e-12);
    expect_near(p.together.experts, 4 * (1 - pow(0.75, 4)), 1e-9);
    assert_int_equal(p.n_pieces, 2);
    expect_near(p.prompt_per_s, 64 / p.prompt_s, 1e-9);
}

/* A thousand sequences where room was left for one: no expert has a place any more, and none less than that. */
static void more_sequences_than_were_planned_for(void **state)
{
    (void)state;
    const PlanModel m = round_model();
    PlanWish wish = round_wish(plan_bytes(&m) - plan_class_bytes(&m, CLASS_EXPERTS) / 2);
    wish.n_together = 1000;
    Plan p;
    plan_make(&m, &round_machine, &wish, &p);
    assert_int_equal(p.slots.why, SLOTS_FILL);
    expect_near(p.together.resident, 0, 0);
    expect_near(p.together.disk_bytes, (double)plan_class_bytes(&m, CLASS_EXPERTS), 1);
    assert_true(p.together.step_s >= p.together.disk_s);
}

/* Half of the experts there: half of what a token needs comes from the disk, and a slow one decides. */
static void half_from_the_disk(void **state)
{
    (void)state;
    const PlanModel m = round_model();
    PlanWish wish = round_wish(1 << 30);
    wish.n_slots = 4;
    Plan p;
    plan_make(&m, &round_machine, &wish, &p);
    assert_int_equal(p.slots.why, SLOTS_WISHED);
    expect_near(p.hit_rate, 0.5, 0);
    expect_near(p.first.disk_bytes, 6000 * 256 * 2 / 2.0, 1e-6);
    expect_near(p.first.disk_s, p.first.disk_bytes / (1e6 * disk_share), 1e-9);
    const double cores_s = hypot(p.first.memory_s, p.first.product_s) + p.first.other_s;
    /* The disk rests in the last of two layers, and in the first where the second's one is there. */
    const double alone_s = cores_s * (1 + 0.5) / 2;
    expect_near(p.first.step_s, alone_s + hypot(cores_s - alone_s, p.first.disk_s), 1e-9);
    wish.hit_rate = 0.9;                                /* known from use                       */
    plan_make(&m, &round_machine, &wish, &p);
    expect_near(p.first.disk_bytes, 6000 * 256 * 2 * 0.1, 1e-3);
}

static void touched_experts(void **state)
{
    (void)state;
    /* 8 experts of which 2: 1.75 times as many for two rows, 2.73 for four, 3.60 for eight. */
    expect_near(plan_touched(8, 2, 1), 2, 1e-12);
    expect_near(plan_touched(8, 2, 2) / 2, 1.75, 1e-12);
    expect_near(plan_touched(8, 2, 4) / 2, 2.734375, 1e-12);
    expect_near(plan_touched(8, 2, 8) / 2, 3.5995, 1e-4);
    expect_near(plan_touched(1, 1, 100), 1, 0);
}

/* Two layers of four experts that choose two: by hand. */
static void known_use_is_gone_by(void **state)
{
    (void)state;
    const float chances[8] = { 1, 1, 0.75f, 0.5f, 0.5f, 0.25f, 0, 0 };
    expect_near(plan_asked(chances, 0, 1), 0, 0);
    expect_near(plan_asked(chances, 3, 1), 2.75, 1e-12);
    expect_near(plan_asked(chances, 2.5, 1), 2.375, 1e-12);
    expect_near(plan_asked(chances, 8, 2), 2 + 0.9375 + 2 * 0.75 + 0.4375, 1e-12);

    const PlanModel m = round_model();
    const int64_t n_all = m.n_expert_layers * m.n_experts;
    float *hot = calloc((size_t)n_all, sizeof *hot);
    for (int64_t i = 0; i < n_all; i++) hot[i] = i < n_all / 2 ? 0.75f : 0.25f;
    PlanWish wish = round_wish(1 << 30);
    wish.n_slots = n_all / 2;
    wish.chances = hot;
    Plan p;
    plan_make(&m, &round_machine, &wish, &p);
    expect_near(p.first.resident, 0.75, 1e-12);
    expect_near(p.first.experts, (double)m.n_experts / 2, 1e-12);
    const double of_four = 1 - pow(0.25, 4), cold = 1 - pow(0.75, 4);
    expect_near(p.together.experts, (double)m.n_experts / 2 * (of_four + cold), 1e-9);
    expect_near(p.together.resident, of_four / (of_four + cold), 1e-9);
    expect_near(p.prompt.resident, 0.5, 1e-3);          /* a sweep asks for all                 */
    free(hot);
}

/* ---- for every model, machine and wish ---- */

enum { ROUNDS = 400, SEED = 20240607 };

static int64_t between(Rng *rng, int64_t least, int64_t most)
{
    return least + (int64_t)(rng_unit(rng) * (double)(most - least + 1));
}

static PlanModel some_model(Rng *rng)
{
    static const Format formats[] = { F16, Q8_0, Q6_K, Q5_K, Q4_K, Q4_0, Q3_K, Q2_K };
    const int64_t width = 256 * between(rng, 2, 24), hidden = 256 * between(rng, 2, 40), heads = between(rng, 1, 8);
    PlanModel m = { .n_layers = between(rng, 1, 60), .n_vocab = between(rng, 1000, 100000), .n_context = 1 << 20 };
    m.n_expert_layers = m.n_layers;
    m.n_experts = between(rng, 1, 64);
    m.n_used = between(rng, 1, m.n_experts < 8 ? m.n_experts : 8);
    m.kv_values = heads * 256;
    m.attend_values = heads * 1024;
    m.window = rng_unit(rng) < 0.2 ? 4096 : 0;
    const Format f = formats[between(rng, 0, ARRAY_LEN(formats) - 1)];
    plan_add(&m, &(PlanTensor){ CLASS_EXPERTS, f, 3 * hidden * m.n_layers, width, m.n_experts });
    plan_add(&m, &(PlanTensor){ CLASS_ATTENTION, Q8_0, 2 * width * m.n_layers, width, 1 });
    plan_add(&m, &(PlanTensor){ CLASS_EMBED, f, m.n_vocab, width, 1 });
    if (rng_unit(rng) < 0.8) plan_add(&m, &(PlanTensor){ CLASS_OUT, Q6_K, m.n_vocab, width, 1 });
    return m;
}

static PlanWish some_wish(Rng *rng)
{
    static const Format caches[] = { F16, F32, Q8_0 };
    return (PlanWish){ .budget_bytes = between(rng, 1, 64) << 30, .n_context = between(rng, 1, 65536),
                       .n_sessions = between(rng, 1, 4), .n_rows = between(rng, 1, 1024),
                       .n_prompt = between(rng, 1, 4096), .n_together = between(rng, 1, 16),
                       .kv = caches[between(rng, 0, 2)], .page_tokens = 64,
                       .scratch_bytes = 100 << 20, .spare_bytes = 64 << 20, .hit_rate = -1 };
}

static void expect_not_slower(const Plan *worse, const Plan *better, const char *what, int round)
{
    const double slack = 1 + 1e-9;
    if (worse->slots.why == SLOTS_TOO_FEW) return;
    if (better->slots.why == SLOTS_TOO_FEW || better->first.step_s > worse->first.step_s * slack ||
        better->last.step_s > worse->last.step_s * slack || better->together.step_s > worse->together.step_s * slack ||
        better->prompt_s > worse->prompt_s * slack)
        fail_msg("seed %d, round %d, %s: one row %g then %g s, a prompt %g then %g s", SEED, round, what,
                 worse->first.step_s, better->first.step_s, worse->prompt_s, better->prompt_s);
}

static void more_is_never_worse(void **state)
{
    (void)state;
    Rng rng = { SEED };
    for (int i = 0; i < ROUNDS; i++) {
        const PlanModel m = some_model(&rng);
        const PlanWish wish = some_wish(&rng);
        const PlanMachine machine = { 1e9 * rng_unit(&rng) * 100 + 1e8, 1e12, 2e11, 1e8 + 1e10 * rng_unit(&rng),
                                      i % 2 ? "avx2" : NULL };
        Plan plan, other;
        plan_make(&m, &machine, &wish, &plan);

        PlanWish more = wish;
        more.budget_bytes += between(&rng, 0, 8) << 28;
        plan_make(&m, &machine, &more, &other);
        expect_not_slower(&plan, &other, "more memory", i);

        PlanWish longer = wish;
        longer.n_context += between(&rng, 0, 65536);
        plan_make(&m, &machine, &longer, &other);
        expect_not_slower(&other, &plan, "less context", i);

        PlanMachine faster = machine;
        faster.disk_bytes *= 2;
        faster.read_bytes *= 1.5;
        plan_make(&m, &faster, &wish, &other);
        expect_not_slower(&plan, &other, "a faster machine", i);
    }
}

static void numbers_add_up(void **state)
{
    (void)state;
    Rng rng = { SEED + 1 };
    for (int i = 0; i < ROUNDS; i++) {
        const PlanModel m = some_model(&rng);
        const PlanWish wish = some_wish(&rng);
        Plan p;
        plan_make(&m, &round_machine, &wish, &p);
        assert_int_equal(p.dense_bytes + p.experts_bytes, p.weight_bytes);
        if (p.slots.why == SLOTS_TOO_FEW) {
            assert_true(p.slots.need_bytes > wish.budget_bytes);
            assert_true(p.first.tokens_per_s == 0);
            continue;
        }
        assert_true(p.slots.used_bytes <= wish.budget_bytes);
        assert_true(p.hit_rate >= 0 && p.hit_rate <= 1);
        assert_true(p.first.resident >= p.last.resident);
        assert_true(p.together.tokens_per_s >= p.first.tokens_per_s * 0.999 || wish.n_together == 1);
        assert_true(p.first.weight_bytes <= (double)p.weight_bytes * 1.001);
        assert_true(p.first.disk_bytes <= (double)p.experts_bytes);
    }
}

static void places_by_their_memory(void **state)
{
    (void)state;
    const PlanModel m = round_model();
    const PlanWish wish = round_wish(0);
    for (const Place *place = place_table; place->name; place++) {
        const PlaceAnswer a = plan_place(&m, &wish, &round_machine, place);
        assert_true(a.works && a.fits && a.resident == 1 && a.tokens_per_s > 0);
        assert_true(place->card == (place->disk_bytes == 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_by_hand),
        cmocka_unit_test(more_sequences_than_were_planned_for),
        cmocka_unit_test(half_from_the_disk),
        cmocka_unit_test(touched_experts),
        cmocka_unit_test(known_use_is_gone_by),
        cmocka_unit_test(more_is_never_worse),
        cmocka_unit_test(numbers_add_up),
        cmocka_unit_test(places_by_their_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
