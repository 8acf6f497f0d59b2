/* SPDX-License-Identifier: Apache-2.0
 * Decision D1: the logits of a row are the same bytes whatever the number of threads, the cut of the prompt, the
 * company in a step, and where the experts lay.  For every weight type and all cache types. */
#include "../../support.h"

#include <mixt.h>
#include <mixt_tools.h>

#include "lib/lib.h"

enum { N_PROMPT = 70, N_VOCAB_MAX = 4096 };      /* longer than a page, and than a default step     */

#ifdef MIXT_HOSTILE             /* small reads past the page cache: a step takes a hundred times as long */
enum { N_SEEDS = 1 };
#else
enum { N_SEEDS = 4 };
#endif

static mixt_token prompt[4][N_PROMPT];
static float want[N_VOCAB_MAX], got[N_VOCAB_MAX];

static void must(mixt_status status, const mixt_error *error)
{
    if (status != MIXT_OK) fail_msg("%s: %s", mixt_status_name(status), error->text);
}

static mixt_engine *engine_with(const mixt_model *model, int n_threads, size_t n_batch,
                                size_t n_slots, mixt_kv kv)
{
    mixt_error error;
    mixt_engine *engine;
    mixt_engine_options o = mixt_engine_defaults();
    o.n_threads = n_threads;
    o.n_batch = n_batch;
    o.expert_slots = n_slots;
    o.kv = kv;
    must(mixt_engine_new(model, &o, &engine, &error), &error);
    return engine;
}

static size_t vocab_of(const mixt_model *model)
{
    const size_t n = (size_t)mixt_model_read(model).n_vocab;
    assert_true(n <= N_VOCAB_MAX);
    return n;
}

/* Logits after prompt 0, given in pieces of `piece` tokens. */
static void logits_of(const mixt_model *model, int n_threads, size_t n_batch, size_t n_slots,
                      size_t piece, mixt_kv kv, float *out)
{
    mixt_error error;
    mixt_session *session;
    mixt_engine *engine = engine_with(model, n_threads, n_batch, n_slots, kv);
    must(mixt_session_new(engine, 0, &session, &error), &error);
    for (size_t n = piece; n < N_PROMPT + piece; n += piece)
        must(mixt_session_sync(session, prompt[0], n < N_PROMPT ? n : N_PROMPT, &error), &error);
    memcpy(out, mixt_session_logits(session), vocab_of(model) * sizeof *out);
    mixt_session_free(session);
    mixt_engine_free(engine);
}

static void same(const mixt_model *model, const char *what)
{
    const size_t bytes = vocab_of(model) * sizeof *got;
    if (memcmp(got, want, bytes))
        fail_msg("%s: logits differ: first want %.9g got %.9g", what, (double)want[0],
                 (double)got[0]);
}

/* The last tokens of four sequences in shared steps: the first must come out as it does alone. */
static void in_company(const mixt_model *model, mixt_kv kv, float *out)
{
    mixt_error error;
    mixt_session *sessions[4];
    mixt_engine *engine = engine_with(model, 2, 0, 0, kv);
    const size_t held[4] = { N_PROMPT - 5, 3, 40, 66 };
    for (int i = 0; i < 4; i++) {
        must(mixt_session_new(engine, 0, &sessions[i], &error), &error);
        must(mixt_session_sync(sessions[i], prompt[i], held[i], &error), &error);
    }
    for (size_t n = 0; n < 5; n++) {
        mixt_token next[4];
        for (int i = 0; i < 4; i++) next[i] = prompt[i][(held[i] + n) % N_PROMPT];
        must(mixt_engine_step(engine, sessions, next, 4, NULL, &error), &error);
    }
    memcpy(out, mixt_session_logits(sessions[0]), vocab_of(model) * sizeof *out);
    for (int i = 0; i < 4; i++) mixt_session_free(sessions[i]);
    mixt_engine_free(engine);
}

/* ---- a prompt in any pieces, each in a step with others' pieces and tokens ---- */

static uint64_t mix_state;
static int mix_below(int n)
{
    mix_state = mix_state * 6364136223846793005u + 1442695040888963407u;
    return (int)((mix_state >> 33) % (uint64_t)n);
}

/* What this step takes of sequence i: any piece of the first, of the others a token or some; at times nothing. */
static int take_some(const Session *s, int i, int room)
{
    const int left = N_PROMPT - (int)session_n_tokens(s);
    const int most = i == 0 ? 23 : mix_below(3) ? 1 : 9;
    int n = i && mix_below(4) == 0 ? 0 : 1 + mix_below(most);
    if (n > left) n = left;
    return n < room ? n : room;
}

/* All logits of all rows, and the sequence after the last one: [0] must be as it is alone, cut anywhere. */
static void mixed_steps(const mixt_model *model, mixt_kv kv, size_t n_slots, uint64_t seed, float *out)
{
    mixt_error error;
    Error inside;
    mixt_session *sessions[4];
    mixt_engine *engine = engine_with(model, 2, 31, n_slots, kv);
    mix_state = seed;
    for (int i = 0; i < 4; i++) must(mixt_session_new(engine, 0, &sessions[i], &error), &error);
    while (session_n_tokens(sessions[0]->session) < N_PROMPT) {
        Feed feeds[4];
        int n = 0, room = engine_rows(engine->engine), n_wanted = engine_wanted(engine->engine);
        for (int i = 0; i < 4; i++) {
            Session *s = sessions[i]->session;
            const int take = take_some(s, i, room);
            if (take == 0) continue;
            feeds[n++] = (Feed){ .session = s, .tokens = prompt[i] + session_n_tokens(s), .n_tokens = take,
                                 .wanted = n_wanted && (i == 0 || mix_below(2)) ? ROWS_LAST : ROWS_NONE };
            n_wanted -= feeds[n - 1].wanted == ROWS_LAST;
            room -= take;
        }
        if (engine_feed(engine->engine, feeds, n, &inside) != OK) fail_msg("seed %d: %s", (int)seed, inside.text);
        for (int i = 0; i < n; i++) assert_int_equal(feeds[i].status, OK);
    }
    memcpy(out, mixt_session_logits(sessions[0]), vocab_of(model) * sizeof *out);
    for (int i = 0; i < 4; i++) mixt_session_free(sessions[i]);
    mixt_engine_free(engine);
}

/* Rows that are taken back leave no trace: wrong tokens go in beside the right ones, and out again. */
static void with_rewinds(const mixt_model *model, mixt_kv kv, float *out)
{
    mixt_error error;
    Error inside;
    mixt_session *session;
    static float all[12][N_VOCAB_MAX];
    mixt_engine *engine = engine_with(model, 2, 0, 0, kv);
    const int64_t n_vocab = (int64_t)vocab_of(model);
    float *logits = &all[0][0];
    must(mixt_session_new(engine, 0, &session, &error), &error);
    mix_state = 5;
    const int most = engine_wanted(engine->engine) < 12 ? engine_wanted(engine->engine) : 12;
    Session *s = session->session;
    while (session_n_tokens(s) < N_PROMPT) {
        const int64_t held = session_n_tokens(s);
        const int n = 1 + mix_below(most);
        int n_right = 1 + mix_below(n);
        if (n_right > N_PROMPT - held) n_right = (int)(N_PROMPT - held);
        int32_t tokens[12];
        for (int i = 0; i < n; i++) tokens[i] = i < n_right ? prompt[0][held + i] : 3 + mix_below(200);
        Feed feed = { .session = s, .tokens = tokens, .n_tokens = n, .wanted = ROWS_ALL, .logits = logits };
        if (engine_feed(engine->engine, &feed, 1, &inside) != OK) fail_msg("%s", inside.text);
        session_rewind(s, held + n_right, logits + (n_right - 1) * n_vocab);
    }
    assert_memory_equal(session_tokens(s), prompt[0], N_PROMPT * sizeof(int32_t));
    memcpy(out, session_logits(s), (size_t)n_vocab * sizeof *out);
    mixt_session_free(session);
    mixt_engine_free(engine);
}

static void check_mixed(const char *type, mixt_kv kv, const mixt_model *model)
{
    char what[128];
    for (uint64_t seed = 1; seed <= N_SEEDS; seed++) {
        snprintf(what, sizeof what, "%s kv %d, pieces among others', seed %d", type, (int)kv, (int)seed);
        mixed_steps(model, kv, seed % 2 ? 0 : 3, seed, got);
        same(model, what);
    }
    snprintf(what, sizeof what, "%s kv %d, rows taken back", type, (int)kv);
    with_rewinds(model, kv, got);
    same(model, what);
}

static void check_type(const char *type, mixt_kv kv, const mixt_model *model)
{
    const int n_threads[] = { 2, 3, 7 };
    const size_t pieces[] = { 1, 7, 64 };
    char what[128];
    logits_of(model, 1, 0, 0, N_PROMPT, kv, want);
    for (size_t i = 0; i < 3; i++) {
        snprintf(what, sizeof what, "%s kv %d, %d threads", type, (int)kv, n_threads[i]);
        logits_of(model, n_threads[i], 0, 0, N_PROMPT, kv, got);
        same(model, what);
        snprintf(what, sizeof what, "%s kv %d, prompt in pieces of %zu", type, (int)kv, pieces[i]);
        logits_of(model, 2, 0, 0, pieces[i], kv, got);
        same(model, what);
    }
    snprintf(what, sizeof what, "%s kv %d, 5 rows a step", type, (int)kv);
    logits_of(model, 2, 5, 0, N_PROMPT, kv, got);
    same(model, what);
    snprintf(what, sizeof what, "%s kv %d, 3 expert slots", type, (int)kv);
    logits_of(model, 2, 0, 3, N_PROMPT, kv, got);
    same(model, what);
    snprintf(what, sizeof what, "%s kv %d, beside three others", type, (int)kv);
    in_company(model, kv, got);
    same(model, what);
    check_mixed(type, kv, model);
}

static void every_type_gives_the_same_bytes(void **state)
{
    (void)state;
    const char *const *types = mixt_synth_types();
    for (int i = 0; types[i]; i++) {
        mixt_error error;
        mixt_model *model;
        char path[512];
        snprintf(path, sizeof path, "%s/%s.gguf", test_scratch(), types[i]);
        mixt_synth_options o = mixt_synth_defaults();
        o.like = "tiny";
        o.type = types[i];
        o.n_layers = 2;
        must(mixt_synth(path, &o, &error), &error);
        must(mixt_model_open(path, NULL, &model, &error), &error);
        check_type(types[i], MIXT_KV_F16, model);
        check_type(types[i], MIXT_KV_F32, model);
        check_type(types[i], MIXT_KV_Q8_0, model);
        mixt_model_free(model);
        remove(path);
    }
}

int main(void)
{
    uint64_t state = 11;                            /* tokens: any will do                         */
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < N_PROMPT; j++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            prompt[i][j] = (mixt_token)(3 + (state >> 33) % 200);
        }
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_type_gives_the_same_bytes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
