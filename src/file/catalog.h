/* SPDX-License-Identifier: Apache-2.0
 * file/catalog.h - what a model on disk consists of, whichever format it is in.
 *
 * catalog_open() reads the headers of a GGUF file (or the first of its parts), a Hugging Face
 * folder, a Mistral folder, a packed file, a bare tokenizer.model or tokenizer.json, checks every byte range, and
 * gives one list of named tensors, one list of settings, one vocabulary and one chat template.
 * Everything in it is true (D7): a tensor's bytes lie inside its file and agree with its shape and
 * format.  No tensor data is read. */
#ifndef FILE_CATALOG_H
#define FILE_CATALOG_H

#include "base/arena.h"
#include "base/io.h"
#include "base/map.h"
#include "number/format.h"
#include "text/vocab.h"

typedef enum Source { SOURCE_GGUF, SOURCE_HF, SOURCE_MISTRAL, SOURCE_TOKENIZER } Source;

enum {
    CATALOG_DIMS_MAX = 4,
    CATALOG_FILES_MAX = 1024,
    CATALOG_TENSORS_MAX = 1 << 20,
    CATALOG_SETTINGS_MAX = 1 << 20
};

typedef struct FileTensor {
    const char *name;
    Format      format;
    int         n_dims;
    int64_t     dims[CATALOG_DIMS_MAX];     /* outermost first; unused ones are 1           */
    int         file;                       /* index into catalog->files                    */
    int64_t     offset, bytes;              /* in that file                                 */
    bool        packed;                     /* at least some of it lies in slabs: packed.h  */
} FileTensor;

typedef enum SettingKind {
    SETTING_BOOL, SETTING_INT, SETTING_UINT, SETTING_FLOAT, SETTING_TEXT, SETTING_ARRAY
} SettingKind;

/* One key of a GGUF header, or of config.json / params.json with nested names joined by dots.
 * JSON null is left out.  Arrays of numbers keep their numbers; vocabulary arrays (tokens, scores,
 * types, merges) are in catalog->vocab and appear here with their length only. */
typedef struct Setting {
    const char *key;
    SettingKind kind;
    int         gguf_type;                  /* of the value or of array elements; -1: JSON  */
    union {
        bool     flag;
        int64_t  integer;
        uint64_t natural;
        double   real;
        struct { const char *bytes; size_t n_bytes; } text;
        struct { int64_t n; const double *numbers; /* NULL when not kept */ } array;
    };
    int64_t     offset, bytes;              /* GGUF: the value as it lies in files[0]       */
} Setting;

typedef struct Catalog {
    Source      source;
    const char *path;                       /* as given                                     */
    struct Packed *packed;                  /* NULL: not a packed file.  Else it reads as the GGUF it was made of */
    bool        in_memory;                  /* then path is a name and no file's            */
    int         gguf_version;               /* 2 or 3; 0 when not GGUF                       */
    File       *files;       int n_files;
    FileTensor *tensors;     int64_t n_tensors;
    Setting    *settings;    int64_t n_settings;
    Vocab       vocab;                      /* kind VOCAB_NONE when there is none           */
    const char *chat_template;              /* Jinja source, or NULL                        */
    size_t      chat_template_bytes;
    const char *chat_template_from;         /* key or file name it came from                */
    Map         tensor_by_name, setting_by_key;
    Arena       arena;                      /* owns every string and table above            */
} Catalog;

/* Opens and checks; *out is released with catalog_close, and until then nobody packs or unpacks these files in place.
 * Codes: NOT_FOUND, IO_FAILED, BAD_FILE, UNSUPPORTED, NO_MEMORY; BAD_ARGUMENT when somebody does so just now. */
Status catalog_open(const char *path, Catalog *out, Error *error);
/* The same, but a path that is the name of `memory` means the GGUF file there, whatever the disk has.
 * The bytes are borrowed until catalog_close.  NULL, or a NULL name: nothing is in memory. */
Status catalog_open_with(const Memory *memory, const char *path, Catalog *out, Error *error);
/* The same for those who pack or unpack it in place and hold its files by file_open_change, or soon will: a packed file
 * need not be whole, and the catalog does not hold them against anybody. */
Status catalog_open_change(const char *path, Catalog *out, Error *error);
void   catalog_close(Catalog *catalog);

const FileTensor *catalog_tensor(const Catalog *catalog, const char *name);         /* or NULL */
const Setting    *catalog_setting(const Catalog *catalog, const char *key);         /* or NULL */
/* A finite number of any numeric kind; BAD_FILE when the key holds something else.  *found says
 * whether it is there at all. */
Status catalog_number(const Catalog *catalog, const char *key, double *out, bool *found,
                      Error *error);
/* Reads bytes [begin, begin + n) of a tensor's data. */
Status catalog_read(const Catalog *catalog, const FileTensor *tensor, int64_t begin, void *to,
                    size_t n_bytes, Error *error);

/* The path of part `part` (from 0) of a split GGUF model whose parts are called like `path`; of another path
 * itself, and *count is 1.  The caller frees; NULL: no memory. */
char *gguf_part_path(const char *path, int part, int *count);

/* Paths of every file the model was read from, and of all others in its folder; NULL-ended, kept in the
 * catalog's arena.  What no output may overwrite; nothing, when it was read from memory. */
Status catalog_files(Catalog *catalog, const char *const **out, Error *error);

#endif
