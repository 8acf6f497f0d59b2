/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/file/made.h - files made byte by byte, right and wrong ones, and what opening them
 * says. */
#ifndef TESTS_UNIT_FILE_MADE_H
#define TESTS_UNIT_FILE_MADE_H

#include "support.h"

#include <sys/stat.h>

#include "base/buffer.h"
#include "file/catalog.h"

/* What opening a file with 200,000 of something may take.  Under a sanitizer memory is several
 * times slower (200,000 safetensors entries are a million small allocations). */
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
enum { MANY_US_MAX = 2000000 };
#else
enum { MANY_US_MAX = 20000000 };
#endif

/* ---- bytes ---- */

static inline void put_u8(Buffer *b, unsigned value)
{
    buffer_char(b, (char)value);
}

static inline void put_u32(Buffer *b, uint32_t value)
{
    buffer_append(b, &value, sizeof value);
}

static inline void put_u64(Buffer *b, uint64_t value)
{
    buffer_append(b, &value, sizeof value);
}

static inline void put_f32(Buffer *b, float value)
{
    buffer_append(b, &value, sizeof value);
}

/* A string as GGUF writes it. */
static inline void put_text(Buffer *b, const char *text)
{
    put_u64(b, strlen(text));
    buffer_text(b, text);
}

static inline void put_zeros(Buffer *b, size_t n)
{
    while (n--) put_u8(b, 0);
}

static inline void put_head(Buffer *b, uint32_t version, uint64_t n_tensors, uint64_t n_keys)
{
    buffer_text(b, "GGUF");
    put_u32(b, version);
    put_u64(b, n_tensors);
    put_u64(b, n_keys);
}

static inline void put_key(Buffer *b, const char *key, uint32_t type)
{
    put_text(b, key);
    put_u32(b, type);
}

static inline void put_array(Buffer *b, const char *key, uint32_t type, uint64_t n)
{
    put_key(b, key, 9);
    put_u32(b, type);
    put_u64(b, n);
}

/* Two dimensions, innermost first as in the file. */
static inline void put_tensor(Buffer *b, const char *name, uint64_t ne0, uint64_t ne1,
                              uint32_t type, uint64_t offset)
{
    put_text(b, name);
    put_u32(b, 2);
    put_u64(b, ne0);
    put_u64(b, ne1);
    put_u32(b, type);
    put_u64(b, offset);
}

/* Zeros up to a multiple of 32, then n bytes of data. */
static inline void put_data(Buffer *b, size_t n)
{
    put_zeros(b, (32 - b->n_bytes % 32) % 32 + n);
}

/* ---- files ---- */

/* Static memory, four calls deep. */
static inline const char *made_path(const char *name)
{
    static char paths[4][512];
    static int  turn;
    char *path = paths[turn++ & 3];
    snprintf(path, sizeof paths[0], "%s/%s", test_scratch(), name);
    return path;
}

static inline const char *made_bytes(const char *name, const void *bytes, size_t n_bytes)
{
    const char *path = made_path(name);
    unlink(path);                       /* some file systems flush what replaces a file's bytes */
    FILE *file = fopen(path, "wb");
    if (!file || (n_bytes && fwrite(bytes, 1, n_bytes, file) != n_bytes) || fclose(file)) abort();
    return path;
}

/* Takes the buffer's bytes and frees it. */
static inline const char *made_file(const char *name, Buffer *b)
{
    const char *path = made_bytes(name, b->data, b->n_bytes);
    buffer_free(b);
    return path;
}

static inline const char *made_text(const char *name, const char *text)
{
    return made_bytes(name, text, strlen(text));
}

/* JSON in C is easier to read with ' for ". */
static inline void made_quotes(char *json)
{
    while ((json = strchr(json, '\''))) *json = '"';
}

static inline const char *made_json(const char *name, const char *json)
{
    char *copy = strdup(json);
    if (!copy) abort();
    made_quotes(copy);
    const char *path = made_text(name, copy);
    free(copy);
    return path;
}

static inline void made_folder(const char *name)
{
    if (mkdir(made_path(name), 0777)) abort();
}

/* ---- what opening says ---- */

/* Opening must fail with this status and a sentence that has the file's name, all of the words
 * ("a|b|c"), and no second line. */
static inline void expect_refused(const char *path, Status want, const char *name,
                                  const char *words)
{
    Catalog catalog;
    Error error = { 0 };
    const Status got = catalog_open(path, &catalog, &error);
    if (got == OK) catalog_close(&catalog);
    bool good =
        got == want && error.code == want && strstr(error.text, name) && !strchr(error.text, '\n');
    char copy[256], *rest = copy;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word; (word = strsep(&rest, "|"));) good = good && strstr(error.text, word);
    if (!good)
        print_error("%s: want %d with '%s' and '%s', got %d: %s\n", path, (int)want, name, words,
                    (int)got, got == OK ? "opened" : error.text);
    assert_true(good);
}

static inline void expect_opened(const char *path, Catalog *catalog)
{
    Error error = { 0 };
    const Status got = catalog_open(path, catalog, &error);
    if (got != OK) print_error("%s: want it opened, got %d: %s\n", path, (int)got, error.text);
    assert_int_equal(got, OK);
}

#endif
