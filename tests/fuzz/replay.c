/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/replay.c - a fuzz target without the fuzzer: every file of its corpus, once.
 *
 * Beside each file go what cutting does to it (its first half, all but its last byte) and nothing
 * at all.  Bytes are handed over in a block of just their size, so that AddressSanitizer sees a read
 * past the end.  A target that crashes ends the program; one without a corpus is a failure. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void feed(const uint8_t *data, size_t n_bytes)
{
    uint8_t *exact = malloc(n_bytes ? n_bytes : 1);
    if (!exact) abort();
    if (n_bytes) memcpy(exact, data, n_bytes);
    LLVMFuzzerTestOneInput(exact, n_bytes);
    free(exact);
}

static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat info;
    if (!file || fstat(fileno(file), &info)) {
        perror(path);
        return 1;
    }
    const size_t n_bytes = (size_t)info.st_size;
    uint8_t *data = malloc(n_bytes + 1);
    const int bad = !data || fread(data, 1, n_bytes, file) != n_bytes;
    fclose(file);
    if (bad) {
        fprintf(stderr, "%s: cannot be read\n", path);
        free(data);
        return 1;
    }
    fprintf(stderr, "%s\n", path);      /* the last line before a crash names the culprit */
    feed(data, n_bytes);
    if (n_bytes) feed(data, n_bytes - 1);
    feed(data, n_bytes / 2);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 64;
    }
    struct dirent **entries;
    const int n_entries = scandir(argv[1], &entries, NULL, alphasort);
    if (n_entries < 0) {
        perror(argv[1]);
        return 1;
    }
    feed(NULL, 0);
    int n_replayed = 0, n_bad = 0;
    for (int i = 0; i < n_entries; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') {
            n_bad += replay(path);
            n_replayed++;
        }
        free(entries[i]);
    }
    free(entries);
    printf("%s: %d files replayed\n", argv[1], n_replayed);
    return n_bad || n_replayed == 0;
}
