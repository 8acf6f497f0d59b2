#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""compare.py - Mixt beside llama.cpp and ik_llama.cpp: same files, same ids, same threads, taking turns.

    MIXT_PEER_LLAMA=DIR MIXT_PEER_IK=PATH bench/peers/compare.py BUILD
    bench/peers/compare.py BUILD --types Q4_K_M,Q8_0 --rounds 3 --keep

For each storage type: a small model first, whose logits every program must get right against
tests/golden/oracle.py; then eight (F16, BF16: four) layers of Mixtral 8x7B with random weights.  One round
runs all variants of every program, the later ones those that were nearly the fastest in something.  The
medians go to bench/results/MACHINE.json, which keeps the types of earlier runs, with all raw seconds.
Read bench/peers/README.md first.
"""
import argparse
import datetime
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile

import chart
import figures
import workload

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'golden'))

# As many as fit into 24 GiB, once for every program and variant that has a turn.
LAYERS = {'Q4_K_M': 3, 'Q8_0': 2, 'Q4_0': 3, 'Q6_K': 2, 'Q5_K_M': 3, 'Q3_K_M': 4, 'Q2_K': 4, 'F16': 1, 'BF16': 1}
FLOATS = ('F16', 'BF16')       # their prompts are a matter of the f32 peak, the others' of the int8 peak
# Of the flags a user may try, those that were fastest in some figure; the README names the others.
VARIANTS = {
    'mixt': [''],
    'llama.cpp': ['', '-repack 0'],
    'ik_llama.cpp': ['', '-rtr 1', '-rtr 1 -fmoe 0'],
}
# Rows of eight-bit activations are off by under one percent, and so are the logits of two layers; a
# residual left out, or rows added after the norm, is off by eight and more.  The middle row is judged:
# where two experts are nearly equal, rounding may choose the other one, and that row says nothing.
WRONG = 0.03
SMALL = ['--layers', '2', '--width', '512', '--hidden', '1024', '--heads', '8', '--kv-heads', '2', '--head-size', '64',
         '--experts', '8', '--used', '2', '--vocab', '2048']
N_CHECKED = 96
QUIET = 0.5                     # load of a machine on which a figure means something

WHERE = {
    'llama.cpp': ('MIXT_PEER_LLAMA', 'the folder of libllama.so'),
    'ik_llama.cpp': ('MIXT_PEER_IK', 'the path of its llama-bench'),
}


def say(text):
    print(text, flush=True)


def complain(text):
    print('compare.py: %s' % text, file=sys.stderr, flush=True)


# ---- programs ------------------------------------------------------------------------------


class Program:
    def __init__(self, kind, library, options):
        self.kind, self.library, self.threads = kind, library, options.threads
        self.variants = list(VARIANTS[kind])

    def words(self, what, *arguments, flags=''):
        return [sys.executable, os.path.join(HERE, 'driver.py'), self.kind, self.library, what, *arguments,
                '--threads', str(self.threads), '--flags=' + flags]

    def drive(self, what, *arguments, flags=''):
        """One process of driver.py; its JSON, or a RuntimeError with its sentence."""
        done = subprocess.run(self.words(what, *arguments, flags=flags), capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ['no word']
            raise RuntimeError('%s %s: exit %d: %s' % (self.kind, flags, done.returncode, lines[-1]))
        return json.loads(done.stdout) if done.stdout.strip() else None


class Running:
    """A program with the model loaded.  It stands still, threads that spin included, but for its turns."""

    def __init__(self, program, flags, path):
        self.program, self.flags = program, flags
        self.log = tempfile.TemporaryFile('w+')
        self.process = subprocess.Popen(program.words('measure', path, flags=flags), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True, bufsize=1)
        self.about = self.answer()
        self.process.send_signal(signal.SIGSTOP)

    def answer(self):
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.process.wait()
        self.log.seek(0)
        lines = self.log.read().strip().splitlines() or ['no word']
        raise RuntimeError('%s %s: exit %d: %s' % (self.program.kind, self.flags, self.process.returncode, lines[-1]))

    def turn(self, kind):
        """'long': prompts and several sequences; 'short': one sequence decoded."""
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.stdin.write(kind + '\n')
        except BrokenPipeError:
            pass                        # it died since, and answer() finds its last words
        told = self.answer()
        self.process.send_signal(signal.SIGSTOP)
        return told

    def end(self):
        self.process.kill()
        self.process.wait()


def folder_of_ik(path):
    """llama-bench lies in BUILD/bin, the library in BUILD/src."""
    if os.path.isdir(path):
        return path
    return os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(path)), '..', 'src'))


def programs(options):
    """Those that are there; one line for each that is not."""
    found = []
    if not options.peers_only:
        found.append(Program('mixt', os.path.join(options.build, 'src/lib/libmixt.so'), options))
    for kind, path in (('llama.cpp', options.llama), ('ik_llama.cpp', options.ik)):
        if not path or not os.path.exists(path):
            say('%s: not there; set %s to %s (bench/peers/README.md says how to get it)' % ((kind,) + WHERE[kind]))
            continue
        found.append(Program(kind, folder_of_ik(path) if kind == 'ik_llama.cpp' else path, options))
    return found


# ---- are the logits right? -----------------------------------------------------------------


def check(program, flags, path, ids, want):
    """Relative l2 of the logits: of the middle row, and of the middle one of those computed one by one."""
    import numpy as np
    with tempfile.NamedTemporaryFile(suffix='.npy') as out:
        program.drive('logits', path, '--ids', ','.join(map(str, ids)), '-o', out.name, flags=flags)
        got = np.load(out.name)
    rows = np.linalg.norm(got - want, axis=1) / np.linalg.norm(want, axis=1)
    error = float(np.median(rows))
    steps = float(np.median(rows[-workload.N_CHECK_STEPS:]))
    return {'error': round(error, 6), 'error_one_by_one': round(steps, 6), 'right': max(error, steps) < WRONG}


def check_all(bench, kind_of_weights, found):
    """kind -> flags -> what check() says, on a small model with real routing."""
    import oracle
    import oracle_files
    path = os.path.join(bench.folder, 'small-%s.gguf' % kind_of_weights)
    bench.synth(path, ['--like', 'tiny', '--type', kind_of_weights] + SMALL)
    model = oracle_files.open_model(path)
    token = workload.tokens(len(model.w('embed')))
    ids = [1] + [token(i) for i in range(N_CHECKED - 1)]
    want = oracle.logits(model, ids)[0]
    told = {}
    for program in found:
        told[program.kind] = {}
        for flags in program.variants:
            try:
                answer = check(program, flags, path, ids, want)
            except RuntimeError as why:
                answer = {'right': False, 'why': str(why)}
            told[program.kind][flags] = answer
            if not answer['right']:
                say('  %s %s: logits are wrong, its speed does not count (%s)'
                    % (program.kind, flags, answer.get('why') or 'off by %.3f' % answer['error']))
    os.remove(path)
    return told


# ---- one storage type ----------------------------------------------------------------------


class Bench:
    def __init__(self, options):
        self.options, self.folder = options, options.models
        self.mixt = os.path.join(options.build, 'apps/mixt')
        os.makedirs(self.folder, exist_ok=True)

    def synth(self, path, shape):
        subprocess.run([self.mixt, 'synth', '-o', path, *shape], check=True, stderr=subprocess.DEVNULL)

    def show(self, path):
        return json.loads(subprocess.run([self.mixt, 'show', path, '--json'], check=True, capture_output=True).stdout)

    def limits(self):
        """What memory and arithmetic give now, per second, with these threads: `mixt doctor`."""
        words = [self.mixt, 'doctor', '--json']
        with tempfile.TemporaryDirectory(prefix='mixt-peers-') as elsewhere:    # the user's own profile stays
            done = subprocess.run(words, capture_output=True, text=True, env=dict(os.environ, XDG_CACHE_HOME=elsewhere))
        if done.returncode:
            raise RuntimeError('%s: exit %d: %s' % (' '.join(words), done.returncode, done.stderr.strip()))
        told = json.loads(done.stdout)
        return {key: figures.rate_of(told[key], self.options.threads) for key in ('read', 'int8', 'f32')}

    def one(self, kind, found):
        """Everything about one storage type, as it goes into the results; given out after each round."""
        say('%s: logits' % kind)
        checks = check_all(self, kind, found)
        path = os.path.join(self.folder, '%dl-%s.gguf' % (LAYERS[kind], kind.lower()))
        kept = os.path.exists(path)
        if not kept:
            say('%s: writing %s' % (kind, path))
            self.synth(path, ['--like', 'mixtral-8x7b', '--layers', str(LAYERS[kind]), '--type', kind])
        shown = self.show(path)
        entry = {'type': kind, 'layers': LAYERS[kind], 'file_bytes': shown['weight_bytes'],
                 'bytes_per_token': figures.token_bytes(shown),
                 'bytes_per_step_together': figures.token_bytes(shown, workload.N_TOGETHER),
                 'operations_per_token': figures.token_operations(shown),
                 'date': now(), 'load': [], 'logits': checks, 'limits': [], 'runs': {p.kind: {} for p in found}}
        warm(path)
        for _ in self.rounds(path, found, entry):
            entry['summary'] = summary(entry)
            yield entry
        if not (kept or self.options.keep):
            os.remove(path)

    def start(self, path, found, entry):
        """Every program with every variant whose logits are right, loaded and halted."""
        running = []
        for program in found:
            for flags in program.variants:
                if not entry['logits'][program.kind][flags]['right']:
                    continue
                try:
                    running.append(Running(program, flags, path))
                except RuntimeError as why:
                    complain(why)
        return running

    def rounds(self, path, found, entry):
        """Fills entry['runs'], kind -> flags -> raw runs; programs take turns, and each round begins with another."""
        running = self.start(path, found, entry)
        try:
            for turn in range(self.options.rounds):
                entry['load'].append(os.getloadavg()[0])
                at = turn % max(len(running), 1)
                entry['limits'].append(self.limits())
                alive = self.take_all(running[at:] + running[:at], entry)
                running = [one for one in running if one in alive]
                if turn == 0:
                    running = self.worth_running(running, entry)
                yield turn
        finally:
            for one in running:
                one.end()

    def worth_running(self, running, entry):
        stay = []
        for one in running:
            firsts = {flags: figures.rates(runs[0]) for flags, runs in entry['runs'][one.program.kind].items()}
            if one.flags in figures.worth_running(firsts):
                stay.append(one)
            else:
                one.end()
        return stay

    def take_all(self, running, entry):
        """A round: a long turn for each, then several short ones, so that what is compared lies seconds apart.  Those
        that live through it; one that dies is left out, with its earlier rounds, for the others have more of them."""
        runs = {one: {'step_s': []} for one in running}
        for kind in ['long'] + ['short'] * workload.N_SHORT_TURNS:
            for one in list(runs):
                try:
                    told = one.turn(kind)
                except RuntimeError as why:
                    complain('%s; it is left out' % why)
                    entry['runs'][one.program.kind].pop(one.flags, None)
                    one.end()
                    del runs[one]
                    continue
                runs[one] = {**runs[one], **told, 'step_s': runs[one]['step_s'] + told.get('step_s', [])}
        for one, run in runs.items():
            entry['runs'][one.program.kind].setdefault(one.flags, []).append(run)
            told = figures.rates(run)
            say('  %-13s %-15s decode %6.2f  prompt %s  together %6.2f tokens/s'
                % (one.program.kind, one.flags, told['decode'],
                   ' '.join('%7.2f' % told['prompt_%d' % n] for n in workload.PROMPTS), told['together']))
        return list(runs)


def warm(path):
    """Bring a file into the page cache."""
    with open(path, 'rb', buffering=0) as file:
        while file.read(1 << 24):
            pass


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%d %H:%M UTC')


# ---- results -------------------------------------------------------------------------------


def cpu_name():
    with open('/proc/cpuinfo') as lines:
        for line in lines:
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    return os.uname().machine


def about_machine():
    with open('/proc/meminfo') as lines:
        memory = int(lines.readline().split()[1]) * 1024
    return {'cpu': cpu_name(), 'cores': os.cpu_count(), 'memory_bytes': memory, 'system': os.uname().release}


def versions(options, found):
    told = {}
    for program in found:
        told[program.kind] = program.drive('version')
    commit = subprocess.run(['git', '-C', ROOT, 'describe', '--always', '--dirty'], capture_output=True, text=True)
    if 'mixt' in told:
        told['mixt']['commit'] = commit.stdout.strip()
    if 'ik_llama.cpp' in told:
        told['ik_llama.cpp']['commit'] = options.ik_commit
    return told


def summary(entry):
    """Medians and ratios of one storage type, beside its raw runs."""
    medians = {kind: {flags: figures.medians(runs) for flags, runs in variants.items()}
               for kind, variants in entry['runs'].items()}
    mixt = medians.pop('mixt', {}).get('')
    limits = {key: statistics.median(limit[key] for limit in entry['limits']) for key in entry['limits'][0]}
    peak = 'f32' if entry['type'] in FLOATS else 'int8'
    told = figures.compare(mixt, medians, limits['read'], limits[peak], entry)
    if mixt:
        figures.put_ratios(told, entry['runs'])
    every = dict(medians, **({'mixt': {'': mixt}} if mixt else {}))
    return {'limits': limits, 'peak': peak, 'medians': every, 'best': told}


def table(results):
    """The figures people ask for first."""
    rows = ['%-7s %-13s %8s %8s %9s %8s %9s %8s %9s %9s' % (
        'type', 'program', 'decode', 'of read', 'prompt512', 'of peak', 'prompt128', '8 rows', 'ready s', 'resident')]
    for entry in results['models']:
        best = entry['summary']['best']
        for kind in ('mixt', 'ik_llama.cpp', 'llama.cpp'):
            if kind in best['decode']:
                of = {name: best[name][kind] for name in figures.SPEEDS}
                same = entry['summary']['medians'][kind][of['decode']['flags']]
                rows.append('%-7s %-13s %8.2f %6.1f %% %9.1f %6.1f %% %9.1f %8.2f %9.1f %6.2f GB' % (
                    entry['type'], kind, of['decode']['tokens_per_s'], 100 * of['decode']['share_of_read'],
                    of['prompt_512']['tokens_per_s'], 100 * of['prompt_512']['share_of_peak'],
                    of['prompt_128']['tokens_per_s'], of['together']['tokens_per_s'], same['ready_s'],
                    same['resident_bytes'] / 1e9))
    return '\n'.join(rows)


def store(results, entry, path):
    """Put one storage type's entry in its place and write the file anew."""
    order = list(LAYERS)
    others = [e for e in results['models'] if e['type'] != entry['type']]
    results['models'] = sorted(others + [entry], key=lambda e: order.index(e['type']))
    text = json.dumps(results, indent=1)
    text = re.sub(r'\[([-+.,\deE\s]+)\]', lambda m: '[' + ' '.join(m.group(1).split()) + ']', text)    # one line
    with open(path + '.new', 'w') as file:
        file.write(text + '\n')
    os.replace(path + '.new', path)


def main():
    parser = argparse.ArgumentParser(description='Mixt beside its peers.')
    parser.add_argument('build', help='build folder of Mixt (release)')
    parser.add_argument('--types', default=','.join(LAYERS), help='storage types [all]')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--models', default='/var/tmp', help='folder for the models, 15 GB free [/var/tmp]')
    parser.add_argument('--keep', action='store_true', help='leave the models there')
    parser.add_argument('--llama', default=os.environ.get('MIXT_PEER_LLAMA'), help='folder of libllama.so')
    parser.add_argument('--ik', default=os.environ.get('MIXT_PEER_IK'), help="path of ik_llama.cpp's llama-bench")
    parser.add_argument('--ik-commit', default='8337e4c with the residual repaired')
    parser.add_argument('--machine', metavar='NAME', default=re.sub(r'[^A-Za-z0-9.]+', '-', cpu_name()).strip('-'))
    parser.add_argument('--peers-only', action='store_true')
    parser.add_argument('--draw', action='store_true', help='the table and the plot of the results that are there')
    options = parser.parse_args()
    unknown = [t for t in options.types.split(',') if t not in LAYERS]
    if unknown:
        parser.error('no type %s; there are %s' % (unknown[0], ' '.join(LAYERS)))

    path = os.path.join(ROOT, 'bench/results', options.machine + '.json')
    os.makedirs(os.path.dirname(path), exist_ok=True)
    results = {'models': []}
    if os.path.exists(path):
        with open(path) as file:
            results = json.load(file)
    if not options.draw:
        if os.getloadavg()[0] > QUIET:
            say('the load is %.1f: others are computing, and these figures will be worth little' % os.getloadavg()[0])
        found = programs(options)
        bench = Bench(options)
        results.update(machine=about_machine(), threads=options.threads,
                       workload=workload.described(), versions=versions(options, found))
        for kind in options.types.split(','):
            for entry in bench.one(kind, found):
                entry['versions'] = results['versions']
                store(results, entry, path)
    say(table(results))
    chart.write(results, os.path.join(ROOT, 'docs/bench.svg'))
    return 0


def run():
    try:
        return main()
    except RuntimeError as why:
        complain(why)
        return 1


if __name__ == '__main__':
    sys.exit(run())
