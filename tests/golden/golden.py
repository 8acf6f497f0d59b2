#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""golden.py - do the engine, reference/mixtral.c and the numpy oracle say the same?

    golden.py --self   --reference PATH                  the two oracles against each other
    golden.py [PART..] --reference PATH --mixt PATH      the engine against both

Parts: agree (logits and routes of every shape), folders (the same bytes from every container and from
converted files), bits (the same bytes whatever threads and prompt cutting), formats (every storage
format against float64, and against float64 with activations of eight bits), stories (a real trained
model, when the data folder is there), adapters (LoRA: adapters.py).  --cpu runs all of it on one instruction set.

Every check prints what it compared and what it measured.  Exit: 0, 1 when a check failed, 77 when numpy
is missing.  Bounds stand in the table below and nowhere else.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')      # tiny matrices: threads only cost
try:
    import numpy as np
except ImportError:
    print('skipped: numpy is not here (Debian: python3-numpy)')
    sys.exit(77)

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, 'tools')]
import make_tiny                                                        # noqa: E402
import make_tiny_blocks as blocks                                       # noqa: E402
import oracle                                                           # noqa: E402
import oracle_files                                                     # noqa: E402

# Relative l2 error of logits.  A float sum of n numbers in any sane order is off by about
# sqrt(n) * 2^-24, so some 1e-6 after a few layers; the two oracles differ by the last rounding to
# float (2^-25 of each number).  A half-precision cache rounds keys and values by 2^-12 of each.
ORACLES, REF_F32, CPU_F32, CPU_F16 = 1e-7, 1e-5, 1e-4, 3e-3

# Between cpu and ref a key or value of eight bits may fall otherwise: a whole step, 2 % of a deviation, in
# one of some 64 numbers of one row in 40.
CPU_Q8_0 = 1e-3

# A route that hangs by a hair would test luck.  Rounding a cache to halves moves router scores by
# some 1e-3 here, so seeds are taken whose closest decision is clearer than that.
MARGIN = 3e-3

# Two tokens whose logits are closer than this may change places when the cache is rounded: logits of
# the storyteller spread by about 5, times CPU_F16.
TIE = 0.015

# Weights in blocks meet activations of eight bits on cpu: x = step * q, step = largest of 32 / 127.  A
# rounding is a jump: where float arithmetic is off by d steps, the share 2 d of all numbers comes out a whole
# step away.  One such number moves its row by some 1e-3, by which a few of a hundred numbers jump at the next
# product, and so on: a few products later the two are as far apart as two independent roundings.  So there
# are two checks.
#
# Sharp: rows before the first jump.  No number is larger than 127 steps, float arithmetic up to there is
# off by less than 8e-7 of it, so a rounding farther than 127 * 8e-7 steps from its tie falls the same way
# everywhere.  Cases are taken whose first FRONT rows have only such roundings and clear routes; there the
# engine and the oracle that rounds to eight bits may differ as floats do.
HAIR, FRONT, FRONT_CLOSE = 1e-4, 6, 1e-5
#
# Broad: all rows.  An error of a rounding is uniform in half a step around its number and independent of the
# next one's.  The oracle throws such errors with dice, on the experts that the engine asked: that is how far
# from exact activations the engine should be.  Three throws differ by 3 % in what they do to two dozen rows;
# LUCK leaves room for what is not quite independent.  Between engine and oracle there are two such errors.
LUCK = 1.5
# An expert that leads by less than what the dice do to router scores may lose: four deviations of the
# difference of two scores.
STRAY = 4 * 2 ** 0.5
# And so may a token; both that text and the oracle's are rounded, each in two logits that are compared.
# The median of nine throws, as some throws ask another expert.
TOKEN = 4 * 2

IDS = [1] + [3 + (37 * i * i + 11 * i) % 317 for i in range(39)]        # 40 rows, all over the vocabulary
LONG = [1] + [3 + (53 * i * i + 7 * i) % 317 for i in range(299)]       # 300 rows, over every page edge
SIXTEEN_BITS = ('F16', 'BF16')
PROMPT, PROMPT_IDS = 'Once upon a time', [1, 403, 407, 261, 378]

# What another engine wrote for PROMPT at temperature 0; ours goes on from there.
LILY = (', there was a little girl named Lily. She loved to play outside in the park. One day, she saw a '
        'big, red ball. She wanted to play with it, but it was too high.\nLily')
COOKIES = (", there was a little girl named Lily. She loved to play outside in the park with her friends. "
           "One day, Lily's mommy told her that she was going to buy some cookies")


class Failed(Exception):
    """A program that did not do what it was asked."""


class Bench:
    """The programs, a scratch folder, the tally."""

    def __init__(self, options, scratch):
        self.reference, self.mixt, self.quick = options.reference, options.mixt, options.quick
        self.cpu = getattr(options, 'cpu', None)
        self.scratch, self.made = scratch, 0
        self.passed = self.failed = self.skipped = 0

    def check(self, ok, words):
        self.passed, self.failed = self.passed + bool(ok), self.failed + (not ok)
        print('%s %s' % ('ok    ' if ok else 'FAILED', words), flush=True)

    def skip(self, words):
        self.skipped += 1
        print('skip   ' + words, flush=True)

    def path(self, name):
        """A new name in the scratch folder."""
        self.made += 1
        return os.path.join(self.scratch, '%03d-%s' % (self.made, name))

    def ask(self, command, *options):
        """Standard output of mixt, on the instruction set that was asked for."""
        if self.cpu and '--cpu' not in options and 'ref' not in options:        # device ref has none
            options += ('--cpu', self.cpu)
        return self.run(self.mixt, command, *options)

    def run(self, *command):
        done = subprocess.run(command, capture_output=True, timeout=300, stdin=subprocess.DEVNULL)
        if done.returncode:
            words = done.stderr.decode(errors='replace').strip().splitlines() or ['']
            raise Failed('%s: exit %d: %s' % (' '.join(command)[:200], done.returncode, words[-1]))
        return done.stdout

    def attempt(self, words, part, *arguments):
        """A program that fails ends the checks about one model, not those about the next."""
        try:
            part(self, *arguments)
        except (Failed, subprocess.TimeoutExpired, OSError, ValueError) as problem:
            self.check(False, '%s: %s' % (words, problem))

    def logits(self, model, ids, *options):
        """The engine's logits: the bytes of the file it wrote."""
        out = os.path.join(self.scratch, 'logits.npy')
        if os.path.exists(out):
            os.remove(out)
        self.ask('logits', model, '--ids', comma(ids), '--all', '-o', out, *options)
        with open(out, 'rb') as file:
            return file.read()

    def routes(self, model, ids, *options):
        r, w = os.path.join(self.scratch, 'r.npy'), os.path.join(self.scratch, 'w.npy')
        self.ask('routes', model, '--ids', comma(ids), '-o', r, '--weights', w, *options)
        return np.load(r), np.load(w)

    def ask_reference(self, model, ids):
        names = [os.path.join(self.scratch, 'reference-%s.npy' % word) for word in 'lrw']
        self.run(self.reference, model, '--ids', comma(ids), '--all', '-o', names[0],
                 '--routes', names[1], '--weights', names[2])
        return [np.load(name) for name in names]


def comma(ids):
    return ','.join(map(str, ids))


def array(raw):
    """The array in the bytes of an NPY file."""
    import io
    return np.load(io.BytesIO(raw))


def seed_for(shape, ids, kind='F32'):
    """The first seed whose routes are clear, and the oracle's margin there."""
    if not shape.E or shape.U == shape.E:
        return 1
    path = os.path.join(tempfile.gettempdir(), 'golden-%d.gguf' % os.getpid())
    for seed in range(1, 200):
        make_tiny.make_gguf(path, shape, seed, kind)
        run = oracle.Run(oracle_files.open_model(path))
        run.feed(ids)
        os.remove(path)
        if run.margin > MARGIN:
            return seed
    raise AssertionError('no seed with clear routes')


def close(bench, words, want, got, bound):
    if got.shape != want.shape or got.dtype != np.float32:
        bench.check(False, '%s: %s %s, wanted float32 %s' % (words, got.dtype, got.shape, want.shape))
        return
    error = oracle.relative_l2(want, got)
    bench.check(error < bound, '%s: relative l2 error %.1e < %.0e' % (words, error, bound))


def same(bench, words, want, got):
    if want == got:
        bench.check(True, '%s: identical, %d bytes' % (words, len(want)))
        return
    a, b = array(want), array(got)
    if a.shape != b.shape:
        bench.check(False, '%s: shapes %s and %s' % (words, a.shape, b.shape))
        return
    rows = np.nonzero(np.any(a != b, axis=-1))[0]
    bench.check(False, '%s: %d of %d numbers differ, first in row %s, relative l2 %.1e'
                % (words, np.count_nonzero(a != b), a.size, rows[:1], oracle.relative_l2(a, b)))


# ---- the oracles against each other --------------------------------------------------------


def part_self(bench):
    for name, shape in make_tiny.SHAPES.items():
        bench.attempt(name, self_shape, name, shape)
    for part in (self_containers, self_formats, self_stories):
        bench.attempt(part.__name__, part)


def self_shape(bench, name, shape):
    seed = seed_for(shape, IDS)
    path = make_tiny.make_gguf(bench.path(name + '.gguf'), shape, seed)
    want, routes, weights = oracle.logits(oracle_files.open_model(path), IDS)
    got, got_routes, got_weights = bench.ask_reference(path, IDS)
    close(bench, '%s: reference, numpy' % name, want, got, ORACLES)
    if shape.E:
        bench.check(np.array_equal(routes, got_routes) and np.allclose(weights, got_weights, atol=1e-7),
                    '%s: routes of reference and numpy equal, %s' % (name, routes.shape))
    folder = make_tiny.make_hf(bench.path(name + '-hf'), shape, seed)
    close(bench, '%s: GGUF, Hugging Face folder' % name, want,
          oracle.logits(oracle_files.open_model(folder), IDS)[0].astype(np.float32), ORACLES)
    folder = make_tiny.make_mistral(bench.path(name + '-mistral'), shape, seed, shards=2)
    close(bench, '%s: GGUF, Mistral folder' % name, want,
          oracle.logits(oracle_files.open_model(folder), IDS)[0].astype(np.float32), ORACLES)


def self_containers(bench):
    shape = make_tiny.SHAPES['mixtral']
    want = bench.ask_reference(make_tiny.make_gguf(bench.path('new.gguf'), shape), IDS)[0]
    older = make_tiny.make_gguf(bench.path('older.gguf'), shape, older=True, version=2)
    close(bench, 'reference: stacked experts, one tensor each in GGUF v2', want,
          bench.ask_reference(older, IDS)[0], ORACLES)
    parts = make_tiny.make_gguf(bench.path('parts.gguf'), shape, split=4)
    close(bench, 'one GGUF file, four parts', want,
          oracle.logits(oracle_files.open_model(parts), IDS)[0].astype(np.float32), ORACLES)
    for kind in SIXTEEN_BITS + ('Q8_0',):
        path = make_tiny.make_gguf(bench.path(kind + '.gguf'), shape, kind=kind)
        close(bench, '%s: reference, numpy' % kind, oracle.logits(oracle_files.open_model(path), IDS)[0],
              bench.ask_reference(path, IDS)[0], ORACLES)


# Relative l2 error of normal numbers after encoding and decoding: a uniform step s gives
# s / sqrt(12), and blocks of 32 normals span about 4 deviations, 16 about 3.5; with margin.
ENCODED = {'F16': 3e-4, 'BF16': 2e-3, 'Q8_0': 7e-3, 'Q6_K': .025, 'Q5_0': .05, 'Q5_1': .05, 'Q5_K': .05,
           'Q4_0': .1, 'Q4_1': .1, 'Q4_K': .1, 'Q3_K': .2, 'Q2_K': .4}


def self_formats(bench):
    x = np.random.default_rng(7).normal(size=(16, 512)).astype(np.float32)
    x[3, :256] = 0
    for kind, bound in ENCODED.items():
        y = oracle_files.decode(blocks.TYPES[kind][0], blocks.encode(kind, x), x.shape)
        error = oracle.relative_l2(x, y)
        bench.check(error < bound and not y[3, :256].any(),
                    '%s: numbers survive encoding: %.1e < %.0e, zeros stay' % (kind, error, bound))


def self_stories(bench):
    for name, want in STORIES.items():
        path = story(bench, name)
        if path:
            words = text_of(path, oracle.greedy(oracle_files.open_model(path), PROMPT_IDS, 60)[0])
            bench.check(words.startswith(want), '%s: numpy writes the known text' % name)
            ids = bench.run(bench.reference, path, '--ids', comma(PROMPT_IDS), '--greedy', '60').split()
            bench.check(text_of(path, map(int, ids)) == words, '%s: reference writes the same' % name)


# ---- the engine against the oracles --------------------------------------------------------


def part_agree(bench):
    for name, shape in make_tiny.SHAPES.items():
        bench.attempt(name, agree, name, shape)


def agree(bench, name, shape):
    path = make_tiny.make_gguf(bench.path(name + '.gguf'), shape, seed_for(shape, IDS))
    want, routes, weights = oracle.logits(oracle_files.open_model(path), IDS)
    reference = bench.ask_reference(path, IDS)[0]
    for device, kv, bound in (('ref', 'f32', REF_F32), ('cpu', 'f32', CPU_F32), ('cpu', 'f16', CPU_F16)):
        got = array(bench.logits(path, IDS, '--device', device, '--kv', kv))
        close(bench, '%s: %s, %s cache, against numpy' % (name, device, kv), want, got, bound)
        close(bench, '%s: %s, %s cache, against reference' % (name, device, kv), reference, got, bound)
    if shape.d % 32 == 0:
        q8_0_cache(bench, name, path)
    last = os.path.join(bench.scratch, 'last.npy')
    bench.ask('logits', path, '--ids', comma(IDS), '-o', last, '--kv', 'f16')
    bench.check(np.array_equal(np.load(last), got[-1]), '%s: without --all, the last row alone' % name)
    if shape.E:
        got_routes, got_weights = bench.routes(path, IDS, '--kv', 'f32')
        bench.check(got_routes.dtype == np.int32 and np.array_equal(got_routes, routes),
                    '%s: routes equal, %s' % (name, routes.shape))
        bench.check(got_weights.dtype == np.float32 and got_weights.shape == weights.shape
                    and np.abs(got_weights - weights).max() < 1e-5,
                    '%s: weights of routes within 1e-5' % name)


def q8_0_cache(bench, name, path):
    """Keys and values of eight bits: as far from exact ones as dice are, and cpu as ref has them."""
    model = oracle_files.open_model(path)
    way = ('--kv', 'q8_0', '--device', 'ref')
    ref, cpu = array(bench.logits(path, IDS, *way)), array(bench.logits(path, IDS, '--kv', 'q8_0'))
    asked = bench.routes(path, IDS, *way)[0] if model.E else None
    exact, thrown = (oracle.Run(model, None, asked, how) for how in (None, oracle.Dice(1)))
    as_thrown(bench, '%s: ref, q8_0 cache' % name, exact, thrown, IDS, ref)
    close(bench, '%s: cpu, q8_0 cache, against ref' % name, ref, cpu, CPU_Q8_0)


def as_thrown(bench, words, exact, thrown, ids, got):
    """The engine's error and its strayed routes are of the size that dice give; see LUCK."""
    want, other = exact.feed(ids), thrown.feed(ids)
    far, noise = oracle.relative_l2(want, got), oracle.relative_l2(want, other)
    bench.check(far < LUCK * noise, '%s: %.1e from exact, where dice are %.1e' % (words, far, noise))
    if exact.follow is not None:
        moved = np.sqrt(np.mean((np.array(thrown.scores) - np.array(exact.scores)) ** 2))
        bench.check(np.max(exact.stray) < STRAY * moved,
                    '%s: experts asked were at most %.1e behind, dice move scores by %.1e'
                    % (words, np.max(exact.stray), moved))
    return noise


def part_folders(bench):
    for name in ('mixtral', 'wide-heads', 'dense', 'tied', 'odd', 'window'):
        bench.attempt(name, containers, name, make_tiny.SHAPES[name])
    bench.attempt('convert --type q8_0', convert_q8_0)


def containers(bench, name, shape):
    path = make_tiny.make_gguf(bench.path(name + '.gguf'), shape)
    want = bench.logits(path, IDS)
    for words, other in (
            ('GGUF v2', make_tiny.make_gguf(bench.path('v2.gguf'), shape, version=2)),
            ('one tensor per expert', make_tiny.make_gguf(bench.path('older.gguf'), shape, older=True)),
            ('GGUF in 3 parts', make_tiny.make_gguf(bench.path('parts.gguf'), shape, split=3)),
            ('no tokenizer', make_tiny.make_gguf(bench.path('mute.gguf'), shape, tokenizer=False))):
        same(bench, '%s: GGUF F32, %s' % (name, words), want, bench.logits(other, IDS))
    folders(bench, name, shape, 'F32', want)
    for dtype in SIXTEEN_BITS:
        folders(bench, name, shape, dtype, None)


def folders(bench, name, shape, dtype, want):
    """Both kinds of folder, and what is converted from them with the matching type."""
    for kind, make, shards in (('Hugging Face', make_tiny.make_hf, 3), ('Mistral', make_tiny.make_mistral, 2),
                               ('Hugging Face, one file,', make_tiny.make_hf, 1)):
        folder = make(bench.path(dtype), shape, 1, dtype, shards, tokenizer=shards != 2)
        got = bench.logits(folder, IDS)
        if want is None:
            model = oracle_files.open_model(folder)
            close(bench, '%s: %s folder in %s against numpy' % (name, kind, dtype),
                  oracle.logits(model, IDS)[0], array(bench.logits(folder, IDS, '--kv', 'f32')), CPU_F32)
            want = got
        same(bench, '%s: %s folder in %s' % (name, kind, dtype), want, got)
        out = bench.path('converted.gguf')
        bench.run(bench.mixt, 'convert', folder, '-o', out, '--type', dtype.lower())
        same(bench, '%s: converted from the %s folder in %s' % (name, kind, dtype), want,
             bench.logits(out, IDS))


def convert_q8_0(bench):
    shape = make_tiny.SHAPES['mixtral']
    folder = make_tiny.make_hf(bench.path('hf'), shape, seed_for(shape, IDS), 'BF16')
    out = bench.path('q8_0.gguf')
    bench.run(bench.mixt, 'convert', folder, '-o', out, '--type', 'q8_0')
    model = oracle_files.open_model(out)
    kinds = {model.store.type_name(name) for name in model.store.entries}
    bench.check(kinds == {'F32', 'Q8_0'}, 'convert --type q8_0: tensors are of %s' % sorted(kinds))
    source = oracle_files.open_model(folder)
    error = oracle.relative_l2(source.w('down', 1, 3), model.w('down', 1, 3))
    bench.check(error < ENCODED['Q8_0'], 'convert --type q8_0: weights within %.1e' % error)
    ids = clear_ids(model)
    in_floats(bench, 'convert --type q8_0', out, ids, oracle.logits(model, ids)[0])
    in_eight_bits(bench, 'convert --type q8_0', out, ids)


def instruction_sets():
    """What --cpu takes on this machine, slowest first."""
    try:
        with open('/proc/cpuinfo') as file:
            flags = set(next((line for line in file if line.startswith('flags')), '').split())
    except OSError:
        flags = set()
    sets = ['ref']
    if {'avx2', 'fma', 'f16c'} <= flags:
        sets.append('avx2')
        if {'avx512f', 'avx512bw', 'avx512vl', 'avx512dq', 'avx512_vnni'} <= flags:
            sets.append('avx512')
    return sets


def cuts(whole, few):
    """Threads and rows per step to try; the first is what the others must equal."""
    if few:
        return [(1, whole), (3, 7), (2, 64)]
    return [(1, whole), (2, whole), (3, whole), (7, whole), (2, 1), (2, 7), (2, 64), (1, 7), (7, 64)]


def bits(bench, words, path, ids, *options):
    """One check for all ways to run: the same bytes."""
    first, ways = None, cuts(len(ids), bench.quick or '--cpu' in options)
    for threads, rows in ways:
        got = bench.logits(path, ids, '--threads', str(threads), '--ubatch', str(rows), *options)
        if first is None:
            first = got
        elif got != first:
            same(bench, '%s: %d threads, %d rows a step' % (words, threads, rows), first, got)
            return
    bench.check(True, '%s: %d ways (threads, rows a step) give the same %d bytes'
                % (words, len(ways), len(first)))


def part_bits(bench):
    for kind in blocks.TYPES:
        path = make_tiny.make_gguf(bench.path(kind + '.gguf'), make_tiny.SHAPES['wide256'], 1, kind)
        for kv in ('f32', 'f16', 'q8_0'):
            words = '%s, %s cache' % (kind, kv)
            bench.attempt(words, bits, words, path, LONG[:100], '--kv', kv)
        for cpu in instruction_sets()[:-1]:             # the last is what runs without being asked
            words = '%s, --cpu %s' % (kind, cpu)
            bench.attempt(words, bits, words, path, LONG[:66], '--cpu', cpu)
    for name in ('mixtral', 'window', 'top4of16', 'odd', 'dense-window'):
        path = make_tiny.make_gguf(bench.path(name + '.gguf'), make_tiny.SHAPES[name])
        for kv in ('f32', 'f16'):
            words = '%s, %s cache, 300 rows' % (name, kv)
            bench.attempt(words, bits, words, path, LONG, '--kv', kv)
    path = make_tiny.make_gguf(bench.path('ref.gguf'), make_tiny.SHAPES['mixtral'])
    bench.attempt('device ref', bits, 'device ref', path, LONG[:70], '--device', 'ref')


def part_formats(bench):
    shape = make_tiny.SHAPES['wide256']
    for kind in blocks.TYPES:
        if kind in ('F32',) + SIXTEEN_BITS:
            ids = IDS[:24]
            path = make_tiny.make_gguf(bench.path(kind + '.gguf'), shape, seed_for(shape, ids, kind), kind)
        else:
            path = make_tiny.make_gguf(bench.path(kind + '.gguf'), shape, 1, kind)
            ids = clear_ids(oracle_files.open_model(path))
        bench.attempt(kind, decoded, kind, path, ids)


def decoded(bench, kind, path, ids):
    model = oracle_files.open_model(path)
    want = oracle.logits(model, ids)[0]
    in_floats(bench, kind, path, ids, want)
    for cpu in instruction_sets():
        if model.in_blocks('q'):
            in_eight_bits(bench, kind, path, ids, '--cpu', cpu)
        else:
            got = array(bench.logits(path, ids, '--kv', 'f32', '--cpu', cpu))
            close(bench, '%s, --cpu %s: against float64' % (kind, cpu), want, got, CPU_F32)


def in_floats(bench, words, path, ids, want):
    """Device ref keeps activations as they are."""
    close(bench, '%s, --device ref: against float64 on its decoded weights' % words, want,
          array(bench.logits(path, ids, '--kv', 'f32', '--device', 'ref')), REF_F32)


def clear_ids(model, n=24):
    """n ids with clear routes, of which the first FRONT have clear roundings too."""
    for at in range(2000):
        ids = [3 + (53 * i * i + 7 * i) % 317 for i in range(at, at + n)]
        front = oracle.Run(model, oracle.eight_bits)
        front.feed(ids[:FRONT])
        if np.min(front.close) < HAIR or front.margin < MARGIN:
            continue
        run = oracle.Run(model)
        run.feed(ids)
        if run.margin > MARGIN:
            return ids
    raise AssertionError('no ids with clear roundings and routes')


def in_eight_bits(bench, words, path, ids, *way):
    """The engine on cpu against float64, with activations rounded and exact; see HAIR and LUCK."""
    model = oracle_files.open_model(path)
    words = ' '.join((words + ',', *way)) if way else words + ', cpu'
    got = array(bench.logits(path, ids, '--kv', 'f32', *way))
    asked, _ = bench.routes(path, ids, '--kv', 'f32', *way)
    rounded, exact, thrown = (oracle.Run(model, how, asked)
                              for how in (oracle.eight_bits, None, oracle.Dice(1)))
    want = rounded.feed(ids)
    noise = as_thrown(bench, words, exact, thrown, ids, got)
    apart = oracle.relative_l2(want, got)
    bench.check(apart < LUCK * noise * 2 ** 0.5, '%s: %.1e from eight bits, all rows' % (words, apart))
    close(bench, '%s: first rows against eight bits' % words, want[:FRONT], got[:FRONT], FRONT_CLOSE)
    bench.check(np.max(rounded.stray[:FRONT]) == 0, '%s: first rows, routes equal' % words)


# ---- a real model --------------------------------------------------------------------------

STORIES = {
    'stories260K.gguf': LILY, 'stories260K-moe4x2-identical.gguf': LILY,
    'stories260K-moe8x2-jitter.gguf': COOKIES, 'stories260K-wide256.gguf': LILY,
    'stories260K-moe8x2-jitter-wide256-f16.gguf': COOKIES,
}
DATA = os.environ.get('MIXT_TEST_DATA', os.path.join(ROOT, '..', 'shared', 'data'))


def story(bench, name):
    path = os.path.join(DATA, 'weights', name)
    if os.path.exists(path):
        return path
    bench.skip('%s is not here (set MIXT_TEST_DATA)' % path)
    return None


def text_of(path, ids):
    """The words of ids, by the vocabulary in a GGUF file; ends at the end-of-text token, and what only
    controls says nothing."""
    settings = oracle_files.Gguf(path).settings
    pieces, kinds = settings['tokenizer.ggml.tokens'], settings['tokenizer.ggml.token_type']
    out = b''
    for i in ids:
        if i == settings['tokenizer.ggml.eos_token_id']:
            break
        piece = '' if kinds[i] == make_tiny.tokens.CONTROL else pieces[i]
        if piece.startswith('<0x') and len(piece) == 6:
            out += bytes([int(piece[3:5], 16)])
        else:
            out += piece.replace('\u2581', ' ').encode()
    return out.decode(errors='replace')


def recode(path, kind, out):
    """A GGUF file with its matrices as `kind`; norms and routers, and rows that do not divide into
    blocks (as F16), stay out of it."""
    g = oracle_files.Gguf(path)
    tensors = []
    for name in g.entries:
        x = g.tensor(name).astype(np.float32)
        plain = x.ndim == 1 or 'ffn_gate_inp' in name
        tensors.append((name, 'F32' if plain else kind if blocks.fits(kind, x.shape) else 'F16', x))
    make_tiny.write_gguf(out, g.raw_settings, tensors)
    return out


def first_difference(path, ids, words):
    """How many of the ids' tokens `words` begins with."""
    for n in range(len(ids) + 1):
        if not words.startswith(text_of(path, ids[:n])):
            return n - 1
    return len(ids)


def tie_of(model, ids):
    """How far a token may lead in the last row and still not be the engine's."""
    if not model.in_blocks('q'):
        return TIE
    plain, *thrown = (oracle.Run(model, how).feed(ids)[-1]
                      for how in [None] + [oracle.Dice(i) for i in range(9)])
    return TIE + TOKEN * np.median(np.sqrt(np.mean((np.array(thrown) - plain) ** 2, axis=1)))


def tell(bench, words, path, known):
    """mixt run on one file against numpy on the same file; says whether that is the known text."""
    model = oracle_files.open_model(path)
    made, leads = oracle.greedy(model, PROMPT_IDS, 60, oracle.eight_bits)
    want = text_of(path, made)
    got = bench.ask('run', path, PROMPT, '-n', '60', '--temp', '0', '--no-learn').decode(errors='replace')
    got = got[:-1] if got.endswith('\n') and not want.endswith('\n') else got
    as_known = got.startswith(known)
    if got == want:
        bench.check(True, '%s: 60 tokens as numpy writes them (least lead %.3f)%s'
                    % (words, min(leads), ', the known text' if as_known else ''))
        return as_known
    n = first_difference(path, made, got)
    if n == len(made):
        bench.check(False, '%s: %r goes on after %r' % (words, got, want))
        return as_known
    tie = tie_of(model, PROMPT_IDS + made[:n])
    bench.check(leads[n] < tie, '%s: token %d differs from numpy, where it leads by %.4f (a tie under %.2g)%s'
                % (words, n + 1, leads[n], tie, '' if leads[n] < tie else ': %r, not %r' % (got, want)))
    return as_known


def part_stories(bench):
    for name, known in STORIES.items():
        path = story(bench, name)
        if path and not (bench.quick and 'wide256' in name):
            bench.attempt(name, tales, name, path, known)


def tales(bench, name, path, known):
    """One model as it is, and with its matrices in every format that its rows admit."""
    bench.check(tell(bench, name, path, known), '%s: its text is the known one' % name)
    for kind in blocks.TYPES:
        if kind.startswith('Q') and kind != 'Q8_0' and 'wide256' not in name:
            continue
        made = recode(path, kind, bench.path(kind + '.gguf'))
        as_known = tell(bench, '%s as %s' % (name, kind), made, known)
        if kind in ('F32', 'F16'):
            bench.check(as_known, '%s as %s: its text is the known one' % (name, kind))
        os.remove(made)


def part_adapters(bench):
    sys.modules.setdefault('golden', sys.modules[__name__])
    import adapters
    adapters.part_adapters(bench)


PARTS = {'agree': part_agree, 'folders': part_folders, 'bits': part_bits, 'formats': part_formats,
         'stories': part_stories, 'adapters': part_adapters}


def main():
    parser = argparse.ArgumentParser(description='Engine, reference and numpy oracle against each other.')
    parser.add_argument('parts', nargs='*', metavar='PART', help=' '.join(PARTS))
    parser.add_argument('--self', action='store_true', help='the two oracles only')
    parser.add_argument('--reference', required=True, help='path of mixtral-reference')
    parser.add_argument('--mixt', help='path of mixt')
    parser.add_argument('--cpu', help='the instruction set where a check does not ask for one')
    parser.add_argument('--quick', action='store_true', help='fewer ways to run, for slow builds')
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown or not (options.self or options.mixt):
        parser.error('unknown part %s' % unknown[0] if unknown else '--mixt or --self is wanted')

    parts = [('self', part_self)] if options.self else []
    if options.mixt:
        parts += [(name, PARTS[name]) for name in options.parts or PARTS]
    with tempfile.TemporaryDirectory(prefix='mixt-golden-') as scratch:
        bench = Bench(options, scratch)
        for name, part in parts:
            start = time.monotonic()
            bench.attempt(name, part)
            print('       %s took %.1f s' % (name, time.monotonic() - start), flush=True)
        print('%d passed, %d failed, %d skipped' % (bench.passed, bench.failed, bench.skipped))
    return 1 if bench.failed else 0


if __name__ == '__main__':
    sys.exit(main())
