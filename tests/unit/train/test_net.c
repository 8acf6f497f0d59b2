/* SPDX-License-Identifier: Apache-2.0
 * A network that learns, as its callers see it: the same bytes whatever the threads and whatever is kept; the same
 * answers as the engine; frozen rows of every format; batches and numbers that make no sense.
 *
 * That its gradients are right is shown in tests/train. */
#include "../../support.h"

#include "../../train/cases.h"
#include "train/parts.h"

#include <mixt.h>
#include <mixt_tools.h>

#include <math.h>

static Kernels kernels;

#define must(call)                                                                                 \
    do {                                                                                           \
        Error *error_ = &error;                                                                    \
        if ((call) != OK) fail_msg("%s: %s", #call, error_->text);                                 \
    } while (0)

static const Arch *arch_of(const Case *c)
{
    return arch_table[c->sizes.dense ? 1 : 0];
}

/* ---- the same bytes ---- */

typedef struct Learned { float *grads; int64_t n; NetReport report; } Learned;

/* Two passes, so that adding to gradients is part of it. */
static Learned learn_in(const Case *c, int n_threads, const Kernels *with, bool little_room)
{
    static int32_t tokens[CASE_TOKENS_MAX], targets[CASE_TOKENS_MAX], starts[CASE_TOKENS_MAX];
    Error error;
    Pool *pool;
    Net *net;
    Batch batch;
    Learned out = { 0 };
    case_batch(c, tokens, targets, starts, &batch);
    must(pool_new(n_threads, &pool, &error));
    must(case_net(c, arch_of(c), pool, with, &net, &error));
    if (little_room) {
        net->work.chunk = 16;                       /* pairs of rows stay pairs                 */
        net->multiplier.n_words /= 3;               /* of which lists of experts were the most  */
    }
    for (int pass = 0; pass < 2; pass++) must(net_learn(net, &batch, 0.01, &out.report, &error));
    net_values(net, &out.n);
    out.grads = malloc((size_t)out.n * sizeof *out.grads);
    assert_non_null(out.grads);
    memcpy(out.grads, net_grads(net), (size_t)out.n * sizeof *out.grads);
    net_free(net);
    pool_free(pool);
    return out;
}

static Learned learn(const Case *c, int n_threads, const Kernels *with)
{
    return learn_in(c, n_threads, with, false);
}

static void same(const Learned *want, const Learned *got, const char *name, const char *what)
{
    assert_int_equal(want->n, got->n);
    for (int64_t i = 0; i < want->n; i++)
        if (memcmp(&want->grads[i], &got->grads[i], sizeof *want->grads))
            fail_msg("%s, %s: gradient %lld: want %a got %a", name, what, (long long)i, (double)want->grads[i],
                     (double)got->grads[i]);
    if (memcmp(&want->report, &got->report, sizeof want->report))
        fail_msg("%s, %s: loss: want %a got %a", name, what, want->report.loss, got->report.loss);
}

static void threads_and_recomputation_change_no_byte(void **state)
{
    (void)state;
    for (int i = 0; i < ARRAY_LEN(cases); i++)
        for (int bf16 = 0; bf16 < 2; bf16++) {
            Case c = cases[i];
            c.options.bf16 = bf16;
            c.options.recompute = false;
            Learned want = learn(&c, 1, &kernels);
            for (int n_threads = 2; n_threads <= 3; n_threads++) {
                Learned got = learn(&c, n_threads, &kernels);
                same(&want, &got, c.name, n_threads == 2 ? "2 threads" : "3 threads");
                free(got.grads);
            }
            c.options.recompute = true;
            Learned again = learn(&c, 2, &kernels);
            same(&want, &again, c.name, "recomputed");
            free(again.grads);
            free(want.grads);
        }
}

/* Logits in many chunks, and products in many rounds. */
static void less_room_changes_no_byte(void **state)
{
    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        Case c = cases[ARRAY_LEN(cases) - 1];
        c.options.bf16 = bf16;
        Learned want = learn(&c, 2, &kernels), got = learn_in(&c, 2, &kernels, true);
        same(&want, &got, c.name, "less room");
        free(want.grads);
        free(got.grads);
    }
}

/* Instruction sets differ by rounding only: floats by 2^-24 a number, here a few hundred of them in a chain; BF16 by
 * a rounding the other way, 2^-8, now and then. */
static void instruction_sets_agree(void **state)
{
    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        Case c = cases[1];
        c.options.bf16 = bf16;
        Kernels ref;
        kernels_select(&ref, CPU_REF);
        Learned want = learn(&c, 1, &ref), got = learn(&c, 1, &kernels);
        double off = 0, all = 0;
        for (int64_t i = 0; i < want.n; i++) {
            const double difference = (double)want.grads[i] - (double)got.grads[i];
            off += difference * difference;
            all += (double)want.grads[i] * (double)want.grads[i];
        }
        print_message("%s: %s against %s: %.2e\n", bf16 ? "bf16" : "f32", cpu_set_name[CPU_REF],
                      cpu_set_name[cpu_detect()], sqrt(off / all));
        assert_true(all > 0 && sqrt(off / all) < (bf16 ? 0x1p-8 : 1e-5));
        free(want.grads);
        free(got.grads);
    }
}

/* ---- the same answers as the engine ---- */

enum { N_TOKENS = 24 };

static void engine_logits(const char *path, const int32_t *tokens, float *logits)
{
    mixt_error error;
    mixt_model *model;
    mixt_engine *engine;
    mixt_session *session;
    mixt_engine_options o = mixt_engine_defaults();
    o.device = "ref";
    o.kv = MIXT_KV_F32;
    if (mixt_model_open(path, NULL, &model, &error) || mixt_engine_new(model, &o, &engine, &error) ||
        mixt_session_new(engine, 64, &session, &error) ||
        mixt_session_score(session, tokens, N_TOKENS, logits, &error))
        fail_msg("%s: %s", path, error.text);
    mixt_session_free(session);
    mixt_engine_free(engine);
    mixt_model_free(model);
}

static double distance(const float *want, const float *got, int64_t n)
{
    double off = 0, all = 0;
    for (int64_t i = 0; i < n; i++) {
        off += ((double)want[i] - (double)got[i]) * ((double)want[i] - (double)got[i]);
        all += (double)want[i] * (double)want[i];
    }
    return sqrt(off / all);
}

typedef struct ModelFile { Catalog catalog; const Arch *arch; Sizes sizes; char path[512]; } ModelFile;

static void make_file(const char *type, bool dense, ModelFile *f)
{
    Error error;
    mixt_error said;
    mixt_synth_options o = mixt_synth_defaults();
    o.like = "tiny";
    o.type = type;
    o.n_layers = 2;
    o.n_experts = dense ? -1 : 0;
    snprintf(f->path, sizeof f->path, "%s/%s-%d.gguf", test_scratch(), type, dense);
    if (mixt_synth(f->path, &o, &said)) fail_msg("%s: %s", type, said.text);
    must(catalog_open(f->path, &f->catalog, &error));
    must(arch_find(&f->catalog, &f->arch, &error));
    must(arch_sizes(f->arch, &f->catalog, &f->sizes, &error));
}

/* A chain of n floats is off by about sqrt(n) 2^-24, 1.3e-6 for 512; some 15 of them follow each other, and one moves
 * what the next adds: 2 * sqrt(15) * 1.3e-6 = 1e-5.  Frozen rows and decoded ones are the same floats. */
static void answers_are_those_of_the_engine(void **state)
{
    (void)state;
    const char *const *types = mixt_synth_types();
    int32_t tokens[N_TOKENS], targets[N_TOKENS], starts[N_TOKENS] = { 0 };
    const NetOptions options = { .n_sequences = 1, .n_tokens = N_TOKENS };
    const Batch batch = { 1, N_TOKENS, tokens, targets, starts };
    AdapterPlan plan = { .rank = { [ROLE_Q] = 4, [ROLE_UP] = 3 }, .alpha = { [ROLE_Q] = 8, [ROLE_UP] = 3 } };
    for (int i = 0; i < N_TOKENS; i++) tokens[i] = 3 + 37 * i % 900, targets[i] = i % 2 ? 5 : -1;
    Error error;
    Pool *pool;
    must(pool_new(2, &pool, &error));
    for (int i = 0; types[i]; i++)
        for (int dense = 0; dense < 2; dense++) {
            ModelFile f;
            Net *decoded, *frozen;
            NetReport a = { 0 }, b = { 0 };
            make_file(types[i], dense, &f);
            const int64_t n = N_TOKENS * f.sizes.n_vocab;
            float *want = malloc((size_t)n * sizeof *want), *got = malloc((size_t)n * sizeof *got),
                  *other = malloc((size_t)n * sizeof *other);
            assert_true(want && got && other);
            engine_logits(f.path, tokens, want);
            must(net_from_catalog(f.arch, &f.catalog, &f.sizes, &options, pool, &kernels, &decoded, &error));
            must(net_adapt(f.arch, &f.catalog, &f.sizes, &options, &plan, 1, pool, &kernels, &frozen, &error));
            catalog_close(&f.catalog);
            remove(f.path);
            must(net_judge(decoded, &batch, &a, got, &error));
            must(net_judge(frozen, &batch, &b, other, &error));
            const double off = distance(want, got, n);
            print_message("%s%s: relative l2 error %.2e\n", types[i], dense ? ", dense" : "", off);
            if (!(off < 1e-5)) fail_msg("%s: relative l2 error %.3e, allowed 1e-5", types[i], off);
            assert_memory_equal(got, other, (size_t)n * sizeof *got);
            assert_int_equal(a.n_targets, N_TOKENS / 2);
            must(net_learn(frozen, &batch, 0.1, &b, &error));
            int n_params, n_moved = 0;
            const Param *params = net_params(frozen, &n_params);
            for (int p = 0; p < n_params; p++)
                for (int64_t k = 0; k < params[p].rows * params[p].cols; k++)
                    if (params[p].grad[k] != 0.0f) {
                        n_moved++;
                        break;
                    }
            /* b is zero, so only matrices b feel a gradient at first, those of experts that were used. */
            assert_int_equal(n_params, 2 * 2 * (1 + f.sizes.n_experts));
            assert_in_range(n_moved, 2 * (1 + f.sizes.n_used), n_params / 2);
            net_free(decoded);
            net_free(frozen);
            free(want);
            free(got);
            free(other);
        }
    pool_free(pool);
}

/* ---- choices ---- */

/* The first U of a scan for the largest, the lower index on a tie. */
static void choices_take_the_lower_index_on_a_tie(void **state)
{
    (void)state;
    Error error;
    Pool *pool;
    Net *net;
    const Case *c = &cases[ARRAY_LEN(cases) - 1];
    const int64_t n_rows = c->options.n_sequences * c->options.n_tokens, n_experts = c->sizes.n_experts;
    must(pool_new(2, &pool, &error));
    must(case_net(c, arch_of(c), pool, &kernels, &net, &error));
    Rng rng = { 9 };
    for (int64_t i = 0; i < n_rows * n_experts; i++) net->work.scores[i] = (float)(rng_bits(&rng) % 5);
    const Pass pass = { .n_rows = n_rows };
    must(route_rows(net, 0, &net->kept[0].plan, &pass, &error));
    for (int64_t n = 0; n < n_rows; n++) {
        bool taken[EXPERTS_MAX] = { false };
        const float *scores = net->work.scores + n * n_experts;
        for (int64_t j = 0; j < c->sizes.n_used; j++) {
            int want = -1;
            for (int e = 0; e < n_experts; e++)
                if (!taken[e] && (want < 0 || scores[e] > scores[want])) want = e;
            taken[want] = true;
            assert_int_equal(net->kept[0].plan.experts[n * c->sizes.n_used + j], want);
        }
    }
    net->work.scores[7] = NAN;
    assert_int_equal(route_rows(net, 0, &net->kept[0].plan, &pass, &error), FAILED);
    net_free(net);
    pool_free(pool);
}

/* With room for fewer rows than want one, those that come first are served. */
static void capacity_drops_the_last(void **state)
{
    (void)state;
    Error error;
    Pool *pool;
    Net *net;
    Case c = cases[0];
    c.options.capacity = 0.5;
    const int64_t n_rows = c.options.n_sequences * c.options.n_tokens, n_experts = c.sizes.n_experts,
                  room = (int64_t)ceil(0.5 * (double)(n_rows * c.sizes.n_used) / (double)n_experts);
    must(pool_new(1, &pool, &error));
    must(case_net(&c, arch_of(&c), pool, &kernels, &net, &error));
    for (int64_t i = 0; i < n_rows * n_experts; i++) net->work.scores[i] = -(float)(i % n_experts);
    int64_t uses[8] = { 0 };
    double entropy[2] = { 0 };
    NetReport report = { .uses = uses, .entropy = entropy };
    const Pass pass = { .n_rows = n_rows, .report = &report };
    const Plan *plan = &net->kept[0].plan;
    must(route_rows(net, 0, &net->kept[0].plan, &pass, &error));
    assert_int_equal(uses[0], room);
    assert_int_equal(uses[1], room);
    assert_int_equal(uses[2], 0);
    assert_int_equal(report.n_dropped, 2 * (n_rows - room));
    for (int64_t n = 0; n < n_rows; n++) {
        assert_int_equal(plan->place_of[2 * n], n < room ? n : -1);
        assert_int_equal(plan->place_of[2 * n + 1], n < room ? room + n : -1);
    }
    net_free(net);
    pool_free(pool);
}

/* ---- losses of the caller's own ---- */

static Status minus_share(void *user, const float *logprobs, float *weights, Error *error)
{
    const Batch *b = user;
    (void)error;
    for (int64_t i = 0; i < b->n_sequences * b->n_tokens; i++) {
        assert_true(b->targets[i] < 0 ? logprobs[i] == 0.0f : logprobs[i] < 0.0f);
        weights[i] = b->targets[i] < 0 ? NAN : -0.01f;      /* what has no target is not looked at */
    }
    return OK;
}

static Status refuse(void *user, const float *logprobs, float *weights, Error *error)
{
    (void)user, (void)logprobs, (void)weights;
    return fail(error, CANCELLED, "enough");
}

static void a_loss_of_the_callers_own_is_the_usual_one_when_it_weighs_so(void **state)
{
    (void)state;
    static int32_t tokens[CASE_TOKENS_MAX], targets[CASE_TOKENS_MAX], starts[CASE_TOKENS_MAX];
    Error error;
    Pool *pool;
    Net *net;
    Batch batch;
    const Case *c = &cases[3];
    Learned want = learn(c, 2, &kernels), got = { 0 };
    case_batch(c, tokens, targets, starts, &batch);
    must(pool_new(2, &pool, &error));
    must(case_net(c, arch_of(c), pool, &kernels, &net, &error));
    assert_int_equal(net_learn_weighed(net, &batch, refuse, NULL, 0.01, &got.report, &error), CANCELLED);
    got.report = (NetReport){ 0 };
    for (int pass = 0; pass < 2; pass++)
        must(net_learn_weighed(net, &batch, minus_share, &batch, 0.01, &got.report, &error));
    got.grads = net_grads(net);
    got.n = want.n;
    same(&want, &got, c->name, "weighed");
    free(want.grads);
    net_free(net);
    pool_free(pool);
}

/* ---- what makes no sense ---- */

static void bad_batches_and_options_are_sentences(void **state)
{
    (void)state;
    static int32_t tokens[CASE_TOKENS_MAX], targets[CASE_TOKENS_MAX], starts[CASE_TOKENS_MAX];
    Error error;
    Pool *pool;
    Net *net, *none;
    Batch batch;
    NetReport report = { 0 };
    Case c = cases[0];
    must(pool_new(1, &pool, &error));
    must(case_net(&c, arch_of(&c), pool, &kernels, &net, &error));
    case_batch(&c, tokens, targets, starts, &batch);
    Batch large = batch;
    large.n_tokens++;
    assert_int_equal(net_judge(net, &large, &report, NULL, &error), BAD_ARGUMENT);
    int32_t *const at[] = { &tokens[5], &targets[5], &starts[5], &tokens[0] };
    const int32_t bad[] = { 75, 75, 6, -1 };
    for (int i = 0; i < ARRAY_LEN(at); i++) {
        const int32_t good = *at[i];
        *at[i] = bad[i];
        assert_int_equal(net_learn(net, &batch, 1.0, &report, &error), BAD_ARGUMENT);
        *at[i] = good;
    }
    int64_t n_values;
    net_values(net, &n_values)[n_values - 1] = INFINITY;            /* of the last row of the output matrix */
    assert_int_equal(net_learn(net, &batch, 1.0, &report, &error), FAILED);
    net_free(net);

    AdapterPlan plan = { .rank = { [ROLE_Q] = 2 } };
    assert_int_equal(net_adapt(arch_of(&c), NULL, &c.sizes, &c.options, &plan, 1, pool, &kernels, &none, &error),
                     BAD_ARGUMENT);
    plan.beside = true;
    plan.rank[ROLE_ATTN_NORM] = 1;
    assert_int_equal(net_adapt(arch_of(&c), NULL, &c.sizes, &c.options, &plan, 1, pool, &kernels, &none, &error),
                     BAD_ARGUMENT);
    c.options.n_tokens = (int64_t)1 << 40;
    assert_int_equal(net_new(arch_of(&c), &c.sizes, &c.options, 1, pool, &kernels, &none, &error), BAD_ARGUMENT);
    c = cases[0];
    c.sizes.n_used = 5;
    assert_int_equal(net_new(arch_of(&c), &c.sizes, &c.options, 1, pool, &kernels, &none, &error), BAD_ARGUMENT);
    pool_free(pool);
}

/* What is promised is what is taken: values and gradients, and every array of space.c. */
static void bytes_are_told_before_they_are_taken(void **state)
{
    (void)state;
    for (int i = 0; i < ARRAY_LEN(cases); i++) {
        Error error;
        Pool *pool;
        Net *net;
        const Case *c = &cases[i];
        if (c->rank) continue;
        must(pool_new(pool_cores(), &pool, &error));
        must(case_net(c, arch_of(c), pool, &kernels, &net, &error));
        int64_t n_values, n_space;
        net_values(net, &n_values);
        Net counted = { .sizes = c->sizes, .options = c->options };
        must(net_space(&counted, NULL, pool_cores(), &n_space, &error));
        assert_int_equal(net_bytes(&c->sizes, &c->options), n_space + 2 * n_values * (int64_t)sizeof(float));
        net_free(net);
        pool_free(pool);
    }
}

int main(void)
{
    kernels_select(&kernels, cpu_detect());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_recomputation_change_no_byte),
        cmocka_unit_test(less_room_changes_no_byte),
        cmocka_unit_test(instruction_sets_agree),
        cmocka_unit_test(answers_are_those_of_the_engine),
        cmocka_unit_test(choices_take_the_lower_index_on_a_tie),
        cmocka_unit_test(capacity_drops_the_last),
        cmocka_unit_test(a_loss_of_the_callers_own_is_the_usual_one_when_it_weighs_so),
        cmocka_unit_test(bad_batches_and_options_are_sentences),
        cmocka_unit_test(bytes_are_told_before_they_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
