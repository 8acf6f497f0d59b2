/* SPDX-License-Identifier: Apache-2.0
 * base/change.c - changing a file where it lies: bytes at a place, room given back.  See io.h. */
#include "base/io_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

int write_at(int fd, int64_t offset, const void *bytes, size_t n_bytes)
{
    for (const char *at = bytes; n_bytes;) {
        size_t want = n_bytes < TRANSFER_MAX ? n_bytes : TRANSFER_MAX;
        const int why = fault(IO_WRITE, &want);
        const ssize_t done = why ? -1 : pwrite(fd, at, want, (off_t)offset);
        if (done < 0 && !why && errno == EINTR) continue;
        if (done < 0) return why ? why : errno;
        at += done;
        offset += done;
        n_bytes -= (size_t)done;
    }
    return 0;
}

static Status change_fail(const char *path, const char *what, int why, Error *error)
{
    return fail(error, IO_FAILED, "%s: cannot %s: %s", path, what, strerror(why));
}

Status file_open_change(const char *path, File *out, Error *error)
{
    TRY(file_open(path, out, error));
    const int why = fault(IO_OPEN, NULL);
    const int fd = why ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        const Status status = change_fail(path, "open for writing", why ? why : errno, error);
        file_close(out);
        return status;
    }
    const File again = { .fd = fd };
    Status status = OK;
    if (!file_same(out, &again))                        /* by a device or pipe, perhaps            */
        status = fail(error, IO_FAILED, "%s: was replaced while it was opened", path);
    else if (!lock_now(fd, LOCK_EX))
        status = fail(error, BAD_ARGUMENT, "%s: is in use: another program has it open, or is changing it "
                      "too; end that first, or it would read zeros", path);
    if (status != OK) {
        close(fd);
        file_close(out);
        return status;
    }
    close(out->fd);
    out->fd = fd;
    return OK;
}

Status file_write(const File *file, int64_t offset, const void *bytes, size_t n_bytes, Error *error)
{
    const int why = write_at(file->fd, offset, bytes, n_bytes);
    return why ? change_fail(file->path, "write", why, error) : OK;
}

Status file_sync(const File *file, Error *error)
{
    const int why = fault(IO_SYNC, NULL);
    return why || fdatasync(file->fd) ? change_fail(file->path, "sync", why ? why : errno, error) : OK;
}

Status file_punch(const File *file, int64_t offset, int64_t n_bytes, Error *error)
{
    const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    int why = fault(IO_PUNCH, NULL);
    /* Asked for nothing: a byte behind the end is nobody's, and shows whether it can be done at all. */
    const int64_t at = n_bytes ? offset : file->n_bytes, n = n_bytes ? n_bytes : 1;
    if (!why && fallocate(file->fd, mode, (off_t)at, (off_t)n)) why = errno;
    if (why == EOPNOTSUPP || why == ENOSYS)
        return fail(error, UNSUPPORTED, "%s: expected a file system that can give back a part of a file, found one "
                    "that cannot", file->path);
    return why ? change_fail(file->path, "give its room back", why, error) : OK;
}

/* What is behind a link first: the other way round nobody would know any more where it is. */
Status file_remove(const char *path, Error *error)
{
    int why = fault(IO_REMOVE, NULL);
    char *behind = why ? NULL : realpath(path, NULL);
    if (!why && !behind && errno != ENOENT) why = errno;
    if (behind && unlink(behind) && errno != ENOENT) why = errno;
    if (!why && unlink(path) && errno != ENOENT) why = errno;
    free(behind);
    return why ? change_fail(path, "remove", why, error) : OK;
}
