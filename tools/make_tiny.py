#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make_tiny.py - small models with random, well-behaved weights, in every container we read.

    make_tiny.py --list
    make_tiny.py mixtral -o tiny.gguf [--type q8_0] [--older] [--version 2] [--split 3]
    make_tiny.py mixtral --as hf -o DIR [--type f16] [--shards 3]
    make_tiny.py mixtral --as mistral -o DIR [--type bf16] [--shards 2]

The same shape, seed and 16-bit type give the same numbers in every container, so what is computed
from them must be the same too.  Well-behaved: rows are scaled to keep the size of what they multiply,
attention and routers are neither flat nor saturated, logits spread by about 3.
"""
import argparse
import json
import os
import struct
import sys
from dataclasses import dataclass

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import make_tiny_blocks as blocks       # noqa: E402
import make_tiny_tokens as tokens       # noqa: E402


@dataclass(frozen=True)
class Shape:
    """The letters of the glossary; E = 0 is a dense model, window = 0 none."""
    D: int = 64
    F: int = 96
    L: int = 3
    heads: int = 4
    kv_heads: int = 2
    d: int = 16
    E: int = 8
    U: int = 2
    V: int = 320
    window: int = 0
    base: float = 1e6
    eps: float = 1e-5
    tied: bool = False
    context: int = 512


SHAPES = {
    'mixtral':     Shape(),
    'wide-heads':  Shape(d=32),                                 # heads * d is twice the width
    'narrow-heads': Shape(heads=2, kv_heads=1, d=16),           # ... and half of it
    'window':      Shape(window=8, base=1e4),
    'top1':        Shape(E=4, U=1),
    'top4of16':    Shape(E=16, U=4, F=64),
    'dense':       Shape(E=0, U=0, F=160, base=1e4),
    'dense-window': Shape(E=0, U=0, window=5, base=1e4),
    'all-experts': Shape(E=4, U=4),
    'tied':        Shape(tied=True),
    'no-grouping': Shape(kv_heads=4),
    'odd':         Shape(D=36, F=52, L=2, heads=3, kv_heads=1, d=12, E=5, U=3, base=1e4, eps=0.01),
    'wide256':     Shape(D=256, F=256, L=2, heads=8, kv_heads=4, d=32, E=4, U=2),   # K formats apply
}


def weights(shape, seed, dtype='F32'):
    """{(role, layer, expert): float32 array}, q and k with adjacent rotary pairs, every number one
    that the 16-bit type `dtype` can hold."""
    rng, s, made = np.random.default_rng(seed), shape, {}

    def put(key, rows, cols, gain=1.0):
        made[key] = rng.normal(0, gain / np.sqrt(cols), (rows, cols))

    made['embed', 0, 0] = rng.normal(0, 1, (s.V, s.D))
    for l in range(s.L):
        made['attn_norm', l, 0] = rng.normal(1, 0.1, s.D)
        made['ffn_norm', l, 0] = rng.normal(1, 0.1, s.D)
        put(('q', l, 0), s.heads * s.d, s.D, 1.5)
        put(('k', l, 0), s.kv_heads * s.d, s.D, 1.5)
        put(('v', l, 0), s.kv_heads * s.d, s.D)
        put(('o', l, 0), s.D, s.heads * s.d)
        if s.E:
            put(('router', l, 0), s.E, s.D, 1.5)
        for e in range(max(s.E, 1)):
            put(('gate', l, e), s.F, s.D, 1.5)
            put(('up', l, e), s.F, s.D, 1.5)
            put(('down', l, e), s.D, s.F, 1.5)
    made['out_norm', 0, 0] = rng.normal(1, 0.1, s.D)
    if not s.tied:
        put(('out', 0, 0), s.V, s.D, 3.0)
    return {key: blocks.rounded(dtype, x.astype(np.float32)) for key, x in made.items()}


def pairs_to_halves(x, d):
    """Rows of q or k with rotary pairs (2i, 2i + 1) -> pairs (i, i + d/2), as Hugging Face has them."""
    return x.reshape(-1, d // 2, 2, x.shape[1]).swapaxes(1, 2).reshape(x.shape)


# ---- GGUF ----------------------------------------------------------------------------------

U16, U32, I32, F32, BOOL, TEXT, ARRAY = 2, 4, 5, 6, 7, 8, 9
_PACK = {U16: '<H', U32: '<I', I32: '<i', F32: '<f', BOOL: '<?'}


def _text(text):
    raw = text.encode()
    return struct.pack('<Q', len(raw)) + raw


def _one(kind, value):
    return _text(value) if kind == TEXT else struct.pack(_PACK[kind], value)


def setting(key, kind, value, of=None):
    """The bytes of one key and its value; of: the type of an array's elements."""
    if kind == ARRAY:
        body = struct.pack('<IQ', of, len(value)) + b''.join(_one(of, v) for v in value)
    else:
        body = _one(kind, value)
    return _text(key) + struct.pack('<I', kind) + body


def write_gguf(path, settings, tensors, version=3, align=32):
    """settings: list of bytes; tensors: list of (name, type name, array)."""
    table, data = b'', b''
    for name, kind, x in tensors:
        data += b'\0' * (-len(data) % align)
        table += _text(name) + struct.pack('<I', x.ndim)
        table += b''.join(struct.pack('<Q', n) for n in reversed(x.shape))
        table += struct.pack('<IQ', blocks.TYPES[kind][0], len(data))
        data += blocks.encode(kind, x)
    head = struct.pack('<4sIQQ', b'GGUF', version, len(tensors), len(settings)) + b''.join(settings) + table
    with open(path, 'wb') as file:
        file.write(head + b'\0' * (-len(head) % align) + data)


def gguf_settings(s, tokenizer=True):
    key = 'llama.'
    out = [setting('general.architecture', TEXT, 'llama'),
           setting('general.name', TEXT, 'tiny'),
           setting(key + 'vocab_size', U32, s.V),
           setting(key + 'context_length', U32, s.context),
           setting(key + 'embedding_length', U32, s.D),
           setting(key + 'block_count', U32, s.L),
           setting(key + 'feed_forward_length', U32, s.F),
           setting(key + 'rope.dimension_count', U32, s.d),
           setting(key + 'rope.freq_base', F32, s.base),
           setting(key + 'attention.head_count', U32, s.heads),
           setting(key + 'attention.head_count_kv', U32, s.kv_heads),
           setting(key + 'attention.layer_norm_rms_epsilon', F32, s.eps)]
    if s.E:
        out += [setting(key + 'expert_count', U32, s.E), setting(key + 'expert_used_count', U32, s.U)]
    if s.heads * s.d != s.D:
        out += [setting(key + 'attention.key_length', U32, s.d),
                setting(key + 'attention.value_length', U32, s.d)]
    if s.window:
        out += [setting(key + 'attention.sliding_window', U32, s.window)]
    if tokenizer:
        texts, scores, kinds = zip(*tokens.pieces())
        key = 'tokenizer.ggml.'
        out += [setting(key + 'model', TEXT, 'llama'),
                setting(key + 'pre', TEXT, 'default'),
                setting(key + 'tokens', ARRAY, texts, TEXT),
                setting(key + 'scores', ARRAY, scores, F32),
                setting(key + 'token_type', ARRAY, kinds, I32),
                setting(key + 'bos_token_id', U32, 1),
                setting(key + 'eos_token_id', U32, 2),
                setting(key + 'unknown_token_id', U32, 0),
                setting(key + 'add_bos_token', BOOL, True),
                setting(key + 'add_eos_token', BOOL, False),
                setting(key + 'add_space_prefix', BOOL, True)]
    return out


def gguf_tensors(s, w, kind, older=False):
    """Matrices as `kind`, norms and routers F32; experts stacked, or one tensor each (older)."""
    out = [('token_embd.weight', kind, w['embed', 0, 0])]
    for l in range(s.L):
        blk = 'blk.%d.' % l
        out += [(blk + 'attn_norm.weight', 'F32', w['attn_norm', l, 0])]
        out += [(blk + name + '.weight', kind, w[role, l, 0])
                for role, name in (('q', 'attn_q'), ('k', 'attn_k'), ('v', 'attn_v'), ('o', 'attn_output'))]
        out += [(blk + 'ffn_norm.weight', 'F32', w['ffn_norm', l, 0])]
        if s.E:
            out += [(blk + 'ffn_gate_inp.weight', 'F32', w['router', l, 0])]
        for role in ('gate', 'up', 'down'):
            if not s.E:
                out += [(blk + 'ffn_%s.weight' % role, kind, w[role, l, 0])]
            elif older:
                out += [(blk + 'ffn_%s.%d.weight' % (role, e), kind, w[role, l, e]) for e in range(s.E)]
            else:
                out += [(blk + 'ffn_%s_exps.weight' % role, kind,
                         np.stack([w[role, l, e] for e in range(s.E)]))]
    out += [('output_norm.weight', 'F32', w['out_norm', 0, 0])]
    if not s.tied:
        out += [('output.weight', kind, w['out', 0, 0])]
    return out


def make_gguf(path, shape, seed=1, kind='F32', dtype=None, older=False, version=3, split=1, tokenizer=True):
    """Returns the path to open, which for a split file is that of its first part."""
    w = weights(shape, seed, dtype or kind)
    settings, tensors = gguf_settings(shape, tokenizer), gguf_tensors(shape, w, kind, older)
    if split == 1:
        write_gguf(path, settings, tensors, version)
        return path
    stem, share = path[:-len('.gguf')], -(-len(tensors) // split)
    paths = ['%s-%05d-of-%05d.gguf' % (stem, i + 1, split) for i in range(split)]
    for i, part in enumerate(paths):
        mine = [setting('split.no', U16, i), setting('split.count', U16, split),
                setting('split.tensors.count', I32, len(tensors))]
        write_gguf(part, (settings if i == 0 else []) + mine, tensors[i * share:(i + 1) * share], version)
    return paths[0]


# ---- safetensors folders -------------------------------------------------------------------


def write_safetensors(path, tensors, dtype):
    """tensors: list of (name, array)."""
    header, data = {'__metadata__': {'format': 'pt'}}, b''
    for name, x in tensors:
        raw = blocks.encode(dtype, x)
        header[name] = {'dtype': dtype, 'shape': list(x.shape), 'data_offsets': [len(data), len(data) + len(raw)]}
        data += raw
    head = json.dumps(header, separators=(',', ':')).encode()
    head += b' ' * (-len(head) % 8)
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(head)) + head + data)


def _write_json(folder, name, value):
    with open(os.path.join(folder, name), 'w') as file:
        json.dump(value, file, indent=2)
        file.write('\n')


def _write_tokenizer(folder):
    with open(os.path.join(folder, 'tokenizer.model'), 'wb') as file:
        file.write(tokens.tokenizer_model())


def _named(s, w, names, attention):
    """All tensors under the names of a folder; names: role -> pattern."""
    out = []
    for (role, l, e), x in w.items():
        if role in ('gate', 'up', 'down') and not s.E:
            role = 'dense_' + role
        out.append((names[role].format(l=l, e=e), attention(role, x)))
    return out


_HF = 'model.layers.{l}.'
HF_NAMES = {
    'embed': 'model.embed_tokens.weight', 'out_norm': 'model.norm.weight', 'out': 'lm_head.weight',
    'attn_norm': _HF + 'input_layernorm.weight', 'ffn_norm': _HF + 'post_attention_layernorm.weight',
    'q': _HF + 'self_attn.q_proj.weight', 'k': _HF + 'self_attn.k_proj.weight',
    'v': _HF + 'self_attn.v_proj.weight', 'o': _HF + 'self_attn.o_proj.weight',
    'router': _HF + 'block_sparse_moe.gate.weight',
    'gate': _HF + 'block_sparse_moe.experts.{e}.w1.weight',
    'down': _HF + 'block_sparse_moe.experts.{e}.w2.weight',
    'up': _HF + 'block_sparse_moe.experts.{e}.w3.weight',
    'dense_gate': _HF + 'mlp.gate_proj.weight', 'dense_up': _HF + 'mlp.up_proj.weight',
    'dense_down': _HF + 'mlp.down_proj.weight',
}


def make_hf(folder, shape, seed=1, dtype='F32', shards=3, tokenizer=True):
    s = shape
    os.makedirs(folder, exist_ok=True)
    w = weights(s, seed, dtype)
    named = _named(s, w, HF_NAMES, lambda role, x: pairs_to_halves(x, s.d) if role in 'qk' else x)
    share, where, total = -(-len(named) // shards), {}, 0
    for i in range(shards):
        name = 'model-%05d-of-%05d.safetensors' % (i + 1, shards) if shards > 1 else 'model.safetensors'
        part = named[i * share:(i + 1) * share]
        write_safetensors(os.path.join(folder, name), part, dtype)
        where.update({key: name for key, _ in part})
        total += sum(x.size for _, x in part) * blocks.TYPES[dtype][2]
    if shards > 1:
        _write_json(folder, 'model.safetensors.index.json', {'metadata': {'total_size': total}, 'weight_map': where})
    config = {
        'architectures': ['MixtralForCausalLM' if s.E else 'MistralForCausalLM'],
        'model_type': 'mixtral' if s.E else 'mistral', 'hidden_act': 'silu',
        'hidden_size': s.D, 'intermediate_size': s.F, 'num_hidden_layers': s.L, 'vocab_size': s.V,
        'num_attention_heads': s.heads, 'num_key_value_heads': s.kv_heads,
        'max_position_embeddings': s.context, 'rms_norm_eps': s.eps, 'rope_theta': s.base,
        'sliding_window': s.window or None, 'tie_word_embeddings': s.tied,
        'torch_dtype': {'F32': 'float32', 'F16': 'float16', 'BF16': 'bfloat16'}[dtype],
        'bos_token_id': 1, 'eos_token_id': 2, 'attention_dropout': 0.0, 'initializer_range': 0.02,
        'use_cache': True, 'transformers_version': '4.42.0',
    }
    if s.E:
        config.update(num_local_experts=s.E, num_experts_per_tok=s.U, output_router_logits=False,
                      router_aux_loss_coef=0.02)
    if s.heads * s.d != s.D:
        config['head_dim'] = s.d
    _write_json(folder, 'config.json', config)
    if tokenizer:
        _write_tokenizer(folder)
        _write_json(folder, 'tokenizer_config.json', {
            'tokenizer_class': 'LlamaTokenizer', 'add_bos_token': True, 'add_eos_token': False,
            'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>'})
    return folder


_MISTRAL = 'layers.{l}.'
MISTRAL_NAMES = {
    'embed': 'tok_embeddings.weight', 'out_norm': 'norm.weight', 'out': 'output.weight',
    'attn_norm': _MISTRAL + 'attention_norm.weight', 'ffn_norm': _MISTRAL + 'ffn_norm.weight',
    'q': _MISTRAL + 'attention.wq.weight', 'k': _MISTRAL + 'attention.wk.weight',
    'v': _MISTRAL + 'attention.wv.weight', 'o': _MISTRAL + 'attention.wo.weight',
    'router': _MISTRAL + 'feed_forward.gate.weight',
    'gate': _MISTRAL + 'feed_forward.experts.{e}.w1.weight',
    'down': _MISTRAL + 'feed_forward.experts.{e}.w2.weight',
    'up': _MISTRAL + 'feed_forward.experts.{e}.w3.weight',
    'dense_gate': _MISTRAL + 'feed_forward.w1.weight',
    'dense_down': _MISTRAL + 'feed_forward.w2.weight',
    'dense_up': _MISTRAL + 'feed_forward.w3.weight',
}


def make_mistral(folder, shape, seed=1, dtype='F32', shards=1, tokenizer=True):
    s = shape
    os.makedirs(folder, exist_ok=True)
    named = _named(s, weights(s, seed, dtype), MISTRAL_NAMES, lambda role, x: x)
    share = -(-len(named) // shards)
    for i in range(shards):
        name = 'consolidated.%02d.safetensors' % i if shards > 1 else 'consolidated.safetensors'
        write_safetensors(os.path.join(folder, name), named[i * share:(i + 1) * share], dtype)
    params = {'dim': s.D, 'n_layers': s.L, 'head_dim': s.d, 'hidden_dim': s.F, 'n_heads': s.heads,
              'n_kv_heads': s.kv_heads, 'norm_eps': s.eps, 'vocab_size': s.V, 'max_seq_len': s.context}
    if s.base != 1e6:                   # what a missing one means
        params['rope_theta'] = s.base
    if s.window:
        params['sliding_window'] = s.window
    if s.E:
        params['moe'] = {'num_experts': s.E, 'num_experts_per_tok': s.U}
    _write_json(folder, 'params.json', params)
    if tokenizer:
        _write_tokenizer(folder)
    return folder


def main():
    parser = argparse.ArgumentParser(description='Small models with random, well-behaved weights.')
    parser.add_argument('shape', nargs='?', choices=SHAPES, metavar='SHAPE')
    parser.add_argument('--list', action='store_true', help='the shapes there are')
    parser.add_argument('--as', dest='container', choices=('gguf', 'hf', 'mistral'), default='gguf')
    parser.add_argument('--type', default='F32', type=str.upper, choices=blocks.TYPES)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--older', action='store_true', help='GGUF with one tensor per expert')
    parser.add_argument('--version', type=int, default=3, choices=(2, 3), help='of GGUF')
    parser.add_argument('--split', type=int, default=1, help='parts of a GGUF file')
    parser.add_argument('--shards', type=int, help='parts of a folder')
    parser.add_argument('--no-tokenizer', action='store_true')
    parser.add_argument('-o', dest='out')
    o = parser.parse_args()
    if o.list or not o.shape or not o.out:
        for name, s in SHAPES.items():
            print('%-13s %s' % (name, ' '.join('%s=%s' % item for item in vars(s).items())))
        return 0 if o.list else parser.error('a shape and -o are wanted')
    shape, tokenizer = SHAPES[o.shape], not o.no_tokenizer
    if o.container == 'gguf':
        print(make_gguf(o.out, shape, o.seed, o.type, None, o.older, o.version, o.split, tokenizer))
    elif o.container == 'hf':
        print(make_hf(o.out, shape, o.seed, o.type, o.shards or 3, tokenizer))
    else:
        print(make_mistral(o.out, shape, o.seed, o.type, o.shards or 1, tokenizer))
    return 0


if __name__ == '__main__':
    sys.exit(main())
