# SPDX-License-Identifier: Apache-2.0
# tests/cli/test_pack.py - mixt pack and unpack, and every other command on what they make.
import json
import os
import signal
import subprocess
import time

from support import MIXT, Case, environment, main, mixt, model, scratch

IDS = "1,403,407,261"


def contents(path):
    with open(path, "rb") as file:
        return file.read()


class Pack(Case):
    def setUp(self):
        self.gguf = model()
        self.packed = scratch("tiny.mixt")
        if not os.path.exists(self.packed):
            self.expect(mixt("pack", self.gguf, self.packed), 0)

    def test_there_and_back(self):
        done = self.expect(mixt("unpack", self.packed, scratch("back.gguf"), "-t", 1), 0)
        self.assertEqual(done.stdout + done.stderr, b"")
        self.assertEqual(contents(self.gguf), contents(scratch("back.gguf")))

    def test_one_thread_or_two(self):
        for n in (1, 2):
            self.expect(mixt("pack", self.gguf, scratch("threads.mixt"), "--threads", n), 0)
            self.assertEqual(contents(self.packed), contents(scratch("threads.mixt")))

    def test_in_place(self):
        source, to = scratch("place.gguf"), scratch("place.mixt")
        with open(source, "wb") as file:
            file.write(contents(self.gguf))
        self.expect(mixt("pack", source, to, "--in-place"), 0)
        self.assertFalse(os.path.exists(source))
        self.assertEqual(contents(to), contents(self.packed))
        self.expect(mixt("unpack", to, source, "--in-place"), 0)
        self.assertFalse(os.path.exists(to))
        self.assertEqual(contents(source), contents(self.gguf))

    def test_in_place_through_a_link(self):
        """As in a cache of downloads: what is behind the link has given its room away, so it goes too."""
        os.makedirs(scratch("blobs"), exist_ok=True)
        blob, link, to = scratch("blobs/blob"), scratch("link.gguf"), scratch("link.mixt")
        with open(blob, "wb") as file:
            file.write(contents(self.gguf))
        os.symlink("blobs/blob", link)
        self.expect(mixt("pack", link, to, "--in-place"), 0)
        self.assertEqual((os.path.lexists(link), os.listdir(scratch("blobs"))), (False, []))
        self.assertEqual(contents(to), contents(self.packed))
        os.rename(to, blob)
        os.symlink("blobs/blob", to)
        self.expect(mixt("unpack", to, link, "--in-place"), 0)
        self.assertEqual((os.path.lexists(to), os.listdir(scratch("blobs"))), (False, []))
        self.assertEqual(contents(link), contents(self.gguf))

    def test_killed_and_given_again(self):
        source, to = scratch("killed.gguf"), scratch("killed.mixt")
        big = model("big.gguf", "--layers", 12, "--experts", 16)
        with open(source, "wb") as file:
            file.write(contents(big))
        for _ in range(100):
            if not os.path.exists(source):
                break
            run = subprocess.Popen([MIXT, "pack", source, to, "--in-place"], env=environment(), stderr=subprocess.PIPE)
            time.sleep(0.02)
            run.send_signal(signal.SIGKILL)
            run.communicate()
            time.sleep(0.001)
            if run.returncode == 1:
                self.fail("it does not go on")
        self.assertFalse(os.path.exists(source) and self.expect(mixt("pack", source, to, "--in-place"), 0) is None)
        self.expect(mixt("unpack", to, scratch("killed-back.gguf")), 0)
        self.assertEqual(contents(big), contents(scratch("killed-back.gguf")))

    def test_every_command(self):
        want, got = scratch("want"), scratch("got")
        for words in (["logits", None, "--ids", IDS, "--all", "-o"], ["routes", None, "--ids", IDS, "-o"],
                      ["convert", None, "-o"], ["convert", None, "--type", "q4_0", "-o"],
                      ["logits", None, "--ids", IDS, "--expert-slots", 3, "-o"]):
            for path, out in ((self.gguf, want), (self.packed, got)):
                self.expect(mixt(*[path if w is None else w for w in words], out), 0)
            self.assertEqual(contents(want), contents(got), words)
        for words, given in ((["run", None, "Once", "-n", 8, "--seed", 1, "--temp", 0], b""), (["tokenize", None], b"Hello"),
                             (["show", None, "--tensors"], b"")):
            lines = [self.expect(mixt(*[path if w is None else w for w in words], given=given), 0).stdout
                     for path in (self.gguf, self.packed)]
            lines = [line.split(b"\n", 1)[-1] if words[0] == "show" else line for line in lines]
            self.assertEqual(*lines, words)
        shown = json.loads(self.expect(mixt("show", self.packed, "--json"), 0).stdout)
        self.assertIn("packed", shown["container"])

    def test_check(self):
        self.assertIn(b"packed", self.expect(mixt("check", self.packed), 0).stdout)
        damaged = bytearray(contents(self.packed))
        damaged[-5000] ^= 1
        with open(scratch("damaged.mixt"), "wb") as file:
            file.write(damaged)
        self.one_line(self.expect(mixt("check", scratch("damaged.mixt")), 65), "expert 7: expected checksum")
        self.one_line(self.expect(mixt("unpack", scratch("damaged.mixt"), scratch("never.gguf")), 65), "layer")
        self.assertFalse(os.path.exists(scratch("never.gguf")))

    def test_refusals(self):
        for words, code, part in ((["pack", self.packed, scratch("x")], 64, "packed"),
                                  (["unpack", self.gguf, scratch("x")], 64, "not"),
                                  (["pack", self.gguf, self.gguf], 64, "same file"),
                                  (["pack", self.gguf, "-"], 64, "standard output"),
                                  (["pack", scratch("nobody"), scratch("x")], 66, "nobody"),
                                  (["pack", self.gguf], 64, "")):
            self.one_line(self.expect(mixt(*words), code), part)
        self.assertFalse(os.path.exists(scratch("x")))


if __name__ == "__main__":
    main()
