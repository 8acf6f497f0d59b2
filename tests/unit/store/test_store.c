/* SPDX-License-Identifier: Apache-2.0
 * Both stores give the bytes of the file, whatever was pinned before; a failed read leaves the store usable. */
#include "experts_file.h"

#include "store/load.h"

#include <errno.h>
#include <stdatomic.h>

enum { N_LAYERS = 3, N_EXPERTS = 5, D = 32, F = 64, N_ALL = N_LAYERS * N_EXPERTS };

static File          file;
static Device       *device;
static Loader       *loader;
static ExpertExtents extents[N_ALL];
static char         *truth;             /* the file's bytes                                  */
static StoreSource   source = { .experts = extents, .n_layers = N_LAYERS, .n_experts = N_EXPERTS };

/* Layers differ in format, as the "more bits" layers of published files do. */
static int setup(void **state)
{
    (void)state;
    Error error;
    char path[512];
    int64_t at = 0;
    for (int i = 0; i < N_ALL; i++)
        at = lay_expert(&extents[i], &file, at, D, F, i / N_EXPERTS == 1 ? Q8_0 : F16);
    truth = open_noise("experts", at, 5, path, &file);
    assert_int_equal(device_open("ref", &(DeviceOptions){ 0 }, &device, &error), OK);
    return loader_new(device, F * 2, &loader, &error);
}

static int teardown(void **state)
{
    (void)state;
    loader_free(loader);
    device_close(device);
    file_close(&file);
    free(truth);
    return 0;
}

static void assert_bytes(const Tensor *t, const Extent *e)
{
    assert_int_equal(t->rows, e->rows);
    assert_int_equal(t->cols, e->cols);
    assert_int_equal(t->format, e->format);
    assert_memory_equal(device->ops->host(device, t), truth + e->offset, (size_t)extent_bytes(e));
}

static void assert_expert(const Pin *pin, int i)
{
    assert_bytes(&pin->weights.gate, &extents[i].gate);
    assert_bytes(&pin->weights.up, &extents[i].up);
    assert_bytes(&pin->weights.down, &extents[i].down);
}

static ExpertId id_of(int i)
{
    return (ExpertId){ (int16_t)(i / N_EXPERTS), (int16_t)(i % N_EXPERTS) };
}

static Store *open_store(int n_slots)
{
    Error error;
    Store *store;
    StoreProgress progress = { 0 };
    const CacheOptions cache = { .room_bytes = n_slots * store_expert_room(device, &source) };
    const Status status = n_slots ? store_cache_open(device, &source, &cache, &store, &error)
                                  : store_ram_open(device, &source, loader, &progress, &store, &error);
    if (status != OK) fail_msg("%s", error.text);
    return store;
}

static void any_order_gives_the_file(void **state)
{
    (void)state;
    for (int n_slots = 0; n_slots <= 4; n_slots++) {
        Store *s = open_store(n_slots);
        Rng rng = { 9 };
        for (int round = 0; round < 2000; round++) {
            Error error;
            Pin a, b = { .slot = -1 };
            const int i = (int)(rng_bits(&rng) % N_ALL), j = (int)(rng_bits(&rng) % N_ALL);
            assert_int_equal(s->ops->pin(s, id_of(i), 1, &a, &error), OK);
            if (n_slots != 1) assert_int_equal(s->ops->pin(s, id_of(j), 1, &b, &error), OK);
            assert_expert(&a, i);
            if (n_slots != 1) assert_expert(&b, j);
            assert_true(s->ops->resident(s, id_of(i)));
            s->ops->unpin(s, &a);
            if (n_slots != 1) s->ops->unpin(s, &b);
        }
        const StoreStats stats = s->ops->stats(s);
        assert_int_equal(stats.pins, n_slots == 1 ? 2000 : 4000);
        assert_true(n_slots == 0 ? stats.hits == stats.pins
                                 : stats.hits < stats.pins && stats.hits > 0);
        s->ops->close(s);
    }
}

static void no_room_is_said_and_survived(void **state)
{
    (void)state;
    Error error;
    Pin pins[2], third;
    Store *s = open_store(2);
    assert_int_equal(s->pins_max, 2);
    assert_int_equal(s->ops->pin(s, id_of(0), 1, &pins[0], &error), OK);
    assert_int_equal(s->ops->pin(s, id_of(7), 1, &pins[1], &error), OK);
    assert_int_equal(s->ops->pin(s, id_of(3), 1, &third, &error), NO_ROOM);
    assert_expert(&pins[0], 0);
    assert_expert(&pins[1], 7);
    s->ops->unpin(s, &pins[1]);
    assert_int_equal(s->ops->pin(s, id_of(3), 1, &third, &error), OK);
    assert_expert(&third, 3);
    s->ops->unpin(s, &third);
    s->ops->unpin(s, &pins[0]);
    s->ops->close(s);
}

static atomic_int reads_left;
static int read_fault(IoCall call)
{
    return call == IO_READ && atomic_fetch_sub(&reads_left, 1) <= 0 ? EIO : 0;
}

static void a_failed_read_leaves_the_store_usable(void **state)
{
    (void)state;
    for (int n = 0; n < 3; n++) {                   /* gate, up or down cannot be read              */
        Error error;
        Pin pin;
        Store *s = open_store(2);
        reads_left = n;
        io_fault = read_fault;
        assert_int_equal(s->ops->pin(s, id_of(4), 1, &pin, &error), IO_FAILED);
        assert_non_null(strstr(error.text, "experts"));
        assert_false(s->ops->resident(s, id_of(4)));
        io_fault = NULL;
        assert_int_equal(s->ops->pin(s, id_of(4), 1, &pin, &error), OK);
        assert_expert(&pin, 4);
        s->ops->unpin(s, &pin);
        s->ops->close(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_gives_the_file),
        cmocka_unit_test(no_room_is_said_and_survived),
        cmocka_unit_test(a_failed_read_leaves_the_store_usable),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
