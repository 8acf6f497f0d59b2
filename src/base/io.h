/* SPDX-License-Identifier: Apache-2.0
 * base/io.h - the only door to the disk: reads at an offset, and one atomic writer.
 *
 * Everything that reads or writes a file goes through here, so that faults can be injected in
 * one place (tests set io_fault) and a reader never meets SIGBUS: nothing untrusted is mapped. */
#ifndef BASE_IO_H
#define BASE_IO_H

#include "base/base.h"

/* ---- reading ---- */

/* A file that exists as parts of another one, perhaps stored differently: whoever reads it need not know. */
typedef struct FileView FileView;
struct FileView {
    Status (*read)(const FileView *view, int64_t offset, void *to, size_t n_bytes, Error *error);
};

typedef struct File {
    int         fd;             /* -1: closed, in memory, or a view                        */
    int64_t     n_bytes;        /* when it was opened                                      */
    char       *path;           /* for messages; owned                                     */
    const char *memory;         /* its bytes, borrowed; NULL: they are on the disk         */
    const FileView *view;       /* who gives its bytes, borrowed; NULL: they lie as they are */
} File;

/* What a file would hold, where it already lies in memory.  Whoever opens `name` means these bytes. */
typedef struct Memory { const char *name; const void *bytes; size_t n_bytes; } Memory;

Status file_open(const char *path, File *out, Error *error);    /* NOT_FOUND, IO_FAILED    */
/* As long as it is open nobody changes it where it lies (file_open_change); others may open it so, too.  BAD_ARGUMENT
 * when somebody is at it.  Where the file system has no locks, nothing is promised and nobody refused. */
Status file_open_shared(const char *path, File *out, Error *error);
/* Copies nothing but the name: the bytes must lie still until file_close. */
Status file_open_memory(const Memory *memory, File *out, Error *error);
Status file_open_view(const FileView *view, const char *path, int64_t n_bytes, File *out, Error *error);
void   file_close(File *file);                                  /* { .fd = -1 } is fine    */
/* Are these one file on the disk, whatever its name means by now? */
bool   file_same(const File *a, const File *b);
/* Exactly n_bytes from `offset`, any thread.  IO_FAILED when the file has become shorter. */
Status file_read(const File *file, int64_t offset, void *to, size_t n_bytes, Error *error);
/* A whole file of at most max_bytes, with a 0 behind it; the caller frees *out. */
Status file_slurp(const char *path, int64_t max_bytes, char **out, size_t *n_bytes, Error *error);

/* ---- writing: the old file or the new one, never half of one ----
 *
 * A temporary in the same folder, fdatasync, rename, fsync of the folder.  A killed process leaves
 * at most a `.NAME.XXXXXXXX.part` behind.  Writing over one of `inputs`, also through a link, is
 * refused; a link to another file is followed.  A file that is replaced passes on its permissions. */

typedef struct Writer {
    int     fd;
    int64_t n_bytes;            /* written so far, buffered bytes included                 */
    char   *path, *temporary;
    char   *buffer;             /* [WRITER_BUFFER_BYTES]                                   */
    size_t  n_buffered;
    bool    failed;             /* a call failed: commit refuses from then on              */
    bool    stays;              /* what there is when it is abandoned, if there is any    */
} Writer;

enum { WRITER_BUFFER_BYTES = 1 << 20 };

Status writer_open(const char *path, const char *const *inputs /* NULL-ended, or NULL */,
                   Writer *out, Error *error);
Status writer_add(Writer *writer, const void *bytes, size_t n_bytes, Error *error);
Status writer_pad(Writer *writer, int64_t alignment, Error *error);     /* zeros up to a multiple */
/* The caller is about to add n_bytes: IO_FAILED at once when the disk has not that much room,
 * rather than after an hour and with a disk that is full for everybody. */
Status writer_expect(Writer *writer, int64_t n_bytes, Error *error);
Status writer_commit(Writer *writer, Error *error);     /* the file now exists; closes     */
void   writer_abandon(Writer *writer);                  /* nothing happened; after commit: no-op */
Status write_file(const char *path, const void *bytes, size_t n_bytes, Error *error);

/* ---- writing what is not written from front to back, or not in one go ---- */

/* Writes past the buffer, at any place, from any thread; not mixed with writer_add. */
Status writer_put_at(Writer *writer, int64_t offset, const void *bytes, size_t n_bytes, Error *error);
Status writer_sync(Writer *writer, Error *error);
Status writer_cut(Writer *writer, int64_t n_bytes, Error *error);       /* what was written, to this length */
/* Like writer_open, but the temporary is PATH.part: it is taken up where there is one, and stays when the writer is
 * abandoned, unless it is empty.  For work that can go on where it stopped.  BAD_ARGUMENT when another process is at
 * it. */
Status writer_reopen(const char *path, const char *const *inputs, Writer *out, Error *error);
/* PATH.part; the caller frees; NULL: no memory. */
char *part_path(const char *path);

/* ---- changing a file where it lies (change.c) ---- */

/* For us alone: BAD_ARGUMENT when somebody changes it too, or holds it open by file_open_shared.  That includes this
 * process: who has to read what it changes opens it by file_open, or reads this one. */
Status file_open_change(const char *path, File *out, Error *error);
Status file_write(const File *file, int64_t offset, const void *bytes, size_t n_bytes, Error *error);
Status file_sync(const File *file, Error *error);
/* Gives the room of these bytes back to the disk: they are zeros from now on, the file stays as long as it was.
 * UNSUPPORTED where the file system cannot; n_bytes 0 asks for nothing but that. */
Status file_punch(const File *file, int64_t offset, int64_t n_bytes, Error *error);
/* The file, and a link to it where `path` is one.  It may be gone already. */
Status file_remove(const char *path, Error *error);

/* ---- faults, for tests ---- */

typedef enum IoCall { IO_OPEN, IO_READ, IO_WRITE, IO_SYNC, IO_RENAME, IO_ROOM, IO_PUNCH, IO_REMOVE, IO_LOCK } IoCall;
/* Called before each system call when set; a non-zero answer is the errno it "returned";
 * IO_FAULT_SHORT halves the transfer instead.  Any thread may be the caller.  IO_ROOM asks for the room on the
 * disk: ENOSPC plays one without any.  IO_LOCK: EWOULDBLOCK plays somebody who holds it, all else a file system
 * without locks. */
enum { IO_FAULT_SHORT = -1 };
extern int (*_Atomic io_fault)(IoCall call);            /* set while others read, too         */

#endif
