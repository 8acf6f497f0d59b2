# SPDX-License-Identifier: Apache-2.0
# tests/cli/test_faults.py - the model's file is damaged, cut or exchanged while the program reads experts from it.
import json
import os
import shutil
import struct
import subprocess
import time

from support import MIXT, Case, environment, main, mixt, model, scratch
from test_talk import Terminal

SHAPE = ("--type", "Q8_0", "--experts", 16, "--layers", 3, "--width", 128, "--hidden", 128)
TEXTS = ["Once", "The", "x", "a b", "Hello", "0", "zz", "we", "Q", "?!"]
STREAMED = ("--expert-slots", 3, "--temp", 0)            # so most experts are read when they are needed


def copy_of(path, name):
    return shutil.copy(path, scratch(name))


def answers(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def slabs(path):
    """(layer, expert): where it lies in a packed file, and how long it is (docs/format/packed.md)."""
    with open(path, "rb") as file:
        head = file.read(64)
        n_parts, n_runs, n_slabs = struct.unpack_from("<IQQ", head, 20)
        file.seek(4096 + 8 * n_parts + 40 * n_runs)
        table = file.read(104 * n_slabs)
    found = {}
    for i in range(n_slabs):
        layer, expert, offset, n_bytes = struct.unpack_from("<IIQQ", table, 104 * i)
        found[layer, expert] = offset, n_bytes
    return found


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 4]))


class Damage(Case):
    def routes(self, path, text):
        """Experts that the first layer asks for a text."""
        ids = self.expect(mixt("tokenize", path, "-s", given=text.encode()), 0).stdout.decode().split()
        out = scratch("faults.npy")
        self.expect(mixt("routes", path, "--ids", ",".join(ids), "-o", out), 0)
        with open(out, "rb") as file:
            data = file.read()
        n_head = 10 + struct.unpack_from("<H", data, 8)[0]
        return set(struct.unpack_from("<%di" % (2 * len(ids)), data, n_head))       # [L][T][U], layer 0

    def test_only_who_needed_the_expert_fails(self):
        gguf = model("faults.gguf", *SHAPE)
        packed, given, out = scratch("faults.mixt"), scratch("faults.in"), scratch("faults.out")
        self.expect(mixt("pack", gguf, packed), 0)
        with open(given, "w", encoding="utf-8") as file:
            file.writelines(json.dumps({"prompt": text, "max_tokens": 1}) + "\n" for text in TEXTS)
        self.expect(mixt("batch", gguf, given, out, *STREAMED), 0)
        want = answers(out)
        asked = [self.routes(gguf, text) for text in TEXTS]
        expert = next(e for e in range(16) if 2 <= sum(e in a for a in asked) <= len(TEXTS) - 2)
        offset, n_bytes = slabs(packed)[0, expert]
        flip(packed, offset + n_bytes // 2)
        os.remove(out)
        done = self.expect(mixt("batch", packed, given, out, *STREAMED), 1)
        self.assertRegex(done.stderr.decode(), rf"faults\.in: line \d+: .*layer 0, expert {expert}: expected checksum")
        for text, needed, one, got in zip(TEXTS, asked, want, answers(out)):
            if expert in needed:
                self.assertIn(f"layer 0, expert {expert}: expected checksum", got["error"], text)
            else:
                self.assertEqual(got.get("text"), one["text"], (text, got))
        flip(packed, offset + n_bytes // 2)                     # whole again
        os.remove(out)
        self.expect(mixt("batch", packed, given, out, *STREAMED), 0)
        self.assertEqual([a["text"] for a in answers(out)], [a["text"] for a in want])


class Streaming(Case):
    LINES = [{"prompt": f"{text} {i}", "max_tokens": 24, "ignore_end": True} for i, text in enumerate(TEXTS * 4)]

    def begun(self, path, out):
        """A batch of which a few answers are there."""
        running = subprocess.Popen([MIXT, "batch", path, scratch("stream.in"), out, "--together", "4",
                                    *map(str, STREAMED)], env=environment(), stderr=subprocess.PIPE)
        for _ in range(4000):
            if os.path.exists(out + ".part") and os.path.getsize(out + ".part") > 300 or running.poll() is not None:
                break
            time.sleep(0.002)
        return running

    def test_a_batch_whose_file_is_cut(self):
        path, out = copy_of(model("faults.gguf", *SHAPE), "cut.gguf"), scratch("cut.out")
        with open(scratch("stream.in"), "w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in self.LINES)
        self.expect(mixt("batch", path, scratch("stream.in"), out, *STREAMED), 0)
        want = answers(out)
        os.remove(out)
        running = self.begun(path, out)
        os.truncate(path, os.path.getsize(path) // 2)
        said = running.communicate(timeout=100)[1].decode()
        if running.returncode == 0:
            self.skipTest("it was done before its file was cut")
        self.assertEqual(running.returncode, 1, said)          # not a signal
        got = answers(out)
        self.assertEqual([a["line"] for a in got], [a["line"] for a in want])
        for one, other in zip(want, got):
            if "error" in other:
                self.assertRegex(other["error"], r"cut\.gguf: file became shorter")
            else:
                self.assertEqual(one["text"], other["text"])
        self.assertGreater(sum("text" in a for a in got), 0)

    def talk(self, path):
        t = Terminal("run", path, "-n", 12, "--ignore-end", "--chat-template", "chatml", "--seed", 1, *STREAMED)
        t.until(r">>> $")
        return t

    def test_a_conversation_goes_on_when_the_file_is_whole_again(self):
        source = model("faults.gguf", *SHAPE)
        path = copy_of(source, "talk.gguf")
        t = self.talk(path)
        first = t.say("Hello there")
        self.assertNotIn("mixt", first)
        os.truncate(path, os.path.getsize(path) // 2)
        self.assertRegex(t.say("And now?"), r"talk\.gguf: file became shorter")
        self.assertRegex(t.say("Still?"), r"talk\.gguf: file became shorter")
        shutil.copyfile(source, path)                           # the same file, written anew
        t.say("/clear")
        self.assertEqual(t.say("Hello there"), first)
        t.type("/bye\r")
        self.assertEqual(t.end(), 0)

    def test_another_file_of_that_name_is_not_read(self):
        path = copy_of(model("faults.gguf", *SHAPE), "swap.gguf")
        t = self.talk(path)
        first = t.say("Hello there")
        other = model("other.gguf", *SHAPE, "--seed", 99)
        os.replace(copy_of(other, "new.gguf"), path)
        t.say("/clear")
        self.assertEqual(t.say("Hello there"), first)
        os.remove(path)
        t.say("/clear")
        self.assertEqual(t.say("Hello there"), first)
        t.type("/bye\r")
        self.assertEqual(t.end(), 0)


if __name__ == "__main__":
    main()
