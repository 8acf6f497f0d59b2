/* SPDX-License-Identifier: Apache-2.0
 * Opening devices, memory, and what is refused with a sentence. */
#include "world.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void names_and_sets(void **state)
{
    (void)state;
    Device *d;
    Error error;
    assert_int_equal(device_open("tpu", NULL, &d, &error), BAD_ARGUMENT);
    assert_string_equal(error.text, "device 'tpu': expected ref or cpu");
    assert_null(d);
    assert_int_equal(device_open("cpu", &(DeviceOptions){.cpu_set = "mmx"}, &d, &error),
                     BAD_ARGUMENT);
    assert_string_equal(error.text, "cpu set 'mmx': expected ref, avx2 or avx512");
    assert_int_equal(device_open("cpu", &(DeviceOptions){.n_threads = -1}, &d, &error),
                     BAD_ARGUMENT);
    assert_int_equal(device_open("cpu", &(DeviceOptions){.n_threads = 100000}, &d, &error),
                     BAD_ARGUMENT);

    assert_int_equal(device_open("ref", NULL, &d, &error), OK);
    assert_string_equal(device_cpu_set(d), "ref");
    assert_int_equal(device_n_threads(d), 1);
    device_close(d);
    assert_int_equal(device_open("cpu", NULL, &d, &error), OK);
    assert_true(device_n_threads(d) >= 1);
    device_close(d);
    device_close(NULL);
}

static void memory_is_checked(void **state)
{
    (void)state;
    static const char *const kinds[] = { "ref", "cpu" };
    for (int i = 0; i < ARRAY_LEN(kinds); i++) {
        Device *d;
        Tensor t;
        assert_int_equal(device_open(kinds[i], &(DeviceOptions){ .n_threads = 2 }, &d, NULL), OK);
        assert_int_equal(d->ops->alloc(d, Q4_K, 2, 100, &t), BAD_ARGUMENT);
        assert_string_equal(d->error.text,
                            "tensor [2][100] of Q4_K: a row must be whole blocks of 256 numbers");
        assert_int_equal(d->ops->alloc(d, F32, INT64_MAX / 4, 1 << 20, &t), NO_MEMORY);
        assert_int_equal(d->ops->alloc(d, F32, 1 << 20, (int64_t)1 << 40, &t), NO_MEMORY);
        assert_int_equal(d->ops->alloc(d, F32, -1, 4, &t), BAD_ARGUMENT);
        assert_int_equal(d->ops->alloc(d, F32, 0, 4, &t), OK);
        d->ops->free(d, &t);

        /* A weight is filled from where a panel begins, and not beyond its end. */
        static const char rows[161 * 18];
        assert_int_equal(d->ops->alloc_weight(d, Q4_0, 160, 31, &t), BAD_ARGUMENT);
        assert_int_equal(d->ops->alloc_weight(d, Q4_0, 160, 32, &t), OK);
        assert_int_equal(t.layout == LAYOUT_WEIGHT || d->ops->fill_rows == 1, true);
        assert_int_equal(d->ops->fill(d, &t, 0, 161, rows), BAD_ARGUMENT);
        assert_int_equal(d->ops->fill(d, &t, 128, 33, rows), BAD_ARGUMENT);
        assert_int_equal(d->ops->fill(d, &t, -128, 128, rows), BAD_ARGUMENT);
        if (d->ops->fill_rows > 1) {
            assert_int_equal(d->ops->fill(d, &t, 3, 128, rows), BAD_ARGUMENT);
            assert_int_equal(d->ops->fill(d, &t, 0, 127, rows), BAD_ARGUMENT);
        }
        assert_int_equal(d->ops->fill(d, &t, 128, 32, rows), OK);
        assert_int_equal(d->ops->fill(d, &t, 0, 160, rows), OK);
        d->ops->free(d, &t);

        const float x[4] = { 1, 2, 3, 4 };
        float y[4] = { 0 };
        assert_int_equal(d->ops->alloc(d, F32, 1, 4, &t), OK);
        assert_int_equal((uintptr_t)d->ops->host(d, &t) % 64, 0);
        assert_int_equal(d->ops->upload(d, &t, x, 17), BAD_ARGUMENT);
        assert_int_equal(d->ops->upload(d, &t, x, 16), OK);
        assert_int_equal(d->ops->download(d, y, &t, 17), BAD_ARGUMENT);
        assert_int_equal(d->ops->download(d, y, &t, 16), OK);
        assert_memory_equal(x, y, sizeof x);
        d->ops->free(d, &t);
        assert_null(t.handle);
        d->ops->free(d, &t);
        device_close(d);
    }
}

/* Nothing is computed in work space that was not reserved. */
static void more_than_reserved_is_refused(void **state)
{
    (void)state;
    static const char *const kinds[] = { "ref", "cpu" };
    for (int i = 0; i < ARRAY_LEN(kinds); i++) {
        Device *d;
        assert_int_equal(device_open(kinds[i], &(DeviceOptions){ .n_threads = 2 }, &d, NULL), OK);
        static const float zeros[5 * 8];
        Tensor x = made(d, F32, 3, 8, zeros), w = made_weight(d, F32, 5, 8, zeros),
               y = made(d, F32, 3, 5, NULL);
        Tensor *ys[] = { &y };
        const Tensor *ws[] = { &w };
        assert_int_equal(d->ops->project(d, ys, &x, ws, 1), BAD_ARGUMENT);         /* nothing yet */
        DeviceLimits limits = {
            .n_tokens = 2, .n_cols = 8, .n_width = 8, .n_hidden = 8, .n_used = 1, .n_heads = 1, .head_size = 8};
        MUST(d->ops->reserve(d, &limits));
        assert_int_equal(d->ops->project(d, ys, &x, ws, 1), BAD_ARGUMENT);         /* T too large */
        assert_string_equal(d->error.text, "project: 3 rows of 8 were asked for, 2 of 8 reserved");
        limits.n_tokens = 3;
        MUST(d->ops->reserve(d, &limits));
        assert_int_equal(d->ops->project(d, ys, &x, ws, 1), OK);
        limits.n_hidden = INT64_MAX / 8;
        assert_int_equal(d->ops->reserve(d, &limits), NO_MEMORY);
        assert_int_equal(d->ops->project(d, ys, &x, ws, 1), BAD_ARGUMENT); /* and nothing is left */
        d->ops->free(d, &x);
        d->ops->free(d, &w);
        d->ops->free(d, &y);
        device_close(d);
    }
}

/* Sequences of any length may be opened beside each other; one that is too long takes nothing from the others. */
static void room_for_sequences_only_grows(void **state)
{
    (void)state;
    static const char *const kinds[] = { "ref", "cpu" };
    for (int i = 0; i < ARRAY_LEN(kinds); i++) {
        Device *d;
        assert_int_equal(device_open(kinds[i], &(DeviceOptions){ .n_threads = 2 }, &d, NULL), OK);
        MUST(d->ops->reserve(d, &(DeviceLimits){ .n_tokens = 1, .n_cols = 32, .n_width = 32, .n_hidden = 32,
                                                 .n_used = 1, .n_heads = 1, .head_size = 32 }));
        MUST(d->ops->reserve_context(d, 64));
        assert_int_equal(d->ops->reserve_context(d, INT64_MAX / 2), NO_MEMORY);
        assert_non_null(strstr(d->error.text, "context"));
        MUST(d->ops->reserve_context(d, 8));

        static const float ones[32] = { 1.0f };
        const int32_t position = 40;
        Tensor page = made(d, F32, 2 * 64, 32, NULL), k = made(d, F32, 1, 32, ones), y = made(d, F32, 1, 32, NULL);
        const Tensor *pages[] = { &page };
        KvView kv = { .pages = pages, .v_row = 64, .page_tokens = 64, .head_size = 32 };
        for (int32_t at = 0; at <= position; at++) {
            kv.positions = &at;
            MUST(d->ops->kv_write(d, &kv, &k, &k));
        }
        kv.positions = &position;
        MUST(d->ops->attend(d, &y, &k, &kv));
        float got[32];
        MUST(d->ops->download(d, got, &y, sizeof got));
        assert_true(got[0] > 0.999f && got[0] < 1.001f);
        d->ops->free(d, &page);
        d->ops->free(d, &k);
        d->ops->free(d, &y);
        device_close(d);
    }
}

enum { SMALL_PAGE = 4096, HUGE_PAGE = 2 << 20, ROOM_BYTES = 8 * HUGE_PAGE };

/* Bytes of it that are memory. */
static int64_t held(char *room)
{
    static unsigned char here[ROOM_BYTES / SMALL_PAGE];
    int64_t n = 0;
    assert_int_equal(mincore(room, ROOM_BYTES, here), 0);
    for (int i = 0; i < ARRAY_LEN(here); i++) n += (here[i] & 1) * SMALL_PAGE;
    return n;
}

static void put_bytes(char *at, char byte, int64_t n)
{
    for (int64_t i = 0; i < n; i++) at[i] = byte;
}

static void expect_bytes(const char *at, char byte, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (at[i] != byte) fail_msg("byte %lld: expected %d, found %d", (long long)i, byte, at[i]);
}

/* What is moved is no more memory than before, what was there is lost, and the neighbours stay. */
static void memory_of_a_room_moves(void **state)
{
    (void)state;
    static const size_t sizes[] = { SMALL_PAGE, 5 * SMALL_PAGE, HUGE_PAGE, HUGE_PAGE + SMALL_PAGE, 3 * HUGE_PAGE };
    Device *d;
    assert_int_equal(device_open("cpu", &(DeviceOptions){ .n_threads = 1 }, &d, NULL), OK);
    for (int i = 0; i < ARRAY_LEN(sizes); i++) {
        const size_t n = sizes[i];
        void *all;
        assert_int_equal(d->ops->alloc_room(d, ROOM_BYTES, &all), OK);
        char *room = all, *half = room + ROOM_BYTES / 2;
        put_bytes(room, 1, ROOM_BYTES / 2);
        const int64_t before = held(room);
        assert_int_equal(before, ROOM_BYTES / 2);
        char *from = half - n;
        d->ops->move_room(d, from, half, (int64_t)n);
        assert_in_range(held(room), before - (int64_t)n, before);
        expect_bytes(room, 1, from - room);
        put_bytes(half, 2, (int64_t)n);
        d->ops->move_room(d, half, from, (int64_t)n);            /* and back, out of what is a mapping of its own */
        expect_bytes(half, 0, (int64_t)n);
        put_bytes(from, 3, (int64_t)n);
        expect_bytes(room, 1, from - room);
        expect_bytes(from, 3, (int64_t)n);
        d->ops->free_room(d, room, ROOM_BYTES);
    }
    device_close(d);
}

static bool mremap_fails;

/* As Linux before 6.17 fails where what is to be moved lies in two mappings: by then it has unmapped where it was to
 * go.  This takes the place of libc's. */
void *mremap(void *from, size_t n_bytes, size_t n_new, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    void *to = va_arg(more, void *);
    va_end(more);
    if (!mremap_fails) return (void *)syscall(SYS_mremap, from, n_bytes, n_new, flags, to);
    munmap(to, n_new);
    errno = EFAULT;
    return MAP_FAILED;
}

/* Then what was there is given up, and where it was to go can be written to all the same. */
static void memory_that_cannot_be_moved_is_taken_anew(void **state)
{
    (void)state;
    static const size_t sizes[] = { SMALL_PAGE, 5 * SMALL_PAGE, HUGE_PAGE, HUGE_PAGE + SMALL_PAGE, 3 * HUGE_PAGE };
    Device *d;
    assert_int_equal(device_open("cpu", &(DeviceOptions){ .n_threads = 1 }, &d, NULL), OK);
    for (int i = 0; i < ARRAY_LEN(sizes); i++) {
        const size_t n = sizes[i];
        void *all;
        assert_int_equal(d->ops->alloc_room(d, ROOM_BYTES, &all), OK);
        char *room = all, *half = room + ROOM_BYTES / 2, *from = half - n;
        put_bytes(room, 1, ROOM_BYTES / 2);
        mremap_fails = true;
        d->ops->move_room(d, from, half, (int64_t)n);
        mremap_fails = false;
        assert_int_equal(held(room), ROOM_BYTES / 2 - (int64_t)n);
        expect_bytes(room, 1, from - room);
        put_bytes(half, 2, (int64_t)n);
        put_bytes(from, 3, (int64_t)n);
        expect_bytes(half, 2, (int64_t)n);
        expect_bytes(room, 1, from - room);
        d->ops->free_room(d, room, ROOM_BYTES);
    }
    device_close(d);
}

/* One row's NaN stays in that row. */
static void nan_stays_in_its_row(void **state)
{
    (void)state;
    World *w = world_new(Q4_K, F16, 0, PAIRS_ADJACENT, 300);
    Device *d;
    assert_int_equal(device_open("cpu", &(DeviceOptions){ .n_threads = 2 }, &d, NULL), OK);
    Answer *before = answer(d, w, T);
    w->x[5 * D + 100] = NAN;
    Answer *after = answer(d, w, T);
    for (int t = 0; t < T; t++) {
        const bool same =
            bits_equal(before->project[t], after->project[t], sizeof before->project[t]) &&
            bits_equal(before->attend[t], after->attend[t], sizeof before->attend[t]) &&
            bits_equal(before->combine[t], after->combine[t], sizeof before->combine[t]);
        assert_int_equal(same, t != 5);
    }
    for (int i = 0; i < N; i++) assert_true(isnan(after->project[5][i]));
    for (int i = 0; i < D; i++) assert_true(isnan(after->combine[5][i]));
    free(before);
    free(after);
    device_close(d);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_sets),
        cmocka_unit_test(memory_is_checked),
        cmocka_unit_test(more_than_reserved_is_refused),
        cmocka_unit_test(room_for_sequences_only_grows),
        cmocka_unit_test(memory_of_a_room_moves),
        cmocka_unit_test(memory_that_cannot_be_moved_is_taken_anew),
        cmocka_unit_test(nan_stays_in_its_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
