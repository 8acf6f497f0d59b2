# SPDX-License-Identifier: Apache-2.0
# tests/cli/test_plan.py - mixt plan: a fixed machine gives a fixed page; the line before a run.
import json
import os
import re
import unittest

from support import HOSTILE, Case, environment, main, mixt, model, scratch

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = scratch("plan-cache")
PROFILE = os.path.join(CACHE, "mixt", "machine.json")


def fixed_machine():
    """This machine's profile with round numbers in it: a plan hangs on nothing else of the machine."""
    env = environment(XDG_CACHE_HOME=CACHE)
    if not os.path.exists(PROFILE):
        found = mixt("doctor", "--json", env=env, timeout=300)
        if found.returncode:
            raise RuntimeError(found.stderr.decode())
        with open(PROFILE) as file:
            profile = json.load(file)
        profile.update(read=[{"threads": 2, "per_second": 40e9}], int8=[{"threads": 2, "per_second": 1e12}],
                       f32=[{"threads": 2, "per_second": 2.5e11}], disk_folder="/", disk_direct=True,
                       disk=[{"block_bytes": 1 << 20, "depth": 4, "per_second": 1.2e9}])
        with open(PROFILE, "w") as file:
            json.dump(profile, file)
    return env


FIXED = ["--threads", 2, "--memory", "24GiB"]


class Plan(Case):
    def plan(self, *words, code=0, **more):
        return self.expect(mixt("plan", *words, env=more.pop("env", fixed_machine()), **more), code)

    def json(self, *words):
        return json.loads(self.plan(*words, *FIXED, "--json").stdout)

    @unittest.skipIf(HOSTILE, "other sizes, other plans")
    def test_golden_page(self):
        """Every character: what it says of a fixed machine changes only when somebody wants it to."""
        for name, words in (("8x7b", ["mixtral-8x7b", "--explain", "--watts", 60, "--price-per-kwh", 0.3]),
                            ("deepseek", ["deepseek-v3", "--quant", "q2_k", "--vram", "24GiB"])):
            got = self.plan(*words, *FIXED).stdout.decode()
            path = os.path.join(HERE, f"plan_{name}.txt")
            if os.environ.get("MIXT_GOLDEN") == "write":
                with open(path, "w") as file:
                    file.write(got)
            with open(path) as file:
                self.assertEqual(got, file.read(), f"{path}; MIXT_GOLDEN=write writes it anew")

    @unittest.skipIf(HOSTILE, "other sizes, other plans")
    def test_golden_json(self):
        got = self.json("mixtral-8x7b")
        path = os.path.join(HERE, "plan_8x7b.json")
        if os.environ.get("MIXT_GOLDEN") == "write":
            with open(path, "w") as file:
                json.dump(got, file, indent=1)
                file.write("\n")
        with open(path) as file:
            self.assertEqual(got, json.load(file), f"{path}; MIXT_GOLDEN=write writes it anew")

    def test_it_fits_on_a_screen(self):
        for preset in ("mixtral-8x7b", "deepseek-v3", "llama-3-70b"):
            lines = self.plan(preset, *FIXED).stdout.decode().splitlines()
            self.assertLessEqual(len(lines), 50, preset)
            self.assertLessEqual(max(map(len, lines)), 116, preset)

    def test_presets_are_listed(self):
        text = self.plan().stdout.decode()
        self.assertRegex(text, r"(?m)^mixtral-8x22b +Mixtral 8x22B +140\.62 B +39\.15 B +85\.59 GB$")
        self.assertRegex(text, r"(?m)^deepseek-v3 .*Mixt does not run this yet$")
        for line in text.splitlines()[1:]:
            page = self.plan(line.split()[0], *FIXED).stdout.decode()
            self.assertEqual("Mixt does not run this yet" in line, "Mixt does not run this yet" in page)

    def test_bytes_are_those_of_the_file(self):
        """A file and its plan agree with mixt show to the byte, and with mixt bench on what a token reads."""
        path = model("plan-q4.gguf", "--type", "Q4_K_M")
        shown, plan = json.loads(mixt("show", path, "--json").stdout), self.json(path)
        self.assertEqual(plan["memory"]["weight_bytes"], shown["weight_bytes"])
        self.assertEqual(plan["model"]["file_bytes"], os.path.getsize(path))
        self.assertEqual(plan["model"]["parameters"], shown["parameters"])
        self.assertEqual(plan["model"]["parameters_active"], shown["parameters_active"])
        self.assertEqual({c["name"]: c["bytes"] for c in plan["classes"]}, {c["name"]: c["bytes"] for c in shown["classes"]})
        test, = json.loads(mixt("bench", path, "-p", 0, "-n", 2, "-d", 0, "-r", 1, "--json", timeout=300).stdout)["tests"]
        self.assertAlmostEqual(plan["write"]["weight_bytes"] / test["weight_bytes_per_step"], 1, 6)

    def test_as_stored_is_what_the_mix_says(self):
        path = model("plan-q4.gguf", "--type", "Q4_K_M")
        stored, named = self.json(path), self.json(path, "--quant", "Q4_K_M")
        self.assertEqual(stored["classes"], named["classes"])
        self.assertEqual(stored["write"], named["write"])
        self.assertGreater(self.json(path, "--quant", "Q8_0")["memory"]["weight_bytes"], stored["memory"]["weight_bytes"])

    def test_wishes_count(self):
        usual = self.json("mixtral-8x7b")
        self.assertEqual(usual["memory"]["experts_why"], "as many as fit")
        self.assertEqual(self.json("mixtral-8x7b", "--context", "32K")["memory"]["kv_bytes"], 4 << 30)
        self.assertEqual(self.json("mixtral-8x7b", "--sessions", 3)["memory"]["kv_bytes"], 3 << 30)
        self.assertLess(self.json("mixtral-8x7b", "--kv", "q8_0")["memory"]["kv_bytes"], 0.54 * (1 << 30))
        self.assertGreater(self.json("mixtral-8x7b", "--batch", 2048)["memory"]["scratch_bytes"],
                           usual["memory"]["scratch_bytes"])
        self.assertEqual(self.json("mixtral-8x7b", "--expert-slots", 64)["memory"]["hit_rate"], 0.25)
        known = self.json("mixtral-8x7b", "--hit-rate", 0.95)
        self.assertAlmostEqual(known["write"]["disk_bytes"], 0.05 * usual["memory"]["experts_bytes"] / 4, -1)
        fast = self.json("mixtral-8x7b", "--disk-rate", "7GB")
        self.assertLess(fast["write"]["seconds"], usual["write"]["seconds"])
        self.assertEqual(self.json("mixtral-8x22b", "--vram", "80GiB")["card"]["experts_that_would_fit"],
                         434 if HOSTILE else 435)

    def test_too_little_memory_is_an_answer(self):
        text = self.plan("mixtral-8x22b", "--threads", 2, "--memory", "2GiB").stdout.decode()
        least = re.search(r"! does not work: needs at least ([\d.]+) GiB", text)
        self.assertIsNotNone(least, text)
        plan = json.loads(self.plan("mixtral-8x22b", "--threads", 2, "--memory", "2GiB", "--json").stdout)
        self.assertEqual(plan["memory"]["experts_why"], "too small")
        works = json.loads(self.plan("mixtral-8x22b", "--threads", 2, "--memory", plan["memory"]["least_bytes"],
                                     "--json").stdout)
        self.assertEqual(works["memory"]["experts_why"], "as many as fit")
        self.assertEqual(works["memory"]["experts_in_memory"], 2)

    def test_energy(self):
        plan = self.json("mixtral-8x7b", "--watts", 100, "--price-per-kwh", 0.5)
        energy, rate = plan["energy"], plan["write"]["tokens_per_s"]
        self.assertAlmostEqual(energy["tokens_per_kwh"], rate * 36000, -1)
        self.assertAlmostEqual(energy["cost_per_million_tokens"], 0.5 * 1e6 / energy["tokens_per_kwh"], 3)

    def test_a_profile_is_measured_where_there_is_none(self):
        env = environment(XDG_CACHE_HOME=scratch("no-cache"))
        done = self.plan("mixtral-8x7b", "--json", env=env)
        self.one_line(done, "measuring anew")
        self.assertEqual(json.loads(done.stdout)["machine"]["limits"], "measured quickly")
        self.assertFalse(json.loads(done.stdout)["machine"]["disk_measured"])
        self.assertIn("assumed: mixt doctor FOLDER", self.plan("mixtral-8x7b", env=env).stdout.decode())

    def test_mistakes(self):
        for words, code, parts in ((["mixtral-8x7"], 66, ["did you mean mixtral-8x7b"]),
                                   (["nothing-of-the-kind"], 66, ["mixt plan lists them"]),
                                   (["mixtral-8x7b", "--quant", "Q9"], 64, ["Q9"]),
                                   (["mixtral-8x7b", "--context", "64K"], 64, ["32768"]),
                                   (["mixtral-8x7b", "--price-per-kwh", "1"], 64, ["--watts"]),
                                   (["--memory", "8G"], 64, ["--memory", "MODEL"]),
                                   (["mixtral-8x7b", "--hit-rate", "1.5"], 64, ["--hit-rate"])):
            self.one_line(self.plan(*words, code=code), *parts)


class Run(Case):
    """The line before a run, and what became of it."""

    def run_one(self, *words, env=None):
        return self.expect(mixt("run", model(), "Once", "-n", 4, "--temp", 0, *words, env=env or fixed_machine()), 0)

    def test_nothing_for_what_loads_in_a_blink(self):
        self.assertEqual(self.run_one().stderr, b"")

    def test_verbose_predicts_and_compares(self):
        text = self.run_one("-v").stderr.decode()
        self.assertRegex(text, r"(?m)\Aplan +0\.0\d GB of weights, all in memory, .*; about [\d.]+ tokens/s, prompts [\d.]+$")
        self.assertRegex(text, r"(?m)^planned +prompt [\d.]+ tokens/s, measured [\d.]+; answer [\d.]+, measured [\d.]+; memory ")

    def test_without_a_profile_there_are_no_speeds(self):
        text = self.run_one("-v", env=environment(XDG_CACHE_HOME=scratch("no-cache"))).stderr.decode()
        self.assertRegex(text, r"(?m)\Aplan .*; mixt doctor, once, and this line says how fast$")
        self.assertRegex(text, r"(?m)^planned +memory ")

    def test_slots_are_told(self):
        self.assertRegex(self.run_one("-v", "--expert-slots", 5).stderr.decode(), r"(?m)\Aplan .* 5 of 32 experts in memory")


if __name__ == "__main__":
    main()
