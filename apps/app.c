/* SPDX-License-Identifier: Apache-2.0
 * apps/app.c - failures, interruption and standard output; see app.h. */
#include "app.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- failures ---- */

Exit exit_of(mixt_status status)
{
    switch (status) {
    case MIXT_OK:           return DONE;
    case MIXT_BAD_ARGUMENT: return USAGE;
    case MIXT_NO_MEMORY:    return NO_FIT;
    case MIXT_BAD_FILE:
    case MIXT_UNSUPPORTED:  return BAD_DATA;
    case MIXT_IO:           return DISK;
    case MIXT_CANCELLED:    return INTERRUPTED;
    case MIXT_NOT_FOUND:    return NO_INPUT;
    case MIXT_NO_ROOM:
    case MIXT_DEVICE:
    case MIXT_FAILED:       break;
    }
    return FAILED_OTHER;
}

static void say(const App *app, const char *format, va_list args)
{
    char  text[sizeof(((Error *)0)->text)];
    Error clean;
    vsnprintf(text, sizeof text, format, args);
    fail(&clean, FAILED, "%s", text);           /* control characters of file names go here */
    fflush(stdout);                             /* what was said before comes before        */
    if (app->command) fprintf(stderr, "mixt %s: %s\n", app->command->name, clean.text);
    else fprintf(stderr, "mixt: %s\n", clean.text);
}

Exit complain(const App *app, Exit code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(app, format, args);
    va_end(args);
    return code;
}

void remark(const App *app, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(app, format, args);
    va_end(args);
}

void remark_line(void *app, const char *line)
{
    remark(app, "%s", line);
}

Exit problem(const App *app, const mixt_error *error, const char *advice)
{
    const Exit code = exit_of(error->code);
    if (code == INTERRUPTED) return code;       /* who asked for it knows                   */
    return complain(app, code, "%s%s%s", error->text, advice ? "; " : "", advice ? advice : "");
}

Exit base_problem(const App *app, const Error *error)
{
    return complain(app, exit_of((mixt_status)error->code), "%s", error->text);
}

/* ---- interruption ---- */

static volatile sig_atomic_t stopped;           /* Ctrl-C: 1                                */
static volatile sig_atomic_t ended_by;          /* SIGTERM or SIGHUP: its number            */

static void on_stop(int number)
{
    (void)number;
    if (stopped) _exit(INTERRUPTED);            /* nobody has looked since the first one    */
    stopped = 1;
}

/* These come twice without impatience: from timeout(1), or a shell and its terminal. */
static void on_end(int number)
{
    ended_by = number;
}

static void listen_to(int number, void (*handler)(int))
{
    /* Writes go on as if nothing had been; who waits for input does so in interrupt_wait. */
    struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

void interrupt_listen(void)
{
    struct sigaction before;
    listen_to(SIGINT, on_stop);
    listen_to(SIGTERM, on_end);
    if (sigaction(SIGHUP, NULL, &before) || before.sa_handler != SIG_IGN)   /* nohup: goes on */
        listen_to(SIGHUP, on_end);
    signal(SIGPIPE, SIG_IGN);                   /* a closed pipe is an error of write()     */
    signal(SIGXFSZ, SIG_IGN);                   /* so is a file that may not be so long     */
}

bool interrupt_pending(void)
{
    return stopped || ended_by;
}

int interrupt_asked(void *unused)
{
    (void)unused;
    return interrupt_pending();
}

void interrupt_forget(void)
{
    stopped = 0;
}

bool interrupt_ends(void)
{
    return ended_by != 0;
}

int interrupt_exit(Exit code)
{
    return code == INTERRUPTED && ended_by ? 128 + ended_by : (int)code;
}

bool interrupt_wait(int fd)
{
    struct pollfd in = { .fd = fd, .events = POLLIN };
    sigset_t      ours, open;
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGHUP);
    sigprocmask(SIG_BLOCK, &ours, &open);
    const bool readable = !interrupt_pending() && ppoll(&in, 1, NULL, &open) > 0;
    sigprocmask(SIG_SETMASK, &open, NULL);
    return readable;
}

/* ---- standard output ---- */

static int out_errno;           /* of the first write that failed                           */

void out_bytes(const void *bytes, size_t n_bytes)
{
    if (out_errno || n_bytes == 0) return;
    if (fwrite(bytes, 1, n_bytes, stdout) < n_bytes) out_errno = errno ? errno : EIO;
}

void out_text(const char *text)
{
    out_bytes(text, strlen(text));
}

void out_format(const char *format, ...)
{
    if (out_errno) return;
    va_list args;
    va_start(args, format);
    if (vprintf(format, args) < 0) out_errno = errno ? errno : EIO;
    va_end(args);
}

void out_flush(void)
{
    if (!out_errno && fflush(stdout)) out_errno = errno ? errno : EIO;
}

bool out_failed(void)
{
    return out_errno != 0;
}

Exit out_finish(const App *app, Exit code)
{
    out_flush();
    if (!out_errno && close(STDOUT_FILENO)) out_errno = errno;      /* some disks tell only now */
    if (!out_errno) return code;
    if (out_errno == EPIPE) return code;
    if (code != DONE && code != INTERRUPTED) return code;           /* one failure is enough    */
    return complain(app, DISK, "cannot write to standard output: %s", strerror(out_errno));
}
