/* SPDX-License-Identifier: Apache-2.0
 * A room holds no more memory than it may, whatever sizes experts have and however the system hands memory out. */
#include "experts_file.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Every other layer's experts are twice as large, and all of them some huge pages and a bit. */
enum { N_LAYERS = 4, N_EXPERTS = 4, N_ALL = N_LAYERS * N_EXPERTS, D = 1024, F = 1056, N_STEPS = 12 };

static File          file;
static char          path[512];
static Device       *device;
static ExpertExtents extents[N_ALL];
static char         *truth;
static StoreSource   source = { .experts = extents, .n_layers = N_LAYERS, .n_experts = N_EXPERTS };

static int setup(void **state)
{
    (void)state;
    Error error;
    int64_t at = 0;
    for (int i = 0; i < N_ALL; i++) at = lay_expert(&extents[i], &file, at, D, F, i / N_EXPERTS % 2 ? F16 : Q8_0);
    truth = open_noise("room", at, 11, path, &file);
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

/* Bytes of [from, to) that are memory. */
static int64_t held(uintptr_t from, uintptr_t to)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const size_t n = (to - from) / page;
    unsigned char *here = malloc(n);
    int64_t n_here = 0;
    assert_non_null(here);
    assert_int_equal(mincore((void *)from, n * page, here), 0);
    for (size_t i = 0; i < n; i++) n_here += here[i] & 1;
    free(here);
    return n_here * (int64_t)page;
}

static void no_more_than_it_may(void **state)
{
    (void)state;
    const int64_t one = store_expert_room(device, &source);
    for (int n_slots = 2; n_slots <= 8; n_slots += 3) {
        Error error;
        Store *s;
        const CacheOptions o = { .room_bytes = n_slots * one, .room_bytes_max = N_ALL * one };
        if (store_cache_open(device, &source, &o, &s, &error) != OK) fail_msg("%s", error.text);
        Rng rng = { 3 };
        uintptr_t from = UINTPTR_MAX, to = 0;
        for (int i = 0; i < N_STEPS * N_LAYERS; i++) {
            const ExpertId id = { (int16_t)(i % N_LAYERS), (int16_t)(rng_bits(&rng) % N_EXPERTS) };
            Pin pin;
            if (id.layer == 0) s->ops->begin(s, false);
            s->ops->hint(s, &id, 1, HINT_NEEDED);
            if (s->ops->pin(s, id, 1, &pin, &error) != OK) fail_msg("%s", error.text);
            const uintptr_t at = (uintptr_t)pin.weights.gate.handle;
            from = at < from ? at : from;
            to = at + (uintptr_t)one > to ? at + (uintptr_t)one : to;
            s->ops->unpin(s, &pin);
        }
        assert_in_range(held(from, to), 1, n_slots * one + ROOM_ALIGN);
        s->ops->close(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(no_more_than_it_may) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
