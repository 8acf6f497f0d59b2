#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""oracle.py - the network once more, in numpy and float64, for every format and every folder.

It knows neither the engine nor reference/mixtral.c: all rows at once, matrices instead of loops,
rotary pairs as the folder at hand has them.  Three answers that agree, made three ways, are hard to
get wrong together.

    oracle.py MODEL --ids 1,2,3 [--all] [-o LOGITS.npy] [--routes R.npy] [--weights W.npy]
    oracle.py MODEL --ids 1,2,3 --greedy 60             the ids of the likeliest continuation
    oracle.py MODEL --ids 1,2,3 --kl LOGITS.npy         mean KL(oracle || LOGITS), nats per row
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


class Run:
    """A conversation with a model: rows seen so far, and who was asked for each."""

    def __init__(self, model):
        self.m = model
        self.n = 0
        empty = np.zeros((0, model.kv_heads, model.d))
        self.keys = [empty] * model.L
        self.values = [empty] * model.L
        self.routes = [np.zeros((0, model.U), np.int32)] * model.L
        self.weights = [np.zeros((0, model.U))] * model.L
        self.margin = np.inf            # least gap between a chosen and a refused expert's logits

    def feed(self, ids):
        """Logits [T][V] of the rows of `ids`, float64."""
        m = self.m
        x = m.w('embed')[np.asarray(ids)]
        for l in range(m.L):
            x = x + self._attention(l, rms_norm(x, m.w('attn_norm', l), m.eps))
            x = x + self._experts(l, rms_norm(x, m.w('ffn_norm', l), m.eps))
        self.n += len(ids)
        x = rms_norm(x, m.w('out_norm'), m.eps)
        return x @ (m.w('out') if m.has('out') else m.w('embed')).T

    def _attention(self, l, h):
        m, T = self.m, len(h)
        q = rotate(m, (h @ m.w('q', l).T).reshape(T, m.heads, m.d), self.n)
        k = rotate(m, (h @ m.w('k', l).T).reshape(T, m.kv_heads, m.d), self.n)
        v = (h @ m.w('v', l).T).reshape(T, m.kv_heads, m.d)
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
        return heads.reshape(T, -1) @ m.w('o', l).T

    def _ffn(self, h, gate, up, down):
        a = h @ gate.T
        return (a / (1 + np.exp(-a)) * (h @ up.T)) @ down.T

    def _experts(self, l, h):
        m = self.m
        if not (m.E and m.has('router', l)):
            return self._ffn(h, m.w('dense_gate', l), m.w('dense_up', l), m.w('dense_down', l))
        scores = h @ m.w('router', l).T
        order = np.argsort(-scores, axis=1, kind='stable')      # equal scores: the lower index
        chosen = order[:, :m.U]
        weights = softmax(np.take_along_axis(scores, chosen, 1))
        if m.U < m.E:
            ranked = np.take_along_axis(scores, order, 1)
            self.margin = min(self.margin, np.min(ranked[:, m.U - 1] - ranked[:, m.U]))
        self.routes[l] = np.concatenate([self.routes[l], chosen.astype(np.int32)])
        self.weights[l] = np.concatenate([self.weights[l], weights])

        y = np.zeros_like(h)
        for e in np.unique(chosen):
            rows, slots = np.nonzero(chosen == e)
            part = self._ffn(h[rows], m.w('gate', l, e), m.w('up', l, e), m.w('down', l, e))
            y[rows] += weights[rows, slots][:, None] * part
        return y


def logits(model, ids):
    """Logits [T][V] of a whole sequence, routes [L][T][U] and their weights."""
    run = Run(model)
    out = run.feed(ids)
    return out, np.array(run.routes), np.array(run.weights)


def greedy(model, ids, n):
    """The n likeliest next ids, one after another, and by how much each led in logits."""
    run, made, leads = Run(model), [], []
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
    options = parser.parse_args()

    ids = [int(word) for word in options.ids.split(',')]
    model = open_model(options.model)
    if options.greedy:
        made, _ = greedy(model, ids, options.greedy)
        print(' '.join(map(str, made)))
        ids += made[:-1]
    out, routes, weights = logits(model, ids)
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
