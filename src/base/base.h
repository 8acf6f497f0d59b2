/* SPDX-License-Identifier: Apache-2.0
 * base/base.h - what every file may lean on: status codes, errors with words, TRY.
 *
 * The codes are those of include/mixt.h (lib/ asserts that they agree), so that a failure
 * travels from the disk to the caller without translation.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum Status {
    OK            = 0,
    BAD_ARGUMENT  = -1,     /* the caller's mistake                                        */
    NO_MEMORY     = -2,     /* an allocation failed, or a plan does not fit                */
    NO_ROOM       = -3,     /* buffer or context too small; the sentence gives the size    */
    BAD_FILE      = -4,     /* readable, but not what its header promises                  */
    UNSUPPORTED   = -5,     /* well formed, but an architecture or format we lack          */
    IO_FAILED     = -6,     /* the disk or the network said no                             */
    DEVICE_FAILED = -7,     /* an accelerator said no                                      */
    CANCELLED     = -8,     /* somebody asked to stop                                      */
    NOT_FOUND     = -9,     /* a file that cannot be opened                                */
    FAILED        = -10     /* anything else: arithmetic that became NaN, for example      */
} Status;

typedef struct Error {
    Status code;
    char   text[504];       /* one sentence, no newline                                    */
} Error;

/* Fill *error (if there is one) with a sentence and return its code.  Control characters,
 * newlines and bytes that are not UTF-8 become '?', because names come from files. */
#if defined __GNUC__ && !defined __clang__
/* In the header because gcc warns of "maybe uninitialized" values unless it sees that a failure comes
 * back as one. */
void fail_say(Error *error, Status code, const char *format, ...) __attribute__((format(printf, 3, 4)));
static inline __attribute__((always_inline, format(printf, 3, 4)))
Status fail(Error *error, Status code, const char *format, ...)
{
    fail_say(error, code, format, __builtin_va_arg_pack());
    return code;
}
#else
Status fail(Error *error, Status code, const char *format, ...) __attribute__((format(printf, 3, 4)));
#endif

/* NO_MEMORY, "out of memory for X" */
static inline Status fail_memory(Error *error, const char *for_what)
{
    return fail(error, NO_MEMORY, "out of memory for %s", for_what);
}

/* BAD_ARGUMENT, "shape: expected one of tiny, .., found 'x'"; names are NULL-ended, found may be NULL */
Status fail_choice(const char *what, const char *const *names, const char *found, Error *error);

/* Hand a failure to the caller.  The only macro that may hide a return. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        const Status try_status_ = (call);                                                         \
        if (try_status_ != OK) return try_status_;                                                 \
    } while (0)

#define ARRAY_LEN(a) ((int)(sizeof(a) / sizeof((a)[0])))

#define GIB ((int64_t)1 << 30)
#define MIB ((int64_t)1 << 20)

#endif
