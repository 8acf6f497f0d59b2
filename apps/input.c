/* SPDX-License-Identifier: Apache-2.0
 * apps/input.c - see input.h. */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INPUT_MAX_BYTES = 1 << 30, PIECE_BYTES = 1 << 16, IDS_MAX = 1 << 26 };

static Exit read_all(const App *app, int fd, const char *name, Buffer *out)
{
    char piece[PIECE_BYTES];
    for (;;) {
        while (!interrupt_wait(fd))
            if (interrupt_pending()) return INTERRUPTED;
        const ssize_t n = read(fd, piece, sizeof piece);
        if (n == 0) return DONE;
        if (n < 0)
            return complain(app, errno == EISDIR ? NO_INPUT : DISK, "%s: cannot read: %s", name,
                            strerror(errno));
        if (out->n_bytes + (size_t)n > INPUT_MAX_BYTES)
            return complain(app, BAD_DATA, "%s: expected at most 1 GiB of text, found more", name);
        buffer_append(out, piece, (size_t)n);
        if (out->failed)
            return complain(app, NO_FIT, "%s: out of memory after %zu bytes", name, out->n_bytes);
    }
}

Exit input_read(const App *app, const char *path, Buffer *out)
{
    if (strcmp(path, "-") == 0) return read_all(app, STDIN_FILENO, "standard input", out);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return complain(app, NO_INPUT, "%s: cannot open: %s", path, strerror(errno));
    const Exit code = read_all(app, fd, path, out);
    close(fd);
    return code;
}

/* ---- ids ---- */

static Exit ids_push(const App *app, mixt_token id, Ids *out)
{
    if (out->n == IDS_MAX)
        return complain(app, BAD_DATA, "expected at most %d ids, found more", IDS_MAX);
    if (out->n == out->room) {
        const size_t room = out->room ? 2 * out->room : 256;
        mixt_token  *ids  = realloc(out->ids, room * sizeof *ids);
        if (!ids) return complain(app, NO_FIT, "out of memory for %zu ids", room);
        out->ids  = ids;
        out->room = room;
    }
    out->ids[out->n++] = id;
    return DONE;
}

/* Digits only: "+1", "0x1" and "1.0" are mistakes, not numbers. */
static bool read_id(const char *word, size_t n_bytes, int64_t n_vocab, mixt_token *out)
{
    int64_t id = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        if (word[i] < '0' || word[i] > '9' || id > INT32_MAX) return false;
        id = id * 10 + (word[i] - '0');
    }
    *out = (mixt_token)id;
    return n_bytes > 0 && id < n_vocab && id <= INT32_MAX;
}

Exit ids_add(const App *app, const char *text, const char *where, Exit code, int64_t n_vocab,
             Ids *out)
{
    static const char blanks[] = " \t\r\n";
    text += strspn(text, blanks);
    while (*text) {
        const size_t n = strcspn(text, ", \t\r\n");
        mixt_token   id;
        if (!read_id(text, n, n_vocab, &id))
            return complain(app, code,
                            "%s: id %zu: expected a whole number from 0 to %lld, found '%.*s'",
                            where, out->n + 1, (long long)n_vocab - 1, n > 40 ? 40 : (int)n, text);
        const Exit pushed = ids_push(app, id, out);
        if (pushed != DONE) return pushed;
        text += n;
        text += strspn(text, blanks);
        if (*text == ',') text += 1 + strspn(text + 1, blanks);
    }
    return DONE;
}

Exit ids_from_option(const App *app, int64_t n_vocab, Ids *out)
{
    const char *text = opt_text(app->options, OPT_IDS);
    if (!text) return complain(app, USAGE, "expected --ids 1,2,3 or --ids @FILE");
    if (text[0] != '@') {
        const Exit code = ids_add(app, text, "--ids", USAGE, n_vocab, out);
        if (code == DONE && out->n == 0)
            return complain(app, USAGE, "--ids: expected at least one id, found none");
        return code;
    }
    Buffer file = { 0 };
    Exit   code = input_read(app, text + 1, &file);
    if (code == DONE && file.n_bytes != (file.data ? strlen(file.data) : 0))
        code = complain(app, BAD_DATA, "%s: expected ids as text, found a byte 0", text + 1);
    if (code == DONE)
        code = ids_add(app, file.data ? file.data : "", text + 1, BAD_DATA, n_vocab, out);
    if (code == DONE && out->n == 0)
        code = complain(app, BAD_DATA, "%s: expected at least one id, found none", text + 1);
    buffer_free(&file);
    return code;
}

void ids_free(Ids *ids)
{
    free(ids->ids);
    *ids = (Ids){ 0 };
}
