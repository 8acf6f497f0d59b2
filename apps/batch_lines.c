/* SPDX-License-Identifier: Apache-2.0
 * apps/batch_lines.c - see batch_lines.h.  Nothing in a line is ignored: a field that nobody knows is an error that
 * names it. */
#include "batch_lines.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 1 << 22, LINE_BYTES_MAX = 64 << 20, STOPS_A_LINE_MAX = 64 };

/* ---- what a line may say ---- */

typedef enum FieldKind { FIELD_REAL, FIELD_WHOLE, FIELD_SIZE, FIELD_SEED, FIELD_FLAG } FieldKind;

typedef struct Field { const char *name; FieldKind kind; double min, max; size_t at; } Field;

#define IN_SAMPLER(name)  offsetof(mixt_job, sampler.name)
#define IN_GENERATE(name) offsetof(mixt_job, generate.name)

static const Field fields[] = {
    { "max_tokens",        FIELD_SIZE,  0,    1 << 30, IN_GENERATE(n_tokens_max) },
    { "ignore_end",        FIELD_FLAG,  0,    1,       IN_GENERATE(ignore_end) },
    { "temperature",       FIELD_REAL,  0,    100,     IN_SAMPLER(temperature) },
    { "top_k",             FIELD_WHOLE, 0,    1 << 24, IN_SAMPLER(top_k) },
    { "top_p",             FIELD_REAL,  0,    1,       IN_SAMPLER(top_p) },
    { "min_p",             FIELD_REAL,  0,    1,       IN_SAMPLER(min_p) },
    { "typical_p",         FIELD_REAL,  0,    1,       IN_SAMPLER(typical_p) },
    { "repeat_penalty",    FIELD_REAL,  1e-6, 100,     IN_SAMPLER(repeat_penalty) },
    { "presence_penalty",  FIELD_REAL,  -100, 100,     IN_SAMPLER(presence_penalty) },
    { "frequency_penalty", FIELD_REAL,  -100, 100,     IN_SAMPLER(frequency_penalty) },
    { "repeat_last_n",     FIELD_WHOLE, -1,   1 << 30, IN_SAMPLER(penalty_last_n) },
    { "seed",              FIELD_SEED,  0,    0x1p63,  IN_SAMPLER(seed) },
};

__attribute__((format(printf, 2, 3)))
static bool wrong(BatchLine *line, const char *format, ...)
{
    Buffer  text = { 0 };
    va_list arguments;
    char    said[504];
    va_start(arguments, format);
    vsnprintf(said, sizeof said, format, arguments);
    va_end(arguments);
    buffer_text(&text, said);
    free(line->problem);
    line->problem = text.failed ? NULL : text.data;
    return false;
}

static bool take_number(BatchLine *line, const Field *f, const json_t *value)
{
    char *to = (char *)&line->job + f->at;
    if (f->kind == FIELD_FLAG) {
        if (!json_is_boolean(value)) return wrong(line, "%s: expected true or false", f->name);
        *(bool *)to = json_is_true(value);
        return true;
    }
    const double number = json_number_value(value);
    const bool   fits = f->kind == FIELD_REAL ? json_is_number(value) : json_is_integer(value);
    if (!fits || number < f->min || number > f->max)
        return wrong(line, "%s: expected a %s from %g to %g", f->name,
                     f->kind == FIELD_REAL ? "number" : "whole number", f->min, f->max);
    if (f->kind == FIELD_REAL) *(float *)to = (float)number;
    if (f->kind == FIELD_WHOLE) *(int *)to = (int)number;
    if (f->kind == FIELD_SIZE) *(size_t *)to = (size_t)json_integer_value(value);
    if (f->kind == FIELD_SEED) *(uint64_t *)to = (uint64_t)json_integer_value(value);
    return true;
}

static bool take_stops(BatchLine *line, const json_t *value)
{
    const size_t n = json_is_array(value) ? json_array_size(value) : 1;
    if (n > STOPS_A_LINE_MAX) return wrong(line, "stop: expected at most %d texts, found %zu", STOPS_A_LINE_MAX, n);
    line->stops = calloc(n + 1, sizeof *line->stops);
    if (!line->stops) return wrong(line, "out of memory for stop");
    for (size_t i = 0; i < n; i++) {
        const json_t *text = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_string(text)) return wrong(line, "stop: expected a text or an array of texts");
        line->stops[i] = strdup(json_string_value(text));
        if (!line->stops[i]) return wrong(line, "out of memory for stop");
    }
    line->job.generate.stops   = (const char *const *)line->stops;
    line->job.generate.n_stops = n;
    return true;
}

static bool take_id(BatchLine *line, const json_t *value)
{
    if (!json_is_string(value) && !json_is_number(value)) return wrong(line, "id: expected a text or a number");
    line->id = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    return line->id || wrong(line, "out of memory for the id");
}

/* ---- the prompt ---- */

static bool take_prompt(BatchLine *line, const Loaded *loaded, const json_t *value)
{
    mixt_error  error;
    const char *text    = json_string_value(value);
    size_t      n_bytes = json_string_length(value), n = n_bytes + 8;
    mixt_status status  = MIXT_NO_ROOM;
    if (!text) return wrong(line, "prompt: expected a text");
    for (int turn = 0; turn < 2 && status == MIXT_NO_ROOM; turn++) {
        mixt_token *room = realloc(line->ids.ids, (n + 1) * sizeof *room);
        if (!room) return wrong(line, "out of memory for the prompt");
        line->ids.ids  = room;
        line->ids.room = n + 1;
        status = mixt_tokenize(loaded->model, text, n_bytes, true, room, n + 1, &n, &error);
    }
    line->ids.n = n;
    return status == MIXT_OK || wrong(line, "prompt: %s", error.text);
}

static bool take_messages(BatchLine *line, const Loaded *loaded, const json_t *value)
{
    mixt_error error;
    mixt_chat  chat     = mixt_chat_defaults();
    char      *messages = json_is_array(value) ? json_dumps(value, JSON_COMPACT) : NULL;
    if (!messages) return wrong(line, "messages: expected an array of objects with role and content");
    chat.messages_json         = messages;
    chat.add_generation_prompt = true;
    const mixt_status status   = encode_chat(loaded, &chat, NULL, &line->ids, &error);
    free(messages);
    return status == MIXT_OK || wrong(line, "messages: %s", error.text);
}

static bool take_field(BatchLine *line, const Loaded *loaded, const char *name, const json_t *value)
{
    if (strcmp(name, "id") == 0) return take_id(line, value);
    if (strcmp(name, "stop") == 0) return take_stops(line, value);
    if (strcmp(name, "prompt") == 0) return take_prompt(line, loaded, value);
    if (strcmp(name, "messages") == 0) return take_messages(line, loaded, value);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(name, fields[i].name) == 0) return take_number(line, &fields[i], value);
    return wrong(line, "unknown field '%.64s'", name);
}

static bool take_object(BatchLine *line, const Loaded *loaded, json_t *object)
{
    const char *name;
    json_t     *value;
    if (!json_is_object(object)) return wrong(line, "expected an object");
    json_t *id = json_object_get(object, "id");             /* first: an error names it too     */
    if (id && !take_id(line, id)) return false;
    if (!json_object_get(object, "prompt") == !json_object_get(object, "messages"))
        return wrong(line, "expected either prompt or messages");
    json_object_foreach(object, name, value)
        if (value != id && !take_field(line, loaded, name, value)) return false;
    line->job.tokens   = line->ids.ids;
    line->job.n_tokens = line->ids.n;
    return true;
}

static void take_line(BatchLine *line, const Loaded *loaded, const char *text, size_t n_bytes)
{
    json_error_t where;
    if (n_bytes > LINE_BYTES_MAX) {
        wrong(line, "expected at most %d bytes, found %zu", LINE_BYTES_MAX, n_bytes);
        return;
    }
    json_t *object = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, &where);
    if (object) take_object(line, loaded, object);
    else wrong(line, "expected JSON, found at column %d: %.200s", where.column, where.text);
    json_decref(object);
}

/* ---- all of them ---- */

static bool blank(const char *text, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        if (!strchr(" \t\r", text[i])) return false;
    return true;
}

static BatchLine *lines_add(const App *app, BatchLines *lines, Exit *code)
{
    if (lines->n >= LINES_MAX) {
        *code = complain(app, BAD_DATA, "expected at most %d lines, found more", LINES_MAX);
        return NULL;
    }
    if ((lines->n & (lines->n - 1)) == 0) {                 /* a power of two: it is full       */
        const size_t room = lines->n ? 2 * lines->n : 1;
        BatchLine   *all  = realloc(lines->all, room * sizeof *all);
        if (!all) {
            *code = complain(app, NO_FIT, "out of memory for %zu prompts", room);
            return NULL;
        }
        lines->all = all;
    }
    BatchLine *line = &lines->all[lines->n++];
    *line = (BatchLine){ 0 };
    return line;
}

Exit lines_read(const App *app, const char *path, const Loaded *loaded, const mixt_job *common, BatchLines *out)
{
    Buffer file = { 0 };
    Exit   code = input_read(app, path, &file);
    size_t number = 0;
    for (size_t at = 0; code == DONE && at < file.n_bytes && !interrupt_pending(); number++) {
        const char  *text = file.data + at;
        const char  *end  = memchr(text, '\n', file.n_bytes - at);
        const size_t n    = end ? (size_t)(end - text) : file.n_bytes - at;
        at += n + 1;
        if (blank(text, n)) continue;
        BatchLine *line = lines_add(app, out, &code);
        if (!line) break;
        line->number = number + 1;
        line->job    = *common;
        take_line(line, loaded, text, n);
        out->n_bad += line->problem != NULL;
    }
    buffer_free(&file);
    if (code == DONE && out->n == 0) code = complain(app, BAD_DATA, "%s: expected prompts, found none", path);
    return code;
}

void lines_free(BatchLines *lines)
{
    for (size_t i = 0; i < lines->n; i++) {
        BatchLine *line = &lines->all[i];
        for (size_t k = 0; line->stops && line->stops[k]; k++) free(line->stops[k]);
        free(line->stops);
        free(line->id);
        free(line->problem);
        ids_free(&line->ids);
        buffer_free(&line->answer);
    }
    free(lines->all);
    *lines = (BatchLines){ 0 };
}

/* ---- answers ---- */

/* Written by hand: jansson and apps/json.h have names in common. */
static void answer_begin(BatchLine *line)
{
    buffer_clear(&line->answer);
    buffer_format(&line->answer, "{\"line\":%zu", line->number);
    if (line->id) buffer_format(&line->answer, ",\"id\":%s", line->id);
}

void line_problem(BatchLine *line)
{
    const char *why = line->problem ? line->problem : "out of memory";
    answer_begin(line);
    buffer_text(&line->answer, ",\"error\":");
    buffer_json(&line->answer, why, strlen(why));
    buffer_text(&line->answer, "}\n");
}

/* No times: the same prompts give the same file. */
void line_answer(BatchLine *line, const mixt_job_result *result)
{
    static const char *const finishes[] = { "length", "end", "stop", "interrupted" };
    if (result->status != MIXT_OK) {
        wrong(line, "%s", result->error);
        line_problem(line);
        return;
    }
    answer_begin(line);
    buffer_text(&line->answer, ",\"text\":");
    buffer_json(&line->answer, result->text, result->n_bytes);
    buffer_format(&line->answer, ",\"finish\":\"%s\",\"prompt_tokens\":%zu,\"answer_tokens\":%zu",
                  finishes[result->generated.finish], line->ids.n, result->generated.n_tokens);
    buffer_format(&line->answer, ",\"seed\":%" PRIu64 "}\n", line->job.sampler.seed);
}

/* ---- an earlier output ---- */

/* The error of a line that could not be read knows no id. */
typedef enum Earlier { ANOTHERS, ITS_ANSWER, ITS_ERROR } Earlier;

static Earlier belongs(const BatchLine *line, const char *text, size_t n_bytes)
{
    json_t     *object = json_loadb(text, n_bytes, 0, NULL);
    json_t     *id     = json_object_get(object, "id");
    char       *said   = id ? json_dumps(id, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    const bool  failed = json_object_get(object, "error") != NULL;
    const bool  same   = said && line->id ? strcmp(said, line->id) == 0 : !id && (failed || !line->id);
    const bool  found  = same && json_integer_value(json_object_get(object, "line")) == (json_int_t)line->number;
    free(said);
    json_decref(object);
    return !found ? ANOTHERS : failed ? ITS_ERROR : ITS_ANSWER;
}

Exit lines_match(const App *app, BatchLines *lines, const char *path, const Buffer *earlier, bool finished,
                 size_t *n_kept, size_t *kept_bytes)
{
    *n_kept = *kept_bytes = 0;
    for (size_t i = 0, at = 0, n; at < earlier->n_bytes; i++, at += n) {
        const char *text = earlier->data + at;
        const char *end  = memchr(text, '\n', earlier->n_bytes - at);
        if (!end) return DONE;                              /* half a line: it is made again    */
        n = (size_t)(end - text) + 1;
        const Earlier what = i < lines->n ? belongs(&lines->all[i], text, n - 1) : ANOTHERS;
        if (what == ANOTHERS)
            return complain(app, BAD_DATA, "%s: line %zu: expected the answer to line %zu of the input, found another; "
                                           "remove the file to begin anew",
                            path, i + 1, i < lines->n ? lines->all[i].number : lines->n + 1);
        if (finished && (what == ITS_ERROR || lines->all[i].problem)) continue;     /* once more */
        if (finished) buffer_append(&lines->all[i].answer, text, n);
        else *kept_bytes += n;
        ++*n_kept;
    }
    return DONE;
}
