/* SPDX-License-Identifier: Apache-2.0
 * quantize/shares.c - from wanted shares of routing to offsets of router scores.
 *
 * Scores are offset[e] + z[e] with independent standard normal z.  Expert e is chosen when fewer
 * than U of the others lie above it:
 *
 *     P(e) = integral of phi(t - offset[e]) * P(fewer than U of the others exceed t) dt
 *
 * The number of others above t is a sum of independent coins; its distribution, cut off at U, is
 * built from the front and from the back, so that leaving one expert out costs U operations.  The
 * trapezoid rule does: the integrand decays like a normal density, and its narrowest feature, the
 * U-th largest of 1024 experts, has a deviation of two steps. */
#include "quantize/shares.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double MOST = 0.99, STEP = 0.03125, REACH = 6.5;

void zipf_shares(int n_experts, int n_used, double skew, double *shares)
{
    const double cap = MOST / n_used;
    int n_capped = 0;
    if (n_used >= n_experts) {                          /* everybody, always                    */
        for (int e = 0; e < n_experts; e++) shares[e] = 1.0 / n_experts;
        return;
    }
    for (;;) {                                          /* falling: whoever is capped is first  */
        double sum = 0.0;
        for (int e = n_capped; e < n_experts; e++) sum += pow(e + 1, -skew);
        const double left = 1.0 - n_capped * cap;
        for (int e = 0; e < n_experts; e++)
            shares[e] = e < n_capped ? cap : left * pow(e + 1, -skew) / sum;
        if (n_capped == n_used || shares[n_capped] <= cap) return;
        n_capped++;
    }
}

typedef struct Coins {
    int     n_experts, n_used;
    double *above;                  /* [E] chance to exceed t                               */
    double *front, *back; /* [E + 1][U] chances of k above among the first e, the last E - e */
} Coins;

static Status coins_new(int n_experts, int n_used, Coins *out, Error *error)
{
    const size_t n = (size_t)n_experts, table = (n + 1) * (size_t)n_used;
    *out = (Coins){ n_experts, n_used, calloc(n, sizeof(double)), calloc(table, sizeof(double)),
                    calloc(table, sizeof(double)) };
    return out->above && out->front && out->back ? OK : fail_memory(error, "the shares of experts");
}

static void coins_free(Coins *c)
{
    free(c->above);
    free(c->front);
    free(c->back);
}

static void add_coin(double *to, const double *from, double above, int n_used)
{
    to[0] = from[0] * (1 - above);
    for (int k = 1; k < n_used; k++) to[k] = from[k] * (1 - above) + from[k - 1] * above;
}

static void toss(Coins *c, const double *offsets, double t)
{
    const int n = c->n_experts, u = c->n_used;
    for (int e = 0; e < n; e++) c->above[e] = 0.5 * erfc((t - offsets[e]) * M_SQRT1_2);
    for (int k = 0; k < u; k++) c->front[k] = c->back[n * u + k] = k == 0;
    for (int e = 0; e < n; e++) add_coin(c->front + (e + 1) * u, c->front + e * u, c->above[e], u);
    for (int e = n - 1; e >= 0; e--)
        add_coin(c->back + e * u, c->back + (e + 1) * u, c->above[e], u);
}

/* P(fewer than U above t) when expert e does not count. */
static double room_for(const Coins *c, int e)
{
    const double *front = c->front + e * c->n_used, *back = c->back + (e + 1) * c->n_used;
    double chance = 0.0, back_below = 0.0;
    for (int k = 0; k < c->n_used; k++) {               /* k behind, fewer than U - k before    */
        back_below += back[k];
        chance += front[c->n_used - 1 - k] * back_below;
    }
    return chance;
}

static void chosen_with(Coins *c, const double *offsets, double *chosen)
{
    double low = INFINITY, high = -INFINITY;
    for (int e = 0; e < c->n_experts; e++) {
        low = fmin(low, offsets[e]);
        high = fmax(high, offsets[e]);
        chosen[e] = 0.0;
    }
    for (double t = low - REACH; t <= high + REACH; t += STEP) {
        toss(c, offsets, t);
        for (int e = 0; e < c->n_experts; e++) {
            const double z = t - offsets[e];
            chosen[e] += STEP * exp(-0.5 * z * z) / sqrt(2 * M_PI) * room_for(c, e);
        }
    }
}

Status chosen_shares(int n_experts, int n_used, const double *offsets, double *chosen, Error *error)
{
    Coins coins;
    const Status status = coins_new(n_experts, n_used, &coins, error);
    if (status == OK) chosen_with(&coins, offsets, chosen);
    coins_free(&coins);
    return status;
}

static double log_odds(double p)
{
    return log(p / (1 - p));
}

/* How fast the log odds of a normal tail grow with the offset: 1.6 in the middle, z far out. */
static double slope(double p)
{
    return fmax(1.7, sqrt(-2 * log(fmin(p, 1 - p))));
}

/* One Newton step towards the wanted shares, as if each expert were alone; the largest error that
 * it found, in log odds. */
static double improve(const Coins *c, const double *shares, const double *chosen, double *offsets)
{
    double worst = 0.0, mean = 0.0;
    for (int e = 0; e < c->n_experts; e++) {
        const double got = fmin(fmax(chosen[e], 1e-12), 1 - 1e-12);
        const double miss = log_odds(shares[e] * c->n_used) - log_odds(got);
        worst = fmax(worst, fabs(miss));
        offsets[e] += fmin(fmax(miss, -2), 2) / slope(got);
        mean += offsets[e] / c->n_experts;
    }
    for (int e = 0; e < c->n_experts; e++) offsets[e] -= mean;
    return worst;
}

Status share_offsets(int n_experts, int n_used, const double *shares, double *offsets, Error *error)
{
    memset(offsets, 0, (size_t)n_experts * sizeof *offsets);
    if (n_used >= n_experts) return OK;
    Coins coins;
    double *chosen = calloc((size_t)n_experts, sizeof *chosen), worst = INFINITY;
    Status status = coins_new(n_experts, n_used, &coins, error);
    if (status == OK && !chosen) status = fail_memory(error, "the shares of experts");
    for (int round = 0; status == OK && round < 200 && worst > 1e-4; round++) {
        chosen_with(&coins, offsets, chosen);
        worst = improve(&coins, shares, chosen, offsets);
    }
    coins_free(&coins);
    free(chosen);
    if (status == OK && worst > 0.01)
        return fail(error, BAD_ARGUMENT,
                    "router skew: no scores give these shares to %d experts of which %d are used",
                    n_experts, n_used);
    /* Rounded, so that the last bit of another machine's erfc cannot change a file. */
    for (int e = 0; e < n_experts; e++) offsets[e] = round(offsets[e] * 4096) / 4096;
    return status;
}
