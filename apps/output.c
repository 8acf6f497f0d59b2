/* SPDX-License-Identifier: Apache-2.0
 * apps/output.c - see output.h. */
#include "output.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters.h"
#include "base/buffer.h"
#include "base/io.h"

/* Opens what will be written and lets go of it again: one door says whether that is possible. */
Exit output_check_inputs(const App *app, const char *path, const char *const *inputs)
{
    Writer writer;
    Error  error;
    if (writer_open(path, inputs, &writer, &error) != OK) return base_problem(app, &error);
    writer_abandon(&writer);
    return DONE;
}

static Exit spare_adapters(const App *app, const char *path)
{
    const Value *given = &app->options->values[OPT_LORA];
    AdapterList  list;
    Exit         code = adapters_take(app, given->texts, given->n_texts, &list);
    if (code == DONE && list.n) code = output_check_inputs(app, path, (const char *const *)list.paths);
    adapters_drop(&list);
    return code;
}

Exit output_check(const App *app, const char *path, const mixt_model *model)
{
    if (strcmp(path, "-") == 0)
        return complain(app, USAGE, "-: expected the name of a file, found the sign for standard "
                                    "output; ./- is a file of that name");
    const char *ids = opt_text(app->options, OPT_IDS);
    const char *format = opt_text(app->options, OPT_CHAT_TEMPLATE);
    const char *named[3] = { NULL };
    size_t      n = 0;
    if (ids && ids[0] == '@') named[n++] = ids + 1;
    if (format) named[n++] = format;
    Exit code = output_check_inputs(app, path, named);
    if (code == DONE) code = spare_adapters(app, path);
    return code == DONE && model ? output_check_inputs(app, path, mixt_model_files(model)) : code;
}

/* Where the bytes will go, without links and dots, also when no file is there yet.  NULL: nobody
 * knows; the caller frees. */
static char *resolved(const char *path)
{
    char *there = realpath(path, NULL);
    if (there) return there;
    char  *one = strdup(path), *two = strdup(path);     /* dirname and basename write in them */
    char  *folder = one ? realpath(dirname(one), NULL) : NULL;
    Buffer whole = { 0 };
    if (folder && two) buffer_format(&whole, "%s/%s", folder, basename(two));
    free(one);
    free(two);
    free(folder);
    return whole.data;
}

Exit output_differs(const App *app, const char *path, const char *other)
{
    char      *a = resolved(path), *b = resolved(other);
    const bool same = a && b && strcmp(a, b) == 0;
    free(a);
    free(b);
    return same ? complain(app, USAGE, "%s: output is the same file as the output %s", path, other)
                : DONE;
}

Exit output_spares(const App *app, const mixt_model *model)
{
    struct stat out, file;
    if (fstat(STDOUT_FILENO, &out) || !S_ISREG(out.st_mode)) return DONE;
    for (const char *const *path = mixt_model_files(model); *path; path++)
        if (stat(*path, &file) == 0 && file.st_dev == out.st_dev && file.st_ino == out.st_ino)
            return complain(app, USAGE, "%s: standard output is the same file as the input", *path);
    return DONE;
}
