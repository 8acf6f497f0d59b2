#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""quality.py - how far are the engine's next-token distributions from float64?

    quality.py --mixt PATH --peer DIR [--model FILE.gguf] [-o TABLE.md]

For every storage format: a file is quantised by llama.cpp, and on that very file the engine,
llama.cpp and the float64 oracle (on the weights as decoded) compute the same rows.  What is printed
is the mean KL(oracle || program) in nats over all rows.  Both programs round activations, each in its
own way, so neither judges the other; float64 does.  The last column is what the format itself costs:
KL(oracle on the original || oracle on the quantised file).

The rows are texts the model itself writes at temperature 1 (in float64, fixed seed).  See peer.py for
how to get llama.cpp; it is used here and by nothing else.
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


def mean_kl(want, got):
    return float(np.mean([np.mean(oracle.kl(w, g)) for w, g in zip(want, got)]))


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
            row.append(mean_kl(want, engine(bench, path, texts, kv)) if bench.mixt else None)
        for cache in (peers.F32, peers.F16):
            row.append(mean_kl(want, peer.logits(path, texts, cache)))
        row.append(mean_kl(ideal, want))
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
        os.remove(path)
    return rows


def table(rows, source, texts):
    def cell(x):
        return '-' if x is None else '%.1e' % x
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
    for kind, ours32, ours16, theirs32, theirs16, _ in rows:
        if ours32 is None:
            continue
        if ours32 > theirs32 or ours16 > theirs16:
            broken.append('%s: %.1e and %.1e, llama.cpp %.1e and %.1e' % (kind, ours32, ours16, theirs32, theirs16))
        if kind == 'F16' and ours16 > F16_BOUND:
            broken.append('F16: %.1e is not under %.0e' % (ours16, F16_BOUND))
    return broken


def main():
    parser = argparse.ArgumentParser(description='KL of next-token distributions against float64.')
    parser.add_argument('--mixt', help='path of mixt; without it only llama.cpp is measured')
    parser.add_argument('--peer', required=True, help='where npm put node-llama-cpp')
    parser.add_argument('--model', default=os.path.join(golden.DATA, 'weights',
                                                        'stories260K-moe8x2-jitter-wide256-f16.gguf'))
    parser.add_argument('-o', dest='out')
    options = parser.parse_args()
    options.reference, options.quick = None, False

    peer = peers.Peer(options.peer)
    check_decoders(peer)
    texts = write_texts(oracle_files.open_model(options.model), 1)
    with tempfile.TemporaryDirectory(prefix='mixt-quality-') as scratch:
        rows = measure(golden.Bench(options, scratch), peer, options.model, texts)
    words = '\n'.join(table(rows, options.model, texts)) + '\n'
    if options.out:
        with open(options.out, 'w') as file:
            file.write(words)
    print(words, end='')
    broken = judge(rows)
    for line in broken:
        print('broken: ' + line)
    return 1 if broken else 0


if __name__ == '__main__':
    sys.exit(main())
