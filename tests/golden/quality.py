#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""quality.py - how far are the engine's next-token distributions from float64?

    quality.py --mixt PATH --peer DIR [--model FILE.gguf].. [-o TABLE.md]

For every storage format: a file is quantised by llama.cpp, and on that very file the engine,
llama.cpp and the float64 oracle (on the weights as decoded) compute the same rows.  What is printed
is the mean KL(oracle || program) in nats over all rows.  Both programs round activations, each in its
own way, so neither judges the other; float64 does.  The last column is what the format itself costs:
KL(oracle on the original || oracle on the quantised file).

The rows are texts the model itself writes at temperature 1 (in float64, fixed seed).  "Not above
llama.cpp's" is meant as statistics can mean it: where both round the same things (a half-precision cache
under exact weights), chance decides who is ahead, so a lead counts when it is more than two standard
errors of the difference over rows.  See peer.py for how to get llama.cpp; nothing else uses it.
"""
import argparse
import os
import sys
import tempfile

os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
import numpy as np                                                      # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import golden                                                           # noqa: E402
import oracle                                                           # noqa: E402
import oracle_files                                                     # noqa: E402
import peer as peers                                                    # noqa: E402

N_TEXTS, N_ROWS, SEED = 4, 256, 20240
F16_BOUND = 2e-5        # what a half-precision file may cost against float64


def write_texts(model, first):
    """Sequences of ids drawn from the model itself."""
    rng, texts = np.random.default_rng(SEED), []
    for _ in range(N_TEXTS):
        run, ids = oracle.Run(model), [first]
        while len(ids) < N_ROWS:
            chance = oracle.softmax(run.feed(ids[-1:])[-1])
            ids.append(int(rng.choice(len(chance), p=chance)))
        texts.append(ids)
    return texts


def check_decoders(peer):
    """The oracle's decoders against llama.cpp's, on random blocks with ordinary scales."""
    rng = np.random.default_rng(SEED)
    for kind, (type_id, values, size) in golden.blocks.TYPES.items():
        if values == 1:
            continue
        x = rng.normal(size=(64, 1024)).astype(np.float32)
        raw = bytearray(golden.blocks.encode(kind, x))
        at = {'Q2_K': 80, 'Q3_K': 108, 'Q6_K': 208}.get(kind, 0)
        n_halves = 2 if kind in ('Q4_1', 'Q5_1', 'Q2_K', 'Q4_K', 'Q5_K') else 1
        noise = np.frombuffer(rng.bytes(len(raw)), np.uint8).reshape(-1, size).copy()
        kept = np.frombuffer(bytes(raw), np.uint8).reshape(-1, size)
        noise[:, at:at + 2 * n_halves] = kept[:, at:at + 2 * n_halves]     # any bits but the scales'
        raw = noise.tobytes()
        want = oracle_files.decode(type_id, raw, (x.size,))
        got = peer.decode(kind, raw, x.size)
        # Its float arithmetic rounds up to three times; a difference of two products can cancel,
        # so the bound is on the size of the block's numbers.
        error = np.abs(got - want).max() / np.abs(want).max()
        assert error < 3 * 2.0 ** -24, '%s decodes differently: %g' % (kind, error)
    print('decoders: numpy and llama.cpp agree on random blocks of 10 formats to rounding', file=sys.stderr)


def each_kl(want, got):
    """KL of every row of every text."""
    return np.concatenate([oracle.kl(w, g) for w, g in zip(want, got)])


def engine(bench, path, texts, kv):
    return [golden.array(bench.logits(path, ids, '--kv', kv)) for ids in texts]


def measure(bench, peer, source, texts):
    original = oracle_files.open_model(source)
    ideal = [oracle.Run(original).feed(ids) for ids in texts]
    rows = []
    for kind in peers.FTYPES:
        path = os.path.join(bench.scratch, kind + '.gguf')
        peer.quantize(source, path, kind)
        model = oracle_files.open_model(path)
        want = [oracle.Run(model).feed(ids) for ids in texts]
        row = [kind]
        for kv in ('f32', 'f16'):
            row.append(each_kl(want, engine(bench, path, texts, kv)) if bench.mixt else None)
        for cache in (peers.F32, peers.F16):
            row.append(each_kl(want, peer.logits(path, texts, cache)))
        row.append(each_kl(ideal, want))
        rows.append(row)
        print(kind, *map(cell, row[1:]), file=sys.stderr, flush=True)
        os.remove(path)
    return rows


def cell(each):
    return '-' if each is None else '%.1e' % max(np.mean(each), 0)


def table(rows, source, texts):
    yield 'Mean KL(float64 || program), nats per token, over %d rows of `%s`, files quantised by llama.cpp.' \
        % (sum(map(len, texts)), os.path.basename(source))
    yield ''
    yield '| weights | mixt, F32 cache | mixt, F16 cache | llama.cpp, F32 cache | llama.cpp, F16 cache |' \
          ' what the format costs |'
    yield '|---|---|---|---|---|---|'
    for row in rows:
        yield '| %s | %s |' % (row[0], ' | '.join(map(cell, row[1:])))


def judge(rows):
    """What is promised: not above the peer, and a half-precision file under its bound."""
    broken = []
    for kind, *columns in rows:
        for ours, theirs, cache in zip(columns[0:2], columns[2:4], ('F32', 'F16')):
            if ours is None:
                continue
            lead = ours - theirs
            if np.mean(lead) > 2 * np.std(lead) / np.sqrt(len(lead)):
                broken.append('%s, %s cache: %s is above %s' % (kind, cache, cell(ours), cell(theirs)))
            if kind == 'F16' and np.mean(ours) > F16_BOUND:
                broken.append('F16, %s cache: %s is not under %.0e' % (cache, cell(ours), F16_BOUND))
    return broken


def main():
    parser = argparse.ArgumentParser(description='KL of next-token distributions against float64.')
    parser.add_argument('--mixt', help='path of mixt; without it only llama.cpp is measured')
    parser.add_argument('--peer', required=True, help='where npm put node-llama-cpp')
    parser.add_argument('--model', action='append', help='GGUF in F32 or F16, rows of 256s; may be repeated')
    parser.add_argument('-o', dest='out')
    options = parser.parse_args()
    options.reference, options.quick = None, False
    models = options.model or [os.path.join(golden.DATA, 'weights', name) for name in (
        'stories260K-moe8x2-jitter-wide256-f16.gguf', 'stories260K-wide256.gguf')]

    peer = peers.Peer(options.peer)
    check_decoders(peer)
    words, broken = [], []
    for source in models:
        texts = write_texts(oracle_files.open_model(source), 1)
        with tempfile.TemporaryDirectory(prefix='mixt-quality-') as scratch:
            rows = measure(golden.Bench(options, scratch), peer, source, texts)
        words += [*table(rows, source, texts), '']
        broken += judge(rows)
    words = '\n'.join(words)
    if options.out:
        with open(options.out, 'w') as file:
            file.write(words)
    print(words, end='')
    for line in broken:
        print('broken: ' + line)
    return 1 if broken else 0


if __name__ == '__main__':
    sys.exit(main())
