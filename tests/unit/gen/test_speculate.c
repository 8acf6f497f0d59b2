/* SPDX-License-Identifier: Apache-2.0
 * gen/speculate.c, gen/pace.c: with drafts and without, the same tokens, the same text, the same session; and drafts
 * are verified where that pays. */
#include "../../support.h"

#include <mixt.h>
#include <mixt_tools.h>

#include "gen/speculate.h"

#include <math.h>

static mixt_error error;

static void must(mixt_status status)
{
    if (status != MIXT_OK) fail_msg("%s: %s", mixt_status_name(status), error.text);
}

/* ---- drafts ---- */

static void check_draft(const char *text, int most, const char *want, int matched)
{
    int32_t tokens[64], got[32];
    char said[33] = { 0 };
    int n_matched;
    const int n = (int)strlen(text) - 1;
    for (int i = 0; i < n; i++) tokens[i] = (uint8_t)text[i];
    const int n_got = draft_tokens(tokens, n, (uint8_t)text[n], got, most, &n_matched);
    for (int i = 0; i < n_got; i++) said[i] = (char)got[i];
    if (strcmp(said, want) || n_matched != matched)
        fail_msg("'%s': want '%s' after %d, got '%s' after %d", text, want, matched, said, n_matched);
}

static void drafts_follow_the_longest_match(void **state)
{
    (void)state;
    check_draft("the cat sat; the ca", 6, "t sat;", 6);
    check_draft("xabc1 yabc2 xabc", 1, "1", 4);             /* longer beats later               */
    check_draft("abc1 abc2 abc", 1, "2", 4);                /* later beats earlier              */
    check_draft("ab1 ab2 zab", 1, "2", 2);
    check_draft("abcabcabc", 8, "abcabcab", 6);             /* goes on going round              */
    check_draft("aaa", 4, "aaaa", 2);
    check_draft("abcdefg", 4, "", 0);
    check_draft("axbxcx", 4, "", 0);                        /* one token is no match            */
    check_draft("a", 4, "", 0);
    check_draft("abab", 0, "", 2);
}

/* ---- what pays ---- */

static void experts_touched_is_the_known_sum(void **state)
{
    (void)state;
    assert_true(fabs(experts_touched(8, 2, 1) - 2) < 1e-12);
    assert_true(fabs(experts_touched(8, 2, 2) - 3.5) < 1e-12);
    assert_true(fabs(experts_touched(1, 1, 7) - 1) < 1e-12);
    assert_true(experts_touched(8, 2, 1000) <= 8);
}

static void depth_follows_cost_and_luck(void **state)
{
    (void)state;
    Pace p;
    pace_begin(&p, 1, 1, 0.7);                              /* a dense model's rows are nearly free */
    assert_int_equal(pace_depth(&p, 15, 20), 0);            /* .. but measured first             */
    pace_step(&p, 1, 1000, 0);
    assert_int_equal(pace_depth(&p, 15, 20), 15);

    pace_begin(&p, 64, 1, 0.99);                            /* each row reads another expert    */
    pace_step(&p, 1, 1000, 990);
    for (int i = 0; i < 50; i++) pace_draft(&p, 2, false);
    assert_int_equal(pace_depth(&p, 15, 2), 0);             /* drafts that are never right      */
    for (int i = 0; i < 200; i++) pace_draft(&p, 2, true);
    assert_true(pace_depth(&p, 15, 2) > 0);

    pace_begin(&p, 8, 2, 0.9);
    pace_step(&p, 1, 1000, 0);
    for (int i = 0; i < 100; i++) pace_draft(&p, 12, i % 20 != 0);
    const int believed = pace_depth(&p, 15, 12);
    assert_true(believed > 2);                              /* by the bytes ..                  */
    for (int n = 2; n <= SPECULATE_MAX + 1; n++) pace_step(&p, n, 1000 * n, 0);
    assert_int_equal(pace_depth(&p, 15, 12), 0);            /* .. and by the clock              */
    for (int i = 0; i < 300; i++) pace_step(&p, 1, 1000, 0);
    assert_int_equal(pace_depth(&p, 15, 12), believed);     /* which is asked again             */
}

/* ---- the same bytes ---- */

#ifdef MIXT_HOSTILE             /* steps take longer, and the cache is small whatever is asked for */
enum { SHORTER = 8, SLOTS_MAX = 0 };
#else
enum { SHORTER = 1, SLOTS_MAX = 3 };
#endif

typedef struct Said {
    Buffer         text;
    mixt_generated got;
    mixt_token     held[700];
    size_t         n_held;
    uint32_t       logits_hash;
} Said;

static int on_text(void *user, const char *bytes, size_t n_bytes)
{
    Said *said = user;
    buffer_append(&said->text, bytes, n_bytes);
    return 0;
}

typedef struct Wish { float temperature; uint64_t seed; size_t n_tokens_max, n_context; const char *stop; } Wish;

static void say(mixt_engine *engine, const mixt_model *model, const Wish *wish, int speculate, Said *out)
{
    static const mixt_token prompt[] = { 1, 270, 271, 272, 280, 270, 271, 272, 281, 270, 271 };
    mixt_session *session;
    mixt_sampler *sampler;
    mixt_sampler_options s = mixt_sampler_defaults();
    mixt_generate_options g = mixt_generate_defaults();
    *out = (Said){ 0 };
    s.temperature = wish->temperature;
    s.seed = wish->seed;
    s.repeat_penalty = 1.05f;
    g.n_tokens_max = (wish->n_tokens_max + SHORTER - 1) / SHORTER;
    g.stops = &wish->stop;
    g.n_stops = wish->stop != NULL;
    g.ignore_end = true;
    g.on_text = on_text;
    g.user = out;
    g.speculate = speculate;
    must(mixt_session_new(engine, wish->n_context, &session, &error));
    must(mixt_sampler_new(model, &s, &sampler, &error));
    must(mixt_session_sync(session, prompt, sizeof prompt / sizeof *prompt, &error));
    must(mixt_generate(session, sampler, &g, &out->got, &error));
    out->n_held = mixt_session_n_tokens(session);
    memcpy(out->held, mixt_session_tokens(session), out->n_held * sizeof *out->held);
    const unsigned char *bytes = (const unsigned char *)mixt_session_logits(session);
    for (size_t i = 0; i < (size_t)mixt_model_read(model).n_vocab * sizeof(float); i++)
        out->logits_hash = out->logits_hash * 31 + bytes[i];
    mixt_sampler_free(sampler);
    mixt_session_free(session);
}

static void same(const Said *want, const Said *got, const char *what)
{
    if (want->text.n_bytes != got->text.n_bytes || memcmp(want->text.data, got->text.data, want->text.n_bytes))
        fail_msg("%s: text: want '%s', got '%s'", what, want->text.data, got->text.data);
    if (want->n_held != got->n_held || memcmp(want->held, got->held, want->n_held * sizeof *want->held))
        fail_msg("%s: the session: want %zu tokens, got %zu, or others", what, want->n_held, got->n_held);
    if (want->logits_hash != got->logits_hash) fail_msg("%s: the last logits differ", what);
    assert_int_equal(want->got.finish, got->got.finish);
    assert_int_equal(want->got.n_tokens, got->got.n_tokens);
}

static void drafts_change_nothing_but_the_time(void **state)
{
    (void)state;
    const char *path = "speculate.gguf";
    char whole[512];
    snprintf(whole, sizeof whole, "%s/%s", test_scratch(), path);
    mixt_synth_options o = mixt_synth_defaults();
    o.like = "tiny";
    o.n_layers = 2;
    o.n_vocab = 360;                                        /* it soon goes round               */
    o.type = "Q8_0";
    must(mixt_synth(whole, &o, &error));
    mixt_model *model;
    must(mixt_model_open(whole, NULL, &model, &error));
    const Wish wishes[] = {
        { .n_tokens_max = 200 }, { .n_context = 64 }, { .temperature = 0.3f, .seed = 4, .n_tokens_max = 200 },
        { .temperature = 0.8f, .seed = 9, .n_tokens_max = 150 }, { .n_tokens_max = 1 }, { .n_tokens_max = 2 },
        { .n_tokens_max = 200, .stop = "e" }, { .temperature = 0.5f, .seed = 2, .n_tokens_max = 300, .stop = "th" },
    };
    const int depths[] = { 1, 3, SPECULATE_MAX, SPECULATE_AUTO };
    size_t n_accepted = 0;
    for (size_t slots = 0; slots <= SLOTS_MAX; slots += 3) {
        mixt_engine_options e = mixt_engine_defaults();
        mixt_engine *engine;
        e.expert_slots = slots;
        must(mixt_engine_new(model, &e, &engine, &error));
        for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
            Said want, got;
            say(engine, model, &wishes[i], 0, &want);
            for (int d = 0; d < 4; d++) {
                char what[96];
                snprintf(what, sizeof what, "wish %zu, %d drafts, %zu slots", i, depths[d], slots);
                say(engine, model, &wishes[i], depths[d], &got);
                same(&want, &got, what);
                assert_true(got.got.n_accepted <= got.got.n_drafted);
                if (d < 3) n_accepted += got.got.n_accepted;
                buffer_free(&got.text);
            }
            buffer_free(&want.text);
        }
        mixt_engine_free(engine);
    }
    assert_true(n_accepted > 100 / SHORTER);                /* else nothing was tried           */
    mixt_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drafts_follow_the_longest_match),
        cmocka_unit_test(experts_touched_is_the_known_sum),
        cmocka_unit_test(depth_follows_cost_and_luck),
        cmocka_unit_test(drafts_change_nothing_but_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
