#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""driver.py - one program on one model, in a process of its own: its logits, or how fast it is.

    driver.py KIND LIBRARY measure MODEL [--flags "-fa 0"] [--threads N]        a JSON object when ready, and one
                                                                                for every line on stdin
    driver.py KIND LIBRARY logits MODEL --ids 1,2,3 -o LOGITS.npy               the last few one by one
    driver.py KIND LIBRARY version

KIND is mixt (LIBRARY: libmixt.so), llama.cpp or ik_llama.cpp (LIBRARY: the folder of libllama.so).
"""
import argparse
import ctypes
import json
import os
import sys
import time

import workload
from llama_library import FLAGS, Peer
from mixt_library import Mixt
from raw import Refused


def status(key):
    """A line of /proc/self/status in bytes."""
    with open('/proc/self/status') as lines:
        for line in lines:
            if line.startswith(key + ':'):
                return int(line.split()[1]) * 1024
    return None


def ready(program, path):
    """Loads, and computes until nothing is new to it any more."""
    before = status('VmRSS')                # Python's own
    start = time.perf_counter()
    program.load(path)
    program.begin(1, workload.N_CONTEXT, workload.N_ROWS)
    out = {'load_s': time.perf_counter() - start}
    token = workload.tokens(program.n_vocab)
    program.prompt([token(0)])              # what is mapped is touched now: ready only after it
    out['ready_s'] = time.perf_counter() - start
    program.empty()
    program.prompt([token(i) for i in range(64)])       # and all experts
    out['before_bytes'] = before
    return out


def long_turn(program, about):
    """Prompts, and sequences decoded together."""
    out = {'load_s': about['load_s'], 'ready_s': about['ready_s']}
    token = workload.tokens(program.n_vocab)
    program.begin(1, workload.N_CONTEXT, workload.N_ROWS)
    program.prompt([token(i) for i in range(8)])        # its threads and ours are awake
    for n in workload.PROMPTS:
        program.empty()
        out['prompt_%d_s' % n] = program.prompt([token(i) for i in range(n)])
    out['resident_bytes'] = status('VmRSS') - about['before_bytes']
    out['resident_peak_bytes'] = status('VmHWM') - about['before_bytes']
    out['resident_anonymous_bytes'] = status('RssAnon')

    n = workload.N_TOGETHER
    program.begin(n, workload.N_CONTEXT_EACH, workload.N_ROWS)
    for s in range(n):
        program.prompt([token(100 * s + i) for i in range(workload.N_LEAD)], s)
    out['together_s'] = [program.step([token(2000 + 50 * s + i) for s in range(n)])
                         for i in range(workload.N_TOGETHER_STEPS)]
    program.begin(1, workload.N_CONTEXT, workload.N_ROWS)
    return out


def short_turn(program):
    """One sequence, decoded."""
    token = workload.tokens(program.n_vocab)
    program.empty()
    program.prompt([token(i) for i in range(workload.N_LEAD)])
    return {'step_s': [program.step([token(1000 + i)]) for i in range(workload.N_STEPS)]}


def measure(program, path, say):
    """Says when it is ready, and then for each line on stdin, long or short, what that turn took.  Ends with its
    parent, even when it stands still: PR_SET_PDEATHSIG, SIGKILL."""
    ctypes.CDLL(None).prctl(1, 9)
    about = ready(program, path)
    say(about)
    for line in sys.stdin:
        say(long_turn(program, about) if line.strip() == 'long' else short_turn(program))


def logits(program, path, ids):
    """Of every id: all but the last in one piece, those one by one, for these are different kernels."""
    import numpy as np
    n = len(ids) - workload.N_CHECK_STEPS
    program.load(path)
    program.begin(1, max(len(ids), 64), max(len(ids), 64), n)
    program.prompt(ids[:n])
    rows = [program.logits(n)]
    for token in ids[n:]:
        program.step([token])
        rows.append(program.logits(1))
    return np.concatenate(rows)


def rounded(value):
    if isinstance(value, float):
        return round(value, 6)
    return [rounded(x) for x in value] if isinstance(value, list) else value


def main():
    parser = argparse.ArgumentParser(description='One program on one model: its logits, or its speed.')
    parser.add_argument('kind', choices=['mixt'] + list(FLAGS))
    parser.add_argument('library')
    parser.add_argument('what', choices=['logits', 'measure', 'version'])
    parser.add_argument('model', nargs='?')
    parser.add_argument('--flags', default='', help='such as "-rtr 1 -fa 0"')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--ids')
    parser.add_argument('-o', dest='out')
    options = parser.parse_args()
    # Their libraries print while loading; the answer must be alone on standard output.
    answer = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)

    def say(told):
        print(json.dumps({key: rounded(value) for key, value in told.items()}), file=answer, flush=True)

    try:
        flags = options.flags.split()
        if options.kind == 'mixt':
            program = Mixt(options.library, flags, options.threads)
        else:
            program = Peer(options.kind, options.library, flags, options.threads)
        if options.what == 'logits':
            import numpy as np
            np.save(options.out, logits(program, options.model, [int(word) for word in options.ids.split(',')]))
        elif options.what == 'version':
            say(program.version())
        else:
            measure(program, options.model, say)
    except Refused as why:
        print(why, file=sys.stderr)
        return 1
    answer.flush()
    os._exit(0)         # their destructors have been seen to fail; nothing of theirs matters any more


if __name__ == '__main__':
    sys.exit(main())
