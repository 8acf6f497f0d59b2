# SPDX-License-Identifier: Apache-2.0
"""oracle_files.py - model files for the oracle: GGUF, Hugging Face folders, Mistral folders.

Written from the format descriptions and not from src/file or reference/, so that it can disagree
with both.  open_model() gives a Model: sizes, and a function from (role, layer, expert) to a
float64 array.  Files are trusted.
"""
import json
import os
import re
import struct

import numpy as np

# ---- what stored numbers mean --------------------------------------------------------------
#
# Each decoder takes blocks [N][bytes of a block] (uint8) and gives [N][values of a block], in
# float64 and therefore without rounding: scales are halves (11 bits), quants at most 8 bits and
# inner scales at most 8 bits.


def _half(b, at):
    """The half-precision number at byte `at` of each block, as a column."""
    return np.ascontiguousarray(b[:, at:at + 2]).view('<f2').astype(np.float64)


def _nibbles(b):
    """Low halves of all bytes first, then the high halves."""
    return np.concatenate([b & 15, b >> 4], axis=1).astype(np.float64)


def _fifth_bits(b, at):
    """32 bits at byte `at`: bit j belongs to value j."""
    return np.unpackbits(b[:, at:at + 4], axis=1, bitorder='little').astype(np.float64)


def q4_0(b):
    return _half(b, 0) * (_nibbles(b[:, 2:]) - 8)


def q4_1(b):
    return _half(b, 0) * _nibbles(b[:, 4:]) + _half(b, 2)


def q5_0(b):
    return _half(b, 0) * (_nibbles(b[:, 6:]) + 16 * _fifth_bits(b, 2) - 16)


def q5_1(b):
    return _half(b, 0) * (_nibbles(b[:, 8:]) + 16 * _fifth_bits(b, 4)) + _half(b, 2)


def q8_0(b):
    return _half(b, 0) * b[:, 2:].view(np.int8)


def _planes(b, width, bits):
    """Quants of 2 or 4 bits in planes: [N][n] bytes in runs of `width`; each run holds 8/bits
    planes, plane p being bits p*bits.. of all its bytes."""
    n = len(b)
    runs = b.reshape(n, -1, 1, width)
    shifts = np.arange(0, 8, bits, dtype=np.uint8).reshape(1, 1, -1, 1)
    return ((runs >> shifts) & ((1 << bits) - 1)).reshape(n, -1).astype(np.float64)


def q2_k(b):
    scales, quants = b[:, 0:16], b[:, 16:80]
    d, d_min = _half(b, 80), _half(b, 82)
    step = np.repeat(d * (scales & 15), 16, axis=1)
    low = np.repeat(d_min * (scales >> 4), 16, axis=1)
    return step * _planes(quants, 32, 2) - low


def q3_k(b):
    mask, quants, packed, d = b[:, 0:32], b[:, 32:96], b[:, 96:108].astype(np.int32), _half(b, 108)
    # 16 scales of 6 bits: low four bits in bytes 0-7 (two rounds), high two in bytes 8-11 (four).
    low = np.concatenate([packed[:, 0:8] & 15, packed[:, 0:8] >> 4], axis=1)
    high = np.concatenate([packed[:, 8:12] >> s & 3 for s in (0, 2, 4, 6)], axis=1)
    scale = d * (low + 16 * high - 32)
    # Value 32*j + l has its third bit in bit j of mask byte l; a missing bit means minus 4.
    third = np.concatenate([mask >> j & 1 for j in range(8)], axis=1).astype(np.float64)
    return np.repeat(scale, 16, axis=1) * (_planes(quants, 32, 2) + 4 * third - 4)


def _six_bit_pairs(s):
    """12 bytes -> 8 scales and 8 minimums of 6 bits each."""
    s = s.astype(np.int32)
    scale = np.concatenate([s[:, 0:4] & 63, (s[:, 8:12] & 15) | (s[:, 0:4] >> 6) << 4], axis=1)
    low = np.concatenate([s[:, 4:8] & 63, (s[:, 8:12] >> 4) | (s[:, 4:8] >> 6) << 4], axis=1)
    return scale, low


def q4_k(b):
    scale, low = _six_bit_pairs(b[:, 4:16])
    return (np.repeat(_half(b, 0) * scale, 32, axis=1) * _planes(b[:, 16:144], 32, 4)
            - np.repeat(_half(b, 2) * low, 32, axis=1))


def q5_k(b):
    scale, low = _six_bit_pairs(b[:, 4:16])
    fifth = np.concatenate([b[:, 16:48] >> j & 1 for j in range(8)], axis=1).astype(np.float64)
    return (np.repeat(_half(b, 0) * scale, 32, axis=1) * (_planes(b[:, 48:176], 32, 4) + 16 * fifth)
            - np.repeat(_half(b, 2) * low, 32, axis=1))


def q6_k(b):
    low = _planes(b[:, 0:128], 64, 4)
    high = _planes(b[:, 128:192], 32, 2)
    scale = _half(b, 208) * np.ascontiguousarray(b[:, 192:208]).view(np.int8)
    return np.repeat(scale, 16, axis=1) * (low + 16 * high - 32)


def bf16(b):
    return (np.ascontiguousarray(b).view('<u2').astype(np.uint32) << 16).view(np.float32).astype(np.float64)


# id in GGUF: name, values of a block, bytes of a block, decoder
GGUF_TYPES = {
    0: ('F32', 1, 4, lambda b: np.ascontiguousarray(b).view('<f4').astype(np.float64)),
    1: ('F16', 1, 2, lambda b: np.ascontiguousarray(b).view('<f2').astype(np.float64)),
    2: ('Q4_0', 32, 18, q4_0),
    3: ('Q4_1', 32, 20, q4_1),
    6: ('Q5_0', 32, 22, q5_0),
    7: ('Q5_1', 32, 24, q5_1),
    8: ('Q8_0', 32, 34, q8_0),
    10: ('Q2_K', 256, 84, q2_k),
    11: ('Q3_K', 256, 110, q3_k),
    12: ('Q4_K', 256, 144, q4_k),
    13: ('Q5_K', 256, 176, q5_k),
    14: ('Q6_K', 256, 210, q6_k),
    30: ('BF16', 1, 2, bf16),
}


def decode(type_id, raw, shape):
    """Bytes of a tensor -> float64 array of `shape` (outermost first)."""
    _, values, size, decoder = GGUF_TYPES[type_id]
    blocks = np.frombuffer(raw, np.uint8).reshape(-1, size)
    assert len(blocks) * values == int(np.prod(shape)), 'bytes and shape disagree'
    return decoder(blocks).reshape(shape)


# ---- containers ----------------------------------------------------------------------------


class Gguf:
    """One GGUF file or all parts of a split one: .settings, .tensor(name), .type_name(name), and
    .raw_settings, the bytes of each setting of the first part."""

    SCALARS = {0: 'B', 1: 'b', 2: 'H', 3: 'h', 4: 'I', 5: 'i', 6: 'f', 7: '?', 10: 'Q', 11: 'q', 12: 'd'}

    def __init__(self, path):
        self.settings, self.entries, self.raw_settings = {}, {}, []
        match = re.search(r'-(\d{5})-of-(\d{5})\.gguf$', path)
        parts = [path]
        if match:
            stem, n = path[:match.start()], int(match.group(2))
            parts = ['%s-%05d-of-%05d.gguf' % (stem, i + 1, n) for i in range(n)]
        self.first = parts[0]
        for part in parts:
            self._read(part)

    def _read(self, path):
        data = np.memmap(path, np.uint8, 'r')
        self.data, self.at = data, 8
        magic, version = struct.unpack('<4sI', data[:8].tobytes())
        assert magic == b'GGUF' and version in (2, 3), path
        n_tensors, n_settings = self._take('Q'), self._take('Q')
        settings = {}
        for _ in range(n_settings):
            begin = self.at
            key = self._text()
            settings[key] = self._value(self._take('I'))
            if path == self.first:
                self.raw_settings.append(data[begin:self.at].tobytes())
        found = []
        for _ in range(n_tensors):
            name = self._text()
            dims = [self._take('Q') for _ in range(self._take('I'))]
            found.append((name, dims[::-1], self._take('I'), self._take('Q')))
        align = settings.get('general.alignment', 32)
        base = -(-self.at // align) * align
        for name, shape, type_id, offset in found:
            _, values, size, _ = GGUF_TYPES[type_id]
            n_bytes = int(np.prod(shape)) // values * size
            self.entries[name] = (type_id, shape, data[base + offset:base + offset + n_bytes])
        for key, value in settings.items():
            self.settings.setdefault(key, value)

    def _take(self, code):
        n = struct.calcsize('<' + code)
        self.at += n
        return struct.unpack('<' + code, self.data[self.at - n:self.at].tobytes())[0]

    def _text(self):
        n = self._take('Q')
        self.at += n
        return self.data[self.at - n:self.at].tobytes().decode('utf-8', 'replace')

    def _value(self, kind):
        if kind == 8:
            return self._text()
        if kind != 9:
            return self._take(self.SCALARS[kind])
        of, n = self._take('I'), self._take('Q')
        if of in self.SCALARS:
            code = self.SCALARS[of]
            size = struct.calcsize('<' + code)
            self.at += n * size
            return list(struct.unpack('<%d%s' % (n, code), self.data[self.at - n * size:self.at].tobytes()))
        return [self._value(of) for _ in range(n)]

    def __contains__(self, name):
        return name in self.entries

    def tensor(self, name):
        type_id, shape, raw = self.entries[name]
        return decode(type_id, raw, shape)

    def type_name(self, name):
        return GGUF_TYPES[self.entries[name][0]][0]


class Safetensors:
    """All *.safetensors of a folder whose names match, as one set of tensors."""

    TYPES = {'F32': 0, 'F16': 1, 'BF16': 30}

    def __init__(self, folder, pattern):
        self.entries = {}
        for name in sorted(os.listdir(folder)):
            if not re.fullmatch(pattern, name):
                continue
            data = np.memmap(os.path.join(folder, name), np.uint8, 'r')
            n = struct.unpack('<Q', data[:8].tobytes())[0]
            for key, entry in json.loads(data[8:8 + n].tobytes()).items():
                if key != '__metadata__':
                    begin, end = entry['data_offsets']
                    self.entries[key] = (self.TYPES[entry['dtype']], entry['shape'],
                                         data[8 + n + begin:8 + n + end])

    def __contains__(self, name):
        return name in self.entries

    def tensor(self, name):
        type_id, shape, raw = self.entries[name]
        return decode(type_id, raw, shape)


# ---- families of names ---------------------------------------------------------------------

GGUF_NAMES = {
    'embed': 'token_embd.weight', 'out_norm': 'output_norm.weight', 'out': 'output.weight',
    'attn_norm': 'blk.{l}.attn_norm.weight', 'ffn_norm': 'blk.{l}.ffn_norm.weight',
    'q': 'blk.{l}.attn_q.weight', 'k': 'blk.{l}.attn_k.weight', 'v': 'blk.{l}.attn_v.weight',
    'o': 'blk.{l}.attn_output.weight', 'router': 'blk.{l}.ffn_gate_inp.weight',
    'gate': 'blk.{l}.ffn_gate.{e}.weight', 'up': 'blk.{l}.ffn_up.{e}.weight',
    'down': 'blk.{l}.ffn_down.{e}.weight',
    'dense_gate': 'blk.{l}.ffn_gate.weight', 'dense_up': 'blk.{l}.ffn_up.weight',
    'dense_down': 'blk.{l}.ffn_down.weight',
}
_HF = 'model.layers.{l}.'
HF_NAMES = {
    'embed': 'model.embed_tokens.weight', 'out_norm': 'model.norm.weight', 'out': 'lm_head.weight',
    'attn_norm': _HF + 'input_layernorm.weight', 'ffn_norm': _HF + 'post_attention_layernorm.weight',
    'q': _HF + 'self_attn.q_proj.weight', 'k': _HF + 'self_attn.k_proj.weight',
    'v': _HF + 'self_attn.v_proj.weight', 'o': _HF + 'self_attn.o_proj.weight',
    'router': _HF + 'block_sparse_moe.gate.weight',
    'gate': _HF + 'block_sparse_moe.experts.{e}.w1.weight',
    'up': _HF + 'block_sparse_moe.experts.{e}.w3.weight',
    'down': _HF + 'block_sparse_moe.experts.{e}.w2.weight',
    'dense_gate': _HF + 'mlp.gate_proj.weight', 'dense_up': _HF + 'mlp.up_proj.weight',
    'dense_down': _HF + 'mlp.down_proj.weight',
}
_MS = 'layers.{l}.'
MISTRAL_NAMES = {
    'embed': 'tok_embeddings.weight', 'out_norm': 'norm.weight', 'out': 'output.weight',
    'attn_norm': _MS + 'attention_norm.weight', 'ffn_norm': _MS + 'ffn_norm.weight',
    'q': _MS + 'attention.wq.weight', 'k': _MS + 'attention.wk.weight',
    'v': _MS + 'attention.wv.weight', 'o': _MS + 'attention.wo.weight',
    'router': _MS + 'feed_forward.gate.weight',
    'gate': _MS + 'feed_forward.experts.{e}.w1.weight',
    'up': _MS + 'feed_forward.experts.{e}.w3.weight',
    'down': _MS + 'feed_forward.experts.{e}.w2.weight',
    'dense_gate': _MS + 'feed_forward.w1.weight', 'dense_up': _MS + 'feed_forward.w3.weight',
    'dense_down': _MS + 'feed_forward.w2.weight',
}


class Model:
    """Sizes by the letters of the glossary, and weights by role."""

    def __init__(self, store, names, pairs, **sizes):
        self.store, self.names, self.pairs = store, names, pairs
        self.__dict__.update(sizes)
        self.kept = {}
        self.low = {}                   # (role, layer, ..) -> adapters' [(a, b)], b scaled

    def has(self, role, l=0, e=0):
        name = self.names[role].format(l=l, e=e)
        return name in self.store or (role in ('gate', 'up', 'down') and self._stacked(role, l) in self.store)

    def _stacked(self, role, l):
        return 'blk.%d.ffn_%s_exps.weight' % (l, role)

    def in_blocks(self, role, l=0, e=0):
        """Is this matrix stored in blocks that share a scale?"""
        name, stacked = self.names[role].format(l=l, e=e), self._stacked(role, l)
        type_id = self.store.entries[name if name in self.store else stacked][0]
        return GGUF_TYPES[type_id][1] > 1

    def w(self, role, l=0, e=0):
        key = (role, l, e)
        if key not in self.kept:
            name, stacked = self.names[role].format(l=l, e=e), self._stacked(role, l)
            if role in ('gate', 'up', 'down') and name not in self.store and stacked in self.store:
                for i, matrix in enumerate(self.store.tensor(stacked)):
                    self.kept[role, l, i] = matrix
            else:
                self.kept[key] = self.store.tensor(name)
        return self.kept[key]


def _open_gguf(path):
    g = Gguf(path)
    s = {key[6:]: value for key, value in g.settings.items() if key.startswith('llama.')}
    heads = s['attention.head_count']
    d = s.get('attention.key_length', s['embedding_length'] // heads)
    return Model(g, GGUF_NAMES, 'adjacent', L=s['block_count'], D=s['embedding_length'], heads=heads,
                 kv_heads=s.get('attention.head_count_kv', heads), d=d, E=s.get('expert_count', 0),
                 U=s.get('expert_used_count', 0), eps=s['attention.layer_norm_rms_epsilon'],
                 rotated=s.get('rope.dimension_count', d), base=s.get('rope.freq_base', 10000.0),
                 window=s.get('attention.sliding_window', 0))


def _open_hf(folder):
    with open(os.path.join(folder, 'config.json')) as file:
        c = json.load(file)
    heads = c['num_attention_heads']
    d = c.get('head_dim') or c['hidden_size'] // heads
    otherwise = {'mixtral': 1e6}.get(c['model_type'], 10000.0)
    return Model(Safetensors(folder, r'model.*\.safetensors'), HF_NAMES, 'halves',
                 L=c['num_hidden_layers'], D=c['hidden_size'], heads=heads,
                 kv_heads=c.get('num_key_value_heads') or heads, d=d, E=c.get('num_local_experts', 0),
                 U=c.get('num_experts_per_tok', 0), eps=c['rms_norm_eps'], rotated=d,
                 base=c.get('rope_theta', otherwise), window=c.get('sliding_window') or 0)


def _open_mistral(folder):
    with open(os.path.join(folder, 'params.json')) as file:
        p = json.load(file)
    moe = p.get('moe') or {}
    return Model(Safetensors(folder, r'consolidated.*\.safetensors'), MISTRAL_NAMES, 'adjacent',
                 L=p['n_layers'], D=p['dim'], heads=p['n_heads'], kv_heads=p.get('n_kv_heads', p['n_heads']),
                 d=p.get('head_dim', p['dim'] // p['n_heads']), E=moe.get('num_experts', 0),
                 U=moe.get('num_experts_per_tok', 0), eps=p['norm_eps'],
                 rotated=p.get('head_dim', p['dim'] // p['n_heads']), base=p.get('rope_theta', 1e6),
                 window=p.get('sliding_window') or 0)


def open_model(path):
    if os.path.isdir(path):
        if os.path.exists(os.path.join(path, 'config.json')):
            return _open_hf(path)
        return _open_mistral(path)
    return _open_gguf(path)
