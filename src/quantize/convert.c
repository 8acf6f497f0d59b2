/* SPDX-License-Identifier: Apache-2.0
 * quantize/convert.c - any model we can open, as one GGUF file: header, then tensor by tensor and a
 * few rows at a time, so that memory does not depend on the model.
 *
 * Experts are stacked and rows of q and k put into the order of GGUF; apart from that a tensor that
 * keeps its format keeps its bytes.  To a matrix that adapters adapt, what they say is added: W + b * a, in float, and
 * what comes of it is stored in the matrix's format. */
#include "quantize/convert.h"

#include "file/gguf.h"
#include "quantize/fill.h"
#include "quantize/recipe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_VALUES      = 256 << 10,      /* numbers held at a time: a megabyte of floats     */
    SETTING_BYTES_MAX = 64 << 20        /* of one setting that only passes through          */
};

typedef struct Conversion {
    const ConvertOptions *options;
    Catalog     catalog;
    const Arch *arch;
    Sizes       sizes;
    const Recipe *recipe;               /* NULL: formats stay as they are                   */
    bool        tied;                   /* the embedding is the output too                  */
    OutList     list;
    GgufWriter *w;
    Meter       meter;
    float      *values;                 /* rows of a chunk, decoded                         */
    uint8_t    *from, *to;              /* and as they are stored                           */
    int64_t     room;                   /* of each of them, in values                       */
    LoraMap    *lora;                   /* NULL: no adapters                                */
} Conversion;

static void say(const Conversion *c, const char *name, const char *what)
{
    Error line;                         /* borrowed for its cleaning of names               */
    if (!c->options->log) return;
    fail(&line, OK, "%s: %s", name, what);
    c->options->log(c->options->log_user, line.text);
}

/* ---- formats ---- */

static Status find_recipe(const char *name, Conversion *c, Error *error)
{
    if (!name) return OK;
    c->recipe = recipe_find(name);
    return c->recipe ? OK : fail_choice("type", recipe_names, name, error);
}

static Status source_of(const Conversion *c, const OutTensor *t, int expert, Weight *out,
                        Error *error)
{
    return arch_weight(c->arch, &c->catalog, &c->sizes, t->role, t->layer, expert, out, error);
}

static int64_t n_slices(const OutTensor *t)
{
    return t->n_dims == 3 ? t->dims[0] : 1;
}

/* Experts of one layer share a tensor, so they need one format. */
static Status common_format(const Conversion *c, const OutTensor *t, Format *out, Error *error)
{
    Weight first, w;
    TRY(source_of(c, t, 0, &first, error));
    for (int e = 1; e < n_slices(t); e++) {
        TRY(source_of(c, t, e, &w, error));
        if (w.format != first.format)
            return fail(error, UNSUPPORTED, "%s: expected %s as in expert 0, found %s; give a type",
                        w.tensor->name, format_info[first.format].name, format_info[w.format].name);
    }
    *out = first.format;
    return OK;
}

static bool whole_blocks(const OutTensor *t, Format format)
{
    return out_cols(t) % format_info[format].block_values == 0;
}

/* Gains are stored in F32 always: exact from the other float formats, and every reader takes it. */
static Status choose_format(const Conversion *c, OutTensor *t, Error *error)
{
    if (t->vector) return OK;
    if (!c->recipe) return common_format(c, t, &t->format, error);
    const Role role = t->role == ROLE_EMBED && c->tied ? ROLE_OUT : t->role;
    const Format wanted = recipe_format(c->recipe, &c->sizes, role, t->layer);
    t->format = whole_blocks(t, wanted) ? wanted : whole_blocks(t, Q8_0) ? Q8_0 : F32;
    if (t->format == wanted) return OK;
    char what[96];
    snprintf(what, sizeof what, "becomes %s: its rows are not whole blocks of %s", format_info[t->format].name,
             format_info[wanted].name);
    say(c, t->name, what);
    return OK;
}

static Status plan(Conversion *c, Error *error)
{
    Weight embed, output;
    TRY(arch_find(&c->catalog, &c->arch, error));
    TRY(arch_sizes(c->arch, &c->catalog, &c->sizes, error));
    TRY(arch_leftovers(c->arch, &c->catalog, &c->sizes, c->options->log, c->options->log_user,
                       error));
    TRY(arch_weight(c->arch, &c->catalog, &c->sizes, ROLE_EMBED, 0, 0, &embed, error));
    TRY(arch_weight(c->arch, &c->catalog, &c->sizes, ROLE_OUT, 0, 0, &output, error));
    if (c->options->n_adapters)
        TRY(lora_map_new(c->arch, &c->catalog, &c->sizes, c->options->adapters, c->options->n_adapters, &c->lora,
                         error));
    c->tied = output.tensor == embed.tensor;
    TRY(out_list(c->arch, &c->sizes, !c->tied, &c->list, error));
    for (int i = 0; i < c->list.n; i++) {
        TRY(choose_format(c, &c->list.tensors[i], error));
        c->meter.total += out_bytes(&c->list.tensors[i]);
    }
    return OK;
}

/* ---- settings ---- */

/* As it is, byte for byte: then arrays, negative and long numbers need no care. */
static Status copy_setting(const Conversion *c, const Setting *s, Error *error)
{
    const uint32_t type = s->kind == SETTING_ARRAY ? GGUF_ARRAY : (uint32_t)s->gguf_type;
    if (s->bytes > SETTING_BYTES_MAX) {
        say(c, s->key, "this setting is too long to be copied");
        return OK;
    }
    uint8_t *value = malloc((size_t)s->bytes + 1);
    if (!value) return fail_memory(error, "the settings");
    Status status = file_read(&c->catalog.files[0], s->offset, value, (size_t)s->bytes, error);
    if (status == OK)
        status = gguf_put_value(c->w, s->key, type, value, (size_t)s->bytes, error);
    free(value);
    return status;
}

/* What describes the file rather than the model stays behind. */
static bool of_the_file(const char *key)
{
    return !strncmp(key, "split.", 6) || !strcmp(key, "general.alignment");
}

static Status copy_settings(const Conversion *c, Error *error)
{
    if (c->catalog.source != SOURCE_GGUF) return OK;
    for (int64_t i = 0; i < c->catalog.n_settings; i++) {
        const Setting *s = &c->catalog.settings[i];
        if (!of_the_file(s->key) && !gguf_has_key(c->w, s->key)) TRY(copy_setting(c, s, error));
    }
    return OK;
}

/* "models/Mixtral-8x7B/" is called Mixtral-8x7B. */
static Status put_folder_name(const Conversion *c, Error *error)
{
    const char *path = c->catalog.path;
    size_t end = strlen(path), begin;
    while (end > 0 && path[end - 1] == '/') end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/'; begin--) {}
    if (begin == end || path[begin] == '.') return OK;
    return gguf_put_text(c->w, "general.name", path + begin, end - begin, error);
}

static Status put_file_type(const Conversion *c, Error *error)
{
    if (!c->recipe && c->catalog.source == SOURCE_GGUF) return OK;  /* copied                   */
    const Recipe *recipe = c->recipe ? c->recipe : recipe_find(format_info[c->list.tensors[0].format].name);
    if (!recipe) return OK;
    if (format_info[recipe->base].block_values > 1)
        TRY(gguf_put_u32(c->w, "general.quantization_version", 2, error));
    return gguf_put_u32(c->w, "general.file_type", recipe->file_type, error);
}

static Status put_settings(const Conversion *c, Error *error)
{
    TRY(put_sizes(c->w, c->arch, &c->sizes, error));
    TRY(put_file_type(c, error));
    if (c->catalog.source != SOURCE_GGUF) TRY(put_folder_name(c, error));
    TRY(gguf_put_vocab(c->w, &c->catalog.vocab, error));
    if (c->catalog.chat_template)
        TRY(gguf_put_text(c->w, "tokenizer.chat_template", c->catalog.chat_template,
                          c->catalog.chat_template_bytes, error));
    return copy_settings(c, error);
}

/* ---- data ---- */

static Status read_rows(const Conversion *c, const Weight *w, int64_t row, int64_t n_rows,
                        Error *error)
{
    const File *file = &c->catalog.files[w->tensor->file];
    const int64_t row_bytes = format_row_bytes(w->format, w->cols);
    if (!w->halves)
        return file_read(file, w->offset + row * row_bytes, c->from, (size_t)(n_rows * row_bytes),
                         error);
    for (int64_t i = 0; i < n_rows; i++) {
        const int64_t there = weight_source_row(w, &c->sizes, row + i);
        TRY(file_read(file, w->offset + there * row_bytes, c->from + i * row_bytes,
                      (size_t)row_bytes, error));
    }
    return OK;
}

/* values += rows [row, row + n_rows) of b * a; summed in double. */
static void add_adapter(const Conversion *c, const LoraFloats *low, int64_t row, int64_t n_rows)
{
    for (int64_t r = 0; r < n_rows; r++) {
        float *to = c->values + r * low->cols;
        const float *b = low->b + (row + r) * low->rank;
        for (int64_t i = 0; i < low->cols; i++) {
            double sum = (double)to[i];
            for (int64_t k = 0; k < low->rank; k++) sum += (double)b[k] * (double)low->a[k * low->cols + i];
            to[i] = (float)sum;
        }
    }
}

static Status recode(const Conversion *c, const Weight *w, const OutTensor *t, const LoraFloats *low, int64_t row,
                     int64_t n_rows, Error *error)
{
    const double limit = format_info[t->format].largest;
    const int64_t n = n_rows * w->cols;
    format_info[w->format].decode(c->values, c->from, (size_t)n);
    if (low->rank) add_adapter(c, low, row, n_rows);
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)c->values[i]) <= limit))     /* NaN too                              */
            return fail(error, BAD_FILE, "%s: %s holds numbers up to %g, found %g", w->tensor->name,
                        format_info[t->format].name, limit, (double)c->values[i]);
    format_info[t->format].encode(c->to, c->values, (size_t)n);
    return OK;
}

static Status write_slice(Conversion *c, const Weight *w, const OutTensor *t, const LoraFloats *low, Error *error)
{
    const int64_t rows_at_once = c->room / w->cols,
                  row_bytes = format_row_bytes(t->format, w->cols);
    for (int64_t row = 0; row < w->rows; row += rows_at_once) {
        const int64_t left = w->rows - row, n_rows = left < rows_at_once ? left : rows_at_once;
        const bool same = w->format == t->format && low->rank == 0;
        TRY(read_rows(c, w, row, n_rows, error));
        if (!same) TRY(recode(c, w, t, low, row, n_rows, error));
        TRY(gguf_add(c->w, same ? c->from : c->to, (size_t)(n_rows * row_bytes), error));
        TRY(meter_add(&c->meter, n_rows * row_bytes, error));
    }
    return OK;
}

static Status make_room(Conversion *c, Error *error)
{
    c->room = CHUNK_VALUES;
    for (int i = 0; i < c->list.n; i++)
        if (out_cols(&c->list.tensors[i]) > c->room) c->room = out_cols(&c->list.tensors[i]);
    c->values = malloc((size_t)c->room * sizeof(float));
    c->from   = malloc((size_t)c->room * sizeof(float));    /* no format needs more per value   */
    c->to     = malloc((size_t)c->room * sizeof(float));
    return c->values && c->from && c->to ? OK : fail_memory(error, "the conversion");
}

static Status put_tensors(Conversion *c, Error *error)
{
    for (int i = 0; i < c->list.n; i++) {
        const OutTensor *t = &c->list.tensors[i];
        TRY(gguf_declare(c->w, t->name, t->format, t->n_dims, t->dims, error));
    }
    for (int i = 0; i < c->list.n; i++) {
        const OutTensor *t = &c->list.tensors[i];
        for (int e = 0; e < n_slices(t); e++) {
            Weight w;
            LoraFloats low = { .rank = 0 };
            TRY(source_of(c, t, e, &w, error));
            Status status = OK;
            if (c->lora && lora_adapts(t->role)) status = lora_map_read(c->lora, t->role, t->layer, e, &low, error);
            if (status == OK) status = write_slice(c, &w, t, &low, error);
            lora_floats_free(&low);
            TRY(status);
        }
    }
    return OK;
}

/* ---- */

/* Those of the model and the adapters. */
static Status files_read(Conversion *c, const char *const **out, Error *error)
{
    const char *const *model;
    size_t n = 0;
    TRY(catalog_files(&c->catalog, &model, error));
    while (model[n]) n++;
    const char **all = arena_new(&c->catalog.arena, n + (size_t)c->options->n_adapters + 1, sizeof *all);
    if (!all) return fail_memory(error, "the conversion");
    for (size_t i = 0; i < n; i++) all[i] = model[i];
    for (int i = 0; i < c->options->n_adapters; i++) all[n + (size_t)i] = c->options->adapters[i].file->catalog.path;
    *out = all;
    return OK;
}

static Status write_model(Conversion *c, const char *to, Error *error)
{
    TRY(make_room(c, error));
    const char *const *inputs;
    TRY(files_read(c, &inputs, error));                     /* the output may be none of these   */
    TRY(gguf_create(to, inputs, &c->w, error));
    Status status = put_settings(c, error);
    if (status == OK) status = put_tensors(c, error);
    if (status == OK) return gguf_finish(c->w, error);
    gguf_abandon(c->w);
    return status;
}

Status convert(const char *from, const char *to, const ConvertOptions *options, Error *error)
{
    Conversion c = { .options = options,
                     .meter = { .progress = options->progress, .user = options->progress_user } };
    TRY(find_recipe(options->type, &c, error));
    TRY(catalog_open_with(&options->memory, from, &c.catalog, error));
    Status status = plan(&c, error);
    if (status == OK) status = write_model(&c, to, error);
    lora_map_free(c.lora);
    free(c.list.tensors);
    free(c.values);
    free(c.from);
    free(c.to);
    catalog_close(&c.catalog);
    return status;
}
