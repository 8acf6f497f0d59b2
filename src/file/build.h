/* SPDX-License-Identifier: Apache-2.0
 * file/build.h - how the readers of this folder put a catalog together.
 *
 * Internal to src/file.  Lists grow as things are read, so no count from a file ever sizes one;
 * a thing is checked here when it is added, whichever format it came from. */
#ifndef FILE_BUILD_H
#define FILE_BUILD_H

#include "file/catalog.h"

enum { NAME_BYTES_MAX = 65535 };            /* of keys and tensor names: GGUF's own limit    */

typedef struct Build {
    Catalog *catalog;
    const Memory *memory;                   /* the one file there is; NULL: on the disk      */
    bool     change;                        /* it is ours: not locked, and need not be whole */
    char    *text_at;                       /* strings lie packed: the arena alone would     */
    size_t   text_left;                     /* give each its own 64 bytes                    */
} Build;

/* n_bytes of zeros and one more, or a copy of `bytes`; NULL when there is no memory. */
char *build_text(Build *build, const char *bytes, size_t n_bytes);

/* "folder/name", in the arena; NULL when there is no memory. */
char *build_path(Build *build, const char *folder, const char *name);

/* Makes room for item n of a list that grows one by one: its room is always 64 doubled some times,
 * so it need not be remembered.  What is outgrown stays in the arena: at most as much again. */
void *build_grow(Arena *arena, void *list, int64_t n, size_t each);

/* Opens a file (what lies in memory is the only one), so that nobody changes it in place as long as it is open. */
Status build_open(const Build *build, const char *path, File *out, Error *error);
/* The same, and adds it to the catalog's. */
Status build_file(Build *build, const char *path, int *file, Error *error);

/* Is this a name?  Not empty, UTF-8, no NUL inside.  *why says what is wrong. */
bool build_name_ok(const char *name, size_t n_bytes, const char **why);

/* The tensor's name is in the arena; dims, format, file and offset are set, bytes not yet.
 * Computes the bytes and checks shape, range in the file and that the name is new. */
Status build_tensor(Build *build, FileTensor *tensor, Error *error);
/* Do the tensors [first, n) of one file overlap?  `tight`: they must also leave no hole from
 * data_begin to the end of the file, as safetensors demands. */
Status build_check_layout(const Build *build, int64_t first, int file, bool tight,
                          int64_t data_begin, Error *error);
/* The setting's key and text are in the arena.  BAD_FILE when the key was there already. */
Status build_setting(Build *build, const Setting *setting, const char *path, Error *error);

/* ---- one reader per layout; each fills the catalog or fails, catalog_open cleans up ---- */

Status gguf_read(Build *build, const char *path, Error *error);
/* The parts are the catalog's files already. */
Status gguf_read_parts(Build *build, const char *path, Error *error);
Status folder_read(Build *build, const char *path, Error *error);
Status tokenizer_file_read(Build *build, const char *path, Error *error);   /* .model or .json */

/* Tensors of one .safetensors file; of all that an index ("model.safetensors.index.json") names. */
Status safetensors_read(Build *build, const char *path, Error *error);
Status safetensors_index_read(Build *build, const char *folder, const char *index_name,
                              Error *error);
/* A JSON object becomes settings, nested names joined by dots. */
Status config_read(Build *build, const char *path, Error *error);

/* What a file that is none of ours is instead ("a Git LFS pointer ..."), or NULL. */
const char *foreign_kind(const uint8_t *head, size_t n_bytes);

#endif
