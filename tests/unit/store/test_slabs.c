/* SPDX-License-Identifier: Apache-2.0
 * Packed experts: a pin gives the slab's bytes, and a damaged one is told by its checksum, whichever way blocks go. */
#include "experts_file.h"

#include "base/checksum.h"
#include "base/direct.h"
#include "store/way.h"

/* Slabs of several blocks each, the last of them short. */
enum { N_EXPERTS = 5, D = 512, F = 1400, DAMAGED = 3, N_SLOTS = 2, N_PINS = 4 * WAY_TRIAL_BLOCKS };

static File          file;
static char          path[512];
static Device       *device;
static ExpertExtents extents[N_EXPERTS];
static char         *truth;
static StoreSource   source = { .experts = extents, .n_layers = 1, .n_experts = N_EXPERTS };

static int64_t round_to(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static int setup(void **state)
{
    (void)state;
    Error error;
    if (device_open("cpu", &(DeviceOptions){ .n_threads = 1 }, &device, &error) != OK) fail_msg("%s", error.text);
    int64_t part_bytes = round_to(device->ops->weight_bytes(F16, F, D), SLAB_PART_ALIGN);
    const int64_t slab_bytes = round_to(2 * part_bytes + device->ops->weight_bytes(F16, D, F), DIRECT_ALIGN);
    truth = open_noise("slabs", (N_EXPERTS + 1) * slab_bytes, 7, path, &file);
    for (int e = 0; e < N_EXPERTS; e++) {
        lay_expert(&extents[e], &file, 0, D, F, F16);           /* shapes only                     */
        extents[e].packed = (Slab){ .file = &file, .offset = (e + 1) * slab_bytes, .n_bytes = slab_bytes,
                                    .hashed = true, .layer = 0, .expert = e };
        extents[e].packed.hash = checksum_long(truth + (e + 1) * slab_bytes, (size_t)slab_bytes) ^ (e == DAMAGED);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    device_close(device);
    file_close(&file);
    free(truth);
    return 0;
}

static void assert_part(const Tensor *t, int64_t rows, int64_t cols, int64_t *at)
{
    const int64_t bytes = device->ops->weight_bytes(F16, rows, cols);
    assert_memory_equal(t->handle, truth + *at, (size_t)bytes);
    *at += round_to(bytes, SLAB_PART_ALIGN);
}

static void both_ways_give_the_slab(void **state)
{
    (void)state;
    for (int buffered = 0; buffered < 2; buffered++) {
        Error error;
        Store *s;
        const int64_t one = store_expert_room(device, &source);
        const CacheOptions o = { .room_bytes = N_SLOTS * one, .buffered = buffered };
        if (store_cache_open(device, &source, &o, &s, &error) != OK) fail_msg("%s", error.text);
        s->ops->begin(s, false);
        for (int i = 0; i < N_PINS; i++) {
            const ExpertId id = { 0, (int16_t)(i % N_EXPERTS) };
            Pin pin;
            s->ops->hint(s, &id, 1, HINT_NEEDED);
            const Status status = s->ops->pin(s, id, 1, &pin, &error);
            assert_int_equal(status, id.expert == DAMAGED ? BAD_FILE : OK);
            if (status != OK) {
                assert_non_null(strstr(error.text, "layer 0, expert 3"));
                continue;
            }
            int64_t at = extents[id.expert].packed.offset;
            assert_part(&pin.weights.gate, F, D, &at);
            assert_part(&pin.weights.up, F, D, &at);
            assert_part(&pin.weights.down, D, F, &at);
            s->ops->unpin(s, &pin);
        }
        s->ops->close(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(both_ways_give_the_slab) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
