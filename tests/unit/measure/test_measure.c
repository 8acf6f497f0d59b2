/* SPDX-License-Identifier: Apache-2.0
 * What is measured is a number that a machine can have; nothing is left behind. */
#include "tests/support.h"

#include "base/pool.h"
#include "measure/measure.h"

#include <dirent.h>

static const int64_t soon_us = 1000;

static void facts_are_possible(void **state)
{
    (void)state;
    Facts f;
    measure_facts(&f);
    print_message("%s, %d of %d cores, caches %lld %lld %lld, huge pages %s, %s\n", f.cpu,
                  f.n_allowed, f.n_online, (long long)f.l1_bytes, (long long)f.l2_bytes,
                  (long long)f.l3_bytes, f.huge_pages, f.instructions);
    assert_int_equal(f.n_allowed, pool_cores());
    assert_true(f.memory_bytes > 0 && f.free_bytes <= f.memory_bytes);
    assert_true(f.l1_bytes >= 0 && f.l1_bytes < GIB && f.l3_bytes >= 0);
    if (cpu_detect() >= CPU_AVX2) assert_non_null(strstr(f.instructions, "avx2"));
}

/* Between a tenth of what a telephone does and a thousand times what a server does. */
static void rates_are_possible(void **state)
{
    (void)state;
    Error error;
    Facts facts = { .l3_bytes = 1 << 20, .free_bytes = 64 * MIB };      /* a small buffer: 16 MiB */
    ReadBuffer buffer;
    assert_int_equal(read_buffer_new(&facts, true, &buffer, &error), OK);
    assert_true(buffer.n_bytes >= 16 * MIB && buffer.n_bytes <= 64 * MIB);
    for (CpuSet set = CPU_REF; set <= cpu_detect(); set++) {
        Kernels kernels;
        kernels_select(&kernels, set);
        for (int n = 1; n <= 3; n++) {
            Rate read, int8, f32;
            assert_int_equal(measure_read(&kernels, &buffer, n, soon_us, &read, &error), OK);
            assert_int_equal(measure_int8(&kernels, n, soon_us, &int8, &error), OK);
            assert_int_equal(measure_f32(&kernels, n, soon_us, &f32, &error), OK);
            print_message("%-6s %d threads: %.3g bytes, %.3g int8, %.3g f32 a second\n",
                          cpu_set_name[set], n, read.per_s, int8.per_s, f32.per_s);
            assert_true(read.n_threads == n && read.per_s > 1e7 && read.per_s < 1e15);
            assert_true(int8.n_threads == n && int8.per_s > 1e6 && int8.per_s < 1e17);
            assert_true(f32.n_threads == n && f32.per_s > 1e6 && f32.per_s < 1e17);
        }
    }
    read_buffer_free(&buffer);
}

static int n_entries(const char *folder)
{
    int n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}

static void the_disk_is_left_as_it_was(void **state)
{
    (void)state;
    Error error = { 0 };
    Machine m = { 0 };
    const int before = n_entries(test_scratch());
    if (measure_disk(test_scratch(), &m, &error) != OK) {
        if (!strstr(error.text, "room")) fail_msg("%s", error.text);
        print_message("skipped: %s\n", error.text);
        skip();
    }
    assert_int_equal(n_entries(test_scratch()), before);
    assert_true(m.n_disk > 0);
    for (int i = 0; i < m.n_disk; i++) {
        print_message("%lld x %d: %.3g bytes a second\n", (long long)m.disk[i].block_bytes,
                      m.disk[i].depth, m.disk[i].bytes_per_s);
        assert_true(m.disk[i].bytes_per_s > 1e4);
    }
    assert_string_equal(m.disk_folder, test_scratch());
    assert_int_equal(measure_disk("/no/such/folder", &m, &error), NOT_FOUND);
    assert_non_null(strstr(error.text, "/no/such/folder"));
}

static int stop_at_second(void *user, int64_t done, int64_t total)
{
    assert_true(done >= 0 && done < total);
    return ++*(int *)user == 2;
}

static void it_stops_when_asked(void **state)
{
    (void)state;
    Error error = { 0 };
    Machine m;
    int n_calls = 0;
    MeasureOptions o = { .set = CPU_REF,
                         .n_threads = 1,
                         .quick = true,
                         .progress = stop_at_second,
                         .progress_user = &n_calls };
    assert_int_equal(measure_machine(&o, &m, &error), CANCELLED);
    assert_int_equal(n_calls, 2);
    o = (MeasureOptions){ .n_threads = 100000 };
    assert_int_equal(measure_machine(&o, &m, &error), BAD_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_are_possible),
        cmocka_unit_test(rates_are_possible),
        cmocka_unit_test(the_disk_is_left_as_it_was),
        cmocka_unit_test(it_stops_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
