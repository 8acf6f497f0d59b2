/* SPDX-License-Identifier: Apache-2.0
 * model/lora.c - see lora.h. */
#include "model/lora.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One pair that adapts one matrix; the next one that does. */
typedef struct Place { int use; int64_t pair; int expert; int32_t next; } Place;

enum { PER_EXPERT = 3, PER_LAYER = 5, PLACES_MAX = 1 << 26 };

struct LoraMap {
    Sizes             sizes;
    const AdapterUse *uses;
    int32_t          *first;            /* [slots] of a matrix's list of places; -1: none   */
    int64_t           n_slots;
    Place            *places;  int32_t n_places;
    int64_t           n_values, rank_max, n_matrices;
};

/* ---- matrices as numbers ---- */

/* Where a role stands among those of a layer, or of an expert; -1: it is not adapted. */
static int role_place(Role role)
{
    static const Role of_layer[PER_LAYER] = { ROLE_Q, ROLE_K, ROLE_V, ROLE_O, ROLE_ROUTER };
    static const Role of_expert[PER_EXPERT] = { ROLE_GATE, ROLE_UP, ROLE_DOWN };
    for (int i = 0; i < PER_LAYER; i++)
        if (of_layer[i] == role) return i;
    for (int i = 0; i < PER_EXPERT; i++)
        if (of_expert[i] == role) return i;
    return role == ROLE_OUT ? 0 : -1;
}

bool lora_adapts(Role role)
{
    return role_place(role) >= 0;
}

/* The output first, then layer by layer: what is not an expert, then expert by expert. */
static int64_t slot_of(const Sizes *s, Role role, int layer, int expert)
{
    const int64_t per_layer = PER_LAYER + PER_EXPERT * s->n_experts;
    if (role == ROLE_OUT) return 0;
    if (role_of_expert(role)) return 1 + layer * per_layer + PER_LAYER + PER_EXPERT * expert + role_place(role);
    return 1 + layer * per_layer + role_place(role);
}

/* ---- a place for every pair ---- */

static Status no_place(const AdapterFile *f, const AdapterPair *p, const Catalog *model, const char *why, Error *error)
{
    return fail(error, BAD_FILE, "%s: tensor '%s': %s has no matrix '%s' to adapt%s", f->catalog.path, p->a->name,
                model->path, p->name, why);
}

static Status check_shape(const AdapterFile *f, const AdapterPair *p, const Weight *w, int64_t n_experts, Error *error)
{
    const char *path = f->catalog.path;
    if (p->n_experts != n_experts)
        return fail(error, BAD_FILE, "%s: tensor '%s': expected a stack of %lld experts, found %lld (0: no stack)",
                    path, p->a->name, (long long)n_experts, (long long)p->n_experts);
    if (p->cols != w->cols)
        return fail(error, BAD_FILE, "%s: tensor '%s': expected rows of %lld numbers as in the model, found %lld", path,
                    p->a->name, (long long)w->cols, (long long)p->cols);
    if (p->rows != w->rows)
        return fail(error, BAD_FILE, "%s: tensor '%s': expected %lld rows as in the model, found %lld", path,
                    p->b->name, (long long)w->rows, (long long)p->rows);
    return OK;
}

static Status find_place(const Arch *arch, const Catalog *model, const Sizes *s, const AdapterFile *f,
                         const AdapterPair *p, Role *role, int *layer, int *expert, Error *error)
{
    Weight w, embed;
    if (!arch_named(arch, s, p->name, role, layer, expert)) return no_place(f, p, model, "", error);
    if (!lora_adapts(*role))
        return fail(error, UNSUPPORTED, "%s: tensor '%s': adapters of embeddings and norms are not supported",
                    f->catalog.path, p->a->name);
    TRY(arch_weight(arch, model, s, *role, *layer, *expert < 0 ? 0 : *expert, &w, error));
    TRY(arch_weight(arch, model, s, ROLE_EMBED, 0, 0, &embed, error));
    if (*role == ROLE_OUT && w.tensor == embed.tensor)
        return no_place(f, p, model, ": its output is its embedding", error);
    return check_shape(f, p, &w, *expert < 0 ? s->n_experts : 0, error);
}

/* In front of its list: who adds from the last to the first gets lists in order. */
static void add_place(LoraMap *m, int64_t slot, Place place)
{
    place.next = m->first[slot];
    m->first[slot] = m->n_places;
    m->places[m->n_places++] = place;
}

static Status add_pair(LoraMap *m, const Arch *arch, const Catalog *model, int use, int64_t pair, Error *error)
{
    const AdapterFile *f = m->uses[use].file;
    const AdapterPair *p = &f->pairs[pair];
    Role role;
    int layer, expert;
    TRY(find_place(arch, model, &m->sizes, f, p, &role, &layer, &expert, error));
    const int end = expert < 0 ? (int)m->sizes.n_experts : expert + 1;
    for (int e = expert < 0 ? 0 : expert; e < end; e++)
        add_place(m, slot_of(&m->sizes, role, layer, e),
                  (Place){ .use = use, .pair = pair, .expert = expert < 0 ? e : 0 });
    return OK;
}

static Status check_uses(const Arch *arch, const AdapterUse *uses, int n, Error *error)
{
    for (int i = 0; i < n; i++) {
        const AdapterFile *f = uses[i].file;
        bool known = false;
        for (int k = 0; arch->names[SOURCE_GGUF][k]; k++) known |= !strcmp(f->arch, arch->names[SOURCE_GGUF][k]);
        if (!known)
            return fail(error, BAD_FILE, "%s: is an adapter for '%s', the model is '%s'", f->catalog.path, f->arch,
                        arch->names[SOURCE_GGUF][0]);
        if (!isfinite(uses[i].scale))
            return fail(error, BAD_ARGUMENT, "%s: scale: expected a finite number", f->catalog.path);
    }
    return OK;
}

/* Ranks of a list add up. */
static void measure(LoraMap *m)
{
    for (int64_t slot = 0; slot < m->n_slots; slot++) {
        int64_t rank = 0;
        for (int32_t at = m->first[slot]; at >= 0; at = m->places[at].next) {
            const AdapterPair *p = &m->uses[m->places[at].use].file->pairs[m->places[at].pair];
            m->n_values += p->rank * (p->rows + p->cols);
            rank += p->rank;
        }
        m->n_matrices += rank > 0;
        if (rank > m->rank_max) m->rank_max = rank;
    }
}

static Status fill_map(LoraMap *m, const Arch *arch, const Catalog *model, int n_uses, Error *error)
{
    int64_t most = 0;
    TRY(check_uses(arch, m->uses, n_uses, error));
    for (int i = 0; i < n_uses; i++)
        for (int64_t p = 0; p < m->uses[i].file->n; p++)
            most += m->uses[i].file->pairs[p].n_experts ? m->sizes.n_experts : 1;
    if (most > PLACES_MAX)
        return fail(error, BAD_FILE, "adapters: expected at most %d adapted matrices, found %lld", PLACES_MAX,
                    (long long)most);
    m->n_slots = slot_of(&m->sizes, ROLE_Q, (int)m->sizes.n_layers, 0);
    m->first = malloc((size_t)m->n_slots * sizeof *m->first);
    m->places = calloc((size_t)most + 1, sizeof *m->places);
    if (!m->first || !m->places) return fail_memory(error, "adapters");
    for (int64_t i = 0; i < m->n_slots; i++) m->first[i] = -1;
    for (int i = n_uses; i-- > 0;)
        for (int64_t p = m->uses[i].file->n; p-- > 0;) TRY(add_pair(m, arch, model, i, p, error));
    measure(m);
    return OK;
}

Status lora_map_new(const Arch *arch, const Catalog *catalog, const Sizes *sizes, const AdapterUse *uses, int n_uses,
                    LoraMap **out, Error *error)
{
    *out = NULL;
    LoraMap *m = calloc(1, sizeof *m);
    if (!m) return fail_memory(error, "adapters");
    m->sizes = *sizes;
    m->uses = uses;
    const Status status = fill_map(m, arch, catalog, n_uses, error);
    if (status == OK) *out = m;
    else lora_map_free(m);
    return status;
}

void lora_map_free(LoraMap *m)
{
    if (!m) return;
    free(m->first);
    free(m->places);
    free(m);
}

int64_t lora_map_values(const LoraMap *m)   { return m->n_values; }
int64_t lora_map_rank(const LoraMap *m)     { return m->rank_max; }
int64_t lora_map_matrices(const LoraMap *m) { return m->n_matrices; }

/* ---- numbers ---- */

/* The halves of one pair into columns [at, at + rank) of the whole; whether there is anything but zeros in b. */
static Status read_pair(const LoraMap *m, const Place *place, int64_t at, LoraFloats *to, bool *any, Error *error)
{
    const AdapterUse *use = &m->uses[place->use];
    const AdapterPair *p = &use->file->pairs[place->pair];
    const double scale = adapter_scale(use->file, p, use->scale);
    float *b = malloc((size_t)(p->rows * p->rank) * sizeof *b);
    if (!b) return fail_memory(error, p->b->name);
    Status status = adapter_read(use->file, p, p->b, place->expert, b, error);
    if (status == OK) status = adapter_read(use->file, p, p->a, place->expert, to->a + at * p->cols, error);
    for (int64_t i = 0; i < p->rows && status == OK; i++)
        for (int64_t k = 0; k < p->rank && status == OK; k++) {
            const float value = (float)((double)b[i * p->rank + k] * scale);
            to->b[i * to->rank + at + k] = value;
            *any |= value != 0.0f;
            if (!isfinite(value))
                status = fail(error, BAD_FILE, "%s: tensor '%s': is no finite number any more times its scale, %g",
                              use->file->catalog.path, p->b->name, scale);
        }
    free(b);
    return status;
}

Status lora_map_read(const LoraMap *m, Role role, int layer, int expert, LoraFloats *out, Error *error)
{
    const int32_t first = m->first[slot_of(&m->sizes, role, layer, expert)];
    bool any = false;
    *out = (LoraFloats){ .rank = 0 };
    for (int32_t at = first; at >= 0; at = m->places[at].next) {
        const AdapterPair *p = &m->uses[m->places[at].use].file->pairs[m->places[at].pair];
        out->rank += p->rank;
        out->rows = p->rows;
        out->cols = p->cols;
    }
    if (out->rank == 0) return OK;
    out->a = malloc((size_t)(out->rank * out->cols) * sizeof(float));
    out->b = malloc((size_t)(out->rank * out->rows) * sizeof(float));
    if (!out->a || !out->b) return fail_memory(error, "an adapter");
    int64_t done = 0;
    for (int32_t at = first; at >= 0; at = m->places[at].next) {
        const Place *place = &m->places[at];
        TRY(read_pair(m, place, done, out, &any, error));
        done += m->uses[place->use].file->pairs[place->pair].rank;
    }
    if (!any) out->rank = 0;
    return OK;
}

void lora_floats_free(LoraFloats *f)
{
    free(f->a);
    free(f->b);
    *f = (LoraFloats){ .rank = 0 };
}
