/* SPDX-License-Identifier: Apache-2.0
 * apps/adapters.c - see adapters.h.
 *
 * What follows the last colon is a scale if it reads as a number; a file whose own name ends so is given as
 * NAME:1. */
#include "adapters.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static Exit take_one(const App *app, const char *text, mixt_adapter *out, char **path)
{
    const char *colon = strrchr(text, ':');
    char       *end   = NULL;
    *out              = (mixt_adapter){ .scale = 1.0 };
    const double scale = colon && colon[1] ? strtod(colon + 1, &end) : 0.0;
    const bool   scaled = end && end != colon + 1 && *end == 0;
    if (scaled && !isfinite(scale)) return complain(app, USAGE, "%s: expected a finite scale", text);
    if (scaled) out->scale = scale;
    *path = strndup(text, scaled ? (size_t)(colon - text) : strlen(text));
    if (!*path) return complain(app, NO_FIT, "out of memory for the names of adapters");
    if (!**path) return complain(app, USAGE, "%s: expected FILE or FILE:SCALE", text);
    out->path = *path;
    return DONE;
}

Exit adapters_take(const App *app, const char *const *texts, size_t n, AdapterList *out)
{
    *out = (AdapterList){ 0 };
    if (n == 0) return DONE;
    out->all   = calloc(n, sizeof *out->all);
    out->paths = calloc(n + 1, sizeof *out->paths);
    if (!out->all || !out->paths) return complain(app, NO_FIT, "out of memory for the names of adapters");
    for (size_t i = 0; i < n; i++) {
        out->n          = i + 1;
        const Exit code = take_one(app, texts[i], &out->all[i], &out->paths[i]);
        if (code != DONE) return code;
    }
    return DONE;
}

void adapters_drop(AdapterList *list)
{
    for (size_t i = 0; list->paths && i < list->n; i++) free(list->paths[i]);
    free(list->all);
    free(list->paths);
    *list = (AdapterList){ 0 };
}
