# SPDX-License-Identifier: Apache-2.0
"""tests/unit/file/oracle_packed.py - a packed file read by somebody who has only docs/format/packed.md.

Shares no line with the program: takes a packed model apart in Python, puts the GGUF together from it, and compares that
with the file that was packed.  Checksums are left to the program."""
import os
import struct
import subprocess
import sys
import tempfile

MIXT = os.environ.get("MIXT")
if not MIXT or not os.access(MIXT, os.X_OK):
    print("skipped: MIXT names no program")
    sys.exit(77)

# id: block values, block bytes, H, W, scales at, words at
BLOCKS = {2: (32, 18, 1, 4, 0, 2), 3: (32, 20, 2, 4, 0, 4), 6: (32, 22, 1, 5, 0, 2), 7: (32, 24, 2, 5, 0, 4),
          8: (32, 34, 1, 8, 0, 2), 10: (256, 84, 2, 20, 80, 0), 11: (256, 110, 1, 27, 108, 0),
          12: (256, 144, 2, 35, 0, 4), 13: (256, 176, 2, 43, 0, 4), 14: (256, 210, 1, 52, 208, 0)}
FLOATS = {0: 4, 1: 2, 30: 2}


def place(kind, w):
    k = w % 8
    if kind == 11:
        return w - 24 if w >= 24 else w + 3 if w >= 16 else 3 + 2 * k if w >= 8 else 4 + 2 * k
    if kind == 13:
        return w if w < 3 or w >= 19 else 3 + 2 * (w - 11) if w >= 11 else 4 + 2 * (w - 3)
    if kind == 14:
        if w >= 48:
            return w - 48
        if w >= 32:
            return 4 + 24 * (w // 8 - 4) + 2 * k + 1
        return 4 + 24 * (w // 16) + (16 + k if w // 8 % 2 else 2 * k)
    return w


def row_bytes(kind, cols):
    return cols * FLOATS[kind] if kind in FLOATS else cols // BLOCKS[kind][0] * BLOCKS[kind][1]


def stack_floats(data, at, kind, cols, rows):
    """Rows of one stack, and where it ends."""
    out, n = [], row_bytes(kind, cols)
    for _ in range((rows + 15) // 16):
        panel = [b""] * 16
        for begin in range(0, n, 64):
            some = min(64, n - begin)
            for r in range(16):
                panel[r] += data[at:at + some]
                at += some
        out += panel
    return out[:rows], at


def stack_blocks(data, at, kind, cols, rows):
    values, size, H, W, scales_at, words_at = BLOCKS[kind]
    n, panels, run = cols // values, (rows + 15) // 16, 256 // values
    out = [bytearray(n * size) for _ in range(panels * 16)]
    order = [(p, b) for first in range(0, n, run) for p in range(panels) for b in range(first, min(first + run, n))]
    share = 1 if H == 2 else 2
    for i, (p, b) in enumerate(order):
        group = at + i // share * (64 + share * W * 64)
        halves, words = group + i % share * 32, group + 64 + i % share * W * 64
        for r in range(16):
            row, to = out[p * 16 + r], b * size
            for h in range(H):
                row[to + scales_at + 2 * h:to + scales_at + 2 * h + 2] = data[halves + (h * 16 + r) * 2:][:2]
            for w in range(W):
                row[to + words_at + 4 * w:to + words_at + 4 * w + 4] = data[words + (place(kind, w) * 16 + r) * 4:][:4]
    groups = (len(order) + share - 1) // share
    return out[:rows], at + groups * 64 + len(order) * W * 64


def tensors_of(part):
    """(type, cols, offset) of each tensor of a GGUF file."""
    at = 8
    (n_tensors, n_keys), at = struct.unpack_from("<QQ", part, at), 24
    sizes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8]

    def text(at):
        (n,) = struct.unpack_from("<Q", part, at)
        return part[at + 8:at + 8 + n], at + 8 + n

    def skip(kind, at):
        if kind == 8:
            return text(at)[1]
        if kind == 9:
            of, n = struct.unpack_from("<IQ", part, at)
            at += 12
            for _ in range(n):
                at = skip(of, at)
            return at
        return at + sizes[kind]

    alignment = 32
    for _ in range(n_keys):
        key, at = text(at)
        (kind,) = struct.unpack_from("<I", part, at)
        if key == b"general.alignment":
            (alignment,) = struct.unpack_from("<I", part, at + 4)
        at = skip(kind, at + 4)
    found = []
    for _ in range(n_tensors):
        _, at = text(at)
        (n,) = struct.unpack_from("<I", part, at)
        dims = struct.unpack_from(f"<{n}Q", part, at + 4)
        kind, offset = struct.unpack_from("<IQ", part, at + 4 + 8 * n)
        found.append((kind, dims[0], offset))
        at += 4 + 8 * n + 12
    data = (at + alignment - 1) // alignment * alignment
    return [(kind, cols, data + offset) for kind, cols, offset in found]


def unpack(data):
    magic, version, layout, state, n_parts, n_runs, n_slabs, n_bytes = struct.unpack_from("<8sIIIIQQQ", data)
    assert (magic, version, layout, state, n_bytes) == (b"MIXTPACK", 1, 1, 0, len(data))
    at = 4096 + 8 * n_parts
    parts = [bytearray(n) for n in struct.unpack_from(f"<{n_parts}Q", data, 4096)]
    covered = 0
    for i in range(n_runs):
        part, _, begin, n, offset, _ = struct.unpack_from("<IIQQQQ", data, at + 40 * i)
        parts[part][begin:begin + n] = data[offset:offset + n]
        covered += n
    at += 40 * n_runs
    tensors = [(part, *t) for part in parts for t in tensors_of(part)]
    for i in range(n_slabs):
        _, _, offset, n_slab, _, *matrices = struct.unpack_from("<IIQQQ9Q", data, at + 104 * i)
        place_at = offset
        for m in range(3):
            tensor, first, rows = matrices[3 * m:3 * m + 3]
            part, kind, cols, begin = tensors[tensor]
            place_at = (place_at + 63) // 64 * 64
            read, n = stack_floats if kind in FLOATS else stack_blocks, row_bytes(kind, cols)
            for row in range(0, rows, 128):
                got, place_at = read(data, place_at, kind, cols, min(128, rows - row))
                to = begin + (first + row) * n
                part[to:to + n * len(got)] = b"".join(got)
                covered += n * len(got)
        assert (place_at + 4095) // 4096 * 4096 == offset + n_slab, "a slab ends elsewhere"
    assert covered == sum(map(len, parts)), "not every byte once"
    return parts


def main():
    kinds = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K"]
    with tempfile.TemporaryDirectory() as folder:
        gguf, packed = os.path.join(folder, "m.gguf"), os.path.join(folder, "m.mixt")
        for kind in kinds:
            hidden = 256 if "K" in kind else 96 if kind[0] == "Q" else 75
            subprocess.run([MIXT, "synth", "--like", "tiny", "--type", kind, "--layers", "1", "--experts", "2",
                            "--vocab", "354", "--hidden", str(hidden), "-o", gguf], check=True)
            subprocess.run([MIXT, "pack", gguf, packed], check=True)
            with open(gguf, "rb") as a, open(packed, "rb") as b:
                want, got = a.read(), unpack(b.read())
            if got != [want]:
                at = next(i for i in range(len(want)) if got[0][i] != want[i])
                sys.exit(f"{kind}: another byte at {at} of {len(want)}")
            print(f"{kind}: {len(want)} bytes come back")


if __name__ == "__main__":
    main()
