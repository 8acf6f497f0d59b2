/* SPDX-License-Identifier: Apache-2.0
 * The cache over the reader: whatever is hinted, guessed, resized or broken, a pin gives the bytes of the file or says
 * why not, the room is never overstepped, and a sweep reads what was missing, once. */
#include "experts_file.h"

#include "number/panel.h"
#include "store/policy.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

enum { N_LAYERS = 6, N_EXPERTS = 8, N_USED = 2, D = 64, F = 320, N_ALL = N_LAYERS * N_EXPERTS };

static File          file;
static char          path[512];
static Device       *device;
static ExpertExtents extents[N_ALL];
static char         *truth;             /* the file's bytes                                  */
static int64_t       file_bytes;
static StoreSource   source = { .experts = extents, .n_layers = N_LAYERS, .n_experts = N_EXPERTS };

/* Every other layer is larger, as the "more bits" layers of published files are; nothing begins at a block. */
static int setup(void **state)
{
    (void)state;
    Error error;
    file_bytes = 96;
    for (int i = 0; i < N_ALL; i++)
        file_bytes = lay_expert(&extents[i], &file, file_bytes, D, F, i / N_EXPERTS % 2 ? F16 : Q8_0);
    truth = open_noise("experts", file_bytes, 5, path, &file);
    return device_open("cpu", &(DeviceOptions){ .n_threads = 1 }, &device, &error);
}

static int teardown(void **state)
{
    (void)state;
    device_close(device);
    file_close(&file);
    free(truth);
    return 0;
}

static ExpertId id_of(int key)
{
    return (ExpertId){ (int16_t)(key / N_EXPERTS), (int16_t)(key % N_EXPERTS) };
}

static void assert_matrix(const Tensor *t, const Extent *e, int key)
{
    const int64_t row_bytes = format_row_bytes(e->format, e->cols);
    char row[D * F];
    assert_int_equal(t->rows, e->rows);
    for (int64_t r = 0; r < e->rows; r++) {
        const int64_t stack = r / STACK_ROWS, left = e->rows - stack * STACK_ROWS;
        stack_row(row, e->format, e->cols, (char *)t->handle + stack * stack_bytes(e->format, e->cols, STACK_ROWS),
                  left < STACK_ROWS ? left : STACK_ROWS, r % STACK_ROWS);
        if (memcmp(row, truth + e->offset + r * row_bytes, (size_t)row_bytes))
            fail_msg("expert %d, row %lld: not the bytes of the file", key, (long long)r);
    }
}

static void assert_expert(const Pin *pin, int key)
{
    assert_matrix(&pin->weights.gate, &extents[key].gate, key);
    assert_matrix(&pin->weights.up, &extents[key].up, key);
    assert_matrix(&pin->weights.down, &extents[key].down, key);
}

static Store *open_cache(int64_t n_slots, const char *policy, bool buffered)
{
    Error error;
    Store *store;
    const int64_t one = store_expert_room(device, &source);
    const CacheOptions o = { .room_bytes = n_slots * one, .room_bytes_max = N_ALL * one, .policy = policy,
                             .buffered = buffered };
    if (store_cache_open(device, &source, &o, &store, &error) != OK) fail_msg("%s", error.text);
    return store;
}

/* ---- steps of a network ---- */

/* n different experts of a layer. */
static void draw(Rng *rng, int layer, int n, ExpertId *out)
{
    int experts[N_EXPERTS];
    for (int e = 0; e < N_EXPERTS; e++) experts[e] = e;
    for (int i = 0; i < n; i++) {
        const int j = i + (int)(rng_bits(rng) % (uint64_t)(N_EXPERTS - i)), e = experts[j];
        experts[j] = experts[i];
        experts[i] = e;
        out[i] = (ExpertId){ (int16_t)layer, (int16_t)e };
    }
}

/* As model/moe.c does: what is here first, then what comes.  The first failure ends the layer. */
static Status use_layer(Store *s, ExpertId *ids, int n, bool compare, Error *error)
{
    s->ops->hint(s, ids, n, HINT_NEEDED);
    while (n > 0) {
        int at = -1;
        for (int i = 0; i < n && at < 0; i++)
            if (s->ops->resident(s, ids[i])) at = i;
        if (at < 0) at = s->ops->first(s, ids, n);
        assert_in_range(at, 0, n - 1);
        const int key = ids[at].layer * N_EXPERTS + ids[at].expert;
        Pin pin;
        TRY(s->ops->pin(s, ids[at], 1, &pin, error));
        if (compare) assert_expert(&pin, key);
        s->ops->unpin(s, &pin);
        ids[at] = ids[--n];
    }
    return OK;
}

/* right: how many in 100 of the guesses for the next layer are what it will use; -1: no guesses. */
static Status decode_step(Store *s, Rng *rng, int right, bool compare, Error *error)
{
    ExpertId next[N_USED], now[N_USED], guess[N_USED];
    s->ops->begin(s, false);
    draw(rng, 0, N_USED, next);
    for (int layer = 0; layer < N_LAYERS; layer++) {
        memcpy(now, next, sizeof now);
        if (layer + 1 < N_LAYERS) draw(rng, layer + 1, N_USED, next);
        s->ops->hint(s, now, N_USED, HINT_NEEDED);
        if (right >= 0 && layer + 1 < N_LAYERS) {
            memcpy(guess, next, sizeof guess);
            if ((int)(rng_bits(rng) % 100) >= right) draw(rng, layer + 1, N_USED, guess);
            s->ops->hint(s, guess, N_USED, HINT_GUESS);
        }
        TRY(use_layer(s, now, N_USED, compare, error));
        const StoreStats stats = s->ops->stats(s);
        assert_true(stats.resident_bytes <= stats.room_bytes);
    }
    return OK;
}

static Status sweep_step(Store *s, bool another, bool compare, Error *error)
{
    ExpertId ids[N_EXPERTS];
    s->ops->begin(s, true);
    for (int layer = 0; layer < N_LAYERS; layer++) {
        for (int e = 0; e < N_EXPERTS; e++) ids[e] = (ExpertId){ (int16_t)layer, (int16_t)e };
        s->ops->hint(s, ids, N_EXPERTS, HINT_NEEDED);
        for (int ahead = 1; ahead <= 2; ahead++) {
            if (layer + ahead >= N_LAYERS && !another) continue;
            for (int e = 0; e < N_EXPERTS; e++)
                ids[e] = (ExpertId){ (int16_t)((layer + ahead) % N_LAYERS), (int16_t)e };
            s->ops->hint(s, ids, N_EXPERTS, HINT_SOON);
        }
        for (int e = 0; e < N_EXPERTS; e++) ids[e] = (ExpertId){ (int16_t)layer, (int16_t)e };
        TRY(use_layer(s, ids, N_EXPERTS, compare, error));
        const StoreStats stats = s->ops->stats(s);
        assert_true(stats.resident_bytes <= stats.room_bytes);
    }
    return OK;
}

static const int rooms[] = { 1, 2, 3, N_ALL / 4, N_ALL / 2, N_ALL };

static void every_room_gives_the_file(void **state)
{
    (void)state;
    Error error;
    for (int r = 0; r < ARRAY_LEN(rooms); r++)
        for (int policy = 0; policy < n_policy_kinds; policy++) {
            Store *s = open_cache(rooms[r], policy_kinds[policy].name, policy % 2);
            Rng rng = { (uint64_t)(100 + r) };
            for (int step = 0; step < 12; step++) {
                const Status status = step % 5 == 4 ? sweep_step(s, step % 2, true, &error)
                                                    : decode_step(s, &rng, step % 3 * 50, true, &error);
                if (status != OK) fail_msg("%d slots, %s: %s", rooms[r], policy_kinds[policy].name, error.text);
            }
            const StoreStats stats = s->ops->stats(s);
            assert_int_equal(stats.pins, 10 * N_LAYERS * N_USED + 2 * N_LAYERS * N_EXPERTS);
            assert_true(stats.hits <= stats.pins);
            assert_true(stats.wait_us >= 0 && stats.read_us > 0);
            s->ops->close(s);
        }
}

static int64_t missing_bytes(Store *s)
{
    int64_t bytes = 0;
    for (int key = 0; key < N_ALL; key++)
        if (!s->ops->resident(s, id_of(key))) bytes += expert_bytes(&extents[key]);
    return bytes;
}

/* The bound that no store can beat: what was not in memory when the sweep began.  To reach it, what a sweep still needs
 * must not leave for what it has had. */
static void a_sweep_reads_what_was_missing_once(void **state)
{
    (void)state;
    Error error;
    for (int n_slots = 2 * N_EXPERTS; n_slots <= N_ALL; n_slots += 5) {
        Store *s = open_cache(n_slots, NULL, false);
        Rng rng = { 3 };
        for (int round = 0; round < 8; round++) {
            for (int i = 0; i < 3 && round % 2; i++) assert_int_equal(decode_step(s, &rng, -1, false, &error), OK);
            const int64_t missing = missing_bytes(s), before = s->ops->stats(s).read_bytes;
            assert_int_equal(sweep_step(s, false, false, &error), OK);
            const int64_t read = s->ops->stats(s).read_bytes - before;
            const int64_t largest = expert_bytes(&extents[N_EXPERTS]);
            if (read < missing || read > missing + N_EXPERTS * largest)
                fail_msg("%d slots, round %d: %lld bytes were missing, %lld were read", n_slots, round,
                         (long long)missing, (long long)read);
        }
        s->ops->close(s);
    }
}

static void right_guesses_are_hits_and_wrong_ones_are_counted(void **state)
{
    (void)state;
    Error error;
    StoreStats stats[3];
    static const int right[3] = { -1, 100, 0 };
    for (int i = 0; i < 3; i++) {
        Store *s = open_cache(N_ALL / 2, "lru", false);
        Rng rng = { 8 };
        for (int step = 0; step < 60; step++) {
            assert_int_equal(decode_step(s, &rng, right[i], false, &error), OK);
            usleep(300);                /* time in which a guess can be read                 */
        }
        stats[i] = s->ops->stats(s);
        s->ops->close(s);
    }
    assert_int_equal(stats[0].guessed_used, 0);
    assert_int_equal(stats[0].guessed_wasted, 0);
    assert_true(stats[1].guessed_used > 0);
    assert_true(stats[2].guessed_wasted > 0);
    assert_true(stats[1].guessed_wasted < stats[1].guessed_used);
}

/* ---- faults ---- */

static atomic_int reads_left;
static int one_read_fails(IoCall call)
{
    return call == IO_READ && atomic_fetch_sub(&reads_left, 1) == 0 ? EIO : 0;
}

static int reads_are_short(IoCall call)
{
    return call == IO_READ && atomic_fetch_add(&reads_left, 1) % 3 == 0 ? IO_FAULT_SHORT : 0;
}

static void one_fault_fails_one_pin_and_is_forgotten(void **state)
{
    (void)state;
    Error error;
    int n_failed = 0;
    for (int n = 0; n < 60; n++) {
        atomic_store(&reads_left, n);
        io_fault = one_read_fails;                  /* while nobody reads yet               */
        Store *s = open_cache(1 + n % 20, NULL, n % 2);
        Rng rng = { (uint64_t)n };
        for (int step = 0; step < 4; step++) {
            const Status status = n % 3 ? decode_step(s, &rng, 50, true, &error) : sweep_step(s, true, true, &error);
            if (status == OK) continue;
            n_failed++;
            assert_int_equal(status, IO_FAILED);
            assert_non_null(strstr(error.text, path));
        }
        atomic_store(&reads_left, -1);
        assert_int_equal(sweep_step(s, false, true, &error), OK);
        s->ops->close(s);
        io_fault = NULL;
    }
    assert_in_range(n_failed, 20, 60);          /* at most once each; a guess may have met it instead */
}

static void short_transfers_are_nothing(void **state)
{
    (void)state;
    Error error;
    for (int buffered = 0; buffered < 2; buffered++) {
        Store *s = open_cache(3, NULL, buffered);
        io_fault = reads_are_short;
        assert_int_equal(sweep_step(s, false, true, &error), OK);
        io_fault = NULL;
        s->ops->close(s);
    }
}

static void a_file_cut_while_it_streams_is_said(void **state)
{
    (void)state;
    Error error;
    for (int buffered = 0; buffered < 2; buffered++) {
        Store *s = open_cache(4, NULL, buffered);
        ExpertId last[] = { id_of(N_ALL - 1) }, early[] = { id_of(1) };
        assert_int_equal(sweep_step(s, false, true, &error), OK);
        assert_int_equal(truncate(path, file_bytes / 2), 0);
        ExpertId again[] = { id_of(N_ALL - N_EXPERTS) };
        s->ops->begin(s, false);
        Status status = use_layer(s, again, 1, true, &error);           /* perhaps still here       */
        if (status == OK) {
            assert_int_equal(use_layer(s, early, 1, true, &error), OK);
            ExpertId many[N_EXPERTS];
            for (int layer = 3; layer < N_LAYERS && status == OK; layer++) {
                for (int e = 0; e < N_EXPERTS; e++) many[e] = (ExpertId){ (int16_t)layer, (int16_t)e };
                status = use_layer(s, many, N_EXPERTS, true, &error);
            }
        }
        assert_int_equal(status, IO_FAILED);
        assert_non_null(strstr(error.text, "shorter"));
        assert_int_equal(use_layer(s, early, 1, true, &error), OK);     /* what is there goes on    */

        FILE *whole = fopen(path, "r+b");                               /* and comes back           */
        assert_non_null(whole);
        assert_int_equal(fwrite(truth, 1, (size_t)file_bytes, whole), file_bytes);
        fclose(whole);
        assert_int_equal(use_layer(s, last, 1, true, &error), OK);
        s->ops->close(s);
    }
}

/* ---- room ---- */

static void room_changes_while_experts_come_and_go(void **state)
{
    (void)state;
    Error error;
    const int64_t one = store_expert_room(device, &source);
    Store *s = open_cache(10, NULL, false);
    Rng rng = { 17 };
    for (int round = 0; round < 150; round++) {
        const int64_t room = one + (int64_t)(rng_bits(&rng) % (uint64_t)((N_ALL - 1) * one));
        if (s->ops->resize(s, room, &error) != OK) fail_msg("round %d: %s", round, error.text);
        assert_int_equal(s->ops->stats(s).room_bytes, room);
        assert_true(s->ops->stats(s).resident_bytes <= room);
        assert_int_equal(s->pins_max, room / one);
        const Status status = round % 7 ? decode_step(s, &rng, 50, round % 3 == 0, &error)
                                        : sweep_step(s, true, round % 2, &error);
        if (status != OK) fail_msg("round %d: %s", round, error.text);
    }
    assert_int_equal(s->ops->resize(s, one - 1, &error), BAD_ARGUMENT);
    assert_int_equal(s->ops->resize(s, N_ALL * one + 1, &error), BAD_ARGUMENT);

    Pin pins[3];
    assert_int_equal(s->ops->resize(s, 3 * one, &error), OK);
    for (int i = 0; i < 3; i++) assert_int_equal(s->ops->pin(s, id_of(i * 9), 1, &pins[i], &error), OK);
    for (int i = 0; i < 3; i++) assert_expert(&pins[i], i * 9);
    for (int i = 0; i < 3; i++) s->ops->unpin(s, &pins[i]);
    s->ops->close(s);
}

/* ---- what is read before anybody asks ---- */

/* From the last expert to the first, so that it cannot be what a step brings anyway. */
static void warm_up(Store *s, ExpertId ids[N_ALL])
{
    for (int i = 0; i < N_ALL; i++) ids[i] = id_of(N_ALL - 1 - i);
    s->ops->warm(s, ids, N_ALL);
    const StoreStats stats = s->ops->stats(s);
    assert_true(stats.resident_bytes <= stats.room_bytes);
}

/* How many of the first ones are there, once nothing more comes. */
static int warmed(Store *s, const ExpertId *ids)
{
    int n = 0;
    for (int patience = 0; patience < 300; patience++) {
        const int before = n;
        for (n = 0; n < N_ALL && s->ops->resident(s, ids[n]);) n++;
        if (n == before) usleep(1000);
        else patience = 0;
    }
    return n;
}

static void the_likeliest_are_there_before_anybody_asks(void **state)
{
    (void)state;
    Error error;
    ExpertId ids[N_ALL];
    for (int n_slots = 1; n_slots <= N_ALL; n_slots += n_slots == 1 ? 10 : 37) {
        Store *s = open_cache(n_slots, NULL, false);
        warm_up(s, ids);
        const int n = warmed(s, ids);
        if (n < n_slots) fail_msg("room for %d: %d came", n_slots, n);
        for (int i = n; i < N_ALL; i++) assert_false(s->ops->resident(s, ids[i]));
        Rng rng = { (uint64_t)n_slots };
        assert_int_equal(decode_step(s, &rng, -1, true, &error), OK);
        const StoreStats stats = s->ops->stats(s);
        assert_int_equal(stats.guessed_used, 0);            /* no guess, neither right nor wrong    */
        assert_int_equal(stats.guessed_wasted, 0);
        if (n == N_ALL) assert_int_equal(stats.hits, stats.pins);
        assert_int_equal(sweep_step(s, false, true, &error), OK);
        s->ops->close(s);
    }
}

/* Whatever is under way then: a step, less room, the end. */
static void warming_stands_in_nobodys_way(void **state)
{
    (void)state;
    Error error;
    ExpertId ids[N_ALL];
    const int64_t one = store_expert_room(device, &source);
    for (int round = 0; round < 60; round++) {
        Store *s = open_cache(2 + round % 30, NULL, round % 2);
        Rng rng = { (uint64_t)round };
        warm_up(s, ids);
        usleep((useconds_t)(round * 10));
        if (round % 3 == 1) assert_int_equal(s->ops->resize(s, 2 * one, &error), OK);
        if (round % 3 == 2) assert_int_equal(sweep_step(s, true, true, &error), OK);
        if (round % 5) assert_int_equal(decode_step(s, &rng, 50, true, &error), OK);
        s->ops->close(s);
    }
}

static void a_fault_while_warming_is_nobodys(void **state)
{
    (void)state;
    Error error;
    ExpertId ids[N_ALL];
    for (int n = 0; n < 12; n++) {
        atomic_store(&reads_left, n);
        io_fault = one_read_fails;
        Store *s = open_cache(20, NULL, n % 2);
        warm_up(s, ids);
        while (atomic_load(&reads_left) >= 0) usleep(100);
        assert_true(warmed(s, ids) < 20);                   /* one of them is not there             */
        assert_int_equal(sweep_step(s, false, true, &error), OK);
        s->ops->close(s);
        io_fault = NULL;
    }
}

static void what_is_too_small_is_refused(void **state)
{
    (void)state;
    Error error;
    Store *s = NULL;
    const CacheOptions small = { .room_bytes = store_expert_room(device, &source) - 1 };
    assert_int_equal(store_cache_open(device, &source, &small, &s, &error), BAD_ARGUMENT);
    const CacheOptions unknown = { .room_bytes = 4 * store_expert_room(device, &source), .policy = "astrology" };
    assert_int_equal(store_cache_open(device, &source, &unknown, &s, &error), BAD_ARGUMENT);
    assert_null(s);
}

/* ---- several at once: a lock around each step, as the engine has ---- */

typedef struct Talker { Store *store; pthread_mutex_t *lock; uint64_t seed; Status status; Error error; } Talker;

static void *talk(void *arg)
{
    Talker *t = arg;
    Rng rng = { t->seed };
    for (int step = 0; step < 25 && t->status == OK; step++) {
        pthread_mutex_lock(t->lock);
        t->status = decode_step(t->store, &rng, 70, true, &t->error);
        pthread_mutex_unlock(t->lock);
    }
    return NULL;
}

static void several_talk_in_turns(void **state)
{
    (void)state;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_t threads[3];
    Talker talkers[3];
    Store *s = open_cache(7, NULL, false);
    for (int i = 0; i < 3; i++) {
        talkers[i] = (Talker){ .store = s, .lock = &lock, .seed = (uint64_t)i + 40 };
        assert_int_equal(pthread_create(&threads[i], NULL, talk, &talkers[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        if (talkers[i].status != OK) fail_msg("%s", talkers[i].error.text);
    }
    s->ops->close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_room_gives_the_file),
        cmocka_unit_test(a_sweep_reads_what_was_missing_once),
        cmocka_unit_test(right_guesses_are_hits_and_wrong_ones_are_counted),
        cmocka_unit_test(one_fault_fails_one_pin_and_is_forgotten),
        cmocka_unit_test(short_transfers_are_nothing),
        cmocka_unit_test(a_file_cut_while_it_streams_is_said),
        cmocka_unit_test(room_changes_while_experts_come_and_go),
        cmocka_unit_test(the_likeliest_are_there_before_anybody_asks),
        cmocka_unit_test(warming_stands_in_nobodys_way),
        cmocka_unit_test(a_fault_while_warming_is_nobodys),
        cmocka_unit_test(what_is_too_small_is_refused),
        cmocka_unit_test(several_talk_in_turns),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
