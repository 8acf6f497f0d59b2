/* SPDX-License-Identifier: Apache-2.0
 * apps/suggest.c - did you mean: the nearest word by edits, where swapping two neighbours is one.
 */
#include "options.h"

#include <string.h>

enum { WORD_MAX = 40 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Optimal string alignment distance. */
static int edits(const char *a, const char *b)
{
    const int m = (int)strlen(a), n = (int)strlen(b);
    if (m > WORD_MAX || n > WORD_MAX) return WORD_MAX;
    int d[WORD_MAX + 1][WORD_MAX + 1];
    for (int i = 0; i <= m; i++) d[i][0] = i;
    for (int j = 0; j <= n; j++) d[0][j] = j;
    for (int i = 1; i <= m; i++) {
        for (int j = 1; j <= n; j++) {
            d[i][j] = least(d[i - 1][j - 1] + (a[i - 1] != b[j - 1]),
                            least(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[m][n];
}

Nearest nearest_to(const char *asked)
{
    /* A third of the letters may be wrong; more would be a guess. */
    const int n_letters = (int)(strlen(asked) - strspn(asked, "-/"));
    return (Nearest){ .asked = asked, .distance = 1 + (n_letters > 3 ? n_letters : 3) / 3 };
}

void nearest_offer(Nearest *nearest, const char *candidate)
{
    const size_t n        = strlen(nearest->asked);
    const bool begins =
        n - strspn(nearest->asked, "-/") >= 3 && strncmp(nearest->asked, candidate, n) == 0;
    const int    distance = begins ? 1 : edits(nearest->asked, candidate);
    if (distance < nearest->distance) {
        nearest->word     = candidate;
        nearest->distance = distance;
    }
}
