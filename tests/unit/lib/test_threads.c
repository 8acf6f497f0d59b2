/* SPDX-License-Identifier: Apache-2.0
 * One engine, several threads, each with its own session: everybody gets the bytes of being alone. */
#include "../../support.h"

#include <mixt.h>
#include <mixt_tools.h>

#include <pthread.h>

enum { N_THREADS = 4, N_TOKENS = 24 };

static mixt_model  *model;
static mixt_engine *engine;

typedef struct Speaker { uint64_t seed; mixt_token said[N_TOKENS]; mixt_status status; } Speaker;

static mixt_status speak(Speaker *me, mixt_session *session, mixt_sampler *sampler)
{
    const mixt_token start[3] = { 1, (mixt_token)(260 + me->seed), 300 };
    mixt_status status = mixt_session_sync(session, start, 3, NULL);
    for (int i = 0; i < N_TOKENS && status == MIXT_OK; i++) {
        status = mixt_sampler_pick(sampler, session, &me->said[i], NULL);
        if (status == MIXT_OK)
            status = mixt_engine_step(engine, &session, &me->said[i], 1, NULL, NULL);
        mixt_engine_read(engine);
    }
    return status;
}

static void *run(void *arg)
{
    Speaker *me = arg;
    mixt_session *session = NULL;
    mixt_sampler *sampler = NULL;
    mixt_sampler_options o = mixt_sampler_defaults();
    o.seed = me->seed;
    me->status = mixt_session_new(engine, 64, &session, NULL);
    if (me->status == MIXT_OK) me->status = mixt_sampler_new(model, &o, &sampler, NULL);
    if (me->status == MIXT_OK) me->status = speak(me, session, sampler);
    mixt_sampler_free(sampler);
    mixt_session_free(session);
    return NULL;
}

static void company_changes_nothing(void **state)
{
    (void)state;
    Speaker alone[N_THREADS] = { 0 }, together[N_THREADS] = { 0 };
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        alone[i].seed = together[i].seed = (uint64_t)i;
        run(&alone[i]);
        assert_int_equal(alone[i].status, MIXT_OK);
    }
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, &together[i]), 0);
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(together[i].status, MIXT_OK);
    }
    for (int i = 0; i < N_THREADS; i++)
        assert_memory_equal(alone[i].said, together[i].said, sizeof alone[i].said);
}

static int setup(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s/tiny.gguf", test_scratch());
    mixt_synth_options o = mixt_synth_defaults();
    o.n_layers = 2;
    o.type = "Q8_0";
    mixt_engine_options e = mixt_engine_defaults();
    e.n_threads = 3;
    return mixt_synth(path, &o, NULL) || mixt_model_open(path, NULL, &model, NULL) ||
           mixt_engine_new(model, &e, &engine, NULL);
}

static int teardown(void **state)
{
    (void)state;
    mixt_engine_free(engine);
    mixt_model_free(model);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(company_changes_nothing) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
