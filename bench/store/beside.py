#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""beside.py - a model larger than memory: Mixt beside llama.cpp and ik_llama.cpp, each alone under the same limit.

    MIXT_PEER_LLAMA=DIR MIXT_PEER_IK=PATH bench/store/beside.py BUILD MODEL.gguf [--packed FILE] [--limits 0,12,6]

For each limit in GiB (0: the machine) and each program: the page cache is dropped, the program is started in a memory
control group of that size (its share of the page cache counts there), loads the model, decodes one row, reads prompts, each in
one piece, and decodes eight rows together.  Mixt does so twice where there is a packed file.  A program that has not
done it all after --minutes is stopped, and what it had done is kept.  Before each, the disk is read past the page cache, from random places
of the same file on, 2 MiB at a time and 8 at once.  Results go to bench/results/store-MACHINE.json.
Wants root, for the group and the cache.
"""
import argparse
import ctypes
import json
import mmap
import os
import random
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(HERE, '..', 'peers'))
from llama_library import Peer          # noqa: E402
from mixt_library import Mixt           # noqa: E402
import workload                         # noqa: E402

BLOCK, DEPTH, RUN = 2 << 20, 8, 16
GROUP = '/sys/fs/cgroup/memory/mixt-beside'         # version 1
GROUP2 = '/sys/fs/cgroup/mixt-beside'
# Mapped files; llama.cpp would copy what it repacks, and there is no room for it.
FLAGS = {'mixt': [], 'llama.cpp': ['-repack', '0'], 'ik_llama.cpp': []}


# ---- the limit ----

def enter_group(limit_bytes):
    """This process, and what it reads, into a new group."""
    one = os.path.isdir('/sys/fs/cgroup/memory')
    group = GROUP if one else GROUP2
    os.makedirs(group, exist_ok=True)
    with open(os.path.join(group, 'memory.limit_in_bytes' if one else 'memory.max'), 'w') as file:
        file.write(str(limit_bytes))
    with open(os.path.join(group, 'cgroup.procs'), 'w') as file:
        file.write(str(os.getpid()))


def leave_group():
    for group in (GROUP, GROUP2):
        if os.path.isdir(group):
            os.rmdir(group)


def drop_cache():
    subprocess.run(['sync'], check=True)
    with open('/proc/sys/vm/drop_caches', 'w') as file:
        file.write('3')


# ---- the disk ----

def disk(path, seconds=4.0):
    """Bytes per second from random places, past the page cache."""
    size, done, stop = os.path.getsize(path), [0] * DEPTH, time.monotonic() + seconds
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)

    def read(i):
        memory, rng = mmap.mmap(-1, 2 * BLOCK, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), random.Random(i)
        memory.madvise(14)                              # MADV_HUGEPAGE: small pages halve what the disk gives
        memory[:] = bytes(2 * BLOCK)                    # a page's first touch would count as the disk's
        first = -ctypes.addressof(ctypes.c_char.from_buffer(memory)) % BLOCK
        buffer = memoryview(memory)[first:first + BLOCK]
        while time.monotonic() < stop:                  # an expert's bytes, one block after the other
            first_block = rng.randrange(size // BLOCK - RUN)
            for block in range(first_block, first_block + RUN):
                done[i] += os.preadv(fd, [buffer], block * BLOCK)
                if time.monotonic() > stop:
                    break
    start = time.monotonic()
    threads = [threading.Thread(target=read, args=(i,)) for i in range(DEPTH)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.close(fd)
    return sum(done) / (time.monotonic() - start)


# ---- one program, in a process of its own ----

def most_resident():
    with open('/proc/self/status') as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith('VmHWM:'))


# Places in mixt_engine_stats.
STATS = {'resident_bytes': 48, 'pins': 56, 'hits': 64, 'read_bytes': 72, 'wait_us': 80}


def expert_stats(program):
    """What Mixt says of its experts so far."""
    if program.kind != 'mixt':
        return {}
    from raw import Raw
    read = program.library.mixt_engine_read
    read.restype, read.argtypes = Raw, [ctypes.c_void_p]
    raw = bytes(read(program.engine).bytes)
    return {name: int.from_bytes(raw[at:at + 8], 'little') for name, at in STATS.items()}


def turn(kind, library, path, limit_bytes, steps, prompts):
    if limit_bytes:
        enter_group(limit_bytes)
    program = Mixt(library) if kind == 'mixt' else Peer(kind, library, FLAGS[kind])
    start = time.perf_counter()
    program.load(path)
    program.begin(1, 4096, max(prompts + [512]))
    token = workload.tokens(program.n_vocab)
    out = {'load_s': time.perf_counter() - start}
    before = expert_stats(program)

    def stage(name, value):
        nonlocal before
        now = expert_stats(program)
        out[name] = value
        if now:
            out[name + '_experts'] = {key: now[key] - before[key] for key in now}
        before = now
        out['resident_most_bytes'] = most_resident()
        print(json.dumps(out), flush=True)

    program.prompt([token(i) for i in range(8)])
    stage('begin_s', time.perf_counter() - start)
    stage('step_s', [program.step([token(1000 + i)]) for i in range(steps)])
    for n in prompts:
        program.empty()
        stage('prompt_%d_s' % n, program.prompt([token(i) for i in range(n)]))
    if kind == 'mixt':                                  # peers need another context: nothing to learn
        program.begin(8, 256, 2048)
        for s in range(8):
            program.prompt([token(100 * s + i) for i in range(4)], s)
        stage('lead_s', 0)
        stage('together_s', [program.step([token(2000 + 50 * s + i) for s in range(8)]) for i in range(max(4, steps // 4))])


# ---- all of them ----

def libraries(build):
    found = {'mixt': os.path.join(build, 'src', 'lib', 'libmixt.so')}
    if os.environ.get('MIXT_PEER_LLAMA'):
        found['llama.cpp'] = os.environ['MIXT_PEER_LLAMA']
    if os.environ.get('MIXT_PEER_IK'):
        found['ik_llama.cpp'] = os.path.join(os.path.dirname(os.environ['MIXT_PEER_IK']), '..', 'src')
    return found


def told(kind, run):
    text = '  %-13s' % kind
    if 'step_s' in run:
        text += ' decode %6.3f tok/s (all %6.3f)' % (1 / statistics.median(run['step_s']),
                                                     len(run['step_s']) / sum(run['step_s']))
    for name in run:
        if name.startswith('prompt_') and name.endswith('_s'):
            text += '  prompt %s %6.1f s' % (name.split('_')[1], run[name])
    if 'together_s' in run:
        text += '  together %6.3f tok/s' % (8 * len(run['together_s']) / sum(run['together_s']))
    if 'step_s_experts' in run:
        e = run['step_s_experts']
        text += '  hits %4.1f %%  bound %6.3f tok/s' % (
            100 * e['hits'] / max(1, e['pins']), len(run['step_s']) * run['disk_bytes_per_s'] / max(1, e['read_bytes']))
    return text + '  disk %.2f GB/s, at most %.2f GB held' % (
        run['disk_bytes_per_s'] / 1e9, run['resident_most_bytes'] / 1e9)


def last_said(command, minutes):
    """What the child said last, and whether it came to its end."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    timer = threading.Timer(minutes * 60, child.kill)
    timer.start()
    lines = child.stdout.read().splitlines()
    timer.cancel()
    return (json.loads(lines[-1]) if lines else None), child.wait() == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('build')
    parser.add_argument('model')
    parser.add_argument('--packed', help='the same model by mixt pack')
    parser.add_argument('--minutes', type=float, default=30, help='for one program under one limit')
    parser.add_argument('--limits', default='0,12,6')
    parser.add_argument('--rounds', type=int, default=1)
    parser.add_argument('--steps', type=int, default=16)
    parser.add_argument('--prompts', default='512,2048')
    parser.add_argument('--programs')
    parser.add_argument('--machine', default='machine')
    parser.add_argument('--turn', nargs=3, help=argparse.SUPPRESS)      # kind, library, limit: the child
    o = parser.parse_args()
    if o.turn:
        turn(o.turn[0], o.turn[1], o.model, int(o.turn[2]), o.steps, [int(n) for n in o.prompts.split(',') if n])
        return
    results_path = os.path.join(ROOT, 'bench', 'results', 'store-%s.json' % o.machine)
    results = json.load(open(results_path)) if os.path.exists(results_path) else {'runs': []}
    programs = libraries(o.build)
    turns = [(kind, o.model) for kind in (o.programs.split(',') if o.programs else programs)]
    if o.packed:
        turns.insert(0, ('mixt', o.packed))
    for round_ in range(o.rounds):
        for limit in [int(float(text) * 2**30) for text in o.limits.split(',')]:
            print('limit %s' % ('%.0f GiB' % (limit / 2**30) if limit else 'the machine'), flush=True)
            for kind, model in turns:
                drop_cache()
                rate = disk(model)
                drop_cache()
                run, whole = last_said([sys.executable, os.path.abspath(__file__), o.build, model, '--steps', str(o.steps),
                                        '--prompts', o.prompts, '--turn', kind, programs[kind], str(limit)], o.minutes)
                leave_group()
                if not run:
                    print('  %-13s did nothing in time' % kind, flush=True)
                    continue
                run.update(program=kind, limit_bytes=limit, round=round_, disk_bytes_per_s=rate, whole=whole,
                           model=os.path.basename(model), model_bytes=os.path.getsize(model),
                           date=time.strftime('%Y-%m-%d %H:%M', time.gmtime()))
                print(told(kind, run) + ('' if whole else '  stopped'), flush=True)
                results['runs'].append(run)
                with open(results_path, 'w') as file:
                    json.dump(results, file, indent=1)


if __name__ == '__main__':
    main()
