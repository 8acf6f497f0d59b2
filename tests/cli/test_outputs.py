# SPDX-License-Identifier: Apache-2.0
# tests/cli/test_outputs.py - what is read is never written over: not by name, not by link.
import os
import shutil
import subprocess

from support import MIXT, Case, environment, main, make_tiny, make_tiny_adapter, mixt, model, scratch

IDS = "1,403,407"


def contents(path):
    with open(path, "rb") as file:
        return file.read()


class Spared(Case):
    """A refused command leaves every file as it was, and no temporary."""

    def setUp(self):
        self.folder = scratch("spared")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.mkdir(self.folder)
        self.model = self.path("m.gguf")
        shutil.copy(model(), self.model)
        os.symlink("m.gguf", self.path("soft.gguf"))
        os.link(self.model, self.path("hard.gguf"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def refused(self, *words, part="same file as the input", where=None, **more):
        where = where or self.folder
        before = {name: contents(os.path.join(where, name)) for name in os.listdir(where)}
        done = self.expect(mixt(*words, **more), 64)
        self.one_line(done, part)
        self.assertEqual(done.stdout, b"")
        self.assertEqual({name: contents(os.path.join(where, name)) for name in os.listdir(where)}, before, words)

    def test_the_model(self):
        for name in ("m.gguf", "soft.gguf", "hard.gguf", "./../spared/m.gguf"):
            out = self.path(name)
            self.refused("logits", self.model, "--ids", IDS, "-o", out)
            self.refused("logits", out, "--ids", IDS, "--all", "-o", self.model)
            self.refused("routes", self.model, "--ids", IDS, "-o", out)
            self.refused("routes", self.model, "--ids", IDS, "-o", self.path("r.npy"), "--weights", out)
            self.refused("convert", self.model, "-o", out)

    def test_before_the_work(self):
        """The ids would take more than the time there is, and more than the memory."""
        ids = self.path("ids.txt")
        with open(ids, "w") as file:
            file.write("5 " * 2_000_000)
        self.refused("logits", self.model, "--ids", "@" + ids, "--all", "-o", self.model, timeout=20)
        self.refused("logits", self.model, "--ids", "@" + ids, "-o", ids, timeout=20)
        self.one_line(self.expect(mixt("logits", self.model, "--ids", "@" + ids, "-o", "/nonexistent/x.npy", timeout=20), 74),
                      "/nonexistent")

    def test_a_file_of_the_folder(self):
        """Everything that lies in a model's folder belongs to the model."""
        folder = scratch("folder")
        make_tiny.make_hf(folder, make_tiny.SHAPES["mixtral"], shards=2)
        with open(os.path.join(folder, "notes.txt"), "w") as file:
            file.write("mine")
        names = sorted(os.listdir(folder))
        self.assertIn("config.json", names)
        for name in names:
            self.refused("logits", folder, "--ids", "5,6", "-o", os.path.join(folder, name), where=folder)
        self.refused("convert", folder, "-o", os.path.join(folder, "config.json"), where=folder)

    def test_any_part(self):
        where = scratch("parts")
        os.makedirs(where, exist_ok=True)
        make_tiny.make_gguf(os.path.join(where, "m.gguf"), make_tiny.SHAPES["mixtral"], split=3)
        parts = sorted(os.listdir(where))
        self.assertEqual(len(parts), 3)
        for part in parts:
            self.refused("logits", os.path.join(where, parts[0]), "--ids", "5,6", "-o", os.path.join(where, part), where=where)

    def test_an_adapter(self):
        adapter, ids = self.path("adapter.gguf"), ("--ids", "1,5,9")
        make_tiny_adapter.make_adapter(adapter, make_tiny.SHAPES["mixtral"])
        make_tiny.make_gguf(self.path("mixtral.gguf"), make_tiny.SHAPES["mixtral"])
        os.symlink("adapter.gguf", self.path("soft-adapter.gguf"))
        with open(self.path("in.jsonl"), "w") as file:
            file.write('{"prompt": "a", "max_tokens": 1}\n')
        for named in (adapter, adapter + ":0.5"):
            lora = (self.path("mixtral.gguf"), "--lora", named)
            for out in (adapter, self.path("soft-adapter.gguf")):
                self.refused("logits", *lora, *ids, "-o", out)
                self.refused("routes", *lora, *ids, "-o", out)
                self.refused("routes", *lora, *ids, "-o", self.path("new.npy"), "--record", out)
                self.refused("run", *lora, "Once", "-n", 1, "--record", out)
                self.refused("batch", *lora, self.path("in.jsonl"), out)

    def test_the_model_chosen_for(self):
        trace = self.path("t.trace")
        self.expect(mixt("routes", self.model, "--ids", IDS, "-o", self.path("o.npy"), "--record", trace), 0)
        for name in ("m.gguf", "soft.gguf", "hard.gguf"):
            self.refused("replay", trace, "--choose", self.model, "-o", self.path(name))
        self.refused("replay", trace, trace, "-o", trace)

    def test_prompts_and_answers(self):
        prompts, answers = self.path("in.jsonl"), self.path("out.jsonl")
        with open(prompts, "w") as file:
            file.write('{"prompt": "a", "max_tokens": 1}\n')
        os.symlink("in.jsonl", self.path("in-too.jsonl"))
        for record in (prompts, self.path("in-too.jsonl"), self.model):
            self.refused("batch", self.model, prompts, answers, "--record", record)
        for record in (answers, self.path("../spared/out.jsonl")):
            self.refused("batch", self.model, prompts, answers, "--record", record, part="same file as the output")

    def test_two_outputs(self):
        os.symlink("new.npy", self.path("later.npy"))
        before = sorted(os.listdir(self.folder))
        for other in ("new.npy", "./new.npy", "../spared/new.npy"):
            done = mixt("routes", self.model, "--ids", IDS, "-o", self.path("new.npy"), "--weights", self.path(other))
            self.one_line(self.expect(done, 64), "same file as the output")
            self.assertEqual(sorted(os.listdir(self.folder)), before)
        with open(self.path("new.npy"), "w") as file:
            file.write("old")
        self.refused("routes", self.model, "--ids", IDS, "-o", self.path("new.npy"), "--weights", self.path("later.npy"),
                     part="same file as the output")

    def test_standard_output(self):
        """mixt tokenize m.gguf >>m.gguf"""
        before = contents(self.model)
        for command in ("tokenize 'm.gguf'", "run 'm.gguf' Once -n 2", "detokenize 'soft.gguf' 403"):
            done = subprocess.run(["sh", "-c", f"'{MIXT}' {command} </dev/null >>hard.gguf"], cwd=self.folder, env=environment(),
                                  capture_output=True, timeout=60)
            self.one_line(self.expect(done, 64), "standard output is the same file")
            self.assertEqual(contents(self.model), before)

    def test_a_file_that_may_not_grow(self):
        """ulimit -f: a sentence as of a full disk, and no half a file."""
        before = sorted(os.listdir(self.folder))
        for command in ("pack m.gguf m.mixt", "synth -o new.gguf", "pack m.gguf m.mixt --in-place"):
            done = subprocess.run(["sh", "-c", f"ulimit -f 200; '{MIXT}' {command}"], cwd=self.folder, env=environment(),
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
            self.one_line(self.expect(done, 74), "File too large")
            self.assertEqual([name for name in sorted(os.listdir(self.folder)) if name != "m.mixt.part"], before)
        self.assertEqual(contents(self.model), contents(model()))

    def test_what_is_no_input_may_be_replaced(self):
        out = self.path("old.npy")
        with open(out, "w") as file:
            file.write("old")
        self.expect(mixt("logits", self.model, "--ids", IDS, "-o", out), 0)
        self.assertTrue(contents(out).startswith(b"\x93NUMPY"))

    def test_a_dash_is_no_file(self):
        for words in (["logits", self.model, "--ids", IDS], ["routes", self.model, "--ids", IDS], ["convert", self.model],
                      ["synth"]):
            done = self.expect(mixt(*words, "-o", "-", cwd=self.folder), 64)
            self.one_line(done, "expected the name of a file", "./-")
            self.assertNotIn("-", os.listdir(self.folder))
        self.expect(mixt("logits", self.model, "--ids", IDS, "-o", "./-", cwd=self.folder), 0)
        self.assertTrue(contents(self.path("-")).startswith(b"\x93NUMPY"))


if __name__ == "__main__":
    main()
