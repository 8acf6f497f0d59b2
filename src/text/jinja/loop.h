/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/loop.h - {% for %} and the variable `loop`. */
#ifndef TEXT_JINJA_LOOP_H
#define TEXT_JINJA_LOOP_H

#include "text/jinja/vm.h"

/* *flow: what `else` says to the loop around. */
Status run_for(Vm *vm, const Node *node, Scope *scope, Text *out, Flow *flow);

#endif
