/* SPDX-License-Identifier: Apache-2.0
 * arch/arch.h - what a model family looks like, as data.
 *
 * One file per family fills one Arch.  Nothing outside arch/ may compare family names: if behaviour
 * differs, the difference is a field here.  The functions below read a catalog through such a
 * table: sizes, checked against each other, and where each weight lies. */
#ifndef ARCH_ARCH_H
#define ARCH_ARCH_H

#include "device/device.h"
#include "file/catalog.h"

/* Sizes a shape may mention, named by the letters used in comments everywhere. */
typedef enum Dim { DIM_NONE, DIM_V, DIM_D, DIM_H, DIM_K, DIM_E, DIM_F, N_DIMS } Dim;
/* V vocabulary, D width, H heads * head size, K kv heads * head size, E experts, F expert width */

typedef enum Role {                     /* what a tensor is for                             */
    ROLE_EMBED, ROLE_OUT_NORM, ROLE_OUT,
    ROLE_ATTN_NORM, ROLE_Q, ROLE_K, ROLE_V, ROLE_O,
    ROLE_FFN_NORM, ROLE_ROUTER,
    ROLE_GATE, ROLE_UP, ROLE_DOWN,      /* of an expert; a dense layer is its only expert   */
    N_ROLES
} Role;

enum {
    STACKED = 1,                        /* all experts of a layer in one tensor, outermost  */
    TIED    = 2,                        /* may be absent: then the embedding serves         */
    PAIRED  = 4                         /* rows of rotary heads: see Arch.pairs             */
};

/* Where names come from: one column per container. */
typedef struct TensorRule {
    Role        role;
    const char *name[3]; /* [Source]: GGUF, Hugging Face, Mistral; %d layer, then %d expert; NULL:
                            not there */
    Dim         shape[3];               /* outermost first                                  */
    int         flags;
} TensorRule;

typedef enum Size {
    SIZE_LAYERS,
    SIZE_VOCAB,
    SIZE_CONTEXT,
    SIZE_MODEL_WIDTH,
    SIZE_HEADS,
    SIZE_KV_HEADS,
    SIZE_HEAD,
    SIZE_EXPERTS,
    SIZE_USED,
    SIZE_HIDDEN,
    SIZE_WINDOW,
    SIZE_TURNED,
    SIZE_NORM_EPS,
    SIZE_ROPE_BASE,
    N_SIZES
} Size;

#define REQUIRED (-1.0)
#define DERIVED  (-2.0)                 /* from other sizes; see sizes.c                    */

typedef struct SizeRule {
    Size        size;
    const char *key[3];                 /* [Source]; "a|b": the first that is there; NULL: never */
    double      otherwise[3];           /* [Source]                                         */
} SizeRule;

/* A setting that changes the arithmetic in a way we do not have: anything but `must_be` is an error (D5). */
typedef struct SettingRule {
    const char *key[3];                 /* [Source]                                         */
    const char *must_be;                /* texts and numbers "a|b"; "false" for flags; "" : absent or null */
} SettingRule;

/* How scores become a choice of experts and their weights. */
typedef struct Router {
    bool renormalise;                   /* weights of the chosen are divided by their sum   */
} Router;

typedef struct Arch {
    const char        *name;            /* "mixtral"                                        */
    const char
        *names[3][6]; /* [Source] general.architecture; config.json "architectures"; NULL-ended */
    bool               has_experts;     /* the same name may serve two families; this tells */
    const TensorRule  *tensors;   int n_tensors;
    const SizeRule    *sizes;     int n_sizes;
    const SettingRule *settings;  int n_settings;
    const char *const *ignored;         /* tensor names that carry nothing: patterns with %d; NULL-ended */
    const char *const *refused;         /* parts of names that would change the arithmetic; NULL-ended */
    RopePairs          pairs[3];        /* [Source] how the container orders rotary rows    */
    Router             router;
} Arch;

extern const Arch *const arch_table[];  /* NULL-ended                                       */

enum { LAYERS_MAX = 1024, EXPERTS_MAX = 1024, USED_MAX = 64 };

typedef struct Sizes {
    int64_t n_layers, n_context, width, n_heads, n_kv_heads, head_size, n_experts, n_used, hidden, n_vocab;
    int64_t window;                     /* 0: none                                          */
    int64_t n_turned;                   /* numbers of a head that rotate                    */
    double  norm_eps, rope_base;
    bool    dense;                      /* no router: n_experts == n_used == 1              */
} Sizes;

/* Where one matrix (or vector: rows == 1) lies on disk. */
typedef struct Weight {
    const FileTensor *tensor;
    int64_t offset, bytes;              /* in tensor->file                                  */
    int64_t rows, cols;
    Format  format;
    bool halves; /* rows are in PAIRS_HALVES order and are to be read as PAIRS_ADJACENT */
} Weight;

/* Which family is this?  UNSUPPORTED names the architecture found and those we know. */
Status arch_find(const Catalog *catalog, const Arch **out, Error *error);
/* All sizes, checked against each other and against the limits above. */
Status arch_sizes(const Arch *arch, const Catalog *catalog, Sizes *out, Error *error);
/* A weight, its shape checked.  layer and expert are ignored where the role has none. */
Status arch_weight(const Arch *arch, const Catalog *catalog, const Sizes *sizes, Role role,
                   int layer, int expert, Weight *out, Error *error);
/* An expert's three matrices as one stretch of a packed file, in the order gate, up, down (file/packed.h); its checksum
 * is checksum_long (base/checksum.h).  False: they do not lie in one. */
typedef struct ExpertSlab { const File *file; int64_t offset, n_bytes; uint64_t checksum; } ExpertSlab;
bool arch_slab(const Catalog *catalog, const Weight *gate, const Weight *up, const Weight *down, ExpertSlab *out);
/* Every tensor of the catalog is used, known to be idle, or worth a warning; one that would change the
 * arithmetic is UNSUPPORTED. `log` may be NULL. */
Status arch_leftovers(const Arch *arch, const Catalog *catalog, const Sizes *sizes,
                      void (*log)(void *user, const char *line), void *user, Error *error);
/* "blk.%d.attn_q.weight": the name GGUF gives to a role (the stacked one for experts). */
const char *arch_gguf_name(const Arch *arch, Role role);

/* Which matrix a GGUF file of this family calls `name`; false: none that a model of these sizes has.  Where a stack
 * holds all experts of the layer, *expert is -1. */
bool arch_named(const Arch *arch, const Sizes *sizes, const char *name, Role *role, int *layer, int *expert);

static inline bool role_in_layer(Role role)  { return role >= ROLE_ATTN_NORM; }
static inline bool role_of_expert(Role role) { return role >= ROLE_GATE; }

/* How large a shape's letter is in this model; DIM_NONE is 1. */
int64_t arch_dim(const Sizes *sizes, Dim dim);

/* Row of the source that holds row `row` of the matrix as the engine wants it. */
int64_t weight_source_row(const Weight *weight, const Sizes *sizes, int64_t row);

#endif
