/* SPDX-License-Identifier: Apache-2.0
 * apps/cmd_plan.c - what a model takes and how fast it will be: which model, which machine, which
 * wish. The page is in plan_page.c. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "embedded.h"
#include "load.h"
#include "machine_file.h"
#include "plan.h"
#include "progress.h"
#include "use_file.h"

/* ---- the machine ---- */

/* That of the last mixt doctor, or two seconds of measuring. */
static Exit choose_machine(const App *app, mixt_machine *out, bool *stored)
{
    *stored = machine_stored(app, out);
    if (*stored) return DONE;
    mixt_measure_options o        = mixt_measure_defaults();
    Progress             progress = progress_begin("measuring", false);
    mixt_error           error;
    o.quick         = true;
    o.progress      = progress_show;
    o.progress_user = &progress;
    const mixt_status status = mixt_measure(&o, out, &error);
    progress_end(&progress);
    return status == MIXT_OK ? DONE : problem(app, &error, NULL);
}

/* ---- the wish ---- */

static mixt_plan_options wish_of(const Options *o, const mixt_machine *machine)
{
    mixt_plan_options wish = plan_wish(o, (size_t)opt_whole(o, OPT_CTX));
    wish.machine    = machine;
    wish.type       = opt_text(o, OPT_QUANT);
    wish.vram_bytes = opt_whole(o, OPT_VRAM);
    wish.disk_per_s = (double)opt_whole(o, OPT_DISK_RATE);
    wish.n_sessions = (size_t)opt_whole(o, OPT_SESSIONS);
    wish.n_prompt   = (size_t)opt_whole(o, OPT_PLAN_PROMPT);
    if (opt_given(o, OPT_HIT_RATE)) wish.hit_rate = opt_real(o, OPT_HIT_RATE);
    return wish;
}

/* ---- the subject ---- */

static bool is_preset(const char *name)
{
    for (const char *const *p = mixt_plan_presets(); *p; p++)
        if (strcasecmp(*p, name) == 0) return true;
    return false;
}

/* A file comes before a preset of the same name. */
static bool is_there(const char *path)
{
    struct stat info;
    return embedded_is(path) || stat(path, &info) == 0;
}

static Exit unknown(const App *app, const char *name)
{
    Nearest nearest = nearest_to(name);
    for (const char *const *p = mixt_plan_presets(); *p; p++) nearest_offer(&nearest, *p);
    return complain(app, NO_INPUT, "%s: no such file, and no preset of that name; %s%s", name,
                    nearest.word ? "did you mean " : "mixt plan lists them", nearest.word ? nearest.word : "");
}

static Exit show(const App *app, const mixt_model *model, const char *preset)
{
    const Options    *o = app->options;
    mixt_machine      machine;
    PlanView          view = { .explain = opt_flag(o, OPT_EXPLAIN), .watts = -1, .price = -1 };
    mixt_plan        *plan;
    mixt_error        error;
    Exit              code = choose_machine(app, &machine, &view.stored);
    if (code != DONE) return code;
    mixt_plan_options wish = wish_of(o, &machine);
    Buffer            use  = model && use_learns(app, model) ? use_path(model) : (Buffer){ 0 };
    wish.use = use.data;
    const mixt_status status = mixt_plan_new(model, preset, &wish, &plan, &error);
    buffer_free(&use);
    if (status != MIXT_OK) return problem(app, &error, NULL);
    view.hits_given = opt_given(o, OPT_HIT_RATE);
    if (opt_given(o, OPT_WATTS)) view.watts = opt_real(o, OPT_WATTS);
    if (opt_given(o, OPT_PRICE)) view.price = opt_real(o, OPT_PRICE);
    view.plan = plan;
    view.info = mixt_plan_read(plan);
    if (opt_flag(o, OPT_JSON)) code = plan_json(app, &view);
    else plan_page(&view);
    mixt_plan_free(plan);
    return code;
}

/* ---- without a model: which presets there are ---- */

/* What somebody asked of a model that he did not name would be ignored. */
static Exit only_a_list(const App *app)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (app->options->values[i].from == FROM_COMMAND_LINE)
            return complain(app, USAGE, "--%s: expected MODEL or PRESET too; mixt plan alone lists the presets",
                            options[i].name);
    return DONE;
}

static Exit list_presets(const App *app)
{
    const Exit alone = only_a_list(app);
    if (alone != DONE) return alone;
    out_format("%-18s %-20s %10s %10s %12s\n", "preset", "", "parameters", "for a token", "Q4_K_M");
    for (const char *const *p = mixt_plan_presets(); *p; p++) {
        mixt_plan              *plan;
        mixt_error              error;
        mixt_plan_options       wish = mixt_plan_defaults();
        wish.brief = true;
        if (mixt_plan_new(NULL, *p, &wish, &plan, &error) != MIXT_OK) return problem(app, &error, NULL);
        const mixt_plan_info i = mixt_plan_read(plan);
        out_format("%-18s %-20s %8.2f B %9.2f B %9.2f GB%s\n", *p, i.name, (double)i.n_values / 1e9,
                   (double)i.n_values_active / 1e9, (double)i.file_bytes / 1e9,
                   i.runs ? "" : "   Mixt does not run this yet");
        mixt_plan_free(plan);
    }
    return DONE;
}

Exit cmd_plan(const App *app)
{
    const Options *o = app->options;
    if (opt_given(o, OPT_PRICE) && !opt_given(o, OPT_WATTS))
        return complain(app, USAGE, "--price-per-kwh: expected --watts too, what the machine draws");
    if (o->n_arguments == 0) return list_presets(app);
    const char *name = o->arguments[0];
    if (!is_there(name)) return is_preset(name) ? show(app, NULL, name) : unknown(app, name);
    Loaded loaded = { 0 };
    Exit   code   = load_model(app, name, false, &loaded);
    if (code == DONE) code = show(app, loaded.model, NULL);
    load_free(&loaded);
    return code;
}
