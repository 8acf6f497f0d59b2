/* SPDX-License-Identifier: Apache-2.0
 * file/foreign.c - what people have instead of a model, by its first bytes.
 *
 * Downloads fail in a few well-known ways; "bad magic" would send the reader to the wrong place. */
#include "file/build.h"

#include <string.h>
#include <strings.h>

typedef struct Mark { const char *bytes; size_t n_bytes; const char *kind; } Mark;

#define MARK(bytes, kind) { bytes, sizeof(bytes) - 1, kind }

static const Mark marks[] = {
    MARK("version https://git-lfs",
         "a Git LFS pointer (the file itself was not fetched: git lfs pull)"),
    MARK("MIXTTAKE", "what is left of a model that mixt pack --in-place is moving (the same command goes on)"),
    MARK("MIXTGIVE", "the part that mixt unpack --in-place has made so far (the same command goes on)"),
    MARK("PK\003\004", "a zip archive (a PyTorch checkpoint?)"),
    MARK("\x80\002", "a Python pickle (a PyTorch checkpoint?)"),
    MARK("\x80\003", "a Python pickle (a PyTorch checkpoint?)"),
    MARK("\x80\004", "a Python pickle (a PyTorch checkpoint?)"),
    MARK("\x80\005", "a Python pickle (a PyTorch checkpoint?)"),
    MARK("\x1f\x8b", "a gzip archive"),
    MARK("\x28\xb5\x2f\xfd", "a zstd archive"),
    MARK("\xfd"
         "7zXZ",
         "an xz archive"),
    MARK("7z\xbc\xaf", "a 7-zip archive"),
    MARK("BZh", "a bzip2 archive"),
    MARK("lmgg", "an old GGML file (from before GGUF: convert it again)"),
    MARK("fmgg", "an old GGMF file (from before GGUF: convert it again)"),
    MARK("tjgg", "an old GGJT file (from before GGUF: convert it again)"),
    MARK("algg", "an old GGLA adapter (from before GGUF: convert it again)"),
    MARK("FUGG", "a GGUF file with its bytes in the other order"),
    MARK("\x89HDF", "an HDF5 file"),
    MARK("\x7f"
         "ELF",
         "a program"),
    MARK("\x93NUMPY", "a NumPy array"),
};

static size_t skip_blanks(const uint8_t *head, size_t n)
{
    size_t i = n >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (i < n && (head[i] == ' ' || head[i] == '\t' || head[i] == '\r' || head[i] == '\n')) i++;
    return i;
}

static bool begins(const uint8_t *head, size_t n, const char *with)
{
    return n >= strlen(with) && strncasecmp((const char *)head, with, strlen(with)) == 0;
}

/* Eight bytes of header length, then the header: a JSON object. */
static bool is_safetensors(const uint8_t *head, size_t n)
{
    uint64_t header_bytes;
    if (n < 9 || head[8] != '{') return false;
    memcpy(&header_bytes, head, sizeof header_bytes);
    return header_bytes < (uint64_t)1 << 32;
}

const char *foreign_kind(const uint8_t *head, size_t n)
{
    if (n == 0) return "an empty file";
    for (int i = 0; i < ARRAY_LEN(marks); i++)
        if (n >= marks[i].n_bytes && memcmp(head, marks[i].bytes, marks[i].n_bytes) == 0)
            return marks[i].kind;
    if (is_safetensors(head, n))
        return "one safetensors file (give the folder it lies in, with its config.json)";
    const size_t i = skip_blanks(head, n);
    if (begins(head + i, n - i, "<!doctype") || begins(head + i, n - i, "<html") ||
        begins(head + i, n - i, "<head"))
        return "an HTML page (a download that needed a login?)";
    if (begins(head + i, n - i, "<?xml")) return "an XML page (a download that failed?)";
    for (size_t k = 0; k < n; k++)
        if (head[k]) return NULL;
    return "zeros (a download that was not finished?)";
}
