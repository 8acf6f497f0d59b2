/* SPDX-License-Identifier: Apache-2.0
 * apps/embedded.c - see embedded.h.
 *
 * The assembler takes the file in as it is: an array in C of its size would cost the compiler a gigabyte.  It
 * lies among the constants, so the system reads those pages that are touched, and shares them. */
#include "embedded.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef MIXT_MODEL_FILE
__asm__(".pushsection .rodata.mixt_model, \"a\", %progbits\n"
        ".balign 64\n"
        ".globl mixt_model_begin\n"
        ".hidden mixt_model_begin\n"
        "mixt_model_begin:\n"
        ".incbin \"" MIXT_MODEL_FILE "\"\n"
        ".globl mixt_model_end\n"
        ".hidden mixt_model_end\n"
        "mixt_model_end:\n"
        ".popsection\n");
extern const uint8_t mixt_model_begin[] __attribute__((visibility("hidden")));
extern const uint8_t mixt_model_end[] __attribute__((visibility("hidden")));

mixt_memory embedded_model(void)
{
    const uintptr_t begin = (uintptr_t)mixt_model_begin, end = (uintptr_t)mixt_model_end;
    return (mixt_memory){ .name = MIXT_MODEL_NAME, .bytes = mixt_model_begin, .n_bytes = end - begin };
}
#else
mixt_memory embedded_model(void)
{
    return (mixt_memory){ 0 };
}
#endif

bool embedded_is(const char *path)
{
    const char *name = embedded_model().name;
    return name && path && strcmp(name, path) == 0;
}

mixt_memory embedded_as(const App *app, const char *path)
{
    if (!embedded_is(path)) return (mixt_memory){ 0 };
    if (app->options->n_arguments && access(path, F_OK) == 0)      /* not for a bare `mixt run` */
        remark(app, "%s is the model in the program; the file of that name is ./%s", path, path);
    return embedded_model();
}

/* Could it be typed between double quotes as it is? */
static bool quotable(const char *text)
{
    return strlen(text) <= 100 && !strpbrk(text, "\"\\$`!\n");
}

Exit embedded_problem(const App *app, const char *path, const mixt_error *error)
{
    const char  *name = embedded_model().name;
    const size_t n = strlen(path);
    char         advice[256];
    const bool   a_path = strchr(path, '/') || (n > 5 && strcmp(path + n - 5, ".gguf") == 0);
    if (error->code != MIXT_NOT_FOUND || a_path) return problem(app, error, NULL);
    if (app->command->id == COMMAND_RUN && app->options->n_arguments == 1)
        snprintf(advice, sizeof advice, "a prompt comes after the model: mixt run %s \"%s\"",
                 name ? name : "MODEL", quotable(path) ? path : "...");
    else if (name) snprintf(advice, sizeof advice, "the model in the program is called %s", name);
    else snprintf(advice, sizeof advice, "no model was built into this program");
    return problem(app, error, advice);
}
