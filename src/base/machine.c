/* SPDX-License-Identifier: Apache-2.0
 * base/machine.c - the numbers Linux gives: /proc/meminfo and the control group. */
#include "base/machine.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Version 1 says "no limit" with a number near the largest. */
static const int64_t UNLIMITED_BYTES = INT64_MAX / 2;

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

/* The names of what a control group says; page cache counts as used there, but is given back under pressure. */
typedef struct GroupFiles { const char *root, *most, *used, *cache_key; } GroupFiles;
static const GroupFiles version_1 = {
    "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "
};
static const GroupFiles version_2 = { "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file " };

static int64_t number_of_group(const GroupFiles *files, const char *group, const char *name, const char *key,
                               int64_t otherwise)
{
    char path[PATH_MAX];
    const int n = snprintf(path, sizeof path, "%s%s/%s", files->root, group, name);
    return n > 0 && (size_t)n < sizeof path ? number_in(path, key, otherwise) : otherwise;
}

/* What one group still allows. */
static int64_t free_in_group(const GroupFiles *files, const char *group)
{
    const int64_t most = number_of_group(files, group, files->most, "", INT64_MAX);
    if (most <= 0 || most >= UNLIMITED_BYTES) return INT64_MAX;
    const int64_t left = most - number_of_group(files, group, files->used, "", 0) +
                         number_of_group(files, group, "memory.stat", files->cache_key, 0);
    return left > 0 ? left : 0;
}

/* This process's group and all above it.  Inside a container its own root is mounted where the root is, and the
 * group's own path may not exist: nothing is said there. */
static int64_t free_in_groups(const GroupFiles *files, char *group)
{
    int64_t least = INT64_MAX;
    for (;;) {
        const int64_t left = free_in_group(files, group);
        if (left < least) least = left;
        char *slash = strrchr(group, '/');
        if (!slash) return least;
        *slash = 0;
    }
}

/* Lines of /proc/self/cgroup: "4:memory:/some/group" is of version 1, "0::/some/group" of version 2. */
static int64_t group_free_bytes(void)
{
    char line[PATH_MAX], root[] = "";
    int64_t least = free_in_groups(&version_2, root);
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file) return least;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
        if (!group) continue;
        *group++ = 0;
        if (strcmp(group, "/") == 0) *group = 0;
        const bool first = strcmp(names + 1, "memory") == 0, second = names[1] == 0;
        const int64_t left = first ? free_in_groups(&version_1, group)
                             : second ? free_in_groups(&version_2, group)
                                      : INT64_MAX;
        if (left < least) least = left;
    }
    fclose(file);
    return least;
}

int64_t machine_free_bytes(void)
{
    const int64_t kib = number_in("/proc/meminfo", "MemAvailable:", -1);
    const int64_t system = kib < 0 ? INT64_MAX : kib * 1024, group = group_free_bytes();
    return system < group ? system : group;
}

int64_t machine_resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return 0;
    long long all, resident = 0;
    if (fscanf(file, "%lld %lld", &all, &resident) != 2) resident = 0;
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}
