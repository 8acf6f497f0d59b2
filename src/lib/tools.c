/* SPDX-License-Identifier: Apache-2.0
 * lib/tools.c - the calls of mixt_tools.h. */
#include <mixt_tools.h>

#include "base/buffer.h"
#include "lib/lib.h"
#include "file/packed.h"
#include "quantize/convert.h"
#include "quantize/pack.h"
#include "quantize/recipe.h"
#include "quantize/synth.h"

#include <stdio.h>
#include <string.h>

/* ---- check ---- */

/* "46.703 B parameters, 28.45 GB (26.49 GiB)"; small models in millions and megabytes. */
static void describe_size(int64_t n_values, int64_t n_bytes, char *out, size_t room)
{
    const bool large = n_values >= 100000000;
    snprintf(out, room, "%.3f %s parameters, %.2f %cB (%.2f %ciB)",
             (double)n_values / (large ? 1e9 : 1e6), large ? "B" : "M",
             (double)n_bytes / (large ? 1e9 : 1e6), large ? 'G' : 'M',
             (double)n_bytes / (double)(large ? GIB : MIB), large ? 'G' : 'M');
}

static void describe(const mixt_model *m, char *line, size_t room)
{
    const mixt_model_info i = mixt_model_read(m);
    char experts[64] = "dense", size[96] = "", network[224] = "vocabulary only";
    if (i.n_experts)
        snprintf(experts, sizeof experts, "%lld experts, %lld used", (long long)i.n_experts,
                 (long long)i.n_used);
    describe_size(i.n_values, i.weight_bytes, size, sizeof size);
    if (i.arch)
        snprintf(network, sizeof network, "%s, %lld layers, %s, %s", i.arch, (long long)i.n_layers,
                 experts, size);
    snprintf(line, room, "%s: ok: %s, %s, %s, %lld tokens", i.path, i.container, network,
             i.tokenizer ? i.tokenizer : "no tokenizer", (long long)i.n_vocab);
}

/* A GGUF file without tensors and a bare tokenizer are vocabularies; a folder with a configuration
 * and no weights is a model that has not arrived whole. */
static Status is_vocabulary(const char *path, const mixt_memory *given, bool *out, Error *error)
{
    Catalog catalog;
    const Memory memory = take_memory(given);
    TRY(catalog_open_with(&memory, path, &catalog, error));
    *out = catalog.source == SOURCE_TOKENIZER ||
           (catalog.source == SOURCE_GGUF && catalog.n_tensors == 0 &&
            catalog.vocab.kind != VOCAB_NONE);
    catalog_close(&catalog);
    return OK;
}

static mixt_status check_sums(const mixt_model *m, const mixt_model_options *o, mixt_error *error)
{
    Error inside = { 0 };
    if (!m->catalog.packed) return MIXT_OK;
    return answer(error, packed_verify(m->catalog.packed, 0, o->progress, o->progress_user, &inside), &inside);
}

mixt_status mixt_check(const char *path, const mixt_model_options *options, char *line,
                       size_t line_room, mixt_error *error)
{
    Error inside = { 0 };
    mixt_model_options o = mixt_model_defaults();
    take_options(&o, sizeof o, options);
    o.struct_bytes = sizeof o;
    const Status status = is_vocabulary(path, o.memory, &o.vocab_only, &inside);
    if (status != OK) return answer(error, status, &inside);

    mixt_model *model;
    mixt_status checked = mixt_model_open(path, &o, &model, error);
    if (checked != MIXT_OK) return checked;
    if (model->format_error.code != OK)
        checked = answer(error, model->format_error.code, &model->format_error);
    else checked = check_sums(model, &o, error);
    if (checked == MIXT_OK && line && line_room) describe(model, line, line_room);
    mixt_model_free(model);
    return checked;
}

/* ---- convert, synth ---- */

mixt_convert_options mixt_convert_defaults(void)
{
    return (mixt_convert_options){ .struct_bytes = sizeof(mixt_convert_options) };
}

mixt_status mixt_convert(const char *from, const char *to, const mixt_convert_options *options,
                         mixt_error *error)
{
    mixt_convert_options o = mixt_convert_defaults();
    Error inside = { 0 };
    take_options(&o, sizeof o, options);
    Adapters adapters;
    Status status = adapters_open(o.adapters, o.n_adapters, &adapters, &inside);
    const ConvertOptions in = { .type = o.type,
                                .log = o.log,
                                .log_user = o.log_user,
                                .progress = o.progress,
                                .progress_user = o.progress_user,
                                .adapters = adapters.uses,
                                .n_adapters = adapters.n,
                                .memory = take_memory(o.memory) };
    if (status == OK) status = convert(from, to, &in, &inside);
    adapters_free(&adapters);
    return answer(error, status, &inside);
}

/* ---- pack, unpack ---- */

mixt_pack_options mixt_pack_defaults(void)
{
    return (mixt_pack_options){ .struct_bytes = sizeof(mixt_pack_options) };
}

typedef Status (*Packer)(const char *from, const char *to, const PackOptions *options, Error *error);

static mixt_status pack_with(Packer packer, const char *from, const char *to, const mixt_pack_options *options,
                             mixt_error *error)
{
    mixt_pack_options o = mixt_pack_defaults();
    Error inside = { 0 };
    take_options(&o, sizeof o, options);
    const PackOptions in = { .in_place = o.in_place,
                             .n_threads = o.n_threads,
                             .progress = o.progress,
                             .progress_user = o.progress_user };
    return answer(error, packer(from, to, &in, &inside), &inside);
}

mixt_status mixt_pack(const char *from, const char *to, const mixt_pack_options *options, mixt_error *error)
{
    return pack_with(pack_model, from, to, options, error);
}

mixt_status mixt_unpack(const char *from, const char *to, const mixt_pack_options *options, mixt_error *error)
{
    return pack_with(unpack_model, from, to, options, error);
}

mixt_synth_options mixt_synth_defaults(void)
{
    return (mixt_synth_options){
        .struct_bytes = sizeof(mixt_synth_options), .like = "tiny", .type = "F32", .seed = 1,
    };
}

mixt_status mixt_synth(const char *to, const mixt_synth_options *options, mixt_error *error)
{
    mixt_synth_options o = mixt_synth_defaults();
    Error inside = { 0 };
    take_options(&o, sizeof o, options);
    const SynthOptions in = {
        .like = o.like,
        .n_layers = o.n_layers,
        .width = o.width,
        .hidden = o.hidden,
        .n_heads = o.n_heads,
        .n_kv_heads = o.n_kv_heads,
        .head_size = o.head_size,
        .n_experts = o.n_experts,
        .n_used = o.n_used,
        .n_vocab = o.n_vocab,
        .n_context = o.n_context,
        .window = o.window,
        .router_skew = o.router_skew,
        .type = o.type,
        .seed = o.seed,
        .progress = o.progress,
        .progress_user = o.progress_user,
    };
    return answer(error, synth(to, &in, &inside), &inside);
}

const char *const *mixt_synth_shapes(void) { return synth_shapes; }
const char *const *mixt_synth_types(void)  { return recipe_names; }

/* ---- arrays for NumPy ---- */

/* Version 1.0: magic, a Python dictionary padded with spaces so that data begins at a multiple of 64.
 * Source: NumPy enhancement proposal 1. */
static void npy_header(Buffer *out, mixt_npy type, const int64_t *dims, size_t n_dims)
{
    Buffer dict = { 0 };
    buffer_format(&dict, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                  type == MIXT_NPY_I32 ? "<i4" : "<f4");
    for (size_t i = 0; i < n_dims; i++) buffer_format(&dict, "%lld,", (long long)dims[i]);
    buffer_text(&dict, "), }");
    while ((10 + dict.n_bytes + 1) % 64) buffer_char(&dict, ' ');
    buffer_char(&dict, '\n');
    buffer_append(out, "\x93NUMPY\x01\x00", 8);
    buffer_char(out, (char)(dict.n_bytes & 255));
    buffer_char(out, (char)(dict.n_bytes >> 8));
    if (dict.failed) out->failed = true;
    else buffer_append(out, dict.data, dict.n_bytes);
    buffer_free(&dict);
}

static Status npy_write(const char *path, mixt_npy type, const void *values, const int64_t *dims,
                        size_t n_dims, const char *const *inputs, Error *error)
{
    int64_t n_values = 1;
    if (n_dims > 8)
        return fail(error, BAD_ARGUMENT, "%s: expected at most 8 dimensions, found %zu", path,
                    n_dims);
    for (size_t i = 0; i < n_dims; i++) n_values *= dims[i];
    Buffer header = { 0 };
    Writer writer = { .fd = -1 };
    npy_header(&header, type, dims, n_dims);
    Status status =
        header.failed ? fail_memory(error, path) : writer_open(path, inputs, &writer, error);
    if (status == OK) status = writer_add(&writer, header.data, header.n_bytes, error);
    if (status == OK) status = writer_add(&writer, values, (size_t)n_values * 4, error);
    if (status == OK) status = writer_commit(&writer, error);
    else writer_abandon(&writer);
    buffer_free(&header);
    return status;
}

mixt_status mixt_npy_write(const char *path, mixt_npy type, const void *values, const int64_t *dims,
                           size_t n_dims, const char *const *inputs, mixt_error *error)
{
    Error inside = { 0 };
    return answer(error, npy_write(path, type, values, dims, n_dims, inputs, &inside), &inside);
}
