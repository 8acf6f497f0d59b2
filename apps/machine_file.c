/* SPDX-License-Identifier: Apache-2.0
 * apps/machine_file.c - see machine_file.h. */
#include "machine_file.h"

#include <stdlib.h>
#include <sys/stat.h>

/* The base directory specification: relative paths in the variable are to be ignored. */
static void cache_folder(Buffer *out)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && cache[0] == '/') buffer_text(out, cache);
    else if (home && home[0]) buffer_format(out, "%s/.cache", home);
}

Buffer machine_path(bool make)
{
    Buffer path = { 0 };
    cache_folder(&path);
    if (!path.data) return path;
    if (make) mkdir(path.data, 0700);           /* there already, mostly; writing tells       */
    buffer_text(&path, "/mixt");
    if (make && !path.failed) mkdir(path.data, 0700);
    buffer_text(&path, "/machine.json");
    if (path.failed) buffer_free(&path);
    return path;
}

bool machine_stored(const App *app, mixt_machine *out)
{
    mixt_error   error;
    Buffer       path   = machine_path(false);
    mixt_status  status = path.data ? mixt_machine_read(path.data, out, &error) : MIXT_NOT_FOUND;
    if (!path.data)
        remark(
            app,
            "no profile of this machine: neither HOME nor XDG_CACHE_HOME is set; measuring anew");
    else if (status != MIXT_OK) remark(app, "%s; measuring anew", error.text);
    buffer_free(&path);
    return status == MIXT_OK;
}

bool machine_known(mixt_machine *out)
{
    Buffer     path  = machine_path(false);
    const bool known = path.data && mixt_machine_read(path.data, out, NULL) == MIXT_OK;
    buffer_free(&path);
    return known;
}

double machine_rate(const mixt_rate *rates, int n, int n_threads)
{
    for (int i = 0; i < n; i++)
        if (rates[i].n_threads == n_threads) return rates[i].per_s;
    return 0;
}
