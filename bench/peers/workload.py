# SPDX-License-Identifier: Apache-2.0
"""workload.py - what everybody computes: the same ids, prompts and steps for Mixt and its peers."""
PROMPTS = (512, 128)            # tokens, each in one piece
N_ROWS = 512                    # rows of a batch at most
N_LEAD = 8                      # tokens before the first decoded one
N_STEPS = 16                    # decoded tokens of a short turn
N_SHORT_TURNS = 6               # for each long one
N_INTERVAL = 8                  # decoded tokens in one interval
N_TOGETHER = 8                  # sequences decoded together
N_TOGETHER_STEPS = 12
N_CHECK_STEPS = 8               # of the ids of a check, given one by one at the end
N_CONTEXT = 1024                # tokens of key/value cache for one sequence
N_CONTEXT_EACH = 256            # and for each of those decoded together


def tokens(n_vocab):
    """The i-th id: scattered over the vocabulary, so that a router sees different rows; no control ids."""
    return lambda i: 300 + (i * 2654435761 + 12345) % 4294967296 * (n_vocab - 300) // 4294967296


def described():
    """For the results: what was run, in words and numbers."""
    return {'prompts': list(PROMPTS), 'rows_of_a_batch': N_ROWS, 'lead': N_LEAD, 'steps': N_STEPS,
            'short_turns': N_SHORT_TURNS, 'interval': N_INTERVAL, 'together': N_TOGETHER,
            'together_steps': N_TOGETHER_STEPS, 'cache': 'F16'}
