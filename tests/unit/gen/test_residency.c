/* SPDX-License-Identifier: Apache-2.0
 * Decision D1 where experts are reachable and not resident: the logits are the same bytes however many of them are in
 * memory, from a GGUF or a packed file, past the page cache or through it or first the one and then the other, however
 * far was looked ahead, on one thread or two, whenever a read ends.  Two chunks of a prompt, one of them a sweep, then
 * some tokens. */
#include "../../support.h"

#include <mixt.h>
#include <mixt_tools.h>

#include "base/direct.h"
#include "gen/parts.h"
#include "lib/lib.h"

#include <errno.h>
#include <stdatomic.h>

enum { N_LAYERS = 4, N_EXPERTS = 8, N_ALL = N_LAYERS * N_EXPERTS, N_FIRST = 18, N_PROMPT = 22, N_TOKENS = 28 };
enum { N_POINTS = 2 + N_TOKENS - N_PROMPT, N_VOCAB_MAX = 1024 };

#ifdef MIXT_HOSTILE             /* small reads: a run takes a hundred times as long            */
enum { EACH = 7 };
#elif defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
enum { EACH = 5 };
#else
enum { EACH = 1 };
#endif

typedef float Logits[N_POINTS][N_VOCAB_MAX];

static mixt_token tokens[N_TOKENS];
static mixt_error error;

static void must(mixt_status status)
{
    if (status != MIXT_OK) fail_msg("%s: %s", mixt_status_name(status), error.text);
}

/* ---- how the disk is read ---- */

typedef enum Road { DIRECT, BUFFERED, DIRECT_AT_FIRST, N_ROADS } Road;
static const char *const roads[N_ROADS] = { "direct", "buffered", "direct at first" };
static atomic_int reads_left;

static int no_direct_open(IoCall call)
{
    return call == IO_OPEN ? EINVAL : 0;        /* the files themselves are open already       */
}

/* Once, and its reader asks no more: the bytes come through the cache then. */
static int refused_after_all(IoCall call)
{
    return call == IO_READ && atomic_fetch_sub(&reads_left, 1) == 0 ? EINVAL : 0;
}

static bool reads_direct(const char *path)
{
    File file, direct;
    if (file_open(path, &file, NULL) != OK) return false;
    const bool can = direct_open(&file, &direct, NULL) == OK;
    file_close(&direct);
    file_close(&file);
    return can;
}

/* ---- reads that end while somebody asks ---- */

/* An expert that was absent a moment ago is here: each answer may be another than the last. */
static const StoreOps *really;

static bool not_always(const Store *store, ExpertId id)
{
    static int n_asked;
    return really->resident(store, id) && n_asked++ % 3 != 0;
}

static void change_answers(mixt_engine *e, StoreOps *ops)
{
    Store *store = e->engine->model->store;
    really = store->ops;
    *ops = *really;
    ops->resident = not_always;
    store->ops = ops;
}

/* ---- one way to have it ---- */

typedef struct Way { const char *path; size_t n_slots; int look_ahead, n_threads; Road road; bool changing; } Way;

static void logits_of(mixt_session *s, Logits out, int point, size_t n_vocab)
{
    memcpy(out[point], mixt_session_logits(s), n_vocab * sizeof(float));
}

static mixt_engine_stats go(const Way *way, Logits out)
{
    mixt_model *m;
    mixt_engine *e;
    mixt_session *s;
    mixt_engine_options o = mixt_engine_defaults();
    o.n_threads = way->n_threads;
    o.expert_slots = way->n_slots;
    o.look_ahead = way->look_ahead;
    must(mixt_model_open(way->path, NULL, &m, &error));
    const size_t n_vocab = (size_t)mixt_model_read(m).n_vocab;
    assert_true(n_vocab <= N_VOCAB_MAX);
    if (way->road == BUFFERED) io_fault = no_direct_open;
    must(mixt_engine_new(m, &o, &e, &error));
    io_fault = NULL;
    StoreOps changing;
    if (way->changing) change_answers(e, &changing);
    must(mixt_session_new(e, 64, &s, &error));
    must(mixt_session_sync(s, tokens, N_FIRST, &error));
    logits_of(s, out, 0, n_vocab);
    must(mixt_session_sync(s, tokens, N_PROMPT, &error));
    logits_of(s, out, 1, n_vocab);
    for (int i = N_PROMPT; i < N_TOKENS; i++) {
        if (way->road == DIRECT_AT_FIRST && i == N_PROMPT + 2) {
            atomic_store(&reads_left, 1);
            io_fault = refused_after_all;
        }
        must(mixt_engine_step(e, &s, &tokens[i], 1, NULL, &error));
        logits_of(s, out, 2 + i - N_PROMPT, n_vocab);
    }
    const mixt_engine_stats stats = mixt_engine_read(e);
    mixt_session_free(s);
    mixt_engine_free(e);
    io_fault = NULL;
    mixt_model_free(m);
    return stats;
}

static void same(const Way *way, Logits got, Logits want)
{
    for (int p = 0; p < N_POINTS; p++)
        if (memcmp(got[p], want[p], sizeof got[p]))
            fail_msg("%s, %zu slots, %d ahead, %d threads, %s%s: other logits at point %d: want %.9g.., got %.9g..",
                     way->path, way->n_slots, way->look_ahead, way->n_threads, roads[way->road],
                     way->changing ? ", answers change" : "", p, (double)want[p][0], (double)got[p][0]);
}

static void every_way_to(const char *path, Logits want)
{
    static const size_t slots[] = { 2, N_ALL / 4, N_ALL / 2 };
    static Logits got;
    const int n_roads = reads_direct(path) ? N_ROADS : BUFFERED + 1;
    for (int i = 0; i < ARRAY_LEN(slots) * (n_roads + 1) * 3 * 2; i += EACH) {
        const int road = i / 18;
        const Way way = { .path = path, .n_slots = slots[i % 3], .look_ahead = i / 3 % 3, .n_threads = 1 + i / 9 % 2,
                          .road = road < n_roads ? (Road)road : BUFFERED, .changing = road == n_roads };
        memset(got, 0, sizeof got);
        const mixt_engine_stats stats = go(&way, got);
        same(&way, got, want);
        assert_string_equal(stats.store, "cache");
        assert_true(stats.expert_read_bytes > 0);       /* or nothing was streamed                     */
    }
}

/* ---- models ---- */

static void check(const char *type, double skew)
{
    static Logits want, got;
    char gguf[512], packed[512];
    snprintf(gguf, sizeof gguf, "%s/%s.gguf", test_scratch(), type);
    snprintf(packed, sizeof packed, "%s/%s.mixt", test_scratch(), type);
    mixt_synth_options o = mixt_synth_defaults();
    o.like = "tiny";
    o.type = type;
    o.n_layers = N_LAYERS;
    o.n_experts = N_EXPERTS;
    o.width = 256;
    o.hidden = 256;
    o.router_skew = skew;
    must(mixt_synth(gguf, &o, &error));
    must(mixt_pack(gguf, packed, NULL, &error));
    memset(want, 0, sizeof want);
    go(&(Way){ .path = gguf, .n_threads = 1 }, want);           /* all of them in memory               */
    for (int i = 0; i < 2; i++) {
        const Way all = { .path = packed, .n_threads = 1 + i };
        memset(got, 0, sizeof got);
        go(&all, got);
        same(&all, got, want);
    }
    every_way_to(gguf, want);
    every_way_to(packed, want);
}

static void routing_with_favourites(void **state)
{
    (void)state;
    check("Q8_0", 1.2);
}

static void superblocks(void **state)
{
    (void)state;
    check("Q4_K_M", 0);
}

int main(void)
{
    for (int i = 0; i < N_TOKENS; i++) tokens[i] = 3 + i * 31 % 290;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routing_with_favourites),
        cmocka_unit_test(superblocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
