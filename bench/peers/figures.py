# SPDX-License-Identifier: Apache-2.0
"""figures.py - from raw seconds to what is said about them: bytes of a token, rates, medians, ratios."""
import statistics

import workload


def token_bytes(shown, n_rows=1):
    """Bytes of the file that one decoded token reads, on average over experts, from `mixt show --json`:
    all of attention, router, norms and output, U of E experts, one row of the embedding.  With n_rows
    decoded together: the experts that so many rows touch when each chooses by itself."""
    part = {c['name']: c['bytes'] for c in shown['classes']}
    E, U = shown['experts'], shown['experts_used']
    touched = E * (1 - (1 - U / E) ** n_rows) if E else 1
    whole = part['attention'] + part.get('router', 0) + part['norms']
    whole += part.get('output') or part['embedding']                # tied: the embedding is the output too
    feed_forward = part['experts'] * touched / E if E else part['feed-forward']
    return round(whole + feed_forward + n_rows * part['embedding'] / shown['vocabulary'])


def token_operations(shown):
    """Multiplications and additions of one token of a prompt; attention over earlier tokens, and what only the
    last token needs (experts of the last layer, the output matrix), are left out.  All programs leave it out."""
    active = {c['name']: c['parameters_active'] for c in shown['classes']}
    feed_forward = sum(active.get(name, 0) for name in ('router', 'experts', 'feed-forward'))
    return round(2 * (active['attention'] + feed_forward * (shown['layers'] - 1) / shown['layers']))


def rates(run):
    """Tokens per second and sizes of one run of driver.py."""
    steps, n = run['step_s'], workload.N_INTERVAL
    intervals = [n / sum(steps[i:i + n]) for i in range(0, len(steps) - n + 1, n)]
    out = {'decode': statistics.median(intervals), 'decode_intervals': intervals,
           'together': workload.N_TOGETHER * len(run['together_s']) / sum(run['together_s']),
           'ready_s': run['ready_s'], 'resident_bytes': run['resident_bytes']}
    for tokens in workload.PROMPTS:
        out['prompt_%d' % tokens] = tokens / run['prompt_%d_s' % tokens]
    return out


def medians(runs):
    """Of each figure over the rounds; of lists, element by element."""
    told = [rates(run) for run in runs]
    out = {}
    for key in told[0]:
        values = [t[key] for t in told]
        out[key] = ([statistics.median(column) for column in zip(*values)] if isinstance(values[0], list)
                    else statistics.median(values))
    return out


SPEEDS = ['decode', 'together'] + ['prompt_%d' % n for n in workload.PROMPTS]


def best_of(variants, name):
    """(flags, figure) of the fastest variant of a program; variants: flags -> medians."""
    return max(((flags, figures[name]) for flags, figures in variants.items()), key=lambda pair: pair[1])


def worth_running(first, slack=0.07):
    """Flags of the variants which, after one round, lie within `slack` of the fastest in some figure."""
    keep = set()
    for name in SPEEDS:
        top = max(figures[name] for figures in first.values())
        keep.update(flags for flags, figures in first.items() if figures[name] >= (1 - slack) * top)
    return [flags for flags in first if flags in keep]


def rate_of(rates, n_threads):
    """From the lists of `mixt doctor`: the rate for so many threads, or for the most there are."""
    return next((r['per_second'] for r in rates if r['threads'] == n_threads), rates[-1]['per_second'])


def compare(mixt, peers, read, peak, costs):
    """mixt: medians or None; peers: program -> flags -> medians; read, peak: per second; costs: of a token.
    What the table and the plot show."""
    told = {}
    for name in SPEEDS:
        entry = {program: dict(zip(('flags', 'tokens_per_s'), best_of(variants, name)))
                 for program, variants in peers.items() if variants}
        if mixt:
            entry['mixt'] = {'flags': '', 'tokens_per_s': mixt[name]}
        for e in entry.values():
            if name == 'decode':
                e['gbs'] = e['tokens_per_s'] * costs['bytes_per_token'] / 1e9
                e['share_of_read'] = 1e9 * e['gbs'] / read
            elif name.startswith('prompt'):
                e['share_of_peak'] = e['tokens_per_s'] * costs['operations_per_token'] / peak
        told[name] = entry
    return told


def paired(ours, theirs, name):
    """Median ratio of two programs' figures that were taken in the same round, or in the same short turn."""
    key = 'decode_intervals' if name == 'decode' else name
    ratios = []
    for one, other in zip(ours, theirs):
        a, b = rates(one)[key], rates(other)[key]
        ratios += [x / y for x, y in zip(a, b)] if isinstance(a, list) else [a / b]
    return statistics.median(ratios)


def put_ratios(told, runs):
    """told: of compare(); runs: program -> flags -> raw runs.  How many times as fast Mixt was as the fastest peer of
    each figure, and as each of them at its best flags."""
    ours = runs['mixt']['']
    for name, entry in told.items():
        peers = [program for program in entry if program != 'mixt']
        for program in peers:
            entry[program]['mixt_is'] = paired(ours, runs[program][entry[program]['flags']], name)
        if peers:
            entry['mixt_over_best_peer'] = min(entry[program]['mixt_is'] for program in peers)
