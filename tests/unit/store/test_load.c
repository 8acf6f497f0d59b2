/* SPDX-License-Identifier: Apache-2.0
 * Loading by several threads: every row in its place whatever the format, the shape and the number of threads;
 * the same sentence for the same failure; only the calling thread is told of progress. */
#include "experts_file.h"

#include "number/panel.h"
#include "store/load.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

enum { N_LOADS = 2 * N_FORMATS, COLS = 512, ROWS_MAX = 700 };

static File   file;
static char  *truth;                    /* the file's bytes                                  */
static Extent extents[N_LOADS];
static char   path[512];

/* Two matrices of every format; few have whole panels. */
static int setup(void **state)
{
    (void)state;
    int64_t at = 0;
    for (int i = 0; i < N_LOADS; i++) {
        extents[i] = (Extent){ .file = &file,
                               .offset = at,
                               .rows = i < N_FORMATS ? 1 + i * 5 : ROWS_MAX - i,
                               .cols = i < N_FORMATS ? COLS : COLS / 2,
                               .format = (Format)(i % N_FORMATS) };
        at += extent_bytes(&extents[i]);
    }
    truth = open_noise("weights", at, 11, path, &file);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    file_close(&file);
    free(truth);
    return 0;
}

/* A device, a loader and a tensor for every extent. */
typedef struct World {
    Device *device;
    Loader *loader;
    Tensor  tensors[N_LOADS];
    Load    loads[N_LOADS];
} World;

static int64_t backwards(const void *of, int64_t row)
{
    return ((const Extent *)of)->rows - 1 - row;
}

static void world_open(World *w, const char *device, int n_threads)
{
    Error error;
    *w = (World){ 0 };
    assert_int_equal(device_open(device, &(DeviceOptions){ .n_threads = n_threads }, &w->device, &error), OK);
    assert_int_equal(loader_new(w->device, COLS * 4, &w->loader, &error), OK);
    for (int i = 0; i < N_LOADS; i++) {
        const Extent *e = &extents[i];
        assert_int_equal(
            w->device->ops->alloc_weight(w->device, e->format, e->rows, e->cols, &w->tensors[i]), OK);
        w->loads[i] = (Load){ .from = *e, .to = &w->tensors[i] };
        if (i % 3 == 0) {
            w->loads[i].source_row = backwards;
            w->loads[i].of = &extents[i];
        }
    }
}

static void world_close(World *w)
{
    for (int i = 0; i < N_LOADS; i++) w->device->ops->free(w->device, &w->tensors[i]);
    loader_free(w->loader);
    device_close(w->device);
}

static int64_t all_bytes(void)
{
    int64_t sum = 0;
    for (int i = 0; i < N_LOADS; i++) sum += extent_bytes(&extents[i]);
    return sum;
}

/* The device's own arrangement, undone. */
static void assert_row(const World *w, int i, int64_t row)
{
    const Extent *e = &extents[i];
    const int64_t row_bytes = format_row_bytes(e->format, e->cols);
    const int64_t there = i % 3 == 0 ? e->rows - 1 - row : row;
    char got[COLS * 4];
    const char *at = w->device->ops->host(w->device, &w->tensors[i]);
    if (w->tensors[i].layout == LAYOUT_WEIGHT)
        stack_row(got, e->format, e->cols,
                  at + row / STACK_ROWS * stack_bytes(e->format, e->cols, STACK_ROWS),
                  e->rows - row / STACK_ROWS * STACK_ROWS < STACK_ROWS ? e->rows % STACK_ROWS : STACK_ROWS,
                  row % STACK_ROWS);
    else
        memcpy(got, at + row * row_bytes, (size_t)row_bytes);
    if (memcmp(got, truth + e->offset + there * row_bytes, (size_t)row_bytes))
        fail_msg("matrix %d (%s), row %lld: not the bytes of the file", i,
                 format_info[e->format].name, (long long)row);
}

static void assert_all(const World *w)
{
    for (int i = 0; i < N_LOADS; i++)
        for (int64_t row = 0; row < extents[i].rows; row++) assert_row(w, i, row);
}

static void every_row_in_its_place(void **state)
{
    (void)state;
    static const int threads[] = { 1, 2, 5 };
    for (int t = 0; t <= ARRAY_LEN(threads); t++) {
        World w;
        Error error;
        world_open(&w, t ? "cpu" : "ref", t ? threads[t - 1] : 1);
        for (int again = 0; again < 3; again++) {
            const Status status = loader_run(w.loader, w.loads, N_LOADS, NULL, &error);
            if (status != OK) fail_msg("%s", error.text);
        }
        assert_int_equal(loader_run(w.loader, w.loads, 0, NULL, &error), OK);
        assert_all(&w);
        world_close(&w);
    }
}

typedef struct Listener { pthread_t thread; int n_calls, stop_at; int64_t last, total; } Listener;

static int listen_in(void *user, int64_t done, int64_t total)
{
    Listener *l = user;
    assert_true(pthread_equal(l->thread, pthread_self()));
    assert_true(done >= l->last && done <= total);
    l->last = done;
    l->total = total;
    return ++l->n_calls == l->stop_at;
}

static void progress_is_told_to_the_caller_alone(void **state)
{
    (void)state;
    World w;
    Error error;
    world_open(&w, "cpu", 3);
    Listener listener = { .thread = pthread_self() };
    StoreProgress p = { .tell = listen_in, .user = &listener, .total_bytes = 2 * all_bytes() };
    for (int64_t run = 1; run <= 2; run++) {
        assert_int_equal(loader_run(w.loader, w.loads, N_LOADS, &p, &error), OK);
        assert_int_equal(listener.last, run * all_bytes());
        assert_int_equal(p.done_bytes, listener.last);
    }
    assert_int_equal(listener.total, p.total_bytes);

    Listener stopper = { .thread = pthread_self(), .stop_at = 1 };
    p = (StoreProgress){ .tell = listen_in, .user = &stopper, .total_bytes = all_bytes() };
    assert_int_equal(loader_run(w.loader, w.loads, N_LOADS, &p, &error), CANCELLED);
    assert_int_equal(stopper.n_calls, 1);
    assert_int_equal(loader_run(w.loader, w.loads, N_LOADS, NULL, &error), OK);
    assert_all(&w);
    world_close(&w);
}

/* Everything from the middle of a matrix on cannot be read: the piece that is told is always the same one. */
static void the_first_failure_is_told(void **state)
{
    (void)state;
    const Extent *cut = &extents[N_FORMATS + Q4_K];
    Error error;
    File whole = file;
    char shorter[600];
    snprintf(shorter, sizeof shorter, "%s.cut", path);
    assert_int_equal(write_file(shorter, truth, (size_t)(cut->offset + extent_bytes(cut) / 2), &error), OK);
    assert_int_equal(file_open(shorter, &file, &error), OK);
    char first[sizeof error.text] = "";
    for (int n_threads = 1; n_threads <= 4; n_threads++) {
        World w;
        world_open(&w, "cpu", n_threads);
        for (int round = 0; round < 20; round++) {
            assert_int_equal(loader_run(w.loader, w.loads, N_LOADS, NULL, &error), IO_FAILED);
            if (!*first) memcpy(first, error.text, sizeof first);
            assert_string_equal(error.text, first);
        }
        world_close(&w);
    }
    assert_non_null(strstr(first, "shorter"));
    file_close(&file);
    file = whole;
}

static atomic_int reads_left;
static int a_read_fails(IoCall call)
{
    return call == IO_READ && atomic_fetch_sub(&reads_left, 1) == 0 ? EIO : 0;
}

static int transfers_are_short(IoCall call)
{
    return call == IO_READ && atomic_fetch_add(&reads_left, 1) % 3 == 0 ? IO_FAULT_SHORT : 0;
}

static void faults_are_survived(void **state)
{
    (void)state;
    World w;
    Error error;
    world_open(&w, "cpu", 4);
    for (int n = 0; n < 40; n++) {
        atomic_store(&reads_left, n);
        io_fault = a_read_fails;
        assert_int_equal(loader_run(w.loader, w.loads, N_LOADS, NULL, &error), IO_FAILED);
        io_fault = NULL;
        assert_non_null(strstr(error.text, path));
    }
    io_fault = transfers_are_short;
    assert_int_equal(loader_run(w.loader, w.loads, N_LOADS, NULL, &error), OK);
    io_fault = NULL;
    assert_all(&w);
    world_close(&w);
}

static void rows_too_wide_are_refused(void **state)
{
    (void)state;
    World w;
    Error error;
    Loader *loader;
    world_open(&w, "cpu", 2);
    assert_int_equal(loader_new(w.device, INT64_MAX / 2, &loader, &error), NO_MEMORY);
    assert_null(loader);
    Load wide = { .from = { .file = &file, .rows = 1, .cols = 1 << 28, .format = F32 },
                  .to = &w.tensors[0] };
    assert_int_equal(loader_run(w.loader, &wide, 1, NULL, &error), BAD_ARGUMENT);
    loader_free(NULL);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_in_its_place),
        cmocka_unit_test(progress_is_told_to_the_caller_alone),
        cmocka_unit_test(the_first_failure_is_told),
        cmocka_unit_test(faults_are_survived),
        cmocka_unit_test(rows_too_wide_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
