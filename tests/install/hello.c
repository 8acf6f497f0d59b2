/* SPDX-License-Identifier: Apache-2.0
 * tests/install/hello.c - somebody else's program; the same lines are C11 and C++17. */
#include <mixt.h>
#include <mixt_tools.h>

#include <stdio.h>
#include <string.h>

/* Names that are ours inside: a static libmixt must not mind. */
int  fail(void);
int  map_put(void);
int fail(void)
{
    return 1;
}
int map_put(void)
{
    return 2;
}

int main(void)
{
    mixt_model *model = NULL;
    mixt_error error;
    const mixt_status status = mixt_model_open("/no/such/model.gguf", NULL, &model, &error);
    printf("mixt %s: %s: %s\n", mixt_version(), mixt_status_name(status), error.text);
    mixt_model_free(model);
    const mixt_synth_options options = mixt_synth_defaults();
    return !(status == MIXT_NOT_FOUND && strstr(error.text, "/no/such/model.gguf") && !model &&
             options.struct_bytes == sizeof options && fail() + map_put() == 3);
}
