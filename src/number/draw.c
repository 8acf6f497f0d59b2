/* SPDX-License-Identifier: Apache-2.0
 * number/draw.c - random quants and numbers, fast enough to keep a disk busy.
 *
 * A table of equally likely values turns random bits into numbers that are about normal; the tails
 * beyond 2.9 deviations are missing.  The values are written out here rather than computed, so that
 * a seed gives the same file on every machine. */
#include "number/codec.h"

#include <math.h>
#include <string.h>

/* Upper half of 256 equally likely values: the normal distribution's quantile at (k + 128.5) / 256.
 */
static const float upper_quantile[128] = {
    0.00490f, 0.01469f, 0.02448f, 0.03428f, 0.04408f, 0.05388f, 0.06369f, 0.07350f,
    0.08332f, 0.09315f, 0.10299f, 0.11284f, 0.12270f, 0.13257f, 0.14246f, 0.15236f,
    0.16227f, 0.17220f, 0.18215f, 0.19211f, 0.20209f, 0.21210f, 0.22212f, 0.23217f,
    0.24224f, 0.25234f, 0.26246f, 0.27261f, 0.28278f, 0.29299f, 0.30322f, 0.31349f,
    0.32379f, 0.33413f, 0.34450f, 0.35491f, 0.36536f, 0.37585f, 0.38638f, 0.39695f,
    0.40756f, 0.41823f, 0.42894f, 0.43970f, 0.45051f, 0.46137f, 0.47229f, 0.48327f,
    0.49430f, 0.50540f, 0.51655f, 0.52777f, 0.53906f, 0.55042f, 0.56185f, 0.57335f,
    0.58493f, 0.59659f, 0.60833f, 0.62015f, 0.63207f, 0.64407f, 0.65616f, 0.66836f,
    0.68065f, 0.69305f, 0.70555f, 0.71816f, 0.73089f, 0.74374f, 0.75672f, 0.76982f,
    0.78306f, 0.79643f, 0.80995f, 0.82362f, 0.83744f, 0.85143f, 0.86558f, 0.87991f,
    0.89443f, 0.90913f, 0.92403f, 0.93915f, 0.95447f, 0.97003f, 0.98583f, 1.00187f,
    1.01818f, 1.03476f, 1.05163f, 1.06881f, 1.08631f, 1.10414f, 1.12234f, 1.14091f,
    1.15989f, 1.17929f, 1.19915f, 1.21950f, 1.24036f, 1.26177f, 1.28378f, 1.30643f,
    1.32977f, 1.35386f, 1.37876f, 1.40455f, 1.43130f, 1.45912f, 1.48812f, 1.51843f,
    1.55020f, 1.58362f, 1.61890f, 1.65632f, 1.69622f, 1.73902f, 1.78526f, 1.83567f,
    1.89123f, 1.95332f, 2.02401f, 2.10655f, 2.20658f, 2.33523f, 2.52050f, 2.88563f
};

float normal_quantile(int k)
{
    return k < 128 ? -upper_quantile[127 - k] : upper_quantile[k - 128];
}

/* Sixty-four equally likely quants: bucket k of 64 stands for values 4k to 4k + 3 of 256. */
static void quants_of_buckets(uint8_t q[64], int low, int high, float centre)
{
    const float reach = (float)high - centre;           /* quants from the centre to the end */
    const float half = reach - floorf(reach);           /* 0.5 when quants lie around the centre */
    const float per_deviation = reach / 2.3f;           /* the last bucket stands at 2.3     */
    for (int k = 0; k < 64; k++) {
        /* The lower half mirrors the upper, so the mean is exactly the centre. */
        const float z = normal_quantile(k < 32 ? 4 * (63 - k) + 1 : 4 * k + 1);
        const float out = roundf(z * per_deviation + half) - half;
        q[k] = (uint8_t)nearest(k < 32 ? centre - out : centre + out, low, high);
    }
}

void draw_table(DrawTable *table, int low, int high, float centre)
{
    uint8_t q[64];
    quants_of_buckets(q, low, high, centre);
    double squares = 0.0;
    for (int a = 0; a < 64; a++) {
        squares += ((double)q[a] - (double)centre) * ((double)q[a] - (double)centre);
        for (int b = 0; b < 64; b++) {
            table->pair[a * 64 + b][0] = q[a];
            table->pair[a * 64 + b][1] = q[b];
        }
    }
    table->deviation = (float)sqrt(squares / 64.0);
}

/* Sixty-four random bits make five pairs; the last four bits are dropped.  n is even. */
void draw_quants(const DrawTable *table, uint8_t *q, int n, Rng *rng)
{
    int i = 0;
    for (; i + 10 <= n; i += 10) {
        const uint64_t bits = rng_bits(rng);
        for (int pair = 0; pair < 5; pair++)
            memcpy(q + i + 2 * pair, table->pair[bits >> (12 * pair) & 4095], 2);
    }
    const uint64_t bits = rng_bits(rng);
    for (int pair = 0; i < n; i += 2, pair++)
        memcpy(q + i, table->pair[bits >> (12 * pair) & 4095], 2);
}

float draw_normal(Rng *rng)
{
    const uint64_t bits = rng_bits(rng);
    const int sum = (int)(bits & 65535) + (int)(bits >> 16 & 65535) + (int)(bits >> 32 & 65535) +
                    (int)(bits >> 48);
    /* The sum has mean 2 * 65535 and variance 4 * (65536^2 - 1) / 12. */
    return (float)(sum - 131070) * (1.7320508f / 65536.0f);
}
