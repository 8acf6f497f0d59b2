/* SPDX-License-Identifier: Apache-2.0
 * store/trace.c - see trace.h, and docs/format/trace.md for the file. */
#include "store/trace.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEAD_BYTES = 32,
    END_BYTES  = 12,
    FILE_MAX   = 1 << 30
};

static const char magic[8] = { 'M', 'I', 'X', 'T', 'R', 'T', 'E', '1' };

/* ---- in memory ---- */

static Status check_head(const char *name, const TraceHead *h, Error *error)
{
    if (h->n_layers < 1 || h->n_layers > TRACE_LAYERS_MAX)
        return fail(error, BAD_FILE, "%s: layers: expected 1 to %d, found %d", name, TRACE_LAYERS_MAX,
                    h->n_layers);
    if (h->n_experts < 1 || h->n_experts > TRACE_EXPERTS_MAX)
        return fail(error, BAD_FILE, "%s: experts: expected 1 to %d, found %d", name, TRACE_EXPERTS_MAX,
                    h->n_experts);
    if (h->n_used < 1 || h->n_used > h->n_experts)
        return fail(error, BAD_FILE, "%s: experts used: expected 1 to %d, found %d", name, h->n_experts,
                    h->n_used);
    if (h->expert_bytes < 0)
        return fail(error, BAD_FILE, "%s: bytes of an expert: found %lld", name, (long long)h->expert_bytes);
    return OK;
}

/* Doubles *room until `needed` fit; each is `each` bytes. */
static Status grow(void **at, int64_t *room, int64_t needed, size_t each, Error *error)
{
    if (needed <= *room) return OK;
    int64_t more = *room ? *room : 64, bytes;
    while (more < needed) more *= 2;
    void *bigger = checked_mul(more, (int64_t)each, &bytes) ? realloc(*at, (size_t)bytes) : NULL;
    if (!bigger) return fail_memory(error, "the trace");
    *at = bigger;
    *room = more;
    return OK;
}

Status trace_new(const TraceHead *head, Trace *out, Error *error)
{
    *out = (Trace){ .head = *head };
    TRY(check_head(head->model, head, error));
    out->begin = calloc(1, sizeof *out->begin);
    return out->begin ? OK : fail_memory(error, "the trace");
}

void trace_free(Trace *t)
{
    free(t->step_rows);
    free(t->begin);
    free(t->uses);
    *t = (Trace){ 0 };
}

/* Room for another step with at most n_uses uses; its layers are then closed one by one. */
static Status open_step(Trace *t, int n_rows, int64_t n_uses, Error *error)
{
    if (t->n_steps >= TRACE_STEPS_MAX)
        return fail(error, NO_ROOM, "trace: expected at most %d steps", TRACE_STEPS_MAX);
    int64_t room = t->room_steps;
    TRY(grow((void **)&t->step_rows, &room, t->n_steps + 1, sizeof *t->step_rows, error));
    int64_t ends = t->room_steps ? t->room_steps * t->head.n_layers + 1 : 0;
    TRY(grow((void **)&t->begin, &ends, room * t->head.n_layers + 1, sizeof *t->begin, error));
    t->room_steps = room;
    TRY(grow((void **)&t->uses, &t->room_uses, t->n_uses + n_uses, sizeof *t->uses, error));
    t->step_rows[t->n_steps] = n_rows;
    return OK;
}

static void close_layer(Trace *t, int layer)
{
    t->begin[t->n_steps * t->head.n_layers + layer + 1] = t->n_uses;
}

static void close_step(Trace *t)
{
    t->n_rows += t->step_rows[t->n_steps];
    t->n_steps++;
}

/* What one layer did, by rising expert; room for n_experts.  How many there are. */
static int group(const TraceHead *h, const int32_t *const *experts, int n_rows, int layer, TraceUse *out)
{
    uint16_t rows[TRACE_EXPERTS_MAX] = { 0 };
    for (int row = 0; row < n_rows; row++)
        for (int i = 0; i < h->n_used && experts[row]; i++) {
            const int32_t expert = experts[row][layer * h->n_used + i];
            if (expert >= 0 && expert < h->n_experts) rows[expert]++;
        }
    int n = 0;
    for (int e = 0; e < h->n_experts; e++)
        if (rows[e]) out[n++] = (TraceUse){ (uint16_t)e, rows[e] };
    return n;
}

static Status check_rows(int n_rows, Error *error)
{
    if (n_rows >= 1 && n_rows <= TRACE_ROWS_MAX) return OK;
    return fail(error, BAD_ARGUMENT, "rows of a step: expected 1 to %d, found %d", TRACE_ROWS_MAX, n_rows);
}

Status trace_add(Trace *t, const int32_t *const *experts, int n_rows, Error *error)
{
    const TraceHead *h = &t->head;
    TRY(check_rows(n_rows, error));
    TRY(open_step(t, n_rows, (int64_t)h->n_layers * h->n_experts, error));
    for (int layer = 0; layer < h->n_layers; layer++) {
        t->n_uses += group(h, experts, n_rows, layer, t->uses + t->n_uses);
        close_layer(t, layer);
    }
    close_step(t);
    return OK;
}

Status trace_join(Trace *t, const Trace *more, Error *error)
{
    const TraceHead *a = &t->head, *b = &more->head;
    if (a->n_layers != b->n_layers || a->n_experts != b->n_experts)
        return fail(error, BAD_ARGUMENT, "traces: expected %d layers of %d experts as in the first, found %d of %d",
                    a->n_layers, a->n_experts, b->n_layers, b->n_experts);
    for (int64_t step = 0; step < more->n_steps; step++) {
        TRY(open_step(t, more->step_rows[step], (int64_t)a->n_layers * a->n_experts, error));
        for (int layer = 0; layer < a->n_layers; layer++) {
            int n;
            const TraceUse *uses = trace_uses(more, step, layer, &n);
            if (n) memcpy(t->uses + t->n_uses, uses, (size_t)n * sizeof *uses);
            t->n_uses += n;
            close_layer(t, layer);
        }
        close_step(t);
    }
    return OK;
}

/* ---- from a file ---- */

static Status parse_layer(const char *name, Cursor *c, Trace *t, int layer, Error *error)
{
    const int n_experts = t->head.n_experts, n_rows = t->step_rows[t->n_steps];
    const int n = cursor_u16(c);
    if (n > n_experts)
        return fail(error, BAD_FILE, "%s: step %lld, layer %d: expected at most %d experts, found %d", name,
                    (long long)t->n_steps, layer, n_experts, n);
    TraceUse *uses = t->uses + t->n_uses;
    int after = -1;
    for (int i = 0; i < n; i++) {
        const int expert = cursor_u16(c);
        if (!c->bad && (expert <= after || expert >= n_experts))
            return fail(error, BAD_FILE, "%s: step %lld, layer %d: expected an expert from %d to %d, found %d",
                        name, (long long)t->n_steps, layer, after + 1, n_experts - 1, expert);
        uses[i] = (TraceUse){ .expert = (uint16_t)expert, .n_rows = 1 };
        after = expert;
    }
    for (int i = 0; i < n && n_rows > 1; i++) {
        uses[i].n_rows = cursor_u16(c);
        if (!c->bad && (uses[i].n_rows < 1 || uses[i].n_rows > n_rows))
            return fail(error, BAD_FILE, "%s: step %lld, layer %d: expected 1 to %d rows, found %d", name,
                        (long long)t->n_steps, layer, n_rows, uses[i].n_rows);
    }
    t->n_uses += n;
    close_layer(t, layer);
    return OK;
}

static Status parse_steps(const char *name, Cursor *c, Trace *t, Error *error)
{
    for (;;) {
        const uint32_t n_rows = cursor_u32(c);
        if (c->bad || n_rows == 0) break;
        if (n_rows > TRACE_ROWS_MAX)
            return fail(error, BAD_FILE, "%s: step %lld: expected at most %d rows, found %u", name,
                        (long long)t->n_steps, TRACE_ROWS_MAX, n_rows);
        /* Every use takes two bytes at least, so the file bounds what is allocated for it. */
        const int64_t most = (int64_t)t->head.n_layers * t->head.n_experts, left = (int64_t)cursor_left(c) / 2;
        TRY(open_step(t, (int)n_rows, most < left ? most : left + t->head.n_experts, error));
        for (int layer = 0; layer < t->head.n_layers; layer++) {
            TRY(parse_layer(name, c, t, layer, error));
            if (c->bad) return fail(error, BAD_FILE, "%s: ends within step %lld", name, (long long)t->n_steps);
        }
        close_step(t);
    }
    const uint64_t n_steps = cursor_u64(c);
    if (c->bad) return fail(error, BAD_FILE, "%s: ends after step %lld, without its end", name,
                            (long long)t->n_steps);
    if (n_steps != (uint64_t)t->n_steps || cursor_left(c))
        return fail(error, BAD_FILE, "%s: its end promises %llu steps, found %lld and %zu more bytes", name,
                    (unsigned long long)n_steps, (long long)t->n_steps, cursor_left(c));
    return OK;
}

static int take_count(Cursor *c)
{
    const uint32_t n = cursor_u32(c);
    return n <= INT32_MAX ? (int)n : -1;
}

Status trace_parse(const char *name, const void *bytes, size_t n_bytes, Trace *out, Error *error)
{
    *out = (Trace){ 0 };
    Cursor c = cursor_over(bytes, n_bytes);
    const void *mark = cursor_take(&c, sizeof magic);
    if (!mark || memcmp(mark, magic, sizeof magic) != 0)
        return fail(error, BAD_FILE, "%s: expected a routing trace, which begins with MIXTRTE1", name);
    TraceHead head = { .n_layers = take_count(&c), .n_experts = take_count(&c), .n_used = take_count(&c) };
    const uint32_t n_name = cursor_u32(&c);
    const uint64_t expert_bytes = cursor_u64(&c);
    if (n_name > TRACE_NAME_MAX)
        return fail(error, BAD_FILE, "%s: the model's name: expected at most %d bytes, found %u", name,
                    TRACE_NAME_MAX, n_name);
    const void *text = cursor_take(&c, n_name);
    if (c.bad) return fail(error, BAD_FILE, "%s: ends within its head", name);
    memcpy(head.model, text, n_name);
    head.expert_bytes = expert_bytes <= INT64_MAX ? (int64_t)expert_bytes : -1;
    TRY(check_head(name, &head, error));
    Status status = trace_new(&head, out, error);
    if (status == OK) status = parse_steps(name, &c, out, error);
    if (status != OK) trace_free(out);
    return status;
}

Status trace_read(const char *path, Trace *out, Error *error)
{
    char *bytes;
    size_t n;
    *out = (Trace){ 0 };
    TRY(file_slurp(path, FILE_MAX, &bytes, &n, error));
    const Status status = trace_parse(path, bytes, n, out, error);
    free(bytes);
    return status;
}

/* ---- to a file ---- */

static uint8_t *put(uint8_t *at, uint64_t value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++) at[i] = (uint8_t)(value >> (8 * i));
    return at + n_bytes;
}

static Status add_head(Writer *w, const TraceHead *h, Error *error)
{
    uint8_t bytes[HEAD_BYTES], *at = bytes + sizeof magic;
    const size_t n_name = strlen(h->model);
    memcpy(bytes, magic, sizeof magic);
    at = put(at, (uint64_t)h->n_layers, 4);
    at = put(at, (uint64_t)h->n_experts, 4);
    at = put(at, (uint64_t)h->n_used, 4);
    at = put(at, n_name, 4);
    put(at, (uint64_t)h->expert_bytes, 8);
    TRY(writer_add(w, bytes, sizeof bytes, error));
    return writer_add(w, h->model, n_name, error);
}

static Status add_layer(Writer *w, const TraceUse *uses, int n, int n_rows, Error *error)
{
    uint8_t bytes[2 + 4 * TRACE_EXPERTS_MAX], *at = put(bytes, (uint64_t)n, 2);
    for (int i = 0; i < n; i++) at = put(at, uses[i].expert, 2);
    for (int i = 0; i < n && n_rows > 1; i++) at = put(at, uses[i].n_rows, 2);
    return writer_add(w, bytes, (size_t)(at - bytes), error);
}

static Status add_rows(Writer *w, int n_rows, Error *error)
{
    uint8_t bytes[4];
    put(bytes, (uint64_t)n_rows, 4);
    return writer_add(w, bytes, sizeof bytes, error);
}

static Status add_end(Writer *w, int64_t n_steps, Error *error)
{
    uint8_t bytes[END_BYTES];
    put(put(bytes, 0, 4), (uint64_t)n_steps, 8);
    return writer_add(w, bytes, sizeof bytes, error);
}

static Status write_all(const Trace *t, Writer *w, Error *error)
{
    TRY(add_head(w, &t->head, error));
    for (int64_t step = 0; step < t->n_steps; step++) {
        TRY(add_rows(w, t->step_rows[step], error));
        for (int layer = 0; layer < t->head.n_layers; layer++) {
            int n;
            const TraceUse *uses = trace_uses(t, step, layer, &n);
            TRY(add_layer(w, uses, n, t->step_rows[step], error));
        }
    }
    TRY(add_end(w, t->n_steps, error));
    return writer_commit(w, error);
}

Status trace_write(const Trace *t, const char *path, Error *error)
{
    Writer w;
    TRY(writer_open(path, NULL, &w, error));
    const Status status = write_all(t, &w, error);
    writer_abandon(&w);
    return status;
}

/* ---- recording ---- */

struct Recorder {
    TraceHead head;
    Writer    writer;
    int64_t   n_steps;
    Status    status;           /* of the first step that failed                           */
    Error     error;
};

Status recorder_new(const TraceHead *head, const char *path, const char *const *inputs, Recorder **out,
                    Error *error)
{
    *out = NULL;
    TRY(check_head(path, head, error));
    Recorder *r = calloc(1, sizeof *r);
    if (!r) return fail_memory(error, "the recording");
    r->head = *head;
    Status status = writer_open(path, inputs, &r->writer, error);
    if (status != OK) {
        free(r);
        return status;
    }
    status = add_head(&r->writer, head, error);
    if (status != OK) recorder_abandon(r);
    else *out = r;
    return status;
}

static Status record(Recorder *r, const int32_t *const *experts, int n_rows, Error *error)
{
    TraceUse uses[TRACE_EXPERTS_MAX];
    TRY(check_rows(n_rows, error));
    if (r->n_steps >= TRACE_STEPS_MAX)
        return fail(error, NO_ROOM, "trace: expected at most %d steps", TRACE_STEPS_MAX);
    TRY(add_rows(&r->writer, n_rows, error));
    for (int layer = 0; layer < r->head.n_layers; layer++) {
        const int n = group(&r->head, experts, n_rows, layer, uses);
        TRY(add_layer(&r->writer, uses, n, n_rows, error));
    }
    r->n_steps++;
    return OK;
}

void recorder_step(Recorder *r, const int32_t *const *experts, int n_rows)
{
    if (r->status == OK) r->status = record(r, experts, n_rows, &r->error);
}

Status recorder_end(Recorder *r, Error *error)
{
    Status status = r->status;
    if (status != OK && error) *error = r->error;
    if (status == OK) status = add_end(&r->writer, r->n_steps, error);
    if (status == OK) status = writer_commit(&r->writer, error);
    recorder_abandon(r);
    return status;
}

void recorder_abandon(Recorder *r)
{
    if (!r) return;
    writer_abandon(&r->writer);
    free(r);
}
