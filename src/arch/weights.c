/* SPDX-License-Identifier: Apache-2.0
 * arch/weights.c - names to roles: where each matrix lies and whether it has the right shape. */
#include "arch/arch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t arch_dim(const Sizes *s, Dim dim)
{
    switch (dim) {
    case DIM_NONE: return 1;
    case DIM_V:    return s->n_vocab;                   /* 0 while it is still unknown          */
    case DIM_D:    return s->width;
    case DIM_H:    return s->n_heads * s->head_size;
    case DIM_K:    return s->n_kv_heads * s->head_size;
    case DIM_E:    return s->n_experts;
    case DIM_F:    return s->hidden;
    case N_DIMS:   break;
    }
    abort();
}

static int rule_dims(const TensorRule *rule)
{
    return rule->shape[2] ? 3 : rule->shape[1] ? 2 : 1;
}

/* Patterns are ours, never the file's; those with one %d ignore the second number. */
static void make_name(char *out, size_t room, const char *pattern, int layer, int expert)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
    snprintf(out, room, pattern, layer, expert);
#pragma GCC diagnostic pop
}

static Status check_shape(const Catalog *c, const FileTensor *t, const TensorRule *rule,
                          const Sizes *s, Error *error)
{
    const int n = rule_dims(rule);
    bool right = t->n_dims == n;
    for (int i = 0; i < n; i++) {
        const int64_t want = arch_dim(s, rule->shape[i]);
        right = right && (want == 0 || t->dims[i] == want);
    }
    if (right) return OK;
    char want[96] = "", got[96] = "";
    size_t a = 0, b = 0;
    for (int i = 0; i < n; i++)
        a += (size_t)snprintf(want + a, sizeof want - a, "[%lld]",
                              (long long)arch_dim(s, rule->shape[i]));
    for (int i = 0; i < t->n_dims; i++)
        b += (size_t)snprintf(got + b, sizeof got - b, "[%lld]", (long long)t->dims[i]);
    return fail(error, BAD_FILE, "%s: tensor '%s': expected shape %s, found %s", c->path, t->name,
                want, got);
}

static Status slice(const Catalog *c, const FileTensor *t, const TensorRule *rule, const Arch *arch,
                    int expert, Weight *out, Error *error)
{
    const int n = rule_dims(rule);
    const int64_t cols = t->dims[n - 1];
    if (cols % format_info[t->format].block_values)
        return fail(error, BAD_FILE,
                    "%s: tensor '%s': expected rows of a multiple of %d values for %s, found %lld",
                    c->path, t->name, format_info[t->format].block_values,
                    format_info[t->format].name, (long long)cols);
    *out = (Weight){
        .tensor = t, .format = t->format, .cols = cols, .rows = n == 1 ? 1 : t->dims[n - 2]
    };
    out->bytes = out->rows * format_row_bytes(t->format, cols);
    out->offset = t->offset + (rule->flags & STACKED ? expert * out->bytes : 0);
    out->halves = rule->flags & PAIRED && arch->pairs[c->source] == PAIRS_HALVES;
    return OK;
}

Status arch_weight(const Arch *arch, const Catalog *c, const Sizes *s, Role role, int layer,
                   int expert, Weight *out, Error *error)
{
    char name[160] = "";
    int flags = 0;
    for (int i = 0; i < arch->n_tensors; i++) {
        const TensorRule *rule = &arch->tensors[i];
        if (rule->role != role || !rule->name[c->source]) continue;
        make_name(name, sizeof name, rule->name[c->source], layer, expert);
        flags |= rule->flags;
        const FileTensor *t = catalog_tensor(c, name);
        if (!t) continue;
        TRY(check_shape(c, t, rule, s, error));
        return slice(c, t, rule, arch, expert, out, error);
    }
    if (flags & TIED) return arch_weight(arch, c, s, ROLE_EMBED, layer, expert, out, error);
    return fail(error, BAD_FILE, "%s: tensor '%s': expected, not found", c->path, name);
}

const char *arch_gguf_name(const Arch *arch, Role role)
{
    for (int i = 0; i < arch->n_tensors; i++)           /* the stacked rule stands first         */
        if (arch->tensors[i].role == role && arch->tensors[i].name[SOURCE_GGUF])
            return arch->tensors[i].name[SOURCE_GGUF];
    return NULL;
}

int64_t weight_source_row(const Weight *w, const Sizes *s, int64_t row)
{
    if (!w->halves) return row;
    const int64_t head = row / s->head_size, i = row % s->head_size;
    if (i >= s->n_turned) return row;                   /* what does not turn stays where it is */
    return head * s->head_size + (i % 2 ? s->n_turned / 2 : 0) + i / 2;
}

/* ---- what is left over ---- */

/* Does `name` read as `pattern` with any number for each %d?  Numbers go to at[], -1 where absent. */
static bool matches(const char *pattern, const char *name, int64_t at[2])
{
    int n = 0;
    at[0] = at[1] = -1;
    while (*pattern) {
        if (pattern[0] == '%' && pattern[1] == 'd') {
            char *end;
            if (*name < '0' || *name > '9' || (name[0] == '0' && name[1] >= '0' && name[1] <= '9'))
                return false;
            const long long value = strtoll(name, &end, 10);
            if (n < 2) at[n++] = value;
            name = end;
            pattern += 2;
        } else if (*pattern++ != *name++) {
            return false;
        }
    }
    return *name == 0;
}

bool arch_named(const Arch *arch, const Sizes *s, const char *name, Role *role, int *layer, int *expert)
{
    int64_t at[2];
    for (int i = 0; i < arch->n_tensors; i++) {
        const TensorRule *rule = &arch->tensors[i];
        if (!rule->name[SOURCE_GGUF] || !matches(rule->name[SOURCE_GGUF], name, at)) continue;
        if (at[0] >= s->n_layers || at[1] >= s->n_experts) return false;
        *role = rule->role;
        *layer = at[0] < 0 ? 0 : (int)at[0];
        *expert = rule->flags & STACKED ? -1 : at[1] < 0 ? 0 : (int)at[1];
        return true;
    }
    return false;
}

static bool is_known(const Arch *arch, const Catalog *c, const Sizes *s, const char *name)
{
    int64_t at[2];
    for (int i = 0; i < arch->n_tensors; i++) {
        const TensorRule *rule = &arch->tensors[i];
        if (rule->name[c->source] && matches(rule->name[c->source], name, at))
            return (!role_in_layer(rule->role) || at[0] < s->n_layers) && at[1] < s->n_experts;
    }
    for (int i = 0; arch->ignored[i]; i++)
        if (matches(arch->ignored[i], name, at)) return true;
    return false;
}

Status arch_leftovers(const Arch *arch, const Catalog *c, const Sizes *s,
                      void (*log)(void *user, const char *line), void *user, Error *error)
{
    int64_t n_unknown = 0;
    const char *first = NULL;
    for (int64_t i = 0; i < c->n_tensors; i++) {
        const char *name = c->tensors[i].name;
        if (is_known(arch, c, s, name)) continue;
        for (int r = 0; arch->refused[r]; r++)
            if (strstr(name, arch->refused[r]))
                return fail(error, UNSUPPORTED,
                            "%s: tensor '%s': expected none, it would change the arithmetic in a "
                            "way this program lacks",
                            c->path, name);
        if (!first) first = name;
        n_unknown++;
    }
    if (n_unknown && log) {
        Error line;
        fail(&line, OK, "%s: %lld unknown tensor%s not used, the first is '%s'", c->path,
             (long long)n_unknown, n_unknown == 1 ? "" : "s", first);
        log(user, line.text);
    }
    return OK;
}
