/* SPDX-License-Identifier: Apache-2.0
 * base/direct.c - see direct.h. */
#include "base/direct.h"

#include "base/io_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* As fault(): but here the system takes whole blocks only, so less is kept, not asked for, and always one block. */
static int read_fault(int64_t *kept)
{
    const int answer = fault_wanted(IO_READ);
    if (answer != IO_FAULT_SHORT) return answer;
    if (*kept > DIRECT_ALIGN) *kept /= 2;
    return 0;
}

Status direct_open(const File *file, File *out, Error *error)
{
    *out = (File){ .fd = -1 };
    if (file->fd < 0) return fail(error, UNSUPPORTED, "%s: expected a file on a disk", file->path);
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", file->fd);
    int why = fault(IO_OPEN, NULL);
    const int fd = why ? -1 : open(name, O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (fd < 0) {
        why = why ? why : errno;
        return fail(error, UNSUPPORTED, "%s: cannot be read past the page cache: %s", file->path, strerror(why));
    }
    char *path = strdup(file->path);
    if (!path) {
        close(fd);
        return fail_memory(error, file->path);
    }
    *out = (File){ .fd = fd, .n_bytes = file->n_bytes, .path = path };
    return OK;
}

/* A transfer may stop anywhere; the next one begins at a block again. */
Status direct_read(const File *direct, int64_t offset, void *to, int64_t n_bytes, int64_t n_needed, Error *error)
{
#ifdef MIXT_HOSTILE
    const int64_t transfer_max = DIRECT_ALIGN;          /* every read crosses many boundaries   */
#else
    const int64_t transfer_max = 1 << 30;
#endif
    for (int64_t at = 0; at < n_needed;) {
        int64_t want = n_bytes - at < transfer_max ? n_bytes - at : transfer_max, kept = want;
        const int why = read_fault(&kept);
        ssize_t got = why ? -1 : pread(direct->fd, (char *)to + at, (size_t)want, (off_t)(offset + at));
        if (got < 0 && !why && errno == EINTR) continue;
        if (got < 0)
            return fail(error, (why ? why : errno) == EINVAL ? UNSUPPORTED : IO_FAILED,
                        "%s: read at byte %lld failed: %s", direct->path, (long long)(offset + at),
                        strerror(why ? why : errno));
        if (got > kept) got = kept;
        if (at + got >= n_needed) break;
        const int64_t whole = got / DIRECT_ALIGN * DIRECT_ALIGN;
        if (whole == 0)                                 /* a disk stops between blocks, a file within one */
            return fail(error, IO_FAILED, "%s: file became shorter: expected bytes up to %lld, found %lld",
                        direct->path, (long long)(offset + n_needed), (long long)(offset + at + got));
        at += whole;
    }
    return OK;
}
