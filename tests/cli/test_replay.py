# SPDX-License-Identifier: Apache-2.0
# tests/cli/test_replay.py - traces: recorded, invented, replayed, chosen from.
import json
import os
import shutil
import stat
import struct
import unittest

from support import Case, environment, main, mixt, model, scratch

POLICIES = ["next", "lru", "layer", "lfu", "hot", "oracle"]


def trace(name, steps, layers=1, experts=3, used=1):
    """Of one row a step: steps[step][layer] is a list of experts."""
    out = b"MIXTRTE1" + struct.pack("<IIIIQ", layers, experts, used, 4, 1000000) + b"made"
    for step in steps:
        out += struct.pack("<I", 1)
        for layer in step:
            out += struct.pack(f"<H{len(layer)}H", len(layer), *sorted(layer))
    out += struct.pack("<IQ", 0, len(steps))
    path = scratch(name)
    with open(path, "wb") as file:
        file.write(out)
    return path


class Replay(Case):
    def replay(self, *words, **more):
        return self.expect(mixt("replay", *words, **more), 0)

    def table(self, *words, **more):
        return json.loads(self.replay(*words, "--json", **more).stdout)

    def test_by_hand(self):
        """0 1 2 0 1 2 ..: with room for two of three (70 %) the oracle hits every second time, LRU never."""
        path = trace("round.trace", [[[i % 3]] for i in range(40)])
        found = self.table(path)
        self.assertEqual(found["room"], [1, 1, 1, 1, 2, 2, 2, 2, 3])
        rows = {row["policy"]: row for row in found["policies"]}
        self.assertEqual(list(rows), POLICIES)
        self.assertEqual(rows["lru"]["second_half"], [0, 0, 0, 0, 0, 0, 0, 0, 1])
        self.assertEqual(rows["oracle"]["second_half"], [0, 0, 0, 0, 0.5, 0.5, 0.5, 0.5, 1])
        for row in rows.values():
            self.assertEqual(row["second_half"][8], 1)
            self.assertAlmostEqual(row["first_half"][8], 17 / 20)
        self.assertEqual(found["asked_per_row"], 1)

    def test_page(self):
        path = trace("page.trace", [[[i % 3]] for i in range(40)])
        page = self.replay(path).stdout.decode()
        self.assertIn('"made", 1 layers of 3 experts, 1 used for a row; 40 rows in 40 steps', page)
        self.assertIn("MB for a row", page)
        self.assertRegex(page, r"(?m)^\* \w+ .*\d")
        self.assertIn("below the oracle", page)
        for policy in POLICIES:
            self.assertRegex(page, rf"(?m)^[* ] {policy} ")
        for line in page.splitlines():
            self.assertLessEqual(len(line), 100)

    def test_invented_and_written(self):
        to = scratch("invented.trace")
        shape = ["--invent", "--layers", 4, "--experts", 6, "--used", 2, "--steps", 300]
        first = self.table(*shape, "--router-skew", 1.5, "--burst", 50, "--seed", 4, "-o", to)
        self.assertEqual((first["layers"], first["experts"], first["used"], first["rows"]), (4, 6, 2, 300))
        self.assertEqual(first, self.table(to))
        self.assertEqual(first, self.table(*shape, "--router-skew", 1.5, "--burst", 50, "--seed", 4))
        self.assertNotEqual(first, self.table(*shape, "--router-skew", 1.5, "--burst", 50, "--seed", 5))
        twice = self.table(to, to)
        self.assertEqual(twice["rows"], 600)
        for row in first["policies"]:
            for here, best in zip(row["second_half"], first["policies"][-1]["second_half"]):
                self.assertGreaterEqual(best, here)

    def test_recorded(self):
        path = scratch("run.trace")
        self.expect(mixt("run", model(), "Hello there", "-n", 9, "--temp", 0, "--record", path), 0)
        found = self.table(path)
        self.assertEqual((found["layers"], found["experts"], found["used"]), (4, 8, 2))
        self.assertEqual(found["steps"], 1 + 9)                 # the prompt is one step
        self.assertGreater(found["rows"], found["steps"])

    def test_routes_are_steps_of_one_row(self):
        path, npy = scratch("routes.trace"), scratch("routes.npy")
        self.expect(mixt("routes", model(), "--ids", "1,403,407", "-o", npy, "--record", path), 0)
        found = self.table(path)
        self.assertEqual((found["steps"], found["rows"], found["model"]), (3, 3, "tiny.gguf"))
        for other in (npy, model()):
            done = mixt("routes", model(), "--ids", "1,403", "-o", npy, "--record", other)
            self.one_line(self.expect(done, 64), "same file")

    def test_choose(self):
        path, folder = scratch("own.trace"), scratch("kept")
        os.makedirs(folder, exist_ok=True)
        gguf = os.path.join(folder, "m.gguf")
        shutil.copy(model(), gguf)
        self.expect(mixt("routes", gguf, "--ids", "1,403,407,5,6", "-o", scratch("o.npy"), "--record", path), 0)
        self.replay(path, "--choose", gguf)
        with open(gguf + ".use", "rb") as file:
            first = file.read()
        self.assertEqual((first[:8], len(first)), (b"MIXTUSE1", 48 + 4 * 4 * 8 + 8))
        rows = struct.unpack_from("<Q", first, 24)[0]
        self.assertEqual(rows, 5)
        self.replay(path, "--choose", gguf)                     # learns on ..
        with open(gguf + ".use", "rb") as file:
            self.assertEqual(struct.unpack_from("<Q", file.read(), 24)[0], 10)
        with open(gguf + ".use", "wb") as file:
            file.write(b"not of ours")
        self.replay(path, "--choose", gguf)                     # .. and begins anew
        with open(gguf + ".use", "rb") as file:
            self.assertEqual(file.read(), first)

    @unittest.skipIf(os.geteuid() == 0, "nothing is locked for root")
    def test_choose_in_the_cache(self):
        path, folder = scratch("cached.trace"), scratch("locked")
        os.makedirs(folder, exist_ok=True)
        gguf = os.path.join(folder, "c.gguf")
        shutil.copy(model(), gguf)
        self.expect(mixt("routes", gguf, "--ids", "1,403", "-o", scratch("o.npy"), "--record", path), 0)
        os.chmod(folder, stat.S_IRUSR | stat.S_IXUSR)
        try:
            cache = scratch("cache")
            self.replay(path, "--choose", gguf, env=environment(XDG_CACHE_HOME=cache))
            self.assertTrue(os.path.exists(os.path.join(cache, "mixt", "c.gguf.use")))
        finally:
            os.chmod(folder, stat.S_IRWXU)

    def test_who_leaves_something_beside_the_model(self):
        folder = scratch("beside")
        os.makedirs(folder, exist_ok=True)
        some = [("sparse", (), True), ("sparse", ("--no-learn",), False), ("dense", (), False)]
        for kind, options, leaves in some:
            gguf = os.path.join(folder, kind + ".gguf")
            shutil.copy(model() if kind == "sparse" else model("dense.gguf", "--experts", -1), gguf)
            self.expect(mixt("run", gguf, "The", "-n", 3, "--expert-slots", 2, *options), 0)
            found = set(os.listdir(folder)) - {kind + ".gguf"}
            self.assertEqual(found, {kind + ".gguf.use"} if leaves else set(), (kind, options))
            for name in os.listdir(folder):
                os.remove(os.path.join(folder, name))

    def test_bad(self):
        self.one_line(self.expect(mixt("replay"), 64), "--invent")
        self.one_line(self.expect(mixt("replay", "--invent", trace("x.trace", [])), 64), "--invent")
        self.one_line(self.expect(mixt("replay", scratch("none")), 66), "none")
        self.one_line(self.expect(mixt("replay", model()), 65), "MIXTRTE1")
        self.one_line(self.expect(mixt("replay", trace("short.trace", [[[1]]])), 64), "2 steps")
        self.one_line(self.expect(mixt("replay", trace("bad.trace", [[[7]], [[1]]])), 65), "step 0, layer 0", "7")
        a, b = trace("a.trace", [[[1]]] * 4), trace("b.trace", [[[1]]] * 4, experts=4)
        self.one_line(self.expect(mixt("replay", a, b), 64), "4")
        self.one_line(self.expect(mixt("replay", a, "-o", a), 64), "same file")
        self.one_line(self.expect(mixt("replay", a, "--choose", model()), 64), "tiny.gguf")
        self.one_line(self.expect(mixt("replay", "--invent", "--used", 9), 64), "9")

    def test_names_are_no_escapes(self):
        path = trace("esc.trace", [[[1]]] * 4)
        with open(path, "rb") as file:
            bytes_ = file.read()
        with open(path, "wb") as file:
            file.write(bytes_.replace(b"made", b"\x1b[2J"))
        self.assertNotIn(b"\x1b", self.replay(path).stdout)


if __name__ == "__main__":
    main()
