/* SPDX-License-Identifier: Apache-2.0
 * train/adamw.c - see adamw.h. */
#include "train/adamw.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 16384, LANES = 16 };

/* ---- chunks ---- */

static int64_t chunks_of(const Param *p)
{
    return (p->rows * p->cols + CHUNK - 1) / CHUNK;
}

Status adamw_new(const AdamwOptions *options, const Param *params, int n_params, int64_t n_values, Adamw *out,
                 Error *error)
{
    *out = (Adamw){ .options = *options, .n_values = n_values };
    for (int i = 0; i < n_params; i++) out->n_chunks += chunks_of(&params[i]);
    out->mean = calloc((size_t)n_values + 1, sizeof *out->mean);
    out->square = calloc((size_t)n_values + 1, sizeof *out->square);
    out->decays = calloc((size_t)out->n_chunks + 1, sizeof *out->decays);
    out->begins = calloc((size_t)out->n_chunks + 1, sizeof *out->begins);
    out->sums = calloc((size_t)out->n_chunks + 1, sizeof *out->sums);
    if (!out->mean || !out->square || !out->decays || !out->begins || !out->sums) {
        adamw_free(out);
        return fail_memory(error, "the moments of the optimiser");
    }
    int64_t chunk = 0, begin = 0;
    for (int i = 0; i < n_params; i++) {
        const int64_t end = begin + params[i].rows * params[i].cols;
        for (; begin < end; begin += CHUNK) {
            out->begins[chunk] = begin;
            out->decays[chunk++] = params[i].decays ? 1.0f : 0.0f;
        }
        begin = end;
    }
    out->begins[chunk] = begin;
    return OK;
}

void adamw_free(Adamw *a)
{
    free(a->mean);
    free(a->square);
    free(a->decays);
    free(a->begins);
    free(a->sums);
    *a = (Adamw){ 0 };
}

/* ---- the length of the gradient ---- */

typedef struct Job {
    const Adamw *adamw;
    float       *values;
    const float *grads;
    float        scale;                 /* what clipping leaves of the gradient             */
    float        rate, shrink;          /* rate with both corrections; 1 - rate * decay     */
    float        epsilon;               /* corrected as the squares are                     */
} Job;

/* ORDER: sixteen sums in double, number i goes to sum i mod 16; the sums are added from the first. */
static void sum_chunk(void *arg, int64_t chunk, int worker)
{
    const Job *job = arg;
    const Adamw *a = job->adamw;
    double sums[LANES] = { 0 };
    const int64_t begin = a->begins[chunk], n = a->begins[chunk + 1] - begin;
    (void)worker;
    for (int64_t i = 0; i < n; i++) {
        const double g = (double)job->grads[begin + i];
        sums[i % LANES] += g * g;
    }
    double sum = 0;
    for (int i = 0; i < LANES; i++) sum += sums[i];
    a->sums[chunk] = sum;
}

static double gradient_length(const Adamw *a, Pool *pool, Job *job)
{
    double sum = 0;
    pool_run(pool, sum_chunk, job, a->n_chunks);
    for (int64_t i = 0; i < a->n_chunks; i++) sum += a->sums[i];
    return sqrt(sum);
}

/* ---- the step ---- */

/* With m and v corrected for their beginning at zero, w -= rate * (m' / (sqrt(v') + epsilon) + decay * w).  Both
 * corrections are the same for all numbers, so they are put into rate and epsilon once. */
static void step_chunk(void *arg, int64_t chunk, int worker)
{
    const Job *job = arg;
    const Adamw *a = job->adamw;
    const float keep1 = (float)a->options.beta1, keep2 = (float)a->options.beta2;
    const float take1 = (float)(1 - a->options.beta1), take2 = (float)(1 - a->options.beta2);
    const float shrink = a->decays[chunk] > 0 ? job->shrink : 1.0f;
    const float scale = job->scale, rate = job->rate, epsilon = job->epsilon;
    const int64_t begin = a->begins[chunk], n = a->begins[chunk + 1] - begin;
    float *restrict w = job->values + begin, *restrict m = a->mean + begin, *restrict v = a->square + begin;
    const float *restrict grads = job->grads + begin;
    (void)worker;
    for (int64_t i = 0; i < n; i++) {
        const float g = grads[i] * scale;
        m[i] = keep1 * m[i] + take1 * g;
        v[i] = keep2 * v[i] + take2 * (g * g);
        w[i] = shrink * w[i] - rate * m[i] / (sqrtf(v[i]) + epsilon);
    }
}

double adamw_step(Adamw *a, Pool *pool, float *values, const float *grads, int64_t step, double rate)
{
    const AdamwOptions *o = &a->options;
    Job job = { .adamw = a, .values = values, .grads = grads, .scale = 1 };
    const double length = gradient_length(a, pool, &job);
    if (o->clip > 0 && length > o->clip) job.scale = (float)(o->clip / length);
    const double correct1 = 1 - pow(o->beta1, (double)step), correct2 = sqrt(1 - pow(o->beta2, (double)step));
    job.rate = (float)(rate * correct2 / correct1);
    job.epsilon = (float)(o->epsilon * correct2);
    job.shrink = (float)(1 - rate * o->weight_decay);
    pool_run(pool, step_chunk, &job, a->n_chunks);
    return length;
}

/* ---- the rate ---- */

double schedule_rate(const Schedule *s, int64_t step)
{
    if (step <= s->warm_up) return s->rate * (double)step / (double)(s->warm_up ? s->warm_up : 1);
    const int64_t n = s->n_steps - s->warm_up;
    const double done = n > 0 ? (double)(step - s->warm_up) / (double)n : 1;
    const double pi = 3.14159265358979323846;
    return s->final_rate + (s->rate - s->final_rate) * 0.5 * (1 + cos(pi * (done < 1 ? done : 1)));
}
