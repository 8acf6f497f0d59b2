#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""oracle.py - the network once more, in numpy and float64, for every format and every folder.

It knows neither the engine nor reference/mixtral.c: all rows at once, matrices instead of loops,
rotary pairs as the folder at hand has them.  Three answers that agree, made three ways, are hard to
get wrong together.

    oracle.py MODEL --ids 1,2,3 [--all] [-o LOGITS.npy] [--routes R.npy] [--weights W.npy]
    oracle.py MODEL --ids 1,2,3 --greedy 60             the ids of the likeliest continuation
    oracle.py MODEL --ids 1,2,3 --kl LOGITS.npy         mean KL(oracle || LOGITS), nats per row

With --eight-bits, what meets a matrix stored in blocks is first rounded to eight bits, as cpu does.
"""
import argparse

import numpy as np

from oracle_files import open_model


def rms_norm(x, gain, eps):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * gain


def softmax(x):
    x = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return x / np.sum(x, axis=-1, keepdims=True)


def rotate(m, x, first):
    """x [T][heads][d], rows at positions first, first + 1, ..."""
    n = m.rotated // 2
    angle = (first + np.arange(len(x)))[:, None] * m.base ** (-np.arange(n) / n)[None, :]
    turn = np.exp(1j * angle)[:, None, :]
    y = x.copy()
    if m.pairs == 'adjacent':
        pairs = (x[..., 0:2 * n:2] + 1j * x[..., 1:2 * n:2]) * turn
        y[..., 0:2 * n:2], y[..., 1:2 * n:2] = pairs.real, pairs.imag
    else:
        pairs = (x[..., :n] + 1j * x[..., n:2 * n]) * turn
        y[..., :n], y[..., n:2 * n] = pairs.real, pairs.imag
    return y


# ---- what meets a matrix that is stored in blocks ----
#
# A rounding takes activations [T][n] and gives what is multiplied instead, and for each row how close
# the closest decision was, in steps.


def in_blocks(x):
    """x as float32 [T][n / 32][32], and the step of each block: its largest over 127, or 0."""
    x = np.asarray(x).astype(np.float32).reshape(len(x), -1, 32)
    largest = np.max(np.abs(x), axis=-1, keepdims=True)
    return x, largest, np.where(largest < 2.0 ** -100, np.float32(0), largest / np.float32(127))


def eight_bits(x):
    """x = step * q with whole q from -127 to 127: all of it in float32, ties to even."""
    x, largest, step = in_blocks(x)
    some = step != 0
    scaled = x * np.divide(np.float32(127), largest, out=np.zeros_like(largest), where=some)
    q = np.rint(scaled)
    close = np.where(some, np.abs(np.abs(scaled - np.floor(scaled)) - 0.5), np.inf)
    return (step.astype(np.float64) * q).reshape(len(x), -1), np.min(close, axis=(1, 2))


class Dice:
    """Errors of the same size, thrown: uniform in half a step around each number."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def __call__(self, x):
        y, _, step = in_blocks(x)
        y = y + step.astype(np.float64) * (self.rng.random(y.shape) - 0.5)
        return y.reshape(len(x), -1), np.full(len(x), np.inf)


class Run:
    """A conversation with a model: rows seen so far, and who was asked for each.

    rounding: what is done to the inputs of matrices in blocks; none by default.
    cache: what is done to keys and values that are kept; likewise.
    follow: [L][T][U] experts to ask instead of those that lead; .stray says by how much they did not."""

    def __init__(self, model, rounding=None, follow=None, cache=None):
        self.m, self.rounding, self.follow, self.cache = model, rounding, follow, cache
        self.n = 0
        self.close = np.zeros(0)        # [T] steps between the closest rounding and its tie
        self.gap = np.zeros(0)          # [T] least gap between a chosen and a refused expert's logits
        self.stray = np.zeros(0)        # [T] by how much an expert that was followed was behind
        self.scores = [np.zeros((0, model.E))] * model.L
        empty = np.zeros((0, model.kv_heads, model.d))
        self.keys = [empty] * model.L
        self.values = [empty] * model.L
        self.routes = [np.zeros((0, model.U), np.int32)] * model.L
        self.weights = [np.zeros((0, model.U))] * model.L

    @property
    def margin(self):
        return np.min(self.gap)

    def _times(self, x, keys, rows=None):
        """x . each matrix; the rounding, where one is wanted, is the same for all.  rows: which of this
        feed they are."""
        m, rounded, out = self.m, None, []
        for key in keys:
            if self.rounding and m.in_blocks(*key):
                if rounded is None:
                    rounded, close = self.rounding(x)
                    rows = self.n + (np.arange(len(x)) if rows is None else rows)
                    self.close[rows] = np.minimum(self.close[rows], close)
                out.append(rounded @ m.w(*key).T)
            else:
                out.append(x @ m.w(*key).T)
            for a, b in m.low.get(key, ()):             # adapters: see adapters.py
                out[-1] = out[-1] + (x @ a.T) @ b.T
        return out

    def feed(self, ids):
        """Logits [T][V] of the rows of `ids`, float64."""
        m = self.m
        more = np.full(len(ids), np.inf)
        self.close, self.gap = np.append(self.close, more), np.append(self.gap, more)
        self.stray = np.append(self.stray, np.zeros(len(ids)))
        x = m.w('embed')[np.asarray(ids)]
        for l in range(m.L):
            x = x + self._attention(l, rms_norm(x, m.w('attn_norm', l), m.eps))
            x = x + self._experts(l, rms_norm(x, m.w('ffn_norm', l), m.eps))
        x = rms_norm(x, m.w('out_norm'), m.eps)
        logits, = self._times(x, [('out' if m.has('out') else 'embed',)])
        self.n += len(ids)
        return logits

    def _attention(self, l, h):
        m, T = self.m, len(h)
        q, k, v = self._times(h, [('q', l), ('k', l), ('v', l)])
        q = rotate(m, q.reshape(T, m.heads, m.d), self.n)
        k = rotate(m, k.reshape(T, m.kv_heads, m.d), self.n)
        v = v.reshape(T, m.kv_heads, m.d)
        if self.cache:
            k, v = (self.cache(x.reshape(T, -1))[0].reshape(x.shape) for x in (k, v))
        self.keys[l] = k = np.concatenate([self.keys[l], k])
        self.values[l] = v = np.concatenate([self.values[l], v])

        share = m.heads // m.kv_heads
        scores = np.einsum('thd,jhd->htj', q, np.repeat(k, share, axis=1)) / np.sqrt(m.d)
        row, column = self.n + np.arange(T)[:, None], np.arange(len(k))[None, :]
        seen = column <= row
        if m.window:
            seen &= row - column < m.window
        parts = softmax(np.where(seen, scores, -np.inf))
        heads = np.einsum('htj,jhd->thd', parts, np.repeat(v, share, axis=1))
        return self._times(heads.reshape(T, -1), [('o', l)])[0]

    def _ffn(self, h, gate, up, down, rows=None):
        a, b = self._times(h, [gate, up], rows)
        return self._times(a / (1 + np.exp(-a)) * b, [down], rows)[0]

    def _experts(self, l, h):
        m = self.m
        if not (m.E and m.has('router', l)):
            return self._ffn(h, ('dense_gate', l), ('dense_up', l), ('dense_down', l))
        scores, = self._times(h, [('router', l)])
        chosen = self._choose(l, scores)
        weights = softmax(np.take_along_axis(scores, chosen, 1))
        self.routes[l] = np.concatenate([self.routes[l], chosen.astype(np.int32)])
        self.weights[l] = np.concatenate([self.weights[l], weights])

        y = np.zeros_like(h)
        for e in np.unique(chosen):
            rows, slots = np.nonzero(chosen == e)
            part = self._ffn(h[rows], ('gate', l, e), ('up', l, e), ('down', l, e), rows)
            y[rows] += weights[rows, slots][:, None] * part
        return y

    def _choose(self, l, scores):
        m, here = self.m, slice(self.n, self.n + len(scores))
        self.scores[l] = np.concatenate([self.scores[l], scores])
        order = np.argsort(-scores, axis=1, kind='stable')      # equal scores: the lower index
        ranked = np.take_along_axis(scores, order, 1)
        if m.U < m.E:
            self.gap[here] = np.minimum(self.gap[here], ranked[:, m.U - 1] - ranked[:, m.U])
        if self.follow is None:
            return order[:, :m.U]
        chosen = self.follow[l][here]
        behind = ranked[:, m.U - 1] - np.min(np.take_along_axis(scores, chosen, 1), axis=1)
        self.stray[here] = np.maximum(self.stray[here], behind)
        return chosen


def logits(model, ids, rounding=None):
    """Logits [T][V] of a whole sequence, routes [L][T][U] and their weights."""
    run = Run(model, rounding)
    out = run.feed(ids)
    return out, np.array(run.routes), np.array(run.weights)


def greedy(model, ids, n, rounding=None):
    """The n likeliest next ids, one after another, and by how much each led in logits."""
    run, made, leads = Run(model, rounding), [], []
    feed = list(ids)
    for _ in range(n):
        row = run.feed(feed)[-1]
        second, first = np.sort(row)[-2:]
        leads.append(first - second)
        feed = [int(np.argmax(row))]
        made += feed
    return made, leads


def kl(want, got):
    """KL(want || got) of each row of logits, in nats."""
    def log_softmax(x):
        x = np.asarray(x, np.float64)
        x = x - np.max(x, axis=-1, keepdims=True)
        return x - np.log(np.sum(np.exp(x), axis=-1, keepdims=True))
    p, q = log_softmax(want), log_softmax(got)
    return np.sum(np.exp(p) * (p - q), axis=-1)


def relative_l2(want, got):
    want = np.asarray(want, np.float64)
    return float(np.linalg.norm(np.asarray(got, np.float64) - want) / np.linalg.norm(want))


def main():
    parser = argparse.ArgumentParser(description='The network in numpy and float64.')
    parser.add_argument('model')
    parser.add_argument('--ids', required=True, help='1,2,3')
    parser.add_argument('-o', dest='out', help='float32 [V], or [T][V] with --all')
    parser.add_argument('--all', action='store_true')
    parser.add_argument('--routes', help='int32 [L][T][U]')
    parser.add_argument('--weights', help='float32 [L][T][U]')
    parser.add_argument('--greedy', type=int, default=0)
    parser.add_argument('--kl', help='a float32 file of logits [T][V] to judge')
    parser.add_argument('--eight-bits', action='store_true', help='round what meets blocks')
    options = parser.parse_args()
    rounding = eight_bits if options.eight_bits else None

    ids = [int(word) for word in options.ids.split(',')]
    model = open_model(options.model)
    if options.greedy:
        made, _ = greedy(model, ids, options.greedy, rounding)
        print(' '.join(map(str, made)))
        ids += made[:-1]
    out, routes, weights = logits(model, ids, rounding)
    if options.out:
        np.save(options.out, (out if options.all else out[-1]).astype(np.float32))
    if options.routes:
        np.save(options.routes, routes)
    if options.weights:
        np.save(options.weights, weights.astype(np.float32))
    if options.kl:
        print('%.3e' % np.mean(kl(out, np.load(options.kl))))


if __name__ == '__main__':
    main()
