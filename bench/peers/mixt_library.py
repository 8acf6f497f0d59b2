# SPDX-License-Identifier: Apache-2.0
"""mixt_library.py - Mixt by include/mixt.h, with the same calls as llama_library.py has."""
import ctypes as c
import struct
import time

from raw import Params, Raw, Refused

# Places in mixt_engine_options and mixt_model_info; later fields are added at their ends.
ENGINE = {'cpu_set': (16, 'Q', 0), 'n_threads': (24, 'i', 0), 'kv': (28, 'i', 0), 'n_batch': (32, 'Q', 0)}
INFO_N_VOCAB = 128


class Error(c.Structure):
    _fields_ = [('code', c.c_int), ('text', c.c_char * 504)]


class Mixt:
    kind = 'mixt'

    def __init__(self, path, flags=(), n_threads=2):
        """path: libmixt.so; flags: '-cpu', a set."""
        self.library, self.error = c.CDLL(path), Error()
        pointer, size = c.c_void_p, c.c_size_t
        for name, result, arguments in (
                ('mixt_version', c.c_char_p, []),
                ('mixt_model_open', c.c_int, [c.c_char_p, pointer, pointer, pointer]),
                ('mixt_model_read', Raw, [pointer]),
                ('mixt_engine_defaults', Raw, []),
                ('mixt_engine_new', c.c_int, [pointer, pointer, pointer, pointer]),
                ('mixt_session_new', c.c_int, [pointer, size, pointer, pointer]),
                ('mixt_session_free', None, [pointer]),
                ('mixt_session_sync', c.c_int, [pointer, pointer, size, pointer]),
                ('mixt_session_score', c.c_int, [pointer, pointer, size, pointer, pointer]),
                ('mixt_engine_step', c.c_int, [pointer, pointer, pointer, size, pointer, pointer]),
                ('mixt_session_logits', c.POINTER(c.c_float), [pointer])):
            function = getattr(self.library, name)
            function.restype, function.argtypes = result, arguments
        self.n_threads, self.cpu_set = n_threads, None
        for flag, value in zip(flags[::2], flags[1::2]):
            if flag != '-cpu':
                raise Refused('mixt has no flag %s here' % flag)
            self.cpu_set = c.c_char_p(value.encode())
        self.model, self.engine, self.sessions = c.c_void_p(), c.c_void_p(), []

    def _call(self, name, *arguments):
        if getattr(self.library, name)(*arguments, c.byref(self.error)):
            raise Refused(self.error.text.decode())

    def load(self, path):
        self._call('mixt_model_open', path.encode(), None, c.byref(self.model))
        info = self.library.mixt_model_read(self.model)
        self.n_vocab = struct.unpack_from('<q', bytearray(info.bytes), INFO_N_VOCAB)[0]

    def begin(self, n_sequences, n_context, n_rows, n_outputs=1):
        """New, empty sequences of at most n_context tokens each; n_outputs of a prompt have logits."""
        if not self.engine:
            options = Params(self.library.mixt_engine_defaults(), ENGINE, 'libmixt')
            options.set(n_threads=self.n_threads, n_batch=n_rows)
            if self.cpu_set:
                options.set(cpu_set=c.cast(self.cpu_set, c.c_void_p).value)
            self._call('mixt_engine_new', self.model, c.byref(options.by_value()), c.byref(self.engine))
        self.n_outputs, self.shape = n_outputs, (n_sequences, n_context)
        self.empty()

    def empty(self):
        for session in self.sessions:
            self.library.mixt_session_free(session)
        self.sessions = [c.c_void_p() for _ in range(self.shape[0])]
        for session in self.sessions:
            self._call('mixt_session_new', self.engine, self.shape[1], c.byref(session))

    def prompt(self, ids, sequence=0):
        """Seconds for these ids in one piece."""
        session, list_ = self.sessions[sequence], (c.c_int32 * len(ids))(*ids)
        if self.n_outputs > 1:
            self.scores = (c.c_float * (len(ids) * self.n_vocab))()
            start = time.perf_counter()
            self._call('mixt_session_score', session, list_, len(ids), self.scores)
        else:
            start = time.perf_counter()
            self._call('mixt_session_sync', session, list_, len(ids))
        return time.perf_counter() - start

    def step(self, ids):
        """Seconds for one more token in each sequence."""
        self.scores, n = None, len(ids)
        handles = (c.c_void_p * n)(*[session.value for session in self.sessions])
        list_ = (c.c_int32 * n)(*ids)
        start = time.perf_counter()
        self._call('mixt_engine_step', self.engine, handles, list_, n, None)
        return time.perf_counter() - start

    def logits(self, n):
        """Of the rows of the last call that have some, [n][V]."""
        import numpy as np
        if self.scores:
            return np.array(self.scores, np.float32).reshape(-1, self.n_vocab)[-n:]
        rows = [np.ctypeslib.as_array(self.library.mixt_session_logits(s), (self.n_vocab,)) for s in self.sessions]
        return np.array(rows)

    def version(self):
        return {'version': self.library.mixt_version().decode()}
