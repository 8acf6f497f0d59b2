# SPDX-License-Identifier: Apache-2.0
"""llama_library.py - llama.cpp and ik_llama.cpp by their C interface.

Both answer to nearly the same one and are driven through it, so that the work is the same to the token;
their own bench programs decode eight equal sequences, for instance, which then choose equal experts and
read a third of the bytes.

Options structures differ by version.  They are bytes here, with the place of each field that is used
and the default that must be found there, so that another version is refused rather than misread.
"""
import ctypes as c
import glob
import os
import time

from raw import Params, Raw, Refused


class Batch(c.Structure):
    _fields_ = [('n_tokens', c.c_int32), ('token', c.POINTER(c.c_int32)), ('embd', c.c_void_p),
                ('pos', c.POINTER(c.c_int32)), ('n_seq_id', c.POINTER(c.c_int32)),
                ('seq_id', c.POINTER(c.POINTER(c.c_int32))), ('logits', c.POINTER(c.c_int8)),
                ('rest', c.c_int32 * 4)]


# name: (byte, struct format, default; None: not checked)
LLAMA_MODEL = {'extra_buffers': (74, '?', True)}
LLAMA_CONTEXT = {
    'n_ctx': (0, 'I', 512), 'n_batch': (4, 'I', 2048), 'n_ubatch': (8, 'I', 512), 'n_seq_max': (12, 'I', 1),
    'n_outputs_max': (20, 'I', 0), 'n_outputs_max_per_seq': (24, 'I', 1), 'n_threads': (28, 'I', None),
    'n_threads_batch': (32, 'I', None), 'pooling': (44, 'i', -1), 'flash_attn': (52, 'i', -1),
    'type_k': (104, 'i', 1), 'type_v': (108, 'i', 1)}
IK_MODEL = {
    'type_k': (32, 'i', 1), 'n_seq_max': (48, 'i', 1), 'n_ubatch': (52, 'i', 512), 'amb': (56, 'i', 256),
    'n_k_first': (88, 'i', -1), 'use_mmap': (169, '?', True), 'repack': (172, '?', False),
    'huge_pages': (173, '?', False), 'merge_qkv': (175, '?', False), 'merge_up_gate': (176, '?', False),
    'flash_attn': (179, '?', True)}
IK_CONTEXT = {
    'n_ctx': (4, 'I', 512), 'n_batch': (8, 'I', 2048), 'n_ubatch': (12, 'I', 512), 'n_seq_max': (16, 'I', 1),
    'n_threads': (20, 'I', None), 'n_threads_batch': (24, 'I', None), 'yarn_ext': (56, 'f', -1.0),
    'type_k': (96, 'i', 1), 'type_v': (100, 'i', 1), 'n_k_first': (132, 'i', -1),
    'flash_attn': (151, '?', True), 'mla': (152, 'i', 3), 'attn_max_batch': (156, 'i', 256),
    'fused_moe': (160, '?', True), 'fused_up_gate': (162, '?', True), 'rope_cache': (164, '?', False),
    'graph_reuse': (165, '?', True), 'dsa_top_k': (172, 'i', -1)}

# What a flag of their own bench programs sets: (structure, field).
FLAGS = {
    'llama.cpp': {'-fa': [('context', 'flash_attn')], '-repack': [('model', 'extra_buffers')]},
    'ik_llama.cpp': {'-fa': [('context', 'flash_attn'), ('model', 'flash_attn')], '-rtr': [('model', 'repack')],
                     '-fmoe': [('context', 'fused_moe')], '-thp': [('model', 'huge_pages')],
                     '-mqkv': [('model', 'merge_qkv')], '-muge': [('model', 'merge_up_gate')],
                     '-rcache': [('context', 'rope_cache')], '-mmp': [('model', 'use_mmap')]},
}


_QUIET = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)(lambda level, text, data: None)


def _library(folder, pattern):
    found = sorted(glob.glob(os.path.join(folder, pattern)))
    return c.CDLL(found[0], mode=c.RTLD_GLOBAL) if found else None


class Peer:
    def __init__(self, kind, folder, flags=(), n_threads=2):
        self.kind, self.flags, self.n_threads = kind, list(flags), n_threads
        self.base = _library(folder, 'libggml-base*.so')            # only llama.cpp splits it off
        self.ggml = _library(folder, 'libggml.*so') or _library(folder, '../ggml/src/libggml.*so')
        self.llama = _library(folder, 'libllama.*so')
        if not self.llama or not self.ggml:
            raise Refused('%s: expected libllama.so and libggml.so of %s' % (folder, kind))
        self._declare()
        self.llama.llama_log_set(_QUIET, None)
        if self.base:
            self.ggml.ggml_backend_load_all_from_path(folder.encode())
        self.llama.llama_backend_init()
        ik = kind == 'ik_llama.cpp'
        self.model_params = Params(self.llama.llama_model_default_params(), IK_MODEL if ik else LLAMA_MODEL, folder)
        self.context_params = Params(self.llama.llama_context_default_params(),
                                     IK_CONTEXT if ik else LLAMA_CONTEXT, folder)
        for flag, value in zip(self.flags[::2], self.flags[1::2]):
            if flag not in FLAGS[kind]:
                raise Refused('%s has no flag %s here' % (kind, flag))
            for which, field in FLAGS[kind][flag]:
                (self.model_params if which == 'model' else self.context_params).set(**{field: int(value)})
        self.model = self.context = None

    def _declare(self):
        pointer = c.c_void_p
        for name, result, arguments in (
                ('llama_log_set', None, [pointer, pointer]),
                ('llama_backend_init', None, []),
                ('llama_print_system_info', c.c_char_p, []),
                ('llama_context_default_params', Raw, []),
                ('llama_model_default_params', Raw, []),
                ('llama_model_load_from_file', pointer, [c.c_char_p, Raw]),
                ('llama_model_get_vocab', pointer, [pointer]),
                ('llama_vocab_n_tokens', c.c_int32, [pointer]),
                ('llama_init_from_model', pointer, [pointer, Raw]),
                ('llama_free', None, [pointer]),
                ('llama_batch_init', Batch, [c.c_int32, c.c_int32, c.c_int32]),
                ('llama_decode', c.c_int32, [pointer, Batch]),
                ('llama_get_logits', c.POINTER(c.c_float), [pointer])):
            function = getattr(self.llama, name)
            function.restype, function.argtypes = result, arguments
        if self.kind == 'llama.cpp':
            self.llama.llama_get_memory.restype, self.llama.llama_get_memory.argtypes = pointer, [pointer]
            self.llama.llama_memory_clear.restype, self.llama.llama_memory_clear.argtypes = None, [pointer, c.c_bool]
        else:
            self.llama.llama_kv_cache_clear.restype, self.llama.llama_kv_cache_clear.argtypes = None, [pointer]

    def load(self, path):
        self.model = self.llama.llama_model_load_from_file(path.encode(), self.model_params.by_value())
        if not self.model:
            raise Refused('%s cannot load %s' % (self.kind, path))
        self.n_vocab = self.llama.llama_vocab_n_tokens(self.llama.llama_model_get_vocab(self.model))

    def begin(self, n_sequences, n_context, n_rows, n_outputs=1):
        """New, empty sequences of at most n_context tokens each; n_outputs of a prompt have logits."""
        if self.context:
            self.llama.llama_free(self.context)
        self.context_params.set(n_ctx=n_context * n_sequences, n_batch=n_rows, n_ubatch=n_rows, n_seq_max=n_sequences,
                                n_threads=self.n_threads, n_threads_batch=self.n_threads)
        if self.kind == 'llama.cpp':
            self.context_params.set(n_outputs_max=max(n_outputs, n_sequences), n_outputs_max_per_seq=n_outputs)
        self.context = self.llama.llama_init_from_model(self.model, self.context_params.by_value())
        if not self.context:
            raise Refused('%s cannot make a context' % self.kind)
        self.batch, self.n_outputs = self.llama.llama_batch_init(n_rows, 0, 1), n_outputs
        self.held = [0] * n_sequences

    def empty(self):
        if self.kind == 'llama.cpp':
            self.llama.llama_memory_clear(self.llama.llama_get_memory(self.context), True)
        else:
            self.llama.llama_kv_cache_clear(self.context)
        self.held = [0] * len(self.held)

    def prompt(self, ids, sequence=0):
        """Seconds for these ids in one piece."""
        first = len(ids) - self.n_outputs
        return self._decode([(token, sequence, i >= first) for i, token in enumerate(ids)])

    def step(self, ids):
        """Seconds for one more token in each sequence."""
        return self._decode([(token, sequence, True) for sequence, token in enumerate(ids)])

    def _decode(self, rows):
        batch = self.batch
        batch.n_tokens = len(rows)
        for i, (token, sequence, wanted) in enumerate(rows):
            batch.token[i], batch.n_seq_id[i], batch.logits[i] = token, 1, wanted
            batch.seq_id[i][0], batch.pos[i] = sequence, self.held[sequence]
            self.held[sequence] += 1
        start = time.perf_counter()
        code = self.llama.llama_decode(self.context, batch)
        self.llama.llama_get_logits(self.context)       # waits until they are there
        if code:
            raise Refused('%s cannot decode: %d' % (self.kind, code))
        return time.perf_counter() - start

    def logits(self, n):
        """Of the rows of the last call that have some, [n][V]."""
        import numpy as np
        return np.ctypeslib.as_array(self.llama.llama_get_logits(self.context), (n, self.n_vocab)).copy()

    def version(self):
        text = {'system': self.llama.llama_print_system_info().decode().strip()}
        for name in ('ggml_version', 'ggml_commit'):
            if self.base and hasattr(self.base, name):
                function = getattr(self.base, name)
                function.restype = c.c_char_p
                text[name] = function().decode()
        return text
