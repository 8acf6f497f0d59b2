/* SPDX-License-Identifier: Apache-2.0
 * lib/measure.c - what the machine can do, what a layer weighs, where a step's time went. */
#include <mixt_tools.h>

#include "lib/lib.h"
#include "measure/measure.h"

#include <string.h>

/* ---- the machine ---- */

_Static_assert((int)MIXT_RATES_MAX == (int)RATES_MAX &&
                   (int)MIXT_DISK_RATES_MAX == (int)DISK_RATES_MAX,
               "lists are copied whole");
_Static_assert(sizeof(mixt_rate) == sizeof(Rate) &&
                   offsetof(mixt_rate, per_s) == offsetof(Rate, per_s),
               "rates are copied whole");
_Static_assert(sizeof(mixt_disk_rate) == sizeof(DiskRate) &&
                   offsetof(mixt_disk_rate, bytes_per_s) == offsetof(DiskRate, bytes_per_s),
               "rates are copied whole");

#define COPY(to, from)                                                                             \
    do {                                                                                           \
        _Static_assert(sizeof(to) == sizeof(from), "the same field on both sides");                \
        memcpy(&(to), &(from), sizeof(to));                                                        \
    } while (0)

static void give_machine(const Machine *m, mixt_machine *out)
{
    const Facts *f = &m->facts;
    *out = (mixt_machine){
        .struct_bytes = sizeof *out,
        .measured_at = m->measured_at,
        .n_online = f->n_online,
        .n_allowed = f->n_allowed,
        .quota_cores = f->quota_cores,
        .l1_bytes = f->l1_bytes,
        .l2_bytes = f->l2_bytes,
        .l3_bytes = f->l3_bytes,
        .memory_bytes = f->memory_bytes,
        .free_bytes = f->free_bytes,
        .load = f->load,
        .n_read = m->read.n,
        .n_int8 = m->int8.n,
        .n_f32 = m->f32.n,
        .disk_direct = m->disk_direct,
        .n_disk = m->n_disk,
    };
    COPY(out->cpu, f->cpu);
    COPY(out->instructions, f->instructions);
    COPY(out->huge_pages, f->huge_pages);
    COPY(out->cpu_set, m->cpu_set);
    COPY(out->read, m->read.rate);
    COPY(out->int8, m->int8.rate);
    COPY(out->f32, m->f32.rate);
    COPY(out->disk_folder, m->disk_folder);
    COPY(out->disk, m->disk);
}

/* Lists longer than we know are a caller's mistake that must not become a read past the end. */
static int at_most(int n, int most)
{
    return n < 0 ? 0 : n > most ? most : n;
}

static void take_machine(const mixt_machine *m, Machine *out)
{
    *out = (Machine){
        .facts = { .n_online = m->n_online,
                   .n_allowed = m->n_allowed,
                   .quota_cores = m->quota_cores,
                   .l1_bytes = m->l1_bytes,
                   .l2_bytes = m->l2_bytes,
                   .l3_bytes = m->l3_bytes,
                   .memory_bytes = m->memory_bytes,
                   .free_bytes = m->free_bytes,
                   .load = m->load },
        .measured_at = m->measured_at,
        .read = { .n = at_most(m->n_read, RATES_MAX) },
        .int8 = { .n = at_most(m->n_int8, RATES_MAX) },
        .f32 = { .n = at_most(m->n_f32, RATES_MAX) },
        .disk_direct = m->disk_direct,
        .n_disk = at_most(m->n_disk, DISK_RATES_MAX),
    };
    COPY(out->facts.cpu, m->cpu);
    COPY(out->facts.instructions, m->instructions);
    COPY(out->facts.huge_pages, m->huge_pages);
    COPY(out->cpu_set, m->cpu_set);
    COPY(out->read.rate, m->read);
    COPY(out->int8.rate, m->int8);
    COPY(out->f32.rate, m->f32);
    COPY(out->disk_folder, m->disk_folder);
    COPY(out->disk, m->disk);
}

mixt_measure_options mixt_measure_defaults(void)
{
    return (mixt_measure_options){ .struct_bytes = sizeof(mixt_measure_options) };
}

static Status measure(const mixt_measure_options *o, Machine *out, Error *error)
{
    CpuSet set = cpu_detect();
    if (o->cpu_set && (!cpu_set_from_name(o->cpu_set, &set) || set > cpu_detect()))
        return fail(error, BAD_ARGUMENT, "cpu set '%s': this processor goes up to %s", o->cpu_set,
                    cpu_set_name[cpu_detect()]);
    const MeasureOptions options = { .set = set,
                                     .n_threads = o->n_threads,
                                     .quick = o->quick,
                                     .disk_folder = o->disk_folder,
                                     .progress = o->progress,
                                     .progress_user = o->progress_user };
    return measure_machine(&options, out, error);
}

mixt_status mixt_measure(const mixt_measure_options *options, mixt_machine *out, mixt_error *error)
{
    mixt_measure_options o = mixt_measure_defaults();
    Error inside = { 0 };
    Machine machine = { 0 };
    take_options(&o, sizeof o, options);
    const Status status = measure(&o, &machine, &inside);
    give_machine(&machine, out);
    return answer(error, status, &inside);
}

mixt_status mixt_machine_write(const mixt_machine *m, const char *path, mixt_error *error)
{
    Error inside = { 0 };
    Machine machine;
    if (m->struct_bytes != sizeof *m)
        return answer(error,
                      fail(&inside, BAD_ARGUMENT,
                           "machine: expected a struct of %zu bytes, found %zu", sizeof *m,
                           m->struct_bytes),
                      &inside);
    take_machine(m, &machine);
    return answer(error, profile_write(&machine, path, &inside), &inside);
}

mixt_status mixt_machine_read(const char *path, mixt_machine *out, mixt_error *error)
{
    Error inside = { 0 };
    Machine machine;
    const Status status = profile_read(path, &machine, &inside);
    give_machine(&machine, out);
    return answer(error, status, &inside);
}

/* ---- a layer's weights ---- */

int64_t mixt_model_expert_bytes(const mixt_model *m, size_t layer)
{
    static const Role roles[] = { ROLE_GATE, ROLE_UP, ROLE_DOWN };
    int64_t bytes = 0;
    if (!m->arch || layer >= (size_t)m->sizes.n_layers) return 0;
    for (int i = 0; i < ARRAY_LEN(roles); i++) {
        Weight w;
        if (arch_weight(m->arch, &m->catalog, &m->sizes, roles[i], (int)layer, 0, &w, NULL) != OK)
            return 0;
        bytes += w.bytes;
    }
    return bytes;
}

/* ---- where the time went ---- */

mixt_status mixt_engine_profile(mixt_engine *e, bool reset, mixt_profile_row *rows, size_t room,
                                size_t *n_rows, mixt_error *error)
{
    Error inside = { 0 };
    ProfileRow found[PROFILE_ROWS_MAX];
    const int n = engine_profile(e->engine, reset, found);
    *n_rows = (size_t)n;
    for (int i = 0; i < n && (size_t)i < room; i++)
        rows[i] = (mixt_profile_row){ found[i].name, found[i].n_calls, found[i].ns, found[i].bytes,
                                      found[i].operations };
    if ((size_t)n <= room || room == 0) return answer(error, OK, &inside);
    return answer(error,
                  fail(&inside, NO_ROOM, "profile: expected room for %d rows, found %zu", n, room),
                  &inside);
}
