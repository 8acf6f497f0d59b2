/* SPDX-License-Identifier: Apache-2.0
 * measure/facts.c - what Linux says about the machine, from /proc and /sys. */
#include "measure/measure.h"

#include "base/machine.h"
#include "base/pool.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 8192, TEXT_MAX_BYTES = 1 << 15 };   /* a processor has many flags    */

/* The first bytes of a file, without a FILE: facts must be had when memory is not. */
static void first_bytes(const char *path, char out[TEXT_MAX_BYTES])
{
    size_t n = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (ssize_t got = 1; fd >= 0 && got > 0 && n < TEXT_MAX_BYTES - 1;) {
        got = read(fd, out + n, TEXT_MAX_BYTES - 1 - n);
        if (got > 0) n += (size_t)got;
    }
    out[n] = 0;
    if (fd >= 0) close(fd);
}

/* The rest of the first line that begins with `key`, past blanks and a colon; "": none does. */
static void line_of(const char *path, const char *key, char out[LINE_MAX_BYTES])
{
    char text[TEXT_MAX_BYTES];
    const size_t n = strlen(key);
    out[0] = 0;
    first_bytes(path, text);
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncmp(line, key, n)) continue;
        const char *value = line + n + strspn(line + n, " \t:");
        snprintf(out, LINE_MAX_BYTES, "%.*s", (int)strcspn(value, "\n"), value);
        return;
    }
}

static bool has_word(const char *list, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == 0)) return true;
    return false;
}

void measure_cpu_name(char out[CPU_NAME_MAX])
{
    char line[LINE_MAX_BYTES];
    line_of("/proc/cpuinfo", "model name", line);
    snprintf(out, CPU_NAME_MAX, "%.90s", line);
}

static void read_processor(Facts *f)
{
    static const char *const known[] = { "avx2",        "fma",        "f16c",        "avx_vnni",
                                         "avx512f",     "avx512bw",   "avx512vl",    "avx512dq",
                                         "avx512_vnni", "avx512vbmi", "avx512_bf16", "amx_int8",
                                         "amx_bf16",    "asimddp",    "i8mm" };
    char flags[LINE_MAX_BYTES];
    measure_cpu_name(f->cpu);
    line_of("/proc/cpuinfo", "flags", flags);
    if (!flags[0]) line_of("/proc/cpuinfo", "Features", flags);
    size_t n = 0;
    for (int i = 0; i < ARRAY_LEN(known); i++)
        if (has_word(flags, known[i]))
            n += (size_t)snprintf(f->instructions + n, sizeof f->instructions - n, "%s%s",
                                  n ? " " : "", known[i]);
}

/* "32K" -> 32768 */
static int64_t cache_size(const char *text)
{
    char *end;
    const long long n = strtoll(text, &end, 10);
    const int64_t unit = *end == 'K' ? 1024 : *end == 'M' ? MIB : 1;
    return n > 0 && n < (1 << 30) ? n * unit : 0;
}

static void read_caches(Facts *f)
{
    for (int i = 0; i < 8; i++) {
        char path[96], level[LINE_MAX_BYTES], type[LINE_MAX_BYTES], size[LINE_MAX_BYTES];
        const char *folder = "/sys/devices/system/cpu/cpu0/cache/index";
        snprintf(path, sizeof path, "%s%d/level", folder, i);
        line_of(path, "", level);
        snprintf(path, sizeof path, "%s%d/type", folder, i);
        line_of(path, "", type);
        snprintf(path, sizeof path, "%s%d/size", folder, i);
        line_of(path, "", size);
        int64_t *to = !strcmp(type, "Instruction") ? NULL
                      : !strcmp(level, "1")        ? &f->l1_bytes
                      : !strcmp(level, "2")        ? &f->l2_bytes
                      : !strcmp(level, "3")        ? &f->l3_bytes
                                                   : NULL;
        if (to) *to = cache_size(size);
    }
}

/* "always [madvise] never" -> "madvise" */
static void read_huge_pages(Facts *f)
{
    char line[LINE_MAX_BYTES];
    line_of("/sys/kernel/mm/transparent_hugepage/enabled", "", line);
    const char *begin = strchr(line, '['), *end = begin ? strchr(begin, ']') : NULL;
    if (end)
        snprintf(f->huge_pages, sizeof f->huge_pages, "%.*s", (int)(end - begin - 1), begin + 1);
}

/* "150000 100000" is a core and a half; "max 100000" no limit. */
static void read_quota(Facts *f)
{
    char line[LINE_MAX_BYTES];
    long long quota, period;
    line_of("/sys/fs/cgroup/cpu.max", "", line);
    if (sscanf(line, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0)
        f->quota_cores = (double)quota / (double)period;
}

static void read_load(Facts *f)
{
    char line[LINE_MAX_BYTES];
    line_of("/proc/loadavg", "", line);
    const double load = strtod(line, NULL);
    if (load > 0 && load < 1e6) f->load = load;
}

void measure_facts(Facts *out)
{
    *out = (Facts){ .n_allowed = pool_cores(), .free_bytes = machine_free_bytes() };
    const long online = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES);
    out->n_online = online > 0 ? (int)online : 0;
    if (pages > 0) out->memory_bytes = (int64_t)pages * sysconf(_SC_PAGESIZE);
    if (out->free_bytes == INT64_MAX) out->free_bytes = 0;
    read_processor(out);
    read_caches(out);
    read_huge_pages(out);
    read_quota(out);
    read_load(out);
}
