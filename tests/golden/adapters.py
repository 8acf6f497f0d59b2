# SPDX-License-Identifier: Apache-2.0
"""adapters.py - LoRA: the engine with adapters, and models they were merged into, against numpy in float64.

The oracle computes x . W^T + scale * (x . a^T) . b^T with the halves as they are; neither adds them to W nor joins them.
Alone it compares with llama.cpp, where that is at hand (peer.py says how to get it):

    adapters.py --mixt PATH --reference PATH --peer DIR
"""
import argparse
import os
import sys
import tempfile

import golden
import make_tiny
import make_tiny_adapter as maker
import numpy as np
import oracle
import oracle_files

# Merged and at run time: W + b * a is rounded to float once, 2^-25 of each number, as cpu rounds elsewhere.
MERGED = golden.CPU_F32
IDS = golden.IDS[:24]
ALL_SHAPES = ('mixtral', 'odd', 'dense', 'tied', 'wide-heads', 'top4of16', 'wide256')


def teach(model, adapters):
    """adapters: [(path, scale)].  The oracle's own reading of the files."""
    model.low = {}
    for path, given in adapters:
        file = oracle_files.Gguf(path)
        alpha = file.settings.get('adapter.lora.alpha', 0.0)
        for name in file.entries:
            if not name.endswith('.lora_a'):
                continue
            a, b = file.tensor(name), file.tensor(name[:-1] + 'b')
            scale = given * alpha / b.shape[-1] if alpha else given
            for key, x, y in places(model, name[:-len('.lora_a')], a, b):
                model.low.setdefault(key, []).append((x, scale * y))
    return model


def places(model, name, a, b):
    """Which matrices of the oracle a pair adapts."""
    for l in range(model.L):
        for role in ('q', 'k', 'v', 'o', 'router', 'dense_gate', 'dense_up', 'dense_down'):
            if name == oracle_files.GGUF_NAMES[role].format(l=l, e=0):
                yield (role, l), a, b
        for role in ('gate', 'up', 'down'):
            for e in range(model.E):
                if name == 'blk.%d.ffn_%s_exps.weight' % (l, role):
                    yield (role, l, e), a[e], b[e]
                if name == oracle_files.GGUF_NAMES[role].format(l=l, e=e):
                    yield (role, l, e), a, b
    if name == oracle_files.GGUF_NAMES['out']:
        yield ('out',), a, b


def options(adapters):
    out = []
    for path, scale in adapters:
        out += ['--lora', path if scale == 1 else '%s:%g' % (path, scale)]
    return out


def clear_case(bench, shape, kind, make):
    """A model and adapters whose routes do not hang by a hair: (path, adapters, oracle's logits)."""
    for seed in range(1, 60):
        path = make_tiny.make_gguf(bench.path('model.gguf'), shape, seed, kind)
        adapters = make(seed)
        run = oracle.Run(teach(oracle_files.open_model(path), adapters))
        want = run.feed(IDS)
        if not shape.E or shape.U == shape.E or run.margin > golden.MARGIN:
            return path, adapters, want
        os.remove(path)
    raise AssertionError('no seed with clear routes')


def against(bench, words, path, adapters, want):
    for way, bound in ((['--device', 'ref'], golden.REF_F32), ([], golden.CPU_F32), (['--cpu', 'ref'], golden.CPU_F32)):
        got = golden.array(bench.logits(path, IDS, '--kv', 'f32', *way, *options(adapters)))
        golden.close(bench, '%s%s' % (words, ', ' + ' '.join(way) if way else ''), want, got, bound)


def one(bench, name):
    shape = make_tiny.SHAPES[name]
    path, adapters, want = clear_case(bench, shape, 'F32', lambda seed: [
        (maker.make_adapter(bench.path('a.gguf'), shape, seed, rank=5), 1)])
    plain = golden.array(bench.logits(path, IDS, '--kv', 'f32'))
    bench.check(oracle.relative_l2(plain, want) > 0.05, '%s: the adapter says something' % name)
    against(bench, name, path, adapters, want)
    merged = bench.path('merged.gguf')
    bench.ask('lora', 'merge', path, '%s:1' % adapters[0][0], '-o', merged)
    golden.close(bench, '%s, merged' % name, want, golden.array(bench.logits(merged, IDS, '--kv', 'f32')), MERGED)


def kinds(bench):
    """Several adapters, other types, ranks and scales; some experts; experts by name."""
    shape = make_tiny.SHAPES['mixtral']
    cases = {
        'two adapters, one halved': lambda seed: [
            (maker.make_adapter(bench.path('a.gguf'), shape, seed, rank=3, alpha=0.0), 0.5),
            (maker.make_adapter(bench.path('b.gguf'), shape, seed + 100, rank=8, roles=('q', 'gate', 'down')), 1)],
        'F16, rank 1': lambda seed: [(maker.make_adapter(bench.path('a.gguf'), shape, seed, rank=1, kind='F16'), 1)],
        'BF16, rank 130, taken away': lambda seed: [
            (maker.make_adapter(bench.path('a.gguf'), shape, seed, rank=130, kind='BF16'), -0.5)],
        'Q8_0, rank 32, attention alone': lambda seed: [
            (maker.make_adapter(bench.path('a.gguf'), shape, seed, rank=32, kind='Q8_0', roles=('q', 'k', 'v', 'o')), 1)],
        'experts 1 and 6': lambda seed: [(maker.make_adapter(bench.path('a.gguf'), shape, seed, experts=[1, 6]), 1)],
        'experts 1 and 6 by name': lambda seed: [
            (maker.make_adapter(bench.path('a.gguf'), shape, seed, experts=[1, 6], named=True), 1)],
        'the router alone': lambda seed: [(maker.make_adapter(bench.path('a.gguf'), shape, seed, roles=('router',)), 1)],
    }
    for words, make in cases.items():
        bench.attempt(words, lambda bench: against(bench, words, *clear_case(bench, shape, 'F32', make)))


def formats(bench, kind):
    """Over weights in blocks: device ref against float64 on the decoded weights; cpu the same bytes in every way."""
    shape = make_tiny.SHAPES['wide256']
    path, adapters, want = clear_case(bench, shape, kind, lambda seed: [
        (maker.make_adapter(bench.path('a.gguf'), shape, seed, rank=16, kind='F16'), 1)])
    got = golden.array(bench.logits(path, IDS, '--kv', 'f32', '--device', 'ref', *options(adapters)))
    golden.close(bench, '%s, --device ref' % kind, want, got, golden.REF_F32)
    golden.bits(bench, kind, path, golden.LONG[:100], *options(adapters))
    few = bench.logits(path, golden.LONG[:100], '--threads', '1', '--ubatch', '100', *options(adapters))
    golden.same(bench, '%s, two experts in memory' % kind, few, bench.logits(
        path, golden.LONG[:100], '--expert-slots', '2', *options(adapters)))
    merged = bench.path('merged.gguf')
    bench.ask('lora', 'merge', path, adapters[0][0], '-o', merged)
    stored = oracle_files.open_model(path).store, oracle_files.open_model(merged).store
    bench.check(all(stored[0].type_name(n) == stored[1].type_name(n) for n in stored[0].entries),
                '%s, merged: formats are as they were' % kind)
    if kind == 'Q8_0':
        stored_anew(bench, path, adapters, merged)


def stored_anew(bench, path, adapters, merged):
    """Q8_0: every number of a merged matrix is W + b * a, off by half a step of its block (its largest / 127) and by the
    rounding of the step to a half, 2^-11 of the number; 2^-20 for everything in floats."""
    before, after = teach(oracle_files.open_model(path), adapters), oracle_files.open_model(merged)
    worst = 0.0
    for key, pairs in before.low.items():
        want, got = before.w(*key) + sum(b @ a for a, b in pairs), after.w(*key)
        largest = np.max(np.abs(want.reshape(-1, 32)), axis=1, keepdims=True)
        bound = largest / 254 * (1 + 2.0 ** -11) + np.abs(want.reshape(-1, 32)) * (2.0 ** -11 + 2.0 ** -20)
        if after.in_blocks(*key):
            worst = max(worst, np.max(np.abs(got - want).reshape(-1, 32) / bound))
    bench.check(0.5 < worst <= 1, 'Q8_0, merged: numbers are off by at most %.3f of what a block allows' % worst)


def nothing(bench):
    """What says nothing changes nothing: zeros, scale 0, and every container alike."""
    shape = make_tiny.SHAPES['mixtral']
    path = make_tiny.make_gguf(bench.path('model.gguf'), shape)
    plain = bench.logits(path, IDS)
    zeros = maker.make_adapter(bench.path('zeros.gguf'), shape, experts=[], roles=('gate', 'up', 'down'))
    golden.same(bench, 'zeros in b', plain, bench.logits(path, IDS, '--lora', zeros))
    some = maker.make_adapter(bench.path('some.gguf'), shape)
    golden.same(bench, 'scale 0', plain, bench.logits(path, IDS, '--lora', some + ':0'))
    adapted = bench.logits(path, IDS, '--lora', some)
    folder = bench.path('folder')
    make_tiny.make_hf(folder, shape)
    golden.same(bench, 'a folder of Hugging Face with an adapter', adapted, bench.logits(folder, IDS, '--lora', some))
    older = make_tiny.make_gguf(bench.path('older.gguf'), shape, older=True)
    golden.same(bench, 'one tensor per expert', adapted, bench.logits(older, IDS, '--lora', some))
    one_by_one = maker.make_adapter(bench.path('named.gguf'), shape, named=True)
    golden.same(bench, 'experts by name', adapted, bench.logits(path, IDS, '--lora', one_by_one))
    merged, again = bench.path('merged.gguf'), bench.path('again.gguf')
    bench.ask('lora', 'merge', path, some + ':0', '-o', merged)
    bench.ask('convert', path, '-o', again)
    with open(merged, 'rb') as one_file, open(again, 'rb') as other:
        bench.check(one_file.read() == other.read(), 'merged with scale 0: the bytes of a plain conversion')


def part_adapters(bench):
    for name in ALL_SHAPES:
        bench.attempt(name, one, name)
    bench.attempt('kinds', kinds)
    bench.attempt('nothing', nothing)
    for kind in ('F16', 'Q8_0', 'Q4_0', 'Q4_K', 'Q6_K'):
        bench.attempt(kind, formats, kind)


# ---- alone ----


def with_peer(bench, folder):
    import peer as peers
    its = peers.Peer(folder)
    for name in ('mixtral', 'wide256', 'dense', 'top4of16'):
        shape = make_tiny.SHAPES[name]
        for words, how in (('all', {}), ('two experts', {'experts': [0, 2]}), ('F16', {'kind': 'F16'})):
            path, adapters, want = clear_case(bench, shape, 'F32', lambda seed: [
                (maker.make_adapter(bench.path('a.gguf'), shape, seed, rank=8, alpha=16.0, **how), 0.75)])
            ours = golden.array(bench.logits(path, IDS, '--kv', 'f32', *options(adapters)))
            theirs, = its.logits(path, [IDS], peers.F32, adapters)
            golden.close(bench, '%s, %s: ours against float64' % (name, words), want, ours, golden.CPU_F32)
            golden.close(bench, '%s, %s: llama.cpp against float64' % (name, words), want, theirs,
                         golden.CPU_F16 if words == 'F16' else golden.CPU_F32)   # it rounds what meets F16 to F16


def main():
    parser = argparse.ArgumentParser(description='Adapters beside llama.cpp.')
    parser.add_argument('--mixt', required=True)
    parser.add_argument('--reference', default='')
    parser.add_argument('--peer', required=True)
    given = parser.parse_args()
    given.quick = True
    with tempfile.TemporaryDirectory(prefix='mixt-adapters-') as scratch:
        bench = golden.Bench(given, scratch)
        with_peer(bench, given.peer)
        print('%d passed, %d failed' % (bench.passed, bench.failed))
    return 1 if bench.failed else 0


if __name__ == '__main__':
    sys.exit(main())
