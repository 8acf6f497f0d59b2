/* SPDX-License-Identifier: Apache-2.0
 * apps/heat.c - see heat.h. */
#include "heat.h"

#include <stdio.h>

/* The same ramp twice: names of the 256-colour cube, and red, green, blue. */
enum { N_SHADES = 8 };
static const int           cube[N_SHADES]    = { 16, 17, 54, 90, 162, 203, 215, 229 };
static const unsigned char ramp[N_SHADES][3] = {{8, 8, 24},     {24, 16, 84},   {78, 18, 122},
                                                {135, 33, 128}, {190, 55, 110}, {236, 90, 82},
                                                {252, 156, 96}, {252, 235, 160}};

void heat_begin(Colour colour, double warmth)
{
    const double at = warmth * (N_SHADES - 1);
    const int    i  = (int)(at + 0.5);
    const int    ink = i >= 5 ? 16 : 255;
    if (colour == COLOUR_256) fprintf(stderr, "\033[48;5;%d;38;5;%dm", cube[i], ink);
    if (colour != COLOUR_TRUE) return;
    const int    low = (int)at, high = low < N_SHADES - 1 ? low + 1 : low;
    int          rgb[3];
    for (int c = 0; c < 3; c++)
        rgb[c] = (int)(ramp[low][c] + (at - low) * (ramp[high][c] - ramp[low][c]));
    fprintf(stderr, "\033[48;2;%d;%d;%d;38;5;%dm", rgb[0], rgb[1], rgb[2], ink);
}

void heat_end(Colour colour)
{
    if (colour != COLOUR_NONE) fputs("\033[0m", stderr);
}

double heat_full(int64_t n_experts, int64_t n_used)
{
    const double even = 1.0 / (double)n_experts, most = 1.0 / (double)n_used;
    return 2 * even < most ? 2 * even : most;
}
