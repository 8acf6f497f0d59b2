/* SPDX-License-Identifier: Apache-2.0
 * base/io.c - see io.h. */
#include "base/io_calls.h"

#include "base/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

int (*_Atomic io_fault)(IoCall call);

bool lock_now(int fd, int how)
{
    int why = fault(IO_LOCK, NULL);
    if (!why)
        do why = flock(fd, how | LOCK_NB) ? errno : 0;
        while (why == EINTR);
    return why != EWOULDBLOCK;
}

/* ---- reading ---- */

Status file_open(const char *path, File *out, Error *error)
{
    *out = (File){ .fd = -1 };
    int why = fault(IO_OPEN, NULL);
    const int fd = why ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);    /* a FIFO must not hang us */
    if (fd < 0)
        return fail(error, NOT_FOUND, "%s: cannot open: %s", path, strerror(why ? why : errno));

    struct stat info;
    if (fstat(fd, &info)) {
        why = errno;
        close(fd);
        return fail(error, IO_FAILED, "%s: cannot stat: %s", path, strerror(why));
    }
    if (!S_ISREG(info.st_mode)) {
        close(fd);
        return fail(error, NOT_FOUND, "%s: expected a regular file, found a %s", path,
                    S_ISDIR(info.st_mode) ? "folder" : "device or pipe");
    }
    char *copy = strdup(path);
    if (!copy) {
        close(fd);
        return fail_memory(error, path);
    }
    *out = (File){ .fd = fd, .n_bytes = info.st_size, .path = copy };
    return OK;
}

Status file_open_shared(const char *path, File *out, Error *error)
{
    TRY(file_open(path, out, error));
    if (lock_now(out->fd, LOCK_SH)) return OK;
    file_close(out);
    return fail(error, BAD_ARGUMENT, "%s: another program is changing it in place (mixt pack or unpack "
                "--in-place): wait until that has ended, and open what comes of it", path);
}

Status file_open_memory(const Memory *memory, File *out, Error *error)
{
    *out = (File){ .fd = -1 };
    if (!memory->bytes || memory->n_bytes > INT64_MAX)
        return fail(error, BAD_ARGUMENT, "%s: expected bytes in memory, found %s", memory->name,
                    memory->bytes ? "more than there can be" : "none");
    char *copy = strdup(memory->name);
    if (!copy) return fail_memory(error, memory->name);
    *out = (File){ .fd = -1, .n_bytes = (int64_t)memory->n_bytes, .path = copy, .memory = memory->bytes };
    return OK;
}

Status file_open_view(const FileView *view, const char *path, int64_t n_bytes, File *out, Error *error)
{
    *out = (File){ .fd = -1 };
    char *copy = strdup(path);
    if (!copy) return fail_memory(error, path);
    *out = (File){ .fd = -1, .n_bytes = n_bytes, .path = copy, .view = view };
    return OK;
}

void file_close(File *file)
{
    if (file->fd >= 0) close(file->fd);
    free(file->path);
    *file = (File){ .fd = -1 };
}

bool file_same(const File *a, const File *b)
{
    struct stat one, other;
    return a->fd >= 0 && b->fd >= 0 && fstat(a->fd, &one) == 0 && fstat(b->fd, &other) == 0 &&
           one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

static Status read_memory(const File *file, int64_t offset, void *to, size_t n_bytes, Error *error)
{
    if (offset < 0 || !range_inside((uint64_t)offset, n_bytes, (uint64_t)file->n_bytes))
        return fail(error, IO_FAILED, "%s: expected %zu bytes at byte %lld, found the end at byte %lld",
                    file->path, n_bytes, (long long)offset, (long long)file->n_bytes);
    if (n_bytes) memcpy(to, file->memory + offset, n_bytes);
    return OK;
}

Status file_read(const File *file, int64_t offset, void *to, size_t n_bytes, Error *error)
{
    if (file->memory) return read_memory(file, offset, to, n_bytes, error);
    if (file->view) return file->view->read(file->view, offset, to, n_bytes, error);
    char *at = to;
    while (n_bytes) {
        size_t want = n_bytes < TRANSFER_MAX ? n_bytes : TRANSFER_MAX;
        const int why = fault(IO_READ, &want);
        const ssize_t got = why ? -1 : pread(file->fd, at, want, (off_t)offset);
        if (got < 0 && !why && errno == EINTR) continue;
        if (got < 0)
            return fail(error, IO_FAILED, "%s: read at byte %lld failed: %s", file->path,
                        (long long)offset, strerror(why ? why : errno));
        if (got == 0)
            return fail(error, IO_FAILED,
                        "%s: file became shorter: expected bytes up to %lld, found %lld",
                        file->path, (long long)(offset + (int64_t)n_bytes), (long long)offset);
        at += got;
        offset += got;
        n_bytes -= (size_t)got;
    }
    return OK;
}

Status file_slurp(const char *path, int64_t max_bytes, char **out, size_t *n_bytes, Error *error)
{
    File file;
    TRY(file_open(path, &file, error));
    Status status = OK;
    char *text = NULL;
    if (file.n_bytes > max_bytes)
        status = fail(error, BAD_FILE, "%s: expected at most %lld bytes, found %lld", path,
                      (long long)max_bytes, (long long)file.n_bytes);
    else if (!(text = malloc((size_t)file.n_bytes + 1)))
        status = fail_memory(error, path);
    else
        status = file_read(&file, 0, text, (size_t)file.n_bytes, error);
    if (status == OK) {
        text[file.n_bytes] = 0;
        *out = text;
        *n_bytes = (size_t)file.n_bytes;
    } else {
        free(text);
    }
    file_close(&file);
    return status;
}

/* ---- writing ---- */

static Status writer_fail(Writer *w, const char *what, int why, Error *error)
{
    __atomic_store_n(&w->failed, true, __ATOMIC_RELAXED);      /* writer_put_at: any thread      */
    return fail(error, IO_FAILED, "%s: cannot %s: %s", w->path, what, strerror(why));
}

static Status refuse_inputs(const char *path, const char *const *inputs, Error *error)
{
    struct stat there, input;
    if (!inputs || stat(path, &there)) return OK;
    for (int i = 0; inputs[i]; i++)
        if (stat(inputs[i], &input) == 0 && input.st_dev == there.st_dev &&
            input.st_ino == there.st_ino)
            return fail(error, BAD_ARGUMENT, "%s: output is the same file as the input %s", path,
                        inputs[i]);
    return OK;
}

/* "dir/.name.XXXXXXXX.part" beside "dir/name": rename works only inside one file system.  A long
 * name is cut, for the file system bounds the whole. */
static char *temporary_beside(const char *path)
{
    const char *slash = strrchr(path, '/');
    const int n_folder = slash ? (int)(slash - path + 1) : 0;
    uint32_t salt;
    if (getrandom(&salt, sizeof salt, GRND_NONBLOCK) != (ssize_t)sizeof salt)
        salt = (uint32_t)getpid();
    char *name = NULL;
    return asprintf(&name, "%.*s.%.200s.%08x.part", n_folder, path, path + n_folder, salt) < 0
               ? NULL
               : name;
}

char *part_path(const char *path)
{
    char *name = NULL;
    return asprintf(&name, "%s.part", path) < 0 ? NULL : name;
}

/* Where the bytes really go: through a link, if `path` is one. */
static char *destination(const char *path)
{
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode)) {
        char *real = realpath(path, NULL);
        if (real || errno == ENOMEM) return real;       /* a broken link is replaced */
    }
    return strdup(path);
}

/* Who wrote nothing removes the name: a lock on what has none keeps nobody out. */
static bool has_name(int fd, const char *path)
{
    struct stat held, named;
    return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_dev == named.st_dev &&
           held.st_ino == named.st_ino;
}

/* Not mkstemp: its files are private, and asking for the umask disturbs other threads. */
static Status create(Writer *w, const struct stat *replaced, Error *error)
{
    const int why = fault(IO_OPEN, NULL), alone = w->stays ? 0 : O_EXCL;
    w->fd = why ? -1 : open(w->temporary, O_WRONLY | O_CREAT | O_CLOEXEC | alone, 0666);
    if (w->fd < 0) {
        const int code = why ? why : errno;
        free(w->temporary);             /* it was never made: abandon must not unlink its name */
        w->temporary = NULL;
        return writer_fail(w, "create", code, error);
    }
    if (w->stays && !(lock_now(w->fd, LOCK_EX) && has_name(w->fd, w->temporary))) {
        const Status status = fail(error, BAD_ARGUMENT, "%s: expected nobody else to write it, found another process "
                                   "at it", w->temporary);
        free(w->temporary);             /* it is theirs: abandon must not unlink its name */
        w->temporary = NULL;
        return status;
    }
    if (replaced && fchmod(w->fd, replaced->st_mode & 0777))
        return writer_fail(w, "set the permissions", errno, error);
    return OK;
}

static Status open_writer(const char *path, const char *const *inputs, bool stays, Writer *out, Error *error)
{
    *out = (Writer){ .fd = -1, .stays = stays };
    if (!*path)
        return fail(error, BAD_ARGUMENT, "output: expected a file name, found an empty one");
    struct stat there;
    const bool replaces = stat(path, &there) == 0;
    if (replaces && !S_ISREG(there.st_mode))
        return fail(error, BAD_ARGUMENT, "%s: output exists and is not a regular file", path);
    TRY(refuse_inputs(path, inputs, error));

    out->path = destination(path);
    out->temporary = !out->path ? NULL : stays ? part_path(out->path) : temporary_beside(out->path);
    out->buffer = malloc(WRITER_BUFFER_BYTES);
    Status status = OK;
    if (!out->temporary || !out->buffer) {
        free(out->temporary);
        out->temporary = NULL;
        status = fail_memory(error, path);
    } else {
        status = create(out, replaces ? &there : NULL, error);
    }
    if (status != OK) writer_abandon(out);
    return status;
}

Status writer_open(const char *path, const char *const *inputs, Writer *out, Error *error)
{
    return open_writer(path, inputs, false, out, error);
}

Status writer_reopen(const char *path, const char *const *inputs, Writer *out, Error *error)
{
    return open_writer(path, inputs, true, out, error);
}

static Status put(Writer *w, const char *at, size_t n_bytes, Error *error)
{
    while (n_bytes) {
        size_t want = n_bytes < TRANSFER_MAX ? n_bytes : TRANSFER_MAX;
        const int why = fault(IO_WRITE, &want);
        const ssize_t put_bytes = why ? -1 : write(w->fd, at, want);
        if (put_bytes < 0 && !why && errno == EINTR) continue;
        if (put_bytes < 0) return writer_fail(w, "write", why ? why : errno, error);
        at += put_bytes;
        n_bytes -= (size_t)put_bytes;
    }
    return OK;
}

static Status writer_flush(Writer *w, Error *error)
{
    const size_t n = w->n_buffered;
    w->n_buffered = 0;
    return put(w, w->buffer, n, error);
}

Status writer_add(Writer *w, const void *bytes, size_t n_bytes, Error *error)
{
    if (n_bytes > WRITER_BUFFER_BYTES - w->n_buffered) TRY(writer_flush(w, error));
    w->n_bytes += (int64_t)n_bytes;
    if (n_bytes >= WRITER_BUFFER_BYTES) return put(w, bytes, n_bytes, error);
    if (n_bytes) memcpy(w->buffer + w->n_buffered, bytes, n_bytes);
    w->n_buffered += n_bytes;
    return OK;
}

Status writer_pad(Writer *w, int64_t alignment, Error *error)
{
    static const char zeros[256];
    int64_t n = (alignment - w->n_bytes % alignment) % alignment;
    while (n > 0) {
        const size_t step = n < (int64_t)sizeof zeros ? (size_t)n : sizeof zeros;
        TRY(writer_add(w, zeros, step, error));
        n -= (int64_t)step;
    }
    return OK;
}

/* Bytes that we may still write where the file lies; INT64_MAX when nobody knows. */
static int64_t room_beside(const Writer *w)
{
    struct statvfs disk;
    int64_t bytes;
    const int why = fault(IO_ROOM, NULL);
    if (why == ENOSPC) return 0;
    if (why || fstatvfs(w->fd, &disk) || disk.f_blocks == 0) return INT64_MAX;
    const bool known = disk.f_bavail <= INT64_MAX && disk.f_frsize <= INT64_MAX &&
                       checked_mul((int64_t)disk.f_bavail, (int64_t)disk.f_frsize, &bytes);
    return known ? bytes : INT64_MAX;
}

Status writer_expect(Writer *w, int64_t n_bytes, Error *error)
{
    const int64_t room = room_beside(w);
    if (n_bytes <= room) return OK;
    w->failed = true;
    return fail(error, IO_FAILED,
                "%s: expected room on the disk for %.2f GB (%.2f GiB), found %.2f GB (%.2f GiB)",
                w->path, (double)n_bytes / 1e9, (double)n_bytes / (double)GIB, (double)room / 1e9,
                (double)room / (double)GIB);
}

Status writer_put_at(Writer *w, int64_t offset, const void *bytes, size_t n_bytes, Error *error)
{
    const int why = write_at(w->fd, offset, bytes, n_bytes);
    return why ? writer_fail(w, "write", why, error) : OK;
}

static Status sync_folder_of(Writer *w, Error *error)
{
    char *copy = strdup(w->path);
    if (!copy) return fail_memory(error, w->path);
    const int why = fault(IO_SYNC, NULL);
    const int fd = why ? -1 : open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    if (fd < 0) return writer_fail(w, "open the folder", why ? why : errno, error);
    const int failed = fsync(fd) && errno != EINVAL && errno != EROFS;     /* some file systems cannot */
    const int code = errno;
    close(fd);
    return failed ? writer_fail(w, "sync the folder", code, error) : OK;
}

/* A temporary that stays is a name too. */
Status writer_sync(Writer *w, Error *error)
{
    const int why = fault(IO_SYNC, NULL);
    if (why || fdatasync(w->fd)) return writer_fail(w, "sync", why ? why : errno, error);
    return w->stays ? sync_folder_of(w, error) : OK;
}

Status writer_cut(Writer *w, int64_t n_bytes, Error *error)
{
    const int why = fault(IO_WRITE, NULL);
    return why || ftruncate(w->fd, (off_t)n_bytes) ? writer_fail(w, "cut", why ? why : errno, error) : OK;
}

static Status commit(Writer *w, Error *error)
{
    if (w->failed)
        return fail(error, IO_FAILED, "%s: not written, because an earlier write failed", w->path);
    TRY(writer_flush(w, error));
    int why = fault(IO_SYNC, NULL);
    if (why || fdatasync(w->fd)) return writer_fail(w, "sync", why ? why : errno, error);
    why = fault(IO_RENAME, NULL);
    if (why || rename(w->temporary, w->path))
        return writer_fail(w, "rename into place", why ? why : errno, error);
    free(w->temporary);
    w->temporary = NULL;                /* it has another name now */
    return sync_folder_of(w, error);
}

Status writer_commit(Writer *w, Error *error)
{
    const Status status = commit(w, error);
    writer_abandon(w);
    return status;
}

void writer_abandon(Writer *w)
{
    struct stat info;
    const bool stays = w->stays && w->fd >= 0 && fstat(w->fd, &info) == 0 && info.st_size > 0;
    if (w->temporary && !stays) unlink(w->temporary);
    if (w->fd >= 0) close(w->fd);       /* and its lock                                           */
    free(w->path);
    free(w->temporary);
    free(w->buffer);
    *w = (Writer){ .fd = -1 };
}

Status write_file(const char *path, const void *bytes, size_t n_bytes, Error *error)
{
    Writer w;
    TRY(writer_open(path, NULL, &w, error));
    const Status status = writer_add(&w, bytes, n_bytes, error);
    if (status != OK) {
        writer_abandon(&w);
        return status;
    }
    return writer_commit(&w, error);
}
