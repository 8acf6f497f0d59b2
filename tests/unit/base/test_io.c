/* SPDX-License-Identifier: Apache-2.0
 * The door to the disk, when the disk behaves and when it does not.
 *
 * Every fault is injected at the first, second, ... n-th call: whatever happens, a reader gives an
 * error and a writer leaves the old file or the new one, and nothing else in the folder. */
#include "tests/support.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/io.h"
#include "base/clock.h"
#include "base/rng.h"

static char *in_scratch(const char *name)
{
    static char paths[16][512];
    static int turn;
    char *path = paths[turn++ & 15];
    snprintf(path, sizeof paths[0], "%s/%s", test_scratch(), name);
    return path;
}

static void make_file(const char *path, char letter, size_t n_bytes)
{
    char *bytes = malloc(n_bytes + 1);
    memset(bytes, letter, n_bytes);
    Error error;
    if (write_file(path, bytes, n_bytes, &error) != OK) fail_msg("%s", error.text);
    free(bytes);
}

/* The letter the whole file is made of; 0 when it is mixed, absent, or of another size. */
static char letter_of(const char *path, size_t n_bytes)
{
    char *text = NULL;
    size_t n = 0;
    if (file_slurp(path, 64 * MIB, &text, &n, NULL) != OK) return 0;
    char letter = n == n_bytes && n ? text[0] : 0;
    for (size_t i = 0; i < n; i++)
        if (text[i] != letter) letter = 0;
    free(text);
    return letter;
}

static int n_leftovers(void)
{
    int n = 0;
    DIR *folder = opendir(test_scratch());
    for (struct dirent *e; (e = readdir(folder));)
        if (strstr(e->d_name, ".part")) n++;
    closedir(folder);
    return n;
}

/* ---- the faults ---- */

static IoCall fault_call;
static int    fault_at, fault_errno, n_calls;      /* the fault_at-th such call (from 0) fails */

static int inject(IoCall call)
{
    return call == fault_call && n_calls++ == fault_at ? fault_errno : 0;
}

static void arm(IoCall call, int at, int code)
{
    fault_call = call;
    fault_at = at;
    fault_errno = code;
    n_calls = 0;
    io_fault = inject;
}

static int disarm(void **state)
{
    (void)state;
    io_fault = NULL;
    return 0;
}

static int always_short(IoCall call)
{
    (void)call;
    return IO_FAULT_SHORT;
}

/* ---- reading ---- */

static void reads_what_was_written(void **state)
{
    (void)state;
    enum { N = 100003 };
    unsigned char *want = malloc(N), *got = malloc(N);
    Rng rng = { .state = 11 };
    for (int i = 0; i < N; i++) want[i] = (unsigned char)rng_bits(&rng);
    const char *path = in_scratch("bytes");
    assert_int_equal(write_file(path, want, N, NULL), OK);

    for (int shortened = 0; shortened < 2; shortened++) {
        io_fault = shortened ? always_short : NULL;
        File file;
        assert_int_equal(file_open(path, &file, NULL), OK);
        assert_int_equal(file.n_bytes, N);
        for (int i = 0; i < 200; i++) {
            const size_t offset = (size_t)(rng_bits(&rng) % N),
                         n = (size_t)(rng_bits(&rng) % (N - offset + 1));
            assert_int_equal(file_read(&file, (int64_t)offset, got, n, NULL), OK);
            assert_memory_equal(got, want + offset, n);
        }
        file_close(&file);
        file_close(&file);
    }
    free(want);
    free(got);
}

static void reading_past_the_end(void **state)
{
    (void)state;
    const char *path = in_scratch("shrinks");
    make_file(path, 's', 5000);
    File file;
    assert_int_equal(file_open(path, &file, NULL), OK);
    assert_int_equal(truncate(path, 100), 0);
    char to[5000];
    Error error = { 0 };
    assert_int_equal(file_read(&file, 0, to, sizeof to, &error), IO_FAILED);
    assert_non_null(strstr(error.text, "became shorter"));
    assert_int_equal(file_read(&file, 0, to, 100, &error), OK);
    assert_int_equal(file_read(&file, INT64_MAX - 10, to, 100, &error), IO_FAILED);
    file_close(&file);
}

static void what_cannot_be_opened(void **state)
{
    (void)state;
    File file;
    Error error = { 0 };
    assert_int_equal(file_open(in_scratch("absent"), &file, &error), NOT_FOUND);
    assert_non_null(strstr(error.text, "No such file"));
    assert_int_equal(file_open(test_scratch(), &file, &error), NOT_FOUND);
    assert_non_null(strstr(error.text, "found a folder"));
    assert_int_equal(mkfifo(in_scratch("fifo"), 0600), 0);
    assert_int_equal(file_open(in_scratch("fifo"), &file, &error), NOT_FOUND);      /* and does not hang */
    assert_int_equal(file.fd, -1);
    unlink(in_scratch("fifo"));
}

/* Nobody is asked: no fault of a disk reaches it. */
static void memory_is_read_like_a_file(void **state)
{
    (void)state;
    Error error;
    File file;
    char got[8] = "";
    const char *bytes = "0123456789";
    arm(IO_READ, 0, EIO);
    assert_int_equal(file_open_memory(&(Memory){ "digits", bytes, 10 }, &file, &error), OK);
    assert_int_equal(file.n_bytes, 10);
    assert_int_equal(file_read(&file, 6, got, 4, &error), OK);
    assert_string_equal(got, "6789");
    assert_int_equal(file_read(&file, 10, got, 0, &error), OK);
    const struct { int64_t offset; size_t n; } outside[] = {
        { 7, 4 }, { 11, 0 }, { -1, 1 }, { 10, 1 }, { INT64_MAX, 1 }, { 0, SIZE_MAX },
    };
    for (int i = 0; i < ARRAY_LEN(outside); i++) {
        assert_int_equal(file_read(&file, outside[i].offset, got, outside[i].n, &error), IO_FAILED);
        assert_non_null(strstr(error.text, "digits"));
    }
    assert_string_equal(got, "6789");
    file_close(&file);
    assert_null(file.memory);
    assert_int_equal(file_open_memory(&(Memory){ "digits", NULL, 0 }, &file, &error), BAD_ARGUMENT);
    file_close(&file);
}

static void slurping(void **state)
{
    (void)state;
    const char *path = in_scratch("slurp");
    make_file(path, 'x', 1000);
    char *text = NULL;
    size_t n = 0;
    Error error = { 0 };
    assert_int_equal(file_slurp(path, 999, &text, &n, &error), BAD_FILE);
    assert_non_null(strstr(error.text, "expected at most 999 bytes, found 1000"));
    assert_int_equal(file_slurp(path, 1000, &text, &n, &error), OK);
    assert_int_equal(n, 1000);
    assert_int_equal(text[1000], 0);
    free(text);
    make_file(path, 'x', 0);
    assert_int_equal(file_slurp(path, 0, &text, &n, &error), OK);
    assert_int_equal(n, 0);
    free(text);
}

static void every_read_can_fail(void **state)
{
    (void)state;
    const char *path = in_scratch("reads");
    make_file(path, 'r', 3000);
    static const struct { IoCall call; int code; Status want; } rows[] = {
        { IO_OPEN, EACCES, NOT_FOUND }, { IO_OPEN, EMFILE, NOT_FOUND }, { IO_READ, EIO, IO_FAILED },
    };
    for (int i = 0; i < ARRAY_LEN(rows); i++) {
        arm(rows[i].call, 0, rows[i].code);
        char *text = (char *)"untouched";
        size_t n;
        Error error = { 0 };
        assert_int_equal(file_slurp(path, MIB, &text, &n, &error), rows[i].want);
        assert_string_equal(text, "untouched");
        assert_non_null(strstr(error.text, strerror(rows[i].code)));
        assert_non_null(strstr(error.text, path));
    }
}

/* ---- writing ---- */

enum { OLD_BYTES = 7000, NEW_BYTES = 3 * WRITER_BUFFER_BYTES + 12345 };

/* The new file, in pieces of changing size. */
static Status write_new(const char *path, Error *error)
{
    static char piece[WRITER_BUFFER_BYTES + 77];
    memset(piece, 'n', sizeof piece);
    Writer w;
    TRY(writer_open(path, NULL, &w, error));
    Status status = OK;
    size_t left = NEW_BYTES, step = 1;
    while (left && status == OK) {
        if (step > left) step = left;
        status = writer_add(&w, piece, step, error);
        left -= step;
        step = step * 7 % sizeof piece + 1;
    }
    if (status == OK) return writer_commit(&w, error);
    writer_abandon(&w);
    return status;
}

static void every_write_can_fail(void **state)
{
    (void)state;
    const char *path = in_scratch("out");
    static const struct { IoCall call; int code; } rows[] = {
        { IO_OPEN, EACCES }, { IO_WRITE, ENOSPC }, { IO_WRITE, EIO }, { IO_WRITE, EDQUOT },
        { IO_SYNC, EIO }, { IO_RENAME, EROFS },
    };
    for (int i = 0; i < ARRAY_LEN(rows); i++) {
        bool done = false;
        for (int at = 0; !done; at = at < 20 ? at + 1 : at * 2) {
            io_fault = NULL;
            make_file(path, 'o', OLD_BYTES);
            arm(rows[i].call, at, rows[i].code);
            Error error = { 0 };
            const Status status = write_new(path, &error);
            done = n_calls <= at;               /* it never came to the at-th call: all went well */
            io_fault = NULL;
            const char old = letter_of(path, OLD_BYTES), new = letter_of(path, NEW_BYTES);
            if (done) {
                assert_int_equal(status, OK);
                assert_int_equal(new, 'n');
            } else {
                assert_int_equal(status, IO_FAILED);
                assert_non_null(strstr(error.text, strerror(rows[i].code)));
                /* Only when the folder could not be synced is the new file there already. */
                if (rows[i].call == IO_SYNC && at == 1) assert_int_equal(new, 'n');
                else assert_int_equal(old, 'o');
            }
            assert_int_equal(n_leftovers(), 0);
        }
    }
}

static void short_writes_lose_nothing(void **state)
{
    (void)state;
    io_fault = always_short;
    const char *path = in_scratch("short");
    assert_int_equal(write_new(path, NULL), OK);
    io_fault = NULL;
    assert_int_equal(letter_of(path, NEW_BYTES), 'n');
}

/* A caller that overlooks a failed piece must not get a file with a hole. */
static void a_failed_writer_commits_nothing(void **state)
{
    (void)state;
    const char *path = in_scratch("hole");
    make_file(path, 'o', OLD_BYTES);
    Writer w;
    Error error;
    static char large[2 * WRITER_BUFFER_BYTES];
    assert_int_equal(writer_open(path, NULL, &w, &error), OK);
    arm(IO_WRITE, 0, EIO);
    assert_int_equal(writer_add(&w, large, sizeof large, &error), IO_FAILED);
    assert_int_equal(writer_add(&w, large, sizeof large, &error), OK);
    assert_int_equal(writer_commit(&w, &error), IO_FAILED);
    io_fault = NULL;
    assert_int_equal(letter_of(path, OLD_BYTES), 'o');
    assert_int_equal(n_leftovers(), 0);
}

/* The real thing: a disk that is full is played by a limit on file sizes. */
static void a_real_limit(void **state)
{
    (void)state;
    const char *path = in_scratch("limit");
    make_file(path, 'o', OLD_BYTES);
    const struct rlimit small = { 2 << 20, RLIM_INFINITY };
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    Error error = { 0 };
    const Status status = write_new(path, &error);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, IO_FAILED);
    assert_non_null(strstr(error.text, strerror(EFBIG)));
    assert_int_equal(letter_of(path, OLD_BYTES), 'o');
    assert_int_equal(n_leftovers(), 0);
}

static void room_is_asked_for_beforehand(void **state)
{
    (void)state;
    const char *path = in_scratch("room");
    make_file(path, 'o', OLD_BYTES);
    static const struct { int64_t n_bytes; int code; Status want; } rows[] = {
        { 0, 0, OK },         { 4096, 0, OK }, { INT64_MAX / 4, 0, IO_FAILED },
        { 1, ENOSPC, IO_FAILED },      { 0, ENOSPC, OK },
        { INT64_MAX / 4, ENOSYS, OK },              /* nobody knows: then the writes will tell  */
    };
    for (int i = 0; i < ARRAY_LEN(rows); i++) {
        Writer w;
        Error error = { 0 };
        assert_int_equal(writer_open(path, NULL, &w, &error), OK);
        if (rows[i].code) arm(IO_ROOM, 0, rows[i].code);
        const Status got = writer_expect(&w, rows[i].n_bytes, &error);
        io_fault = NULL;
        if (got != rows[i].want)
            fail_msg("row %d: want %d, got %d %s", i, rows[i].want, got, error.text);
        assert_int_equal(writer_commit(&w, NULL), rows[i].want);    /* refused for good          */
        assert_int_equal(letter_of(path, OLD_BYTES), rows[i].want == OK ? 0 : 'o');
        assert_int_equal(n_leftovers(), 0);
        make_file(path, 'o', OLD_BYTES);
    }
    Writer w;
    Error error = { 0 };
    assert_int_equal(writer_open(path, NULL, &w, &error), OK);
    arm(IO_ROOM, 0, ENOSPC);
    assert_int_equal(writer_expect(&w, 28450000000, &error), IO_FAILED);
    io_fault = NULL;
    assert_non_null(strstr(error.text, path));
    assert_non_null(strstr(error.text, "28.45 GB (26.50 GiB), found 0.00 GB (0.00 GiB)"));
    writer_abandon(&w);
}

static void padding(void **state)
{
    (void)state;
    const char *path = in_scratch("pad");
    Writer w;
    assert_int_equal(writer_open(path, NULL, &w, NULL), OK);
    assert_int_equal(writer_add(&w, "abc", 3, NULL), OK);
    assert_int_equal(writer_pad(&w, 32, NULL), OK);
    assert_int_equal(w.n_bytes, 32);
    assert_int_equal(writer_pad(&w, 32, NULL), OK);
    assert_int_equal(w.n_bytes, 32);
    assert_int_equal(writer_pad(&w, 4096, NULL), OK);
    assert_int_equal(w.n_bytes, 4096);
    assert_int_equal(writer_commit(&w, NULL), OK);
    writer_abandon(&w);                             /* after commit: nothing */
    char *text;
    size_t n;
    assert_int_equal(file_slurp(path, MIB, &text, &n, NULL), OK);
    assert_int_equal(n, 4096);
    assert_memory_equal(text, "abc", 4);
    for (size_t i = 3; i < n; i++) assert_int_equal(text[i], 0);
    free(text);
}

/* ---- where the output goes ---- */

static void an_input_is_not_overwritten(void **state)
{
    (void)state;
    char *in = in_scratch("model"), *soft = in_scratch("soft"), *hard = in_scratch("hard");
    make_file(in, 'm', 100);
    assert_int_equal(symlink(in, soft), 0);
    assert_int_equal(link(in, hard), 0);
    const char *const inputs[] = { "/dev/null", in, NULL };
    const char *const outputs[] = { in, soft, hard };
    for (int i = 0; i < 3; i++) {
        Writer w;
        Error error = { 0 };
        assert_int_equal(writer_open(outputs[i], inputs, &w, &error), BAD_ARGUMENT);
        assert_non_null(strstr(error.text, "same file"));
        writer_abandon(&w);
    }
    Writer w;
    assert_int_equal(writer_open(in_scratch("else"), inputs, &w, NULL), OK);
    writer_abandon(&w);
    assert_int_equal(access(in_scratch("else"), F_OK), -1);
    assert_int_equal(letter_of(in, 100), 'm');
}

static void a_link_stays_a_link(void **state)
{
    (void)state;
    char *file = in_scratch("behind"), *soft = in_scratch("link"), *broken = in_scratch("broken");
    make_file(file, 'o', 10);
    assert_int_equal(symlink("behind", soft), 0);
    make_file(soft, 'n', 20);
    struct stat info;
    assert_int_equal(lstat(soft, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(letter_of(file, 20), 'n');
    assert_int_equal(symlink("nowhere", broken), 0);
    make_file(broken, 'b', 5);
    assert_int_equal(letter_of(broken, 5), 'b');
}

static void permissions(void **state)
{
    (void)state;
    const char *path = in_scratch("mode");
    const mode_t mask = umask(027);
    make_file(path, 'a', 1);
    umask(mask);
    struct stat info;
    stat(path, &info);
    assert_int_equal(info.st_mode & 0777, 0640);
    chmod(path, 0600);
    make_file(path, 'b', 1);                        /* what was private stays private */
    stat(path, &info);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void odd_outputs(void **state)
{
    (void)state;
    Writer w;
    Error error = { 0 };
    assert_int_equal(writer_open("/dev/null", NULL, &w, &error), BAD_ARGUMENT);
    assert_int_equal(writer_open(test_scratch(), NULL, &w, &error), BAD_ARGUMENT);
    assert_int_equal(writer_open(in_scratch("no/such/folder"), NULL, &w, &error), IO_FAILED);
    assert_int_equal(writer_open("", NULL, &w, &error), BAD_ARGUMENT);
    char name[256];
    memset(name, 'l', 255);                         /* as long as a name may be */
    name[255] = 0;
    make_file(in_scratch(name), 'l', 3);
    assert_int_equal(letter_of(in_scratch(name), 3), 'l');
    assert_int_equal(n_leftovers(), 0);
}

/* ---- SIGKILL, whenever ---- */

static void killed_at_any_moment(void **state)
{
    (void)state;
    const char *path = in_scratch("killed");
    const unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    Rng rng = { .state = seed };
    const int64_t begin_us = clock_us();
    assert_int_equal(write_new(path, NULL), OK);
    const uint64_t whole_us = (uint64_t)(clock_us() - begin_us);
    int n_old = 0, n_new = 0;
    for (int round = 0; round < 150; round++) {
        make_file(path, 'o', OLD_BYTES);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            write_new(path, NULL);
            _exit(0);
        }
        usleep((useconds_t)(rng_bits(&rng) % (2 * whole_us)));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        const bool old = letter_of(path, OLD_BYTES) == 'o', new = letter_of(path, NEW_BYTES) == 'n';
        if (old == new)
            fail_msg("seed %u, round %d: neither the old file nor the new one", seed, round);
        n_old += old;
        n_new += new;
    }
    print_message("killed 150 times: %d old files, %d new ones\n", n_old, n_new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(reads_what_was_written, disarm),
        cmocka_unit_test(reading_past_the_end),
        cmocka_unit_test(what_cannot_be_opened),
        cmocka_unit_test(slurping),
        cmocka_unit_test_teardown(memory_is_read_like_a_file, disarm),
        cmocka_unit_test_teardown(every_read_can_fail, disarm),
        cmocka_unit_test_teardown(every_write_can_fail, disarm),
        cmocka_unit_test_teardown(short_writes_lose_nothing, disarm),
        cmocka_unit_test_teardown(room_is_asked_for_beforehand, disarm),
        cmocka_unit_test_teardown(a_failed_writer_commits_nothing, disarm),
        cmocka_unit_test(a_real_limit),
        cmocka_unit_test(padding),
        cmocka_unit_test(an_input_is_not_overwritten),
        cmocka_unit_test(a_link_stays_a_link),
        cmocka_unit_test(permissions),
        cmocka_unit_test(odd_outputs),
        cmocka_unit_test(killed_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
