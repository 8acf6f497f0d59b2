# SPDX-License-Identifier: Apache-2.0
"""Makes cases for test_spm.c with Debian's sentencepiece, the library our SentencePiece twin must equal.

    spm_cases.py FOLDER TEXT N SEED [MODEL...]

Trains small BPE vocabularies of every kind in FOLDER, then writes, for each of them and for each MODEL
given, N random strings with the ids and the decoded text sentencepiece gives: FOLDER/<name>.cases beside
FOLDER/<name>.model, and one line per pair on stdout.  A case is little endian: u32 bytes, the bytes, u32 ids, the ids,
u32 bytes, the decoded text.  Exit 77: sentencepiece is not installed.
"""
import os
import random
import shutil
import struct
import sys
import unicodedata

try:
    import sentencepiece
except ImportError:
    sys.exit(77)

WORDS = "the a of spring light running water stones über naïve façade Москва весна 東京 物語 한국어 שלום".split()
SYMBOLS = ["<tool>", "<tool_call>", "ab▁c", "問", "▁▁x", "http://"]

KINDS = {
    "plain": dict(),
    "bytes": dict(byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False),
    "mistral": dict(byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
                    split_digits=True, allow_whitespace_only_pieces=True, user_defined_symbols=SYMBOLS),
    "nfkc": dict(normalization_rule_name="nmt_nfkc", user_defined_symbols=SYMBOLS),
    "nfkc_cf": dict(normalization_rule_name="nmt_nfkc_cf", byte_fallback=True, remove_extra_whitespaces=False),
    "no_prefix": dict(add_dummy_prefix=False, byte_fallback=True, normalization_rule_name="identity"),
    "bare": dict(add_dummy_prefix=False, remove_extra_whitespaces=False, normalization_rule_name="identity"),
    "sentences": dict(split_by_whitespace=False, byte_fallback=True, normalization_rule_name="identity",
                      remove_extra_whitespaces=False, user_defined_symbols=SYMBOLS),
}


def corpus(rng, text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for _ in range(1500):
        lines.append("  ".join(rng.choice(WORDS) + rng.choice(["", ".", ",", "s", "ing", " 12"])
                               for _ in range(rng.randrange(3, 12))))
    for n in range(2, 40):                              # runs: pieces such as "aa" and "aaa"
        lines += ["a" * n + " " + "ae" * n + " " * n + "9" * n] * 8
    return lines


def train(folder, name, kind, lines):
    options = dict(vocab_size=700, model_type="bpe", character_coverage=0.995, num_threads=1, minloglevel=2,
                   sentence_iterator=iter(lines), model_prefix=os.path.join(folder, name),
                   hard_vocab_limit=False)
    options.update(kind)
    sentencepiece.SentencePieceTrainer.train(**options)


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def fields(data):
    """Yields (number, begin, end, begin of the value) of each field of a protocol buffer message."""
    at = 0
    while at < len(data):
        begin = at
        key, at = varint(data, at)
        value = at
        if key & 7 == 0:
            _, at = varint(data, at)
        elif key & 7 == 2:
            n, value = varint(data, at)
            at = value + n
        else:
            at += {1: 8, 5: 4}[key & 7]
        yield key >> 3, begin, at, value


def twin(source, target, rng, unused, ties):
    """A model that training would not make.  A part of its pieces became UNUSED (type 5): they must fall apart
    again.  With ties, scores are small random numbers, so that order among equals decides, and pieces come about
    in more than one way."""
    with open(source, "rb") as f:
        data = f.read()
    out = b""
    for number, begin, end, value in fields(data):
        piece = data[value:end]
        parts = {n: piece[v:e] for n, _, e, v in fields(piece)} if number == 1 else {}
        if not parts or 3 in parts:
            out += data[begin:end]
            continue
        piece = b"\x0a" + bytes([len(parts[1])]) + parts[1]
        piece += b"\x15" + (struct.pack("<f", -rng.randrange(6)) if ties else parts[2])
        if len(parts[1].decode()) > 1 and rng.random() < unused:
            piece += b"\x18\x05"               # field 3, type: UNUSED
        out += b"\x0a" + bytes([len(piece)]) + piece
    with open(target, "wb") as f:
        f.write(out)


def any_character(rng):
    while True:
        c = rng.randrange(0x110000) if rng.random() < 0.3 else rng.randrange(0x3000)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def atom(rng, words, symbols):
    """A piece of a random string, as bytes."""
    pick = rng.randrange(15)
    if pick == 0: return any_character(rng).encode()
    if pick == 1: return rng.choice(["\u2581", "\u2581\u2581", " ", "  ", "   ", "\t", "\n", "\r\n", "\u3000", "\u00a0",
                                     "\u200b", "\ufeff"]).encode()
    if pick == 2: return (rng.choice(["a", "e", "ae", "aae", " ", "\u2581", "ß", "9"]) * rng.randrange(1, 40)).encode()
    if pick == 3: return rng.choice(symbols).encode()
    if pick == 4: return rng.choice(symbols).encode()[:rng.randrange(1, 6)]
    if pick == 5: return bytes(rng.randrange(256) for _ in range(rng.randrange(1, 5)))
    if pick == 6: return any_character(rng).encode()[:rng.randrange(1, 4)]          # maybe cut
    if pick == 7: return rng.choice(["e\u0301", "\u0300", "ﬁ", "①", "Å", "ｶﾞ", "ﷺ", "½", "Ⅷ", "İ", "ſ"]).encode()
    if pick == 8: return rng.choice(["😀", "👩‍👩‍👧", "🏳️‍🌈", "🇩🇪", "\U0001f44d\U0001f3fd", "\ufffd"]).encode()
    if pick == 9: return bytes([rng.randrange(32)])
    if pick == 10: return b"<0x%02X>" % rng.randrange(256)
    if pick == 11: return rng.choice(["<s>", "</s>", "<unk>", "[INST]", "[/INST]"]).encode()
    if pick == 12: return unicodedata.normalize(rng.choice(["NFC", "NFD", "NFKC"]), rng.choice(words)).encode()
    return (rng.choice(["", " "]) + rng.choice(words)).encode()


def strings(rng, n, words, symbols):
    for _ in range(n):
        yield b"".join(atom(rng, words, symbols) for _ in range(rng.randrange(0, 12)))


def write_cases(model, path, rng, n, words):
    library = sentencepiece.SentencePieceProcessor(model_file=model)
    symbols = [library.id_to_piece(i) for i in range(library.get_piece_size())][:400:7] + SYMBOLS
    with open(path, "wb") as out:
        for text in strings(rng, n, words, symbols):
            ids = library.encode(text)
            decoded = library.decode(ids).encode()
            out.write(struct.pack("<I", len(text)) + text + struct.pack("<I%di" % len(ids), len(ids), *ids)
                      + struct.pack("<I", len(decoded)) + decoded)


def main():
    folder, text_path, n, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    rng = random.Random(seed)
    with open(text_path, encoding="utf-8") as f:
        text = f.read()
    lines = corpus(rng, text)
    words = sorted(set(" ".join(lines).split()))
    models = []
    for name, kind in KINDS.items():
        train(folder, name, kind, lines)
        models.append(os.path.join(folder, name + ".model"))
    for name, source, unused, ties in (("unused", "mistral", 0.3, False), ("unused_sentences", "sentences", 0.5, False),
                                       ("ties", "mistral", 0, True), ("unused_ties", "sentences", 0.5, True),
                                       ("unused_ties_words", "mistral", 0.5, True)):
        models.append(os.path.join(folder, name + ".model"))
        twin(os.path.join(folder, source + ".model"), models[-1], rng, unused, ties)
    for i, given in enumerate(path for path in sys.argv[5:] if path):
        models.append(os.path.join(folder, "given%d.model" % i))
        shutil.copyfile(given, models[-1])
    for model in models:
        cases = model[:-len(".model")] + ".cases"
        write_cases(model, cases, rng, n, words)
        print(model, cases, flush=True)


main()
