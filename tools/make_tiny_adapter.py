#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make_tiny_adapter.py - adapters with random pairs for the models of make_tiny.py: docs/format/adapter.md.

    make_tiny_adapter.py mixtral -o adapter.gguf [--rank 4] [--alpha 8] [--type f16] [--seed 1] [--experts 1,3] [--named]

Of such a size that they change what a model says, and that it still says something: a pair's answer is about a
third of its matrix' own.
"""
import argparse
import os
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import make_tiny                        # noqa: E402
from make_tiny import F32, TEXT, setting, write_gguf        # noqa: E402

STRENGTH = 0.3
ROLES = ('q', 'k', 'v', 'o', 'router', 'gate', 'up', 'down', 'out')


def matrices(s):
    """(role, layer, name, experts or 0, rows, columns) of everything that can be adapted."""
    H, K = s.heads * s.d, s.kv_heads * s.d
    for l in range(s.L):
        for role, name, rows, cols in (('q', 'attn_q', H, s.D), ('k', 'attn_k', K, s.D), ('v', 'attn_v', K, s.D),
                                       ('o', 'attn_output', s.D, H)):
            yield role, l, 'blk.%d.%s.weight' % (l, name), 0, rows, cols
        if s.E:
            yield 'router', l, 'blk.%d.ffn_gate_inp.weight' % l, 0, s.E, s.D
        for role, rows, cols in (('gate', s.F, s.D), ('up', s.F, s.D), ('down', s.D, s.F)):
            yield role, l, 'blk.%d.ffn_%s%s.weight' % (l, role, '_exps' if s.E else ''), s.E, rows, cols
    if not s.tied:
        yield 'out', 0, 'output.weight', 0, s.V, s.D


def pair(rng, experts, rows, cols, rank):
    lead = (experts,) if experts else ()
    a = rng.standard_normal(lead + (rank, cols)).astype(np.float32) / np.float32(np.sqrt(cols))
    b = rng.standard_normal(lead + (rows, rank)).astype(np.float32) * np.float32(STRENGTH / np.sqrt(rank))
    return a, b


def tensors_of(shape, seed, rank, kind, roles=ROLES, experts=None, named=False, scale=1.0):
    """[(name, type, array)].  experts: which of a stack are adapted, the others have zeros, or with `named` nothing."""
    rng, out = np.random.default_rng(seed), []
    for role, l, name, n, rows, cols in matrices(shape):
        if role not in roles:
            continue
        a, b = pair(rng, n, rows, cols, rank)
        b = (b / np.float32(scale)).astype(np.float32)
        if n and experts is not None:
            b[[e for e in range(n) if e not in experts]] = 0
        if n and named:
            for e in range(n) if experts is None else experts:
                one = 'blk.%d.ffn_%s.%d.weight' % (l, role, e)
                out += [(one + '.lora_a', kind, a[e]), (one + '.lora_b', kind, b[e])]
        else:
            out += [(name + '.lora_a', kind, a), (name + '.lora_b', kind, b)]
    return out


def settings_of(alpha, arch='llama', type_='adapter', of='lora'):
    return [setting('general.architecture', TEXT, arch), setting('general.type', TEXT, type_),
            setting('general.name', TEXT, 'tiny adapter'), setting('adapter.type', TEXT, of),
            setting('adapter.lora.alpha', F32, alpha)]


def make_adapter(path, shape, seed=1, rank=4, alpha=8.0, kind='F32', **how):
    """b is divided by alpha / rank, so that strength does not depend on them."""
    scale = alpha / rank if alpha else 1.0
    write_gguf(path, settings_of(alpha), tensors_of(shape, seed, rank, kind, scale=scale, **how))
    return path


def main():
    parser = argparse.ArgumentParser(description='An adapter with random pairs.')
    parser.add_argument('shape', choices=sorted(make_tiny.SHAPES))
    parser.add_argument('-o', '--output', required=True)
    parser.add_argument('--rank', type=int, default=4)
    parser.add_argument('--alpha', type=float, default=8.0)
    parser.add_argument('--type', default='f32')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--experts', help='adapt these of every layer alone')
    parser.add_argument('--named', action='store_true', help='one pair of tensors for each expert')
    o = parser.parse_args()
    experts = [int(e) for e in o.experts.split(',')] if o.experts else None
    make_adapter(o.output, make_tiny.SHAPES[o.shape], o.seed, o.rank, o.alpha, o.type.upper(), experts=experts, named=o.named)


if __name__ == '__main__':
    main()
