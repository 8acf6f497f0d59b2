# SPDX-License-Identifier: Apache-2.0
"""make_tiny_tokens.py - a vocabulary of 320 pieces that works: SentencePiece BPE with byte fallback.

Ids 0-2 are <unk> <s> </s>, 3-258 the 256 bytes, then merges (earlier ones win) and letters, in the
order of trained models.  Every merge can be reached from letters by merging two pieces.
"""
import struct

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6             # as GGUF and SentencePiece number them
SPACE = '\u2581'                                        # what SentencePiece writes for a space

_MERGES = ('he', 'in', SPACE + 't', SPACE + 'a', 'er', SPACE + 'w', 'on', SPACE + 's', 'nd', 'ed',
           'ou', SPACE + 'the', 'ing', SPACE + 'and', 'it', SPACE + 'to', 'is', 'at', 'en', 'or')
_LETTERS = SPACE + 'etaoinshrdlucmfwypvbgkqjxz' + '.,!?\'"\n' + 'TIAOHS' + 'é'


def pieces():
    """(text, score, kind) for each id."""
    made = [('<unk>', 0.0, UNKNOWN), ('<s>', 0.0, CONTROL), ('</s>', 0.0, CONTROL)]
    made += [('<0x%02X>' % byte, 0.0, BYTE) for byte in range(256)]
    made += [(text, -float(rank), NORMAL) for rank, text in enumerate(_MERGES + tuple(_LETTERS))]
    assert len(made) == 320 and len({text for text, _, _ in made}) == 320
    return made


def _varint(n):
    out = b''
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def _number(field, value):
    return _varint(field << 3) + _varint(value)


def _bytes(field, value):
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def tokenizer_model():
    """The bytes of a tokenizer.model: a ModelProto of SentencePiece, written by hand."""
    out = b''
    for text, score, kind in pieces():
        out += _bytes(1, _bytes(1, text.encode()) + _varint(2 << 3 | 5) + struct.pack('<f', score)
                      + _number(3, kind))
    trainer = (_number(3, 2) + _number(4, 320) + _number(35, 1)         # BPE, size, byte fallback
               + _number(40, 0) + _number(41, 1) + _number(42, 2))      # unk, bos, eos
    normalizer = _bytes(1, b'identity') + _number(3, 1) + _number(4, 0) + _number(5, 1)
    return out + _bytes(2, trainer) + _bytes(3, normalizer)
