/* SPDX-License-Identifier: Apache-2.0
 * lib/files.c - which files a model is made of, so that no output is written over one of them. */
#include "lib/lib.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { FILES_MAX = 1 << 14 };

typedef struct List { mixt_model *model; size_t n, room; } List;

/* Borrows `path`; the list ends with NULL. */
static Status add(List *list, const char *path, Error *error)
{
    mixt_model *m = list->model;
    if (list->n + 1 >= list->room) {
        const size_t room = list->room ? list->room * 2 : 16;
        const char **files = arena_new(&m->catalog.arena, room, sizeof *files);
        if (!files) return fail_memory(error, m->catalog.path);
        if (list->n) memcpy(files, m->files, list->n * sizeof *files);
        m->files = files;
        list->room = room;
    }
    m->files[list->n++] = path;
    m->files[list->n] = NULL;
    return OK;
}

/* Whatever lies in a model's folder belongs to it: weights, tokenizer, configuration. */
static Status add_folder(List *list, DIR *folder, Error *error)
{
    const char *path = list->model->catalog.path;
    const size_t n_path = strlen(path);
    for (const struct dirent *entry; list->n < FILES_MAX && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        const size_t n = strlen(entry->d_name);
        char *whole = arena_new(&list->model->catalog.arena, n_path + n + 2, 1);
        if (!whole) return fail_memory(error, path);
        memcpy(whole, path, n_path);
        whole[n_path] = '/';
        memcpy(whole + n_path + 1, entry->d_name, n);
        TRY(add(list, whole, error));
    }
    return OK;
}

Status list_files(mixt_model *m, Error *error)
{
    List list = { .model = m };
    TRY(add(&list, m->catalog.path, error));
    for (int i = 0; i < m->catalog.n_files; i++) TRY(add(&list, m->catalog.files[i].path, error));
    DIR *folder = opendir(m->catalog.path);
    if (!folder) return errno == ENOMEM ? fail_memory(error, m->catalog.path) : OK;     /* a file */
    const Status status = add_folder(&list, folder, error);
    closedir(folder);
    return status;
}

const char *const *mixt_model_files(const mixt_model *m)
{
    return m->files;
}
