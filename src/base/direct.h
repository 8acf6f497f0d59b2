/* SPDX-License-Identifier: Apache-2.0
 * base/direct.h - a file read past the system's page cache, a block at a time.
 *
 * Gigabytes that are read once must not drive out of memory what others keep there, nor be copied on the way: the
 * disk writes them where they are wanted.  So everything is aligned, which is the caller's business. */
#ifndef BASE_DIRECT_H
#define BASE_DIRECT_H

#include "base/io.h"

enum { DIRECT_ALIGN = 4096 };

/* Another way into an open file, also when its name has gone or means another one by now.  UNSUPPORTED where the
 * file is not on a disk, or the system refuses.  file_close ends it. */
Status direct_open(const File *file, File *out, Error *error);
/* Blocks from `offset` on.  offset, to and n_bytes are multiples of DIRECT_ALIGN; of the bytes the first n_needed
 * must be there: the file may end within the last block.  IO_FAILED when it has become shorter; UNSUPPORTED when the
 * system refuses after all (some file systems say so only now). */
Status direct_read(const File *direct, int64_t offset, void *to, int64_t n_bytes, int64_t n_needed, Error *error);

#endif
