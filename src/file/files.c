/* SPDX-License-Identifier: Apache-2.0
 * file/files.c - which files a model is made of, so that no output is written over one of them. */
#include "file/catalog.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

enum { FILES_MAX = 1 << 14 };

typedef struct List { Catalog *catalog; const char **paths; size_t n, room; } List;

/* Borrows `path`; the list ends with NULL. */
static Status add(List *list, const char *path, Error *error)
{
    Catalog *c = list->catalog;
    if (list->n + 1 >= list->room) {
        const size_t room = list->room ? list->room * 2 : 16;
        const char **paths = arena_new(&c->arena, room, sizeof *paths);
        if (!paths) return fail_memory(error, c->path);
        if (list->n) memcpy(paths, list->paths, list->n * sizeof *paths);
        list->paths = paths;
        list->room = room;
    }
    list->paths[list->n++] = path;
    list->paths[list->n] = NULL;
    return OK;
}

/* Whatever lies in a model's folder belongs to it: weights, tokenizer, configuration. */
static Status add_folder(List *list, DIR *folder, Error *error)
{
    const char *path = list->catalog->path;
    const size_t n_path = strlen(path);
    for (const struct dirent *entry; list->n < FILES_MAX && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        const size_t n = strlen(entry->d_name);
        char *whole = arena_new(&list->catalog->arena, n_path + n + 2, 1);
        if (!whole) return fail_memory(error, path);
        memcpy(whole, path, n_path);
        whole[n_path] = '/';
        memcpy(whole + n_path + 1, entry->d_name, n);
        TRY(add(list, whole, error));
    }
    return OK;
}

Status catalog_files(Catalog *c, const char *const **out, Error *error)
{
    static const char *const none[] = {NULL};
    List list = { .catalog = c };
    *out = none;
    if (c->in_memory) return OK;
    TRY(add(&list, c->path, error));
    for (int i = 0; i < c->n_files; i++) TRY(add(&list, c->files[i].path, error));
    DIR *folder = opendir(c->path);
    Status status = folder || errno != ENOMEM ? OK : fail_memory(error, c->path);
    if (folder) {                               /* else a single file                       */
        status = add_folder(&list, folder, error);
        closedir(folder);
    }
    *out = list.paths;
    return status;
}
