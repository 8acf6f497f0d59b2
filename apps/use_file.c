/* SPDX-License-Identifier: Apache-2.0
 * apps/use_file.c - see use_file.h. */
#include "use_file.h"

#include <mixt_tools.h>

#include <string.h>
#include <unistd.h>

#include "embedded.h"
#include "machine_file.h"

/* A file of that name that can be replaced, or a folder in which it can be made. */
static bool can_write(const Buffer *path)
{
    if (access(path->data, F_OK) == 0 && access(path->data, W_OK) != 0) return false;
    Buffer      folder = { 0 };
    const char *slash  = strrchr(path->data, '/');
    if (!slash) buffer_text(&folder, ".");
    else buffer_append(&folder, path->data, slash == path->data ? 1 : (size_t)(slash - path->data));
    const bool can = !folder.failed && access(folder.data, W_OK) == 0;
    buffer_free(&folder);
    return can;
}

/* In the folder of what is known of the machine. */
static Buffer in_cache(const char *name, size_t n_name)
{
    Buffer path  = machine_path(true);
    char  *slash = path.data ? strrchr(path.data, '/') : NULL;
    if (!slash) {
        buffer_free(&path);
        return path;
    }
    path.n_bytes = (size_t)(slash - path.data) + 1;
    buffer_append(&path, name, n_name);
    buffer_text(&path, ".use");
    if (path.failed) buffer_free(&path);
    return path;
}

Buffer use_path(const mixt_model *model)
{
    const char *at = mixt_model_read(model).path;
    size_t      n  = strlen(at);
    while (n > 1 && at[n - 1] == '/') n--;              /* FOLDER/ is kept as FOLDER.use       */
    Buffer path = { 0 };
    if (!embedded_is(at)) {
        buffer_append(&path, at, n);
        buffer_text(&path, ".use");
        if (!path.failed && can_write(&path)) return path;
    }
    buffer_free(&path);
    size_t first = n;
    while (first > 0 && at[first - 1] != '/') first--;
    return in_cache(at + first, n - first);
}

bool use_learns(const App *app, const mixt_model *model)
{
    return !opt_flag(app->options, OPT_NO_LEARN) && mixt_model_read(model).n_experts > 0;
}

Buffer use_begin(const App *app, const mixt_model *model)
{
    mixt_error error;
    Buffer     path = { 0 };
    if (!use_learns(app, model)) return path;
    path = use_path(model);
    if (path.data && mixt_use_check(model, path.data, &error) == MIXT_BAD_FILE)
        remark(app, "%s; it will be begun anew", error.text);
    return path;
}

/* A run that wrote its answer has not failed because of this. */
void use_keep(const App *app, const Loaded *loaded)
{
    mixt_error error;
    if (!loaded->engine || !use_learns(app, loaded->model)) return;
    Buffer path = use_path(loaded->model);
    if (path.data && mixt_engine_learn(loaded->engine, path.data, &error) != MIXT_OK)
        remark(app, "what was learned from use is not kept: %s", error.text);
    buffer_free(&path);
}
