/* SPDX-License-Identifier: Apache-2.0
 * tests/oom/alloc.c - malloc and its kin, interposed.
 *
 * In an ordinary build the names below take the place of the C library's for the whole process: what
 * jansson, PCRE2 or asprintf allocate is counted and fails too, and so a leak anywhere shows in the
 * number of live blocks.  A sanitizer wants to be malloc itself: there the linker redirects the
 * calls of our own objects only (--wrap), and LeakSanitizer looks for leaks.
 *
 * Only what jansson allocates for itself is spared: jansson 2.14 drops a byte when its lexer cannot grow
 * its buffer, and then asserts that it never did (load.c, lex_save and lex_scan_string). */
#include "tests/oom/alloc.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_bool          watching, failed;
static atomic_int_least64_t n_calls;
static int64_t              fail_at;            /* set while nothing is watched             */
static AllocFailure         how;

void alloc_watch(int64_t at, AllocFailure failure)
{
    fail_at = at;
    how = failure;
    atomic_store(&n_calls, 0);
    atomic_store(&failed, false);
    atomic_store(&watching, true);
}

int64_t alloc_unwatch(void)
{
    atomic_store(&watching, false);
    return atomic_load(&n_calls);
}

bool alloc_failed(void)
{
    return atomic_load(&failed);
}

static bool is_jansson(const void *caller)
{
    Dl_info info;
    return caller && dladdr(caller, &info) && strstr(info.dli_fname, "libjansson");
}

/* Counts one call; is it the one? */
static bool refuse(const void *caller)
{
    if (!atomic_load(&watching)) return false;
    const int64_t call = atomic_fetch_add(&n_calls, 1);
    if (fail_at < 0 || call < fail_at || (how == FAIL_ONE && call > fail_at)) return false;
    if (is_jansson(caller)) return false;
    atomic_store(&failed, true);
    errno = ENOMEM;
    return true;
}

#ifdef OOM_WRAP
#define CALLER NULL

/* ---- sanitizers: only calls from our own objects come here ---- */

int64_t alloc_n_live(void)
{
    return -1;
}

#define WRAP(type, name, declare, call)                                                            \
    type __real_##name declare;                                                                    \
    type __wrap_##name declare;                                                                    \
    type __wrap_##name declare                                                                     \
    {                                                                                              \
        return refuse(CALLER) ? NULL : __real_##name call;                                               \
    }
WRAP(void *, malloc, (size_t n), (n))
WRAP(void *, calloc, (size_t n, size_t each), (n, each))
WRAP(void *, realloc, (void *p, size_t n), (p, n))
WRAP(void *, reallocarray, (void *p, size_t n, size_t each), (p, n, each))
WRAP(void *, aligned_alloc, (size_t alignment, size_t n), (alignment, n))
WRAP(char *, strdup, (const char *s), (s))
WRAP(char *, strndup, (const char *s, size_t n), (s, n))
WRAP(char *, realpath, (const char *path, char *out), (path, out))

int __wrap_posix_memalign(void **out, size_t alignment, size_t n);
int __real_posix_memalign(void **out, size_t alignment, size_t n);
int __wrap_posix_memalign(void **out, size_t alignment, size_t n)
{
    return refuse(CALLER) ? ENOMEM : __real_posix_memalign(out, alignment, n);
}

int __wrap_vasprintf(char **out, const char *format, va_list args);
int __real_vasprintf(char **out, const char *format, va_list args);
int __wrap_vasprintf(char **out, const char *format, va_list args)
{
    return refuse(CALLER) ? -1 : __real_vasprintf(out, format, args);
}

int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **out, const char *format, ...)
{
    if (refuse(CALLER)) return -1;
    va_list args;
    va_start(args, format);
    const int n = __real_vasprintf(out, format, args);
    va_end(args);
    return n;
}

#else

/* ---- everybody's malloc ---- */

#define CALLER __builtin_return_address(0)

/* Seen from the libraries too, although the build hides names. */
#pragma GCC visibility push(default)

/* The C library's own, under the names it keeps for this purpose. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t each);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);
void  __libc_free(void *p);

static atomic_int_least64_t n_live;

int64_t alloc_n_live(void)
{
    return atomic_load(&n_live);
}

static void *count(void *block)
{
    if (block) atomic_fetch_add(&n_live, 1);
    return block;
}

void *malloc(size_t n)
{
    return refuse(CALLER) ? NULL : count(__libc_malloc(n));
}

void *calloc(size_t n, size_t each)
{
    return refuse(CALLER) ? NULL : count(__libc_calloc(n, each));
}

void *realloc(void *p, size_t n)
{
    if (refuse(CALLER)) return NULL;
    void *moved = __libc_realloc(p, n);
    if (!p) return count(moved);
    if (!moved && n == 0) atomic_fetch_sub(&n_live, 1);
    return moved;
}

void *memalign(size_t alignment, size_t n);
void *memalign(size_t alignment, size_t n)
{
    return refuse(CALLER) ? NULL : count(__libc_memalign(alignment, n));
}

void *aligned_alloc(size_t alignment, size_t n)
{
    return memalign(alignment, n);
}

int posix_memalign(void **out, size_t alignment, size_t n)
{
    void *block = memalign(alignment, n);
    if (!block) return ENOMEM;
    *out = block;
    return 0;
}

void free(void *p)
{
    if (p) atomic_fetch_sub(&n_live, 1);
    __libc_free(p);
}

#pragma GCC visibility pop

#endif
