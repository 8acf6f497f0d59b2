/* SPDX-License-Identifier: Apache-2.0
 * file/folder.c - folders: Hugging Face's layout, Mistral's own, and a tokenizer alone.
 *
 * This file only asks which names exist; bytes come through base/io.  A folder that has both
 * layouts (the publisher's usual download) is read as Hugging Face's: its config.json says more. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "file/vocab_build.h"

enum { PARTS_MAX = 100 };                   /* consolidated.00 to .99                        */

bool folder_has(const char *folder, const char *name)
{
    char path[4096];
    struct stat info;
    const int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n > 0 && n < (int)sizeof path && stat(path, &info) == 0;
}

/* ---- tokenizers ---- */

static Status path_of(Build *b, const char *folder, const char *name, const char **path,
                      Error *error)
{
    *path = build_path(b, folder, name);
    return *path ? OK : fail_memory(error, name);
}

static Status head_of(const char *path, uint8_t *head, size_t room, size_t *n, Error *error)
{
    File file;
    TRY(file_open(path, &file, error));
    *n = file.n_bytes < (int64_t)room ? (size_t)file.n_bytes : room;
    const Status status = file_read(&file, 0, head, *n, error);
    file_close(&file);
    return status;
}

/* A tokenizer.model or a tokenizer.json, by its first bytes. */
static Status read_tokenizer(Build *b, const char *path, Error *error)
{
    uint8_t head[512];
    size_t n;
    TRY(head_of(path, head, sizeof head, &n, error));
    size_t i = 0;
    while (i < n && (head[i] == ' ' || head[i] == '\n' || head[i] == '\r' || head[i] == '\t')) i++;
    if (i < n && head[i] == '{') return tokenizer_json_read(b, path, error);
    if (looks_like_sentencepiece(head, n)) return sentencepiece_read(b, path, error);
    const char *kind = foreign_kind(head, n);
    return fail(error, BAD_FILE,
                "%s: expected a GGUF file, tokenizer.model or tokenizer.json, found %s", path,
                kind ? kind : "something else");
}

Status tokenizer_file_read(Build *b, const char *path, Error *error)
{
    b->catalog->source = SOURCE_TOKENIZER;
    TRY(read_tokenizer(b, path, error));
    return vocab_check(&b->catalog->vocab, path, error);
}

/* The name of the folder's tokenizer, best first, or NULL.  Some publishers call a tiktoken list
 * tokenizer.model too: it is passed over where a tokenizer.json lies beside it. */
static Status choose_tokenizer(Build *b, const char *folder, const char **name, Error *error)
{
    static const char *const names[] = {"tokenizer.model", "tokenizer.model.v3",
                                        "tokenizer.model.v2", "tokenizer.model.v1",
                                        "tokenizer.json"};
    *name = NULL;
    for (int i = 0; i < ARRAY_LEN(names); i++) {
        if (!folder_has(folder, names[i])) continue;
        const char *path;
        uint8_t head[16];
        size_t n;
        TRY(path_of(b, folder, names[i], &path, error));
        TRY(head_of(path, head, sizeof head, &n, error));
        *name = names[i];
        if (i + 1 == ARRAY_LEN(names) || looks_like_sentencepiece(head, n) ||
            !folder_has(folder, "tokenizer.json"))
            return OK;
    }
    if (!*name && folder_has(folder, "tekken.json"))
        return fail(error, UNSUPPORTED,
                    "%s: expected tokenizer.model or tokenizer.json, found tekken.json", folder);
    return OK;
}

/* Rows of the embedding that have no token get one, so that every id has a piece. */
static Status pad_to_rows(Build *b, Error *error)
{
    double rows;
    bool found;
    TRY(catalog_number(b->catalog, "vocab_size", &rows, &found, error));
    if (!found || b->catalog->vocab.kind == VOCAB_NONE) return OK;
    if (rows > VOCAB_PIECES_MAX)
        return fail(error, BAD_FILE, "%s: key 'vocab_size': expected at most %d, found %g",
                    b->catalog->path, VOCAB_PIECES_MAX, rows);
    if (rows < 1) return OK;                /* -1 in some params.json: not said here         */
    return vocab_pad(b, (int64_t)rows, b->catalog->path, error);
}

static Status read_folder_tokenizer(Build *b, const char *folder, Error *error)
{
    const char *name, *path = folder;
    TRY(choose_tokenizer(b, folder, &name, error));
    if (name) {
        TRY(path_of(b, folder, name, &path, error));
        TRY(read_tokenizer(b, path, error));
    }
    TRY(hf_tokenizer_config(b, folder, error));
    TRY(pad_to_rows(b, error));
    return name ? vocab_check(&b->catalog->vocab, path, error) : OK;
}

/* ---- weights ---- */

static Status read_one(Build *b, const char *folder, const char *name, Error *error)
{
    const char *path;
    TRY(path_of(b, folder, name, &path, error));
    return safetensors_read(b, path, error);
}

/* No weights at all: fine for a folder that has a tokenizer (as vocabulary-only GGUF files are),
 * but pickles are worth a word. */
static Status no_weights(Build *b, const char *folder, const char *expected,
                         const char *const *pickles, Error *error)
{
    for (int i = 0; pickles[i]; i++)
        if (folder_has(folder, pickles[i]))
            return fail(error, UNSUPPORTED, "%s: expected %s, found pickles (%s)", folder, expected,
                        pickles[i]);
    if (b->catalog->vocab.kind != VOCAB_NONE) return OK;
    return fail(error, NOT_FOUND, "%s: expected %s, found neither weights nor a tokenizer", folder,
                expected);
}

static Status read_hf_weights(Build *b, const char *folder, Error *error)
{
    static const char *const pickles[] = {"pytorch_model.bin", "pytorch_model.bin.index.json",
                                          NULL};
    if (folder_has(folder, "model.safetensors.index.json"))
        return safetensors_index_read(b, folder, "model.safetensors.index.json", error);
    if (folder_has(folder, "model.safetensors"))
        return read_one(b, folder, "model.safetensors", error);
    return no_weights(b, folder, "model.safetensors or its index", pickles, error);
}

static void part_name(int part, char name[static 40])
{
    snprintf(name, 40, "consolidated.%02u.safetensors", (unsigned)part % PARTS_MAX);
}

static Status read_part(Build *b, const char *folder, int part, Error *error)
{
    char name[40];
    part_name(part, name);
    if (folder_has(folder, name)) return read_one(b, folder, name, error);
    return fail(error, NOT_FOUND, "%s/%s: expected this part beside the others, found none", folder,
                name);
}

/* Parts that hold different tensors add up; build_tensor refuses those that hold slices. */
static Status read_mistral_weights(Build *b, const char *folder, Error *error)
{
    static const char *const pickles[] = { "consolidated.00.pth", "consolidated.pth", NULL };
    int n_parts = 0;
    for (int part = 0; part < PARTS_MAX; part++) {
        char name[40];
        part_name(part, name);
        if (folder_has(folder, name)) n_parts = part + 1;
    }
    if (folder_has(folder, "consolidated.safetensors.index.json"))
        return safetensors_index_read(b, folder, "consolidated.safetensors.index.json", error);
    if (folder_has(folder, "consolidated.safetensors"))
        return read_one(b, folder, "consolidated.safetensors", error);
    for (int part = 0; part < n_parts; part++) TRY(read_part(b, folder, part, error));
    return n_parts ? OK : no_weights(b, folder, "consolidated.safetensors", pickles, error);
}

/* ---- layouts ---- */

static Status read_layout(Build *b, const char *folder, Source source, const char *config,
                          Status (*weights)(Build *b, const char *folder, Error *error),
                          Error *error)
{
    const char *path;
    b->catalog->source = source;
    TRY(path_of(b, folder, config, &path, error));
    TRY(config_read(b, path, error));
    TRY(read_folder_tokenizer(b, folder, error));
    return weights(b, folder, error);
}

/* Weights without a configuration: a download that has not finished, not a tokenizer's folder. */
static Status no_stray_weights(const char *folder, Error *error)
{
    static const char *const names[] = { "model.safetensors", "model.safetensors.index.json",
                                         "consolidated.safetensors", "consolidated.00.safetensors" };
    for (int i = 0; i < ARRAY_LEN(names); i++)
        if (folder_has(folder, names[i]))
            return fail(error, BAD_FILE, "%s: expected config.json or params.json beside %s, found none",
                        folder, names[i]);
    return OK;
}

Status folder_read(Build *b, const char *folder, Error *error)
{
    if (folder_has(folder, "config.json"))
        return read_layout(b, folder, SOURCE_HF, "config.json", read_hf_weights, error);
    if (folder_has(folder, "params.json"))
        return read_layout(b, folder, SOURCE_MISTRAL, "params.json", read_mistral_weights, error);
    TRY(no_stray_weights(folder, error));
    b->catalog->source = SOURCE_TOKENIZER;
    TRY(read_folder_tokenizer(b, folder, error));
    if (b->catalog->vocab.kind != VOCAB_NONE) return OK;
    return fail(error, NOT_FOUND,
                "%s: expected config.json, params.json or a tokenizer in this folder, found none",
                folder);
}
