/* SPDX-License-Identifier: Apache-2.0
 * device/device.c - the devices there are, by name. */
#include "device/host.h"
#include "device/profile.h"

#include <string.h>

static const struct {
    const char *name;
    Status    (*open)(const DeviceOptions *options, Device **out, Error *error);
    int64_t   (*work_bytes)(const DeviceLimits *limits, int n_threads, int64_t n_positions);
} kinds[] = {
    { "ref", ref_open, ref_work_bytes },
    { "cpu", cpu_open, cpu_work_bytes },
};

Status device_open(const char *name, const DeviceOptions *options, Device **out, Error *error)
{
    static const DeviceOptions defaults = { 0 };
    *out = NULL;
    for (int i = 0; i < ARRAY_LEN(kinds); i++)
        if (!strcmp(name, kinds[i].name))
            return kinds[i].open(options ? options : &defaults, out, error);
    return fail(error, BAD_ARGUMENT, "device '%s': expected ref or cpu", name);
}

int64_t device_work_bytes(const char *name, const DeviceLimits *limits, int n_threads, int64_t n_positions)
{
    for (int i = 0; i < ARRAY_LEN(kinds); i++)
        if (!strcmp(name, kinds[i].name)) return kinds[i].work_bytes(limits, n_threads, n_positions);
    return 0;
}

void device_close(Device *device)
{
    if (!device) return;
    profile_detach(device);
    device->ops->close(device);
}

const char *device_cpu_set(const Device *device)
{
    return ((const HostDevice *)device)->cpu_set;
}

int device_n_threads(const Device *device)
{
    return ((const HostDevice *)device)->n_threads;
}
