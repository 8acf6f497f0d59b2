#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_peers.py - bench/peers without peers: bytes of a token, medians, what is run again, the plot.

With libmixt.so as its argument, Mixt itself is driven as a peer would be."""
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import types
import unittest
import unittest.mock
import xml.etree.ElementTree as xml

ROOT = os.environ['MIXT_SOURCE_DIR']
LIBRARY = sys.argv.pop() if len(sys.argv) > 1 and sys.argv[-1].endswith('.so') else None
sys.path[:0] = [os.path.join(ROOT, 'bench/peers'), os.path.join(ROOT, 'tests/golden')]
try:
    import numpy as np
    import oracle
    import oracle_files
except ImportError as missing:
    print('skipped: %s' % missing)
    sys.exit(77)
import chart
import compare
import figures
import raw
import workload


def made_run(step=0.1, prompt=1.0, together=0.4):
    run = {'step_s': [step] * workload.N_STEPS, 'together_s': [together] * workload.N_TOGETHER_STEPS,
           'ready_s': 2.0, 'resident_bytes': 10 ** 9}
    run.update(('prompt_%d_s' % n, prompt) for n in workload.PROMPTS)
    return run


class Bytes(unittest.TestCase):
    def shown(self, folder, *shape):
        path = os.path.join(folder, 'm.gguf')
        mixt = os.environ['MIXT']
        subprocess.run([mixt, 'synth', '-o', path, *shape], check=True, stderr=subprocess.DEVNULL)
        told = subprocess.run([mixt, 'show', path, '--json'], check=True, capture_output=True).stdout
        return json.loads(told), oracle_files.Gguf(path)

    def count(self, file, rows_of_embedding, share):
        """The same count from the table of tensors."""
        total = 0
        for name, (_, shape, raw) in file.entries.items():
            if name.startswith('token_embd'):
                total += len(raw) // shape[0] * rows_of_embedding
            else:
                total += len(raw) * (share if '_exps' in name else 1)
        return total

    def test_experts(self):
        with tempfile.TemporaryDirectory(prefix='mixt-peers-') as folder:
            shown, file = self.shown(folder, '--like', 'tiny', '--type', 'Q8_0', '--experts', '4', '--used', '1')
            self.assertEqual(figures.token_bytes(shown), self.count(file, 1, 0.25))
            # Two rows that choose one of four each: 1 + 3/4 experts.
            self.assertEqual(figures.token_bytes(shown, 2), self.count(file, 2, 1.75 / 4))

    def test_dense(self):
        with tempfile.TemporaryDirectory(prefix='mixt-peers-') as folder:
            shown, file = self.shown(folder, '--like', 'tiny', '--type', 'F16', '--experts', '-1')
            self.assertEqual(figures.token_bytes(shown), self.count(file, 1, 1))
            self.assertEqual(figures.token_bytes(shown, 8), self.count(file, 8, 1))


class Figures(unittest.TestCase):
    def test_rates(self):
        run = made_run()
        n = workload.N_INTERVAL
        run['step_s'] = [0.3] * n + [0.1] * (2 * n)
        told = figures.rates(run)
        self.assertAlmostEqual(told['decode'], 10)              # of the middle interval
        self.assertAlmostEqual(told['decode_intervals'][0], 1 / 0.3)
        self.assertAlmostEqual(told['decode_intervals'][1], 10)
        self.assertAlmostEqual(told['prompt_512'], 512)
        self.assertAlmostEqual(told['together'], workload.N_TOGETHER / 0.4)

    def test_medians(self):
        told = figures.medians([made_run(0.1), made_run(0.2), made_run(9)])
        self.assertAlmostEqual(told['decode'], 5)
        self.assertAlmostEqual(told['decode_intervals'][-1], 5)

    def test_run_again(self):
        """Kept: the fastest of any figure and those near it; not what trails in all of them."""
        first = {'a': figures.rates(made_run(0.1, 2)), 'b': figures.rates(made_run(0.2, 1, 0.8)),
                 'c': figures.rates(made_run(0.103, 3, 0.8)), 'd': figures.rates(made_run(0.2, 3, 0.8))}
        self.assertEqual(figures.worth_running(first), ['a', 'b', 'c'])

    def test_compare(self):
        peers = {'p': {'-x 1': figures.medians([made_run(0.125, 4)]), '-x 2': figures.medians([made_run(0.25, 2)])},
                 'q': {'': figures.medians([made_run(0.5, 3)])}, 'none': {}}
        costs = {'bytes_per_token': 10 ** 9, 'operations_per_token': 1000}
        told = figures.compare(figures.medians([made_run(0.0625, 1)]), peers, 32e9, 2.56e6, costs)
        self.assertEqual(told['decode']['p'], {'flags': '-x 1', 'tokens_per_s': 8, 'gbs': 8, 'share_of_read': 0.25})
        self.assertAlmostEqual(told['decode']['mixt']['share_of_read'], 0.5)
        self.assertEqual(told['prompt_512']['p'], {'flags': '-x 2', 'tokens_per_s': 256, 'share_of_peak': 0.1})
        self.assertNotIn('none', told['decode'])

    def test_ratios(self):
        """Of what was measured together: a machine that halves its speed halves both."""
        runs = {'mixt': {'': [made_run(0.1, 1), made_run(0.2, 2), made_run(0.4, 4)]},
                'p': {'-x': [made_run(0.3, 1.5), made_run(0.6, 3), made_run(0.8, 6)]},
                'q': {'': [made_run(0.2, 8), made_run(0.4, 16), made_run(0.8, 32)]}}
        told = {name: {'mixt': {}, 'p': {'flags': '-x'}, 'q': {'flags': ''}} for name in ('decode', 'prompt_512')}
        figures.put_ratios(told, runs)
        self.assertAlmostEqual(told['decode']['p']['mixt_is'], 3)
        self.assertAlmostEqual(told['decode']['mixt_over_best_peer'], 2)
        self.assertAlmostEqual(told['prompt_512']['q']['mixt_is'], 8)
        self.assertAlmostEqual(told['prompt_512']['mixt_over_best_peer'], 1.5)

    def test_rate_of(self):
        rates = [{'threads': 1, 'per_second': 5}, {'threads': 2, 'per_second': 8}]
        self.assertEqual([figures.rate_of(rates, n) for n in (1, 2, 4)], [5, 8, 8])

    def test_ids(self):
        """In the vocabulary, no control ids, and scattered: of 512 nearly all differ."""
        token = workload.tokens(2048)
        ids = [token(i) for i in range(512)]
        self.assertTrue(all(300 <= i < 2048 for i in ids))
        self.assertGreater(len(set(ids)), 400)


class Driver(unittest.TestCase):
    @unittest.skipUnless(LIBRARY, 'no libmixt.so to load into Python')
    def test_mixt(self):
        """The places of fields in mixt.h are still those that mixt_library.py knows: its logits are right."""
        with tempfile.TemporaryDirectory(prefix='mixt-peers-') as folder:
            path, out = os.path.join(folder, 'm.gguf'), os.path.join(folder, 'l.npy')
            subprocess.run([os.environ['MIXT'], 'synth', '-o', path, '--like', 'tiny', '--type', 'F16'], check=True,
                           stderr=subprocess.DEVNULL)
            ids = list(range(5, 5 + 2 * workload.N_CHECK_STEPS))
            driver = os.path.join(ROOT, 'bench/peers/driver.py')
            subprocess.run([sys.executable, driver, 'mixt', LIBRARY, 'logits', path, '--ids', ','.join(map(str, ids)),
                            '-o', out], check=True)
            want, got = oracle.logits(oracle_files.open_model(path), ids)[0], np.load(out)
            self.assertEqual(got.shape, want.shape)
            self.assertLess(oracle.relative_l2(want, got), 0.01)

    def comes_to_a_halt(self, process):
        for _ in range(1000):
            with open('/proc/%d/stat' % process) as stat:
                if stat.read().rsplit(')', 1)[1].split()[0] == 'T':
                    return True
            time.sleep(0.01)
        return False

    @unittest.skipUnless(LIBRARY, 'no libmixt.so to load into Python')
    def test_running(self):
        """Loaded once, halted between turns, and each turn has all figures."""
        with tempfile.TemporaryDirectory(prefix='mixt-peers-') as folder:
            path = os.path.join(folder, 'm.gguf')
            subprocess.run([os.environ['MIXT'], 'synth', '-o', path, '--like', 'tiny', '--type', 'Q8_0', '--context',
                            str(workload.N_CONTEXT)], check=True, stderr=subprocess.DEVNULL)
            options = types.SimpleNamespace(threads=2)
            one = compare.Running(compare.Program('mixt', LIBRARY, options), '', path)
            try:
                self.assertTrue(self.comes_to_a_halt(one.process.pid))
                turns = [figures.rates(dict(one.turn('long'), **one.turn('short'))) for _ in range(2)]
            finally:
                one.end()
            for told in turns:
                self.assertTrue(all(told[name] > 0 for name in figures.SPEEDS))

    def test_refused(self):
        """A structure whose defaults are not where they should be belongs to another version."""
        given = raw.Raw()
        given.bytes[4] = 7
        params = raw.Params(given, {'seven': (4, 'I', 7), 'any': (8, 'i', None)}, 'it')
        params.set(any=-2)
        self.assertEqual(list(params.by_value().bytes[4:13]), [7, 0, 0, 0, 254, 255, 255, 255, 0])
        with self.assertRaises(raw.Refused):
            raw.Params(given, {'eight': (4, 'I', 8)}, 'it')


class Fake:
    """A program that answers at once: seconds of a step by flags; None: it cannot be started."""
    def __init__(self, kind, steps, asked):
        self.kind, self.steps, self.asked = kind, steps, asked
        self.variants = list(steps)


class Loaded:
    """In place of compare.Running."""
    def __init__(self, program, flags, path):
        self.program, self.flags = program, flags
        self.step = program.steps[flags]
        if self.step is None:
            raise RuntimeError('%s cannot' % program.kind)

    def turn(self, kind):
        run = made_run(self.step, self.step, self.step)
        if kind == 'short':
            return {'step_s': run['step_s']}
        self.program.asked.append((self.program.kind, self.flags))
        return {key: value for key, value in run.items() if key != 'step_s'}

    def end(self):
        self.program.asked.append((self.program.kind, self.flags, 'ends'))


class Mortal(Loaded):
    """llama.cpp without flags dies in the first of its short turns, with -fa 0 in its second long one."""
    def turn(self, kind):
        if self.program.kind == 'llama.cpp':
            if kind == ('long' if self.flags else 'short') and (self.program.kind, self.flags) in self.program.asked:
                raise RuntimeError('%s %s: exit -9: no word' % (self.program.kind, self.flags))
        return super().turn(kind)


class Rounds(unittest.TestCase):
    def run_all(self, rounds=3, loaded=Loaded):
        asked = []
        found = [Fake('mixt', {'': 0.125}, asked),
                 Fake('llama.cpp', {'': 0.5, '-fa 0': 0.25, '-repack 0': None}, asked),
                 Fake('ik_llama.cpp', {'': 0.25, '-rtr 1': 0.01}, asked)]
        right = {p.kind: {flags: {'right': True} for flags in p.variants} for p in found}
        right['ik_llama.cpp']['-rtr 1']['right'] = False
        entry = {'type': 'Q8_0', 'layers': 8, 'bytes_per_token': 10 ** 9, 'operations_per_token': 10 ** 9, 'load': [],
                 'limits': [], 'logits': right, 'runs': {p.kind: {} for p in found}}
        bench = types.SimpleNamespace(options=types.SimpleNamespace(rounds=rounds),
                                      limits=lambda: {'read': 16e9, 'int8': 1e13, 'f32': 1e12})
        for name in ('start', 'take_all', 'worth_running'):
            setattr(bench, name, types.MethodType(getattr(compare.Bench, name), bench))
        with unittest.mock.patch.object(compare, 'Running', loaded):
            for _ in compare.Bench.rounds(bench, 'm.gguf', found, entry):
                entry['summary'] = compare.summary(entry)
        return asked, entry

    def test_turns(self):
        """All variants once, then the fastest; another program begins; wrong logits are never timed."""
        asked, entry = self.run_all()
        mixt, slow, fast, ik = ('mixt', ''), ('llama.cpp', ''), ('llama.cpp', '-fa 0'), ('ik_llama.cpp', '')
        ends = [one + ('ends',) for one in (slow, mixt, fast, ik)]
        self.assertEqual(asked, [mixt, slow, fast, ik, ends[0], fast, ik, mixt, ik, mixt, fast] + ends[1:])
        self.assertEqual(len(entry['limits']), 3)
        self.assertEqual({k: {f: len(r) for f, r in v.items()} for k, v in entry['runs'].items()},
                         {'mixt': {'': 3}, 'llama.cpp': {'': 1, '-fa 0': 3}, 'ik_llama.cpp': {'': 3}})

    def test_death(self):
        """One that dies in a turn is named and left out; the others have all their rounds."""
        with contextlib.redirect_stderr(io.StringIO()) as said:
            asked, entry = self.run_all(3, Mortal)
        self.assertEqual({k: {f: len(r) for f, r in v.items()} for k, v in entry['runs'].items()},
                         {'mixt': {'': 3}, 'llama.cpp': {}, 'ik_llama.cpp': {'': 3}})
        lines = said.getvalue().splitlines()
        self.assertEqual(len(lines), 3, lines)                  # and the one that could not start
        self.assertEqual([line.split(': ')[1] for line in lines], ['llama.cpp cannot', 'llama.cpp ', 'llama.cpp -fa 0'])
        self.assertEqual([one[:2] for one in asked if one[2:]],
                         [('llama.cpp', ''), ('llama.cpp', '-fa 0'), ('mixt', ''), ('ik_llama.cpp', '')])
        self.assertEqual(set(entry['summary']['best']['decode']) & {'mixt', 'llama.cpp', 'ik_llama.cpp'},
                         {'mixt', 'ik_llama.cpp'})

    def test_results(self):
        """What is stored comes back, in the order of the types, and the table names every program."""
        _, entry = self.run_all(1)
        self.assertEqual(entry['summary']['best']['decode']['mixt_over_best_peer'], 2)
        self.assertEqual(entry['summary']['best']['decode']['mixt']['share_of_read'], 0.5)
        results = {'threads': 2, 'models': [dict(entry, type='F16')]}
        with tempfile.TemporaryDirectory(prefix='mixt-peers-') as folder:
            path = os.path.join(folder, 'machine.json')
            compare.store(results, entry, path)
            compare.store(results, entry, path)
            with open(path) as file:
                text = file.read()
        again = json.loads(text)
        self.assertEqual(again['models'][0], json.loads(json.dumps(entry)))
        self.assertIn('"step_s": [0.125, 0.125, ', text)        # samples stand in one line
        self.assertEqual([e['type'] for e in again['models']], ['Q8_0', 'F16'])
        words = [line.split()[:3] for line in compare.table(again).splitlines()[1:4]]
        self.assertEqual(words, [['Q8_0', 'mixt', '8.00'], ['Q8_0', 'ik_llama.cpp', '4.00'],
                                 ['Q8_0', 'llama.cpp', '4.00']])
        xml.fromstring(chart.drawing(again))


class Plot(unittest.TestCase):
    def results(self):
        figure = {'mixt': {'tokens_per_s': 20.0}, 'llama.cpp': {'tokens_per_s': 10.0}}
        summary = {'best': {'decode': figure, 'prompt_512': figure}, 'limits': {'read': 44e9, 'int8': 15e9},
                   'peak': 'int8'}
        return {'threads': 2, 'models': [{'type': 'Q4_<K>', 'layers': 8, 'bytes_per_token': 2 * 10 ** 9,
                                          'operations_per_token': 10 ** 9, 'summary': summary}]}

    def test_drawing(self):
        root = xml.fromstring(chart.drawing(self.results()))
        space = '{http://www.w3.org/2000/svg}'
        bars = [r for r in root.iter(space + 'rect') if r.get('width') != '12']
        self.assertEqual(len(bars), 4)
        # The bar of 20 is twice as high as that of 10, and the limit of 22 lies above both.
        high, low = float(bars[0].get('height')), float(bars[1].get('height'))
        self.assertAlmostEqual(high / low, 2, delta=0.01)
        limit = [l for l in root.iter(space + 'line') if l.get('class') == 'limit' and float(l.get('x2')) > 400]
        self.assertAlmostEqual(float(limit[0].get('y1')), float(bars[0].get('y')) - high * 0.1, delta=0.2)
        texts = [t.text for t in root.iter(space + 'text')]
        self.assertIn('Q4_<K>', texts)
        self.assertIn('20.0', texts)

    def test_steps(self):
        self.assertEqual([chart.nice_step(t) for t in (1, 7, 22, 100, 130)], [0.2, 2, 5, 20, 50])


if __name__ == '__main__':
    unittest.main()
