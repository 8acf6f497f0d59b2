/* SPDX-License-Identifier: Apache-2.0
 * train/checkpoint.c - see checkpoint.h.
 *
 * A head of 64-bit words and padded texts, then three arrays of floats, then a digest of it all.  The head is small
 * and read whole; every count in it is compared with what the run already has before anything is allocated. */
#include "train/checkpoint.h"

#include "base/buffer.h"
#include "base/checked.h"
#include "base/io.h"
#include "train/digest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char magic[8] = "MIXTCKP1";
enum { FRONT_BYTES = 16, HEAD_BYTES_MAX = 1 << 30 };    /* magic and the size of the head   */

/* ---- writing ---- */

static void put(Buffer *b, uint64_t word)
{
    buffer_append(b, &word, sizeof word);
}

static void put_real(Buffer *b, double value)
{
    buffer_append(b, &value, sizeof value);
}

static void put_text(Buffer *b, const char *text)
{
    static const char zeros[8];
    const size_t n = strlen(text);
    put(b, n);
    buffer_append(b, text, n);
    buffer_append(b, zeros, (8 - n % 8) % 8);
}

static void put_curve(Buffer *b, const Curve *c)
{
    put(b, (uint64_t)c->width);
    put(b, (uint64_t)c->n);
    if (c->n) buffer_append(b, c->cells, (size_t)(c->n * c->width) * sizeof *c->cells);
}

static void put_head(Buffer *b, const Checkpoint *c)
{
    put_text(b, c->binding);
    put(b, c->data);
    put(b, c->format);
    put(b, (uint64_t)c->n_params);
    for (int i = 0; i < c->n_params; i++) {
        put_text(b, c->params[i].name);
        put(b, (uint64_t)c->params[i].rows);
        put(b, (uint64_t)c->params[i].cols);
    }
    put(b, (uint64_t)c->step);
    put(b, (uint64_t)c->tokens);
    put_real(b, c->seconds);
    put(b, (uint64_t)c->adamw->n_values);
    put_curve(b, &c->curves->steps);
    put_curve(b, &c->curves->marks);
    put(b, (uint64_t)curves_n_since(c->curves));
    buffer_append(b, c->curves->since, (size_t)curves_n_since(c->curves) * sizeof(double));
}

static Status write_all(Writer *w, const Checkpoint *c, const Buffer *head, Error *error)
{
    const float *arrays[] = { c->values, c->adamw->mean, c->adamw->square };
    const size_t n_bytes = (size_t)c->adamw->n_values * sizeof(float);
    const uint64_t head_bytes = head->n_bytes;
    Digest d = { 0 };
    TRY(writer_expect(w, (int64_t)(FRONT_BYTES + head->n_bytes + 3 * n_bytes + 8), error));
    TRY(writer_add(w, magic, sizeof magic, error));
    TRY(writer_add(w, &head_bytes, sizeof head_bytes, error));
    TRY(writer_add(w, head->data, head->n_bytes, error));
    digest_bytes(&d, head->data, head->n_bytes);
    for (int i = 0; i < ARRAY_LEN(arrays); i++) {
        TRY(writer_add(w, arrays[i], n_bytes, error));
        digest_bytes(&d, arrays[i], n_bytes);
    }
    return writer_add(w, &d.state, sizeof d.state, error);
}

Status checkpoint_write(const char *path, const Checkpoint *c, Error *error)
{
    Buffer head = { 0 };
    Writer w;
    put_head(&head, c);
    Status status = head.failed ? fail_memory(error, path) : writer_open(path, NULL, &w, error);
    if (status == OK) {
        status = write_all(&w, c, &head, error);
        if (status == OK) status = writer_commit(&w, error);
        else writer_abandon(&w);
    }
    buffer_free(&head);
    return status;
}

/* ---- reading ---- */

static Status broken(const char *path, const char *what, Error *error)
{
    return fail(error, BAD_FILE, "%s: expected a whole checkpoint, found %s; --fresh begins anew", path, what);
}

/* A text of the head, borrowed and not 0-ended. */
static const char *take_text(Cursor *c, size_t *n)
{
    const uint64_t bytes = cursor_u64(c);
    *n = bytes <= cursor_left(c) ? (size_t)bytes : 0;
    if (bytes > cursor_left(c)) c->bad = true;
    const char *text = cursor_take(c, *n);
    cursor_take(c, (8 - *n % 8) % 8);
    return text;
}

static double take_real(Cursor *c)
{
    const uint64_t word = cursor_u64(c);
    double value;
    memcpy(&value, &word, sizeof value);
    return value;
}

/* Lines "key = value", each ended by a newline. */
typedef struct Lines { const char *at, *end; } Lines;
typedef struct Pair { const char *text; int n, n_key; } Pair;

static bool next_line(Lines *lines, Pair *out)
{
    if (lines->at >= lines->end) return false;
    const char *stop = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
    const char *end = stop ? stop : lines->end, *sign = memmem(lines->at, (size_t)(end - lines->at), " = ", 3);
    *out = (Pair){ lines->at, (int)(end - lines->at), (int)((sign ? sign : end) - lines->at) };
    lines->at = end + 1;
    return true;
}

static bool find_key(Lines lines, const Pair *key, Pair *out)
{
    while (next_line(&lines, out))
        if (out->n_key == key->n_key && !memcmp(out->text, key->text, (size_t)key->n_key)) return true;
    return false;
}

static bool same_line(const Pair *a, const Pair *b)
{
    return a->n == b->n && !memcmp(a->text, b->text, (size_t)a->n);
}

/* Every setting was the same.  One that the checkpoint does not know is from later, and had its default. */
static Status check_binding(const char *path, Lines was, const Checkpoint *c, Error *error)
{
    const Lines is = { c->binding, c->binding + strlen(c->binding) },
                defaults = { c->defaults, c->defaults + strlen(c->defaults) };
    Pair mine, theirs;
    for (Lines left = is; next_line(&left, &mine);)
        if ((find_key(was, &mine, &theirs) || find_key(defaults, &mine, &theirs)) && !same_line(&mine, &theirs))
            return fail(error, BAD_ARGUMENT,
                        "%s: was made with '%.*s', the configuration has '%.*s'; --fresh begins anew", path,
                        theirs.n < 120 ? theirs.n : 120, theirs.text, mine.n < 120 ? mine.n : 120, mine.text);
    for (Lines left = was; next_line(&left, &theirs);)
        if (!find_key(is, &theirs, &mine))
            return fail(error, BAD_ARGUMENT, "%s: was made with '%.*s', which this program does not know; "
                        "--fresh begins anew", path, theirs.n < 120 ? theirs.n : 120, theirs.text);
    return OK;
}

static Status check_run(const char *path, Cursor *head, const Checkpoint *c, Error *error)
{
    size_t n;
    const char *was = take_text(head, &n);
    if (head->bad) return broken(path, "a cut head", error);
    TRY(check_binding(path, (Lines){ was, was + n }, c, error));
    const uint64_t data = cursor_u64(head), format = cursor_u64(head);
    if (!head->bad && format != c->format)
        return fail(error, BAD_ARGUMENT,
                    "%s: was made with another vocabulary or chat format; --fresh begins anew", path);
    if (!head->bad && data != c->data)
        return fail(error, BAD_ARGUMENT,
                    "%s: was made from other texts: contents, order or repeat have changed; --fresh begins anew",
                    path);
    return OK;
}

static Status check_params(const char *path, Cursor *head, const Checkpoint *c, Error *error)
{
    const uint64_t n_params = cursor_u64(head);
    if (!head->bad && n_params != (uint64_t)c->n_params)
        return fail(error, BAD_ARGUMENT, "%s: expected %d tensors that learn, found %llu; --fresh begins anew", path,
                    c->n_params, (unsigned long long)n_params);
    for (int i = 0; i < c->n_params && !head->bad; i++) {
        const Param *p = &c->params[i];
        size_t n;
        const char *name = take_text(head, &n);
        const uint64_t rows = cursor_u64(head), cols = cursor_u64(head);
        if (head->bad) break;
        if (n != strlen(p->name) || memcmp(name, p->name, n) || rows != (uint64_t)p->rows || cols != (uint64_t)p->cols)
            return fail(error, BAD_ARGUMENT,
                        "%s: expected tensor '%s' of %lld x %lld, found '%.*s' of %llu x %llu; --fresh begins anew",
                        path, p->name, (long long)p->rows, (long long)p->cols, (int)(n < 96 ? n : 96), name,
                        (unsigned long long)rows, (unsigned long long)cols);
    }
    return head->bad ? broken(path, "a cut head", error) : OK;
}

static Status take_curve(const char *path, Cursor *head, Curve *out, bool *other, Error *error)
{
    const uint64_t width = cursor_u64(head), n = cursor_u64(head);
    if (head->bad || width > CURVE_WIDTH_MAX || n > CURVE_ROWS_MAX || width * n > cursor_left(head) / 8)
        return broken(path, "a cut curve", error);
    const double *cells = cursor_take(head, (size_t)(width * n) * 8);
    *other = width != (uint64_t)out->width;
    if (*other || n == 0) return OK;
    double *copy = malloc((size_t)(width * n) * sizeof *copy);
    if (!copy) return fail_memory(error, "the curves");
    memcpy(copy, cells, (size_t)(width * n) * sizeof *copy);
    free(out->cells);
    out->cells = copy;
    out->n = out->room = (int64_t)n;
    return OK;
}

static Status take_state(const char *path, Cursor *head, Checkpoint *c, bool *curves_lost, Error *error)
{
    c->step = (int64_t)cursor_u64(head);
    c->tokens = (int64_t)cursor_u64(head);
    c->seconds = take_real(head);
    const uint64_t n_values = cursor_u64(head);
    if (head->bad || c->step < 0 || c->tokens < 0 || !isfinite(c->seconds) || n_values != (uint64_t)c->adamw->n_values)
        return broken(path, "a state that cannot be", error);
    bool other;
    TRY(take_curve(path, head, &c->curves->steps, &other, error));
    if (other) return broken(path, "a curve of another kind", error);
    TRY(take_curve(path, head, &c->curves->marks, curves_lost, error));
    const uint64_t n_since = cursor_u64(head);
    const void *since = cursor_take(head, (size_t)curves_n_since(c->curves) * 8);
    if (head->bad || n_since != (uint64_t)curves_n_since(c->curves) || cursor_left(head))
        return broken(path, "a cut curve", error);
    memcpy(c->curves->since, since, (size_t)n_since * 8);
    return OK;
}

static Status read_arrays(const File *file, int64_t at, const void *head, size_t head_bytes, Checkpoint *c,
                          Error *error)
{
    float *arrays[] = { c->values, c->adamw->mean, c->adamw->square };
    const size_t n_bytes = (size_t)c->adamw->n_values * sizeof(float);
    uint64_t kept;
    Digest d = { 0 };
    if (file->n_bytes != at + 3 * (int64_t)n_bytes + 8) return broken(file->path, "another number of bytes", error);
    digest_bytes(&d, head, head_bytes);
    for (int i = 0; i < ARRAY_LEN(arrays); i++, at += (int64_t)n_bytes) {
        TRY(file_read(file, at, arrays[i], n_bytes, error));
        digest_bytes(&d, arrays[i], n_bytes);
    }
    TRY(file_read(file, at, &kept, sizeof kept, error));
    return kept == d.state ? OK : broken(file->path, "bytes that have changed", error);
}

static Status read_head(const File *file, char **out, size_t *n_bytes, Error *error)
{
    char front[FRONT_BYTES];
    uint64_t head_bytes;
    if (file->n_bytes < FRONT_BYTES) return broken(file->path, "a cut file", error);
    TRY(file_read(file, 0, front, sizeof front, error));
    memcpy(&head_bytes, front + 8, sizeof head_bytes);
    if (memcmp(front, magic, sizeof magic)) return broken(file->path, "another kind of file", error);
    if (head_bytes > HEAD_BYTES_MAX || head_bytes > (uint64_t)file->n_bytes - FRONT_BYTES)
        return broken(file->path, "a cut file", error);
    *n_bytes = (size_t)head_bytes;
    *out = malloc(*n_bytes + 1);
    if (!*out) return fail_memory(error, file->path);
    const Status status = file_read(file, FRONT_BYTES, *out, *n_bytes, error);
    if (status != OK) free(*out);
    return status;
}

static Status read_file(const File *file, Checkpoint *c, bool *curves_lost, Error *error)
{
    char *head = NULL;
    size_t n_bytes = 0;
    TRY(read_head(file, &head, &n_bytes, error));
    Cursor at = cursor_over(head, n_bytes);
    Status status = check_run(file->path, &at, c, error);
    if (status == OK) status = check_params(file->path, &at, c, error);
    if (status == OK) status = take_state(file->path, &at, c, curves_lost, error);
    if (status == OK) status = read_arrays(file, (int64_t)(FRONT_BYTES + n_bytes), head, n_bytes, c, error);
    free(head);
    return status;
}

Status checkpoint_read(const char *path, Checkpoint *c, bool *curves_lost, Error *error)
{
    File file;
    *curves_lost = false;
    TRY(file_open(path, &file, error));
    const Status status = read_file(&file, c, curves_lost, error);
    file_close(&file);
    return status;
}
