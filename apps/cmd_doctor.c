/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_doctor.c - what this machine can do, and what holds it back. */
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "embedded.h"
#include "json.h"
#include "machine_file.h"
#include "progress.h"

/* ---- measuring ---- */

/* The folder itself, or the one a file lies in; the caller frees. */
static Exit choose_folder(const App *app, char **out)
{
    struct stat info;
    const char *path = app->options->n_arguments ? app->options->arguments[0] : NULL;
    *out = NULL;
    if (!path) return DONE;
    if (stat(path, &info))
        return complain(app, NO_INPUT, "%s: %s", path,
                        embedded_is(path) ? "lies in the program; name a folder whose disk is to be measured"
                                          : "no such file or folder");
    char *copy = strdup(path);
    *out = !copy || S_ISDIR(info.st_mode) ? copy : strdup(dirname(copy));
    if (*out != copy) free(copy);
    return *out ? DONE : complain(app, NO_FIT, "out of memory for the name of a folder");
}

/* *measured: a page can be shown.  The disk comes last, and nothing else is a matter of files. */
static Exit measure(const App *app, const char *folder, mixt_machine *out, bool *measured)
{
    mixt_measure_options o        = mixt_measure_defaults();
    Progress             progress = progress_begin("measuring", false);
    mixt_error           error;
    o.disk_folder   = folder;
    o.progress      = progress_show;
    o.progress_user = &progress;
    const mixt_status status = mixt_measure(&o, out, &error);
    progress_end(&progress);
    *measured = status == MIXT_OK || status == MIXT_IO || status == MIXT_NOT_FOUND;
    return status == MIXT_OK ? DONE : problem(app, &error, NULL);
}

/* A machine without a home is measured all the same. */
static void store(const App *app, const mixt_machine *m, Buffer *path)
{
    mixt_error error;
    *path = machine_path(true);
    if (!path->data) remark(app, "not stored: neither HOME nor XDG_CACHE_HOME is set");
    else if (mixt_machine_write(m, path->data, &error) != MIXT_OK) {
        remark(app, "not stored: %s", error.text);
        buffer_free(path);
    }
}

/* ---- the page ---- */

/* What a memory channel of the slowest kind still sold gives; a core alone seldom reads less. */
static const double slow_read = 10e9;

static void hint(const char *text)
{
    out_format("  ! %s\n", text);
}

static void show_processor(const mixt_machine *m)
{
    out_format("processor     %s\n", m->cpu[0] ? m->cpu : "unknown");
    out_format("cores         %d", m->n_allowed);
    if (m->n_online > m->n_allowed) out_format(" of %d", m->n_online);
    if (m->quota_cores > 0) out_format(", of which the control group grants %.1f", m->quota_cores);
    out_text("\n");
    if (m->n_online > m->n_allowed)
        hint("this process may not use all cores (affinity: taskset, a container); that costs "
             "speed");
    if (m->quota_cores > 0 && m->quota_cores < m->n_allowed)
        hint("more threads than the control group grants slow each other down: give --threads that "
             "number");
    if (m->load >= 1 && 4 * m->load > m->n_allowed)
        out_format(
            "  ! other programs keep the cores busy (load %.1f): the rates below are too low\n",
            m->load);
    out_format("instructions  %s: %s\n", m->cpu_set,
               m->instructions[0] ? m->instructions : "none that we know to use");
    if (strcmp(m->cpu_set, "ref") == 0)
        hint("there are no fast kernels for this processor: everything works, slowly");
    out_format("caches        %lld KiB, %lld KiB, %lld MiB\n", (long long)(m->l1_bytes >> 10),
               (long long)(m->l2_bytes >> 10), (long long)(m->l3_bytes >> 20));
}

static void show_memory(const mixt_machine *m)
{
    out_format("memory        %.1f GiB, %.1f GiB free\n", (double)m->memory_bytes / (double)GIB,
               (double)m->free_bytes / (double)GIB);
    if (m->free_bytes > 0 && m->free_bytes < m->memory_bytes / 2)
        hint("more than half is taken: experts that do not fit are read from the disk");
    out_format("huge pages    %s\n", m->huge_pages[0] ? m->huge_pages : "unknown");
    if (strcmp(m->huge_pages, "never") == 0)
        hint("weights in small pages read slower: echo madvise "
             ">/sys/kernel/mm/transparent_hugepage/enabled (as root)");
}

static void show_rates(const char *label, const mixt_rate *rates, int n, const char *unit)
{
    out_format("%-13s", label);
    for (int i = 0; i < n; i++)
        out_format("%s %.1f%s%s with %d thread%s", i ? "," : "", rates[i].per_s / 1e9, i ? "" : " ",
                   i ? "" : unit, rates[i].n_threads, rates[i].n_threads == 1 ? "" : "s");
    out_text("\n");
}

static void show_disk(const mixt_machine *m)
{
    if (!m->disk_folder[0]) {
        out_text("disk          not measured: name a folder, or a model in it\n");
        return;
    }
    out_format("disk          %s, read from end to end%s\n", m->disk_folder,
               m->disk_direct ? "" : " through the page cache");
    for (int i = 0; i < m->n_disk; i++)
        out_format("              %.2f GB/s in pieces of %lld KiB, %d at a time\n",
                   m->disk[i].bytes_per_s / 1e9, (long long)(m->disk[i].block_bytes >> 10),
                   m->disk[i].depth);
    if (!m->disk_direct)
        hint("this file system cannot be read past the page cache: the disk may be slower than "
             "that");
}

static void show_page(const mixt_machine *m, const char *path)
{
    show_processor(m);
    show_memory(m);
    show_rates("reads", m->read, m->n_read, "GB/s");
    if (m->n_read > 0 && m->read[m->n_read - 1].per_s < slow_read)
        hint("slower than any memory of the last ten years alone on its machine: somebody else is "
             "reading too");
    show_rates("int8", m->int8, m->n_int8, "Gop/s");
    show_rates("f32", m->f32, m->n_f32, "Gop/s");
    show_disk(m);
    if (path) out_format("stored in     %s\n", path);
}

/* ---- JSON ---- */

static void json_rates(Json *json, const char *key, const mixt_rate *rates, int n)
{
    json_key(json, key);
    json_open(json, '[');
    for (int i = 0; i < n; i++) {
        json_open(json, '{');
        json_key_whole(json, "threads", rates[i].n_threads);
        json_key_real(json, "per_second", rates[i].per_s);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void json_disk(Json *json, const mixt_machine *m)
{
    json_key_text(json, "disk_folder", m->disk_folder[0] ? m->disk_folder : NULL);
    json_key_bool(json, "disk_direct", m->disk_direct);
    json_key(json, "disk");
    json_open(json, '[');
    for (int i = 0; i < m->n_disk; i++) {
        json_open(json, '{');
        json_key_whole(json, "block_bytes", m->disk[i].block_bytes);
        json_key_whole(json, "depth", m->disk[i].depth);
        json_key_real(json, "per_second", m->disk[i].bytes_per_s);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static Exit show_json(const App *app, const mixt_machine *m, const char *path)
{
    Json json = { 0 };
    json_open(&json, '{');
    json_key_text(&json, "cpu", m->cpu);
    json_key_text(&json, "instructions", m->instructions);
    json_key_text(&json, "cpu_set", m->cpu_set);
    json_key_whole(&json, "cores_online", m->n_online);
    json_key_whole(&json, "cores_allowed", m->n_allowed);
    json_key_real(&json, "quota_cores", m->quota_cores);
    json_key_whole(&json, "l1_bytes", m->l1_bytes);
    json_key_whole(&json, "l2_bytes", m->l2_bytes);
    json_key_whole(&json, "l3_bytes", m->l3_bytes);
    json_key_whole(&json, "memory_bytes", m->memory_bytes);
    json_key_whole(&json, "free_bytes", m->free_bytes);
    json_key_text(&json, "huge_pages", m->huge_pages);
    json_key_real(&json, "load", m->load);
    json_key_whole(&json, "measured_at", m->measured_at);
    json_rates(&json, "read", m->read, m->n_read);
    json_rates(&json, "int8", m->int8, m->n_int8);
    json_rates(&json, "f32", m->f32, m->n_f32);
    json_disk(&json, m);
    json_key_text(&json, "stored", path);
    json_close(&json, '}');
    return json_print(app, &json);
}

Exit cmd_doctor(const App *app)
{
    mixt_machine machine;
    Buffer       path = { 0 };
    char        *folder;
    bool         measured = false;
    Exit         code = choose_folder(app, &folder);
    if (code == DONE) code = measure(app, folder, &machine, &measured);
    if (code == DONE) store(app, &machine, &path);
    if (measured && opt_flag(app->options, OPT_JSON)) {
        const Exit shown = show_json(app, &machine, path.data);
        if (code == DONE) code = shown;
    } else if (measured) {
        show_page(&machine, path.data);
    }
    buffer_free(&path);
    free(folder);
    return code;
}
