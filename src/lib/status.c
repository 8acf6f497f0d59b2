/* SPDX-License-Identifier: Apache-2.0
 * lib/status.c - codes, sentences, versions. */
#include "lib/lib.h"

#include <string.h>

#define SAME(inside, outside) _Static_assert((int)(inside) == (int)(outside), #inside)
SAME(OK, MIXT_OK);
SAME(BAD_ARGUMENT, MIXT_BAD_ARGUMENT);
SAME(NO_MEMORY, MIXT_NO_MEMORY);
SAME(NO_ROOM, MIXT_NO_ROOM);
SAME(BAD_FILE, MIXT_BAD_FILE);
SAME(UNSUPPORTED, MIXT_UNSUPPORTED);
SAME(IO_FAILED, MIXT_IO);
SAME(DEVICE_FAILED, MIXT_DEVICE);
SAME(CANCELLED, MIXT_CANCELLED);
SAME(NOT_FOUND, MIXT_NOT_FOUND);
SAME(FAILED, MIXT_FAILED);
_Static_assert(sizeof((Error *)0)->text == sizeof((mixt_error *)0)->text,
               "sentences of the same length");

mixt_status answer(mixt_error *error, Status status, const Error *inside)
{
    if (error) {
        error->code = (mixt_status)status;
        error->text[0] = 0;
        if (status != OK) memcpy(error->text, inside->text, sizeof error->text);
    }
    return (mixt_status)status;
}

void take_options(void *into, size_t our_bytes, const void *given)
{
    size_t theirs;
    if (!given) return;
    memcpy(&theirs, given, sizeof theirs);
    memcpy(into, given, theirs < our_bytes ? theirs : our_bytes);
}

Memory take_memory(const mixt_memory *given)
{
    return given ? (Memory){ given->name, given->bytes, given->n_bytes } : (Memory){ 0 };
}

const char *mixt_version(void)
{
    return MIXT_VERSION;
}

const char *mixt_status_name(mixt_status status)
{
    switch (status) {
    case MIXT_OK:           return "ok";
    case MIXT_BAD_ARGUMENT: return "bad argument";
    case MIXT_NO_MEMORY:    return "no memory";
    case MIXT_NO_ROOM:      return "no room";
    case MIXT_BAD_FILE:     return "bad file";
    case MIXT_UNSUPPORTED:  return "unsupported";
    case MIXT_IO:           return "input/output error";
    case MIXT_DEVICE:       return "device error";
    case MIXT_CANCELLED:    return "cancelled";
    case MIXT_NOT_FOUND:    return "not found";
    case MIXT_FAILED:       return "failed";
    }
    return "unknown status";
}
