#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""perplexity.py - do the fast paths read a text as the scalar one does?

    perplexity.py --mixt PATH [--keep DIR] [-o TABLE.md] [FORMAT..]

For every storage format: the same file and the same tokens go through `--device ref` (activations in
floats, sums in double, F32 cache) and through every `--cpu` of this machine as a user runs it (F16 cache).
Printed are both perplexities, their relative difference, which must stay under BOUND, its standard error,
and the mean KL(ref || fast) in nats per token.  One row more has F32 weights and a cache of Q8_0.

The model is the sparse storyteller: the one with rows of 64 for blocks of 32, its zero-padded twin for
blocks of 256.  The text is children's stories by people, or with --own by the model, in windows of its
context.  Device ref takes minutes a format; with --keep what it said is kept in files and used again.
"""
import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile

os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
import numpy as np                                                      # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import golden                                                           # noqa: E402
import oracle_files                                                     # noqa: E402
from golden import make_tiny                                            # noqa: E402

BOUND = 1e-3            # relative difference of perplexities
N_TOKENS = 20000        # predicted ones, at least; --tokens for more
NARROW, WIDE = 'stories260K-moe8x2-jitter.gguf', 'stories260K-moe8x2-jitter-wide256-f16.gguf'
TEXT = os.path.join(golden.DATA, 'corpora', 'children_storybooks.txt.zst')
CACHE = 'Q8_0-cache'    # exact weights, rounded keys and values
JUDGE = ('--device', 'ref', '--kv', 'f32')


def peoples_text(n_bytes):
    text = subprocess.run(['zstd', '-dc', TEXT], capture_output=True, check=True).stdout
    return text[:n_bytes].rpartition(b'\n')[0]


def own_text(mixt, source, n_bytes):
    """Stories that the model at hand writes when every token may be drawn."""
    text, seed = b'', 0
    while len(text) < n_bytes:
        seed += 1
        command = [mixt, 'run', source, 'Once upon a time', '-n', '400', '--temp', '1', '--top-k', '0', '--top-p',
                   '1', '--min-p', '0', '--seed', str(seed), '--no-learn']
        text += b'Once upon a time' + subprocess.run(command, capture_output=True, check=True).stdout + b'\n'
    return text


def windows(mixt, model, text, n_context, n_tokens):
    """Sequences of n_context ids: BOS and a piece of the text."""
    done = subprocess.run([mixt, 'tokenize', model], input=text, capture_output=True, check=True)
    ids = [int(word) for word in done.stdout.split()]
    ids = ids[1:] if ids[0] == 1 else ids
    step = n_context - 1
    n = -(-n_tokens // step)
    assert len(ids) >= n * step, 'the text has %d tokens, %d are wanted' % (len(ids), n * step)
    return [[1] + ids[i * step:(i + 1) * step] for i in range(n)]


def log_chances(logits):
    x = np.asarray(logits, np.float64)
    x = x - np.max(x, axis=-1, keepdims=True)
    return x - np.log(np.sum(np.exp(x), axis=-1, keepdims=True))


def wide_heads(path, out):
    """The same network with heads of 32: zeros behind the eight numbers that there are, and queries doubled
    because scores are divided by the root of four times as much.  A cache of Q8_0 admits such heads."""
    g = oracle_files.Gguf(path)
    heads, d, tensors = g.settings['llama.attention.head_count'], 32, []
    was = g.settings['llama.embedding_length'] // heads
    for name in g.entries:
        x = g.tensor(name).astype(np.float32)
        if re.search('attn_[qkv]', name):
            wide = np.zeros((len(x) // was, d, x.shape[1]), np.float32)
            wide[:, :was] = x.reshape(-1, was, x.shape[1]) * (2 if 'attn_q' in name else 1)
            x = wide.reshape(-1, x.shape[1])
        elif 'attn_output' in name:
            wide = np.zeros((len(x), heads, d), np.float32)
            wide[:, :, :was] = x.reshape(len(x), heads, was)
            x = wide.reshape(len(x), -1)
        tensors.append((name, 'F32', x))
    sizes = [make_tiny.setting('llama.attention.%s_length' % word, make_tiny.U32, d)
             for word in ('key', 'value')]
    make_tiny.write_gguf(out, g.raw_settings + sizes, tensors)
    return out


class Reader:
    """One file, read in many ways."""

    def __init__(self, bench, path, keep):
        self.bench, self.path, self.keep = bench, path, keep
        with open(path, 'rb') as file:
            self.digest = hashlib.sha1(file.read()).hexdigest()

    def read(self, ids, *way):
        """Log of the chance of each token after each of ids, [n][V]."""
        return log_chances(golden.array(self.bench.logits(self.path, ids, *way)))

    def judge(self, ids):
        if not self.keep:
            return self.read(ids, *JUDGE)
        key = hashlib.sha1((self.digest + golden.comma(ids)).encode()).hexdigest()
        name = os.path.join(self.keep, key + '.npy')
        if not os.path.exists(name):
            np.save(name + '.new.npy', self.read(ids, *JUDGE).astype(np.float32))
            os.replace(name + '.new.npy', name)
        return np.load(name).astype(np.float64)


def compare(reader, sequences, ways):
    """Per way: [n] minus log of the chance of the token that came; and for all but the first, [n] KL."""
    losses, parts = [[] for _ in range(1 + len(ways))], [[] for _ in ways]
    for ids in sequences:
        came = (np.arange(len(ids) - 1), ids[1:])
        want = reader.judge(ids)[:-1]
        losses[0].append(-want[came])
        for i, way in enumerate(ways):
            got = reader.read(ids, *way)[:-1]
            losses[1 + i].append(-got[came])
            parts[i].append(np.sum(np.exp(want) * (want - got), axis=-1))
    return [np.concatenate(loss) for loss in losses], [np.concatenate(part) for part in parts]


def table_row(kind, way, want, got, part):
    """A line of the table, and whether the difference is over the bound."""
    more = got - want
    change = np.expm1(np.mean(more))
    line = '| %s | %.4f | %s | %.4f | %+.4f %% | %.4f %% | %.1e |' % (
        kind, np.exp(np.mean(want)), '%s, %s cache' % (way[1], way[3].upper()), np.exp(np.mean(got)), 100 * change,
        100 * np.std(more) / np.sqrt(len(more)), max(np.mean(part), 0))
    print(line, file=sys.stderr, flush=True)
    return line, not abs(change) < BOUND


def measure(options, scratch):
    bench, rows = golden.Bench(options, scratch), []
    sets = [] if options.only_judge else options.cpu or golden.instruction_sets()
    for kind in options.formats or [*golden.blocks.TYPES, CACHE]:
        source, path = golden.story(bench, WIDE if kind.endswith('_K') else NARROW), bench.path('model.gguf')
        if not source:
            continue
        path = wide_heads(source, path) if kind == CACHE else golden.recode(source, kind, path)
        n_bytes = 5 * options.tokens
        text = own_text(options.mixt, source, n_bytes) if options.own else peoples_text(n_bytes)
        n_context = oracle_files.Gguf(path).settings['llama.context_length']
        sequences = windows(options.mixt, path, text, n_context, options.tokens)
        ways = [('--cpu', cpu, '--kv', 'q8_0' if kind == CACHE else 'f16') for cpu in sets]
        losses, parts = compare(Reader(bench, path, options.keep), sequences, ways)
        rows += [table_row(kind, way, losses[0], loss, part)
                 for way, loss, part in zip(ways, losses[1:], parts)]
        os.remove(path)
    return rows


def main():
    parser = argparse.ArgumentParser(description='Perplexity of a text: fast paths, scalar path.')
    parser.add_argument('formats', nargs='*', metavar='FORMAT', help=' '.join([*golden.blocks.TYPES, CACHE]))
    parser.add_argument('--mixt', required=True, help='path of mixt')
    parser.add_argument('--cpu', action='append', help='an instruction set; all that there are')
    parser.add_argument('--tokens', type=int, default=N_TOKENS)
    parser.add_argument('--own', action='store_true', help='a text that the model itself writes')
    parser.add_argument('--only-judge', action='store_true', help='fill --keep and compare nothing')
    parser.add_argument('--keep', help='a folder for what device ref said')
    parser.add_argument('-o', dest='out')
    options = parser.parse_args()
    options.reference, options.quick = None, False
    with tempfile.TemporaryDirectory(prefix='mixt-perplexity-') as scratch:
        rows = measure(options, scratch)
    words = '\n'.join(['| weights | ref | way | its perplexity | difference | +- | mean KL |',
                       '|---|---|---|---|---|---|---|', *(line for line, _ in rows), ''])
    if options.out:
        with open(options.out, 'w') as file:
            file.write(words)
    print(words, end='')
    broken = [line for line, over in rows if over]
    for line in broken:
        print('not under %g: %s' % (BOUND, line))
    return 1 if broken else 0


if __name__ == '__main__':
    sys.exit(main())
