/* SPDX-License-Identifier: Apache-2.0
 * tests/train/in_double.h - put before every file of a second build of src/train, in which float is double.
 *
 * A difference of two losses in float has no digits left, so gradients are checked in double.  The files are the
 * same to the letter: what they compute is shown to be right, and how floats round it is another test's business.
 * System headers come first, because they mean float when they say it. */
#ifndef TESTS_TRAIN_IN_DOUBLE_H
#define TESTS_TRAIN_IN_DOUBLE_H

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define float double
#undef fmaf
#define fmaf fma

#endif
