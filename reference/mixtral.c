/* SPDX-License-Identifier: Apache-2.0
 * reference/mixtral.c - the network in one file and plain loops: what everything fast must equal.
 *
 * Nothing of ours is included, so that no mistake is shared with what is judged here.  Read
 * forward() first; the rest carries a file to it and its answer away.
 *
 *     mixtral-reference MODEL.gguf --ids 1,2,3 -o logits.npy
 *
 * Why double: the engine adds in float and in orders of its own, so two right answers differ by
 * about sqrt(n) * 2^-24.  Weights of the formats read here are floats exactly; with sums in
 * double the error of this file is some 2^-29 of that, any order of addition will do, and what a
 * comparison finds is the engine's rounding alone.
 *
 * The file is trusted: this is an instrument for our own tests, checked only against misuse.  It
 * reads F32, F16, BF16 and Q8_0, one file, on a little-endian machine.
 *
 * Letters: T tokens, D model width, H query numbers, K key numbers, d head size, E experts,
 * U used per token, F expert width, V vocabulary, L layers.
 */
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 1, 2)))
static _Noreturn void die(const char *format, ...)
{
    va_list words;
    va_start(words, format);
    fputs("mixtral-reference: ", stderr);
    vfprintf(stderr, format, words);
    fputc('\n', stderr);
    exit(1);
}

static void *need(size_t n, size_t size)
{
    void *memory = calloc(n ? n : 1, size);
    if (!memory) die("out of memory");
    return memory;
}

/* ---- a GGUF file ------------------------------------------------------------------------- */

enum { DIMS_MAX = 4, NAME_BYTES = 128 };
enum { GGUF_TEXT = 8, GGUF_ARRAY = 9, GGUF_F64 = 12 };                  /* types of settings    */
enum { GGML_F32 = 0, GGML_F16 = 1, GGML_Q8_0 = 8, GGML_BF16 = 30 };    /* types of tensors     */

typedef struct Setting {
    char   key[NAME_BYTES];
    double number;              /* NaN when the value is text or an array                   */
} Setting;

typedef struct Tensor {
    char     name[NAME_BYTES];
    int64_t  n;                 /* numbers in it                                            */
    uint32_t type;
    uint64_t offset;            /* from Gguf.data                                           */
} Tensor;

typedef struct Gguf {
    unsigned char *bytes, *at, *end;            /* the file; the cursor; its end            */
    unsigned char *data;                        /* where tensor offsets count from          */
    Setting       *settings;  size_t n_settings;
    Tensor        *tensors;   size_t n_tensors;
} Gguf;

static void take(Gguf *g, void *to, size_t n)
{
    if ((size_t)(g->end - g->at) < n) die("the file ends too early");
    if (to) memcpy(to, g->at, n);
    g->at += n;
}

static uint32_t take_u32(Gguf *g) { uint32_t x; take(g, &x, sizeof x); return x; }
static uint64_t take_u64(Gguf *g) { uint64_t x; take(g, &x, sizeof x); return x; }

static void take_name(Gguf *g, char *name)
{
    const uint64_t n = take_u64(g);
    if (n >= NAME_BYTES) die("a name of %llu bytes", (unsigned long long)n);
    take(g, name, n);
    name[n] = 0;
}

/* One setting's value; what is not a number is stepped over. */
static double take_value(Gguf *g, uint32_t type)
{
    /*                             u8 i8 u16 i16 u32 i32 f32 bool text array u64 i64 f64 */
    static const size_t bytes[] = { 1, 1, 2,  2,  4,  4,  4,  1,   0,   0,    8,  8,  8 };
    union { uint8_t u8; int8_t i8; uint16_t u16; int16_t i16; uint32_t u32; int32_t i32;
            float f32; uint64_t u64; int64_t i64; double f64; } x;

    if (type > GGUF_F64) die("a setting of unknown type %u", type);
    if (type == GGUF_TEXT) {
        take(g, NULL, take_u64(g));
        return NAN;
    }
    if (type == GGUF_ARRAY) {
        const uint32_t of = take_u32(g);
        for (uint64_t n = take_u64(g); n > 0; n--) take_value(g, of);
        return NAN;
    }
    take(g, &x, bytes[type]);
    const double as[] = { x.u8, x.i8, x.u16, x.i16, x.u32, x.i32, (double)x.f32, x.u8, 0, 0,
                          (double)x.u64, (double)x.i64, x.f64 };
    return as[type];
}

static double setting(const Gguf *g, const char *key, double otherwise)
{
    for (size_t i = 0; i < g->n_settings; i++)
        if (!strcmp(g->settings[i].key, key) && !isnan(g->settings[i].number))
            return g->settings[i].number;
    if (isnan(otherwise)) die("setting %s is missing", key);
    return otherwise;
}

static void read_file(Gguf *g, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) die("cannot open %s", path);
    const size_t size = (size_t)ftell(file);
    rewind(file);
    g->bytes = g->at = need(size, 1);
    g->end = g->bytes + size;
    if (fread(g->bytes, 1, size, file) != size) die("cannot read %s", path);
    fclose(file);
}

static void gguf_open(Gguf *g, const char *path)
{
    read_file(g, path);
    if (take_u32(g) != 0x46554747) die("%s is not GGUF", path);     /* "GGUF"               */
    const uint32_t version = take_u32(g);
    if (version != 2 && version != 3) die("%s is GGUF version %u", path, version);
    g->n_tensors  = take_u64(g);
    g->n_settings = take_u64(g);
    g->settings   = need(g->n_settings, sizeof *g->settings);
    g->tensors    = need(g->n_tensors, sizeof *g->tensors);

    for (size_t i = 0; i < g->n_settings; i++) {
        take_name(g, g->settings[i].key);
        g->settings[i].number = take_value(g, take_u32(g));
    }
    for (size_t i = 0; i < g->n_tensors; i++) {
        Tensor *t = &g->tensors[i];
        take_name(g, t->name);
        t->n = 1;
        for (uint32_t n_dims = take_u32(g); n_dims > 0; n_dims--) t->n *= (int64_t)take_u64(g);
        t->type   = take_u32(g);
        t->offset = take_u64(g);
    }
    const size_t align = (size_t)setting(g, "general.alignment", 32);
    g->data = g->bytes + ((size_t)(g->at - g->bytes) + align - 1) / align * align;
}

static float half_to_float(uint16_t half)
{
    const int    exponent = half >> 10 & 31, fraction = half & 1023;
    const double size = exponent == 0  ? ldexp(fraction, -24)
                      : exponent == 31 ? (fraction ? NAN : INFINITY)
                                       : ldexp(1024 + fraction, exponent - 25);
    return (float)(half & 0x8000 ? -size : size);
}

/* Number `i` of a tensor.  Q8_0: blocks of 32 signed bytes after one half-precision scale. */
static float number_at(const unsigned char *from, uint32_t type, int64_t i)
{
    float    single;
    uint16_t half;
    uint32_t bits;

    switch (type) {
    case GGML_F32:
        memcpy(&single, from + 4 * i, sizeof single);
        return single;
    case GGML_F16:
        memcpy(&half, from + 2 * i, sizeof half);
        return half_to_float(half);
    case GGML_BF16:
        memcpy(&half, from + 2 * i, sizeof half);
        bits = (uint32_t)half << 16;
        memcpy(&single, &bits, sizeof single);
        return single;
    case GGML_Q8_0:
        from += i / 32 * 34;
        memcpy(&half, from, sizeof half);
        return half_to_float(half) * (float)(int8_t)from[2 + i % 32];  /* 11 + 7 bits: exact   */
    default:
        die("tensors of type %u are not read here", type);
    }
}

/* The numbers of a tensor, or NULL when the file does not have it. */
static float *tensor_if_any(const Gguf *g, const char *name, int64_t n)
{
    for (size_t i = 0; i < g->n_tensors; i++) {
        const Tensor *t = &g->tensors[i];
        if (strcmp(t->name, name)) continue;
        if (t->n != n) die("%s has %lld numbers, not %lld", name, (long long)t->n, (long long)n);
        float *to = need((size_t)n, sizeof *to);
        for (int64_t k = 0; k < n; k++) to[k] = number_at(g->data + t->offset, t->type, k);
        return to;
    }
    return NULL;
}

__attribute__((format(printf, 3, 4)))
static float *tensor(const Gguf *g, int64_t n, const char *format, ...)
{
    char    name[NAME_BYTES];
    va_list words;
    va_start(words, format);
    vsnprintf(name, sizeof name, format, words);
    va_end(words);
    float *found = tensor_if_any(g, name, n);
    if (!found) die("tensor %s is missing", name);
    return found;
}

/* ---- the model --------------------------------------------------------------------------- */

typedef struct Layer {
    float  *attn_norm, *ffn_norm;               /* [D]                                      */
    float  *wq, *wk, *wv, *wo;                  /* [H][D] [K][D] [K][D] [D][H]              */
    float  *router;                             /* [E][D]; NULL in a dense layer            */
    float **gate, **up, **down;                 /* [E] of [F][D] [F][D] [D][F]              */
    double *keys, *values;                      /* [T][K] what attention remembers          */
} Layer;

typedef struct Model {
    int    D, L, E, U, F, V, H, K, d;
    int    n_heads, n_kv_heads, n_rotated;
    int    window;                              /* rows seen back from one; 0: all of them  */
    double norm_eps, rope_base;
    float *embed, *out_norm, *out;              /* [V][D] [D] [V][D]                        */
    Layer *layers;                              /* [L]                                      */
} Model;

static void read_sizes(Model *m, const Gguf *g)
{
    m->D = (int)setting(g, "llama.embedding_length", NAN);
    m->L = (int)setting(g, "llama.block_count", NAN);
    m->F = (int)setting(g, "llama.feed_forward_length", NAN);
    m->E = (int)setting(g, "llama.expert_count", 0);
    m->U = (int)setting(g, "llama.expert_used_count", 0);
    m->n_heads    = (int)setting(g, "llama.attention.head_count", NAN);
    m->n_kv_heads = (int)setting(g, "llama.attention.head_count_kv", m->n_heads);
    m->d          = (int)setting(g, "llama.attention.key_length", m->D / m->n_heads);
    m->n_rotated  = (int)setting(g, "llama.rope.dimension_count", m->d);
    m->window     = (int)setting(g, "llama.attention.sliding_window", 0);
    m->norm_eps   = setting(g, "llama.attention.layer_norm_rms_epsilon", NAN);
    m->rope_base  = setting(g, "llama.rope.freq_base", 10000);
    m->H = m->n_heads * m->d;
    m->K = m->n_kv_heads * m->d;
    if ((int)setting(g, "llama.attention.value_length", m->d) != m->d)
        die("key_length and value_length differ");
    if (m->U > m->E || m->n_heads % m->n_kv_heads) die("sizes that do not fit together");
}

/* The three matrices of every expert.  Newer files stack the experts of a layer in one tensor,
 * older ones have a tensor each; a dense layer is one expert that is always used. */
static void read_experts(Layer *layer, const Model *m, const Gguf *g, int i)
{
    static const char *const names[] = { "gate", "up", "down" };
    float ***const           matrices[] = { &layer->gate, &layer->up, &layer->down };
    const int64_t            n = (int64_t)m->F * m->D;
    const int                n_experts = layer->router ? m->E : 1;

    for (int which = 0; which < 3; which++) {
        float **each = *matrices[which] = need((size_t)n_experts, sizeof *each);
        char    stacked[NAME_BYTES];
        snprintf(stacked, sizeof stacked, "blk.%d.ffn_%s_exps.weight", i, names[which]);
        float *all = layer->router ? tensor_if_any(g, stacked, m->E * n) : NULL;
        for (int e = 0; e < n_experts; e++)
            each[e] = all             ? all + e * n
                    : layer->router   ? tensor(g, n, "blk.%d.ffn_%s.%d.weight", i, names[which], e)
                                      : tensor(g, n, "blk.%d.ffn_%s.weight", i, names[which]);
    }
}

static void model_read(Model *m, const Gguf *g, int n_tokens_max)
{
    read_sizes(m, g);
    for (size_t i = 0; i < g->n_tensors; i++) {
        if (!strcmp(g->tensors[i].name, "token_embd.weight")) m->V = (int)(g->tensors[i].n / m->D);
        if (!strncmp(g->tensors[i].name, "rope_freqs", 10)) die("rotary factors: not known here");
    }
    m->embed    = tensor(g, (int64_t)m->V * m->D, "token_embd.weight");
    m->out_norm = tensor(g, m->D, "output_norm.weight");
    m->out      = tensor_if_any(g, "output.weight", (int64_t)m->V * m->D);
    if (!m->out) m->out = m->embed;             /* tied                                     */

    m->layers = need((size_t)m->L, sizeof *m->layers);
    for (int i = 0; i < m->L; i++) {
        Layer *layer = &m->layers[i];
        char   router[NAME_BYTES];
        snprintf(router, sizeof router, "blk.%d.ffn_gate_inp.weight", i);
        layer->attn_norm = tensor(g, m->D, "blk.%d.attn_norm.weight", i);
        layer->ffn_norm  = tensor(g, m->D, "blk.%d.ffn_norm.weight", i);
        layer->wq = tensor(g, (int64_t)m->H * m->D, "blk.%d.attn_q.weight", i);
        layer->wk = tensor(g, (int64_t)m->K * m->D, "blk.%d.attn_k.weight", i);
        layer->wv = tensor(g, (int64_t)m->K * m->D, "blk.%d.attn_v.weight", i);
        layer->wo = tensor(g, (int64_t)m->D * m->H, "blk.%d.attn_output.weight", i);
        layer->router = m->E ? tensor_if_any(g, router, (int64_t)m->E * m->D) : NULL;
        read_experts(layer, m, g, i);
        layer->keys   = need((size_t)n_tokens_max * (size_t)m->K, sizeof *layer->keys);
        layer->values = need((size_t)n_tokens_max * (size_t)m->K, sizeof *layer->values);
    }
}

/* ---- the network ------------------------------------------------------------------------- */

/* y [rows] = w [rows][cols] x [cols] */
static void matmul(double *y, const float *w, const double *x, int rows, int cols)
{
    for (int r = 0; r < rows; r++) {
        double sum = 0;
        for (int c = 0; c < cols; c++) sum += (double)w[(int64_t)r * cols + c] * x[c];
        y[r] = sum;
    }
}

/* Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization", arXiv 1910.07467. */
static void rms_norm(double *y, const double *x, const float *gain, int D, double eps)
{
    double squares = 0;
    for (int i = 0; i < D; i++) squares += x[i] * x[i];
    const double scale = 1 / sqrt(squares / D + eps);
    for (int i = 0; i < D; i++) y[i] = x[i] * scale * (double)gain[i];
}

/* Turns the pairs (0,1) (2,3) ... of every head by position * base^(-2i/n).
 * Source: Su et al. 2021, "RoFormer", arXiv 2104.09864.  Files that pair (i, i + d/2) instead
 * have had the rows of wq and wk reordered on their way into GGUF. */
static void rotate(const Model *m, double *x, int n_heads, int position)
{
    for (int head = 0; head < n_heads; head++)
        for (int i = 0; i < m->n_rotated; i += 2) {
            double      *pair  = x + head * m->d + i;
            const double angle = position * pow(m->rope_base, -(double)i / m->n_rotated);
            const double a = pair[0], b = pair[1];
            pair[0] = a * cos(angle) - b * sin(angle);
            pair[1] = a * sin(angle) + b * cos(angle);
        }
}

/* x [n] becomes exp(x) / sum exp(x). */
static void softmax(double *x, int n)
{
    double top = -DBL_MAX, sum = 0;
    for (int i = 0; i < n; i++) top = fmax(top, x[i]);
    for (int i = 0; i < n; i++) sum += x[i] = exp(x[i] - top);
    for (int i = 0; i < n; i++) x[i] /= sum;
}

/* One head of one row: what the keys from `first` to `position` answer to q [d].
 * n_kv_heads heads of keys serve n_heads of queries, neighbours sharing one.
 * Source: Ainslie et al. 2023, "GQA", arXiv 2305.13245. */
static void attend(const Model *m, const Layer *layer, double *answer, const double *q, int head,
                   int first, int position, double *scores)
{
    const int kv_head = head / (m->n_heads / m->n_kv_heads);
    const int n = position - first + 1;

    for (int j = 0; j < n; j++) {
        const double *key = layer->keys + (int64_t)(first + j) * m->K + kv_head * m->d;
        scores[j] = 0;
        for (int i = 0; i < m->d; i++) scores[j] += q[i] * key[i];
        scores[j] /= sqrt(m->d);
    }
    softmax(scores, n);
    for (int i = 0; i < m->d; i++) answer[i] = 0;
    for (int j = 0; j < n; j++) {
        const double *value = layer->values + (int64_t)(first + j) * m->K + kv_head * m->d;
        for (int i = 0; i < m->d; i++) answer[i] += scores[j] * value[i];
    }
}

/* Adds to y [D] what attention makes of h [D]; remembers this row's keys and values. */
static void attention(const Model *m, const Layer *layer, double *y, const double *h, int position)
{
    double   *q = need((size_t)m->H, sizeof *q), *heads = need((size_t)m->H, sizeof *heads);
    double   *o = need((size_t)m->D, sizeof *o);
    double   *scores = need((size_t)position + 1, sizeof *scores);
    double   *k = layer->keys + (int64_t)position * m->K;
    double   *v = layer->values + (int64_t)position * m->K;
    const int first = m->window && position >= m->window ? position - m->window + 1 : 0;

    matmul(q, layer->wq, h, m->H, m->D);
    matmul(k, layer->wk, h, m->K, m->D);
    matmul(v, layer->wv, h, m->K, m->D);
    rotate(m, q, m->n_heads, position);
    rotate(m, k, m->n_kv_heads, position);
    for (int head = 0; head < m->n_heads; head++)
        attend(m, layer, heads + head * m->d, q + head * m->d, head, first, position, scores);
    matmul(o, layer->wo, heads, m->D, m->H);
    for (int i = 0; i < m->D; i++) y[i] += o[i];
    free(q), free(heads), free(o), free(scores);
}

/* The U largest of scores [E], largest first; of equals the lower index.  Their softmax is that of
 * all E, renormalised over the chosen.
 * Source: Jiang et al. 2024, "Mixtral of Experts", arXiv 2401.04088, section 2.1. */
static void choose(const double *scores, int E, int U, int32_t *chosen, double *weights)
{
    for (int slot = 0; slot < U; slot++) {
        int best = -1;
        for (int e = 0; e < E; e++) {
            bool taken = false;
            for (int s = 0; s < slot; s++) taken |= chosen[s] == e;
            if (!taken && (best < 0 || scores[e] > scores[best])) best = e;
        }
        chosen[slot]  = best;
        weights[slot] = scores[best];
    }
    softmax(weights, U);
}

/* Adds to y [D] the weighed answer of one expert: down( silu(gate h) * up h ).
 * Source: Shazeer 2020, "GLU Variants Improve Transformer", arXiv 2002.05202. */
static void expert(const Model *m, const Layer *layer, int e, double weight, double *y,
                   const double *h)
{
    double *gate = need((size_t)m->F, sizeof *gate), *up = need((size_t)m->F, sizeof *up);
    double *down = need((size_t)m->D, sizeof *down);

    matmul(gate, layer->gate[e], h, m->F, m->D);
    matmul(up, layer->up[e], h, m->F, m->D);
    for (int i = 0; i < m->F; i++) gate[i] *= up[i] / (1 + exp(-gate[i]));  /* x / (1 + e^-x)   */
    matmul(down, layer->down[e], gate, m->D, m->F);
    for (int i = 0; i < m->D; i++) y[i] += weight * down[i];
    free(gate), free(up), free(down);
}

/* Token `token` at `position` passes the network: logits [V], and who was asked in each layer,
 * chosen and weights [L][U] (a dense layer leaves its row alone). */
static void forward(const Model *m, int token, int position, double *logits, int32_t *chosen,
                    double *weights)
{
    double *x = need((size_t)m->D, sizeof *x), *h = need((size_t)m->D, sizeof *h);
    double *scores = need((size_t)m->E, sizeof *scores);

    for (int i = 0; i < m->D; i++) x[i] = (double)m->embed[(int64_t)token * m->D + i];

    for (int l = 0; l < m->L; l++) {
        const Layer *layer = &m->layers[l];

        rms_norm(h, x, layer->attn_norm, m->D, m->norm_eps);
        attention(m, layer, x, h, position);

        rms_norm(h, x, layer->ffn_norm, m->D, m->norm_eps);
        if (!layer->router) {
            expert(m, layer, 0, 1.0, x, h);
            continue;
        }
        matmul(scores, layer->router, h, m->E, m->D);
        choose(scores, m->E, m->U, chosen + l * m->U, weights + l * m->U);
        for (int slot = 0; slot < m->U; slot++)
            expert(m, layer, chosen[l * m->U + slot], weights[l * m->U + slot], x, h);
    }

    rms_norm(x, x, m->out_norm, m->D, m->norm_eps);
    matmul(logits, m->out, x, m->V, m->D);
    free(x), free(h), free(scores);
}

/* ---- the program ------------------------------------------------------------------------- */

/* NumPy's file format, version 1.0: a line that describes, padded so that the numbers
 * begin at byte 128, and the numbers. */
static void write_npy(const char *path, const char *type, const char *shape, const void *numbers,
                      size_t n)
{
    char  header[118];
    FILE *file = fopen(path, "wb");
    if (!file) die("cannot write %s", path);
    snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
             type, shape);
    const unsigned char start[10] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, 118, 0 };
    if (fwrite(start, 1, sizeof start, file) != sizeof start ||
        fprintf(file, "%-117s\n", header) < 0 ||
        fwrite(numbers, 4, n, file) != n || fclose(file))
        die("cannot write %s", path);
}

typedef struct Options {
    const char *model, *out, *routes, *weights, *ids;
    int         greedy;
    bool        all;
} Options;

static const char usage[] =
    "usage: mixtral-reference MODEL.gguf --ids 1,2,3 [-o LOGITS.npy] [--all]\n"
    "                         [--routes R.npy] [--weights W.npy] [--greedy N]\n"
    "  -o LOGITS.npy     float32 [V], the logits after the last token; with --all [T][V]\n"
    "  --routes R.npy    int32 [L][T][U], the experts asked, by falling weight\n"
    "  --weights W.npy   float32 [L][T][U], their weights\n"
    "  --greedy N        go on with the likeliest token N times and print the N ids; the\n"
    "                    files then cover every token that was fed\n";

static Options read_options(int argc, char **argv)
{
    Options o = { 0 };
    for (int i = 1; i < argc; i++) {
        const char  *word = argv[i], *greedy = NULL;
        const char **value = !strcmp(word, "--ids")     ? &o.ids
                           : !strcmp(word, "-o")        ? &o.out
                           : !strcmp(word, "--routes")  ? &o.routes
                           : !strcmp(word, "--weights") ? &o.weights
                           : !strcmp(word, "--greedy")  ? &greedy : NULL;
        if (!strcmp(word, "--help")) fputs(usage, stdout), exit(0);
        else if (!strcmp(word, "--all")) o.all = true;
        else if (value && i + 1 < argc) *value = argv[++i];
        else if (word[0] != '-' && !o.model) o.model = word;
        else fputs(usage, stderr), exit(64);
        if (greedy) o.greedy = atoi(greedy);
    }
    if (!o.model || !o.ids || o.greedy < 0) fputs(usage, stderr), exit(64);
    return o;
}

static int read_ids(int *ids, const char *text)
{
    int n = 0;
    for (char *end; *text; text = *end ? end + 1 : end) {
        ids[n++] = (int)strtol(text, &end, 10);
        if (end == text || (*end && *end != ',')) die("--ids: not a number: '%s'", text);
    }
    return n;
}

static int largest(const double *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

/* What is kept of a run over T tokens, as it is written. */
typedef struct Record {
    float   *logits;            /* [T][V], or the last [V]                                  */
    int32_t *chosen;            /* [L][T][U]                                                */
    float   *weights;           /* [L][T][U]                                                */
} Record;

static void keep(const Record *r, const Model *m, int row, const double *logits, int t, int T,
                 const int32_t *chosen, const double *weights)
{
    for (int v = 0; v < m->V; v++) r->logits[(int64_t)row * m->V + v] = (float)logits[v];
    for (int l = 0; l < m->L; l++)
        for (int u = 0; u < m->U; u++) {
            const int to = (l * T + t) * m->U + u;
            r->chosen[to]  = chosen[l * m->U + u];
            r->weights[to] = (float)weights[l * m->U + u];
        }
}

static void write_record(const Record *r, const Model *m, const Options *o, int T)
{
    const size_t rows = o->all ? (size_t)T : 1, n_routes = (size_t)m->L * (size_t)T * (size_t)m->U;
    char         shape[64];

    if (o->all) snprintf(shape, sizeof shape, "%d, %d", T, m->V);
    else        snprintf(shape, sizeof shape, "%d,", m->V);
    if (o->out) write_npy(o->out, "<f4", shape, r->logits, rows * (size_t)m->V);

    snprintf(shape, sizeof shape, "%d, %d, %d", m->L, T, m->U);
    if (o->routes)  write_npy(o->routes, "<i4", shape, r->chosen, n_routes);
    if (o->weights) write_npy(o->weights, "<f4", shape, r->weights, n_routes);
}

int main(int argc, char **argv)
{
    static Gguf   gguf;                     /* static: so nothing counts as lost at the end */
    static Model  model;
    static Record record;
    const Options o = read_options(argc, argv);
    const Model  *m = &model;

    int      *ids = need(strlen(o.ids) + (size_t)o.greedy + 1, sizeof *ids);
    const int n_prompt = read_ids(ids, o.ids);
    if (n_prompt == 0) die("--ids names no token");
    const int T = n_prompt + (o.greedy ? o.greedy - 1 : 0);     /* the last made is not fed */

    gguf_open(&gguf, o.model);
    model_read(&model, &gguf, T);

    const size_t LU = (size_t)m->L * (size_t)m->U;
    double  *logits = need((size_t)m->V, sizeof *logits), *weights = need(LU, sizeof *weights);
    int32_t *chosen = need(LU, sizeof *chosen);
    record.logits  = need((o.all ? (size_t)T : 1) * (size_t)m->V, sizeof *record.logits);
    record.chosen  = need((size_t)T * LU, sizeof *record.chosen);
    record.weights = need((size_t)T * LU, sizeof *record.weights);

    for (int t = 0; t < T; t++) {
        if (ids[t] < 0 || ids[t] >= m->V) die("token %d is not in 0..%d", ids[t], m->V - 1);
        forward(m, ids[t], t, logits, chosen, weights);
        keep(&record, m, o.all ? t : 0, logits, t, T, chosen, weights);
        if (o.greedy && t >= n_prompt - 1) {
            ids[t + 1] = largest(logits, m->V);
            printf("%d%c", ids[t + 1], t < T - 1 ? ' ' : '\n');
        }
    }
    write_record(&record, m, &o, T);
    free(ids), free(logits), free(weights), free(chosen);
    return 0;
}
