# SPDX-License-Identifier: Apache-2.0
# tests/cli/test_embedded.py - the model in the program: its name is as good as its file, from any folder.
#
# Three programs: one that carries a tiny model ("carried"), one that carries none, and the one that was built, with
# whatever is in it.
import functools
import json
import os
import shutil
import subprocess
import unittest

import test_talk
import test_train
from support import MIXT, Case, main, make_tiny, make_tiny_adapter, mixt, scratch

BARE, CARRIER, FILE = (os.environ[name] for name in ("MIXT_BARE", "MIXT_CARRIER", "MIXT_CARRIED"))
EMBEDDED = os.environ.get("MIXT_EMBEDDED")
NAME = "carried"
TEXT = "Once upon a time"

carrier = functools.partial(mixt, program=CARRIER)
bare = functools.partial(mixt, program=BARE)


def content(path):
    with open(path, "rb") as file:
        return file.read()


def folder(name):
    path = scratch(name)
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path)
    return path


class Speaking(Case):
    def test_from_any_folder(self):
        want = self.expect(carrier("run", FILE, TEXT, "-n", 8, "--seed", 1), 0).stdout
        self.assertGreater(len(want), 4)
        for where in ("/", folder("empty")):
            for words, given in (([NAME, TEXT], b""), ([NAME], TEXT.encode()), ([], TEXT.encode())):
                done = self.expect(carrier("run", *words, "-n", 8, "--seed", 1, given=given, cwd=where), 0)
                self.assertEqual((done.stdout, done.stderr), (want, b""), (where, words))

    def test_experts_from_memory(self):
        """Kept and dropped, read again from memory: not a byte differs; and the heat map is the file's."""
        want = carrier("run", FILE, TEXT, "-n", 8, "--seed", 1, "--experts")
        for slots in ([], ["--expert-slots", 3]):
            done = self.expect(carrier("run", NAME, TEXT, "-n", 8, "--seed", 1, "--experts", *slots), 0)
            self.assertEqual((done.stdout, done.stderr), (want.stdout, want.stderr))
        self.assertIn(b"experts that fired", want.stderr)

    def test_adapters(self):
        adapter = scratch("embedded-adapter.gguf")
        known = json.loads(carrier("show", NAME, "--json").stdout)
        shape = make_tiny.Shape(L=known["layers"], D=known["width"], heads=known["heads"], kv_heads=known["kv_heads"],
                                d=known["head_size"], E=known["experts"], U=known["experts_used"], F=known["hidden"],
                                V=known["vocabulary"])
        make_tiny_adapter.make_adapter(adapter, shape)
        said = {}
        for model in (NAME, FILE):
            for lora in ([], ["--lora", adapter]):
                said[model, bool(lora)] = self.expect(carrier("run", model, TEXT, "-n", 16, "--temp", 0, *lora), 0).stdout
            self.expect(carrier("lora", "merge", model, adapter, "-o", scratch(f"merged-{model == NAME}.gguf")), 0)
        self.assertEqual(said[NAME, True], said[FILE, True])
        self.assertNotEqual(said[NAME, True], said[NAME, False])
        self.assertEqual(content(scratch("merged-True.gguf")), content(scratch("merged-False.gguf")))

    def test_a_conversation(self):
        terminal = test_talk.Terminal("run", "--chat-template", "chatml", "-n", 4, "--seed", 1, program=CARRIER)
        terminal.until(r">>> $")
        self.assertIn(f"model         {NAME} (GGUF v3 in memory)", terminal.say("/show model"))
        terminal.say("hello")
        terminal.type("\x04")
        self.assertEqual(terminal.end(), 0)


class EveryCommand(Case):
    """What a command says of the name is what it says of the file."""

    def same(self, *words, given=b"", **more):
        name, file = (carrier(*[model if w is None else w for w in words], given=given, **more) for model in (NAME, FILE))
        self.assertEqual(self.expect(name, 0).stdout, self.expect(file, 0).stdout, words)
        return name.stdout

    def test_show_and_check(self):
        name, file = (json.loads(carrier("show", model, "--json").stdout) for model in (NAME, FILE))
        self.assertEqual((name.pop("path"), name.pop("container")), (NAME, "GGUF v3 in memory"))
        self.assertEqual((file.pop("path"), file.pop("container")), (FILE, "GGUF v3"))
        self.assertEqual(name, file)
        self.assertIn(f"{NAME}: ok: GGUF v3 in memory, mixtral", self.expect(carrier("check", NAME), 0).stdout.decode())
        self.assertIs(json.loads(self.expect(carrier("check", NAME, "--json"), 0).stdout)["ok"], True)

    def test_text(self):
        ids = self.same("tokenize", None, given=TEXT.encode())
        self.assertEqual(self.same("detokenize", None, given=ids), TEXT.encode())
        messages = b'[{"role": "user", "content": "hello"}]'
        self.assertIn(b"hello", self.same("prompt", None, "--messages", "-", "--chat-template", "chatml", given=messages))

    def test_numbers(self):
        for command in ("logits", "routes"):
            got = []
            for model in (NAME, FILE):
                self.expect(carrier(command, model, "--ids", "1,403,407", "-o", scratch("embedded.npy")), 0)
                got.append(content(scratch("embedded.npy")))
            self.assertEqual(*got, command)

    def test_convert_takes_it_out(self):
        where = folder("taken")
        self.expect(carrier("convert", NAME, "-o", NAME, cwd=where), 0)         # that name is no input
        self.expect(carrier("convert", FILE, "-o", "file.gguf", cwd=where), 0)
        self.assertEqual(sorted(os.listdir(where)), [NAME, "file.gguf"])
        self.assertEqual(content(os.path.join(where, NAME)), content(os.path.join(where, "file.gguf")))

    def test_bench(self):
        done = self.expect(carrier("bench", NAME, "-p", 8, "-n", 2, "-d", 0, "-r", 1, "--json"), 0)
        self.assertIn(NAME, done.stdout.decode())

    def test_training_begins_with_it(self):
        shapeless = dict.fromkeys(test_train.BASE["model"])
        written = []
        for i, model in enumerate((NAME, FILE)):
            out = scratch(f"begun-{i}.gguf")
            path = test_train.config(f"begun-{i}", model=shapeless, vocabulary={"model": None},
                                     adapter={"expert_rank": 2}, run={"folder": scratch(f"begun-{i}.d")},
                                     optimizer={"steps": 1, "sequence": 16, "batch": 1, "warm_up": 0})
            self.expect(carrier("train", path, "--from", model, "-o", out), 0)
            written.append(content(out))
        self.assertEqual(*written)
        # In a configuration it is a file beside it, as everywhere there.
        with open(path) as file:
            text = file.read().replace("[model]", f"[model]\nfrom = {NAME}")
        with open(path, "w") as file:
            file.write(text)
        self.one_line(self.expect(carrier("train", path, "--fresh", "-o", out, timeout=60), 66), NAME)


class Names(Case):
    def test_the_name_wins_over_a_file_and_says_so(self):
        where = folder("clash")
        with open(os.path.join(where, NAME), "w") as file:
            file.write("<!DOCTYPE html><html>not a model</html>\n" * 10)
        want = carrier("run", FILE, TEXT, "-n", 4, "--seed", 1).stdout
        done = self.expect(carrier("run", NAME, TEXT, "-n", 4, "--seed", 1, cwd=where), 0)
        self.assertEqual(done.stdout, want)
        self.one_line(done, f"./{NAME}")
        self.one_line(self.expect(carrier("run", "./" + NAME, TEXT, cwd=where), 65), f"./{NAME}")
        done = self.expect(carrier("run", "-n", 4, "--seed", 1, given=TEXT.encode(), cwd=where), 0)
        self.assertEqual((done.stdout, done.stderr), (want, b""))       # nothing was named

    def test_a_prompt_is_no_model(self):
        self.one_line(self.expect(carrier("run", TEXT, cwd="/"), 66), f'mixt run {NAME} "{TEXT}"')
        self.one_line(self.expect(carrier("run", 'say "x"', cwd="/"), 66), f'mixt run {NAME} "..."')
        self.one_line(self.expect(bare("run", TEXT, cwd="/"), 66), f'mixt run MODEL "{TEXT}"')
        for path in ("a/b", "no.gguf"):
            self.assertNotIn("prompt", self.one_line(self.expect(carrier("run", path, cwd="/"), 66), path))

    def test_a_name_that_is_none(self):
        for words in (["show"], ["check"], ["tokenize"], ["convert", "-o", scratch("x.gguf")]):
            words.insert(1, "carred")
            self.one_line(self.expect(carrier(*words, cwd="/"), 66), "carred", f"is called {NAME}")
            self.one_line(self.expect(bare(*words, cwd="/"), 66), "carred", "no model was built into this program")
        self.one_line(self.expect(carrier("doctor", NAME, cwd="/"), 66), "name a folder")


class Nothing(Case):
    def test_run_says_so(self):
        for given in (b"", TEXT.encode()):
            done = self.expect(bare("run", given=given), 64)
            self.one_line(done, "expected MODEL", "none was built into this program", "usage: mixt run MODEL")
            self.assertEqual(done.stdout, b"")

    def test_a_file_still_runs(self):
        want = carrier("run", NAME, TEXT, "-n", 4, "--seed", 1).stdout
        self.assertEqual(self.expect(bare("run", FILE, TEXT, "-n", 4, "--seed", 1), 0).stdout, want)


class Words(Case):
    def test_version(self):
        self.assertRegex(carrier("version").stdout.decode(), rf"^mixt .+\nwith the model {NAME}, .+ MB \(.+ MiB\)\n$")
        told = json.loads(carrier("version", "--json").stdout)
        self.assertEqual((told["model"], told["model_bytes"]), (NAME, os.path.getsize(FILE)))
        self.assertEqual(bare("version").stdout.count(b"\n"), 1)
        self.assertIsNone(json.loads(bare("version", "--json").stdout)["model"])

    def test_first_steps(self):
        for page in ("help", "man"):
            self.assertIn(f"mixt run {NAME} ", carrier(page).stdout.decode())
            self.assertIn("tiny.gguf", bare(page).stdout.decode())
            self.assertNotIn("tiny.gguf", carrier(page).stdout.decode())
        self.assertLessEqual(carrier("help").stdout.count(b"\n"), 24)

    def test_completion(self):
        for shell in ("bash", "zsh", "fish"):
            script = carrier("completion", shell).stdout
            self.assertIn(NAME.encode(), script)
            if shutil.which(shell):
                checked = subprocess.run([shell, "-n"], input=script, capture_output=True)
                self.assertEqual((checked.returncode, checked.stderr), (0, b""), shell)
        script = carrier("completion", "bash").stdout.decode()
        for command, want in (("run", NAME), ("show", NAME), ("doctor", ""), ("synth", "")):
            ask = f'{script}\nCOMP_WORDS=(mixt {command} carr); COMP_CWORD=2; _mixt; echo "${{COMPREPLY[*]}}"'
            done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, cwd="/")
            self.assertEqual(done.stdout.strip(), want, command)


class ThisProgram(Case):
    @unittest.skipUnless(EMBEDDED, "skipped: no model was built into the program")
    def test_its_model(self):
        name = json.loads(mixt("version", "--json").stdout)["model"]
        self.assertEqual(name + ".gguf", os.path.basename(EMBEDDED))
        self.expect(mixt("check", name), 0)
        name, file, alone = (self.expect(mixt("run", *words, "-n", 8, "--seed", 1, "--no-learn", given=given, cwd="/"), 0).stdout
                             for words, given in (([name, TEXT], b""), ([EMBEDDED, TEXT], b""), ([], TEXT.encode())))
        self.assertGreater(len(file), 4)
        self.assertEqual((name, alone), (file, file))

    @unittest.skipUnless(os.path.basename(EMBEDDED or "") == "wren.gguf", "skipped: the model in the program is not Wren")
    def test_wren_converses(self):
        """In the format that it was taught: turns are marked, and an answer ends by itself."""
        path, question = scratch("wren-messages.json"), "What is the opposite of hot?"
        with open(path, "w", encoding="utf-8") as file:
            json.dump([{"role": "user", "content": question}], file)
        asked = self.expect(mixt("prompt", "wren", "--messages", path), 0).stdout.decode()
        self.assertEqual(asked, f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n")
        told = json.loads(self.expect(mixt("run", "wren", "--chat", question, "--temp", 0, "--json"), 0).stdout)
        self.assertEqual(told["finish"], "end", told)
        self.assertRegex(told["text"], "opposite", told)

    @unittest.skipIf(EMBEDDED, "a model was built into the program")
    def test_it_has_none(self):
        self.one_line(self.expect(mixt("run"), 64), "none was built into this program")


if __name__ == "__main__":
    main()
