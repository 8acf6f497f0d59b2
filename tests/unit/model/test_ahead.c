/* SPDX-License-Identifier: Apache-2.0
 * Looking ahead: as far as it takes to find something to read, no further than guesses are mostly right, and what is
 * not believed is counted all the same.  A store that answers as we want, before the real one. */
#include "../../support.h"

#include <mixt.h>
#include <mixt_tools.h>

#include "gen/parts.h"
#include "lib/lib.h"

enum { N_LAYERS = 6, N_EXPERTS = 8, N_FAR = 4, N_ROWS = 20 };

static mixt_error error;

static void must(mixt_status status)
{
    if (status != MIXT_OK) fail_msg("%s: %s", mixt_status_name(status), error.text);
}

/* ---- the store that is asked ---- */

static const StoreOps *really;
static enum { NOTHING, EVERYTHING, THIS_LAYER } here;
static int layer, told[N_LAYERS];               /* guesses by distance                             */

static bool answers(const Store *store, ExpertId id)
{
    (void)store;
    return here == EVERYTHING || (here == THIS_LAYER && id.layer == layer);
}

static void counts(Store *store, const ExpertId *ids, int n, Hint hint)
{
    if (hint == HINT_NEEDED) layer = ids[0].layer;
    else told[(ids[0].layer - layer + N_LAYERS) % N_LAYERS]++;
    for (int i = 0; i < n; i++) assert_int_equal(ids[i].layer, ids[0].layer);
    really->hint(store, ids, n, hint);
}

/* ---- one token ---- */

static mixt_model *model;
static mixt_engine *engine;
static mixt_session *session;

static int make(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s/ahead.gguf", test_scratch());
    mixt_synth_options o = mixt_synth_defaults();
    o.like = "tiny";
    o.type = "Q8_0";
    o.n_layers = N_LAYERS;
    o.n_experts = N_EXPERTS;
    must(mixt_synth(path, &o, &error));
    must(mixt_model_open(path, NULL, &model, &error));
    return 0;
}

static int end(void **state)
{
    (void)state;
    mixt_model_free(model);
    return 0;
}

/* Every expert but one has a place, so that whatever is said of them nothing has to be waited for. */
static Luck *begin_with(StoreOps *ops, int n_batch)
{
    mixt_engine_options o = mixt_engine_defaults();
    o.n_threads = 1;
    o.expert_slots = N_LAYERS * N_EXPERTS - 1;
    o.look_ahead = N_FAR;
    o.n_batch = (size_t)n_batch;
    must(mixt_engine_new(model, &o, &engine, &error));
    must(mixt_session_new(engine, 3 * N_ROWS, &session, &error));
    Store *store = engine->engine->model->store;
    really = store->ops;
    *ops = *really;
    ops->resident = answers;
    ops->hint = counts;
    store->ops = ops;
    memset(told, 0, sizeof told);
    return engine->engine->work.luck;
}

static Luck *begin(StoreOps *ops)
{
    return begin_with(ops, 0);
}

static void token(void)
{
    const mixt_token t = 7;
    must(mixt_engine_step(engine, &session, &t, 1, NULL, &error));
}

static void stop(void)
{
    engine->engine->model->store->ops = really;
    mixt_session_free(session);
    mixt_engine_free(engine);
}

/* ---- tests ---- */

static void looks_on_while_nothing_is_missing(void **state)
{
    (void)state;
    StoreOps ops;
    const Luck *luck = begin(&ops);
    here = EVERYTHING;
    token();
    for (int far = 1; far < N_LAYERS; far++) assert_int_equal(told[far], far <= N_FAR ? N_LAYERS - far : 0);
    for (int far = 1; far <= N_FAR; far++) {            /* two experts a token, each layer's in its turn */
        assert_int_equal(luck[far - 1].guesses, 2 * (N_LAYERS - far));
        assert_in_range(luck[far - 1].right, 0, luck[far - 1].guesses);
    }
    stop();
}

static void stops_where_enough_is_missing(void **state)
{
    (void)state;
    StoreOps ops;
    begin(&ops);
    here = NOTHING;
    token();
    assert_int_equal(told[1], N_LAYERS - 1);
    for (int far = 2; far < N_LAYERS; far++) assert_int_equal(told[far], 0);
    stop();
}

static void what_is_mostly_wrong_is_counted_and_not_told(void **state)
{
    (void)state;
    StoreOps ops;
    Luck *luck = begin(&ops);
    here = EVERYTHING;
    luck[1] = (Luck){ .guesses = 100, .right = 40 };
    token();
    assert_int_equal(told[1], N_LAYERS - 1);
    for (int far = 2; far < N_LAYERS; far++) assert_int_equal(told[far], 0);
    assert_int_equal(luck[1].guesses, 100 + 2 * (N_LAYERS - 2));
    assert_int_equal(luck[2].guesses, 0);
    luck[1].right = luck[1].guesses;                    /* it gets better: believed again          */
    token();
    assert_int_equal(told[2], N_LAYERS - 2);
    stop();
}

/* All experts of a layer are certain, of the last one none: only one row goes through it.  Where this layer lacks
 * nothing two are read ahead. */
static void a_sweep_looks_to_the_next_layer_that_lacks_something(void **state)
{
    (void)state;
    static const int want[][N_LAYERS] = { [NOTHING] = { 0, 4 }, [EVERYTHING] = { 0, 4, 3, 2, 1 },
                                          [THIS_LAYER] = { 0, 4, 3 } };
    mixt_token prompt[N_ROWS];
    for (int i = 0; i < N_ROWS; i++) prompt[i] = 7 + i;
    StoreOps ops;
    for (here = NOTHING; here <= THIS_LAYER; here++) {
        begin(&ops);
        must(mixt_session_sync(session, prompt, N_ROWS, &error));
        assert_memory_equal(told, want[here], sizeof told);
        stop();
    }
}

/* A prompt in two pieces: nobody goes through the first one's last layer, and then comes the first layer again. */
static void a_sweep_looks_into_the_next_one(void **state)
{
    (void)state;
    static const int want[][N_LAYERS] = { [NOTHING] = { 0, 4 + 4, 1 },
                                          [EVERYTHING] = { 0, 4 + 4, 4 + 3, 4 + 2, 4 + 1 } };
    mixt_token prompt[2 * N_ROWS];
    for (int i = 0; i < 2 * N_ROWS; i++) prompt[i] = 7 + i;
    StoreOps ops;
    for (here = NOTHING; here <= EVERYTHING; here++) {
        begin_with(&ops, N_ROWS);
        must(mixt_session_sync(session, prompt, 2 * N_ROWS, &error));
        assert_memory_equal(told, want[here], sizeof told);
        stop();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks_on_while_nothing_is_missing),
        cmocka_unit_test(stops_where_enough_is_missing),
        cmocka_unit_test(what_is_mostly_wrong_is_counted_and_not_told),
        cmocka_unit_test(a_sweep_looks_to_the_next_layer_that_lacks_something),
        cmocka_unit_test(a_sweep_looks_into_the_next_one),
    };
    return cmocka_run_group_tests(tests, make, end);
}
