/* SPDX-License-Identifier: Apache-2.0
 * What a process may hold is what it holds at most: sampled while prompts are read and answers written, with experts
 * that share the room with growing keys and values; and the bytes of the logits do not know of it. */
#include "../../support.h"

#include <mixt.h>
#include <mixt_tools.h>

#include "base/machine.h"
#include "gen/budget.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { SANITIZED = 1 };         /* shadow memory is resident too                            */
#else
enum { SANITIZED = 0 };
#endif

#ifdef MIXT_HOSTILE
enum { HOSTILE = 1 };           /* without a limit two experts are in memory, not all; new memory is written to */
#else
enum { HOSTILE = 0 };
#endif

static char       path[512];
static mixt_error error;

static void must(mixt_status status)
{
    if (status != MIXT_OK) fail_msg("%s: %s", mixt_status_name(status), error.text);
}

/* ---- a process under watch ---- */

typedef struct Watch {
    pthread_t   thread;
    atomic_bool stop;
    int64_t     most, n_samples;
} Watch;

static void *watch(void *arg)
{
    Watch *w = arg;
    while (!atomic_load(&w->stop)) {
        const int64_t now = machine_resident_bytes();
        if (now > w->most) w->most = now;
        w->n_samples++;
        nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
    }
    return NULL;
}

/* 8 layers of 8 experts, 1.25 MB each in Q8_0; 16 KiB of keys and values for a token. */
enum { N_LAYERS = 8, N_EXPERTS = 8, CONTEXT = 4096, N_PROMPT = 1500 };

static void make_model(void)
{
    snprintf(path, sizeof path, "%s/budget.gguf", test_scratch());
    mixt_synth_options o = mixt_synth_defaults();
    o.like = "tiny";
    o.type = "Q8_0";
    o.n_layers = N_LAYERS;
    o.n_experts = N_EXPERTS;
    o.width = 512;
    o.hidden = 768;
    o.n_heads = 8;
    o.n_kv_heads = 8;
    o.head_size = 64;
    o.n_context = CONTEXT;
    must(mixt_synth(path, &o, &error));
}

static mixt_model *open_model(void)
{
    mixt_model *m;
    must(mixt_model_open(path, NULL, &m, &error));
    return m;
}

static mixt_engine *open_engine(const mixt_model *m, int64_t memory_bytes)
{
    mixt_engine *e;
    mixt_engine_options o = mixt_engine_defaults();
    o.n_threads = 2;
    o.n_batch = 128;
    o.memory_bytes = memory_bytes;
    must(mixt_engine_new(m, &o, &e, &error));
    return e;
}

static void fill_prompt(mixt_token *prompt, int n, int64_t n_vocab)
{
    for (int i = 0; i < n; i++) prompt[i] = (mixt_token)(3 + (int64_t)i * 7919 % (n_vocab - 3));
}

static void holds_no_more_than_it_may(void **state)
{
    (void)state;
    if (SANITIZED) skip();
    make_model();
    mixt_model *m = open_model();
    const size_t n_vocab = (size_t)mixt_model_read(m).n_vocab;
    mixt_token prompt[N_PROMPT];
    fill_prompt(prompt, N_PROMPT, (int64_t)n_vocab);
    float *free_logits = malloc(n_vocab * sizeof(float));

    mixt_engine *e = open_engine(m, 0);
    mixt_session *s;
    must(mixt_session_new(e, CONTEXT, &s, &error));
    must(mixt_session_sync(s, prompt, N_PROMPT, &error));
    memcpy(free_logits, mixt_session_logits(s), n_vocab * sizeof(float));
    assert_string_equal(mixt_engine_read(e).store, HOSTILE ? "cache" : "ram");
    mixt_session_free(s);
    mixt_engine_free(e);

    const int64_t limit = machine_resident_bytes() + 132 * MIB;
    Watch w = { 0 };
    pthread_create(&w.thread, NULL, watch, &w);
    e = open_engine(m, limit);
    mixt_session *two[2];
    for (int i = 0; i < 2; i++) must(mixt_session_new(e, CONTEXT, &two[i], &error));
    const mixt_engine_stats first = mixt_engine_read(e);
    assert_string_equal(first.store, "cache");
    for (int i = 0; i < 2; i++) must(mixt_session_sync(two[i], prompt, N_PROMPT, &error));
    const mixt_engine_stats full = mixt_engine_read(e);
    assert_memory_equal(mixt_session_logits(two[1]), free_logits, n_vocab * sizeof(float));
    mixt_session_free(two[0]);
    const mixt_engine_stats freed = mixt_engine_read(e);
    for (int i = 0; i < 20; i++) {
        const mixt_token next = (mixt_token)(100 + i);
        must(mixt_engine_step(e, &two[1], &next, 1, NULL, &error));
    }
    atomic_store(&w.stop, true);
    pthread_join(w.thread, NULL);
    print_message("limit %.1f MiB, most %.1f MiB in %lld samples; room %.1f, %.1f, %.1f; keys and values %.1f, %.1f, "
                  "%.1f\n",
                  (double)limit / (double)MIB, (double)w.most / (double)MIB, (long long)w.n_samples,
                  (double)first.expert_room_bytes / (double)MIB, (double)full.expert_room_bytes / (double)MIB,
                  (double)freed.expert_room_bytes / (double)MIB, (double)first.kv_bytes / (double)MIB,
                  (double)full.kv_bytes / (double)MIB, (double)freed.kv_bytes / (double)MIB);
    assert_true(w.n_samples > 20);
    assert_true(HOSTILE || w.most <= limit);
    assert_true(w.most > limit / 2);                    /* or nothing was measured                     */
    assert_int_equal(first.kv_bytes, 0);
    assert_true(full.kv_bytes >= 2 * (int64_t)N_PROMPT * 16 * 1024);
    assert_true(full.expert_room_bytes < first.expert_room_bytes);
    assert_true(freed.expert_room_bytes > full.expert_room_bytes);
    assert_true(full.memory_bytes == limit &&
                full.program_bytes + full.dense_bytes + full.scratch_bytes + full.kv_bytes + full.expert_room_bytes <=
                    limit);
    mixt_session_free(two[1]);
    mixt_engine_free(e);
    mixt_model_free(m);
    free(free_logits);
}

/* Experts keep what a token needs; then sequences must stop growing, and go on when another has ended. */
static void sequences_stop_where_memory_ends(void **state)
{
    (void)state;
    if (SANITIZED) skip();
    make_model();
    mixt_model *m = open_model();
    const int64_t n_vocab = mixt_model_read(m).n_vocab;
    mixt_token prompt[CONTEXT];
    fill_prompt(prompt, CONTEXT, n_vocab);
    mixt_engine *e = open_engine(m, machine_resident_bytes() + 132 * MIB);
    mixt_session *s[8];
    int n = 0;
    mixt_status status = MIXT_OK;
    for (int i = 0; i < 8; i++) must(mixt_session_new(e, 1024, &s[i], &error));
    for (; n < 8 && status == MIXT_OK; n++) status = mixt_session_sync(s[n], prompt, 1024, &error);
    print_message("session %d: %s\n", n, error.text);
    assert_int_equal(status, MIXT_NO_MEMORY);
    assert_true(n >= 2);
    assert_non_null(strstr(error.text, "memory budget"));
    mixt_session *last = s[n - 1];
    const size_t held = mixt_session_n_tokens(last);
    assert_true(held < 1024 && held % 128 == 0);        /* whole steps, and none of the one that failed */
    mixt_session_free(s[0]);
    must(mixt_session_sync(last, prompt, 1024, &error));
    assert_int_equal(mixt_session_n_reused(last), held);
    for (int i = 1; i < 8; i++) mixt_session_free(s[i]);
    assert_int_equal(mixt_engine_read(e).kv_bytes, 0);
    mixt_engine_free(e);
    mixt_model_free(m);
}

/* ---- others want memory too ---- */

static bool put(const char *group, const char *name, long long number)
{
    char file_path[256], text[32];
    snprintf(file_path, sizeof file_path, "%s/%s", group, name);
    snprintf(text, sizeof text, "%lld", number);
    FILE *file = fopen(file_path, "we");
    if (!file) return false;
    const bool done = fputs(text, file) >= 0;
    return fclose(file) == 0 && done;
}

static int64_t room_after_a_step(mixt_engine *e, mixt_session *s)
{
    const mixt_token next = 5;
    nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);        /* it looks every 200 ms    */
    must(mixt_engine_step(e, &s, &next, 1, NULL, &error));
    return mixt_engine_read(e).expert_room_bytes;
}

static pid_t take_memory(size_t n_bytes)
{
    int told[2];
    char byte = 0;
    if (pipe(told)) return -1;
    const pid_t neighbour = fork();
    if (neighbour == 0) {
        volatile char *taken = malloc(n_bytes);
        for (size_t i = 0; taken && i < n_bytes; i += 4096) taken[i] = 1;
        if (write(told[1], &byte, 1) == 1) pause();
        _exit(taken ? 0 : 1);
    }
    if (read(told[0], &byte, 1) != 1) kill(neighbour, SIGKILL);
    close(told[0]);
    close(told[1]);
    return neighbour;
}

/* In a group with little memory: an engine that nobody limited, and a neighbour that grows.  What a test may print is
 * lost here; the exit code says which line. */
static int live_with_a_neighbour(const char *group)
{
    if (!put(group, "cgroup.procs", getpid())) return 2;
    mixt_model *m = open_model();
    mixt_engine *e = open_engine(m, 0);
    mixt_session *s;
    must(mixt_session_new(e, 64, &s, &error));
    if (strcmp(mixt_engine_read(e).store, "cache") != 0) return 3;
    const mixt_token prompt[3] = { 1, 7, 9 };
    must(mixt_session_sync(s, prompt, 3, &error));
    const int64_t alone = room_after_a_step(e, s);
    const pid_t neighbour = take_memory(180 << 20);
    if (neighbour < 0) return 2;
    const int64_t beside = room_after_a_step(e, s);
    kill(neighbour, SIGKILL);
    waitpid(neighbour, NULL, 0);
    const int64_t again = room_after_a_step(e, s);
    mixt_session_free(s);
    mixt_engine_free(e);
    mixt_model_free(m);
    return beside >= alone ? 4 : again <= beside ? 5 : 0;
}

static void gives_room_to_neighbours(void **state)
{
    (void)state;
    if (SANITIZED || HOSTILE) skip();
    make_model();
    char group[96];
    snprintf(group, sizeof group, "/sys/fs/cgroup/memory/mixt-budget-%d", (int)getpid());
    if (mkdir(group, 0755) != 0 || !put(group, "memory.limit_in_bytes", 300 << 20)) {
        rmdir(group);
        print_message("no control group of version 1 can be made here\n");
        skip();
    }
    const pid_t child = fork();
    if (child == 0) _exit(live_with_a_neighbour(group));
    int how = -1;
    waitpid(child, &how, 0);
    for (int i = 0; rmdir(group) != 0 && i < 100; i++) nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    assert_true(WIFEXITED(how));                        /* and nobody was killed for memory        */
    if (WEXITSTATUS(how) == 2) skip();
    assert_int_equal(WEXITSTATUS(how), 0);
}

/* ---- the sums alone ---- */

enum { MB = 1000000 };

static BudgetAsk ask_of(int64_t beside_program)
{
    return (BudgetAsk){ .path = "m.gguf",
                        .limit_bytes = machine_resident_bytes() + beside_program,
                        .hard = true,
                        .dense_bytes = 100 * MB,
                        .scratch_bytes = 10 * MB,
                        .kv_first_bytes = 20 * MB,
                        .experts_bytes = 640 * MB,
                        .slot_bytes = 10 * MB,
                        .n_experts = 64,
                        .n_least = 2 };
}

static void says_what_is_missing(void **state)
{
    (void)state;
    Budget b;
    Error why;
    const BudgetAsk ask = ask_of(120 * MB);
    assert_int_equal(budget_open(&ask, &b, &why), NO_MEMORY);
    print_message("%s\n", why.text);
    assert_non_null(strstr(why.text, "m.gguf: does not fit in memory: needs at least"));
    assert_non_null(strstr(why.text, "the budget is"));
}

static void shares_what_there_is(void **state)
{
    (void)state;
    Budget b;
    Error why;
    BudgetAsk ask = ask_of(1000 * MB);
    assert_int_equal(budget_open(&ask, &b, &why), OK);
    assert_int_equal(b.n_slots, 0);                     /* all experts                                 */
    assert_false(budget_shares(&b));

    ask = ask_of(500 * MB);
    assert_int_equal(budget_open(&ask, &b, &why), OK);
    assert_true(b.n_slots >= 2 && b.n_slots < 64);
    assert_true(budget_shares(&b));
    assert_int_equal(budget_bytes(&b, b.room_bytes), b.limit_bytes);
    assert_int_equal(b.room_bytes_min, 20 * MB);
    assert_int_equal(budget_context(&b, 1000, b.room_bytes_max - b.room_bytes_min, &why), OK);
    assert_int_equal(budget_context(&b, 1000, b.room_bytes_max - b.room_bytes_min + 1, &why), NO_MEMORY);
    assert_non_null(strstr(why.text, "context of 1000 tokens"));

    ask.hard = false;                                   /* what is free: it is counted alike           */
    Budget soft;
    assert_int_equal(budget_open(&ask, &soft, &why), OK);
    assert_int_equal(soft.limit_bytes, b.limit_bytes);
    assert_true(b.hard && !soft.hard);

    ask.n_wish = 7;
    assert_int_equal(budget_open(&ask, &b, &why), OK);
    assert_int_equal(b.n_slots, 7);
    assert_int_equal(b.room_bytes, 70 * MB);
    assert_false(budget_shares(&b));                    /* seven were asked for, and seven stay        */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(holds_no_more_than_it_may),
                                        cmocka_unit_test(sequences_stop_where_memory_ends),
                                        cmocka_unit_test(gives_room_to_neighbours),
                                        cmocka_unit_test(says_what_is_missing),
                                        cmocka_unit_test(shares_what_there_is) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
