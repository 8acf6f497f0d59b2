/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/made_folder.h - bytes in memory as a file with a path, for parsers that open paths.
 *
 * The bytes lie in a memfd; folders hold links to it beside fixed small files, so that an input
 * costs no disk.  Everything is made once, and removed when the program ends in peace. */
#ifndef TESTS_FUZZ_MADE_FOLDER_H
#define TESTS_FUZZ_MADE_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file/catalog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

/* The path of these bytes; the next call changes them. */
static inline const char *made_memory(const uint8_t *data, size_t n_bytes)
{
    static int  fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (fd < 0 || ftruncate(fd, 0) || (n_bytes && pwrite(fd, data, n_bytes, 0) != (ssize_t)n_bytes))
        abort();
    return path;
}

static char made_root[64];
static volatile uint64_t believed;      /* so that no read is thought needless */

static inline void made_remove(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", made_root);
    if (system(command)) { /* a leftover in /tmp harms nobody */ }
}

/* "/tmp/mixt-fuzz-XXXXXX/name", a new folder.  The caller frees it. */
static inline char *made_folder(const char *name)
{
    char *path = malloc(256);
    if (!made_root[0]) {
        snprintf(made_root, sizeof made_root, "/tmp/mixt-fuzz-XXXXXX");
        if (!mkdtemp(made_root) || atexit(made_remove)) abort();
    }
    if (!path) abort();
    snprintf(path, 256, "%s/%s", made_root, name);
    if (mkdir(path, 0777)) abort();
    return path;
}

static inline void made_text(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file)) abort();
}

/* folder/name becomes a link to the bytes in memory. */
static inline void made_link(const char *folder, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
    if (symlink(made_memory(NULL, 0), path)) abort();
}

/* Opens, and if that works believes everything the catalog says: a sanitizer watches. */
static inline void open_and_believe(const char *path)
{
    Catalog c;
    Error error;
    uint64_t sum = 0;
    if (catalog_open(path, &c, &error) != OK) {
        if (error.text[0] == 0 || strchr(error.text, '\n')) abort();
        return;
    }
    for (int64_t i = 0; i < c.n_tensors; i++) {
        char edge;
        sum += strlen(c.tensors[i].name);
        if (catalog_tensor(&c, c.tensors[i].name) != &c.tensors[i]) abort();
        if (i < 16 &&
            catalog_read(&c, &c.tensors[i], c.tensors[i].bytes - 1, &edge, 1, &error) != OK)
            abort();
    }
    for (int64_t i = 0; i < c.n_settings; i++) {
        const Setting *s = &c.settings[i];
        if (s->kind == SETTING_TEXT) sum += (uint8_t)s->text.bytes[s->text.n_bytes];
        if (s->kind == SETTING_ARRAY && s->array.numbers)
            for (int64_t k = 0; k < s->array.n; k++) sum += s->array.numbers[k] > 0;
    }
    for (int32_t id = 0; id < c.vocab.n_pieces; id++)
        sum += (uint8_t)c.vocab.pieces[id].text[c.vocab.pieces[id].n_bytes];
    for (int32_t i = 0; i < c.vocab.n_merges; i++)
        sum += (uint8_t)c.vocab.merges[i].left[0] +
               (uint8_t)c.vocab.merges[i].right[c.vocab.merges[i].n_right - 1];
    for (size_t i = 0; i < c.vocab.charsmap_bytes; i++)
        sum += ((const uint8_t *)c.vocab.charsmap)[i];
    for (int i = 0; i < c.vocab.n_ends; i++)
        if (c.vocab.ends[i] < 0 || c.vocab.ends[i] >= c.vocab.n_pieces) abort();
    believed = sum;
    catalog_close(&c);
}

#endif
