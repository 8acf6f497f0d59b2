# SPDX-License-Identifier: Apache-2.0
"""make_tiny_blocks.py - float arrays to stored bytes, every format, the simplest way that is fair.

Scales come from the extremes of a block and nothing is searched for: these bytes are for tests of
arithmetic, where any valid blocks will do.  encode(name, x) -> bytes; x is [rows][cols].
"""
import numpy as np

# name: id in GGUF, values of a block, bytes of a block
TYPES = {
    'F32': (0, 1, 4), 'F16': (1, 1, 2), 'BF16': (30, 1, 2),
    'Q4_0': (2, 32, 18), 'Q4_1': (3, 32, 20), 'Q5_0': (6, 32, 22), 'Q5_1': (7, 32, 24),
    'Q8_0': (8, 32, 34),
    'Q2_K': (10, 256, 84), 'Q3_K': (11, 256, 110), 'Q4_K': (12, 256, 144), 'Q5_K': (13, 256, 176),
    'Q6_K': (14, 256, 210),
}


def to_bf16(x):
    """float32 -> bits of the nearest bfloat16, ties to even (uint16)."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype('<u2')


def rounded(name, x):
    """float32 values as the 16-bit format `name` keeps them; other formats change nothing here."""
    if name == 'F16':
        return x.astype(np.float16).astype(np.float32)
    if name == 'BF16':
        return (to_bf16(x).astype(np.uint32) << 16).view(np.float32)
    return x.astype(np.float32)


def _half(x):
    """A column of scales as bytes, and as the float32 that a reader will see."""
    half = np.asarray(x, np.float32).astype('<f2').reshape(-1, 1)
    return half.view(np.uint8), half.astype(np.float32)


def _over(x, d):
    """x / d where d is not zero, else 0."""
    return np.divide(x, d, out=np.zeros_like(x), where=d != 0)


def _farthest(x):
    """The value farthest from zero of each row, sign kept."""
    return np.take_along_axis(x, np.argmax(np.abs(x), axis=-1)[..., None], -1)


def _quants(x, low, high):
    return np.clip(np.rint(x), low, high).astype(np.int32)


def _nibbles(q):
    """[N][32] of 0..15 -> [N][16]: value j low, value j + 16 high."""
    return (q[:, :16] | q[:, 16:] << 4).astype(np.uint8)


def _fifths(q):
    return np.packbits((q >> 4 & 1).astype(np.uint8), axis=1, bitorder='little')


def q4_0(x):
    d, seen = _half(_farthest(x) / -8)
    return d, _nibbles(_quants(_over(x, seen) + 8, 0, 15))


def q5_0(x):
    d, seen = _half(_farthest(x) / -16)
    q = _quants(_over(x, seen) + 16, 0, 31)
    return d, _fifths(q), _nibbles(q & 15)


def _with_minimum(x, top):
    low = x.min(axis=1, keepdims=True)
    d, seen_d = _half((x.max(axis=1, keepdims=True) - low) / top)
    m, seen_m = _half(low)
    return d, m, _quants(_over(x - seen_m, seen_d), 0, top)


def q4_1(x):
    d, m, q = _with_minimum(x, 15)
    return d, m, _nibbles(q)


def q5_1(x):
    d, m, q = _with_minimum(x, 31)
    return d, m, _fifths(q), _nibbles(q & 15)


def q8_0(x):
    d, seen = _half(np.abs(x).max(axis=1, keepdims=True) / 127)
    return d, _quants(_over(x, seen), -127, 127).astype(np.int8).view(np.uint8)


# The K formats: 256 values in groups of 16 or 32, group scales quantised in their turn.


def _planes(q, width, bits):
    """The inverse of reading planes: runs of width * 8/bits values share `width` bytes."""
    n = 8 // bits
    runs = q.reshape(len(q), -1, n, width) << (np.arange(n) * bits).reshape(1, 1, n, 1)
    return np.bitwise_or.reduce(runs, axis=2).reshape(len(q), -1).astype(np.uint8)


def _bit_rows(bit):
    """256 bits -> 32 bytes: value 32*j + l is bit j of byte l."""
    return np.bitwise_or.reduce(bit.reshape(len(bit), 8, 32) << np.arange(8).reshape(1, 8, 1),
                                axis=1).astype(np.uint8)


def _scaled_groups(x, size, top, scale_top):
    """Scales and minimums of groups: x ~ d*scale*q - d_min*low."""
    groups = x.reshape(len(x), -1, size)
    low = -np.minimum(groups.min(axis=2), 0)
    step = (groups.max(axis=2) + low) / top
    d, seen_d = _half(step.max(axis=1) / scale_top)
    d_min, seen_min = _half(low.max(axis=1) / scale_top)
    scale = _quants(_over(step, seen_d + 0 * step), 0, scale_top)
    lows = _quants(_over(low, seen_min + 0 * low), 0, scale_top)
    wide = (seen_d * scale)[:, :, None] + 0 * groups
    q = _quants(_over(groups + (seen_min * lows)[:, :, None], wide), 0, top)
    return d, d_min, scale, lows, q.reshape(len(x), -1)


def q2_k(x):
    d, d_min, scale, low, q = _scaled_groups(x, 16, 3, 15)
    return (scale | low << 4).astype(np.uint8), _planes(q, 32, 2), d, d_min


def _six_bit_pairs(scale, low):
    """8 scales and 8 minimums of 6 bits -> 12 bytes."""
    first = scale[:, :4] | scale[:, 4:] >> 4 << 6
    second = low[:, :4] | low[:, 4:] >> 4 << 6
    third = scale[:, 4:] & 15 | (low[:, 4:] & 15) << 4
    return np.concatenate([first, second, third], axis=1).astype(np.uint8)


def q4_k(x):
    d, d_min, scale, low, q = _scaled_groups(x, 32, 15, 63)
    return d, d_min, _six_bit_pairs(scale, low), _planes(q, 32, 4)


def q5_k(x):
    d, d_min, scale, low, q = _scaled_groups(x, 32, 31, 63)
    return d, d_min, _six_bit_pairs(scale, low), _bit_rows(q >> 4), _planes(q & 15, 32, 4)


def _signed_groups(x, half_range, scale_low, scale_high):
    """Groups of 16 around zero: x ~ d*scale*(q - half_range)."""
    groups = x.reshape(len(x), 16, 16)
    step = _farthest(groups)[..., 0] / -half_range
    d, seen = _half(_farthest(step)[:, 0] / scale_low)
    scale = _quants(_over(step, seen + 0 * step), scale_low, scale_high)
    wide = (seen * scale)[:, :, None] + 0 * groups
    q = _quants(_over(groups, wide) + half_range, 0, 2 * half_range - 1)
    return d, scale, q.reshape(len(x), 256)


def q3_k(x):
    d, scale, q = _signed_groups(x, 4, -32, 31)
    s = scale + 32
    low = s[:, :8] & 15 | (s[:, 8:] & 15) << 4
    high = sum((s[:, 4 * i:4 * i + 4] >> 4) << 2 * i for i in range(4))
    return (_bit_rows(q >> 2), _planes(q & 3, 32, 2), low.astype(np.uint8), high.astype(np.uint8), d)


def q6_k(x):
    d, scale, q = _signed_groups(x, 32, -128, 127)
    return (_planes(q & 15, 64, 4), _planes(q >> 4, 32, 2), scale.astype(np.int8).view(np.uint8), d)


_ENCODERS = {'Q4_0': q4_0, 'Q4_1': q4_1, 'Q5_0': q5_0, 'Q5_1': q5_1, 'Q8_0': q8_0,
             'Q2_K': q2_k, 'Q3_K': q3_k, 'Q4_K': q4_k, 'Q5_K': q5_k, 'Q6_K': q6_k}


def fits(name, shape):
    return shape[-1] % TYPES[name][1] == 0


def encode(name, x):
    x = np.ascontiguousarray(x, np.float32)
    if name == 'F32':
        return x.astype('<f4').tobytes()
    if name == 'F16':
        return x.astype('<f2').tobytes()
    if name == 'BF16':
        return to_bf16(x).tobytes()
    _, values, size = TYPES[name]
    assert fits(name, x.shape), '%s needs rows of %d values' % (name, values)
    out = np.concatenate(_ENCODERS[name](x.reshape(-1, values)), axis=1)
    assert out.shape[1] == size and out.dtype == np.uint8
    return out.tobytes()
