# SPDX-License-Identifier: Apache-2.0
"""peer.py - llama.cpp by its C interface, for comparisons: logits, its quantiser, its decoders.

Nothing of it is part of the project.  Where the prebuilt libraries come from:

    npm i --ignore-scripts --omit=optional node-llama-cpp@3.22.1 @node-llama-cpp/linux-x64@3.22.1

The structures below are those of llama.cpp v0.5.0; Peer() checks them against the defaults the
library itself fills in, so that another version is refused rather than misread.
"""
import ctypes as c
import glob
import os

import numpy as np


class ContextParams(c.Structure):
    _fields_ = [(name, c.c_uint32) for name in (
                    'n_ctx', 'n_batch', 'n_ubatch', 'n_seq_max', 'n_rs_seq', 'n_outputs_max',
                    'n_outputs_max_per_seq', 'n_threads', 'n_threads_batch')]
    _fields_ += [(name, c.c_int32) for name in (
                    'ctx_type', 'rope_scaling_type', 'pooling_type', 'attention_type', 'flash_attn_type')]
    _fields_ += [('rope_and_yarn', c.c_uint32 * 8), ('cb_eval', c.c_void_p), ('cb_eval_data', c.c_void_p),
                 ('type_k', c.c_int32), ('type_v', c.c_int32), ('rest', c.c_uint8 * 128)]


class ModelParams(c.Structure):
    _fields_ = [('bytes', c.c_uint8 * 256)]


class QuantizeParams(c.Structure):
    _fields_ = [('n_threads', c.c_int32), ('ftype', c.c_int32), ('output_type', c.c_int32),
                ('embedding_type', c.c_int32), ('allow_requantize', c.c_bool), ('quantize_output', c.c_bool),
                ('only_copy', c.c_bool), ('pure', c.c_bool), ('rest', c.c_uint8 * 128)]


class Batch(c.Structure):
    _fields_ = [('n_tokens', c.c_int32), ('token', c.POINTER(c.c_int32)), ('embd', c.c_void_p),
                ('pos', c.POINTER(c.c_int32)), ('n_seq_id', c.POINTER(c.c_int32)),
                ('seq_id', c.POINTER(c.POINTER(c.c_int32))), ('logits', c.POINTER(c.c_int8))]


# Its numbers for "a file mostly of this type"; with `pure`, all matrices are.
FTYPES = {'F32': 0, 'F16': 1, 'BF16': 32, 'Q4_0': 2, 'Q4_1': 3, 'Q5_0': 8, 'Q5_1': 9, 'Q8_0': 7,
          'Q2_K': 10, 'Q3_K': 11, 'Q4_K': 14, 'Q5_K': 16, 'Q6_K': 18}
F32, F16 = 0, 1

_QUIET = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)(lambda level, text, data: None)


class Peer:
    def __init__(self, folder):
        """folder: where npm installed it."""
        found = glob.glob(os.path.join(folder, 'node_modules/@node-llama-cpp/linux-x64/bins/linux-x64'))
        assert found, 'no llama.cpp under %s' % folder
        libraries = found[0]
        self.base = c.CDLL(os.path.join(libraries, 'libggml-base.so'), mode=c.RTLD_GLOBAL)
        self.ggml = c.CDLL(glob.glob(os.path.join(libraries, 'libggml.v*.so'))[0], mode=c.RTLD_GLOBAL)
        self.llama = c.CDLL(glob.glob(os.path.join(libraries, 'libllama.v*.so'))[0], mode=c.RTLD_GLOBAL)
        self._declare()
        self.llama.llama_log_set(_QUIET, None)
        self.ggml.ggml_backend_load_all_from_path(libraries.encode())
        self.llama.llama_backend_init()
        params = self.llama.llama_context_default_params()
        assert (params.n_batch, params.n_ubatch, params.pooling_type, params.type_k, params.type_v) == \
            (2048, 512, -1, F16, F16), 'another version of llama.cpp than this file describes'

    def _declare(self):
        l, pointer = self.llama, c.c_void_p
        for name, result, arguments in (
                ('llama_log_set', None, [pointer, pointer]),
                ('llama_backend_init', None, []),
                ('llama_context_default_params', ContextParams, []),
                ('llama_model_default_params', ModelParams, []),
                ('llama_model_quantize_default_params', QuantizeParams, []),
                ('llama_model_quantize', c.c_uint32, [c.c_char_p, c.c_char_p, c.POINTER(QuantizeParams)]),
                ('llama_model_load_from_file', pointer, [c.c_char_p, ModelParams]),
                ('llama_model_free', None, [pointer]),
                ('llama_model_get_vocab', pointer, [pointer]),
                ('llama_vocab_n_tokens', c.c_int32, [pointer]),
                ('llama_init_from_model', pointer, [pointer, ContextParams]),
                ('llama_free', None, [pointer]),
                ('llama_adapter_lora_init', pointer, [pointer, c.c_char_p]),
                ('llama_set_adapters_lora', c.c_int32, [pointer, c.POINTER(pointer), c.c_size_t, c.POINTER(c.c_float)]),
                ('llama_batch_init', Batch, [c.c_int32, c.c_int32, c.c_int32]),
                ('llama_batch_free', None, [Batch]),
                ('llama_decode', c.c_int32, [pointer, Batch]),
                ('llama_get_logits', c.POINTER(c.c_float), [pointer])):
            function = getattr(l, name)
            function.restype, function.argtypes = result, arguments
        self.ggml.ggml_backend_load_all_from_path.argtypes = [c.c_char_p]

    def quantize(self, source, target, kind):
        params = self.llama.llama_model_quantize_default_params()
        params.n_threads, params.ftype, params.pure, params.allow_requantize = 2, FTYPES[kind], True, True
        code = self.llama.llama_model_quantize(source.encode(), target.encode(), c.byref(params))
        assert code == 0, 'its quantiser says %d' % code

    def logits(self, path, sequences, cache=F16, adapters=()):
        """Logits [T][V] of each sequence of ids.  adapters: [(path, scale)], freed with the model."""
        l = self.llama
        model = l.llama_model_load_from_file(path.encode(), l.llama_model_default_params())
        assert model, 'it cannot load %s' % path
        n_vocab = l.llama_vocab_n_tokens(l.llama_model_get_vocab(model))
        loaded = [(l.llama_adapter_lora_init(model, name.encode()), scale) for name, scale in adapters]
        assert all(pointer for pointer, _ in loaded), 'it cannot load an adapter'
        answers = [self._run(model, ids, n_vocab, cache, loaded) for ids in sequences]
        l.llama_model_free(model)
        return answers

    def _run(self, model, ids, n_vocab, cache, adapters=()):
        l, n = self.llama, len(ids)
        params = l.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_outputs_max = params.n_outputs_max_per_seq = n
        params.n_ubatch = min(n, 512)
        params.n_threads = params.n_threads_batch = 2
        params.type_k = params.type_v = cache
        if cache == F32:                    # its flash attention rounds keys and values to halves
            params.flash_attn_type = 0
        context = l.llama_init_from_model(model, params)
        assert context, 'it cannot make a context'
        if adapters:
            n_adapters = len(adapters)
            code = l.llama_set_adapters_lora(context, (c.c_void_p * n_adapters)(*[a for a, _ in adapters]), n_adapters,
                                             (c.c_float * n_adapters)(*[s for _, s in adapters]))
            assert code == 0, 'it does not take the adapters: %d' % code
        batch = l.llama_batch_init(n, 0, 1)
        batch.n_tokens = n
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
            batch.seq_id[i][0] = 0
        code = l.llama_decode(context, batch)
        assert code == 0, 'it cannot decode: %d' % code
        out = np.ctypeslib.as_array(l.llama_get_logits(context), (n, n_vocab)).copy()
        l.llama_batch_free(batch)
        l.llama_free(context)
        return out

    def decode(self, kind, raw, n):
        """n float32 numbers out of blocks, by its scalar decoder."""
        function = getattr(self.base, 'dequantize_row_' + kind.lower().replace('_k', '_K'))
        out = np.empty(n, np.float32)
        function(c.c_char_p(raw), out.ctypes.data_as(c.c_void_p), c.c_int64(n))
        return out
