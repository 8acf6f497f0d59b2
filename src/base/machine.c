/* SPDX-License-Identifier: Apache-2.0
 * base/machine.c - the numbers Linux gives: /proc/meminfo and the control group. */
#include "base/machine.h"

#include <stdio.h>
#include <string.h>

/* The number after `key` in a small text file, or `otherwise`. */
static int64_t number_in(const char *path, const char *key, int64_t otherwise)
{
    FILE *file = fopen(path, "re");
    if (!file) return otherwise;
    char line[256];
    long long value = otherwise;
    const size_t n = strlen(key);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, key, n) == 0 && sscanf(line + n, "%lld", &value) == 1) break;
    fclose(file);
    return value;
}

/* What the control group of this process (version 2) still allows; inside a container its own root
 * is mounted here.  Page cache counts as used there, but is given back under pressure: inactive_file is free. */
static int64_t group_free_bytes(void)
{
    const int64_t most = number_in("/sys/fs/cgroup/memory.max", "", INT64_MAX);
    const int64_t used = number_in("/sys/fs/cgroup/memory.current", "", 0);
    const int64_t cache = number_in("/sys/fs/cgroup/memory.stat", "inactive_file ", 0);
    if (most == INT64_MAX || most <= 0) return INT64_MAX;
    return most - used + cache > 0 ? most - used + cache : 0;
}

int64_t machine_free_bytes(void)
{
    const int64_t kib = number_in("/proc/meminfo", "MemAvailable:", -1);
    const int64_t system = kib < 0 ? INT64_MAX : kib * 1024, group = group_free_bytes();
    return system < group ? system : group;
}
