/* SPDX-License-Identifier: Apache-2.0
 * measure/disk.c - how fast a disk is read from one end to the other.
 *
 * The file is ours, has no name, and is gone whatever happens.  It is read past the page cache, for
 * the cache would answer in the disk's place; a file system that cannot do so is asked to forget
 * the file before each pass.  It is read into huge pages, as experts are: some disks give twice as much when a
 * request is not a list of small ones. */
#include "measure/measure.h"

#include "base/clock.h"
#include "base/direct.h"
#include "base/pool.h"
#include "base/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { PASSES_MAX = 9, ENOUGH_US = 1000000, HUGE_PAGE = 2 << 20 };
#ifdef MIXT_HOSTILE
static const int64_t disk_bytes = 16 * MIB, write_bytes = 4 * MIB;
#else
static const int64_t disk_bytes = 256 * MIB, write_bytes = 4 * MIB;
#endif

typedef struct Disk {
    int     fd, direct_fd;              /* direct_fd -1: the file system cannot             */
    int64_t block_bytes;
    char   *blocks;                     /* [depth][block_bytes]                             */
    atomic_int why;                     /* errno of a read that failed                      */
} Disk;

/* O_TMPFILE where there is such a thing, else a name that is taken away at once. */
static int open_nameless(const char *folder)
{
    const int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL && errno != ENOENT))
        return fd;
    char *name = NULL;
    if (asprintf(&name, "%s/.mixt-doctor-XXXXXX", folder) < 0) return -1;
    const int named = mkostemp(name, O_CLOEXEC);
    if (named >= 0) unlink(name);
    free(name);
    return named;
}

static Status disk_fail(const char *folder, const char *what, int why, Error *error)
{
    return fail(error, why == ENOENT || why == ENOTDIR ? NOT_FOUND : IO_FAILED,
                "%s: cannot %s a temporary file: %s", folder, what, strerror(why));
}

static Status check_room(const char *folder, int fd, Error *error)
{
    struct statvfs disk;
    if (fstatvfs(fd, &disk) || disk.f_blocks == 0) return OK;
    const double room = (double)disk.f_bavail * (double)disk.f_frsize;
    if (room >= 2.0 * (double)disk_bytes) return OK;
    return fail(error, IO_FAILED, "%s: expected room for %lld MiB on the disk, found %.0f MiB",
                folder, (long long)(2 * disk_bytes / MIB), room / (double)MIB);
}

/* Noise: disks that compress or share equal blocks must do their work. */
static Status fill_file(const char *folder, int fd, Error *error)
{
    uint64_t *block = malloc((size_t)write_bytes);
    if (!block) return fail_memory(error, "a block of a file");
    Rng rng = { (uint64_t)clock_us() };
    Status status = OK;
    for (int64_t at = 0; at < disk_bytes && status == OK; at += write_bytes) {
        for (int64_t i = 0; i < write_bytes / 8; i++) block[i] = rng_bits(&rng);
        for (int64_t done = 0; done < write_bytes && status == OK;) {
            const ssize_t n =
                pwrite(fd, (char *)block + done, (size_t)(write_bytes - done), (off_t)(at + done));
            if (n < 0 && errno != EINTR) status = disk_fail(folder, "write", errno, error);
            if (n > 0) done += n;
        }
    }
    free(block);
    if (status == OK && fdatasync(fd)) status = disk_fail(folder, "sync", errno, error);
    return status;
}

static void read_block(void *arg, int64_t task, int worker)
{
    Disk *d = arg;
    const int fd = d->direct_fd >= 0 ? d->direct_fd : d->fd;
    const ssize_t n = pread(fd, d->blocks + worker * d->block_bytes, (size_t)d->block_bytes,
                            (off_t)(task * d->block_bytes));
    if (n != (ssize_t)d->block_bytes) atomic_store(&d->why, n < 0 ? errno : EIO);
}

static int by_size(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The median of as many passes as a second has: what a disk gives now and then is not what it gives for minutes. */
static Status one_rate(Disk *d, const char *folder, DiskRate *rate, Error *error)
{
    Pool *pool;
    TRY(pool_new(rate->depth, &pool, error));
    int64_t pass_us[PASSES_MAX];
    int n = 0;
    d->block_bytes = rate->block_bytes;
    for (int64_t all_us = 0; n < PASSES_MAX && all_us < ENOUGH_US; all_us += pass_us[n++]) {
        if (d->direct_fd < 0) posix_fadvise(d->fd, 0, 0, POSIX_FADV_DONTNEED);
        const int64_t start_us = clock_us();
        pool_run(pool, read_block, d, disk_bytes / rate->block_bytes);
        pass_us[n] = clock_us() - start_us + 1;         /* never nothing                            */
    }
    pool_free(pool);
    if (atomic_load(&d->why)) return disk_fail(folder, "read", atomic_load(&d->why), error);
    qsort(pass_us, (size_t)n, sizeof *pass_us, by_size);
    rate->bytes_per_s = (double)disk_bytes / (double)pass_us[n / 2] * 1e6;
    return OK;
}

Status measure_disk(const char *folder, Machine *to, Error *error)
{
    static const DiskRate wanted[] = { { 128 << 10, 1, 0 },
                                       { 1 << 20, 1, 0 },
                                       { 1 << 20, 4, 0 },
                                       { 2 << 20, 8, 0 },       /* the way experts are read    */
                                       { 8 << 20, 1, 0 },
                                       { 8 << 20, 4, 0 } };
    enum { LARGEST = 8 << 20, DEEPEST = 8 };
    Disk d = { .fd = open_nameless(folder), .direct_fd = -1 };
    if (d.fd < 0) return disk_fail(folder, "create", errno, error);
    Status status = check_room(folder, d.fd, error);
    if (status == OK) status = fill_file(folder, d.fd, error);
    if (status == OK && !(d.blocks = aligned_alloc(HUGE_PAGE, (size_t)LARGEST * DEEPEST)))
        status = fail_memory(error, "blocks of a file");
    if (status == OK) madvise(d.blocks, (size_t)LARGEST * DEEPEST, MADV_HUGEPAGE);
    File direct = { .fd = -1 };
    if (status == OK) direct_open(&(File){ .fd = d.fd, .path = (char *)folder }, &direct, NULL);
    d.direct_fd = direct.fd;
    to->n_disk = 0;
    for (int i = 0; i < ARRAY_LEN(wanted) && status == OK; i++) {
        to->disk[i] = wanted[i];
        status = one_rate(&d, folder, &to->disk[i], error);
        if (status == OK) to->n_disk = i + 1;
    }
    if (status == OK) {
        to->disk_direct = d.direct_fd >= 0;
        snprintf(to->disk_folder, sizeof to->disk_folder, "%s", folder);
    } else {
        to->n_disk = 0;
    }
    file_close(&direct);
    close(d.fd);
    free(d.blocks);
    return status;
}
