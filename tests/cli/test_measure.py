# SPDX-License-Identifier: Apache-2.0
# tests/cli/test_measure.py - bench and doctor: what they print, where the profile of the machine lies.
import json
import os
import re
import shutil
import stat

from support import Case, environment, main, mixt, model, scratch

SMALL = ["-p", 16, "-n", 3, "-d", "0,8", "-r", 2, "-t", 1]


class Bench(Case):
    def bench(self, *words, **more):
        return self.expect(mixt("bench", model(), *words, timeout=300, **more), 0)

    def test_json(self):
        done = self.bench(*SMALL, "--rows", "1,3", "--json")
        self.assertEqual(done.stderr, b"")
        found = json.loads(done.stdout)
        self.assertEqual(found["model"]["architecture"], "mixtral")
        self.assertEqual(found["engine"]["threads"], 1)
        self.assertEqual(found["machine"]["limits"], "measured")
        for key in ("read_bytes_per_s", "int8_ops_per_s", "f32_ops_per_s"):
            self.assertGreater(found["machine"][key], 1e6)
        self.assertGreater(found["engine"]["resident_peak_bytes"], found["model"]["weight_bytes"])
        tests = {t["test"]: t for t in found["tests"]}
        self.assertEqual(list(tests), ["pp16", "tg3", "tg3 x3", "pp16 @ d8", "tg3 @ d8", "tg3 x3 @ d8"])
        for test in tests.values():
            self.assertEqual(len(test["seconds"]), 2)
            self.assertGreater(test["tokens_per_s"], 0)
            rates = sorted(test["tokens"] * test["rows"] / s for s in test["seconds"])
            self.assertAlmostEqual(test["tokens_per_s"] / (sum(rates) / 2), 1, 4)
            self.assertGreater(test["share_of_peak"], 0)
            if test["kind"] == "generate":
                self.assertEqual(len(test["step_seconds"]), 6)
                self.assertAlmostEqual(sum(test["step_seconds"]) / sum(test["seconds"]), 1, 4)
                self.assertGreater(test["share_of_read"], 0)

    def test_bytes_are_those_of_the_file(self):
        """One token reads everything but the embedding and the experts that were not chosen."""
        shown = json.loads(mixt("show", model(), "--json").stdout)
        parts = {c["name"]: c["bytes"] for c in shown["classes"]}
        used = shown["experts_used"] / shown["experts"]
        want = (parts["attention"] + parts["router"] + parts["norms"] + parts["output"] + parts["experts"] * used
                + parts["embedding"] / shown["vocabulary"])
        test, = json.loads(self.bench("-p", 0, "-n", 4, "-d", 8, "-r", 1, "--json").stdout)["tests"]
        self.assertAlmostEqual(test["weight_bytes_per_step"] / want, 1, 6)
        self.assertEqual(test["experts_per_layer"], shown["experts_used"])
        # positions 8 to 11 see 9, 10, 11 and 12
        self.assertAlmostEqual(test["kv_bytes_per_step"] / (10.5 * shown["kv_bytes_per_token"]), 1, 6)

    def test_rows_together_touch_more_experts(self):
        one, four = json.loads(self.bench("-p", 0, "-n", 6, "-d", 8, "-r", 1, "--rows", "1,4", "--json").stdout)["tests"]
        self.assertEqual((one["rows"], four["rows"]), (1, 4))
        self.assertGreater(four["experts_per_layer"], one["experts_per_layer"])
        self.assertLessEqual(four["experts_per_layer"], 8)
        self.assertGreater(four["weight_bytes_per_step"], one["weight_bytes_per_step"])
        self.assertAlmostEqual(four["kv_bytes_per_step"] / one["kv_bytes_per_step"], 4, 6)
        self.assertAlmostEqual(four["ops"] / one["ops"], 4, 6)

    def test_table(self):
        text = self.bench(*SMALL).stdout.decode()
        rows = [line for line in text.splitlines() if line.startswith("|")]
        self.assertEqual(len(rows), 2 + 4, text)
        self.assertEqual(len({line.count("|") for line in rows}), 1)
        self.assertEqual(len({len(line) for line in rows}), 1, text)
        self.assertRegex(rows[2], r"tiny\.gguf .* pp16 .*Gop/s .*% of (int8|f32)")
        self.assertRegex(rows[-1], r"tg3 @ d8 .*GB/s .*% of reading")

    def test_profile(self):
        text = self.bench(*SMALL, "--profile").stdout.decode()
        for name in ("embedding", "q, k, v", "rope", "kv write", "attention", "router", "experts", "output", "between"):
            self.assertEqual(len(re.findall(rf"(?m)^  {name} +[\d.]+ ", text)), 4, name)
        tests = json.loads(self.bench(*SMALL, "--profile", "--look-ahead", 0, "--json").stdout)["tests"]
        for test in tests:
            spent = sum(row["seconds"] for row in test["profile"])
            self.assertLess(spent, 1.05 * sum(test["seconds"]) + 0.001, test["test"])
            rows = {row["name"]: row for row in test["profile"]}
            self.assertGreater(rows["experts"]["bytes"], 0)
            if test["kind"] == "generate":      # the profile counts the bytes the catalog promises
                counted = sum(row["bytes"] for row in test["profile"]) / (test["tokens"] * 2)
                shown = json.loads(mixt("show", model(), "--json").stdout)
                norms = next(c["bytes"] for c in shown["classes"] if c["name"] == "norms")
                self.assertAlmostEqual((counted + norms) / (test["weight_bytes_per_step"] + test["kv_bytes_per_step"]), 1, 3)

    def test_slots_read_the_disk(self):
        test, = json.loads(self.bench("-p", 0, "-n", 4, "-d", 0, "-r", 1, "--expert-slots", 2, "--json").stdout)["tests"]
        self.assertGreater(test["disk_bytes"], 0)

    def test_other_machines_options(self):
        for words in (["--kv", "f32"], ["--cpu", "ref"], ["--batch", 4], ["--device", "ref"]):
            self.bench("-p", 8, "-n", 2, "-d", 0, "-r", 1, *words)

    def test_mistakes(self):
        for words, parts in ((["-p", "1x"], ["--prompts", "'1x'"]), (["-p", "8,,9"], ["--prompts"]),
                             (["-n", "-1"], ["--tokens"]), (["--rows", "0"], ["--rows"]),
                             (["--rows", "100000"], ["--rows"]), (["-d", "1e3"], ["--at"]),
                             (["-p", 0, "-n", 0], ["nothing to measure"]), (["-r", 0], ["-r"]),
                             (["-d", 1 << 25], ["as the model was made for"]),
                             (["-d", ",".join(map(str, range(40)))], ["at most 32"])):
            self.one_line(self.expect(mixt("bench", model(), *words), 64), *parts)
        self.one_line(self.expect(mixt("bench", scratch("none.gguf")), 66), "none.gguf")
        self.expect(mixt("bench"), 64)


class Doctor(Case):
    def setUp(self):
        self.cache = scratch("cache")
        shutil.rmtree(self.cache, ignore_errors=True)
        self.file = os.path.join(self.cache, "mixt", "machine.json")
        self.env = environment(XDG_CACHE_HOME=self.cache)

    def test_it_measures_and_stores(self):
        done = self.expect(mixt("doctor", "--json", env=self.env), 0)
        self.assertEqual(done.stderr, b"")
        found = json.loads(done.stdout)
        self.assertEqual(found["stored"], self.file)
        self.assertIsNone(found["disk_folder"])
        for key in ("read", "int8", "f32"):
            self.assertEqual(found[key][0]["threads"], 1)
            self.assertEqual(found[key][-1]["threads"], found["cores_allowed"])
            for rate in found[key]:
                self.assertGreater(rate["per_second"], 1e6)
        with open(self.file) as file:
            kept = json.load(file)
        self.assertEqual(kept["version"], 1)
        self.assertEqual(kept["cpu"], found["cpu"])
        self.assertEqual([r["threads"] for r in kept["read"]], [r["threads"] for r in found["read"]])
        self.stored_is_used(found)
        self.bad_ones_are_not()
        self.it_is_replaced_whole()

    def stored_is_used(self, found):
        done = self.expect(mixt("bench", model(), *SMALL, "--stored", "--json", env=self.env), 0)
        self.assertEqual(done.stderr, b"")
        machine = json.loads(done.stdout)["machine"]
        self.assertEqual(machine["limits"], "stored")
        self.assertAlmostEqual(machine["read_bytes_per_s"] / found["read"][0]["per_second"], 1, 4)

    def bad_ones_are_not(self):
        with open(self.file) as file:
            good = file.read()
        for bad, says in ((good[:100], "JSON"), (good.replace('"version": 1', '"version": 9'), "version"),
                          (good.replace('"cpu": "', '"cpu": "Not '), "another machine"), ("", "JSON")):
            with open(self.file, "w") as file:
                file.write(bad)
            done = self.expect(mixt("bench", model(), *SMALL, "--stored", "--json", env=self.env), 0)
            self.one_line(done, says, "measuring anew", self.file)
            self.assertEqual(json.loads(done.stdout)["machine"]["limits"], "measured")

    def it_is_replaced_whole(self):
        """What lay there before is another file: who reads it meanwhile reads it to its end."""
        before = os.stat(self.file).st_ino
        held = open(self.file)
        self.expect(mixt("doctor", env=self.env), 0)
        self.assertNotEqual(os.stat(self.file).st_ino, before)
        self.assertEqual(os.listdir(os.path.dirname(self.file)), ["machine.json"])
        held.close()

    def test_page_and_disk(self):
        folder = scratch("models")
        os.makedirs(folder, exist_ok=True)
        shutil.copy(model(), folder)
        done = self.expect(mixt("doctor", os.path.join(folder, "tiny.gguf"), env=self.env), 0)
        text = done.stdout.decode()
        for label in ("processor", "cores", "instructions", "caches", "memory", "huge pages", "reads", "int8", "f32"):
            self.assertRegex(text, rf"(?m)^{label} +\S")
        self.assertRegex(text, rf"(?m)^disk +{folder}, read")
        self.assertRegex(text, rf"(?m)^stored in +{self.file}$")
        self.assertLessEqual(len(text.splitlines()), 24)
        self.assertEqual(os.listdir(folder), ["tiny.gguf"])

    def test_home_is_the_other_place(self):
        home = scratch("home")
        os.makedirs(home, exist_ok=True)
        env = environment(HOME=home, XDG_CACHE_HOME="relative/does/not/count")
        found = json.loads(self.expect(mixt("doctor", "--json", env=env), 0).stdout)
        self.assertEqual(found["stored"], os.path.join(home, ".cache", "mixt", "machine.json"))
        self.assertTrue(stat.S_ISREG(os.stat(found["stored"]).st_mode))
        # no place at all: measured, said, not stored
        nowhere = {k: v for k, v in env.items() if k not in ("HOME", "XDG_CACHE_HOME")}
        done = self.expect(mixt("doctor", "--json", env=nowhere), 0)
        self.assertIsNone(json.loads(done.stdout)["stored"])
        self.one_line(done, "not stored")

    def test_mistakes(self):
        self.one_line(self.expect(mixt("doctor", scratch("nowhere"), env=self.env), 66), "nowhere")
        self.expect(mixt("doctor", "a", "b", env=self.env), 64)
        done = self.expect(mixt("doctor", "/proc", "--json", env=self.env), 66)     # a folder in which nobody can write
        self.one_line(done, "/proc: cannot create a temporary file")
        told = json.loads(done.stdout)
        self.assertTrue(told["read"] and told["f32"])
        self.assertEqual((told["disk_folder"], told["disk"], told["stored"]), (None, [], None))
        self.assertFalse(os.path.exists(self.file))


if __name__ == "__main__":
    main()
