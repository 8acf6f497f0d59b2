/* SPDX-License-Identifier: Apache-2.0
 * apps/editor.c - see editor.h.
 *
 * libedit reads its characters through a function of ours: so Ctrl-C, a signal, arrives as a
 * character that is bound like any other, and pasted text is read by the same function. */
#include "editor.h"

#include <histedit.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include "app.h"
#include "base/buffer.h"
#include "base/utf8.h"

enum { HISTORY_MAX = 1000, CTRL_C = 3, PASTE_MAX_BYTES = 1 << 24 };

struct Editor {
    EditLine   *el;
    History    *history;
    HistEvent   event;
    FILE       *out;
    char       *history_path;       /* NULL: none                                          */
    const char *prompt;
    bool        stopped;
    Buffer      line;
};

static Editor *editor_of(EditLine *el)
{
    void *editor = NULL;
    el_get(el, EL_CLIENTDATA, &editor);
    return editor;
}

static char *prompt_of(EditLine *el)
{
    return (char *)(uintptr_t)editor_of(el)->prompt;
}

/* ---- characters ---- */

/* The window has another size, or we were stopped and the shell has set the terminal its way. */
static void redraw(EditLine *el)
{
    el_resize(el);
    el_set(el, EL_PREP_TERM, 0);
    el_set(el, EL_PREP_TERM, 1);
    el_set(el, EL_REFRESH);
}

/* So that poll ends when it happens. */
static void on_change(int number)
{
    (void)number;
}

static void listen_for_changes(void)
{
    struct sigaction action = { .sa_handler = on_change, .sa_flags = SA_RESTART };
    sigemptyset(&action.sa_mask);
    sigaction(SIGWINCH, &action, NULL);
    sigaction(SIGCONT, &action, NULL);
}

/* 1: a byte, 0: the end, -1: an error. */
static int read_byte(EditLine *el, char *out)
{
    while (!interrupt_wait(STDIN_FILENO)) {
        if (interrupt_ends()) return 0;
        if (!interrupt_pending()) {
            redraw(el);
            continue;
        }
        interrupt_forget();
        *out = CTRL_C;
        return 1;
    }
    return (int)read(STDIN_FILENO, out, 1);
}

/* What libedit calls for the next character; bytes that are not UTF-8 are dropped. */
static int read_character(EditLine *el, wchar_t *out)
{
    char   bytes[4];
    size_t n = 0;
    for (;;) {
        const int got = read_byte(el, bytes + n);
        if (got <= 0) return got;
        uint32_t point;
        if (utf8_decode(bytes, ++n, &point)) return *out = (wchar_t)point, 1;
        if (n == sizeof bytes || !utf8_unfinished(bytes, n)) n = 0;
    }
}

/* ESC[200~ has been read: everything up to ESC[201~ is text, newlines included. */
static unsigned char on_paste(EditLine *el, int character)
{
    static const char end[] = "\033[201~";
    const size_t      n_end = sizeof end - 1;
    Buffer            text  = { 0 };
    char              byte;
    (void)character;
    while (text.n_bytes < PASTE_MAX_BYTES && read_byte(el, &byte) == 1 && byte != CTRL_C) {
        buffer_char(&text, byte == '\r' ? '\n' : byte);
        if (text.failed) break;
        if (text.n_bytes >= n_end && memcmp(text.data + text.n_bytes - n_end, end, n_end) == 0) {
            text.data[text.n_bytes - n_end] = 0;
            break;
        }
    }
    if (text.data && !text.failed) el_insertstr(el, text.data);
    buffer_free(&text);
    return CC_REFRESH;
}

static unsigned char on_stop(EditLine *el, int character)
{
    Editor *e = editor_of(el);
    (void)character;
    e->stopped = true;
    fputs("^C\r\n", e->out);
    return CC_NEWLINE;
}

/* ---- history ---- */

static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
}

/* $XDG_STATE_HOME/mixt/history, by default in ~/.local/state. */
static char *history_file(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    Buffer      path  = { 0 };
    if (state && *state == '/') buffer_format(&path, "%s/mixt/history", state);
    else if (home && *home == '/') buffer_format(&path, "%s/.local/state/mixt/history", home);
    if (path.data) make_folders(path.data);
    return path.data;
}

void editor_remember(Editor *e, const char *text)
{
    history(e->history, &e->event, H_ENTER, text);
    if (e->history_path) history(e->history, &e->event, H_SAVE, e->history_path);
}

/* ---- life ---- */

static void bind_keys(EditLine *el)
{
    static const char *const keys[][2] = {
        {"^C", "mixt-stop"},
        {"\033[200~", "mixt-paste"},
        {"\033[H", "ed-move-to-beg"},
        {"\033[F", "ed-move-to-end"},
        {"\033[3~", "ed-delete-next-char"},
        {"\033[1;5C", "em-next-word"},
        {"\033[1;5D", "ed-prev-word"},
        {"^R", "em-inc-search-prev"},
    };
    /* The wide call keeps these texts; the narrow one would make copies that nobody frees. */
    el_wset(el, EL_ADDFN, L"mixt-stop", L"Leave this line", on_stop);
    el_wset(el, EL_ADDFN, L"mixt-paste", L"Take pasted text as it is", on_paste);
    for (int i = 0; i < ARRAY_LEN(keys); i++) el_set(el, EL_BIND, keys[i][0], keys[i][1], NULL);
}

Status editor_new(Editor **out, Error *error)
{
    Editor *e = calloc(1, sizeof *e);
    if (!e) return fail_memory(error, "the line editor");
    e->out     = isatty(STDERR_FILENO) ? stderr : stdout;      /* stdout may be going to a file */
    e->history = history_init();
    e->el      = el_init("mixt", stdin, e->out, stderr);
    if (!e->history || !e->el) {
        editor_free(e);
        return fail(error, FAILED,
                    "the line editor does not start on this terminal; pipe the text in instead");
    }
    history(e->history, &e->event, H_SETSIZE, HISTORY_MAX);
    history(e->history, &e->event, H_SETUNIQUE, 1);
    e->history_path = history_file();
    if (e->history_path) history(e->history, &e->event, H_LOAD, e->history_path);
    el_set(e->el, EL_CLIENTDATA, e);
    el_set(e->el, EL_PROMPT, prompt_of);
    el_set(e->el, EL_EDITOR, "emacs");
    el_set(e->el, EL_HIST, history, e->history);
    el_set(e->el, EL_GETCFN, read_character);
    bind_keys(e->el);
    listen_for_changes();
    el_source(e->el, NULL);                     /* ~/.editrc: vi users have one             */
    *out = e;
    return OK;
}

void editor_free(Editor *e)
{
    if (!e) return;
    if (e->el) el_end(e->el);
    if (e->history) history_end(e->history);
    free(e->history_path);
    buffer_free(&e->line);
    free(e);
}

/* ---- a line ---- */

static void bracketed_paste(const Editor *e, bool on)
{
    if (!term_err()) return;
    fputs(on ? "\033[?2004h" : "\033[?2004l", e->out);
    fflush(e->out);
}

Typed editor_read(Editor *e, const char *prompt, const char **line)
{
    int n      = 0;
    e->prompt  = prompt;
    e->stopped = false;
    out_flush();
    bracketed_paste(e, true);
    el_set(e->el, EL_PREP_TERM, 1);             /* before the prompt invites to type        */
    const char *text = el_gets(e->el, &n);
    bracketed_paste(e, false);
    if (e->stopped) {
        el_reset(e->el);
        return TYPED_STOP;
    }
    if (!text || n <= 0) {
        fputs("\r\n", e->out);                  /* the shell's prompt gets a line of its own    */
        return TYPED_END;
    }
    buffer_clear(&e->line);
    buffer_append(&e->line, text, strlen(text));
    while (e->line.n_bytes && e->line.data[e->line.n_bytes - 1] == '\n')
        e->line.data[--e->line.n_bytes] = 0;
    *line = e->line.data;
    return e->line.failed ? TYPED_END : TYPED_LINE;
}
