/* SPDX-License-Identifier: Apache-2.0
 * Reads past the page cache: any block, any number of bytes that must be there, a file that ends within a block, that
 * shrinks, that loses its name, and a disk or a system that says no. */
#include "tests/support.h"

#include "base/direct.h"
#include "base/rng.h"

#include <errno.h>
#include <sys/vfs.h>

enum { N_BLOCKS = 37, N_BYTES = N_BLOCKS * DIRECT_ALIGN - 1234, ROOM = (N_BLOCKS + 2) * DIRECT_ALIGN };

static char  path[512];
static char  truth[N_BYTES];
static char *got;                       /* [ROOM], as aligned as the disk wants it         */
static Error error;

static void must(Status status)
{
    if (status != OK) fail_msg("%s", error.text);
}

/* A new file of the same bytes.  false: nothing here can be read past the cache. */
static bool open_both(File *file, File *direct)
{
    snprintf(path, sizeof path, "%s/blocks", test_scratch());
    must(write_file(path, truth, N_BYTES, &error));
    must(file_open(path, file, &error));
    if (direct_open(file, direct, &error) == OK) return true;
    print_message("skipped: %s\n", error.text);
    file_close(file);
    return false;
}

static void close_both(File *file, File *direct)
{
    file_close(direct);
    file_close(file);
}

static void assert_bytes(int64_t offset, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (got[i] != truth[offset + i])
            fail_msg("byte %lld of %lld from %lld: want %d, got %d", (long long)i, (long long)n, (long long)offset,
                     truth[offset + i], got[i]);
}

static int64_t up(int64_t n)
{
    return (n + DIRECT_ALIGN - 1) / DIRECT_ALIGN * DIRECT_ALIGN;
}

/* Some blocks, and how many bytes of them must be there; what lies behind the room that was given stays as it was. */
static void read_somewhere(const File *direct, Rng *rng)
{
    const int64_t offset = (int64_t)(rng_bits(rng) % N_BLOCKS) * DIRECT_ALIGN;
    const int64_t needed = 1 + (int64_t)(rng_bits(rng) % (uint64_t)(N_BYTES - offset));
    const int64_t n = up(needed);
    memset(got, 7, ROOM);
    must(direct_read(direct, offset, got, n, needed, &error));
    assert_bytes(offset, needed);
    for (int64_t i = n; i < ROOM; i++)
        if (got[i] != 7)
            fail_msg("%lld bytes from %lld: wrote byte %lld", (long long)n, (long long)offset, (long long)i);
}

static void any_blocks_are_the_file(void **state)
{
    (void)state;
    File file, direct;
    if (!open_both(&file, &direct)) skip();
    assert_int_equal(direct.n_bytes, N_BYTES);
    assert_string_equal(direct.path, path);
    Rng rng = { 3 };
    for (int i = 0; i < 300; i++) read_somewhere(&direct, &rng);
    memset(got, 7, ROOM);
    must(direct_read(&direct, 0, got, up(N_BYTES), N_BYTES, &error));           /* all, its ragged end too */
    assert_bytes(0, N_BYTES);
    must(direct_read(&direct, DIRECT_ALIGN, got, DIRECT_ALIGN, 0, &error));     /* nothing needed is nothing */
    close_both(&file, &direct);
}

/* A byte behind the end is one too many, wherever the read begins. */
static void the_end_is_where_it_is(void **state)
{
    (void)state;
    File file, direct;
    if (!open_both(&file, &direct)) skip();
    for (int64_t offset = 0; offset < N_BYTES; offset += DIRECT_ALIGN) {
        must(direct_read(&direct, offset, got, up(N_BYTES - offset), N_BYTES - offset, &error));
        assert_int_equal(direct_read(&direct, offset, got, up(N_BYTES - offset), N_BYTES - offset + 1, &error),
                         IO_FAILED);
    }
    assert_int_equal(direct_read(&direct, up(N_BYTES), got, DIRECT_ALIGN, 1, &error), IO_FAILED);
    char want[700];
    snprintf(want, sizeof want, "%s: file became shorter: expected bytes up to %lld, found ", path,
             (long long)up(N_BYTES) + 1);
    if (strncmp(error.text, want, strlen(want)) != 0) fail_msg("want '%s..', got '%s'", want, error.text);
    close_both(&file, &direct);
}

static void a_file_that_shrinks_is_said(void **state)
{
    (void)state;
    static const int64_t left[] = { N_BYTES - 1, 20 * DIRECT_ALIGN, 20 * DIRECT_ALIGN + 100, DIRECT_ALIGN - 1, 1, 0 };
    for (int i = 0; i < ARRAY_LEN(left); i++) {
        File file, direct;
        if (!open_both(&file, &direct)) skip();
        assert_int_equal(truncate(path, (off_t)left[i]), 0);
        assert_int_equal(direct_read(&direct, 0, got, up(N_BYTES), N_BYTES, &error), IO_FAILED);
        if (!strstr(error.text, "became shorter")) fail_msg("cut at %lld: %s", (long long)left[i], error.text);
        memset(got, 7, ROOM);
        must(direct_read(&direct, 0, got, up(N_BYTES), left[i], &error));       /* what is left is there   */
        assert_bytes(0, left[i]);
        close_both(&file, &direct);
    }
}

static void a_name_that_means_another_file_is_nothing_to_us(void **state)
{
    (void)state;
    File file, direct;
    if (!open_both(&file, &direct)) skip();
    file_close(&direct);
    must(write_file(path, "another", 7, &error));       /* a new file of that name; ours has none now */
    must(direct_open(&file, &direct, &error));
    must(direct_read(&direct, 0, got, up(N_BYTES), N_BYTES, &error));
    assert_bytes(0, N_BYTES);
    file_close(&direct);
    assert_int_equal(remove(path), 0);
    must(direct_open(&file, &direct, &error));
    must(direct_read(&direct, 0, got, up(N_BYTES), N_BYTES, &error));
    assert_bytes(0, N_BYTES);
    close_both(&file, &direct);
}

/* ---- a disk, and a system, that say no ---- */

static int n_calls, fault_at, fault_as;
static int at_one(IoCall call)
{
    return call == IO_READ && n_calls++ == fault_at ? fault_as : 0;
}

static int always(IoCall call)
{
    return call == IO_READ ? IO_FAULT_SHORT : 0;
}

static int open_fails(IoCall call)
{
    return call == IO_OPEN ? EINVAL : 0;
}

/* Each call reads half of what is left, or a block. */
static void short_transfers_are_gone_on_with(void **state)
{
    (void)state;
    File file, direct;
    if (!open_both(&file, &direct)) skip();
    Rng rng = { 9 };
    io_fault = always;
    for (int i = 0; i < 100; i++) read_somewhere(&direct, &rng);
    assert_int_equal(truncate(path, 5 * DIRECT_ALIGN + 17), 0);                 /* and they come to an end */
    const Status cut = direct_read(&direct, 0, got, up(N_BYTES), N_BYTES, &error);
    io_fault = NULL;
    assert_int_equal(cut, IO_FAILED);
    assert_non_null(strstr(error.text, "became shorter"));
    close_both(&file, &direct);
}

static void what_the_disk_says_is_told(void **state)
{
    (void)state;
    static const struct { int as; Status want; const char *words; } cases[] = {
        { EIO, IO_FAILED, "Input/output error" },
        { EINVAL, UNSUPPORTED, "Invalid argument" },            /* the system refuses after all        */
    };
    File file, direct;
    if (!open_both(&file, &direct)) skip();
    for (int i = 0; i < ARRAY_LEN(cases); i++) {
        n_calls = fault_at = 0;
        fault_as = cases[i].as;
        io_fault = at_one;
        const Status status = direct_read(&direct, 2 * DIRECT_ALIGN, got, DIRECT_ALIGN, 9, &error);
        io_fault = NULL;
        assert_int_equal(status, cases[i].want);
        char want[700];
        snprintf(want, sizeof want, "%s: read at byte %d failed: %s", path, 2 * DIRECT_ALIGN, cases[i].words);
        assert_string_equal(error.text, want);
        must(direct_read(&direct, 2 * DIRECT_ALIGN, got, DIRECT_ALIGN, 9, &error));     /* and is over */
        assert_bytes(2 * DIRECT_ALIGN, 9);
    }
    close_both(&file, &direct);
}

static void what_is_no_disk_is_refused(void **state)
{
    (void)state;
    File memory, direct = { .fd = 99 };
    must(file_open_memory(&(Memory){ "inside", truth, sizeof truth }, &memory, &error));
    assert_int_equal(direct_open(&memory, &direct, &error), UNSUPPORTED);
    assert_string_equal(error.text, "inside: expected a file on a disk");
    assert_int_equal(direct.fd, -1);
    file_close(&direct);                                /* as after any refusal                    */
    file_close(&memory);

    File file;
    snprintf(path, sizeof path, "%s/plain", test_scratch());
    must(write_file(path, truth, N_BYTES, &error));
    must(file_open(path, &file, &error));
    io_fault = open_fails;
    const Status status = direct_open(&file, &direct, &error);
    io_fault = NULL;
    assert_int_equal(status, UNSUPPORTED);
    char want[700];
    snprintf(want, sizeof want, "%s: cannot be read past the page cache: Invalid argument", path);
    assert_string_equal(error.text, want);
    assert_int_equal(direct.fd, -1);
    file_close(&file);
}

/* Older systems refuse files in memory when they are opened, newer ones read them. */
static void files_in_memory_are_refused_or_read(void **state)
{
    (void)state;
    enum { TMPFS = 0x01021994 };
    struct statfs where;
    if (statfs("/dev/shm", &where) || where.f_type != TMPFS) {
        print_message("skipped: /dev/shm is no tmpfs here\n");
        skip();
    }
    char name[] = "/dev/shm/mixt-direct-XXXXXX";
    const int fd = mkstemp(name);
    if (fd < 0 || write(fd, truth, N_BYTES) != N_BYTES) {
        print_message("skipped: /dev/shm cannot be written\n");
        skip();
    }
    File file = { .fd = fd, .n_bytes = N_BYTES, .path = name }, direct;
    unlink(name);
    const Status status = direct_open(&file, &direct, &error);
    if (status == OK) {
        const Status read = direct_read(&direct, 0, got, up(N_BYTES), N_BYTES, &error);
        if (read == OK) assert_bytes(0, N_BYTES);
        else assert_int_equal(read, UNSUPPORTED);
        file_close(&direct);
    } else {
        assert_int_equal(status, UNSUPPORTED);
        assert_non_null(strstr(error.text, "past the page cache"));
    }
    close(fd);
}

static int setup(void **state)
{
    (void)state;
    Rng rng = { 1 };
    for (int i = 0; i < N_BYTES; i++) truth[i] = (char)rng_bits(&rng);
    got = aligned_alloc(DIRECT_ALIGN, ROOM);
    return got == NULL;
}

static int teardown(void **state)
{
    (void)state;
    free(got);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_blocks_are_the_file),
        cmocka_unit_test(the_end_is_where_it_is),
        cmocka_unit_test(a_file_that_shrinks_is_said),
        cmocka_unit_test(a_name_that_means_another_file_is_nothing_to_us),
        cmocka_unit_test(short_transfers_are_gone_on_with),
        cmocka_unit_test(what_the_disk_says_is_told),
        cmocka_unit_test(what_is_no_disk_is_refused),
        cmocka_unit_test(files_in_memory_are_refused_or_read),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
